"""Variables: under which names, from which values, in which checkpoints."""

import numpy as np
import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, spec, started
from old_code.registry import program, refused

v1 = tf.compat.v1


@program
def the_variable_map(hub, folder):
    with tf.Graph().as_default():
        with v1.variable_scope("outer"):
            module = hub.Module(spec(hub, modules.dense), trainable=True)
        return [
            {key: [v.name, v.op.type, v.shape, v.dtype] for key, v in module.variable_map.items()},
            [v.name for v in module.variables],
            [v.name for v in v1.trainable_variables()],
            [v.name for v in v1.trainable_variables("outer/module/layer_0")],
        ]


@program
def the_variable_map_of_partitions(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.partitioned, folder / "m"), trainable=True)
        y = module(np.array([0, 5], np.int64))
        table = module.variable_map["table"]
        started(session)
        return [
            [v.name for v in table],
            session.run([y, list(table)]),
            [v.name for v in v1.trainable_variables()],
        ]


@program
def reference_variables(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.referencing, folder / "m"), trainable=True)
        y = module([1.0, 2.0])
        w = module.variable_map["linear/w"]
        assign = v1.assign(w, 5.0)
        started(session)
        before = session.run(y)
        session.run(assign)
        return [type(w).__name__, w.dtype.name, str(w.shape), before, session.run(y)]


@program
def only_the_initializers_of_a_module(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.dense, folder / "m"))
        v1.get_variable("other", initializer=1.0)
        y = module([[1.0, 2.0]])
        missing = v1.report_uninitialized_variables()
        before = session.run(missing)
        session.run(v1.variables_initializer(list(module.variable_map.values())))
        return [before, session.run(missing), session.run(y)]


@refused
def initialized_values(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.dense, folder / "m"))
        values = [v.initialized_value() for v in module.variables]
        return session.run(values)


@program
def initialized_values_of_a_spec(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.dense))
        values = [v.initial_value for v in module.variables]
        return session.run(values)


@program
def a_saver_of_the_module_alone(hub, folder):
    """``variable_map`` as a Saver's list: names in the checkpoint are the module's own."""
    path, prefix = published(hub, modules.dense, folder / "m"), str(folder / "ckpt")
    with new_session() as session:
        module = hub.Module(path)
        started(session).run(v1.assign(module.variable_map["layer_1/bias"], [7.0]))
        v1.train.Saver(var_list=module.variable_map).save(session, prefix)
    with new_session() as session:
        module = hub.Module(path, name="restored")
        y = module([[1.0, 2.0]])
        v1.train.Saver(module.variable_map).restore(session, prefix)
        return [[name for name, _ in tf.train.list_variables(prefix)], session.run(y)]


@program
def a_saver_of_all(hub, folder):
    path, prefix = published(hub, modules.partitioned, folder / "m"), str(folder / "ckpt")
    with new_session() as session:
        with v1.variable_scope("model"):
            module = hub.Module(path, trainable=True)
            module(np.array([0], np.int64))
        table = module.variable_map["table"]
        started(session).run([v1.assign(part, part + 1) for part in table])
        v1.train.Saver().save(session, prefix)
    with new_session() as session:
        with v1.variable_scope("model"):
            y = hub.Module(path, trainable=True)(np.array([0, 3], np.int64))
        v1.train.Saver().restore(session, prefix)
        return [tf.train.list_variables(prefix), session.run(y)]


@refused
def from_a_checkpoint_by_name(hub, folder):
    """``init_from_checkpoint``, as BERT's scripts call it."""
    prefix = str(folder / "ckpt")
    with new_session() as session:
        kernel = v1.get_variable("net/layer_0/kernel", initializer=[[2.0, 2.0], [2.0, 2.0]])
        v1.train.Saver([kernel]).save(started(session), prefix)
    with new_session() as session:
        module = hub.Module(published(hub, modules.dense, folder / "m"), trainable=True, name="net")
        y = module([[1.0, 1.0]])
        names = {v.op.name for v in v1.trainable_variables()}
        found = {name: name for name, _ in v1.train.list_variables(prefix) if name in names}
        v1.train.init_from_checkpoint(prefix, found)
        return [found, started(session).run(y)]


@program
def from_a_checkpoint_by_variable(hub, folder):
    prefix = str(folder / "ckpt")
    with new_session() as session:
        v1.train.Saver({"b": v1.get_variable("b", initializer=[9.0])}).save(
            started(session), prefix
        )
    with new_session() as session:
        module = hub.Module(published(hub, modules.dense, folder / "m"))
        y = module([[1.0, 1.0]])
        v1.train.init_from_checkpoint(prefix, {"b": module.variable_map["layer_1/bias"]})
        return started(session).run(y)


@refused
def reuse_of_a_scope_that_has_a_module(hub, folder):
    """Else an evaluation tower would have weights of its own, untrained."""
    with tf.Graph().as_default():
        with v1.variable_scope("tower"):
            hub.Module(spec(hub, modules.dense))
        with v1.variable_scope("tower", reuse=True):
            hub.Module(spec(hub, modules.dense))


@refused
def a_scope_that_is_entered_again(hub, folder):
    with tf.Graph().as_default():
        for _ in range(2):
            with v1.variable_scope("tower"):
                hub.Module(spec(hub, modules.dense))


@program
def reuse_of_the_outermost_scope(hub, folder):
    with tf.Graph().as_default():
        for reuse in (None, True):
            with v1.variable_scope("", reuse=reuse):
                hub.Module(spec(hub, modules.dense))
        return [v.name for v in v1.global_variables()]


@refused
def reuse_at_will(hub, folder):
    """AUTO_REUSE makes a second module, since modules are no part of the store of variables."""
    with tf.Graph().as_default():
        for _ in range(2):
            with v1.variable_scope("tower", reuse=v1.AUTO_REUSE):
                hub.Module(spec(hub, modules.dense), name="net")
        return [v.name for v in v1.global_variables()]


@refused
def a_variable_of_a_module_from_the_store(hub, folder):
    with tf.Graph().as_default():
        hub.Module(spec(hub, modules.dense))
        with v1.variable_scope("module", reuse=True):
            v1.get_variable("layer_0/kernel", [2, 2])


@program
def a_template_with_a_module(hub, folder):
    with new_session() as session:
        net = v1.make_template("net", lambda x: hub.Module(spec(hub, modules.dense), name="m")(x))
        y = net([[1.0, 2.0]])
        return [started(session).run(y), y.name, [v.name for v in v1.global_variables()]]


@refused
def a_template_applied_twice(hub, folder):
    with tf.Graph().as_default():
        net = v1.make_template("net", lambda x: hub.Module(spec(hub, modules.dense), name="m")(x))
        net([[1.0, 2.0]])
        net([[1.0, 2.0]])


@program
def averages_of_variables(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.dense, folder / "m"), trainable=True)
        average = tf.train.ExponentialMovingAverage(0.5)
        apply = average.apply(module.variables)
        bias = module.variable_map["layer_1/bias"]
        change = v1.assign(bias, [1.25])
        started(session).run(change)
        session.run(apply)
        saved = sorted(average.variables_to_restore(module.variables))
        return [session.run(average.average(bias)), average.average(bias).name, saved]


@program
def under_a_custom_getter(hub, folder):
    """A getter, a creator and a default initializer of the scope do not touch a module."""
    asked = []

    def getter(get, name, *args, **kwargs):
        asked.append(name)
        return get(name, *args, **kwargs)

    def creator(create, **kwargs):
        asked.append(kwargs.get("name"))
        return create(**kwargs)

    path = published(hub, modules.dense, folder / "m")
    with new_session() as session:
        zeros = v1.zeros_initializer()
        scope = v1.variable_scope("s", custom_getter=getter, initializer=zeros)
        with scope, v1.variable_creator_scope(creator):
            module = hub.Module(path)
            y = module([[1.0, 2.0]])
        return [asked, started(session).run(y), [v.name for v in module.variables]]


@program
def under_a_partitioner(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    with tf.Graph().as_default():
        with v1.variable_scope("s", partitioner=v1.fixed_size_partitioner(2)):
            hub.Module(path)
        return [v.name for v in v1.global_variables()]


@program
def kinds_of_variables_in_a_spec(hub, folder):
    """Model and local variables, and one that no signature reads."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        w = v1.get_variable(
            "w",
            initializer=2.0,
            collections=[v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.MODEL_VARIABLES],
        )
        v1.get_variable("unused", initializer=[1, 2])
        hub.add_signature(inputs=x, outputs=x * w)

    with new_session() as session:
        module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
        module([1.0])
        session.run(v1.global_variables_initializer())
        return [session.run(module.variable_map), modules.collections(session.graph)]


@program
def what_is_done_with_variables(hub, folder):
    """Reads, assignments and values of the variables that a module gives, of both kinds."""
    found = []
    for module_fn, name in ((modules.dense, "layer_1/bias"), (modules.referencing, "linear/w")):
        with new_session() as session:
            v = hub.Module(published(hub, module_fn, folder / module_fn.__name__)).variable_map[
                name
            ]
            started(session)
            session.run(v.assign_add(tf.ones(v.shape)))
            session.run(v1.assign_sub(v, 0.5 * tf.ones(v.shape)))
            session.run(v.assign(v.eval(session) * 2.0))
            values = [
                v,
                v.value(),
                v.read_value(),
                v + 1.0,
                tf.identity(v),
                v1.is_variable_initialized(v),
            ]
            found.append(
                [session.run(values), str(v.get_shape()), v.dtype.base_dtype.name, v.op.name]
            )
            found.append([v.trainable, v.initializer.name, v.graph is session.graph])
    return found


@program
def warm_starts(hub, folder):
    path, prefix = published(hub, modules.dense, folder / "m"), str(folder / "ckpt")
    with new_session() as session:
        with v1.variable_scope("model"):
            module = hub.Module(path, trainable=True)
        started(session).run([v1.assign(v, tf.fill(v.shape, 3.0)) for v in module.variables])
        v1.train.Saver().save(session, prefix)
    with new_session() as session:
        with v1.variable_scope("model"):
            y = hub.Module(path, trainable=True)([[1.0, 2.0]])
        v1.train.warm_start(prefix, vars_to_warm_start=".*bias")
        return started(session).run(y)


@program
def initial_values_from_other_variables(hub, folder):
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        first = v1.get_variable("first", initializer=2.0)
        second = v1.get_variable("second", initializer=first.initial_value * 3.0)
        hub.add_signature(inputs=x, outputs=x * second)

    with new_session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        y = module([1.0])
        session.run(v1.global_variables_initializer())
        return [session.run(y), session.run(module.variable_map)]
