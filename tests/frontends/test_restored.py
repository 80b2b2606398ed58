"""SavedModels in load: TF2's own, Keras's, TF1's."""

import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.saved_models import Reusable, dense_model
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.frontends.tf2.objects import check_lists

v1 = tf.compat.v1


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "saved_model")


class TestReusable:
    @pytest.fixture
    def module(self, folder):
        Reusable().save(folder)
        return hub.load(folder)

    def test_lists(self, module):
        assert len(module.variables) == 2
        assert [v.numpy().tolist() for v in module.trainable_variables] == [[3.0, 5.0]]
        assert [float(loss()) for loss in module.regularization_losses] == [8.0]

    @pytest.mark.parametrize("flag", [bool, tf.constant], ids=["bool", "tensor"])
    def test_training(self, module, flag):
        mean = module.variables[1]
        assert_same(module([[1, 2]], training=flag(False)), np.array([[3.0, 10.0]], np.float32))
        assert_same(mean, np.zeros(2, np.float32))
        assert_same(module([[1, 2]], training=flag(True)), np.array([[103.0, 110.0]], np.float32))
        assert_same(mean, np.array([1.0, 2.0], np.float32))

    def test_gradients(self, module):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module([[1.0, 2.0]])) + module.regularization_losses[0]()
        (gradient,) = tape.gradient(loss, module.trainable_variables)
        assert_same(gradient, np.array([2.0, 3.0], np.float32))

    def test_saves_again(self, module, folder, tmp_path):
        module.trainable_variables[0].assign([1.0, 2.0])
        tf.saved_model.save(module, str(tmp_path / "again"))
        shutil.rmtree(folder)
        again = hub.load(tmp_path / "again")
        assert_same(again([[1.0, 1.0]], training=True), np.array([[101.0, 102.0]], np.float32))
        assert [len(again.variables), len(again.trainable_variables)] == [2, 1]
        assert [float(loss()) for loss in again.regularization_losses] == [3.0]

    def test_wrong_inputs(self, module):
        expected = (
            r"(?s)Cannot feed input 'inputs'.*Expected: float32 \[\?, 2\].*Found: shape \[1, 3\]"
        )
        with pytest.raises(hub.InputError, match=expected):
            module([[1.0, 2.0, 3.0]])


def test_keras_2_model(folder):
    model = dense_model(tf_keras)
    model.save(folder)
    module = hub.load(folder)
    x = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    assert_same(module(x), model(x).numpy())
    assert_same(module(x, training=True), model(x, training=True).numpy())
    assert len(module.trainable_variables) == len(model.trainable_weights) == 4
    assert len(module.variables) == 6
    (loss,) = module.regularization_losses
    assert float(loss()) == pytest.approx(float(model.losses[0]))


def test_keras_3_export(folder, tmp_path):
    """It has no __call__, but signatures and variables."""
    model = dense_model(keras)
    model.export(folder)
    module = hub.load(folder)
    x = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    assert_same(module(x), model(x).numpy())
    assert_same(module(x.tolist()), model(x).numpy())
    assert len(module.trainable_variables) == len(model.trainable_weights) == 4
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(x, training=True) ** 2)
    assert all(g is not None for g in tape.gradient(loss, module.trainable_variables))
    tf.saved_model.save(module, str(tmp_path / "again"))
    again = tf.saved_model.load(str(tmp_path / "again"))
    assert_same(again(tf.constant(x), training=False), model(x).numpy())
    assert list(again.signatures) == ["serving_default"]


class TestSignatures:
    """A SavedModel with functions beside its call, and variables in no list."""

    @pytest.fixture
    def saved(self, folder):
        module = tf.Module()
        module.scale = tf.Variable(2.0)
        module.count = tf.Variable(1.0, trainable=False)
        x, y = tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.int64, "y")

        @tf.function(input_signature=[x])
        def one(x):
            return {"out": x * module.scale}

        @tf.function(input_signature=[x, y])
        def two(x, y):
            return {"a": x + module.count, "b": y}

        tf.saved_model.save(module, folder, {"one": one, "two": two})
        return folder

    def test_variables_are_found(self, saved):
        module = hub.load(saved, signature="one")
        assert sorted(float(v) for v in module.variables) == [1.0, 2.0]
        assert [float(v) for v in module.trainable_variables] == [2.0]

    def test_one_output_is_bare(self, saved):
        assert_same(hub.load(saved, signature="one")([1, 2]), np.array([2.0, 4.0], np.float32))

    def test_several_are_by_name(self, saved):
        found = hub.load(saved, signature="two")({"x": [1, 2], "y": [3, 4]})
        assert sorted(found) == ["a", "b"]
        assert_same(found["a"], np.array([2.0, 3.0], np.float32))
        assert_same(found["b"], np.array([3, 4]))

    def test_wrong_names(self, saved):
        module = hub.load(saved, signature="two")
        with pytest.raises(hub.InputError, match=r"(?s)keys 'x', 'y'.*Found: 'x', 'z'"):
            module({"x": [1.0], "z": [2]})
        with pytest.raises(hub.InputError, match=r"(?s)keys 'x', 'y'.*Found: list"):
            module([1.0])

    def test_which_to_call_is_not_clear(self, saved):
        module = hub.load(saved)
        assert module.runs is None
        assert sorted(module.signatures) == ["one", "two"]
        with pytest.raises(hub.SignatureError, match=r"nothing to call(?s:.*)one of 'one', 'two'"):
            module([1.0])
        with pytest.raises(hub.SignatureError, match=r"nothing to call(?s:.*)one of 'one', 'two'"):
            hub.ModuleLayer(saved)

    def test_no_such_signature(self, saved):
        with pytest.raises(hub.SignatureError, match=r"(?s)no signature 'three'.*'one', 'two'"):
            hub.load(saved, signature="three")

    def test_tags(self, saved):
        assert hub.load(saved, {"serve"}, signature="one").serve is not None
        with pytest.raises(hub.TagsError, match=r"(?s)Expected: \{'serve'\}.*Found: \{'train'\}"):
            hub.load(saved, {"train"}, signature="one")
        with pytest.raises(hub.TagsError, match="no variant for training"):
            hub.load(saved, training_tags={"train"}, signature="one")


def test_nothing_to_call(folder):
    module = tf.Module()
    module.v = tf.Variable(2.0)
    module.double = tf.function(
        lambda x: x * module.v, input_signature=[tf.TensorSpec([], tf.float32)]
    )
    module.both = tf.function(
        lambda x, y: x + y, input_signature=[tf.TensorSpec([], tf.float32)] * 2
    )
    tf.saved_model.save(module, folder, signatures={})
    loaded = hub.load(folder)
    assert float(loaded.double(3.0)) == 6.0
    assert float(loaded.both(3.0, 4.0)) == 7.0
    assert float(loaded.v) == 2.0
    expected = "a traced __call__ of one input, or a signature"
    with pytest.raises(hub.SignatureError, match=expected):
        loaded(1.0)
    with pytest.raises(AttributeError, match="'other'"):
        loaded.other  # noqa: B018
    with pytest.raises(hub.SignatureError, match=expected):
        hub.ModuleLayer(folder)


def test_tf1_saved_model(folder):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        v = v1.get_variable("v", initializer=2.0)
        session.run(v.initializer)
        v1.saved_model.simple_save(session, folder, {"x": x}, {"y": x * v, "z": x})
    module = hub.load(folder)
    assert [v.name for v in module.variables] == ["v:0"]
    assert_same(module([1.0, 2.0])["y"], np.array([2.0, 4.0], np.float32))


def test_neither(tmp_path):
    with pytest.raises(hub.FormatError, match=r"tfhub_module\.pb is missing"):
        hub.load(tmp_path)


class TestSafety:
    def saved_table(self, folder, vocabulary):
        vocabulary.write_text("cat\ndog\n")

        class Lookup(tf.Module):
            def __init__(self):
                super().__init__()
                initializer = tf.lookup.TextFileInitializer(
                    str(vocabulary),
                    *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
                    *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
                )
                self.table = tf.lookup.StaticHashTable(initializer, -1)

            @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
            def __call__(self, words):
                return self.table.lookup(words)

        tf.saved_model.save(Lookup(), folder)

    def edit(self, folder, old, new):
        """Changes the protos of a SavedModel as text."""
        file = f"{folder}/saved_model.pb"
        with open(file, "rb") as stream:
            text = text_format.MessageToString(saved_model_pb2.SavedModel.FromString(stream.read()))
        assert old in text
        with open(file, "wb") as stream:
            edited = text_format.Parse(text.replace(old, new), saved_model_pb2.SavedModel())
            stream.write(edited.SerializeToString())

    def test_own_vocabulary_is_allowed(self, folder, tmp_path):
        self.saved_table(folder, tmp_path / "words.txt")
        (tmp_path / "words.txt").unlink()
        module = hub.load(folder)
        assert module(["dog", "cow"]).numpy().tolist() == [1, -1]
        tf.saved_model.save(module, str(tmp_path / "again"))
        shutil.rmtree(folder)
        assert hub.load(tmp_path / "again")(["dog"]).numpy().tolist() == [1]

    def test_vocabulary_from_elsewhere(self, folder, tmp_path):
        self.saved_table(folder, tmp_path / "words.txt")
        self.edit(folder, 'filename: "words.txt"', 'filename: "../../words.txt"')
        with pytest.raises(hub.FormatError, match="leads outside its folder"):
            hub.load(folder, safe_mode=False)

    def test_file_that_the_caller_names(self, folder):
        class Reader(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
            def __call__(self, path):
                return tf.io.read_file(path)

        tf.saved_model.save(Reader(), folder)
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.load(folder)
        assert b"ReadFile" in hub.load(folder, safe_mode=False)(f"{folder}/saved_model.pb").numpy()

    def test_file_that_the_model_names(self, folder):
        module = tf.Module()
        module.path = tf.constant("/etc/hostname")
        module.f = tf.function(lambda: tf.io.read_file(module.path), input_signature=[])
        tf.saved_model.save(module, folder, {"f": module.f})
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.load(folder)

    def test_python(self, folder):
        module = tf.Module()
        spec = tf.TensorSpec([], tf.float32)
        module.f = tf.function(
            lambda x: tf.numpy_function(lambda x: x, [x], tf.float32), input_signature=[spec]
        )
        tf.saved_model.save(module, folder)
        with pytest.raises(hub.UnsafeModuleError, match="PyFunc"):
            hub.load(folder)

    def test_state_of_others_by_name(self, folder):
        """A variable that another model may have made under this name."""
        module = tf.Module()

        @tf.function(input_signature=[])
        def peek():
            handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="other")
            return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)

        module.peek = peek
        tf.saved_model.save(module, folder, {"peek": peek})
        with pytest.raises(hub.UnsafeModuleError, match="VarHandleOp"):
            hub.load(folder)

    def test_damaged(self, folder):
        tf.saved_model.save(tf.Module(), folder)
        with open(f"{folder}/saved_model.pb", "wb") as stream:
            stream.write(b"hello")
        with pytest.raises(hub.FormatError, match=r"saved_model\.pb is damaged"):
            hub.load(folder)


def test_value_that_is_damaged(tmp_path):
    """Zeros in the middle of a data file, as a power cut may leave."""
    model = tf.Module()
    model.weight = tf.Variable(tf.ones([500, 4]))
    model.other = tf.Variable(tf.ones([4]))
    model.call = tf.function(
        lambda x: x @ tf.transpose(model.weight), input_signature=[tf.TensorSpec([None, 4])]
    )
    tf.saved_model.save(model, tmp_path / "m", signatures={"serving_default": model.call})
    data = tmp_path / "m" / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[4000:4064] = bytes(64)
    data.write_bytes(content)
    for use in (hub.load, lambda path: hub.ModuleLayer(path)(tf.ones([1, 4]))):
        with pytest.raises(hub.CheckpointError) as caught:
            use(str(tmp_path / "m"))
        message = str(caught.value)
        assert "Cannot restore the variables of a SavedModel." in message
        assert f"In: module '{tmp_path / 'm'}'" in message
        assert "the value of 'weight/.ATTRIBUTES/VARIABLE_VALUE' is damaged" in message
        assert "Checksum does not match" in message
        assert "fetch the module again" in message


def test_signatures_take_inputs_by_name():
    """A damaged SavedModel may have another function of its own under a signature's name."""
    given = tf.TensorSpec([None], tf.float32)
    function = tf.function(lambda x: x, input_signature=[given]).get_concrete_function()
    model = types.SimpleNamespace(
        signatures={"serve": function},
        variables=[],
        trainable_variables=[],
        regularization_losses=[],
    )
    with pytest.raises(hub.FormatError, match="its signatures are something else"):
        check_lists(model, Subject("saved_model"))
