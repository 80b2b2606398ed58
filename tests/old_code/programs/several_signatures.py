"""Several applications of one module, each of another signature, trained together."""

import tensorflow as tf

from old_code import several_signatures as modules
from old_code.modules import new_session, spec, started
from old_code.registry import program

v1 = tf.compat.v1


def _trained(session, loss, updates_of="module_apply"):
    """The losses of some steps, and all variables after them."""
    loss += v1.losses.get_regularization_loss()
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS, updates_of)):
        step = v1.train.GradientDescentOptimizer(modules.RATE).minimize(loss)
    started(session)
    losses = []
    for _ in range(modules.STEPS):
        losses.append(session.run(loss))
        session.run(step)
    return [losses, {v.op.name: session.run(v) for v in v1.global_variables()}]


@program
def questions_and_answers_trained_together(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.questions_and_answers), trainable=True)
        question = {"input": modules.QUESTIONS}
        asked = module(question, signature="question_encoder", as_dict=True)["outputs"]
        response = {"input": modules.RESPONSES, "context": modules.CONTEXTS}
        answered = module(response, signature="response_encoder", as_dict=True)["outputs"]
        return _trained(session, tf.reduce_mean((1 - tf.reduce_sum(asked * answered, 1)) ** 2))


@program
def an_encoder_and_its_decoder_trained_together(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.autoencoder), trainable=True)
        decoded = module(module(modules.X, signature="encode"), signature="decode")
        return _trained(session, tf.reduce_mean((modules.X - decoded) ** 2))


@program
def signatures_of_which_one_updates_trained_together(hub, folder):
    variants = [(set(), {}), ({"train"}, {"training": True})]
    with new_session() as session:
        made = spec(hub, modules.normalized_in_one, tags_and_args=variants)
        module = hub.Module(made, trainable=True, tags={"train"})
        together = module(modules.X, signature="normalized") + module(-modules.X, signature="raw")
        # Those of the other application need an input that it does not have.
        updates_of = "module_apply_normalized"
        return _trained(session, tf.reduce_mean((modules.Y - together) ** 2), updates_of)
