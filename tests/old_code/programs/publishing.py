"""Making modules and writing them."""

import functools
import pathlib

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, nodes, published, spec, started
from old_code.registry import program, refused

v1 = tf.compat.v1


def files(folder):
    return sorted(
        str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file()
    )


@program
def what_an_export_writes(hub, folder):
    path = modules.published_bert(hub, folder)
    checkpoint = tf.train.load_checkpoint(f"{path}/variables/variables")
    return [
        files(path),
        checkpoint.get_variable_to_shape_map(),
        sorted(hub.load_module_spec(path).get_signature_names()),
    ]


@program
def exported_after_training(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    with new_session() as session:
        with v1.variable_scope("trained"):
            module = hub.Module(path, trainable=True, name="net")
            y = module([[1.0, 2.0]])
        train = v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(y))
        started(session).run(train)
        module.export(str(folder / "again"), session)
    with new_session() as session:
        y = hub.Module(str(folder / "again"))([[1.0, 2.0]])
        return [
            started(session).run(y),
            [
                name
                for name, _ in tf.train.list_variables(str(folder / "again/variables/variables"))
            ],
        ]


@refused
def an_export_over_a_module(hub, folder):
    path = published(hub, modules.dense, folder / "m")
    with new_session() as session:
        module = hub.Module(path)
        module.export(path, started(session))


@program
def a_spec_exported_from_a_checkpoint(hub, folder):
    module_spec = spec(hub, modules.dense)
    with new_session() as session:
        kernel = v1.get_variable("net/layer_0/kernel", initializer=[[2.0, 2.0], [2.0, 2.0]])
        bias = v1.get_variable("net/layer_1/bias", initializer=[1.0])
        v1.train.Saver([kernel, bias]).save(started(session), str(folder / "ckpt"))
    module_spec.export(
        str(folder / "m"),
        checkpoint_path=str(folder / "ckpt"),
        name_transform_fn=lambda name: f"net/{name}",
    )
    with new_session() as session:
        y = hub.Module(str(folder / "m"))([[1.0, 2.0]])
        return started(session).run(y)


def _outer(hub, inner, **kwargs):
    """A module of two applications of another one, and a variable of its own."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    module = hub.Module(inner, **kwargs)
    scale = v1.get_variable("scale", initializer=2.0)
    y = module(x) * scale + module(2.0 * x)
    hub.add_signature(inputs=x, outputs=y)


@program
def a_module_in_a_module(hub, folder):
    inner = published(hub, modules.dense, folder / "inner")
    outer = published(hub, lambda hub: _outer(hub, inner, trainable=True), folder / "outer")
    with new_session() as session:
        module = hub.Module(outer, trainable=True)
        y = module([[1.0, 2.0]])
        gradients = tf.gradients(y, v1.trainable_variables())
        started(session)
        return [
            session.run([y, gradients]),
            [v.name for v in module.variables],
            modules.collections(session.graph),
            nodes(session.graph),
        ]


@program
def a_module_in_a_spec(hub, folder):
    inner = published(hub, modules.dense, folder / "inner")
    with new_session() as session:
        module = hub.Module(
            spec(hub, lambda hub: _outer(hub, inner, trainable=True, name="encoder")),
            trainable=True,
        )
        y = module([[1.0, 2.0]])
        started(session)
        return [session.run(y), {key: [v.name, v.shape] for key, v in module.variable_map.items()}]


@program
def a_text_module_in_a_module(hub, folder):
    inner = modules.published_text_embedding(hub, folder)

    def outer(hub):
        x = v1.placeholder(tf.string, [None], name="sentences")
        hub.add_signature(
            inputs=x, outputs=tf.reduce_sum(hub.Module(inner)(tf.strings.lower(x)), -1)
        )

    path = published(hub, outer, folder / "outer")
    with new_session() as session:
        y = hub.Module(path)(["CAT", "Dog bird"])
        return [started(session).run(y), files(path), modules.collections(session.graph)]


@program
def attachments(hub, folder):
    def module_fn(hub):
        modules.dense(hub)
        hub.attach_message("about", tf.train.BytesList(value=[b"a module"]))

    path = published(hub, module_fn, folder / "m")
    module_spec = hub.load_module_spec(path)
    message = module_spec.get_attached_message("about", tf.train.BytesList)
    with tf.Graph().as_default():
        same = hub.Module(path).get_attached_message("about", tf.train.BytesList) == message
    return [message.value[0], same, module_spec.get_attached_message("size", tf.train.BytesList)]


@refused
def a_required_attachment(hub, folder):
    spec(hub, modules.dense).get_attached_message("size", tf.train.BytesList, required=True)


@program
def sizes_of_images(hub, folder):
    sizes = []
    for module_fn in (modules.image_features, modules.sized_images):
        module_spec = spec(hub, module_fn)
        sizes.append(
            [
                *hub.get_expected_image_size(module_spec, "image_feature_vector"),
                hub.get_num_image_channels(module_spec),
            ]
        )
        sizes.append(hub.image_util.get_expected_image_size(module_spec))
    return sizes


@program
def images_for_a_module(hub, folder):
    """Feature vectors and an intermediate layer, for images of the expected size."""
    path = published(hub, modules.image_features, folder / "m")
    with new_session() as session:
        module = hub.Module(path)
        height, width = hub.get_expected_image_size(module)
        images = v1.image.resize_images(tf.ones([1, 4, 4, 3]), [height, width])
        features = module({"images": images}, signature="image_feature_vector", as_dict=True)
        probabilities = tf.nn.softmax(module({"images": images}, signature="image_classification"))
        started(session)
        return session.run([features, probabilities])


@program
def what_a_module_tells(hub, folder):
    path = modules.published_bert(hub, folder)
    module_spec = hub.load_module_spec(path)
    facts = {}
    for tags in module_spec.get_tags():
        for name in module_spec.get_signature_names(tags):
            described = (
                module_spec.get_input_info_dict(name, tags),
                module_spec.get_output_info_dict(name, tags),
            )
            facts[f"{sorted(tags)} {name}"] = [
                {key: [info.dtype, info.get_shape(), info.is_sparse] for key, info in each.items()}
                for each in described
            ]
    with tf.Graph().as_default():
        module = hub.Module(path)
        return [
            facts,
            sorted(module.get_signature_names()),
            sorted(module.get_input_info_dict("tokens")),
        ]


@program
def composite_values_told(hub, folder):
    module_spec = spec(hub, modules.composites)
    infos = {**module_spec.get_input_info_dict(), **module_spec.get_output_info_dict()}
    return {
        key: [info.dtype, info.get_shape(), info.is_sparse, info.is_composite, repr(info)]
        for key, info in infos.items()
    }


@refused
def information_of_an_unknown_signature(hub, folder):
    spec(hub, modules.dense).get_input_info_dict("logits")


@refused
def information_of_unknown_tags(hub, folder):
    spec(hub, modules.dense).get_signature_names({"train"})


@refused
def a_module_fn_without_signature(hub, folder):
    hub.create_module_spec(lambda: None)


@program
def two_signatures_of_one_name(hub, folder):
    """The later one counts."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=x + 1.0)
        hub.add_signature(inputs=x, outputs=x + 2.0)

    with new_session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        return [session.run(module([1.0])), sorted(module.get_signature_names())]


@refused
def variants_of_the_same_tags(hub, folder):
    spec(hub, modules.batch_normalized, tags_and_args=[({"a"}, {}), (["a"], {"is_training": True})])


@refused
def variants_without_arguments(hub, folder):
    spec(hub, modules.batch_normalized, tags_and_args=[{"a"}])


@refused
def a_collection_that_cannot_be_published(hub, folder):
    def module_fn():
        x = v1.placeholder(tf.float32)
        v1.train.get_or_create_global_step()
        hub.add_signature(inputs=x, outputs=x + 1.0)

    hub.create_module_spec(module_fn)


@program
def a_collection_that_is_dropped(hub, folder):
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        v1.add_to_collection("mine", x)
        hub.add_signature(inputs=x, outputs=x + 1.0)

    with new_session() as session:
        module = hub.Module(hub.create_module_spec(module_fn, drop_collections=["mine"]))
        return [session.run(module([1.0])), modules.collections(session.graph)]


@program
def outputs_of_all_kinds(hub, folder):
    """An output that is an input, a constant, a default, a table's size, a variable's read."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None], name="x")
        rate = v1.placeholder_with_default(0.5, [], name="rate")
        w = v1.get_variable("w", initializer=3.0)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), 0
        )
        hub.add_signature(
            inputs={"x": x, "rate": rate},
            outputs={
                "x": x,
                "rate": rate,
                "one": tf.constant(1.0),
                "read": w.read_value(),
                "size": table.size(),
                "default": x * rate,
            },
        )

    path = published(hub, lambda _: module_fn(), folder / "m")
    with new_session() as session:
        outputs = hub.Module(path)({"x": [4.0], "rate": 0.25}, as_dict=True)
        return [started(session).run(outputs), {key: out.name for key, out in outputs.items()}]


@program
def a_saved_model_as_a_module(hub, folder):
    with new_session() as session:
        v1.train.create_global_step()
        x = v1.placeholder(tf.float32, [None], name="x")
        w = v1.get_variable("w", initializer=2.0)
        y = tf.multiply(x, w, name="y")
        started(session)
        v1.saved_model.simple_save(session, str(folder / "saved"), {"x": x}, {"y": y})
    module_spec = hub.create_module_spec_from_saved_model(
        str(folder / "saved"), drop_collections=[v1.GraphKeys.GLOBAL_STEP]
    )
    with new_session() as session:
        (tags,) = module_spec.get_tags()
        module = hub.Module(module_spec, tags=tags)
        y = module({"x": [3.0]}, signature="serving_default", as_dict=True)
        started(session)
        return [
            session.run(y),
            sorted(tags),
            sorted(module.variable_map),
            modules.collections(session.graph),
        ]


@program
def a_spec_exported_by_its_module(hub, folder):
    """``half_plus_two``: export of what has no variables needs no initializer."""
    with new_session() as session:
        module = hub.Module(spec(hub, modules.half_plus_two))
        module.export(str(folder / "half_plus_two"), session)
    with hub.eval_function_for_module(str(folder / "half_plus_two")) as f:
        return [files(folder / "half_plus_two"), f([1.0, 2.0])]


@program
def functions_of_two_modules(hub, folder):
    """Functions of one name and other bodies, with gradients of their own."""

    def module_fn(hub, factor):
        @tf.function(autograph=False)
        def scaled(x):
            return factor * x**2

        @tf.custom_gradient
        def strange(x):
            return tf.identity(x), lambda upstream: 10.0 * factor * upstream

        x = v1.placeholder(tf.float32, [None], name="x")
        hub.add_signature(inputs=x, outputs=strange(scaled(x)))

    paths = [
        published(hub, functools.partial(module_fn, factor=factor), folder / str(factor))
        for factor in (1.0, 2.0)
    ]
    with new_session() as session:
        x = tf.constant([3.0])
        ys = [hub.Module(path)(x) for path in paths]
        return session.run([ys, [tf.gradients(y, x) for y in ys]])


@program
def values_of_all_types(hub, folder):
    types = [
        tf.bool,
        tf.uint8,
        tf.int8,
        tf.int16,
        tf.int32,
        tf.int64,
        tf.float16,
        tf.float64,
        tf.complex64,
    ]

    def module_fn(hub):
        inputs = {t.name: v1.placeholder(t, [None], name=t.name) for t in types}
        hub.add_signature(inputs=inputs, outputs={k: tf.identity(v) for k, v in inputs.items()})

    with new_session() as session:
        outputs = hub.Module(spec(hub, module_fn))(
            {t.name: [0, 1] for t in types if t != tf.bool} | {"bool": [True]}, as_dict=True
        )
        values = session.run(outputs)
        values["complex64"] = values["complex64"].real
        return [values, {key: out.dtype for key, out in outputs.items()}]


@refused
def tags_that_are_text(hub, folder):
    with tf.Graph().as_default():
        hub.Module(
            spec(hub, modules.batch_normalized, tags_and_args=modules.TRAIN_AND_EVAL), tags="train"
        )


@program
def an_export_from_a_finalized_graph(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        module = hub.Module(path, trainable=True)
        module(["cat"])
        started(session)
        session.graph.finalize()
        module.export(str(folder / "again"), session)
    with hub.eval_function_for_module(str(folder / "again")) as f:
        return [files(folder / "again"), f(["cat", "bird"])]


@program
def an_export_in_a_monitored_session(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with tf.Graph().as_default():
        v1.train.get_or_create_global_step()
        module = hub.Module(path, trainable=True)
        train = v1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(module(["cat"])))
        captured = []

        class Exporting(v1.train.SessionRunHook):
            def end(self, session):
                module.export(str(folder / "again"), session)
                captured.append(files(folder / "again"))

        with v1.train.MonitoredTrainingSession(hooks=[Exporting()]) as session:
            session.run(train)
    with hub.eval_function_for_module(str(folder / "again")) as f:
        return [captured, f(["cat", "bird"])]


@program
def modules_registered_for_export(hub, folder):
    with tf.Graph().as_default():
        module = hub.Module(spec(hub, modules.dense))
        hub.register_module_for_export(module, "net")
        return isinstance(
            hub.load_module_spec(published(hub, modules.dense, folder / "m")), hub.ModuleSpec
        )


@program
def nodes_of_a_saved_model_as_a_module(hub, folder):
    """Whatever the SavedModel has is in the graph: its saver's nodes, too."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = tf.multiply(x, v1.get_variable("w", initializer=2.0), name="y")
        tf.negative(y, name="aside")
        v1.saved_model.simple_save(started(session), str(folder / "saved"), {"x": x}, {"y": y})
    with tf.Graph().as_default() as graph:
        module = hub.Module(
            hub.create_module_spec_from_saved_model(str(folder / "saved")), tags={"serve"}
        )
        module([1.0], signature="serving_default", as_dict=True)
        return nodes(graph)
