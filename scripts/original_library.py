"""Compares this package with the original library, tensorflow-hub 0.15 on TensorFlow 2.15.

Every golden module (and real ones, see ``--module``) is loaded with
``ModuleLayer``, tuned a little, and written with ``export_module``. The
original library then reads what was written, in a virtual environment of its
own, which is built if need be: it has to find the same variants, signatures,
attachments and weights, to compute the same outputs in every one of them, and
to reach the same weights when it trains the module further. So it has with
modules that this package published.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from original.cases import Call, Case, prepare
from original.compare import TOLERANCE, Row, is_random

import hub_keras_bridge as hub
from original import bridge, environment, exchange, subjects

_SCRIPTS = Path(__file__).resolve().parent
_GOLDEN = _SCRIPTS.parent / "tests" / "golden" / "zoo"
_REAL = "HUB_KERAS_BRIDGE_REAL"


def main() -> int:
    arguments = _arguments()
    # Only one output is trained on, and not all variables lead to it.
    warnings.filterwarnings("ignore", "Gradients do not exist")
    python = environment.prepare(arguments.environment.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cases = [
            prepare(subject, folder / f"exported {number}")
            for number, subject in enumerate(_subjects(arguments.module, folder))
        ]
        answers, arrays = _ask_original(python, cases, folder)
        rows = [
            row
            for case in cases
            for row in _compare(case, answers[case.name], arrays.get(case.name, {}))
        ]
    _report(rows)
    return 1 if any(row.differences for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    environment.add_option(parser)
    parser.add_argument(
        "--module",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a further module, folder or .tar.gz; may be given several times. Also, all "
        f"modules in the folder that the environment variable {_REAL} names",
    )
    return parser.parse_args()


def _subjects(modules: list[Path], folder: Path) -> list[subjects.Subject]:
    if _REAL in os.environ:
        modules = [*modules, *subjects.real_modules(Path(os.environ[_REAL]))]
    return [
        *(subjects.golden(path) for path in sorted(_GOLDEN.iterdir())),
        *(subjects.real(path, folder / "unpacked") for path in modules),
        *subjects.published_here(folder / "published"),
    ]


# --- asking ---


def _ask_original(
    python: Path, cases: list[Case], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One process of the original library answers for all modules."""
    exchanged = folder / "exchanged"
    exchanged.mkdir()
    (exchanged / "questions.json").write_text(json.dumps({c.name: _question(c) for c in cases}))
    exchange.write(exchanged / "questions.npz", {case.name: _given(case) for case in cases})
    subprocess.run([python, "-m", "original.answer", exchanged], cwd=_SCRIPTS, check=True)
    facts = json.loads((exchanged / "answers.json").read_text())
    return facts, exchange.read(exchanged / "answers.npz")


def _question(case: Case) -> dict[str, Any]:
    keys = {key for tags in case.spec.get_tags() for key in case.spec.variant(tags).attachments}
    further = case.further
    return {
        "path": str(case.path),
        "tags": [sorted(tags) for tags in case.spec.get_tags()],
        "attachments": sorted(keys),
        "calls": {
            number: {"tags": sorted(call.tags), "signature": call.signature}
            for number, call in case.calls.items()
        },
        "tuning": further
        and {
            "tags": sorted(further.tags),
            "signature": further.signature,
            "output": further.output,
            "rate": further.rate,
            "steps": len(further.batches),
            "export": str(case.retrained),
        },
    }


def _given(case: Case) -> dict[str, Any]:
    given: dict[str, Any] = {"calls": {number: call.inputs for number, call in case.calls.items()}}
    if case.further:
        values, target = case.further.batches[0]
        given["tuning"] = {"inputs": values, "target": target}
    return given


# --- comparing ---


def _compare(case: Case, facts: dict[str, Any], arrays: dict[str, Any]) -> list[Row]:
    errors = facts["errors"]
    rows = [_guarded(Row(case.name, "", "facts"), errors.get("facts"), _compare_facts, case, facts)]
    for tags in case.spec.get_tags():
        found = arrays.get("variables", {}).get(json.dumps(sorted(tags)), {})
        row = Row(case.name, _show(tags), "weights")
        error = errors.get(f"variables {sorted(tags)}")
        rows.append(_guarded(row, error, _compare_weights, case, tags, found))
    for number, call in case.calls.items():
        found = arrays.get("calls", {}).get(number, {})
        row = Row(case.name, _show(call.tags), f"signature {call.signature}")
        rows.append(_guarded(row, errors.get(f"call {number}"), _compare_call, case, call, found))
    if case.further:
        row = Row(case.name, _show(case.further.tags), "training further")
        found = arrays.get("tuning", {})
        rows.append(_guarded(row, errors.get("tuning"), _compare_tuning, case, case.further, found))
    return rows


def _guarded(
    row: Row, original_error: str | None, compare: Callable[..., None], *arguments: Any
) -> Row:
    """A failure on either side is a difference, not the end of the comparison."""
    if original_error:
        row.differences.append(f"the original library failed:\n{original_error}")
        return row
    try:
        compare(row, *arguments)
    except Exception as error:
        row.differences.append(f"this package failed: {type(error).__name__}: {error}")
    return row


def _compare_facts(row: Row, case: Case, facts: dict[str, Any]) -> None:
    here, original = bridge.facts(case.spec), facts["variants"]
    row.same("tags", sorted(here), sorted(original))
    for tags in here.keys() & original.keys():
        row.same(f"attachments of {tags}", *(f[tags]["attachments"] for f in (here, original)))
        row.same(f"signatures of {tags}", *(f[tags]["signatures"] for f in (here, original)))
    row.same("assets", case.subject.assets, subjects.read_assets(case.path))


def _compare_weights(row: Row, case: Case, tags: frozenset[str], found: dict[str, Any]) -> None:
    names = {facts.name for facts in case.spec.variant(tags).variables}
    row.names("variables", names, found)
    for name in names & found.keys():
        row.close(name, case.weights[name], found[name])


def _compare_call(row: Row, case: Case, call: Call, found: dict[str, Any]) -> None:
    here = bridge.apply(str(case.path), call.tags, call.signature, call.inputs)
    first, second = found["first"], found["second"]
    row.names("outputs", here, first)
    for key in here.keys() & first.keys():
        if is_random(first[key], second[key]):
            row.random.append(key)
        else:
            row.close(key, here[key], first[key])


def _compare_tuning(row: Row, case: Case, lessons: subjects.Lessons, found: dict[str, Any]) -> None:
    """Losses and weights of both, and the original's own export read back here."""
    # The layer that was exported, not one read back: else what the export left
    # out, such as a loss, would be missing on both sides.
    losses = np.asarray(bridge.tune(case.layer, lessons)).astype(found["losses"].dtype)
    row.close("losses", {"": losses}, {"": found["losses"]})
    tuned = replace(case, weights=bridge.variables(case.layer))
    _compare_weights(row, tuned, lessons.tags, found["variables"])
    retrained = str(case.retrained)
    restored = hub.ModuleLayer(
        retrained, tags=lessons.tags, signature=lessons.signature, output_key=lessons.output
    )
    read_back = replace(case, weights=bridge.variables(restored))
    _compare_weights(row, read_back, lessons.tags, found["variables"])
    output = bridge.apply(retrained, lessons.tags, lessons.signature, lessons.batches[0][0])
    row.close("output of the original's export", output[lessons.output], found["output"])
    moved = [
        name
        for name, parts in found["variables"].items()
        if any(not np.array_equal(parts[p], case.weights[name][p]) for p in parts)
    ]
    if not moved:
        row.differences.append("the steps moved no variable, so they show nothing")


def _show(tags: Any) -> str:
    return "{" + ", ".join(sorted(tags)) + "}"


# --- reporting ---


def _report(rows: list[Row]) -> None:
    cells = [("module", "variant", "compared", "outcome")]
    cells += [(row.module, row.variant, row.what, row.outcome) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        for difference in row.differences:
            print(f"\n{row.module} {row.variant} {row.what}: {difference}")
    calls = [row for row in rows if row.what.startswith("signature ")]
    print(
        f"\n{len({row.module for row in rows})} modules, {len(calls)} calls with "
        f"{sum(row.count for row in calls)} outputs compared and "
        f"{sum(len(row.random) for row in calls)} random, "
        f"{sum(row.what == 'training further' for row in rows)} trained further, "
        f"{sum(row.count for row in rows)} comparisons in all; largest difference "
        f"{max(row.worst for row in rows):.1e} (allowed: {TOLERANCE:.0e}); "
        f"{sum(len(row.differences) for row in rows)} differences"
    )


if __name__ == "__main__":
    sys.exit(main())
