"""What a ModuleSpec tells, and what it writes."""

import copy
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub
from helpers.golden import Golden, scale_fn
from helpers.places import ZOO


def spec_of(name):
    return hub.load_module_spec(ZOO / name / "module")


def test_tags_and_signatures():
    assert set(spec_of("variants").get_tags()) == {
        frozenset(),
        frozenset({"train"}),
        frozenset({"train", "bs4"}),
    }
    assert spec_of("mlp_bn").get_signature_names() == ["default", "double"]
    assert spec_of("mlp_bn").get_signature_names(tags=["train"]) == ["default", "double"]


def test_info_dicts():
    spec = spec_of("mlp_bn")
    (info,) = spec.get_input_info_dict("double").values()
    assert info.dtype == tf.float32
    assert info.get_shape().as_list() == [None, 51]
    assert not info.is_sparse
    assert set(spec.get_output_info_dict()) == {"default", "hidden_activations"}
    sparse = spec_of("sparse_ragged")
    assert sparse.get_input_info_dict()["default"].is_sparse
    ragged = sparse.get_input_info_dict("ragged")["ids"].type_spec
    assert ragged == tf.RaggedTensorSpec([None, None], tf.int64, 1, tf.int64)


def test_static_batch_size_of_a_variant():
    info = spec_of("variants").get_input_info_dict(tags={"train", "bs4"})["default"]
    assert info.get_shape().as_list() == [4, 5]


def test_unknown_tags():
    with pytest.raises(KeyError) as caught:
        spec_of("mlp_bn").get_signature_names(tags={"serve"})
    assert "no variant with tags {'serve'}" in str(caught.value)
    assert "one of {}, {'train'}" in str(caught.value)
    assert "mlp_bn" in str(caught.value)


def test_unknown_signature():
    with pytest.raises(ValueError, match="one of 'default', 'double'"):
        spec_of("mlp_bn").get_input_info_dict("triple")


class TestAttachedMessage:
    def spec(self):
        def module_fn(number):
            x = tf.compat.v1.placeholder(tf.float32, [])
            hub.add_signature(inputs=x, outputs=x)
            hub.attach_message("number", wrappers_pb2.Int64Value(value=-1))
            hub.attach_message("number", wrappers_pb2.Int64Value(value=number))

        return hub.create_module_spec(module_fn, [((), {"number": 7}), ({"train"}, {"number": 8})])

    def test_per_variant_and_last_wins(self):
        spec = self.spec()
        assert spec.get_attached_message("number", wrappers_pb2.Int64Value).value == 7
        found = spec.get_attached_message("number", wrappers_pb2.Int64Value, tags={"train"})
        assert found.value == 8

    def test_absent(self):
        assert self.spec().get_attached_message("other", wrappers_pb2.Int64Value) is None
        with pytest.raises(KeyError, match="the key of an attached message: 'number'"):
            self.spec().get_attached_message("other", wrappers_pb2.Int64Value, required=True)

    def test_survives_export(self, tmp_path):
        self.spec().export(tmp_path / "m")
        spec = hub.load_module_spec(tmp_path / "m")
        assert spec.get_attached_message("number", wrappers_pb2.Int64Value).value == 7

    def test_of_the_original_library(self):
        # ImageModuleInfo's field 1 is a message with height = 1, width = 2.
        spec = spec_of("convnet")
        assert spec.variant(None).attachments == {"image_module_info": b"\n\x04\x08 \x10 "}


class TestExport:
    def checkpoint(self, path, step=None, /, **values):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            variables = {
                name: tf.compat.v1.get_variable(name.replace("/", "_"), initializer=value)
                for name, value in values.items()
            }
            session.run(tf.compat.v1.global_variables_initializer())
            return tf.compat.v1.train.Saver(variables).save(session, str(path / "ckpt"), step)

    def test_from_a_checkpoint(self, scale_spec, tmp_path):
        prefix = self.checkpoint(tmp_path, scale=np.float32([5, 7]))
        scale_spec.export(tmp_path / "m", checkpoint_path=prefix)
        assert hub.ModuleLayer(tmp_path / "m")([[1, 1]]).numpy().tolist() == [[5, 7]]

    @pytest.mark.parametrize("form", [str, os.fsencode, pathlib.Path])
    def test_from_a_folder_of_checkpoints(self, scale_spec, tmp_path, form):
        for step, value in (1, [1, 1]), (2, [5, 7]):
            self.checkpoint(tmp_path, step, scale=np.float32(value))
        scale_spec.export(tmp_path / "m", checkpoint_path=form(str(tmp_path)))
        assert hub.ModuleLayer(tmp_path / "m")([[1, 1]]).numpy().tolist() == [[5, 7]]
        scale_spec.export(tmp_path / "n", checkpoint_path=form(str(tmp_path / "ckpt-1")))
        assert hub.ModuleLayer(tmp_path / "n")([[1, 1]]).numpy().tolist() == [[1, 1]]

    def test_from_a_folder_without_a_latest_checkpoint(self, scale_spec, tmp_path):
        self.checkpoint(tmp_path, scale=np.float32([5, 7]))
        (tmp_path / "checkpoint").unlink()
        with pytest.raises(hub.CheckpointError, match="has no latest checkpoint") as caught:
            scale_spec.export(tmp_path / "m", tmp_path)
        assert "ckpt.index" in caught.value.found

    def test_name_transform(self, scale_spec, tmp_path):
        prefix = self.checkpoint(tmp_path, **{"model/scale": np.float32([5, 7])})
        scale_spec.export(tmp_path / "m", prefix, name_transform_fn=lambda name: f"model/{name}")
        assert hub.ModuleLayer(tmp_path / "m")([[1, 1]]).numpy().tolist() == [[5, 7]]

    def test_variable_missing_from_the_checkpoint(self, scale_spec, tmp_path):
        prefix = self.checkpoint(tmp_path, other=np.float32([5, 7]))
        with pytest.raises(hub.CheckpointError) as caught:
            scale_spec.export(tmp_path / "m", prefix)
        assert "Cannot restore variable 'scale'" in str(caught.value)
        assert "Found: entries 'other'" in str(caught.value)
        assert "name_transform_fn" in str(caught.value)
        assert [path.name for path in tmp_path.iterdir() if "ckpt" not in path.name] == [
            "checkpoint"
        ]

    def test_variable_that_no_saver_saves(self, tmp_path):
        """Outside GLOBAL_VARIABLES, though trainable as TensorFlow has it by default."""

        def module_fn():
            scale_fn()
            local = tf.compat.v1.GraphKeys.LOCAL_VARIABLES
            tf.compat.v1.get_variable("seen", [1], collections=[local])

        spec = hub.create_module_spec(module_fn, drop_collections=["local_variables"])
        assert {f.name: (f.is_global, f.trainable) for f in spec.variables} == {
            "scale": (True, True),
            "seen": (False, True),
        }
        spec.export(tmp_path / "m", self.checkpoint(tmp_path, scale=np.float32([5, 7])))
        assert [
            name for name, _ in tf.train.list_variables(tmp_path / "m/variables/variables")
        ] == ["scale"]
        assert hub.ModuleLayer(tmp_path / "m")([[1, 1]]).numpy().tolist() == [[5, 7]]

    def test_without_any_checkpoint(self, scale_spec, tmp_path):
        with pytest.raises(hub.CheckpointError, match="its variables have no values yet"):
            scale_spec.export(tmp_path / "m")

    def test_of_a_loaded_module_copies_it(self, tmp_path):
        golden = Golden("text_embed")
        hub.load_module_spec(golden.path).export(tmp_path / "m")
        found = hub.ModuleLayer(tmp_path / "m")(golden.inputs(0))
        np.testing.assert_array_equal(found, golden.outputs(0)["default"])


def test_tags_that_are_none(scale_spec):
    with pytest.raises(hub.TagsError, match="a set of strings") as caught:
        scale_spec.get_signature_names(3)
    assert "Found: int: 3" in str(caught.value)


def test_signature_name_that_is_none(scale_spec):
    with pytest.raises(hub.SignatureError, match="no signature 3"):
        scale_spec.get_input_info_dict(3)


def test_two_variants_with_the_same_tags(scale_spec):
    files = copy.copy(scale_spec.files)
    files.saved_model.meta_graphs.append(files.saved_model.meta_graphs[0])
    with pytest.raises(hub.FormatError, match=r"Found: \{\}, \{\}"):
        hub.ModuleSpec(files)


def test_a_spec_is_its_own_copy(scale_spec):
    assert copy.deepcopy(scale_spec) is scale_spec
    assert hub.load_module_spec(scale_spec) is scale_spec
    assert repr(scale_spec) == "<hub_keras_bridge.ModuleSpec '(not published yet)' with tags {}>"


def test_reading_builds_no_graph(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a graph was built")

    monkeypatch.setattr(tf, "Graph", refuse)
    monkeypatch.setattr(tf.graph_util, "import_graph_def", refuse)
    spec = spec_of("convnet")
    for tags in spec.get_tags():
        for signature in spec.get_signature_names(tags):
            spec.get_output_info_dict(signature, tags)
    assert len(spec.variables) == 15


def test_variables_of_all_variants():
    facts = {f.node: f for f in spec_of("text_embed").variables}
    assert {f.name for f in facts.values()} == {"emb/embeddings"}
    part = facts["emb/embeddings/part_1"]
    assert (part.shape, part.full_shape, part.offset) == ((19, 16), (56, 16), (19, 0))
    assert part.slice_spec == "56 16 19,19:0,16"


def test_scale_fn_is_trainable(scale_spec):
    (facts,) = scale_spec.variables
    assert (facts.name, facts.trainable, facts.full_shape) == ("scale", True, None)
    assert scale_fn.__doc__
