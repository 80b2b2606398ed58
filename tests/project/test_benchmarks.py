"""The benchmarks' own parts, and that their sides compute the same numbers; no times."""

import itertools
import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import agreement, compare, plots, report, resident, steps, timing
from benchmarks.comparisons import (
    COMPARISONS,
    compiled,
    eager_call,
    fine_tune,
    load,
    peak_memory,
    predict,
)
from benchmarks.figures import Case, Result
from benchmarks.kinds import EVERY_KIND, KINDS
from benchmarks.sides import (
    BEST,
    COMPILED,
    KERAS_LAYER,
    ONNX_RUNTIME,
    OPENVINO,
    OURS,
    SESSION,
    TWIN,
    TWIN_WITHOUT_XLA,
)
from benchmarks.sides.inference import RUNNERS
from benchmarks.sides.trainers import TRAINERS, Examples
from benchmarks.timing import Spread
from helpers.places import ROOT
from stress.reliability.report import table as reliability_table


@pytest.fixture(scope="module")
def lstm(tmp_path_factory):
    return KINDS["lstm"].publish(tmp_path_factory.mktemp("lstm"))


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """With a vocabulary of some 2,000 words, so that others are unknown."""
    module = KINDS["embedding"].publish(tmp_path_factory.mktemp("embedding"), 1)
    module.publish_twin()
    return module


# --- the harness ---


def test_sides_are_timed_in_turns():
    order = []
    runs = {side: lambda side=side: order.append(side) for side in "abc"}
    seconds = timing.interleaved(runs, 3, clock=itertools.count().__next__)
    warm_up, rounds = order[:3], order[3:]
    assert warm_up == ["a", "b", "c"]
    assert rounds == [*"abc", *"bca", *"cab"]
    assert seconds == {"a": [1, 1, 1], "b": [1, 1, 1], "c": [1, 1, 1]}


def test_quick_work_is_repeated_within_a_round():
    clock = Clock()
    runs = {"quick": lambda: clock.work(0.01), "slow": lambda: clock.work(2.0)}
    seconds = timing.interleaved(runs, 2, at_least=0.1, clock=lambda: clock.now)
    assert seconds == {"quick": pytest.approx([0.01, 0.01]), "slow": pytest.approx([2.0, 2.0])}
    # Once before, then to see how long it takes, then ten times in each round.
    assert clock.pieces == {0.01: 6 + 2 * 10, 2.0: 2 + 2}


def test_what_others_leave_busy_does_not_count():
    """Each runs for a while before it is timed, and far slower ones in fewer rounds."""
    clock = Clock()
    runs = {"quick": lambda: clock.work(0.01), "slow": lambda: clock.work(2.0)}
    seconds = timing.interleaved(
        runs, 4, 0.1, lambda: clock.now, settle=0.025, rounds_if_far_slower=2
    )
    assert {side: len(found) for side, found in seconds.items()} == {"quick": 4, "slow": 2}
    assert clock.pieces == {0.01: 6 + 4 * (3 + 10), 2.0: 2 + 2 * (1 + 1)}
    assert timing.ratios(seconds, "quick")["slow"].median == pytest.approx(0.005)


class Clock:
    def __init__(self):
        self.now = 0.0
        self.pieces = {}

    def work(self, seconds):
        self.now += seconds
        self.pieces[seconds] = self.pieces.get(seconds, 0) + 1


def test_ratios_compare_within_a_round():
    """A machine that slows down halfway leaves them as they are."""
    seconds = {OURS: [1.0, 1.0, 10.0], KERAS_LAYER: [2.0, 2.0, 20.0]}
    assert timing.ratios(seconds, OURS) == {KERAS_LAYER: Spread(0.5, 0.5, 0.5)}


def test_sides_that_differ_are_named():
    with pytest.raises(agreement.Disagreement) as raised:
        agreement.require_same("y", {"one": np.ones(2), "other": np.array([1.0, 1.5])})
    assert str(raised.value) == "y: other differs from one by 0.5 where numbers go up to 1"
    with pytest.raises(agreement.Disagreement, match=r"other has shape \(1,\), one \(2,\)"):
        agreement.require_same("y", {"one": np.ones(2), "other": np.ones(1)})
    with pytest.raises(agreement.Disagreement, match="differs from one by nan"):
        agreement.require_same("y", {"one": np.ones(1), "other": np.array([np.nan])})
    agreement.require_same("y", {"one": np.ones(2), "other": np.ones(2) + 1e-6})


def test_training_that_differs_is_named():
    before = {"one": {"w": np.zeros(2)}, "other": {"w": np.zeros(2)}}
    after = {"one": {"w": np.array([1.0, 0.0])}, "other": {"w": np.array([1.0, 0.1])}}
    with pytest.raises(agreement.Disagreement, match=r"other differs from one by 0\.1"):
        agreement.require_same_updates("m", before, after)
    with pytest.raises(agreement.Disagreement, match="training changes nothing in one"):
        agreement.require_same_updates("m", before, before)
    unlike = {"one": {"w": np.zeros(2)}, "other": {}}
    with pytest.raises(agreement.Disagreement, match=r"other trains \['w'\] unlike one"):
        agreement.require_same_updates("m", unlike, unlike)


# --- the results ---

BARS = Result(
    "Work",
    "s",
    [
        Case.of("LSTM", {OURS: [0.5, 0.25, 1.0], KERAS_LAYER: [1.0, 0.5, 2.0]}),
        Case.of("image CNN", {OURS: [0.003], TWIN: [0.002]}),
    ],
    {KERAS_LAYER: 0.4, TWIN: 2.0},
)
RATES = Result(
    "Sweep",
    "s",
    [Case.of("LSTM", {OURS: [0.5], SESSION: [0.25]}, at=at, items=4) for at in (1, 16)],
    {},
    axis="items per batch",
    rate=True,
)

FAR = Result("Far", "s", [Case.of("LSTM", {OURS: [1e-3], SESSION: [1e-3], TWIN: [5e-2]})], aims={})
_CASES = (
    Case.of(
        "LSTM",
        {COMPILED: [1.0], OURS: [2.0], ONNX_RUNTIME: [1.0]},
        COMPILED,
        aims={OURS: 0.6},
    ),
    Case.of(
        "image CNN",
        {COMPILED: [2.0], OURS: [1.0]},
        COMPILED,
        notes={ONNX_RUNTIME: "left out. No Conv"},
    ),
)
ENGINES = Result(
    "Calls", "s", [case.with_best(COMPILED) for case in _CASES], {BEST: 1.05}, subject=COMPILED
)


def test_table_of_times():
    assert report.markdown([BARS]).splitlines() == [
        "### Work",
        "",
        "Median, and the middle half of the rounds, in ms:",
        "",
        "| module | ModuleLayer | tensorflow_hub.KerasLayer | native Keras twin |",
        "|---|---:|---:|---:|",
        "| LSTM | 500 (375 to 750) | 1000 (750 to 1500) |  |",
        "| image CNN | 3 |  | 2 |",
        "",
        "The time that ModuleLayer takes, as a part of the other's (below 1 it takes less):",
        "",
        "| module | tensorflow_hub.KerasLayer | native Keras twin |",
        "|---|---:|---:|",
        "| LSTM | 0.50 (misses 0.4) |  |",
        "| image CNN |  | 1.50 (aim 2) |",
    ]


def test_table_of_rates():
    lines = report.markdown([RATES]).splitlines()
    assert lines[2] == "Median, and the middle half of the rounds, in items per second:"
    assert lines[4:8] == [
        "| module, items per batch | ModuleLayer | TF1 session |",
        "|---|---:|---:|",
        "| LSTM, 1 | 8 | 16 |",
        "| LSTM, 16 | 8 | 16 |",
    ]
    assert lines[-1] == "| LSTM, 16 | 2.00 |"


def test_summary_has_all_but_sweeps():
    (summary,) = report.summaries([BARS, RATES])
    assert summary.splitlines() == [
        "| what ModuleLayer takes, as a part of | tensorflow_hub.KerasLayer | native Keras twin |",
        "|---|---:|---:|",
        "| Work: LSTM | 0.50 (misses 0.4) |  |",
        "| Work: image CNN |  | 1.50 (aim 2) |",
    ]


def test_another_subject_beside_the_best_of_the_others():
    """Which may be another one in each case, with aims of that case."""
    lines = report.markdown([ENGINES]).splitlines()
    assert lines[9:] == [
        "The time that hub.compile takes, as a part of the other's (below 1 it takes less):",
        "",
        "| module | ModuleLayer | ONNX Runtime by hand | best of the others |",
        "|---|---:|---:|---:|",
        "| LSTM | 0.50 (aim 0.6) | 1.00 | 1.00 (aim 1.05), ONNX Runtime by hand |",
        "| image CNN | 2.00 |  | 2.00 (misses 1.05), ModuleLayer |",
        "",
        "- image CNN, ONNX Runtime by hand: left out. No Conv",
    ]
    of_compiled, of_ours = report.summaries([ENGINES, BARS, RATES])
    assert of_compiled.splitlines()[2:] == [f"| Calls: {line[2:]}" for line in lines[13:15]]
    assert of_ours == report.summaries([BARS])[0]


def test_table_of_steps():
    """Ratios are of one process each: another may run on a slower machine."""

    def process(ours, session, again):
        figures = zip((OURS, SESSION, f"{OURS} once more"), (ours, session, again), strict=True)
        return {
            side: {"clock": s, "processor": 1.5, "page_faults": 1000 * s} for side, s in figures
        }

    found = {"lstm": [process(0.9, 1.0, 0.9), process(2.0, 2.0, 3.0), process(5.0, 4.0, 5.0)]}
    assert steps.table(found).splitlines()[-1] == (
        "| LSTM | 3 | 2000.0 (1000.0 to 4000.0) | 1.00 (0.90 to 1.25) | 1.00 (1.00 to 1.00) "
        "| 1.00 (1.00 to 1.50) | 2000 (1000 to 4000) | 2000 (900 to 5000) |"
    )


def test_results_from_json():
    for result in (BARS, RATES, ENGINES):
        assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_files_of_results(tmp_path):
    found = {"work": [BARS], "sweep": [RATES, RATES], "calls": [ENGINES]}
    compare.write(tmp_path / "new", "# Report", {"results": BARS.to_json()}, found)
    written = {path.name: path for path in (tmp_path / "new").iterdir()}
    pictures = {"work.png", "sweep_1.png", "sweep_2.png", "calls.png"}
    pictures |= {"overview.png", "overview_2.png"}
    assert set(written) == {"results.md", "results.json", *pictures}
    assert all(written[name].read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert written["results.md"].read_text() == "# Report\n"
    cases = json.loads(written["results.json"].read_text())["results"]["cases"]
    assert cases[0]["ratio"][KERAS_LAYER] == {"median": 0.5, "low": 0.5, "high": 0.5}


def test_plots_tell_what_they_show():
    bars, lines, all_of_them = plots.draw(BARS), plots.draw(RATES), plots.overview([BARS])
    assert bars.get_suptitle() == "Work: ms, less is better"
    assert [axes.get_title("left") for axes in bars.axes] == ["LSTM", "image CNN"]
    assert [text.get_text() for text in bars.axes[0].texts] == ["500", "1000  (2.00x)"]
    assert [text.get_text() for text in plots.draw(FAR).axes[0].texts] == [
        "1",
        "1  (1.00x)",
        "50  (50.00x), cut off",
    ]
    assert plots.draw(FAR).axes[0].get_xlim()[1] < 10
    assert lines.get_suptitle() == "Sweep: items per second, more is better"
    assert {line.get_label(): list(line.get_ydata()) for line in lines.axes[0].lines} == {
        SESSION: [16, 16],
        OURS: [8, 8],
    }
    assert [axes.get_title("left") for axes in all_of_them.axes] == ["Work"]


# --- the sides: each of these fails where one computes other numbers ---


@pytest.mark.parametrize("name", EVERY_KIND)
def test_twins_compute_what_modules_do(name, tmp_path):
    kind = EVERY_KIND[name]
    module = kind.publish(tmp_path, min(1, kind.megabytes))
    module.publish_twin()
    batch = kind.sample(3, 0)
    expected = load.LOADERS[OURS](module)(batch)()
    actual = module.twin().model(tf.constant(batch))
    agreement.require_same(name, {OURS: expected, TWIN: actual})
    assert np.ptp(expected) > 0


def test_loads(embedding):
    seconds = load.measure(embedding, rounds=1)
    assert [*seconds] == [*load.LOADERS]


def test_eager_calls(lstm):
    seconds = eager_call.measure(lstm, 2, rounds=1, at_least=0)
    assert [*seconds] == [*eager_call.CALLERS]


def test_compiled_calls(embedding, monkeypatch):
    """Whatever cannot run a module is left out, and says why."""
    sides = (COMPILED, OURS, KERAS_LAYER, SESSION, ONNX_RUNTIME, OPENVINO)
    monkeypatch.setattr(compiled, "RUNNERS", {side: RUNNERS[side] for side in sides})
    one, two = compiled.measure(embedding, [2, 3], rounds=1, at_least=0)
    assert [*one.measured] == [*two.measured] == [COMPILED, OURS, KERAS_LAYER, SESSION]
    assert one.ratio[BEST] == one.ratio[one.best(COMPILED)]
    # Engines that are far slower at the one are not tried at the other.
    assert re.match("runs \\w+ at batch 2(, \\w+ at batch 3)?$", one.notes[COMPILED])
    assert "StringSplit" in one.notes[ONNX_RUNTIME]
    assert one.notes[OPENVINO].startswith("left out. ")


def test_predictions(embedding):
    seconds = predict.measure(embedding, batches=2, size=3, rounds=1)
    assert [*seconds] == [*predict.PREDICTORS]


@pytest.mark.parametrize("kind", ["lstm", "embedding"])
def test_fine_tuning(kind, request):
    seconds = fine_tune.measure(request.getfixturevalue(kind), steps=2, rounds=1)
    assert [*seconds] == [*TRAINERS]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_steps_and_their_page_faults(embedding):
    found = steps.measure(embedding, 1, rounds=1)
    assert [*found] == [OURS, SESSION, f"{OURS} once more"]
    for figures in found.values():
        assert [*figures] == ["clock", "processor", "page_faults"]
        assert figures["clock"] > 0 < figures["processor"]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_pages_that_are_touched_are_counted():
    before = resident.page_faults()
    np.empty(2**26, np.uint8).fill(1)
    assert resident.page_faults() - before >= 2**26 / (2 * 2**20)  # Huge pages are few.


def test_fine_tuning_of_batch_norm(tmp_path):
    """XLA apart, which takes its time with so many layers."""
    module = KINDS["cnn"].publish(tmp_path, 1)
    module.publish_twin()
    examples = Examples.of(module.kind, 1)
    losses = {
        side: TRAINERS[side](module, examples).train(1)
        for side in (OURS, SESSION, TWIN_WITHOUT_XLA)
    }
    agreement.require_same("loss", losses)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_peak_memory(embedding, monkeypatch):
    held = []
    # Ones, since pages of zeros that nobody wrote take no memory.
    work = {"load": {OURS: lambda _: held.append(np.ones(200 * 2**20, np.uint8))}}
    monkeypatch.setattr(peak_memory, "_WORK", work)
    assert peak_memory.measure(embedding, "load", OURS) == pytest.approx(200, abs=40)


def last_figures(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def results_in(compared):
    return {
        name: [Result.from_json(each) for each in results]
        for name, results in compared["results"].items()
    }


def test_the_readme_has_the_last_figures():
    readme = (ROOT / "README.md").read_text()
    assert reliability_table(last_figures("reliability")) in readme
    compared = last_figures("results")
    found = results_in(compared)
    assert list(found) == [name for name in COMPARISONS if name != "compiled"], "not a full run"
    assert compared["machine"]["rounds"] == "all"
    assert all(table in readme for table in report.summaries(itertools.chain(*found.values())))
    for fact in ("TensorFlow", "Keras", "Python"):
        assert f"{fact} {compared['machine'][fact]}" in readme


def test_the_page_of_engines_has_the_last_figures():
    page = (ROOT / "docs" / "engines.md").read_text()
    compared = last_figures("compiled/results")
    (results,) = results_in(compared).values()
    assert compared["machine"]["rounds"] == "all"
    assert all(table in page for table in report.summaries(results))
    for fact in ("TensorFlow", "Keras", "Python"):
        assert f"{fact} {compared['machine'][fact]}" in page
