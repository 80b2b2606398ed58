"""Long runs: memory stays as it is, and nothing is traced again and again."""

from __future__ import annotations

import contextlib
import gc
import random
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.resident import resident
from benchmarks.vocabulary import line_numbers
from hub_keras_bridge.running import runtime

v1 = tf.compat.v1

_WORDS = 1000
_FEATURES = 8
_POINTS = 40  # Where memory is looked at.

# Inference, training, and what fills the table; and the function around is
# traced for one shape, then with either size open, then with both.
_GRAPHS = 3
_TRACES = 4


# --- the module ---


def publish(path: str, seed: int = 0) -> str:
    """Publishes a text encoder whose inputs have any number of rows and words.

    A vocabulary, an embedding, a loop over the words, and dropout in a variant
    for training.
    """
    keras.utils.set_random_seed(seed)
    vocabulary = f"{path}.txt"
    with open(vocabulary, "w", encoding="utf-8") as stream:
        stream.writelines(f"word{number}\n" for number in range(_WORDS))
    variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
    spec = hub.create_module_spec(lambda training: _module_fn(vocabulary, training), variants)
    hub.ModuleLayer(spec).export_module(path)
    return path


def _module_fn(vocabulary: str, training: bool) -> None:
    words = v1.placeholder(tf.string, [None, None])
    table = tf.lookup.StaticVocabularyTable(
        line_numbers(vocabulary),
        num_oov_buckets=1,
    )
    embedding = v1.get_variable("embedding", [_WORDS + 1, _FEATURES])
    kernel = v1.get_variable("kernel", [_FEATURES, _FEATURES])
    values = tf.gather(embedding, table.lookup(words))
    if training:
        values = tf.nn.dropout(values, 0.1)

    def step(number: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number + 1, tf.tanh(state @ kernel + values[:, number])

    start = tf.zeros([tf.shape(words)[0], _FEATURES])
    length = tf.shape(words)[1]
    _, state = v1.while_loop(
        lambda number, _: number < length,
        step,
        [0, start],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, _FEATURES])],
    )
    hub.add_signature(inputs=words, outputs=state)


def batch(rows: int, words: int) -> tf.Tensor:
    """Words of the vocabulary, and some that are not in it."""
    numbers = np.arange(rows * words).reshape(rows, words) * 37 % (_WORDS + 50)
    return tf.constant([[f"word{number}" for number in row] for row in numbers.tolist()])


# --- what is done over and over ---


def load_use_drop(rounds: int) -> dict[str, Any]:
    """Loads a layer, calls and differentiates it, drops it."""
    with tempfile.TemporaryDirectory() as folder:
        path = publish(f"{folder}/module")
        words = batch(3, 4)

        def one_round(_: int) -> None:
            layer = hub.ModuleLayer(path, trainable=True)
            layer(words)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(words, training=True) ** 2)
            tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

        return {"rounds": rounds, **_memory_of(one_round, rounds)}


def varied_calls(calls: int, seed: int = 0) -> dict[str, Any]:
    """Calls one layer with ever other batch sizes and sequence lengths.

    By itself, training in turn, and in a ``tf.function`` as a user would write
    it, with ``reduce_retracing``.

    Raises:
        RuntimeError: more was traced than there are kinds of calls.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, _counted_imports() as imports:
        layer = hub.ModuleLayer(publish(f"{folder}/module"), trainable=True)
        sizes = set()

        @tf.function(reduce_retracing=True)
        def classify(words: tf.Tensor) -> tf.Tensor:
            return tf.argmax(layer(words), -1)

        def one_call(number: int) -> None:
            size = draw.randint(1, 32), draw.randint(1, 16)
            sizes.add(size)
            words = batch(*size)
            if number % 4 == 3:
                classify(words)
            else:
                layer(words, training=number % 4 == 1)

        memory = _memory_of(one_call, calls)
        traces = classify.experimental_get_tracing_count()
        if len(imports) > _GRAPHS or traces > _TRACES:
            raise RuntimeError(f"{len(imports)} graphs were imported, {traces} traced around them.")
        return {
            "calls": calls,
            "shapes": len(sizes),
            "graphs imported": len(imports),
            "traces of the function around": traces,
            **memory,
        }


@contextlib.contextmanager
def _counted_imports() -> Iterator[list[str]]:
    """Yields a list to which each graph is added that a layer imports to run it."""
    imported: list[str] = []
    import_plan = runtime.import_plan

    def counting(chosen: Any, *arguments: Any) -> Any:
        imported.append(str(chosen.subject))
        return import_plan(chosen, *arguments)

    with mock.patch.object(runtime, "import_plan", counting):
        yield imported


def _memory_of(one_round: Callable[[int], None], rounds: int) -> dict[str, Any]:
    """Runs rounds; how much higher memory rose in the second half of them than in the first."""
    curve = []
    for number in range(rounds):
        if number % max(1, rounds // _POINTS) == 0:
            gc.collect()
            curve.append(resident())
        one_round(number)
    gc.collect()
    curve.append(resident())
    half = len(curve) // 2
    # The highest, since memory goes up and down with Python's own collections.
    risen = max(curve[half:]) - max(curve[:half])
    return {
        "KB risen per round": risen / 1024 / (rounds / 2),
        "MB resident": [round(size / 2**20, 1) for size in curve],
    }
