"""A module that reads a file that its input names."""

import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def reading_fn():
    """What safe mode refuses: it reads a file that its input names."""
    x = v1.placeholder(tf.string, [None])
    hub.add_signature(inputs={"path": x}, outputs=tf.map_fn(tf.io.read_file, x))


def publish_unsafe(folder):
    path = folder / "unsafe"
    hub.create_module_spec(reading_fn).export(str(path))
    return path
