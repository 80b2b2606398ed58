"""Modules in and around loops, conditions, functions and datasets."""

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, spec, started
from old_code.registry import program

v1 = tf.compat.v1


@program
def applied_in_a_condition_of_old(hub, folder):
    with new_session() as session, modules.control_flow_v1():
        module = hub.Module(published(hub, modules.dense, folder / "m"), trainable=True)
        x = v1.placeholder(tf.bool, [])
        y = v1.cond(x, lambda: module([[1.0, 2.0]]), lambda: tf.zeros([1, 1]))
        gradient = tf.gradients(y, module.variable_map["layer_1/bias"])
        started(session)
        return [session.run([y, gradient], {x: value}) for value in (True, False)]


@program
def applied_in_a_loop_of_old(hub, folder):
    with new_session() as session, modules.control_flow_v1():
        module = hub.Module(published(hub, modules.referencing, folder / "m"))
        y = v1.while_loop(
            lambda x: tf.reduce_all(x < 30.0), lambda x: [module(x)], [tf.constant([1.0])]
        )
        return started(session).run(y)


@program
def a_module_made_in_a_condition(hub, folder):
    with new_session() as session, modules.control_flow_v1():
        spec_ = spec(hub, modules.half_plus_two)
        y = v1.cond(tf.constant(True), lambda: hub.Module(spec_)([1.0]), lambda: tf.zeros([1]))
        return session.run(y)


@program
def a_dataset_with_a_module_of_its_own(hub, folder):
    """A module without state can be made where the dataset's function is traced."""
    path = published(hub, modules.half_plus_two, folder / "m")
    with new_session() as session:
        data = (
            tf.data.Dataset.from_tensor_slices([1.0, 2.0, 3.0])
            .batch(2)
            .map(lambda x: hub.Module(path)(x))
        )
        return session.run(v1.data.make_one_shot_iterator(data).get_next())


@program
def tables_in_a_condition_of_old(hub, folder):
    """In a condition of then, the module's tables and variables stay outside."""
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session, modules.control_flow_v1():
        module = hub.Module(path)
        y = v1.cond(tf.constant(True), lambda: module(["cat"]), lambda: tf.zeros([1, 2]))
        return started(session).run(y)


@program
def mapped_over_in_old_control_flow(hub, folder):
    with new_session() as session, modules.control_flow_v1():
        module = hub.Module(published(hub, modules.looping, folder / "m"))
        y = v1.map_fn(module, tf.constant([0.5, 2.0]))
        scanned = v1.scan(lambda a, x: module(a) * x, tf.constant([1.0, 0.5]), 1.0)
        gradient = tf.gradients(y, module.variables)
        return started(session).run([y, scanned, gradient])


@program
def wrapped_without_variables(hub, folder):
    module_spec = spec(hub, modules.half_plus_two)
    f = v1.wrap_function(lambda x: hub.Module(module_spec)(x), [tf.TensorSpec([None], tf.float32)])
    return f(tf.constant([1.0]))


def _wrapped(build, *signature):
    """The function, its variables and tables started."""
    f = v1.wrap_function(build, list(signature))
    with f.graph.as_default():
        start = tf.group(v1.global_variables_initializer(), v1.tables_initializer())
    f.prune([], start)()
    return f


@program
def wrapped_with_variables(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    f = _wrapped(
        lambda x: hub.Module(path, trainable=True)(x), tf.TensorSpec([None, 2], tf.float32)
    )
    x = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        y = f(x)
    gradients = tape.gradient(y, f.variables)
    return [y, gradients, [v.name for v in f.variables], [v.name for v in f.trainable_variables]]


@program
def wrapped_with_a_spec_applied_twice(hub, folder):
    module_spec = spec(hub, modules.dense)

    def build(x):
        module = hub.Module(module_spec, name="net")
        return module(x), module(2.0 * x)

    f = _wrapped(build, tf.TensorSpec([None, 2], tf.float32))
    # Not the nodes, which in a function are others: see docs/migration.md.
    return [f(tf.constant([[1.0, 2.0]])), [v.name for v in f.variables]]


@program
def wrapped_with_tables(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    f = _wrapped(lambda x: hub.Module(path)(x), tf.TensorSpec([None], tf.string))
    return [f(tf.constant(["cat", "dog bird"])), [v.name for v in f.variables]]


@program
def wrapped_and_pruned(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    f = _wrapped(lambda: hub.Module(path)([[1.0, 2.0]]))
    return f.prune([], f.graph.get_tensor_by_name("module_apply_default/layer_0/hidden:0"))()


@program
def a_module_with_loops_of_old(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.elmo, folder / "m"), trainable=True)
        y = module(["the cat", "dogs"])
        tokens = module(
            {"tokens": [["the", "cat"], ["dogs", ""]], "sequence_len": [2, 1]},
            signature="tokens",
            as_dict=True,
        )
        gradients = tf.gradients(tf.reduce_sum(tokens["elmo"]), v1.trainable_variables())
        started(session)
        return [
            session.run([y, tokens, gradients]),
            [v.name for v in v1.trainable_variables()],
            modules.collections(session.graph),
        ]
