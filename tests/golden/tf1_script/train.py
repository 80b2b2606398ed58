"""A training script of the TF1 days: python train.py MODULE EXPORT_TO RESULTS.npz."""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

tf.compat.v1.disable_v2_behavior()
tf = tf.compat.v1


def module_fn(is_training):
    """Two layers, batch norm between them, L2 losses."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    l2 = lambda w: 1e-2 * tf.reduce_sum(tf.square(w))  # noqa: E731
    init = tf.random_uniform_initializer(-0.5, 0.5, seed=3)
    kernel = tf.get_variable("hidden/kernel", [4, 8], initializer=init, regularizer=l2)
    mean = tf.get_variable("hidden/mean", [8], initializer=tf.zeros_initializer(), trainable=False)
    hidden = tf.matmul(x, kernel)
    if is_training:
        batch_mean = tf.reduce_mean(hidden, 0)
        update = tf.assign_sub(mean, 0.1 * (mean - batch_mean))
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        hidden = hidden - batch_mean
    else:
        hidden = hidden - mean
    hidden = tf.nn.relu(hidden)
    output = tf.get_variable("output/kernel", [8, 3], initializer=init, regularizer=l2)
    hub.add_signature(inputs={"x": x}, outputs={"default": tf.matmul(hidden, output)})


def train(module_path, export_path, results):
    rng = np.random.RandomState(0)
    images = rng.randn(32, 4).astype(np.float32)
    labels = rng.randint(0, 3, 32)
    spec = hub.create_module_spec(
        module_fn, [({"train"}, {"is_training": True}), (set(), {"is_training": False})]
    )
    with tf.Graph().as_default():
        pretrained = hub.Module(module_path, trainable=True, tags={"train"}, name="pretrained")
        head = hub.Module(spec, trainable=True, tags={"train"}, name="head")
        x = tf.placeholder(tf.float32, [None, 4])
        padded = tf.pad(x, [[0, 0], [0, 47]])
        features = pretrained(padded)[:, :4]
        logits = head({"x": features})
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        loss += tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        with tf.Session() as session:
            session.run([tf.global_variables_initializer(), tf.tables_initializer()])
            losses = [session.run([loss, step], {x: images})[0] for _ in range(5)]
            values = {v.name: session.run(v) for v in tf.global_variables()}
            head.export(export_path, session)
    np.savez(results, losses=losses, **values)


if __name__ == "__main__":
    train(*sys.argv[1:])
