"""TF2 SavedModels that come to an op by one way or another; see test_routes.py.

One is saved by TensorFlow, and changed by hand.
"""

import os
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub
from helpers.handmade import FLOAT, STRING, Body, Func, attribute

_INDEX = tf.lookup.TextFileIndex


class Model(tf.Module):
    def __init__(self, words):
        super().__init__()
        self.scale = tf.Variable(2.0)
        self.words = tf.saved_model.Asset(words)
        initializer = tf.lookup.TextFileInitializer(
            words, tf.string, _INDEX.WHOLE_LINE, tf.int64, _INDEX.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def __call__(self, x):
        @tf.custom_gradient
        def own(value):
            return tf.identity(value), lambda upstream: 5.0 * upstream

        return own(x * self.scale)

    @tf.function(input_signature=[])
    def text(self):
        return tf.io.read_file(self.words.asset_path)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def look_up(self, words):
        return self.table.lookup(words)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    (folder / "words.txt").write_text("cat\ndog\n")
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    model = Model(str(folder / "words.txt"))
    signatures = {"serving_default": model.__call__, "look_up": model.look_up}
    tf.saved_model.save(model, str(folder / "model"), signatures, options)
    return folder / "model"


@pytest.fixture
def changed(saved, tmp_path):
    """A copy of the SavedModel after a change to its graph."""

    def changed(change):
        shutil.copytree(saved, tmp_path / "model")
        file = tmp_path / "model" / "saved_model.pb"
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        change(saved_model.meta_graphs[0])
        file.write_bytes(saved_model.SerializeToString())
        return str(tmp_path / "model")

    return changed


def function(meta_graph, part):
    """The function with this in its name."""
    library = meta_graph.graph_def.library
    return next(f for f in library.function if part in f.signature.name)


def children(meta_graph, name):
    nodes = meta_graph.object_graph_def.nodes
    return [nodes[c.node_id] for node in nodes for c in node.children if c.local_name == name]


def writes(function, target):
    """Lets a function write a file before it does anything else."""
    body = Body(function.node_def, inside=True)
    for node in function.node_def:
        node.input.append("^reach")
    path, text = body.const("target", str(target)), body.const("text", "x")
    body.add("WriteFile", "reach", path, text)
    function.signature.is_stateful = True


def added(meta_graph, name, target):
    """Adds a function of one float that writes a file."""
    made = meta_graph.graph_def.library.function.add()
    made.signature.name = name
    made.signature.input_arg.add(name="a0", type=FLOAT.as_datatype_enum)
    made.signature.output_arg.add(name="r", type=FLOAT.as_datatype_enum)
    Body(made.node_def, inside=True).add("Identity", "given", "a0", T=FLOAT)
    made.ret["r"] = "given:output:0"
    writes(made, target)
    return made


def test_it_works(saved):
    model = hub.load(saved)
    assert model(3.0).numpy() == 6.0
    assert model.text().numpy() == b"cat\ndog\n"
    assert model.look_up(["dog"]).numpy().tolist() == [1]
    with tf.GradientTape() as tape:
        tape.watch(x := tf.constant(3.0))
        y = model(x)
    assert tape.gradient(y, x).numpy() == 10.0


@pytest.mark.parametrize(
    "part",
    [
        "call",
        "text",
        "look_up",
        "__creator",
        "__initializer",
        "__destroyer",
        "custom_gradient",
        "signature_wrapper",
    ],
)
@pytest.mark.parametrize("trainable", [False, True])
def test_functions_that_are_loaded(changed, tmp_path, part, trainable):
    """Those to call, of signatures, of gradients, and those that loading calls."""
    target = tmp_path / "written"

    def change(meta_graph):
        if part == "custom_gradient":
            library = meta_graph.graph_def.library
            (gradient,) = library.registered_gradients
            writes(function(meta_graph, gradient.gradient_func), target)
        else:
            writes(function(meta_graph, part), target)

    folder = changed(change)
    for use in (hub.load, lambda path: hub.ModuleLayer(path, trainable=trainable)):
        with pytest.raises(hub.UnsafeModuleError) as caught:
            use(folder)
        assert "reach in function " in str(caught.value)
        assert "(WriteFile: writes files)" in str(caught.value)
    with tf.Graph().as_default(), pytest.raises(hub.UnsafeModuleError, match="WriteFile"):
        hub.load(folder)
    assert not target.exists()
    assert hub.load(folder, trusted_ops={"WriteFile"}) is not None


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall"])
def test_functions_that_functions_call(changed, tmp_path, op):
    def change(meta_graph):
        added(meta_graph, "deep", tmp_path / "written")
        called = function(meta_graph, "call")
        body = Body(called.node_def, inside=True)
        argument = called.signature.input_arg[0].name
        body.add(op, "calls", argument, f=Func("deep"), Tin=[FLOAT], Tout=[FLOAT])
        called.node_def[0].input.append("^calls")

    with pytest.raises(hub.UnsafeModuleError, match=r"reach in function deep \(WriteFile"):
        hub.load(changed(change))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("kind", ["function", "bare_concrete_function"])
def test_functions_that_objects_have_alone(changed, tmp_path, kind):
    """Not in the list of those to call, though TensorFlow gives the object them."""

    def change(meta_graph):
        added(meta_graph, "alone", tmp_path / "written")
        (node,) = children(meta_graph, "look_up")[:1]
        if kind == "function":
            node.function.concrete_functions[:] = ["alone"]
        else:
            node.ClearField("function")
            node.bare_concrete_function.concrete_function_name = "alone"

    with pytest.raises(hub.UnsafeModuleError, match=r"reach in function alone \(WriteFile"):
        hub.load(changed(change))


def test_a_reader_of_own_files_that_an_object_has(changed):
    """It is called with the model's own path in sight, and could be with any."""

    def change(meta_graph):
        reads = meta_graph.graph_def.library.function.add()
        reads.signature.name = "reads"
        reads.signature.input_arg.add(name="path", type=STRING.as_datatype_enum)
        reads.signature.output_arg.add(name="r", type=STRING.as_datatype_enum)
        reads.signature.is_stateful = True
        Body(reads.node_def, inside=True).add("ReadFile", "read", "path")
        reads.ret["r"] = "read:contents:0"
        (call,) = (n for n in function(meta_graph, "text").node_def if n.op == "ReadFile")
        call.op = "StatefulPartitionedCall"
        call.attr.clear()
        for name, value in {"f": Func("reads"), "Tin": [STRING], "Tout": [STRING]}.items():
            call.attr[name].CopyFrom(attribute(value))
        text = function(meta_graph, "text")
        for node in text.node_def:
            node.input[:] = [
                i.replace(f"{call.name}:contents", f"{call.name}:output") for i in node.input
            ]
        return children(meta_graph, "look_up")[0]

    folder = changed(change)
    assert hub.load(folder).text().numpy() == b"cat\ndog\n"
    shutil.rmtree(folder)

    def reach(meta_graph):
        node = change(meta_graph)
        node.ClearField("function")
        node.bare_concrete_function.concrete_function_name = "reads"

    with pytest.raises(hub.UnsafeModuleError, match=r"read in function reads \(ReadFile"):
        hub.load(changed(reach))


@pytest.mark.parametrize("ways", ["nothing", "a gradient that nothing asks for"])
def test_functions_that_nothing_reaches(changed, tmp_path, monkeypatch, ways):
    """They are not loaded, not even to find out shapes."""

    def change(meta_graph):
        added(meta_graph, "unreached", tmp_path / "written")
        if ways != "nothing":
            library = meta_graph.graph_def.library
            library.registered_gradients.add(registered_op_type="Other", gradient_func="unreached")

    read = []
    load = tf.saved_model.load

    def watched(path, *args, **kwargs):
        read.append((sorted(os.listdir(path)), (path_of := os.path.join(path, "saved_model.pb"))))
        with open(path_of, "rb") as stream:
            read.append(saved_model_pb2.SavedModel.FromString(stream.read()))
        return load(path, *args, **kwargs)

    monkeypatch.setattr(tf.saved_model, "load", watched)
    folder = changed(change)
    assert hub.load(folder)(3.0).numpy() == 6.0
    (_, saved_model) = read
    (meta_graph,) = saved_model.meta_graphs
    names = {f.signature.name for f in meta_graph.graph_def.library.function}
    assert names
    assert "unreached" not in names
    assert not any("traced_save" in name for name in names)
    assert not (tmp_path / "written").exists()


def test_another_file_that_tensorflow_would_read_first(changed, tmp_path):
    """A chunked SavedModel beside it, which nobody looked at."""
    folder = changed(lambda meta_graph: None)
    with open(os.path.join(folder, "saved_model.cpb"), "wb") as stream:
        stream.write(b"not what was looked at")
    assert hub.load(folder)(3.0).numpy() == 6.0


def test_an_asset_that_is_a_link(changed, tmp_path):
    folder = changed(lambda meta_graph: None)
    (tmp_path / "secret").write_text("secret")
    asset = os.path.join(folder, "assets", "words.txt")
    os.remove(asset)
    os.symlink(tmp_path / "secret", asset)
    with pytest.raises(hub.FormatError) as caught:
        hub.load(folder)
    assert str(caught.value).splitlines()[0] == (
        "Refused a TF2 SavedModel: its asset 'words.txt' is a link that leads outside."
    )
    assert f"Found: {os.path.realpath(tmp_path / 'secret')}" in str(caught.value)
