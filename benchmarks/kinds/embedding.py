"""A text embedding: sentences in, the scaled sum of their words' vectors out."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Twin
from benchmarks.vocabulary import line_numbers

v1 = tf.compat.v1

_WORDS, _WIDTH = 200_000, 128
# Rows that Keras's TextVectorization keeps for padding and unknown words.
_PADDING, _UNKNOWN, _FIRST = 0, 1, 2
_VOCABULARY = "vocabulary.txt"
_LENGTHS = 5, 20  # Of a sentence, in words.


def _words(megabytes: float) -> int:
    return round(megabytes * 2**20 / (4 * _WIDTH)) - _FIRST


def _megabytes(words: int) -> float:
    return 4 * (words + _FIRST) * _WIDTH / 2**20


# --- the module ---


def _make_spec(megabytes: float, folder: Path) -> hub.ModuleSpec:
    vocabulary = folder / _VOCABULARY
    vocabulary.write_text("".join(f"word{number}\n" for number in range(_words(megabytes))))
    return hub.create_module_spec(functools.partial(_module_fn, megabytes, str(vocabulary)))


def _module_fn(megabytes: float, vocabulary: str) -> None:
    v1.set_random_seed(1)
    sentences = v1.placeholder(tf.string, [None])
    words = v1.string_split(sentences)
    table = tf.lookup.StaticHashTable(
        line_numbers(vocabulary),
        default_value=_UNKNOWN - _FIRST,
    )
    ids = tf.SparseTensor(words.indices, table.lookup(words.values) + _FIRST, words.dense_shape)
    embeddings = v1.get_variable(
        "embeddings",
        [_words(megabytes) + _FIRST, _WIDTH],
        initializer=v1.random_uniform_initializer(-0.5, 0.5, seed=1),
    )
    vectors = v1.nn.embedding_lookup_sparse(embeddings, ids, None, combiner="sqrtn")
    hub.add_signature(inputs=sentences, outputs=vectors)


# --- the native twin ---


class SquareRootSum(keras.layers.Layer):
    """Sums the vectors of a sentence's words, divided by the root of their number."""

    def call(self, vectors: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """From [batch, words, width] and ids of [batch, words], 0 where there is no word."""
        used = keras.ops.cast(keras.ops.not_equal(ids, _PADDING), vectors.dtype)[..., None]
        return keras.ops.sum(vectors * used, 1) / keras.ops.sqrt(keras.ops.sum(used, 1))


def _make_twin(megabytes: float, path: Path) -> Twin:
    sentences = keras.Input((), dtype="string")
    ids = keras.layers.TextVectorization(
        standardize=None,
        split="whitespace",
        vocabulary=str(path / "assets" / _VOCABULARY),
    )(sentences)
    embedding = keras.layers.Embedding(_words(megabytes) + _FIRST, _WIDTH)
    mean = SquareRootSum()(embedding(ids), ids)
    return Twin(keras.Model(sentences, mean), {"embeddings": embedding.embeddings})


def _sample(count: int, seed: int) -> np.ndarray:
    """Sentences of common and rare words, some of them in no vocabulary."""
    random = np.random.default_rng(seed)
    lengths = random.integers(*_LENGTHS, count)
    # As often as words are in a language: rank times frequency is constant.
    ranks = np.exp(random.uniform(0, np.log(1.05 * _WORDS), lengths.sum())).astype(int)
    words = iter(ranks)
    sentences = (" ".join(f"word{next(words)}" for _ in range(length)) for length in lengths)
    return np.array(list(sentences), object)


KIND = Kind(
    name="embedding",
    title="text embedding",
    items="sentences",
    megabytes=_megabytes(_WORDS),
    shape=(),
    dtype="string",
    batch_size=64,
    learning_rate=1.0,
    make_spec=_make_spec,
    sample=_sample,
    make_twin=_make_twin,
)
