"""What is found in a module without running it."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.hostile_module import EVIL, EVIL_FILE, write_hostile_module
from helpers.places import DM21, ZOO, needs_dm21
from hub_keras_bridge.tools.inspect.inspection import inspect_module
from hub_keras_bridge.tools.inspect.summary import (
    AssetSummary,
    AttachmentSummary,
    OpSummary,
    ScopeSummary,
    SignatureSummary,
    TensorSummary,
)

v1 = tf.compat.v1


def inspect(name):
    return inspect_module(hub.load_module_spec(ZOO / name / "module"))


@pytest.mark.parametrize("name", sorted(folder.name for folder in ZOO.iterdir()))
def test_agrees_with_the_checkpoint_and_the_graphs_of_every_golden(name):
    module = inspect(name)
    path = ZOO / name / "module"
    shapes = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    expected = {key: tuple(s) for key, s in shapes.get_variable_to_shape_map().items()}
    assert {v.name: v.shape for v in module.variables} == expected
    assert module.parameters == sum(int(np.prod(shape)) for shape in expected.values())
    assert module.handle == str(path)
    spec = hub.load_module_spec(path)
    assert [set(v.tags) for v in module.variants] == sorted(spec.get_tags(), key=len)
    for variant in module.variants:
        graph_def = spec.variant(variant.tags).published.graph_def
        inside = sum(len(f.node_def) for f in graph_def.library.function)
        assert variant.nodes == len(graph_def.node) + inside
        assert sum(op.in_functions for op in variant.ops) == inside
        assert [s.name for s in variant.signatures] == spec.get_signature_names(variant.tags)
    for total in ("parameters", "trainable_parameters", "bytes"):
        assert getattr(module, total) == sum(getattr(scope, total) for scope in module.scopes)
    assert json.loads(json.dumps(dataclasses.asdict(module)))["parameters"] == module.parameters


def test_signatures():
    assert inspect("mlp_bn").variants[0].signatures[1] == SignatureSummary(
        "double",
        inputs=(TensorSummary("x", "dense", "float32", (None, 51)),),
        outputs=(TensorSummary("y", "dense", "float32", (None, 10)),),
    )
    sparse = inspect("sparse_ragged").variants[0].signatures
    assert [t.kind for s in sparse for t in s.inputs] == ["sparse", "ragged"]
    assert inspect("hyperparams").variants[0].signatures[0].inputs == ()


def test_variables():
    variables = {v.name: v for v in inspect("mlp_bn").variables}
    kernel, mean = variables["layer1/kernel"], variables["bn/moving_mean"]
    assert (kernel.dtype, kernel.shape, kernel.parameters) == ("float32", (51, 32), 1632)
    assert (kernel.bytes, kernel.trainable, kernel.slices) == (6528, True, ())
    assert kernel.variants == ((), ("train",))
    assert not mean.trainable


def test_partitioned_variable_is_one():
    (variable,) = inspect("text_embed").variables
    assert (variable.name, variable.shape, variable.parameters) == ("emb/embeddings", (56, 16), 896)
    assert variable.slices == ((19, 16), (19, 16), (18, 16))


def test_bytes_follow_the_dtype():
    assert [(v.dtype, v.bytes) for v in inspect("hyperparams").variables] == [("float64", 48)]


def test_assets():
    assert inspect("text_embed").assets == (
        AssetSummary("zoo_vocab_1.txt", 204, ("asset_path:0",)),
    )


def test_attachments():
    size = AttachmentSummary("image_module_info", 6, "default image size: height 32, width 32")
    assert [variant.attachments for variant in inspect("convnet").variants] == [(size,), (size,)]


def test_losses_and_updates():
    plain, train = inspect("mlp_bn").variants
    assert plain.losses == train.losses
    assert plain.losses == ("layer1/kernel/Regularizer/mul:0", "layer2/kernel/Regularizer/mul:0")
    assert plain.update_ops == ()
    assert len(train.update_ops) == 2


def test_ops_in_functions_are_counted():
    ops = {op.op: op for op in inspect("rnn").variants[0].ops}
    assert ops["Const"] == OpSummary("Const", 64, 8)
    assert ops["Tanh"] == OpSummary("Tanh", 2, 2)


def test_scopes_of_a_small_module():
    assert inspect("mlp_bn").scopes == (
        ScopeSummary("layer1", 2, 1664, 1664, 6656),
        ScopeSummary("layer2", 2, 330, 330, 1320),
        ScopeSummary("bn", 4, 128, 64, 512),
    )


def spec_with(shapes, trainable=True):
    """A module of nothing but variables."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        for name, shape in shapes.items():
            v1.get_variable(name, shape, initializer=tf.zeros_initializer(), trainable=trainable)
        hub.add_signature(inputs=x, outputs=x)

    return hub.create_module_spec(module_fn)


def test_scopes_are_cut_where_there_are_few():
    shapes = {f"net/block_{i}/{part}/w": [2] for i in range(6) for part in ("a", "b", "c")}
    scopes = inspect_module(spec_with(shapes)).scopes
    assert [scope.name for scope in scopes] == [f"net/block_{i}" for i in range(6)]


def test_scopes_are_cut_deeper_where_one_has_nearly_all():
    shapes = {f"net/block_{i}/w": [10] for i in range(20)} | {"step": []}
    module = inspect_module(spec_with(shapes))
    assert len(module.scopes) == 21
    assert module.scopes[-1] == ScopeSummary("", 1, 1, 1, 4)
    assert module.variables[0].scope == "net/block_0"


def test_variables_without_a_scope():
    module = inspect_module(spec_with({"w": [3], "b": []}, trainable=False))
    assert module.scopes == (ScopeSummary("", 2, 4, 0, 16),)
    assert (module.parameters, module.trainable_parameters) == (4, 0)


def test_variable_of_one_variant_alone():
    def module_fn(more):
        x = v1.placeholder(tf.float32, None)
        w = v1.get_variable("w", [])
        if more:
            v1.get_variable("moving", [2], trainable=False)
        hub.add_signature(inputs=x, outputs=x * w)

    spec = hub.create_module_spec(module_fn, [((), {"more": False}), ({"train"}, {"more": True})])
    module = inspect_module(spec)
    assert {v.name: v.variants for v in module.variables} == {
        "w": ((), ("train",)),
        "moving": (("train",),),
    }
    assert module.variants[0].signatures[0].inputs[0].shape is None


def test_module_without_variables():
    module = inspect_module(spec_with({}))
    assert (module.parameters, module.bytes, module.variables, module.scopes) == (0, 0, (), ())


def test_damaged_image_size_is_told_as_not_decoded():
    def module_fn():
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x)
        hub.attach_message("image_module_info", hub.ImageModuleInfo())

    spec = hub.create_module_spec(module_fn)
    spec.variant(None).attachments["image_module_info"] = b"\xff\xff"
    (attached,) = inspect_module(spec).variants[0].attachments
    assert attached == AttachmentSummary("image_module_info", 2, None)


def test_module_that_is_only_described(tmp_path):
    """A layer made from a config has signatures and variables, and no graphs."""
    layer = hub.ModuleLayer.from_config(hub.ModuleLayer(ZOO / "mlp_bn" / "module").get_config())
    module = inspect_module(layer.spec)
    assert module.parameters == 2122
    assert module.variants[0].signatures == inspect("mlp_bn").variants[0].signatures


def test_hostile_names_are_facts_like_others(tmp_path):
    write_hostile_module(tmp_path / "m")
    module = inspect_module(hub.load_module_spec(tmp_path / "m"))
    variant = module.variants[1]
    assert EVIL in variant.tags
    assert EVIL in [s.name for s in variant.signatures]
    assert f"{EVIL}/kernel" in [v.name for v in module.variables]
    assert EVIL in [op.op for op in variant.ops]
    assert EVIL in [a.key for a in variant.attachments]
    assert f"{EVIL}:0" in variant.losses
    assert [asset.name for asset in module.assets] == [EVIL_FILE]


@needs_dm21
def test_real_module():
    module = inspect_module(hub.load_module_spec(DM21))
    assert (module.parameters, module.bytes, len(module.variables)) == (401_667, 1_606_668, 28)
    (variant,) = module.variants
    assert len(variant.losses) == 12
    assert variant.attachments == (AttachmentSummary("signature_info", 809, None),)
    assert [scope.name.rpartition("/")[2] for scope in module.scopes][:2] == [
        "ResidualBlock",
        "ResidualBlock_1",
    ]
