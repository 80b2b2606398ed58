"""ModuleLayer as a Keras layer: calls, training, losses, updates, errors."""

import abc
import inspect
import logging
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, scale_fn
from helpers.handmade import Handmade
from hub_keras_bridge.frontends.keras3 import tf1_module
from hub_keras_bridge.running import lookup_tables

v1 = tf.compat.v1


def counter_fn(training=False):
    """Adds one to ``steps`` per update; one loss; the output tells the variant."""
    x = v1.placeholder(tf.float32, [None, 2])
    w = v1.get_variable("block/w", initializer=[1.0, 2.0])
    b = v1.get_variable("head/b", initializer=[0.5, 0.5])
    steps = v1.get_variable("steps", initializer=0, trainable=False)
    if training:
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, steps.assign_add(1))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.reduce_sum(w**2))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(b) * 2)
    hub.add_signature(inputs=x, outputs=x * w + b + (100.0 if training else 0.0))


@pytest.fixture
def counter():
    return hub.create_module_spec(counter_fn, [((), {}), ({"train"}, {"training": True})])


def steps(layer):
    return int(layer.variable_map["steps"].numpy())


class TestOutputs:
    def test_default_named_and_all(self):
        path, x = Golden("mlp_bn").path, np.ones((1, 51), np.float32)
        everything = hub.ModuleLayer(path, as_dict=True)(x)
        assert set(everything) == {"default", "hidden_activations"}
        hidden = hub.ModuleLayer(path, output_key="hidden_activations")(x)
        np.testing.assert_array_equal(hidden, everything["hidden_activations"])
        np.testing.assert_array_equal(hub.ModuleLayer(path)(x), everything["default"])

    def test_unknown_output(self):
        with pytest.raises(hub.SignatureError) as caught:
            hub.ModuleLayer(Golden("multi_io").path, signature="fruit_to_pet")
        assert "no output 'default'" in str(caught.value)
        assert "one of 'cats', 'dogs'" in str(caught.value)
        assert "signature 'fruit_to_pet'" in str(caught.value)

    def test_unknown_output_beside_all(self):
        with pytest.raises(hub.SignatureError, match="no output 'nope'"):
            hub.ModuleLayer(Golden("mlp_bn").path, output_key="nope", as_dict=True)

    def test_static_shape_is_what_the_signature_says(self):
        layer = hub.ModuleLayer(Golden("text_embed").path)
        traced = tf.function(layer).get_concrete_function(tf.TensorSpec([None], tf.string))
        assert traced.outputs[0].shape.as_list() == [None, 16]

    def test_unknown_signature(self):
        with pytest.raises(hub.SignatureError, match="one of 'tokens'"):
            hub.ModuleLayer(Golden("bert_tiny").path)

    def test_tags_that_are_a_string(self):
        with pytest.raises(hub.TagsError, match=r"pass \{'train'\}"):
            hub.ModuleLayer(Golden("mlp_bn").path, tags="train")

    def test_unknown_tags(self):
        with pytest.raises(hub.TagsError, match=r"no variant with tags \{'serve'\}"):
            hub.ModuleLayer(Golden("mlp_bn").path, tags=["serve"])

    def test_signature_without_inputs(self):
        layer = hub.ModuleLayer(Golden("hyperparams").path, signature="constants")
        assert layer().shape == layer({}).shape == (3, 2)


class TestInputs:
    def test_dict_and_bare_value_of_one_input(self, scale_spec):
        layer = hub.ModuleLayer(scale_spec)
        for inputs in ([[1, 2]], {"default": [[1, 2]]}, np.float64([[1, 2]]), ((1, 2),)):
            assert layer(inputs).numpy().tolist() == [[3, 6]]

    def test_wrong_names(self):
        layer = hub.ModuleLayer(Golden("multi_io").path)
        with pytest.raises(hub.InputError) as caught:
            layer({"apples": np.zeros((1, 4)), "pears": np.zeros((1, 6))})
        assert "the keys 'apples', 'oranges'" in str(caught.value)
        assert "missing 'oranges'; unknown 'pears'" in str(caught.value)

    def test_bare_value_of_several_inputs(self):
        layer = hub.ModuleLayer(Golden("multi_io").path)
        with pytest.raises(hub.InputError, match="a dict with the keys 'apples', 'oranges'"):
            layer(np.zeros((1, 4)))

    def test_wrong_shape(self, scale_spec):
        with pytest.raises(hub.InputError, match=r"Found: shape \[1, 3\]"):
            hub.ModuleLayer(scale_spec)([[1.0, 2.0, 3.0]])

    def test_float64_keeps_its_precision_under_any_policy(self):
        golden = Golden("hyperparams")
        layer = hub.ModuleLayer(golden.path, dtype="mixed_float16")
        found = layer(golden.inputs(0))
        assert found.dtype == tf.float64
        np.testing.assert_allclose(found, golden.outputs(0)["default"], rtol=1e-14)

    def test_names_that_python_cannot_spell(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            y = v1.placeholder(tf.float32, [None])
            hub.add_signature(
                inputs={"tensor_dict$rho": x, "a b-c": y}, outputs={"InceptionV3/x_3x3": x - y}
            )

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn), output_key="InceptionV3/x_3x3")
        assert layer({"tensor_dict$rho": [3.0], "a b-c": [1.0]}).numpy().tolist() == [2.0]
        symbols = {k: keras.Input((), name=k) for k in ("tensor_dict$rho", "a b-c")}
        model = keras.Model(symbols, layer(symbols))
        data = {"tensor_dict$rho": np.float32([3, 4]), "a b-c": np.float32([1, 1])}
        assert model.predict(data, verbose=0).tolist() == [2.0, 3.0]

    def test_an_unread_input_and_an_output_that_is_an_input(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            unread = v1.placeholder(tf.int32, [None, 7])
            hub.add_signature(
                inputs={"x": x, "unread": unread}, outputs={"default": x, "twice": 2 * x}
            )

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn), as_dict=True)
        found = layer({"x": [1.0], "unread": np.zeros((1, 7), np.int32)})
        assert {k: v.numpy().tolist() for k, v in found.items()} == {"default": [1], "twice": [2]}


class TestKerasModels:
    def test_sequential_with_strings(self):
        model = keras.Sequential(
            [hub.ModuleLayer(Golden("text_embed").path), keras.layers.Dense(3)]
        )
        words = np.array(["hello world", "", "the cat"], object)
        assert model.predict(words, verbose=0).shape == (3, 3)
        assert model.predict(tf.constant(words), verbose=0).shape == (3, 3)
        assert model.count_params() == 56 * 16 + 16 * 3 + 3

    def test_functional_shapes_come_from_the_graph(self):
        layer = hub.ModuleLayer(
            Golden("convnet").path, output_key="block", signature="image_feature_vector"
        )
        assert layer(keras.Input((32, 32, 3))).shape == (None, 8, 8, 24)
        assert layer(keras.Input((32, 32, 3), batch_size=2)).shape == (2, 8, 8, 24)

    def test_free_dimensions_follow_the_input(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [None, None, 3])
            hub.add_signature(inputs=x, outputs=tf.concat([x, x], 1))

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
        assert layer(keras.Input((5, 3))).shape == (None, 10, 3)
        assert layer(keras.Input((None, 3))).shape == (None, None, 3)

    def test_input_that_can_never_fit(self):
        with pytest.raises(hub.InputError, match="Expected: string"):
            hub.ModuleLayer(Golden("text_embed").path)(keras.Input(()))
        with pytest.raises(hub.InputError, match=r"Found: shape \[\?, 16, 16, 3\]"):
            hub.ModuleLayer(Golden("convnet").path)(keras.Input((16, 16, 3)))

    def test_unknown_rank(self):
        def module_fn():
            x = v1.placeholder(tf.float32)
            hub.add_signature(inputs=x, outputs=x + 1)

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
        assert layer(keras.Input((4,))).shape == (None, 4)
        np.testing.assert_array_equal(layer([[1.0]]), [[2.0]])

    def test_called_twice_shares_weights(self, scale_spec):
        layer = hub.ModuleLayer(scale_spec, trainable=True)
        one, other = keras.Input((2,)), keras.Input((2,))
        model = keras.Model([one, other], layer(one) + layer(other))
        assert len(model.weights) == 1
        assert model.predict([np.ones((1, 2)), np.ones((1, 2))], verbose=0).tolist() == [[6, 6]]


class TestVariants:
    @pytest.mark.parametrize("trainable", [True, False])
    @pytest.mark.parametrize("training", [True, False, None])
    def test_training_variant_needs_both(self, counter, trainable, training):
        layer = hub.ModuleLayer(counter, trainable=trainable)
        is_training_variant = layer([[0.0, 0.0]], training=training).numpy().max() > 50
        assert is_training_variant == (trainable and training is True)
        assert steps(layer) == int(is_training_variant)

    def test_training_tags(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True, training_tags=())
        assert layer([[0.0, 0.0]], training=True).numpy().max() < 50
        assert steps(layer) == 0
        layer = hub.ModuleLayer(counter, tags=["train"])
        assert layer([[0.0, 0.0]]).numpy().max() > 50

    def test_updates_run_once_per_training_step(self, counter):
        model = keras.Sequential([hub.ModuleLayer(counter, trainable=True)])
        model.compile("sgd", "mse")
        model.fit(np.zeros((12, 2)), np.zeros((12, 2)), batch_size=4, epochs=2, verbose=0)
        assert steps(model.layers[0]) == 6
        model.evaluate(np.zeros((4, 2)), np.zeros((4, 2)), verbose=0)
        model.predict(np.zeros((4, 2)), verbose=0)
        assert steps(model.layers[0]) == 6

    def test_only_updates_that_the_signature_feeds(self):
        def module_fn():
            a, b = v1.placeholder(tf.float32, []), v1.placeholder(tf.float32, [])
            total = v1.get_variable("steps", initializer=0.0, trainable=False)
            scale = v1.get_variable("scale", initializer=1.0)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, total.assign_add(a))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, total.assign_add(100 * b))
            hub.add_signature("a", inputs=a, outputs=a * scale)
            hub.add_signature("b", inputs=b, outputs=b * scale)

        spec = hub.create_module_spec(module_fn)
        for signature, expected in (("a", 2), ("b", 200)):
            layer = hub.ModuleLayer(spec, signature=signature, trainable=True)
            layer(1.0, training=True)
            layer(1.0, training=True)
            assert steps(layer) == expected


class TestHandles:
    @pytest.fixture
    def looked_up(self):
        """Handles below shelf://, each time that one is looked up."""
        handles = []

        def find(handle, sha256):
            handles.append(handle)
            return handle.removeprefix("shelf://")

        shelf = hub.Resolver("shelf://", lambda handle: handle.startswith("shelf://"), find)
        hub.RESOLVERS.insert(0, shelf)
        yield handles
        hub.RESOLVERS.remove(shelf)

    def test_are_looked_up_once(self, looked_up, scale_path, tmp_path):
        layer = hub.ModuleLayer(f"shelf://{scale_path}")
        assert layer.get_config()["handle"] == f"shelf://{scale_path}"
        module = hub.load(f"shelf://{scale_path}")
        tf.saved_model.save(module, str(tmp_path / "tf2"))
        assert type(hub.ModuleLayer(f"shelf://{tmp_path}/tf2")) is hub.ModuleLayer
        hub.load(f"shelf://{tmp_path}/tf2")
        assert looked_up == [f"shelf://{p}" for p in (scale_path, f"{tmp_path}/tf2") for _ in "12"]

    def test_a_subclass_passes_on_its_own(self, looked_up, scale_path):
        class Scale(hub.ModuleLayer, abc.ABC):
            def __init__(self, factor, **kwargs):
                super().__init__(f"shelf://{scale_path}", **kwargs)
                self.factor = factor

            def call(self, inputs, training=None):
                return self.factor * super().call(inputs, training)

        assert Scale(2.0, trainable=True)([[1.0, 2.0]]).numpy().tolist() == [[6.0, 12.0]]
        assert len(looked_up) == 1

    def test_arguments_are_documented(self):
        names = list(inspect.signature(hub.ModuleLayer).parameters)
        assert (names[0], names[-1]) == ("handle", "kwargs")
        assert {"signature", "trainable", "training_tags", "safe_mode"} < set(names)
        with pytest.raises(TypeError, match="'handle'"):
            hub.ModuleLayer()


def test_a_frozen_layer_keeps_no_graph_for_training(counter):
    layer = hub.ModuleLayer(counter)
    layer([[1.0, 2.0]])
    content = layer._content
    kept = [e.program._plans for e in (content._inference, content._training)]
    assert [len(plans) for plans in kept] == [1, 0]
    layer.trainable = True
    assert layer([[1.0, 2.0]], training=True).numpy().tolist() == [[101.5, 104.5]]
    assert steps(layer) == 1


class TestTrainability:
    def names(self, layer):
        return sorted(v.name for v in layer.trainable_weights)

    def test_frozen_by_default(self, counter):
        layer = hub.ModuleLayer(counter)
        layer.build()
        assert self.names(layer) == []
        assert len(layer.non_trainable_weights) == 3

    def test_all_trainable_variables(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True)
        layer.build()
        assert self.names(layer) == ["block.w", "head.b"]

    @pytest.mark.parametrize("patterns", ["^head/", ["^head/"], [r"d/b$"]])
    def test_patterns_survive_toggling_and_cloning(self, counter, patterns):
        layer = hub.ModuleLayer(counter, trainable=True, trainable_patterns=patterns)
        layer.build()
        assert self.names(layer) == ["head.b"]
        layer.trainable = False
        assert self.names(layer) == []
        layer.trainable = True
        assert self.names(layer) == ["head.b"]
        clone = hub.ModuleLayer.from_config(layer.get_config())
        clone.build()
        assert self.names(clone) == ["head.b"]

    def test_only_matching_variables_move(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True, trainable_patterns="head")
        model = keras.Sequential([layer])
        model.compile("sgd", "mse")
        before = {k: v.numpy().copy() for k, v in layer.variable_map.items()}
        model.fit(np.ones((4, 2)), np.ones((4, 2)), verbose=0)
        moved = {k for k, v in layer.variable_map.items() if (v.numpy() != before[k]).any()}
        assert moved == {"head/b", "steps"}

    def test_pattern_that_matches_nothing(self, counter):
        with pytest.raises(hub.TrainingError) as caught:
            hub.ModuleLayer(counter, trainable_patterns=["head", "steps"])
        assert "'steps' matches no trainable variable" in str(caught.value)
        assert "'block/w', 'head/b'" in str(caught.value)

    def test_no_pattern_at_all_trains_nothing(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True, trainable_patterns=[])
        layer.build()
        assert self.names(layer) == []

    def test_pattern_that_is_no_regex(self, counter):
        with pytest.raises(hub.TrainingError, match="a regular expression"):
            hub.ModuleLayer(counter, trainable_patterns="(")

    def test_unfrozen_between_compiles(self, counter):
        layer = hub.ModuleLayer(counter)
        model = keras.Sequential([layer])
        x, y = np.ones((4, 2)), np.ones((4, 2))
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        assert layer.variable_map["block/w"].numpy().tolist() == [1, 2]
        layer.trainable = True
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        assert (layer.variable_map["block/w"].numpy() != [1, 2]).all()
        assert steps(layer) == 1

    def test_gradient_of_a_frozen_layer_with_respect_to_its_input(self, counter):
        x = tf.constant([[1.0, 1.0]])
        layer = hub.ModuleLayer(counter)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        assert tape.gradient(y, x).numpy().tolist() == [[1, 2]]


class TestLosses:
    def test_there_once_built_and_always_current(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True)
        assert layer.losses == []
        layer.build()
        np.testing.assert_allclose([float(loss) for loss in layer.losses], [0.5, 2.0])
        layer.variable_map["block/w"].assign([0.0, 10.0])
        np.testing.assert_allclose([float(loss) for loss in layer.losses], [10.0, 2.0])
        layer([[1.0, 1.0]], training=True)
        assert len(layer.losses) == 2

    def test_not_when_frozen(self, counter):
        layer = hub.ModuleLayer(counter)
        layer.build()
        assert layer.losses == []
        layer.trainable = True
        assert len(layer.losses) == 2

    def test_in_the_models_loss(self, counter):
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(counter, trainable=True)])
        assert len(model.losses) == 2
        model.compile(keras.optimizers.SGD(0.0), "mse")
        x = np.zeros((4, 2), np.float32)
        loss = model.evaluate(x, np.full((4, 2), 0.5), verbose=0)
        np.testing.assert_allclose(loss, 2.5, rtol=1e-6)

    def input_dependent_fn(self):
        a, b = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [None])
        w = v1.get_variable("w", initializer=2.0)
        for loss in (w * tf.reduce_sum(a), w * 10, w * tf.reduce_sum(b)):
            v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, loss)
        hub.add_signature(inputs=a, outputs=a * w)

    def test_that_depend_on_an_input(self, caplog):
        spec = hub.create_module_spec(self.input_dependent_fn)
        layer = hub.ModuleLayer(spec, trainable=True)
        logging.getLogger("absl").propagate = True
        with caplog.at_level(logging.WARNING):
            layer.build()
            assert [float(loss) for loss in layer.losses] == [20.0]
            layer([1.0, 2.0], training=True)
        assert sorted(float(loss) for loss in layer.losses) == [6.0, 20.0]
        (message,) = [r.getMessage() for r in caplog.records if "Left out" in r.getMessage()]
        assert "1 regularization loss" in message
        assert "signature 'default'" in message

    def test_gradient_of_a_loss_that_depends_on_an_input(self):
        layer = hub.ModuleLayer(hub.create_module_spec(self.input_dependent_fn), trainable=True)
        with tf.GradientTape() as tape:
            layer([1.0, 2.0], training=True)
            total = tf.add_n(layer.losses)
        assert tape.gradient(total, layer.trainable_weights)[0].numpy() == 13.0


class TestInsideFunctions:
    """A call in a tf.function takes its place among the other effects there."""

    def test_update_runs_though_nobody_reads_the_output(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True)
        layer.build()

        @tf.function
        def train():
            for _ in tf.range(3):
                layer(tf.zeros([1, 2]), training=True)

        train()
        assert steps(layer) == 3

    def test_a_later_assignment_is_not_read(self, counter):
        layer = hub.ModuleLayer(counter)
        bias = layer.variable_map["head/b"]

        @tf.function
        def call_then_assign():
            y = layer(tf.zeros([1, 2]))
            bias.assign([1000.0, 1000.0])
            return y

        assert call_then_assign().numpy().tolist() == [[0.5, 0.5]]
        assert layer(tf.zeros([1, 2])).numpy().tolist() == [[1000, 1000]]

    def test_two_training_calls_update_in_turn(self, counter):
        layer = hub.ModuleLayer(counter, trainable=True)
        one, other = keras.Input((2,)), keras.Input((2,))
        model = keras.Model([one, other], layer(one) + layer(other))
        model.compile("sgd", "mse")
        x = np.zeros((2, 2), np.float32)
        model.fit([x, x], x, verbose=0)
        assert steps(layer) == 2

    def test_first_call_in_a_dataset(self, counter):
        layer = hub.ModuleLayer(counter)
        rows = tf.data.Dataset.from_tensors(tf.ones([1, 2])).map(layer)
        assert [row.numpy().tolist() for row in rows] == [[[1.5, 2.5]]]
        assert layer([[1.0, 1.0]]).numpy().tolist() == [[1.5, 2.5]]

    def test_first_call_in_a_subclassed_model(self, counter):
        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.layer = hub.ModuleLayer(counter, trainable=True)

            def call(self, x, training=False):
                return self.layer(x, training=training)

        model = Model()
        assert model(np.ones((1, 2), np.float32)).numpy().tolist() == [[1.5, 2.5]]
        model = Model()
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 2)), batch_size=2, verbose=0)
        assert steps(model.layer) == 2

    def test_chained_in_a_layer_that_keras_builds_by_running(self, counter):
        class Chain(keras.layers.Layer):
            def __init__(self):
                super().__init__()
                self.inner = [hub.ModuleLayer(counter) for _ in range(2)]

            def call(self, x):
                for layer in self.inner:
                    x = layer(x)
                return x

        x = keras.Input((2,))
        model = keras.Model(x, Chain()(x))
        assert model.predict(np.ones((1, 2)), verbose=0).tolist() == [[2, 5.5]]

    def test_time_distributed(self, counter):
        x = keras.Input((3, 2))
        y = keras.layers.TimeDistributed(hub.ModuleLayer(counter))(x)
        assert y.shape == (None, 3, 2)
        found = keras.Model(x, y).predict(np.ones((1, 3, 2)), verbose=0)
        assert found.tolist() == [[[1.5, 2.5]] * 3]

    def test_first_calls_from_many_threads(self, counter):
        from concurrent.futures import ThreadPoolExecutor

        layer = hub.ModuleLayer(counter)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: layer(tf.ones([1, 2])).numpy().tolist(), range(16)))
        assert found == [[[1.5, 2.5]]] * 16
        assert len(layer.weights) == 3


class TestTables:
    """Of a large vocabulary the layer is not to wait for its weights first."""

    @pytest.fixture
    def path(self, publish, tmp_path):
        """Words by id, or the weight alone."""
        vocabulary = tmp_path / "words.txt"
        vocabulary.write_text("zero\none\n")

        def module_fn():
            ids = v1.placeholder(tf.int64, [None])
            words = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(vocabulary),
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                ),
                "",
            )
            hub.add_signature("words", ids, words.lookup(ids))
            weight = v1.get_variable("weight", initializer=[2.0])
            hub.add_signature(inputs=ids, outputs=tf.cast(ids, tf.float32) * weight)

        return publish(module_fn)

    def test_are_filled_while_the_weights_are_read(self, path, monkeypatch):
        """Each waits for the other to have begun."""
        begun = {"table": threading.Event(), "weights": threading.Event()}

        def meeting(run, own, other):
            def wait(*args):
                begun[own].set()
                assert begun[other].wait(60), f"no {other} beside the {own}"
                return run(*args)

            return wait

        fill, read = lookup_tables.Table.fill_from, tf1_module.first_values
        monkeypatch.setattr(lookup_tables.Table, "fill_from", meeting(fill, "table", "weights"))
        monkeypatch.setattr(tf1_module, "first_values", meeting(read, "weights", "table"))
        layer = hub.ModuleLayer(path, signature="words")
        assert layer([1, 0, 2]).numpy().tolist() == [b"one", b"zero", b""]
        assert len(layer.weights) == 1
        assert all(event.is_set() for event in begun.values())

    def test_are_not_filled_for_a_signature_without(self, path, monkeypatch):
        monkeypatch.setattr(lookup_tables.Table, "fill_from", None)
        layer = hub.ModuleLayer(path)
        assert layer([1, 0]).numpy().tolist() == [2.0, 0.0]

    def test_are_not_filled_to_read_the_weights(self, path, monkeypatch):
        monkeypatch.setattr(lookup_tables.Table, "fill_from", None)
        layer = hub.ModuleLayer(path, signature="words")
        assert layer.variable_map["weight"].numpy().tolist() == [2.0]

    def test_fail_in_the_call_that_needs_them(self, path):
        (vocabulary,) = (Path(path) / "assets").iterdir()
        layer = hub.ModuleLayer(path, signature="words")
        vocabulary.rename(vocabulary.with_suffix(".gone"))
        with pytest.raises(hub.FormatError, match="Cannot make and fill table"):
            layer([1])
        vocabulary.with_suffix(".gone").rename(vocabulary)
        assert layer([1]).numpy().tolist() == [b"one"]


class TestTensorFlowsOwnTools:
    def test_checkpoint_of_the_model(self, counter, tmp_path):
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(counter, trainable=True)])
        weight = model.layers[0].variable_map["block/w"]
        weight.assign([7.0, 8.0])
        path = tf.train.Checkpoint(model=model).save(str(tmp_path / "ckpt"))
        weight.assign([0.0, 0.0])
        tf.train.Checkpoint(model=model).restore(path).assert_consumed()
        assert weight.numpy().tolist() == [7, 8]
        assert len(model.weights) == 3


class TestVariableMap:
    def test_builds_the_layer(self, counter):
        layer = hub.ModuleLayer(counter)
        assert list(layer.variable_map) == ["block/w", "head/b", "steps"]
        assert layer.built

    def test_slices_of_a_partitioned_variable(self):
        layer = hub.ModuleLayer(Golden("text_embed").path)
        parts = layer.variable_map["emb/embeddings"]
        assert [tuple(part.shape) for part in parts] == [(19, 16), (19, 16), (18, 16)]
        assert [part.name for part in parts] == [f"emb.embeddings.part_{i}" for i in range(3)]

    def test_one_set_of_variables_for_all_variants(self):
        layer = hub.ModuleLayer(Golden("mlp_bn").path, trainable=True)
        x = np.ones((2, 51), np.float32)
        layer(x)
        layer(x, training=True)
        assert len(layer.weights) == 8


class TestBackend:
    def test_other_backend(self, monkeypatch, scale_spec):
        monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
        with pytest.raises(hub.BackendError) as caught:
            hub.ModuleLayer(scale_spec)
        assert "Expected: Keras on TensorFlow, JAX or PyTorch" in str(caught.value)
        assert "Found: Keras on openvino" in str(caught.value)
        assert "KERAS_BACKEND to tensorflow, jax or torch" in str(caught.value)


class TestUnknownOps:
    def spec(self, op):
        spec = hub.create_module_spec(scale_fn)
        graph_def = spec.files.saved_model.meta_graphs[0].graph_def
        (node,) = [n for n in graph_def.node if n.op == "Mul"]
        node.op = op
        return hub.ModuleSpec(spec.files)

    def test_named_when_the_layer_is_made(self):
        with pytest.raises(hub.UnknownOpError) as caught:
            hub.ModuleLayer(self.spec("FrobnicateV7"))
        assert "Found: 'FrobnicateV7'" in str(caught.value)
        assert f"TensorFlow {tf.__version__}" in str(caught.value)

    def test_package_that_brings_it(self):
        with pytest.raises(hub.UnknownOpError, match="import tensorflow_text"):
            hub.ModuleLayer(self.spec("SentencepieceTokenizeOp"))

    def test_unneeded_ones_do_not_matter(self):
        def module_fn():
            scale_fn()
            x = v1.placeholder(tf.float32, [None], name="other")
            hub.add_signature("other", inputs=x, outputs=tf.exp(x))

        spec = hub.create_module_spec(module_fn)
        for node in spec.files.saved_model.meta_graphs[0].graph_def.node:
            if node.op == "Exp":
                node.op = "FrobnicateV7"
        assert hub.ModuleLayer(spec)([[1.0, 1.0]]).numpy().tolist() == [[3, 3]]
        with pytest.raises(hub.UnknownOpError):
            hub.ModuleLayer(spec, signature="other")


def test_unfed_placeholder():
    def module_fn():
        x, y = v1.placeholder(tf.float32, [], name="x"), v1.placeholder(tf.float32, [], name="y")
        hub.add_signature(inputs=x, outputs={"default": x, "sum": x + y})

    spec = hub.create_module_spec(module_fn)
    assert hub.ModuleLayer(spec)(1.0).numpy() == 1.0
    with pytest.raises(hub.SignatureError) as caught:
        hub.ModuleLayer(spec, output_key="sum")
    assert "Cannot compute output 'sum'" in str(caught.value)
    assert "unfed placeholders 'y'" in str(caught.value)


def test_only_what_the_output_needs_is_run():
    """The other output would fail."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        fails = tf.raw_ops.CheckNumerics(tensor=x / 0.0, message="was run")
        hub.add_signature(inputs=x, outputs={"default": x, "fails": fails})

    spec = hub.create_module_spec(module_fn)
    assert hub.ModuleLayer(spec)([1.0]).numpy().tolist() == [1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="was run"):
        hub.ModuleLayer(spec, output_key="fails")([1.0])


def test_a_dtype_that_keras_lacks():
    """Variables are weights of Keras here; load() has TensorFlow's."""
    module = Handmade()
    module.after(module.variable("v", v1.GraphKeys.GLOBAL_VARIABLES))
    for node in module.graph_def.node:
        if node.name.startswith("v"):
            node.attr["dtype"].type = tf.qint8.as_datatype_enum
    with pytest.raises(hub.FormatError) as caught:
        hub.ModuleLayer(module.spec())
    text = str(caught.value)
    assert "Cannot make a weight of variable 'v' of a TF1 Hub module." in text
    assert "Expected: a dtype that Keras has" in text
    assert "Found: qint8" in text
    assert "use hub.load(handle), whose variables are TensorFlow's" in text
