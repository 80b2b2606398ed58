"""Plans are made once: each question to a variant is answered by one plan, whoever asks."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.plans import program
from hub_keras_bridge.plans.program import Program, Programs

v1 = tf.compat.v1


@pytest.fixture
def made(monkeypatch):
    """Counts the plans by variant and question."""
    counted, plan = Counter(), program.plan

    def counting(variant, question):
        counted[variant, question] += 1
        return plan(variant, question)

    monkeypatch.setattr(program, "plan", counting)
    return counted


def once(made):
    return made.total() > 0 and made.total() == len(made)


def of_layer(golden, training=True):
    layer = hub.ModuleLayer(golden.path, trainable=True)
    x = golden.inputs(0)
    expected = golden.outputs(0)["default"]
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    layer(x, training=training)
    return layer


@pytest.mark.parametrize("name", ["mlp_bn", "text_embed", "variants"])
def test_of_a_trainable_layer(name, made):
    layer = of_layer(Golden(name))
    assert sum(map(float, layer.losses)) >= 0
    assert once(made)


def test_of_fitting_with_xla(made):
    golden = Golden("mlp_bn")
    x = golden.inputs(0)
    layer = hub.ModuleLayer(golden.path, trainable=True)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    at_construction = made.total()
    assert layer.supports_jit
    model.compile("sgd", "mse", jit_compile=True)
    targets = np.zeros(model.output_shape[1:], np.float32)
    history = model.fit(x, np.broadcast_to(targets, (len(x), *targets.shape)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.predict(x, verbose=0)
    assert once(made)
    # What a call without training runs, where that has no update ops, and shapes.
    assert made.total() - at_construction <= 2


def test_of_a_layer_that_is_frozen_and_thawed(made):
    golden = Golden("text_embed")
    layer = of_layer(golden)
    for trainable in (False, True, False):
        layer.trainable = trainable
        layer(golden.inputs(0), training=True)
    assert once(made)


def test_of_what_load_returns(made):
    golden = Golden("text_embed")
    module = hub.load(golden.path)
    x = tf.constant(golden.inputs(0))
    np.testing.assert_allclose(module(x), golden.outputs(0)["default"], atol=1e-5)
    for name in module.signatures:
        assert module.signatures[name].structured_outputs
    assert once(made)


def test_of_applications_in_functions(made):
    golden = Golden("text_embed")
    with tf.Graph().as_default():
        module = hub.Module(golden.path)
        x = v1.placeholder(tf.string, [None])
        twice = [
            v1.cond(tf.equal(x[0], "a"), lambda: module(x), lambda: module(x) + 1.0)
            for _ in range(2)
        ]
        assert [tensor.dtype for tensor in twice] == [tf.float32] * 2
    assert once(made)


def test_two_signatures_share_the_filling_of_a_table(made):
    def module_fn():
        words = v1.placeholder(tf.string, [None])
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([3, 5], tf.int64)), -1
        )
        hub.add_signature("ids", words, table.lookup(words))
        hub.add_signature("next", words, table.lookup(words) + 1)

    module = hub.load(hub.create_module_spec(module_fn), signature="ids")
    words = tf.constant(["b", "x"])
    assert module(words).numpy().tolist() == [5, -1]
    assert module.signatures["next"](words)["default"].numpy().tolist() == [6, 0]
    assert once(made)
    fillings = [question for _, question in made if question.updates and not question.fetches]
    assert len(fillings) == 1


class TestProgram:
    @pytest.fixture
    def spec(self):
        return hub.load_module_spec(Golden("mlp_bn").path)

    def test_equal_questions_have_one_plan(self, spec):
        one = Program(spec.variant(()))
        call = one.call("default", ["default"], training=False)
        assert one.call("default", ["default"], training=False) is call
        assert one.call("default", ["hidden_activations"], training=False) is not call

    def test_what_is_looked_at_is_not_kept(self, spec):
        one = Program(spec.variant(()))
        question = one.questions("default", ["default"])[0]
        assert one.look(question) is not one.look(question)
        kept = one.plan(question)
        assert one.look(question) is kept

    def test_one_program_per_variant(self, spec):
        programs = Programs(spec)
        assert programs.of(()) is programs.of(frozenset())
        assert programs.of(()) is not programs.of({"train"})
