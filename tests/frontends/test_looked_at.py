"""What TensorFlow gets to see of a TF2 SavedModel: what was looked at, and nothing beside it."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub

v1 = tf.compat.v1
WORDS = ["", "a", "b", "c"]


class Words(tf.Module):
    """A SavedModel with a table, a variable and a file."""

    def __init__(self, file):
        super().__init__()
        initializer = tf.lookup.TextFileInitializer(
            file,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)
        self.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, words):
        return self.scale * tf.cast(self.table.lookup(words), tf.float32)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    (folder / "vocab.txt").write_text("\n".join(WORDS[1:]))
    tf.saved_model.save(Words(str(folder / "vocab.txt")), str(folder / "model"))
    return folder / "model"


@pytest.fixture
def path(published, tmp_path):
    return pathlib.Path(shutil.copytree(published, tmp_path / "model"))


def values(model):
    return np.asarray(model(tf.constant(["c", "a", "z"]))).tolist()


def edit(path, change):
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(saved_model.meta_graphs[0])
    file.write_bytes(saved_model.SerializeToString())


def test_numbers_are_those_of_tensorflow(path):
    expected = values(tf.saved_model.load(str(path)))
    assert expected == [4.0, 0.0, -2.0]
    assert values(hub.load(path)) == expected
    assert values(hub.ModuleLayer(path)) == expected


def test_files_stay_where_they_are_for_who_saves_again(path, tmp_path):
    module = hub.load(path)
    tf.saved_model.save(module, str(tmp_path / "again"))
    shutil.rmtree(path)
    assert (tmp_path / "again/assets/vocab.txt").read_text() == "a\nb\nc"
    assert values(tf.saved_model.load(str(tmp_path / "again"))) == [4.0, 0.0, -2.0]


def test_nothing_is_left_behind(path, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.mkdir(tmp_path / "temporary")
    assert values(hub.load(path)) == [4.0, 0.0, -2.0]
    assert os.listdir(tmp_path / "temporary") == []


def test_in_a_tf1_graph(path):
    with tf.Graph().as_default(), v1.Session() as session:
        found = hub.load(path).signatures["serving_default"](tf.constant(["b"]))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        assert session.run(next(iter(found.values()))).tolist() == [2.0]


def test_on_a_remote_file_system(path):
    remote = "ram://looked_at/model"
    for inside, _, names in os.walk(path):
        for name in names:
            source = os.path.join(inside, name)
            target = f"{remote}/{os.path.relpath(source, path)}"
            tf.io.gfile.makedirs(os.path.dirname(target))
            tf.io.gfile.copy(source, target, overwrite=True)
    try:
        assert values(hub.load(remote)) == [4.0, 0.0, -2.0]
    finally:
        tf.io.gfile.rmtree(remote)


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt"])
def test_files_that_tensorflow_might_read_instead(path, name):
    (path / name).write_bytes(b"no message")
    assert values(hub.load(path)) == [4.0, 0.0, -2.0]


def test_functions_that_nothing_runs_are_not_loaded(path, monkeypatch):
    loaded = []
    load = tf.saved_model.load

    def spy(folder, *args, **kwargs):
        file = pathlib.Path(folder, "saved_model.pb")
        loaded.append(saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[0])
        return load(folder, *args, **kwargs)

    monkeypatch.setattr(tf.saved_model, "load", spy)
    hub.load(path)
    assert [f for f in ops_of(loaded[0]) if f in ("SaveV2", "RestoreV2")] == []
    hub.load(path, safe_mode=False)
    assert {"SaveV2", "RestoreV2"} <= ops_of(loaded[1])


def ops_of(meta_graph):
    return {node.op for f in meta_graph.graph_def.library.function for node in f.node_def}


def test_an_asset_that_is_a_link(path, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (path / "assets/vocab.txt").unlink()
    (path / "assets/vocab.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(
        hub.FormatError, match=r"'vocab\.txt' is a link that leads outside"
    ) as caught:
        hub.load(path)
    assert str(tmp_path / "secret") in caught.value.found


def test_an_asset_that_is_missing(path):
    (path / "assets/vocab.txt").unlink()
    with pytest.raises(hub.FormatError, match=r"its asset 'vocab\.txt' is missing"):
        hub.ModuleLayer(path)


def name_what_is_not_there(meta_graph):
    meta_graph.object_graph_def.nodes[0].children.add(node_id=9_999, local_name="gone")


def root_without_attributes(meta_graph):
    meta_graph.object_graph_def.nodes[0].constant.operation = "Const"


def constant_of_another_op(meta_graph):
    kinds = {node.WhichOneof("kind"): node for node in meta_graph.object_graph_def.nodes}
    kinds["constant"].constant.operation = "NoOp"


def variable_of_handles(meta_graph):
    for node in meta_graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "variable":
            node.variable.dtype = tf.variant.as_datatype_enum


def forget_what_is_captured(meta_graph):
    for called in meta_graph.object_graph_def.concrete_functions.values():
        if len(called.bound_inputs) > 2:
            del called.bound_inputs[1:]


def bind_what_is_not_there(meta_graph):
    for called in meta_graph.object_graph_def.concrete_functions.values():
        called.bound_inputs.append(9_999)


def function_with_an_object_for_a_method(meta_graph):
    nodes = meta_graph.object_graph_def.nodes
    function = next(node for node in nodes if node.WhichOneof("kind") == "function")
    function.children.add(node_id=0, local_name="_initialize")


def capture_one_more(meta_graph):
    objects = meta_graph.object_graph_def
    (variable,) = (n for n, o in enumerate(objects.nodes) if o.WhichOneof("kind") == "variable")
    for called in objects.concrete_functions.values():
        called.bound_inputs.append(variable)


DAMAGE = [
    (name_what_is_not_there, "its objects are damaged", "names object 9999 of"),
    (bind_what_is_not_there, "its objects are damaged", "captures "),
    (root_without_attributes, "its objects are damaged", "a constant as the object that has all"),
    (constant_of_another_op, "its objects are damaged", "a constant whose value is that of none"),
    (variable_of_handles, "its objects are damaged", "a variable that holds no values"),
    (
        function_with_an_object_for_a_method,
        "its objects are damaged",
        "a function with objects called '_initialize'",
    ),
    (capture_one_more, "its objects are damaged", "captures "),
    (forget_what_is_captured, "its objects are damaged", "captures 1 objects"),
]


@pytest.mark.parametrize(("change", "problem", "found"), DAMAGE)
@pytest.mark.parametrize("load", [hub.load, hub.ModuleLayer])
def test_damage_is_told_in_words(path, change, problem, found, load):
    edit(path, change)
    with pytest.raises(hub.FormatError) as caught:
        load(path)
    assert problem in caught.value.problem
    assert found in caught.value.found
    assert str(path) in str(caught.value)


def test_a_variable_that_no_object_has(path):
    """A function reads it, and does not keep it."""

    def change(meta_graph):
        (root, *_) = meta_graph.object_graph_def.nodes
        child = next(child for child in root.children if child.local_name == "scale")
        child.node_id = next(c.node_id for c in root.children if c.local_name == "table")

    edit(path, change)
    for load in (hub.load, hub.ModuleLayer):
        with pytest.raises(hub.FormatError, match="its functions do not fit what they use"):
            load(path)


def test_functions_that_never_end(path):
    def change(meta_graph):
        for function in meta_graph.graph_def.library.function:
            if "call" in function.signature.name:
                call = function.node_def.add(name="again", op="StatefulPartitionedCall")
                call.attr["f"].func.name = function.signature.name
                call.attr["Tin"].list.SetInParent()
                call.attr["Tout"].list.SetInParent()

    edit(path, change)
    with pytest.raises(hub.FormatError, match="comes to call itself"):
        hub.load(path)
