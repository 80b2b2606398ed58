"""The modules that mutants are made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub

v1 = tf.compat.v1

_GOLDENS = Path(__file__).parent.parent.parent / "tests" / "golden" / "zoo"


def bases(folder: Path) -> dict[str, Path]:
    """Name -> folder of each module; the small ones are published into ``folder``."""
    found = {path.name: path / "module" for path in sorted(_GOLDENS.iterdir())}
    for name, module_fn in {"small": _small, "tour": _tour}.items():
        found[name] = folder / name
        if found[name].exists():
            continue
        variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
        with _v1_control_flow():
            spec = hub.create_module_spec(module_fn, variants)
        hub.ModuleLayer(spec).export_module(found[name])
    return found


@contextmanager
def _v1_control_flow() -> Iterator[None]:
    """Loops and conditionals as rings and pairs of ops."""
    enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if enabled:
            v1.enable_control_flow_v2()


def _small(training: bool) -> None:
    """So few bytes that a random change hits what matters."""
    x = v1.placeholder(tf.float32, [None, 2])
    weight = v1.get_variable("w", [2, 1], initializer=v1.ones_initializer())
    hub.add_signature(inputs=x, outputs=x @ weight * (2.0 if training else 1.0))


def _tour(training: bool) -> None:
    """A little of everything that a module can have."""
    words = v1.placeholder(tf.string, [None], name="words")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["a", "b", "c"]), tf.constant([0, 1, 2], tf.int64)
        ),
        num_oov_buckets=1,
    )
    with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(2)):
        embedding = v1.get_variable("embedding", [4, 3], initializer=v1.ones_initializer())
    rows = v1.nn.embedding_lookup(embedding, table.lookup(words), partition_strategy="div")
    square = tf.function(lambda value: value * value, autograph=False)
    summed = tf.while_loop(
        lambda i, _: i < 3, lambda i, total: (i + 1, total + square(rows)), [0, rows]
    )[1]
    bias = v1.get_variable("bias", [3], initializer=v1.zeros_initializer(), trainable=False)
    shifted = v1.cond(tf.size(words) > 1, lambda: summed + bias, lambda: summed - bias)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(bias**2))
    if training:
        update = v1.assign_add(bias, tf.reduce_mean(summed, 0))
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    hub.add_signature(inputs=words, outputs={"default": shifted, "rows": rows})
    hub.add_signature("sparse", v1.sparse_placeholder(tf.float32, [None, 4]), tf.constant(1.0))
    hub.attach_message("note", wrappers_pb2.StringValue(value="as published"))
