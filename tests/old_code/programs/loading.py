"""``hub.load`` and what stands beside it."""

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published
from old_code.registry import program, refused

v1 = tf.compat.v1


@program
def loaded_with_a_default_signature(hub, folder):
    loaded = hub.load(published(hub, modules.dense, folder / "m"))
    y = loaded.signatures["default"](tf.constant([[1.0, 2.0]]))
    return [y, sorted(loaded.signatures), [v.name for v in loaded.variables]]


@program
def loaded_without_a_default_signature(hub, folder):
    loaded = hub.load(modules.published_bert(hub, folder), tags=[])
    tokens = {key: tf.constant(value) for key, value in modules.TOKENS.items()}
    return [loaded.signatures["tokens"](**tokens), sorted(loaded.signatures)]


@program
def loaded_by_tags(hub, folder):
    path = published(
        hub,
        modules.batch_normalized,
        folder / "m",
        tags={"train"},
        tags_and_args=modules.TRAIN_AND_EVAL,
    )
    return hub.load(path, tags=["train"]).signatures["default"](
        tf.constant([[1.0, 2.0], [3.0, 2.0]])
    )


@program
def a_loaded_text_module(hub, folder):
    loaded = hub.load(modules.published_text_embedding(hub, folder))
    return loaded.signatures["default"](tf.constant(["cat dog", "bird"]))


@program
def parts_of_composite_inputs(hub, folder):
    """A function of a signature takes a sparse input in parts, by name."""
    f = hub.load(published(hub, modules.composites, folder / "m")).signatures["sparse"]
    _, named = f.structured_input_signature
    parts = {
        "default_indices": tf.constant([[0, 1]], tf.int64),
        "default_values": tf.constant([2.0]),
        "default_dense_shape": tf.constant([1, 3], tf.int64),
    }
    return [sorted(named), f(**parts)]


@program
def a_loaded_function_differentiated(hub, folder):
    loaded = hub.load(published(hub, modules.dense, folder / "m"))
    x = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded.signatures["default"](x)["default"]
    return tape.gradient(y, x)


@program
def a_pruned_function(hub, folder):
    """Inner tensors of what was loaded."""
    loaded = hub.load(published(hub, modules.dense, folder / "m"))
    f = loaded.prune("features:0", "layer_0/attention:0")
    return f(tf.constant([[1.0, 2.0]]))


@program
def a_saved_model_of_today_in_a_graph_of_old(hub, folder):
    class Doubling(tf.Module):
        def __init__(self):
            self.w = tf.Variable(2.0, name="w")

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x):
            return x * self.w

    tf.saved_model.save(Doubling(), str(folder / "saved"))
    with new_session() as session:
        y = hub.load(str(folder / "saved"))(tf.constant([1.0]))
        session.run(v1.global_variables_initializer())
        return session.run(y)


@program
def loaded_in_a_graph(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        loaded = hub.load(path)
        y = loaded.signatures["default"](tf.constant(["cat", "dog bird"]))["default"]
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        # Not the scope, which is another: see docs/migration.md.
        return [session.run(y), [v.op.name.split("/")[-1] for v in v1.global_variables()]]


@refused
def a_handle_that_is_no_text(hub, folder):
    hub.load(0)


@refused
def a_folder_that_is_not_there(hub, folder):
    hub.load(str(folder / "nothing"))


@refused
def a_module_that_is_not_there(hub, folder):
    with tf.Graph().as_default():
        hub.Module(str(folder / "nothing"))


@refused
def a_folder_without_a_module(hub, folder):
    hub.load_module_spec(str(folder))


@program
def a_folder_is_resolved_to_itself(hub, folder):
    return hub.resolve(str(folder)) == str(folder)


@program
def tensorflow_reads_what_is_exported(hub, folder):
    """``tf.saved_model.load`` of a module's folder, without either library."""
    path = modules.published_bert(hub, folder)
    tags = [[]]
    loaded = tf.saved_model.load(path, tags=tags[0])
    tokens = {key: tf.constant(value) for key, value in modules.TOKENS.items()}
    return [
        loaded.signatures["tokens"](**tokens)["pooled_output"],
        [v.name for v in loaded.variables],
    ]
