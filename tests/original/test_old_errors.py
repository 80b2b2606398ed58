"""What the original library raises, and what is raised here, in the same situations.

The type is what the original raised of its own accord, or let through from
TensorFlow. Where it failed by accident, as by ``'int' object has no attribute
'startswith'``, nobody catches that, and nothing is said here.
"""

import pickle
import shutil

import pytest
import tensorflow as tf
from google.protobuf import struct_pb2
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub
from helpers.http_server import Answer, Server

v1 = tf.compat.v1
NotFound = tf.errors.NotFoundError
AlreadyExists = tf.errors.AlreadyExistsError


def module_fn(is_training=False):
    x = v1.placeholder(tf.float32, [None, 2])
    other = v1.placeholder(tf.float32, [2])
    sp = v1.sparse_placeholder(tf.float32, [None, 3])
    scale = v1.get_variable("scale", initializer=[3.0, 5.0])
    hub.add_signature(inputs=x, outputs=x * scale)
    hub.add_signature("two", {"x": x, "other": other}, x + other)
    hub.add_signature("none", {}, {"info": tf.constant(is_training)})
    hub.add_signature("sparse", sp, tf.sparse.reduce_sum(sp))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    variants = [(set(), {}), ({"train"}, {"is_training": True})]
    folder = tmp_path_factory.mktemp("old_errors") / "module"
    hub.ModuleLayer(hub.create_module_spec(module_fn, variants)).export_module(folder)
    return folder


@pytest.fixture
def copy(path, tmp_path):
    return shutil.copytree(path, tmp_path / "copy")


def tf2_saved_model(folder):
    tf.saved_model.save(tf.Module(), folder)
    return folder


class TestModule:
    """hub.Module, in a TF1 graph."""

    @pytest.fixture(autouse=True)
    def graph(self, path):  # before the graph, in which no layer can be made
        with tf.Graph().as_default():
            yield

    @pytest.mark.parametrize(
        ("kind", "arguments"),
        [
            (ValueError, {"spec": 0}),
            (ValueError, {"spec": None}),
            (ValueError, {"spec": b"/embed"}),
            (OSError, {"spec": "/nowhere"}),
            (ValueError, {"tags": {"other"}}),
            (ValueError, {"tags": "train"}),
            (ValueError, {"name": "a b"}),
        ],
    )
    def test_made(self, path, kind, arguments):
        with pytest.raises(kind) as raised:
            hub.Module(**{"spec": str(path), **arguments})
        assert isinstance(raised.value, hub.HubError)

    @pytest.mark.parametrize(
        ("kind", "inputs", "signature"),
        [
            (ValueError, [[1.0, 1.0]], "other"),
            (TypeError, None, None),
            (TypeError, {"default": [[1.0, 1.0]], "other": 1.0}, None),
            (TypeError, {"x": [[1.0, 1.0]]}, "two"),
            (TypeError, [[1.0, 1.0]], "two"),
            (TypeError, [1.0], "none"),
            (TypeError, [[1.0, 1.0, 1.0]], None),
            (ValueError, [["a", "b"]], None),
            (ValueError, [[1.0, 1.0], [1.0]], None),
            (TypeError, [[1.0, 1.0, 1.0]], "none"),
        ],
    )
    def test_applied(self, path, kind, inputs, signature):
        module = hub.Module(str(path))
        with pytest.raises(kind) as raised:
            module(inputs, signature)
        assert isinstance(raised.value, hub.HubError)

    def test_a_sparse_value_for_a_dense_input(self, path):
        sparse = tf.sparse.from_dense([[1.0, 1.0]])
        with pytest.raises(TypeError):
            hub.Module(str(path))(sparse)

    def test_outputs_without_a_default_one(self, path):
        with pytest.raises(TypeError):
            hub.Module(str(path))(signature="none")

    def test_attachment(self, path):
        module = hub.Module(str(path))
        assert module.get_attached_message("absent", struct_pb2.Struct) is None
        with pytest.raises(KeyError):
            module.get_attached_message("absent", struct_pb2.Struct, required=True)

    def test_information(self, path):
        with pytest.raises(ValueError, match="has no signature 'other'"):
            hub.Module(str(path)).get_input_info_dict("other")
        with pytest.raises(KeyError, match="no variant with tags"):
            hub.load_module_spec(path).get_signature_names({"other"})

    def test_another_graph(self, path):
        module = hub.Module(str(path))
        with tf.Graph().as_default(), pytest.raises(RuntimeError):
            module([[1.0, 1.0]])

    def test_image_size(self, path):
        with pytest.raises(ValueError, match="'default'"):
            hub.get_expected_image_size(hub.Module(str(path)))


def test_module_outside_of_a_graph(path):
    with pytest.raises(RuntimeError):
        hub.Module(str(path))


class TestFolders:
    """hub.Module of what is no module, or a damaged one."""

    def make(self, folder):
        with tf.Graph().as_default():
            return hub.Module(str(folder))([[1.0, 1.0]])

    def test_another_folder(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(NotFound) as raised:
            self.make(tmp_path)
        assert isinstance(raised.value, hub.FormatError)

    def test_a_tf2_saved_model(self, tmp_path):
        with pytest.raises(NotFound) as raised:
            self.make(tf2_saved_model(tmp_path))
        assert isinstance(raised.value, hub.FormatError)
        assert "tfhub_module.pb is missing" in raised.value.message

    def test_damaged_graphs(self, copy):
        (copy / "saved_model.pb").write_bytes(b"hello")
        with pytest.raises(OSError, match=r"saved_model\.pb is damaged"):
            self.make(copy)
        with pytest.raises(OSError, match=r"saved_model\.pb is damaged"):
            hub.load(copy)

    def test_no_values(self, copy):
        shutil.rmtree(copy / "variables")
        with pytest.raises(NotFound) as raised:
            self.make(copy)
        assert isinstance(raised.value, hub.CheckpointError)

    @pytest.mark.parametrize("content", [b"\x08\x07", b"\x08\x03\x12\x03abc"])
    def test_another_format(self, copy, content):
        (copy / "tfhub_module.pb").write_bytes(content)
        with pytest.raises(ValueError, match="Cannot read a TF1 Hub module"):
            self.make(copy)

    def test_an_unregistered_op(self, copy):
        graphs = saved_model_pb2.SavedModel.FromString((copy / "saved_model.pb").read_bytes())
        for meta_graph in graphs.meta_graphs:
            for node in meta_graph.graph_def.node:
                node.op = "TokenizerFromLogits" if node.op == "Mul" else node.op
        (copy / "saved_model.pb").write_bytes(graphs.SerializeToString())
        with pytest.raises(NotFound, match="TokenizerFromLogits"):
            self.make(copy)
        with pytest.raises(NotFound, match="TokenizerFromLogits"):
            hub.load(copy)


class TestExport:
    """Into a folder that has the file of a module."""

    @pytest.fixture(params=["a module", "its file"])
    def target(self, request, path, tmp_path):
        if request.param == "a module":
            return path
        (tmp_path / "target").mkdir()
        shutil.copy(path / "tfhub_module.pb", tmp_path / "target")
        return tmp_path / "target"

    def refused(self, write):
        with pytest.raises(AlreadyExists, match="the target exists") as raised:
            write()
        assert isinstance(raised.value, hub.ExportError)
        assert isinstance(raised.value, OSError)
        assert raised.value.error_code == AlreadyExists(None, None, "").error_code
        assert str(raised.value) == raised.value.message
        assert type(pickle.loads(pickle.dumps(raised.value))) is type(raised.value)

    def test_module(self, path, target):
        with tf.Graph().as_default(), v1.Session() as session:
            module = hub.Module(path)
            session.run(v1.global_variables_initializer())
            self.refused(lambda: module.export(str(target), session))

    def test_spec(self, target):
        def without_variables():
            x = v1.placeholder(tf.float32, [None])
            hub.add_signature(inputs=x, outputs=2.0 * x)

        spec = hub.create_module_spec(without_variables)
        self.refused(lambda: spec.export(str(target)))

    def test_layer(self, path, target):
        """Which the original has not."""
        self.refused(lambda: hub.ModuleLayer(path).export_module(target))

    def test_text_embedding(self, target, tmp_path):
        (tmp_path / "words.txt").write_text("a 1 2\n")
        embedding = tmp_path / "words.txt"
        self.refused(lambda: hub.publish_text_embedding(embedding, target))


@pytest.mark.parametrize(("folder", "kind"), [("nowhere", hub.HandleError), ("", hub.FormatError)])
def test_saved_model_that_is_not_there(folder, kind, tmp_path):
    with pytest.raises(NotFound) as raised:
        hub.create_module_spec_from_saved_model(str(tmp_path / folder))
    assert isinstance(raised.value, kind)


class TestLoad:
    @pytest.mark.parametrize("handle", [0, None, b"/embed", ["/embed"]])
    def test_no_string(self, handle):
        with pytest.raises(ValueError, match="a path or URL"):
            hub.load(handle)

    def test_nowhere(self):
        for find in (hub.load, hub.resolve, hub.load_module_spec):
            with pytest.raises(OSError, match="no such directory"):
                find("/nowhere")

    def test_another_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"tfhub_module\.pb is missing"):
            hub.load(tmp_path)

    def test_tags(self, path, tmp_path):
        with pytest.raises(RuntimeError, match="no variant with tags"):
            hub.load(path, tags={"other"})
        with pytest.raises(ValueError, match="no graph with tags"):
            hub.load(tf2_saved_model(tmp_path), tags={"other"})

    def test_signature(self, path):
        with pytest.raises(KeyError):
            hub.load(path).signatures["other"]


class TestUncompressed:
    """TFHUB_MODEL_LOAD_FORMAT=UNCOMPRESSED, of a server that does not tell a place."""

    @pytest.mark.parametrize(
        "answer",
        [Answer(b"an archive"), Answer(status=404), Answer(b"http://elsewhere/m", status=303)],
    )
    def test_resolver(self, monkeypatch, tmp_path, answer):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
        with Server() as server, pytest.raises(ValueError) as raised:  # noqa: PT011
            hub.resolve(server.serve("/m", answer))
        assert isinstance(raised.value, hub.HubError)


class TestPublishing:
    @pytest.mark.parametrize(
        ("kind", "build"),
        [
            (ValueError, lambda: None),
            (ValueError, lambda: v1.add_to_collection("mine", tf.constant(1))),
            (TypeError, lambda: hub.add_signature(outputs={1: tf.constant(1.0)})),
            (TypeError, lambda: hub.attach_message(3, struct_pb2.Struct())),
        ],
    )
    def test_module_fn(self, kind, build):
        def publisher():
            if "mine" in build.__code__.co_consts:
                module_fn()
            build()

        with pytest.raises(kind):
            hub.create_module_spec(publisher)

    def test_variants_of_the_same_tags(self):
        with pytest.raises(ValueError, match="tags"):
            hub.create_module_spec(module_fn, [(set(), {}), (set(), {})])

    def test_arguments(self):
        with pytest.raises(TypeError):
            hub.create_module_spec(lambda _: module_fn())
