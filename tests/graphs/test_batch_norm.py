"""Normalizations folded into convolutions: the same numbers and gradients, and where not."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.graphs import batch_norm
from hub_keras_bridge.graphs.graph import nodes_by_name
from hub_keras_bridge.plans.program import Program

v1 = tf.compat.v1
SIDE, CHANNELS = 6, 4
X = np.sin(np.arange(2 * SIDE * SIDE * 3, dtype=np.float32)).reshape(2, SIDE, SIDE, 3)


def weight(name, *shape, around=0.0):
    start = around + 0.3 * np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
    return v1.get_variable(name, initializer=start.astype(np.float32))


def full(x, size=3):
    return tf.nn.conv2d(x, weight("kernel", size, size, x.shape[-1], CHANNELS), 1, "SAME")


def depthwise(x):
    kernel = weight("kernel", 3, 3, x.shape[-1], 2)
    return tf.nn.depthwise_conv2d(x, kernel, [1, 2, 2, 1], "SAME")


def normalized(x, op=tf.raw_ops.FusedBatchNormV3, **attributes):
    channels = x.shape[-1]
    return op(
        x=x,
        scale=weight("gamma", channels, around=1.0),
        offset=weight("beta", channels),
        mean=weight("mean", channels),
        variance=weight("variance", channels, around=1.0),
        **{"is_training": False, "epsilon": 0.01, **attributes},
    )


def made(body, shape=(None, SIDE, SIDE, 3), **arguments):
    """A layer of a module whose function this is, from images to an output."""

    def module_fn():
        images = v1.placeholder(tf.float32, shape)
        hub.add_signature(inputs=images, outputs=body(images))

    return hub.ModuleLayer(hub.create_module_spec(module_fn), **arguments)


def ops_of(layer):
    """Types of the ops that a call runs."""
    variant = layer.spec.variant(())
    chosen = Program(variant).call("default", ["default"], training=False)
    return [node.op for node in chosen.graph_def.node]


def is_folded(layer):
    ops = ops_of(layer)
    folded = "BiasAdd" in ops
    assert folded != any(op.startswith("FusedBatchNorm") for op in ops)
    return folded


@pytest.fixture
def as_published(monkeypatch):
    """Makes layers whose graphs are not rewritten."""

    def make(*arguments, **options):
        with monkeypatch.context() as patched:
            patched.setattr(batch_norm, "fold", lambda *_: None)
            layer = made(*arguments, **options)
            layer(X)
        return layer

    return make


def two_in_a_row(x):
    with v1.variable_scope("one"):
        x = normalized(full(x)).y
    with v1.variable_scope("two"):
        return normalized(depthwise(x)).y


FOLDED = {
    "full": lambda x: tf.nn.relu6(normalized(full(x)).y),
    "depthwise": lambda x: normalized(depthwise(x)).y,
    "first version": lambda x: normalized(full(x), tf.raw_ops.FusedBatchNorm).y,
    "second version": lambda x: normalized(full(x), tf.raw_ops.FusedBatchNormV2).y,
    "default epsilon": lambda x: normalized(full(x), epsilon=1e-4).y,
    "kernel behind identities": lambda x: (
        normalized(tf.nn.conv2d(x, tf.identity(tf.identity(weight("k", 3, 3, 3, 2))), 1, "SAME")).y
    ),
    "two in a row": two_in_a_row,
}


@pytest.mark.parametrize("body", FOLDED.values(), ids=FOLDED)
class TestFolded:
    def test_numbers(self, body, as_published):
        layer, original = made(body), as_published(body)
        assert is_folded(layer)
        np.testing.assert_allclose(layer(X), original(X), rtol=1e-5, atol=1e-6)

    def test_gradients(self, body, as_published):
        """To the input and to all weights; none to moments, as the op has none."""
        found = []
        for layer in (made(body, trainable=True), as_published(body, trainable=True)):
            x = tf.constant(X)
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(layer(x) ** 2)
            weights = {name: v.value for name, v in layer.variable_map.items()}
            found.append(tape.gradient(loss, {"input": x, **weights}))
        ours, theirs = found
        assert {n for n, g in ours.items() if g is None} == {
            n for n, g in theirs.items() if g is None
        }
        assert theirs["input"] is not None
        for name, gradient in theirs.items():
            if gradient is not None:
                np.testing.assert_allclose(ours[name], gradient, rtol=1e-4, atol=1e-4)

    def test_assigned_weights_count(self, body, as_published):
        layers = made(body), as_published(body)
        for layer in layers:
            layer(X)
            for variable in layer.variable_map.values():
                variable.assign(variable * 1.5)
        ours, theirs = (layer(X) for layer in layers)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def read_twice(x):
    y = full(x)
    return normalized(y).y + y


def with_a_second_output(x):
    y = normalized(full(x))
    return y.y + y.batch_mean


NOT_FOLDED = {
    "moments of the batch": lambda x: normalized(full(x), is_training=True).y,
    "a convolution that is read twice": read_twice,
    "other outputs that are read": with_a_second_output,
    "half precision": lambda x: normalized(tf.cast(full(x), tf.float16)).y,
    "a kernel that is no variable": lambda x: (
        normalized(tf.nn.conv2d(x, 2.0 * weight("k", 3, 3, 3, 2), 1, "SAME")).y
    ),
    "no convolution": lambda x: normalized(tf.nn.relu(x)).y,
    "a kernel larger than an image": lambda x: normalized(full(x, size=5)).y,
}


@pytest.mark.parametrize("body", NOT_FOLDED.values(), ids=NOT_FOLDED)
def test_left_alone(body, as_published):
    layer = made(body)
    assert not is_folded(layer)
    np.testing.assert_array_equal(layer(X), as_published(body)(X))


def test_a_convolution_that_is_an_output():
    def module_fn():
        images = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3])
        y = full(images)
        hub.add_signature(inputs=images, outputs={"before": y, "default": normalized(y).y})

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), as_dict=True)
    before = tf.nn.conv2d(X, layer.variable_map["kernel"].value, 1, "SAME")
    np.testing.assert_allclose(layer(X)["before"], before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("channels", "folded"), [(5, True), (6, False)])
def test_images_of_unknown_size_count_as_seven_by_seven(channels, folded):
    # A kernel of 3x3 from so many channels: 45 or 54 numbers per channel, beside 49.
    layer = made(lambda x: normalized(full(x)).y, shape=(None, None, None, channels))
    assert is_folded(layer) is folded


def graph_of(text):
    return text_format.Parse(text, graph_pb2.GraphDef())


PUBLISHED = """
node { name: "x" op: "Placeholder" }
node { name: "handle" op: "Placeholder" }
node { name: "kernel" op: "ReadVariableOp" input: "handle" }
node { name: "c" op: "Placeholder" }
node { name: "conv" op: "Conv2D" input: "x" input: "kernel" %s }
node { name: "norm" op: "FusedBatchNormV3"
       input: "conv" input: "c" input: "c" input: "c" input: "c" input: "^c" %s
       attr { key: "T" value { type: DT_FLOAT } }
       attr { key: "is_training" value { b: false } } }
"""
NCHW = 'attr { key: "data_format" value { s: "NCHW" } }'
RECORDED = 'attr { key: "_output_shapes" value { list { %s } } }'
SHAPE = RECORDED % ("shape { dim { size: -1 } dim { size: 8 } dim { size: %d } dim { size: %d } }")


@pytest.mark.parametrize(
    ("of_both", "recorded", "folded"),
    [
        ("", SHAPE % (8, 8), True),
        ("", SHAPE % (8, 1), True),  # 64 positions, 8 channels
        (NCHW, SHAPE % (8, 8), True),
        (NCHW, SHAPE % (8, 1), False),  # 8 positions
        ("", RECORDED % "shape { unknown_rank: true }", True),
        ("", RECORDED % "", True),
    ],
)
def test_layouts_and_recorded_shapes(of_both, recorded, folded):
    graph_def = graph_of(PUBLISHED % (of_both + recorded, of_both))
    batch_norm.fold(graph_def, {"handle": (3, 3, 4, 8)}, ["norm:0"])
    node = nodes_by_name(graph_def)["norm"]
    assert (node.op == "BiasAdd") is folded
    if folded:
        assert node.attr["data_format"].s == (b"NCHW" if of_both else b"NHWC")
        assert list(node.input) == ["conv", "norm/folded/bias", "^c"]


def test_other_layouts_of_the_two():
    graph_def = graph_of(PUBLISHED % (NCHW, ""))
    batch_norm.fold(graph_def, {"handle": (1, 1, 4, 8)}, ["norm:0"])
    assert nodes_by_name(graph_def)["norm"].op == "FusedBatchNormV3"


def test_a_kernel_that_goes_in_circles():
    graph_def = graph_of(PUBLISHED % ("", ""))
    kernel = nodes_by_name(graph_def)["kernel"]
    kernel.op, kernel.input[:] = "Identity", ["kernel"]
    batch_norm.fold(graph_def, {"handle": (1, 1, 4, 8)}, ["norm:0"])
    assert nodes_by_name(graph_def)["norm"].op == "FusedBatchNormV3"


def test_xla_compiles_it():
    layer = made(FOLDED["full"])
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(compiled(X), layer(X), rtol=1e-5, atol=1e-6)


def test_in_a_session_nothing_is_rewritten():
    with tf.Graph().as_default() as graph, v1.Session() as session:
        output = hub.Module(made(FOLDED["full"]).spec)(tf.constant(X))
        session.run(v1.global_variables_initializer())
        found = session.run(output)
    assert any(op.type == "FusedBatchNormV3" for op in graph.get_operations())
    np.testing.assert_allclose(made(FOLDED["full"])(X), found, rtol=1e-5, atol=1e-6)
