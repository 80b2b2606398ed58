"""Where in the graph what is found."""

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, nodes, published, spec, started
from old_code.registry import program, refused

v1 = tf.compat.v1


@program
def the_graph_is_the_published_one(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    with tf.Graph().as_default() as graph:
        hub.Module(path)(tf.ones([1, 2]))
        return nodes(graph)


@program
def the_graph_of_reference_variables(hub, folder):
    path = published(hub, modules.referencing, folder / "m")
    with tf.Graph().as_default() as graph:
        module = hub.Module(path, trainable=True)
        module([1.0])
        module(signature="count")
        return [
            nodes(graph),
            {op.name: [each.name for each in op.inputs] for op in graph.get_operations()},
        ]


@program
def an_attention_by_its_name(hub, folder):
    """What no signature names is fetched by its published name."""
    with new_session() as session:
        hub.Module(modules.published_bert(hub, folder))(
            modules.TOKENS, signature="tokens", as_dict=True
        )
        scope = "module_apply_tokens/bert/encoder/layer_0/attention/"
        return started(session).run(session.graph.get_tensor_by_name(f"{scope}attention_probs:0"))


@program
def feeding_an_inner_tensor(hub, folder):
    with new_session() as session:
        y = hub.Module(published(hub, modules.dense, folder / "m"))([[1.0, 2.0]])
        hidden = session.graph.get_tensor_by_name("module_apply_default/layer_0/hidden:0")
        return started(session).run(y, {hidden: [[5.0, 6.0]]})


@program
def a_name_with_a_slash(hub, folder):
    with tf.Graph().as_default():
        module = hub.Module(spec(hub, modules.dense), name="towers/first")
        return [v.name for v in module.variables]


@program
def two_modules_of_one_name(hub, folder):
    with tf.Graph().as_default() as graph:
        ys = [hub.Module(spec(hub, modules.dense))([[1.0, 2.0]]) for _ in range(2)]
        return [[y.name for y in ys], [v.name for v in v1.global_variables()], nodes(graph)]


@program
def under_a_name_scope(hub, folder):
    with tf.Graph().as_default() as graph:
        with tf.name_scope("tower"):
            module = hub.Module(spec(hub, modules.dense), name="net")
            module([[1.0, 2.0]])
        return [[v.name for v in module.variables], sorted(module.variable_map), nodes(graph)]


@program
def under_a_variable_scope(hub, folder):
    with tf.Graph().as_default() as graph:
        with v1.variable_scope("model"):
            module = hub.Module(spec(hub, modules.dense), name="net")
            module([[1.0, 2.0]])
            module([[1.0, 2.0]], signature="layers", as_dict=True)
        with v1.variable_scope("model", reuse=True), tf.name_scope("again"):
            module([[1.0, 2.0]])
        return [[v.name for v in module.variables], sorted(module.variable_map), nodes(graph)]


@program
def applied_under_a_control_dependency(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.dense))
        count = v1.get_variable("count", initializer=0)
        with tf.control_dependencies([v1.assign_add(count, 1)]):
            y = module([[1.0, 2.0]])
        started(session).run(y)
        return [session.run(count), modules.control_inputs(session.graph)]


@program
def on_a_device(hub, folder):
    with tf.Graph().as_default() as graph:
        with tf.device("/cpu:0"):
            module = hub.Module(spec(hub, modules.dense))
        with tf.device("/cpu:1"):
            module([[1.0, 2.0]])
        return {op.name: op.device for op in graph.get_operations()}


@program
def placed_by_a_function(hub, folder):
    """As replica_device_setter does."""
    with tf.Graph().as_default() as graph:
        with v1.device(lambda op: "/job:ps" if "Var" in op.type else "/job:worker"):
            module = hub.Module(spec(hub, modules.dense))
            module([[1.0, 2.0]])
        return [
            {v.name: v.device for v in module.variables},
            {op.name: op.device for op in graph.get_operations()},
        ]


@program
def next_names_after_a_module(hub, folder):
    """Names that the rest of the program gets, with which its checkpoints are written."""
    with tf.Graph().as_default():
        y = hub.Module(spec(hub, modules.dense))([[1.0, 2.0]])
        with v1.variable_scope(None, default_name="module"):
            w = v1.get_variable("w", initializer=1.0)
        x = tf.constant(1.0)
        return [w.name, x.name, (y * x).name, tf.identity(y, name="module_apply_default").name]


@program
def collections_before_and_after(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with tf.Graph().as_default() as graph:
        module = hub.Module(path, trainable=True)
        made = modules.collections(graph)
        module(["cat"])
        module(["dog"])
        return [made, modules.collections(graph)]


@program
def collections_of_a_frozen_module(hub, folder):
    path = published(
        hub,
        modules.batch_normalized,
        folder / "m",
        tags={"train"},
        tags_and_args=modules.TRAIN_AND_EVAL,
    )
    with tf.Graph().as_default() as graph:
        hub.Module(path, tags={"train"}, trainable=False)([[1.0, 2.0]])
        return modules.collections(graph)


@program
def collections_under_a_scope(hub, folder):
    with tf.Graph().as_default() as graph:
        with v1.variable_scope("outer"):
            hub.Module(modules.published_bert(hub, folder), tags={"train"}, trainable=True)(
                modules.TOKENS, signature="tokens", as_dict=True
            )
        return modules.collections(graph)


@program
def versions_and_shapes_of_the_nodes(hub, folder):
    """Static shapes are what builders of further layers read."""
    with tf.Graph().as_default() as graph:
        module = hub.Module(modules.published_bert(hub, folder))
        ids = v1.placeholder(tf.int32, [4, 16])
        outputs = module(
            {"input_ids": ids, "input_mask": ids, "segment_ids": ids},
            signature="tokens",
            as_dict=True,
        )
        return [
            {key: out.shape for key, out in outputs.items()},
            {key: info.get_shape() for key, info in module.get_output_info_dict("tokens").items()},
            {
                op.name: [out.shape for out in op.outputs]
                for op in graph.get_operations()
                if "/pooler/" in op.name
            },
        ]


@refused
def a_name_that_an_op_has(hub, folder):
    with tf.Graph().as_default():
        tf.constant(1.0, name="module")
        hub.Module(spec(hub, modules.half_plus_two))


@program
def an_application_s_name_that_an_op_has(hub, folder):
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="net_apply_default")
        hub.Module(spec(hub, modules.half_plus_two), name="net")([1.0])
        return nodes(graph)


@refused
def a_name_scope_that_is_taken(hub, folder):
    """The variables' scope is free, and the ops' scope is not."""
    with tf.Graph().as_default():
        with v1.variable_scope("a"):
            v1.get_variable("w", initializer=1.0)
        with v1.variable_scope("a", reuse=True):
            hub.Module(spec(hub, modules.dense), name="b")
        with tf.name_scope("a/b/"):
            tf.constant(1.0)
        with v1.variable_scope("a"):
            hub.Module(spec(hub, modules.dense), name="b")


@program
def under_unusual_scopes(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    with tf.Graph().as_default() as graph:
        with v1.variable_scope("outer") as scope, v1.name_scope(None):
            module = hub.Module(path, name="net")
            module([[1.0, 2.0]])
        with tf.control_dependencies([tf.no_op()]), tf.control_dependencies(None):
            module([[1.0, 2.0]])
        with v1.variable_scope(scope, auxiliary_name_scope=False):
            module([[1.0, 2.0]])
        with v1.variable_scope("bare", auxiliary_name_scope=False):
            other = hub.Module(path)
            other([[1.0, 2.0]])
        return [
            nodes(graph),
            [v.name for v in v1.global_variables()],
            modules.control_inputs(graph),
        ]


@program
def devices_in_a_module(hub, folder):
    def module_fn(hub):
        with tf.device("/cpu:1"):
            x = v1.placeholder(tf.float32, [None], name="x")
            w = v1.get_variable("w", initializer=2.0)
            y = tf.multiply(x, w, name="y")
        with v1.device("/job:ps/task:1"):
            z = tf.negative(y, name="z")
        hub.add_signature(inputs=x, outputs={"default": y, "z": z})

    with tf.Graph().as_default() as graph:
        hub.Module(spec(hub, module_fn))([1.0])
        with tf.device("/gpu:0"):
            hub.Module(spec(hub, module_fn), name="placed")([1.0])
        return {op.name: op.device for op in graph.get_operations()}


@program
def colocations(hub, folder):
    def module_fn(hub):
        x = v1.placeholder(tf.float32, [None], name="x")
        w = v1.get_variable("w", initializer=2.0)
        with v1.colocate_with(w.op):
            near = tf.constant(3.0, name="near")
        with v1.colocate_with(x):
            y = tf.multiply(x * w, near, name="y")
        hub.add_signature(inputs=x, outputs=y)

    with tf.Graph().as_default() as graph:
        hub.Module(spec(hub, module_fn))(tf.constant([1.0], name="fed"))
        return {op.name: op.colocation_groups() for op in graph.get_operations()}


@program
def seeds_of_random_ops(hub, folder):
    """A module's random numbers are those of its seeds; the graph's own seed changes nothing."""

    def module_fn(hub):
        v1.set_random_seed(7)
        x = v1.placeholder(tf.float32, [None], name="x")
        hub.add_signature(
            inputs=x, outputs=x + v1.random.uniform([2], seed=3) + v1.random.uniform([2])
        )

    path = published(hub, module_fn, folder / "m")
    with new_session() as session:
        v1.set_random_seed(1)
        module = hub.Module(path)
        ys = [module([0.0, 0.0]), module([0.0, 0.0])]
        after = v1.random.uniform([2])
        return session.run([*ys, after])
