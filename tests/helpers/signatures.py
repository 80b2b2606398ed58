"""Modules whose signatures are out of the common."""

import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def composite_fn():
    x = v1.placeholder(tf.float32, [None, 2])
    sp = v1.sparse_placeholder(tf.float32, [None, 3])
    ra = v1.ragged.placeholder(tf.int64, 1, [])
    outputs = {
        "sp": sp,
        "ra": ra,
        "x": x,
        "sum": tf.sparse.reduce_sum(sp),
        "count": tf.reduce_sum(ra),
    }
    hub.add_signature("default", {"sp": sp, "ra": ra, "a/b-c": x}, outputs)


def no_default_fn(trained=False):
    x = v1.placeholder(tf.float32, [None, 2])
    scale = v1.get_variable("scale", initializer=[3.0, 5.0])
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(scale))
    hub.add_signature("tokens", x, x * scale)
    hub.add_signature("info", {}, {"size": tf.constant(2), "trained": tf.constant(trained)})


def publish_no_default(path):
    variants = [(set(), {}), ({"train"}, {"trained": True})]
    spec = hub.create_module_spec(no_default_fn, variants)
    hub.ModuleLayer(spec, signature="tokens").export_module(path)
    return str(path)
