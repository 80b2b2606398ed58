"""The demo: its module, its experiment, and what it shows and leaves behind."""

import dataclasses
import io
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import hub_keras_bridge as hub
from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.demo import command, experiment, report
from hub_keras_bridge.cli.demo.digits_module import digits_spec
from hub_keras_bridge.cli.demo.examples import digits, few_and_rest
from hub_keras_bridge.cli.demo.folder import MARKER, make_room
from hub_keras_bridge.cli.demo.settings import Settings

TINY = Settings(seeds=1, publish_epochs=1, transfer_epochs=2)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((6, 8, 8, 1), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "made" / "results"


@pytest.fixture(scope="module")
def shown(folder):
    """What one tiny run of the demo shows on a terminal, without its colours."""
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, highlight=False)
    command.demo(TINY, folder, console)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


class Told:
    """A listener that remembers."""

    def __init__(self):
        self.stages, self.epochs = [], 0

    def __call__(self, text):
        self.stages.append(text)
        return self.trained

    def trained(self, epochs):
        self.epochs += epochs


class TestModule:
    def test_variants_and_signatures(self):
        spec = digits_spec()
        assert set(spec.get_tags()) == {frozenset(), frozenset({"train"})}
        for tags in spec.get_tags():
            assert set(spec.get_signature_names(tags)) == {"default", "image_feature_vector"}
            (name, info), *others = spec.get_input_info_dict(tags=tags).items()
            assert (name, others) == ("images", [])
            assert info.dtype == tf.float32
            assert info.get_shape().as_list() == [None, 8, 8, 1]
        outputs = spec.get_output_info_dict("image_feature_vector")
        assert {name: info.get_shape().as_list() for name, info in outputs.items()} == {
            "default": [None, 64],
            "block": [None, 4, 4, 64],
        }

    def test_features_are_the_last_block_averaged(self, images):
        spec = digits_spec()
        layer = hub.ModuleLayer(spec, signature="image_feature_vector", as_dict=True)
        found = layer(images)
        np.testing.assert_allclose(found["default"], found["block"].numpy().mean((1, 2)), atol=1e-6)
        assert np.ptp(found["default"]) > 0.1

    def test_dropout_in_training_only(self, images):
        layer = hub.ModuleLayer(
            digits_spec(),
            signature="image_feature_vector",
            as_dict=True,
            trainable=True,
        )
        found = layer(images, training=True)
        features, averages = found["default"].numpy(), found["block"].numpy().mean((1, 2))
        kept = features != 0
        np.testing.assert_allclose(features[kept], averages[kept] / 0.75, rtol=1e-5)
        dropped = np.mean(~kept[averages != 0])
        assert 0.1 < dropped < 0.4

    def test_batch_norm_follows_training_batches_only(self, images):
        layer = hub.ModuleLayer(digits_spec(), trainable=True)
        layer(images)
        weights = layer.variable_map
        np.testing.assert_array_equal(weights["block1/moving_mean"], np.zeros(16))
        np.testing.assert_array_equal(weights["block1/moving_variance"], np.ones(16))
        before = {name: weights[name].numpy() for name in ("block1/moving_mean", "block1/kernel")}
        layer(images, training=True)
        convolved = tf.nn.conv2d(images, before["block1/kernel"], 1, "SAME").numpy()
        np.testing.assert_allclose(
            weights["block1/moving_mean"], 0.1 * convolved.mean((0, 1, 2)), atol=1e-6
        )
        np.testing.assert_allclose(
            weights["block1/moving_variance"], 0.9 + 0.1 * convolved.var((0, 1, 2)), atol=1e-6
        )

    def test_one_loss_per_kernel(self):
        layer = hub.ModuleLayer(digits_spec(), trainable=True)
        layer.build()
        kernels = [v.numpy() for name, v in layer.variable_map.items() if "kernel" in name]
        assert len(kernels) == 3
        expected = [1e-4 * np.sum(kernel**2) / 2 for kernel in kernels]
        np.testing.assert_allclose(sorted(layer.losses), sorted(expected), rtol=1e-5)

    def test_same_initial_values_every_time(self):
        one, other = (hub.ModuleLayer(digits_spec()) for _ in range(2))
        for layer in (one, other):
            layer.build()
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


class TestExperiment:
    def test_digits_5_to_9_become_classes(self):
        data = digits(5)
        assert data.images.shape == (len(data), 8, 8, 1)
        assert data.images.dtype == np.float32
        assert (data.images.min(), data.images.max()) == (0, 1)
        assert set(data.labels) == {0, 1, 2, 3, 4}
        assert len(data) + len(digits(0)) == 1797

    def test_few_and_rest_share_no_example(self):
        data = digits(5)
        numbered = dataclasses.replace(data, images=np.arange(len(data)))
        few, rest = few_and_rest(numbered, 4, seed=3)
        assert np.bincount(few.labels).tolist() == [4] * 5
        assert sorted([*few.images, *rest.images]) == list(range(len(data)))
        again, _ = few_and_rest(numbered, 4, seed=3)
        np.testing.assert_array_equal(few.images, again.images)
        other, _ = few_and_rest(numbered, 4, seed=4)
        assert set(few.images) != set(other.images)

    def test_compares_both_ways_and_repeats_itself(self, tmp_path):
        told = Told()
        experiment.publish(tmp_path / "module", TINY, told)
        comparison = experiment.compare(tmp_path / "module", TINY, told)
        assert told.epochs == TINY.total_epochs
        assert len(told.stages) == 3
        ((frozen,), (tuned,)) = comparison.frozen, comparison.tuned
        published = hub.ModuleLayer(tmp_path / "module")
        published.build()
        for done, same in ((frozen, True), (tuned, False)):
            now = done.model.layers[0].variable_map["block1/kernel"]
            original = published.variable_map["block1/kernel"]
            assert np.array_equal(now, original) == same
            assert done.curve.shape == (TINY.transfer_epochs,)
        again = experiment.transfer(tmp_path / "module", True, 0, TINY, told.trained)
        np.testing.assert_array_equal(again.curve, tuned.curve)


class TestDemo:
    @pytest.mark.usefixtures("shown")
    def test_leaves_module_plot_and_model(self, folder):
        assert {path.name for path in folder.iterdir()} == {
            "digits_module",
            "transfer.png",
            "digits.keras",
            MARKER,
        }
        assert hub.ModuleLayer(folder / "digits_module")(np.zeros((2, 8, 8, 1))).shape == (2, 64)
        assert (folder / "transfer.png").read_bytes().startswith(b"\x89PNG")

    def test_table_has_the_accuracy_of_the_saved_model(self, folder, shown):
        model = keras.models.load_model(folder / "digits.keras")
        data = digits(5)
        _, test = few_and_rest(data, TINY.examples, seed=0)
        right = np.argmax(model.predict(test.images, verbose=0), axis=-1) == test.labels
        row = next(line for line in shown.splitlines() if line.startswith("│") and " 0 " in line)
        assert row.split("│")[3].strip() == f"{np.mean(right):.1%}"
        assert f"{len(test)} test examples, 25 training examples" in shown

    def test_shows_verdict_paths_and_check(self, folder, shown):
        assert re.search(
            r"Fine-tuned (beat frozen|did NOT beat frozen: better) in . of 1 seed\(s\)", shown
        )
        for name in ("digits_module", "transfer.png", "digits.keras"):
            assert str(folder / name) in shown
        difference = re.search(r"its logits differ by at most (\S+)", shown)
        assert float(difference[1]) <= 1e-5

    def test_bar_gets_to_the_end(self, shown):
        assert "Transferring to digits 5 to 9: seed 0, fine-tuned" in shown
        assert "100%" in shown

    def test_lines_where_there_is_no_terminal(self):
        out = io.StringIO()
        with command._progress(Console(file=out), total=2) as stage:
            stage("one")(1)
            stage("two")(1)
        assert out.getvalue() == "one\ntwo\n"


class TestPresentation:
    def test_table(self):
        out = io.StringIO()
        table = report.accuracy_table(np.array([0.5, 0.6]), np.array([0.8, 0.7]), 5, 871)
        Console(file=out, width=100).print(table)
        rows = [re.findall(r"[^│\s]+(?: [^│\s]+)*", line) for line in out.getvalue().splitlines()]
        assert ["0", "50.0%", "80.0%", "+30.0"] in rows
        assert ["1", "60.0%", "70.0%", "+10.0"] in rows
        assert ["mean", "55.0%", "75.0%", "+20.0"] in rows
        assert ["standard deviation", "7.1%", "7.1%", "14.1"] in rows

    def test_table_of_one_seed_has_no_spread(self):
        out = io.StringIO()
        table = report.accuracy_table(np.array([0.5]), np.array([0.8]), 5, 871)
        Console(file=out, width=100).print(table)
        assert "mean" in out.getvalue()
        assert "deviation" not in out.getvalue()
        assert "nan" not in out.getvalue()

    @pytest.mark.parametrize(
        ("tuned", "beginning"),
        [
            ([0.8, 0.8, 0.8], "Fine-tuned beat frozen in 3 of 3 seed(s), by 30.0 points"),
            ([0.8, 0.8, 0.4], "Fine-tuned beat frozen in 2 of 3 seed(s), by 16.7 points"),
            ([0.9, 0.4, 0.4], "Fine-tuned did NOT beat frozen: better in 1 of 3 seed(s), +6.7"),
            ([0.6, 0.6, 0.1], "Fine-tuned did NOT beat frozen: better in 2 of 3 seed(s), -6.7"),
            ([0.5, 0.5, 0.5], "Fine-tuned did NOT beat frozen: better in 0 of 3 seed(s), +0.0"),
        ],
    )
    def test_verdict_is_honest(self, tuned, beginning):
        assert report.verdict(np.full(3, 0.5), np.array(tuned)).startswith(beginning)

    def test_plot_shows_mean_and_range(self):
        def transfers(*curves):
            return [experiment.Transfer(None, np.array(c), None) for c in curves]

        comparison = experiment.Comparison(
            frozen=transfers([0.2, 0.4], [0.4, 0.6]), tuned=transfers([0.5, 0.7], [0.7, 0.9])
        )
        (axes,) = report.plot_curves(comparison, 5).axes
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(lines["frozen"], [0.3, 0.5])
        np.testing.assert_allclose(lines["fine-tuned"], [0.6, 0.8])
        tuned_band, frozen_band = (band.get_paths()[0].vertices[:, 1] for band in axes.collections)
        assert (tuned_band.min(), tuned_band.max()) == (0.5, 0.9)
        assert (frozen_band.min(), frozen_band.max()) == (0.2, 0.6)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "test accuracy")
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            "fine-tuned",
            "frozen",
        ]


class TestFolder:
    def test_replaces_an_earlier_demo_and_nothing_else(self, tmp_path):
        module = tmp_path / "digits_module"
        (module / "variables").mkdir(parents=True)
        for name in (
            "tfhub_module.pb",
            "saved_model.pb",
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
        ):
            (module / name).touch()
        (tmp_path / "transfer.png").touch()
        (tmp_path / "notes.txt").touch()
        (tmp_path / MARKER).touch()
        make_room(tmp_path, module, tmp_path / "transfer.png", tmp_path / "digits.keras")
        assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", MARKER}

    def test_refuses_a_folder_that_is_no_demo(self, tmp_path):
        mine = tmp_path / "transfer.png"
        mine.touch()
        with pytest.raises(hub.ExportError, match=r"'transfer\.png'"):
            make_room(tmp_path, tmp_path / "digits_module", mine)
        assert [path.name for path in tmp_path.iterdir()] == ["transfer.png"]

    def test_keeps_what_is_not_its_own_in_the_module_folder(self, tmp_path):
        module = tmp_path / "digits_module"
        (module / "variables").mkdir(parents=True)
        (module / "variables" / "mine.txt").touch()
        (tmp_path / MARKER).touch()
        make_room(tmp_path, module)
        assert (module / "variables" / "mine.txt").exists()
        experiment.publish(module, TINY, Told())
        assert (module / "variables" / "mine.txt").exists()
        assert hub.load_module_spec(module).get_signature_names()

    def test_a_file_in_the_way_is_told_on_stderr(self, tmp_path, capsys):
        (tmp_path / "taken").touch()
        assert main(["demo", "--output", str(tmp_path / "taken")]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert "Traceback" not in told.err
        lines = told.err.splitlines()
        assert lines[0].startswith("hub-keras-bridge demo: Cannot write the results of the demo")
        assert "--output FOLDER" in lines[-1]
        assert len(lines) <= 5

    @pytest.mark.parametrize("number", ["0", "-1", "many"])
    def test_seeds_are_counted_from_1(self, number, capsys):
        with pytest.raises(SystemExit) as exit_:
            main(["demo", "--seeds", number])
        assert exit_.value.code == 2
        assert "--seeds" in capsys.readouterr().err
