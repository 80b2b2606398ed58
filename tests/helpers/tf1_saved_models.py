"""TF1 SavedModels as programs for TensorFlow 1 wrote them, and what sessions make of them."""

import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1
KEYS = v1.GraphKeys

X = np.float32([[1, 2], [3, -4], [0.5, 1.5]])
TARGETS = np.float32([[1], [0], [2]])


def signature(inputs, outputs):
    return v1.saved_model.predict_signature_def(inputs, outputs)


def trained(folder, use_resource=True, init=None):
    """What is left of a training: weights, an optimizer's variables, counters, collections.

    Args:
        folder: to be made.
        use_resource: whether variables are of the newer kind.
        init: by what argument of the builder the op is named that is run first, if at all.
    """
    with (
        tf.Graph().as_default(),
        v1.variable_scope("", use_resource=use_resource),
        v1.Session() as session,
    ):
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        labels = v1.placeholder(tf.float32, [None, 1], name="labels")
        kernel = v1.get_variable("dense/kernel", initializer=[[0.5], [-0.25]])
        bias = v1.get_variable("dense/bias", initializer=[0.125])
        mean = v1.get_variable("mean", initializer=[0.0, 0.0], trainable=False)
        update = v1.assign_add(mean, 0.5 * (tf.reduce_mean(x, axis=0) - mean))
        v1.add_to_collection(KEYS.UPDATE_OPS, update)
        score = tf.add((x - mean) @ kernel, bias, name="score")
        v1.add_to_collection(KEYS.REGULARIZATION_LOSSES, 0.01 * tf.reduce_sum(kernel**2))
        v1.losses.add_loss(tf.reduce_mean((score - labels) ** 2))
        loss = v1.losses.get_total_loss()
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.AdamOptimizer(0.1).minimize(loss, step)
        _fill_collections(train_op, v1.metrics.mean(score)[1], loss)
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        for _ in range(3):
            session.run([train_op, update], {x: X, labels: TARGETS})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": signature({"x": x}, {"score": score}),
                "both": signature({"x": x}, {"score": score, "steps": tf.identity(step)}),
            },
            **({init: v1.train.Scaffold.default_local_init_op()} if init else {}),
        )
        builder.save()
    return str(folder)


def _fill_collections(train_op, update, loss):
    v1.summary.scalar("loss", loss)
    for key in ("train_op", "ready_op", "init_op", "eval_op"):
        v1.add_to_collection(key, train_op)
    v1.add_to_collection("update_eval", update)
    v1.add_to_collection("eval_dir", "/somewhere/eval")
    v1.add_to_collection("numbers", 3)
    v1.add_to_collection("floats", 0.5)
    queue = v1.FIFOQueue(10, [tf.float32], shapes=[[]])
    v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue(1.0)]))


def add_unknown_collections(folder):
    """Those of packages that are not here, of a node that is gone, and an empty one."""
    file = f"{folder}/saved_model.pb"
    with open(file, "rb") as stream:
        proto = saved_model_pb2.SavedModel.FromString(stream.read())
    for meta_graph in proto.meta_graphs:
        collections = meta_graph.collection_def
        unknown = any_pb2.Any(type_url="type.googleapis.com/some.Package", value=b"\xff\xff")
        collections["some_package"].any_list.value.append(unknown)
        collections["some_bytes"].bytes_list.value.append(b"\xff\xff")
        collections["of_a_node_that_is_gone"].node_list.value.append("gone:0")
        collections["empty"].SetInParent()
    with open(file, "wb") as stream:
        stream.write(proto.SerializeToString())


def of_tags(folder, *each):
    """A graph for each set of tags, which multiplies by 2 to the power of its place."""
    builder = v1.saved_model.Builder(str(folder))
    for place, tags in enumerate(each):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None])
            w = v1.get_variable("w", initializer=3.0)
            signatures = {"predict": signature({"x": x}, {"y": x * w * 2.0**place})}
            session.run(w.initializer)
            if place:
                builder.add_meta_graph(tags, signatures)
            else:
                builder.add_meta_graph_and_variables(session, tags, signatures)
    builder.save()
    return str(folder)


def in_session(folder, name, feed, tags=("serve",)):
    """The outputs of a signature, as a session computes them."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        meta_graph = v1.saved_model.load(session, list(tags), str(folder))
        fed, found = _tensors(graph, meta_graph.signature_def[name], feed)
        return session.run(found, fed)


def tuned_in_session(folder, feed, targets, steps, rate, tags=("serve",)):
    """Losses and variables of gradient descent on the mean square, as a session has them."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        meta_graph = v1.saved_model.load(session, list(tags), str(folder))
        fed, found = _tensors(graph, meta_graph.signature_def["serving_default"], feed)
        (output,) = found.values()
        loss = tf.reduce_mean((output - targets) ** 2)
        loss = tf.add_n([loss, *v1.get_collection(KEYS.REGULARIZATION_LOSSES)])
        step = v1.train.GradientDescentOptimizer(rate).minimize(loss)
        losses = []
        for _ in range(steps):
            # Gradients are of what was before the updates.
            losses.append(session.run([loss, step], fed)[0])
            session.run(v1.get_collection(KEYS.UPDATE_OPS), fed)
        return losses, session.run({v.op.name: v for v in v1.global_variables()})


def _tensors(graph, facts, feed):
    fed = {graph.get_tensor_by_name(facts.inputs[k].name): v for k, v in feed.items()}
    return fed, {k: graph.get_tensor_by_name(o.name) for k, o in facts.outputs.items()}
