"""Random ops that follow a seed: the same numbers for the same one, and of the right kind."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.plans import stateful_ops
from helpers.tf1_reference import v1, v1_control_flow
from hub_keras_bridge.graphs.seeds.rewrite import NoSeed, take_seed
from hub_keras_bridge.graphs.seeds.twins import TWINS, is_random
from hub_keras_bridge.plans.of_values import SEED, of_values
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.runtime import Runtime
from hub_keras_bridge.running.xla import lacking, ops_of


class Drawing:
    """What a graph without variables gives for a seed.

    Args:
        build: makes its output, or some by name, of an input of shape [n, 3].
        published: makes a module of it.
        outputs: which of them; all if not given.
    """

    def __init__(self, build, published=hub.create_module_spec, outputs=()):
        def module_fn():
            x = v1.placeholder(tf.float32, [None, 3])
            hub.add_signature(inputs=x, outputs=build(x))

        spec = published(module_fn)
        program = Program(spec.variant(()))
        (self._input,) = program.variant.input_specs
        self.outputs = list(outputs or spec.get_output_info_dict())
        chosen = program.call("default", self.outputs, training=True)
        self.plan = of_values(chosen, program.variant, seeded=True)
        runtime = Runtime({}, {}, Trust())
        self._run = runtime.function_of_values(program, chosen, seeded=True)

    def tensors(self, seed, x):
        found, new = self._run({self._input: x}, {SEED: tf.constant(seed, tf.int32)}.get)
        assert new == {}
        return found

    def __call__(self, seed, x=None):
        found = self.tensors(seed, tf.ones([4, 3]) if x is None else x)
        return [each.numpy() for each in found]


def published_under_tf1(module_fn):
    with v1_control_flow():
        return hub.create_module_spec(module_fn)


def in_all_places(x):
    """Random numbers at the top, in a loop in a branch, and in a function called twice."""

    @tf.function
    def noise(x):
        return tf.random.normal(tf.shape(x))

    def turn(i, rows):
        return i + 1, tf.concat([rows, tf.random.uniform([1, 3])], 0)

    def loop():
        shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
        return tf.while_loop(lambda i, _: i < 4, turn, [0, x[:0]], shapes)[1]

    return {
        "a": tf.nn.dropout(x, rate=0.5),
        "b": tf.nn.dropout(x, rate=0.5, seed=7),
        "c": tf.nn.dropout(x, rate=0.5, seed=7),
        "looped": tf.cond(x[0, 0] > 0, loop, lambda: x),
        "one": noise(x),
        "other": noise(x),
    }


@pytest.mark.parametrize("published", [hub.create_module_spec, published_under_tf1])
def test_each_op_call_and_turn_has_numbers_of_its_own(published):
    drawing = Drawing(in_all_places, published)
    assert stateful_ops(drawing.plan) == []
    assert lacking(ops_of(drawing.plan.graph_def)) == {}
    x = tf.ones([50, 3])
    first, again = drawing([1, 2], x), drawing([1, 2], x)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    for seed in ([1, 3], [2, 2]):
        assert all((one != other).any() for one, other in zip(first, drawing(seed, x), strict=True))
    found = dict(zip(drawing.outputs, first, strict=True))
    assert not np.array_equal(found["a"], found["b"])
    assert not np.array_equal(found["b"], found["c"])
    assert len(np.unique(found["looped"])) == found["looped"].size == 12
    assert np.abs(np.corrcoef(found["one"].ravel(), found["other"].ravel())[0, 1]) < 0.3
    # Nor has a later counter what an earlier turn had.
    later = dict(zip(drawing.outputs, drawing([1, 3], x), strict=True))["looped"]
    assert not np.isin(later, found["looped"]).any()


def test_compiled_with_its_gradient():
    drawing = Drawing(lambda x: tf.nn.dropout(x, rate=0.25) * x)

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            (y,) = drawing.tensors([3, 4], x)
        return y, tape.gradient(y, x)

    x = tf.fill([40, 3], 3.0)
    expected = step(x)
    for found, wanted in zip(tf.function(step, jit_compile=True)(x), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(expected[1], expected[0] * 2 / 3, rtol=1e-6)


def test_a_gradient_through_turns_sees_the_masks_that_were_drawn():
    def build(x):
        body = lambda i, y: (i + 1, tf.nn.dropout(y, rate=0.5))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 3, body, [0, x])[1]

    for published in hub.create_module_spec, published_under_tf1:
        drawing = Drawing(build, published)
        x = tf.fill([40, 3], 3.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            (y,) = drawing.tensors([5, 6], x)
        np.testing.assert_allclose(tape.gradient(y, x), y / 3.0, rtol=1e-6)
        assert set(np.unique(y)) == {0.0, 24.0}


def raw(op, **attributes):
    return getattr(tf.raw_ops, op)(seed=1, seed2=2, **attributes)


KINDS = {
    "RandomUniform": lambda x: raw("RandomUniform", shape=[2000], dtype="float32"),
    "RandomUniformInt": lambda x: raw("RandomUniformInt", shape=[2000], minval=-3, maxval=4),
    "RandomStandardNormal": lambda x: raw("RandomStandardNormal", shape=[2000], dtype="float64"),
    "TruncatedNormal": lambda x: raw("TruncatedNormal", shape=[2000], dtype="float32"),
    "Multinomial": lambda x: raw(
        "Multinomial", logits=np.log([[0.1, 0.9]]), num_samples=2000, output_dtype="int32"
    ),
    "RandomGamma": lambda x: raw("RandomGamma", shape=[2000], alpha=[1.0, 9.0]),
    "RandomPoissonV2": lambda x: raw(
        "RandomPoissonV2", shape=[2000], rate=[1.0, 9.0], dtype="int64"
    ),
    "RandomShuffle": lambda x: raw("RandomShuffle", value=np.arange(4000).reshape(2000, 2)),
    "SampleDistortedBoundingBoxV2": lambda x: raw(
        "SampleDistortedBoundingBoxV2",
        image_size=[2000, 2000, 3],
        bounding_boxes=[[[0.1, 0.1, 0.9, 0.9]]],
        min_object_covered=0.1,
    )[2],
}


def test_all_kinds_are_here():
    assert KINDS.keys() == TWINS.keys()


@pytest.mark.parametrize("op", KINDS)
def test_as_the_op_with_a_state(op):
    """The same kind of numbers: dtype and shape, bounds, mean and spread."""
    drawing = Drawing(KINDS[op])
    (found,), (other,) = drawing([1, 2]), drawing([1, 3])
    with tf.Graph().as_default(), v1.Session() as session:
        expected = session.run(KINDS[op](None))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert (found != other).any()
    assert stateful_ops(drawing.plan) == []
    if op == "SampleDistortedBoundingBoxV2":
        assert 0 <= found.min() < found.max() <= 1
        return
    if op == "RandomShuffle":
        np.testing.assert_array_equal(np.sort(found, 0), np.arange(4000).reshape(2000, 2))
        assert (found[:, 0] + 1 == found[:, 1]).all()
        return
    axis = 0 if found.shape[-1] == 2 else None
    spread = expected.std(axis)
    np.testing.assert_allclose(found.mean(axis), expected.mean(axis), atol=0.12 * spread.max())
    np.testing.assert_allclose(found.std(axis), spread, rtol=0.12)
    if op in ("RandomUniform", "RandomUniformInt", "Multinomial", "TruncatedNormal"):
        np.testing.assert_allclose(found.min(), expected.min(), atol=0.05)
        np.testing.assert_allclose(found.max(), expected.max(), atol=0.05)


def test_a_gamma_has_its_gradient_and_a_shuffle_none():
    def gradient(build):
        drawing = Drawing(build)
        x = tf.fill([4, 3], 2.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            (y,) = drawing.tensors([1, 2], x)
        return tape.gradient(y, x)

    gamma = gradient(lambda x: tf.random.gamma([5], x))
    assert (gamma.numpy() > 0).all()
    assert gradient(lambda x: tf.random.shuffle(x)) is None


def test_a_graph_without_random_ops_takes_no_seed():
    plan = Drawing(lambda x: tf.function(lambda x: x + 1.0)(x)).plan
    assert SEED not in plan.values


def test_an_op_draws_the_same_in_each_plan():
    """A loss of what dropout left speaks of the outputs that were returned."""

    def build(x):
        kept = tf.nn.dropout(x, rate=0.5)
        looped = tf.while_loop(
            lambda i, _: i < 2, lambda i, y: (i + 1, y * tf.random.uniform([3])), [0, x]
        )[1]
        return {"kept": kept, "looped": looped, "loss": tf.reduce_sum(kept) + tf.reduce_sum(looped)}

    *parts, _ = Drawing(build)([1, 2])
    (loss,) = Drawing(build, outputs=["loss"])([1, 2])
    np.testing.assert_allclose(sum(part.sum() for part in parts), loss, rtol=1e-6)


def test_what_is_drawn_and_written_in_turns():
    """The variable gets what each turn of a loop, in a branch and a function, drew."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None, 3])
        total = v1.get_variable("total", [3], use_resource=True, trainable=False)

        @tf.function
        def draw(x):
            drawn = tf.cond(x[0, 0] > 0, lambda: tf.random.uniform([1, 3]), lambda: x[:1])
            total.assign_add(drawn[0])
            return drawn

        def turn(i, rows):
            return i + 1, tf.concat([rows, draw(x)], 0)

        shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
        hub.add_signature(
            inputs=x, outputs=tf.while_loop(lambda i, _: i < 4, turn, [0, x[:0]], shapes)[1]
        )

    program = Program(hub.create_module_spec(module_fn).variant(()))
    chosen = program.call("default", ["default"], training=True)
    variables = {"total": tf.Variable(tf.zeros([3]))}
    run = Runtime(variables, {}, Trust()).function_of_values(program, chosen, seeded=True)
    (name,) = program.variant.input_specs
    given = {"total": tf.constant([1.0, 2.0, 3.0]), SEED: tf.constant([1, 2])}
    (rows,), new = run({name: tf.ones([2, 3])}, given.get)
    assert len(np.unique(rows)) == 12
    np.testing.assert_allclose(new["total"], given["total"] + tf.reduce_sum(rows, 0), rtol=1e-6)
    assert not variables["total"].numpy().any()


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (
            lambda: tf.random.log_uniform_candidate_sampler([[1]], 1, 2, True, 9)[0],
            "(LogUniformCandidateSampler)",
        ),
        (
            lambda: tf.raw_ops.MapDefun(
                arguments=[tf.zeros([3])],
                captured_inputs=[],
                output_types=[tf.float32],
                output_shapes=[[]],
                f=tf.function(lambda x: x + tf.random.uniform([])).get_concrete_function(
                    tf.TensorSpec([])
                ),
            )[0],
            "(MapDefun) calls",
        ),
    ],
    ids=["sampler", "mapped"],
)
def test_what_follows_no_seed_is_refused_by_name(build, found):
    with tf.Graph().as_default() as graph:
        build()
    with pytest.raises(NoSeed) as caught:
        take_seed(graph.as_graph_def())
    assert found in str(caught.value)


def test_which_ops_are_random():
    with tf.Graph().as_default() as graph:
        tf.random.uniform([2])
        tf.nn.fractional_max_pool(tf.zeros([1, 4, 4, 1]), [1.0, 1.5, 1.5, 1.0])
        tf.zeros([2])
    random = [node.op for node in graph.as_graph_def().node if is_random(node)]
    assert random == ["RandomUniform", "FractionalMaxPool"]


def test_refused_in_words():
    def build(x):
        return tf.random.log_uniform_candidate_sampler(tf.constant([[1]], tf.int64), 1, 2, True, 9)[
            0
        ]

    with pytest.raises(hub.BackendError) as caught:
        Drawing(build)
    assert "in stateless form: it has random numbers that follow no seed" in str(caught.value)
    assert "'LogUniformCandidateSampler' (LogUniformCandidateSampler)" in str(caught.value)
