"""Graphs with modules in them, written and read again."""

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, started
from old_code.registry import program

v1 = tf.compat.v1


def _embedding_graph(hub, folder):
    x = v1.placeholder(tf.string, [None], name="x")
    return x, tf.identity(hub.Module(modules.published_text_embedding(hub, folder))(x), name="y")


@program
def a_frozen_graph(hub, folder):
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        tf.identity(hub.Module(published(hub, modules.dense, folder / "m"))(x), name="y")
        frozen = v1.graph_util.convert_variables_to_constants(
            started(session), session.graph.as_graph_def(), ["y"]
        )
    with new_session() as session:
        (y,) = tf.import_graph_def(frozen, return_elements=["y:0"], name="")
        return [
            sorted(f"{node.name} {node.op}" for node in frozen.node),
            session.run(y, {"x:0": [[1.0, 2.0]]}),
        ]


@program
def a_frozen_graph_of_reference_variables(hub, folder):
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = hub.Module(published(hub, modules.referencing, folder / "m"))(x)
        frozen = v1.graph_util.convert_variables_to_constants(
            started(session), session.graph.as_graph_def(), [y.op.name]
        )
        return sorted(f"{node.name} {node.op}" for node in frozen.node)


@program
def a_saved_model_by_simple_save(hub, folder):
    with new_session() as session:
        x, y = _embedding_graph(hub, folder)
        v1.saved_model.simple_save(
            started(session),
            str(folder / "saved"),
            {"x": x},
            {"y": y},
            legacy_init_op=v1.tables_initializer(),
        )
    (folder / "vocab.txt").unlink()
    loaded = tf.saved_model.load(str(folder / "saved"))
    assets = sorted(file.name for file in (folder / "saved" / "assets").iterdir())
    return [assets, loaded.signatures["serving_default"](tf.constant(["dog cat", "cat"]))]


@program
def a_saved_model_by_a_builder(hub, folder):
    with new_session() as session:
        x, y = _embedding_graph(hub, folder)
        builder = v1.saved_model.Builder(str(folder / "saved"))
        builder.add_meta_graph_and_variables(
            started(session),
            [v1.saved_model.tag_constants.SERVING],
            {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()
    with new_session() as session:
        meta_graph = v1.saved_model.load(session, ["serve"], str(folder / "saved"))
        names = meta_graph.signature_def["serving_default"]
        fed = {names.inputs["x"].name: ["cat", "bird"]}
        assets = meta_graph.collection_def["saved_model_assets"].any_list.value
        return [
            session.run(names.outputs["y"].name, fed),
            len(assets),
            modules.nodes(session.graph, "module_apply"),
        ]


@program
def a_meta_graph_imported(hub, folder):
    with new_session() as session:
        _embedding_graph(hub, folder)
        v1.train.Saver().save(started(session), str(folder / "ckpt"))
    with new_session() as session:
        saver = v1.train.import_meta_graph(str(folder / "ckpt.meta"))
        saver.restore(session, str(folder / "ckpt"))
        session.run(v1.tables_initializer())
        return [
            session.run("y:0", {"x:0": ["dog", "cat bird"]}),
            modules.collections(session.graph),
            modules.nodes(session.graph),
        ]


@program
def a_meta_graph_under_a_scope(hub, folder):
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [], name="x")
        tf.identity(
            hub.Module(published(hub, modules.looping, folder / "m"), trainable=True)(x), name="y"
        )
        meta_graph = v1.train.export_meta_graph()
    with new_session() as session:
        v1.train.import_meta_graph(meta_graph, import_scope="again")
        gradient = tf.gradients(
            session.graph.get_tensor_by_name("again/y:0"), v1.trainable_variables()
        )
        return started(session).run(["again/y:0", gradient[0].name], {"again/x:0": 2.0})


@program
def a_graph_def_with_a_module(hub, folder):
    """Serialized and imported twice, as graph editors do."""
    with tf.Graph().as_default() as graph:
        hub.Module(published(hub, modules.dense, folder / "m"))([[1.0, 2.0]])
        graph_def = graph.as_graph_def()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="a")
        tf.import_graph_def(graph_def, name="b")
        return modules.nodes(graph)


@program
def a_finalized_graph(hub, folder):
    with new_session() as session:
        _, y = _embedding_graph(hub, folder)
        init = tf.group(v1.global_variables_initializer(), v1.tables_initializer())
        session.graph.finalize()
        session.run(init)
        return session.run(y, {"x:0": ["dog"]})


@program
def two_sessions_of_one_graph(hub, folder):
    with tf.Graph().as_default() as graph:
        _, y = _embedding_graph(hub, folder)
        init = tf.group(v1.global_variables_initializer(), v1.tables_initializer())
    results = []
    for _ in range(2):
        with v1.Session(graph=graph) as session:
            session.run(init)
            results.append(session.run(y, {"x:0": ["cat"]}))
    return results


@program
def a_graph_without_tables_started(hub, folder):
    """Variables alone do not fill the tables; old code catches this."""
    with new_session() as session:
        _, y = _embedding_graph(hub, folder)
        session.run(v1.global_variables_initializer())
        try:
            session.run(y, {"x:0": ["cat"]})
        except tf.errors.FailedPreconditionError:
            return "not filled"
