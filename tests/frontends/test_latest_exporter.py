"""Exporting while training: what is written, when, and what is kept."""

import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.frontends.keras3 import tf1_content
from hub_keras_bridge.frontends.keras3.exported_modules import register_module_for_export
from hub_keras_bridge.frontends.keras3.latest_exporter import LatestModuleExporter

v1 = tf.compat.v1

X, Y = np.ones([4, 2], np.float32), np.zeros([4, 2], np.float32)


class WeightsPerEpoch(keras.callbacks.Callback):
    """Remembers a layer's only weight after each epoch."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(value(self.layer))


def value(layer):
    return layer.variable_map["scale"].numpy()


def loaded(path):
    return value(hub.ModuleLayer(path))


def folders(path):
    return sorted(os.listdir(path))


def fit(layer, *callbacks, model=None, epochs=1):
    model = model or keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, epochs=epochs, batch_size=4, verbose=0, callbacks=list(callbacks))


@pytest.fixture
def layer(scale_spec):
    return hub.ModuleLayer(scale_spec, trainable=True, name="scaler")


class TestEpochs:
    def test_newest_are_kept_with_the_weights_of_their_epoch(self, tmp_path, layer):
        weights = WeightsPerEpoch(layer)
        fit(layer, weights, LatestModuleExporter(tmp_path, exports_to_keep=2), epochs=3)
        assert folders(tmp_path) == ["scaler"]
        kept = folders(tmp_path / "scaler")
        assert len(kept) == 2
        assert not np.allclose(weights.seen[1], weights.seen[2])
        for timestamp, expected in zip(kept, weights.seen[1:], strict=True):
            np.testing.assert_array_equal(loaded(tmp_path / "scaler" / timestamp), expected)

    def test_timestamps_are_of_now_and_increase_within_a_second(self, tmp_path, layer):
        before = int(time.time())
        fit(layer, LatestModuleExporter(tmp_path), epochs=3)
        one, two, three = map(int, folders(tmp_path / "scaler"))
        assert before <= one < two < three <= time.time() + 3

    def test_none_keeps_all(self, tmp_path, layer):
        fit(layer, LatestModuleExporter(tmp_path, exports_to_keep=None), epochs=6)
        assert len(folders(tmp_path / "scaler")) == 6

    def test_five_are_kept_by_default(self, tmp_path, layer):
        fit(layer, LatestModuleExporter(tmp_path), epochs=6)
        assert len(folders(tmp_path / "scaler")) == 5

    def test_at_the_end_of_training(self, tmp_path, layer):
        fit(layer, LatestModuleExporter(tmp_path, when="train_end"), epochs=3)
        (only,) = folders(tmp_path / "scaler")
        np.testing.assert_array_equal(loaded(tmp_path / "scaler" / only), value(layer))

    def test_a_second_run_goes_on_after_the_first(self, tmp_path, layer):
        future = str(int(time.time()) + 1000)
        (tmp_path / "scaler" / future).mkdir(parents=True)
        fit(layer, LatestModuleExporter(tmp_path, exports_to_keep=1))
        assert folders(tmp_path / "scaler") == [str(int(future) + 1)]


class TestTimestampFirst:
    """The original's order: what it wrote, and kept, was recorded from it."""

    def exporter(self, path, scale_spec, **arguments):
        exporter = LatestModuleExporter(path, layout="timestamp/name", **arguments)
        layers = [hub.ModuleLayer(scale_spec, name=name) for name in ("double", "other")]
        exporter.set_model(keras.Sequential(layers))
        return exporter

    def test_one_folder_for_all_modules(self, tmp_path, scale_spec):
        exports = self.exporter(tmp_path, scale_spec).export()
        (timestamp,) = folders(tmp_path)
        assert 0 <= time.time() - int(timestamp) < 60
        assert exports == {
            name: str(tmp_path / timestamp / name) for name in folders(tmp_path / timestamp)
        }
        assert list(exports) == ["double", "other"]
        assert all(loaded(path).tolist() == [3.0, 3.0] for path in exports.values())

    def test_which_are_kept(self, tmp_path, scale_spec):
        # Names of ten digits are exports, the greatest the newest.
        for name in ("0000000001", "12", "9999999998"):
            (tmp_path / name / "x").mkdir(parents=True)
        exporter = self.exporter(tmp_path, scale_spec, exports_to_keep=2)
        exporter.export()
        assert folders(tmp_path) == ["12", "9999999998", "9999999999"]

    def test_all_or_none(self, tmp_path, scale_spec, monkeypatch):
        exporter = self.exporter(tmp_path, scale_spec, exports_to_keep=1)
        exporter.export()
        before = folders(tmp_path)
        _, other = exporter.model.layers

        def fail(path):
            assert folders(os.path.dirname(path)) == ["double"]
            assert int(before[0]) == max(int(n) for n in folders(tmp_path) if n.isdigit())
            raise hub.ExportError("Cannot write.")

        monkeypatch.setattr(other, "export_module", fail)
        with pytest.raises(hub.ExportError):
            exporter.export()
        assert folders(tmp_path) == before


class TestWhatIsLeftAlone:
    def test_foreign_folders_and_files(self, tmp_path, layer):
        parent = tmp_path / "scaler"
        foreign = ["best", "1", "2024", "17000000000", "1700000000.bak", "-170000000"]
        for name in foreign:
            (parent / name).mkdir(parents=True)
            (parent / name / "mine").touch()
        (parent / "1000000000").touch()
        (parent / "1000000001").symlink_to(tmp_path)
        fit(layer, LatestModuleExporter(tmp_path, exports_to_keep=1), epochs=2)
        left = set(folders(parent))
        assert left > {*foreign, "1000000000", "1000000001"}
        assert len(left) == len(foreign) + 3
        assert all((parent / name / "mine").exists() for name in foreign)

    def test_previous_exports_when_one_fails(self, tmp_path, layer, monkeypatch):
        exporter = LatestModuleExporter(tmp_path, exports_to_keep=1)
        fit(layer, exporter)
        before, expected = folders(tmp_path / "scaler"), value(layer)

        def full_disk(*_, **__):
            raise tf.errors.ResourceExhaustedError(None, None, "no space left")

        monkeypatch.setattr(tf1_content, "write_checkpoint", full_disk)
        with pytest.raises(hub.ExportError, match="no space left"):
            fit(layer, exporter)
        assert folders(tmp_path / "scaler") == before
        assert not np.allclose(value(layer), expected)
        np.testing.assert_array_equal(loaded(tmp_path / "scaler" / before[0]), expected)

    def test_nothing_is_removed_when_another_module_fails(self, tmp_path, scale_spec, monkeypatch):
        one, other = (hub.ModuleLayer(scale_spec, name=name) for name in ("one", "other"))
        exporter = LatestModuleExporter(tmp_path, exports_to_keep=1)
        exporter.set_model(keras.Sequential([one, other]))
        exporter.export()
        (before,) = folders(tmp_path / "one")

        def fail(path):
            raise hub.ExportError("Cannot write.")

        monkeypatch.setattr(other, "export_module", fail)
        with pytest.raises(hub.ExportError):
            exporter.export()
        assert before in folders(tmp_path / "one")
        assert folders(tmp_path / "other") == [before]


class TestLayers:
    def test_of_nested_models_and_custom_layers(self, tmp_path, scale_spec):
        class Holder(keras.layers.Layer):
            def __init__(self, held):
                super().__init__()
                self.held = [held]

            def build(self, input_shape):
                self.held[0].build(input_shape)

            def call(self, inputs):
                return self.held[0](inputs)

        one, two, three = (hub.ModuleLayer(scale_spec, name=name) for name in ("a", "b", "c"))
        inner = keras.Sequential([keras.Sequential([one]), Holder(two)])
        # One of them in two places is exported once.
        model = keras.Sequential([inner, three, one])
        fit(None, LatestModuleExporter(tmp_path), model=model)
        assert folders(tmp_path) == ["a", "b", "c"]
        timestamps = {timestamp for name in "abc" for timestamp in folders(tmp_path / name)}
        assert len(timestamps) == 1

    def test_registered_name(self, tmp_path, layer):
        register_module_for_export(layer, "encoder")
        fit(layer, LatestModuleExporter(tmp_path))
        assert folders(tmp_path) == ["encoder"]

    def test_export_returns_where_it_wrote(self, tmp_path, layer):
        exporter = LatestModuleExporter(tmp_path)
        exporter.set_model(keras.Sequential([layer]))
        ((name, path),) = exporter.export().items()
        assert name == "scaler"
        np.testing.assert_array_equal(loaded(path), value(layer))

    def test_equal_names_before_training(self, tmp_path, scale_spec):
        one, other = (
            hub.ModuleLayer(scale_spec, name=name, trainable=True) for name in ("one", "other")
        )
        register_module_for_export(other, "one")
        model = keras.Sequential([one, other])
        with pytest.raises(hub.PublishError, match="two TF1 Hub modules under the name 'one'"):
            fit(None, LatestModuleExporter(tmp_path), model=model)
        assert model.optimizer.iterations == 0
        assert folders(tmp_path) == []

    def test_no_module(self, tmp_path):
        with pytest.raises(ValueError, match="there is none"):
            fit(
                None,
                LatestModuleExporter(tmp_path),
                model=keras.Sequential([keras.layers.Dense(2)]),
            )


class TestGraphs:
    @staticmethod
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        partitioner = v1.fixed_size_partitioner(2)
        bias = v1.get_variable(
            "bias", [2], initializer=v1.ones_initializer(), partitioner=partitioner
        )
        scale = v1.get_variable("scale", initializer=[3.0, 4.0])
        hub.add_signature(inputs=x, outputs=x * scale + tf.convert_to_tensor(bias))

    @pytest.fixture
    def trained(self, publish):
        """A session that moved a module away from what was published."""
        path = publish(self.module_fn)
        with tf.Graph().as_default():
            v1.get_variable("scale", initializer=-1.0)  # Not the module's.
            with v1.variable_scope("outer"):
                module = hub.Module(path, trainable=True, name="inner")
            register_module_for_export(module, "encoder")
            session = v1.Session()
            session.run(v1.global_variables_initializer())
            session.run([v1.assign_add(variable, variable + 1) for variable in module.variables])
        yield session
        session.close()

    def check(self, path):
        assert hub.ModuleLayer(path)([[1.0, 2.0]]).numpy().tolist() == [[10, 21]]

    def test_from_the_default_session(self, tmp_path, trained):
        # As in a TF1 script, where the graph is finished before training begins.
        trained.graph.finalize()
        with trained.graph.as_default(), trained.as_default():
            (written,) = LatestModuleExporter(tmp_path).export().values()
        assert os.path.dirname(written) == str(tmp_path / "encoder")
        self.check(written)

    def test_from_the_latest_checkpoint(self, tmp_path, trained):
        with trained.graph.as_default():
            saver = v1.train.Saver()
            to_zero = [v1.assign(variable, variable * 0) for variable in v1.global_variables()]
        folder = tmp_path / "checkpoints"
        folder.mkdir()
        exporter = LatestModuleExporter(tmp_path, checkpoint_dir=folder, graph=trained.graph)
        found = []
        for step in (1, 2):
            with trained.graph.as_default():
                saver.save(trained, str(folder / "model"), step)
            trained.run(to_zero)
            (written,) = exporter.export().values()
            found.append(hub.ModuleLayer(written)([[1.0, 2.0]]).numpy().tolist())
        # What was saved last, not what the session has come to.
        assert found == [[[10, 21]], [[0, 0]]]

    def test_beside_a_keras_model(self, tmp_path, trained, layer):
        exporter = LatestModuleExporter(tmp_path / "exports", graph=trained.graph)
        with trained.as_default():
            fit(layer, exporter)
        assert folders(tmp_path / "exports") == ["encoder", "scaler"]
        register_module_for_export(layer, "encoder")
        with pytest.raises(hub.PublishError, match="under the name 'encoder'"):
            fit(layer, exporter)

    def test_the_registry_is_not_written_with_the_graph(self, trained):
        # Else each Saver.save() would warn that it cannot write a module.
        written = trained.graph.get_all_collection_keys()
        assert set(written) == {"variables", "trainable_variables"}

    def test_no_checkpoint_yet(self, tmp_path, trained):
        exporter = LatestModuleExporter(tmp_path, checkpoint_dir=tmp_path, graph=trained.graph)
        with pytest.raises(hub.CheckpointError, match="nothing was saved yet"):
            exporter.export()
        assert not (tmp_path / "encoder").exists()

    def test_no_session(self, tmp_path, trained):
        with pytest.raises(hub.PublishError, match="values are unknown"):
            LatestModuleExporter(tmp_path, graph=trained.graph).export()
        assert not (tmp_path / "encoder").exists()

    def test_name_twice(self, scale_path, trained):
        with trained.graph.as_default():
            module = hub.Module(scale_path)
            with pytest.raises(hub.PublishError, match="under the name 'encoder'"):
                register_module_for_export(module, "encoder")


class TestArguments:
    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a/"])
    def test_names_that_are_no_folders(self, layer, name):
        with pytest.raises(hub.PublishError, match="cannot be a folder's"):
            register_module_for_export(layer, name)

    def test_what_is_no_module(self):
        with pytest.raises(TypeError, match=r"takes a hub\.ModuleLayer or a hub\.Module"):
            register_module_for_export(keras.layers.Dense(1), "dense")

    @pytest.mark.parametrize(
        "argument",
        [
            {"when": "batch_end"},
            {"layout": "name"},
            *({"exports_to_keep": bad} for bad in (0, 2.5, "3")),
        ],
    )
    def test_out_of_range(self, tmp_path, argument):
        (name,) = argument
        with pytest.raises(hub.PublishError, match=f"with {name}="):
            LatestModuleExporter(tmp_path, **argument)

    @pytest.mark.parametrize("arguments", [{"exports_to_keep": 1}, {}, {"exports_to_keep": None}])
    def test_the_original_s_call(self, arguments):
        with pytest.raises(TypeError, match=r"from a tf\.estimator\.Estimator") as caught:
            hub.LatestModuleExporter("tf_hub", lambda: None, **arguments)
        assert isinstance(caught.value, hub.PublishError)
        assert "hub.register_module_for_export(module, name)" in caught.value.advice
        assert 'layout="timestamp/name").export()' in caught.value.advice
