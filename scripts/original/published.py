"""A module that this package publishes, with a bit of all that the format has."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub

v1 = tf.compat.v1
_KEYS = v1.GraphKeys

WORDS = ["the", "cat", "sat", "on", "the mat", "hello", "world"]
OTHER_WORDS = ["world", "the", "hello", "dog", "cat", "sat", "."]
_OOV_BUCKETS = 2
_WIDTH = 6


def module_spec(folder: Path, words: list[str] = WORDS) -> hub.ModuleSpec:
    """Two variants over a vocabulary, which is written to ``folder``."""
    variants = (set(), {"train"})
    return hub.create_module_spec(
        _embedding, [(tags, _arguments(folder, words, "train" in tags)) for tags in variants]
    )


def nested_spec(modules: list[str]) -> hub.ModuleSpec:
    """A module of modules, whose vocabularies all have the same base name."""

    def module_fn(training: bool) -> None:
        words = v1.placeholder(tf.string, [None], "words")
        tags = {"train"} if training else None
        parts = [
            hub.Module(path, trainable=True, name=f"part_{number}", tags=tags)(words)
            for number, path in enumerate(modules)
        ]
        weights = v1.get_variable("mix", initializer=[0.25, 0.75])
        mixed = tf.add_n([weights[i] * part for i, part in enumerate(parts)])
        hub.add_signature(inputs=words, outputs=mixed)

    return hub.create_module_spec(
        module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
    )


def export_from_graph(spec: hub.ModuleSpec, path: Path) -> None:
    """Exports a spec as a TF1 program would: a Module, a session, its export."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec)
        session.run(v1.global_variables_initializer())
        module.export(path, session)


def write_checkpoint(folder: Path) -> str:
    """Trains nothing, but saves the module's variables as a TF1 program would."""
    with tf.Graph().as_default(), v1.variable_scope("", use_resource=True):
        _embedding(**_arguments(folder, WORDS, training=True))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            prefix = str(folder / "checkpoint" / "model")
            return v1.train.Saver().save(session, prefix, write_meta_graph=False)


def _arguments(folder: Path, words: list[str], training: bool) -> dict[str, object]:
    vocabulary = folder / "vocabulary.txt"
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    vocabulary.write_text("\n".join(words) + "\n")
    return {"vocabulary": str(vocabulary), "training": training}


def _embedding(vocabulary: str, training: bool) -> None:
    """Words -> ids -> rows of a partitioned matrix -> normalized -> dense."""
    words = v1.placeholder(tf.string, [None], "words")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=_OOV_BUCKETS,
    )
    ids = table.lookup(words)
    embedding = v1.get_variable(
        "embedding",
        [len(WORDS) + _OOV_BUCKETS, _WIDTH],
        initializer=v1.random_normal_initializer(seed=1),
        partitioner=v1.fixed_size_partitioner(3),
    )
    rows = v1.nn.embedding_lookup(list(embedding), ids, partition_strategy="div")
    normalized = _normalize(rows, training)
    kernel = v1.get_variable(
        "dense/kernel", [_WIDTH, 4], initializer=v1.glorot_uniform_initializer(seed=2)
    )
    v1.add_to_collection(_KEYS.REGULARIZATION_LOSSES, 0.01 * tf.nn.l2_loss(kernel))
    hub.add_signature(inputs=words, outputs=tf.tanh(normalized @ kernel))
    hub.add_signature("lookup", {"words": words}, {"ids": ids, "rows": rows, "words": words})
    hub.attach_message("about", wrappers_pb2.StringValue(value="published by the bridge"))


def _normalize(rows: tf.Tensor, training: bool) -> tf.Tensor:
    """Batch normalization without a scale; in training it keeps moving moments."""
    moving = [
        v1.get_variable(f"normalize/{name}", [_WIDTH], initializer=start, trainable=False)
        for name, start in (
            ("moving_mean", v1.zeros_initializer()),
            ("moving_variance", v1.ones_initializer()),
        )
    ]
    if training:
        moments = tf.nn.moments(rows, [0])
        for held, now in zip(moving, moments, strict=True):
            v1.add_to_collection(_KEYS.UPDATE_OPS, v1.assign_sub(held, 0.1 * (held - now)))
    mean, variance = moments if training else moving
    return (rows - mean) * tf.math.rsqrt(variance + 1e-3)
