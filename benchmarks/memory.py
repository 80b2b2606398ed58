"""What a module costs in memory, and whether memory comes back.

Each case runs in a process of its own, whose baseline is taken after all
imports and after a small module, or its peer, was loaded and called once.
"""

from __future__ import annotations

import functools
import gc
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.processes import printed_by
from benchmarks.resident import peak, resident
from benchmarks.vocabulary import line_numbers

v1 = tf.compat.v1

_MB = 1 << 20
_ROWS = 512  # Of each weight matrix.
_SMALL_MB = 1

# Measures in a folder of modules; the number is a size in MB or of rounds.
Case = Callable[[Path, int], Any]


def run(quick: bool) -> tuple[str, dict[str, Any]]:
    """Measures all cases; a report in Markdown, and the figures."""
    size, rounds = (50, 30) if quick else (200, 100)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # A process of its own, so that no case inherits the publisher's memory.
        _in_process("publish", folder, size)
        copies = {n: _in_process(f"copies of {n}", folder, size) for n in _COPIES}
        loops = {n: _in_process(f"loop of {n}", folder, rounds) for n in _LOOPS}
    figures = {"size_mb": size, "copies": copies, "rounds": rounds, "loops": loops}
    return "\n".join([*_copies_table(size, copies), "", *_loops_table(loops)]), figures


def _in_process(case: str, folder: Path, number: int) -> Any:
    code = f"from benchmarks import memory; memory.child({case!r}, {str(folder)!r}, {number})"
    return printed_by(["-c", code])


def child(case: str, folder: str, number: int) -> None:
    """Runs one case and prints its figures as JSON, for :func:`run`."""
    print(json.dumps(_CASES[case](Path(folder), number)))


# --- the modules ---


def publish(folder: Path, size: int) -> None:
    """Writes ``big`` with weights of ``size`` MB, ``small``, and ``text``."""
    for name, megabytes in (("big", size), ("small", _SMALL_MB)):
        _publish(folder / name, functools.partial(_matrices, megabytes))
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("".join(f"word{number}\n" for number in range(1000)))
    _publish(folder / "text", functools.partial(_text, str(vocabulary)))


def _publish(path: Path, module_fn: Callable[..., None]) -> None:
    variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
    hub.ModuleLayer(hub.create_module_spec(module_fn, variants)).export_module(path)


def _matrices(megabytes: int, training: bool) -> None:
    """Ten matrices that together have this size, applied side by side and normalized."""
    columns = megabytes * _MB // (10 * _ROWS * 4)
    x = v1.placeholder(tf.float32, [None, _ROWS])
    sums = [
        tf.reduce_sum(x @ v1.get_variable(f"matrix_{number}", [_ROWS, columns]), 1)
        for number in range(10)
    ]
    hub.add_signature(inputs=x, outputs=_normalize(tf.stack(sums, 1), training))
    hub.add_signature("sums", inputs=x, outputs=tf.stack(sums, 1))


def _text(vocabulary: str, training: bool) -> None:
    """Words, a table, an embedding."""
    words = v1.placeholder(tf.string, [None])
    table = tf.lookup.StaticVocabularyTable(
        line_numbers(vocabulary),
        num_oov_buckets=1,
    )
    rows = tf.gather(v1.get_variable("embedding", [1001, 8]), table.lookup(words))
    hub.add_signature(inputs=words, outputs=_normalize(rows, training))


def _normalize(values: tf.Tensor, training: bool) -> tf.Tensor:
    """Subtracts the mean: the batch's when training, when a moving mean is kept too."""
    moving = v1.get_variable(
        "moving_mean", values.shape[1:], initializer=v1.zeros_initializer(), trainable=False
    )
    mean = tf.reduce_mean(values, 0) if training else moving
    if training:
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(moving, 0.1 * (moving - mean)))
    return values - mean


# --- how many copies of its weights a loaded module holds ---


def _copies(load: Callable[[str], Any]) -> Case:
    """A case: what loading and using a module adds, in units of its weights.

    Args:
        load: from a module's path to a function of (x, training), or to
            whatever holds the weights.
    """

    def measure(folder: Path, size: int) -> dict[str, float]:
        _use(load(str(folder / "small")))
        gc.collect()
        baseline = resident()
        with peak() as highest:
            held = load(str(folder / "big"))
        loaded = resident()
        _use(held)
        gc.collect()
        return {
            "after load": (loaded - baseline) / (size * _MB),
            "peak during load": (highest() - baseline) / (size * _MB),
            "after use": (resident() - baseline) / (size * _MB),
        }

    return measure


def _use(held: Any) -> None:
    """One inference and one training call; no gradients, which are as large as the weights."""
    if callable(held):
        x = np.ones([2, _ROWS], np.float32)
        for training in (False, True):
            held(x, training)


def _module_layer(path: str) -> Callable[..., Any]:
    layer = hub.ModuleLayer(path, trainable=True)
    layer.build()
    return lambda x, training: layer(x, training=training)


def _two_signatures(path: str) -> Callable[..., Any]:
    layer = hub.ModuleLayer(path, trainable=True)
    sums = layer.with_signature("sums")
    sums.build()
    return lambda x, training: (layer(x, training=training), sums(x, training=training))


def _saved_model(path: str) -> Any:
    loaded = tf.saved_model.load(path, tags=[])
    # The variant for inference in both calls; it has no other.
    return lambda x, _: loaded.signatures["default"](tf.constant(x))


def _one_weight(path: str) -> Any:
    """A Keras layer with a single weight as large as the module's."""
    megabytes = _module_mb(path)
    layer = keras.layers.Layer()
    # Ones, since zeros that nobody wrote would take no memory.
    layer.add_weight(shape=(megabytes * _MB // 4,), initializer="ones")
    return layer.weights


def _module_mb(path: str) -> int:
    files = (Path(path) / "variables").iterdir()
    return round(sum(file.stat().st_size for file in files) / _MB)


# --- whether memory comes back ---


def _loop(one_round: Callable[[str], None]) -> Case:
    """A case: resident memory and what is alive, every ten rounds.

    Args:
        one_round: makes, uses and drops something, given a module's path.
    """

    def measure(folder: Path, rounds: int) -> dict[str, Any]:
        curve = []
        for number in range(rounds + 1):
            one_round(str(folder / "text"))
            gc.collect()
            if number % 10 == 0:
                curve.append({"round": number, "resident": resident(), **_live()})
        half = curve[len(curve) // 2 :]
        added = half[-1]["resident"] - half[0]["resident"]
        between = half[-1]["round"] - half[0]["round"]
        return {"curve": curve, "kb_per_round": added / between / 1024}

    return measure


def _round_of_module(path: str, **arguments: Any) -> None:
    layer = hub.ModuleLayer(path, trainable=True, **arguments)
    words = tf.constant(["word1", "word2", "unheard"])
    layer(words)
    _gradients(layer, words)


def _round_of_dense(_: str) -> None:
    """As many weights as the module has, and no table."""
    layer = keras.layers.Dense(8)
    x = tf.ones([3, 1001])
    layer(x)
    _gradients(layer, x)


def _gradients(layer: keras.layers.Layer, x: tf.Tensor) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    tape.gradient(loss, [weight.value for weight in layer.trainable_weights])


def _live() -> dict[str, int]:
    objects = gc.get_objects()
    kinds = {"layers": keras.layers.Layer, "graphs": tf.Graph, "variables": tf.Variable}
    # type(), since isinstance() would ask proxies whose target is gone.
    return {name: sum(issubclass(type(o), kind) for o in objects) for name, kind in kinds.items()}


_COPIES: dict[str, Case] = {
    "ModuleLayer(path, trainable=True)": _copies(_module_layer),
    "that layer, and layer.with_signature(name)": _copies(_two_signatures),
    "tf.saved_model.load(path, tags=[])": _copies(_saved_model),
    "a Keras layer with one weight": _copies(_one_weight),
}
_LOOPS: dict[str, Case] = {
    "ModuleLayer(path, trainable=True)": _loop(_round_of_module),
    # Keras counts names up (module_layer_1, ...), and TensorFlow keeps a kernel
    # for each new name of a variable; with one name there are none to keep.
    'the same with name="module"': _loop(functools.partial(_round_of_module, name="module")),
    "keras.layers.Dense(8)": _loop(_round_of_dense),
}
_CASES: dict[str, Case] = {
    "publish": publish,
    **{f"copies of {name}": case for name, case in _COPIES.items()},
    **{f"loop of {name}": case for name, case in _LOOPS.items()},
}


# --- report ---


def _copies_table(size: int, copies: dict[str, dict[str, float]]) -> Iterator[str]:
    columns = ["after load", "peak during load", "after use"]
    yield f"Memory added, in copies of {size} MB of weights:"
    yield ""
    yield f"| | {' | '.join(columns)} |"
    yield "|---|" + "---|" * len(columns)
    for name, figures in copies.items():
        yield f"| {name} | {' | '.join(f'{figures[c]:.2f}' for c in columns)} |"


def _loops_table(loops: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns = ["resident", "layers", "graphs", "variables"]
    yield "Make, call, take gradients, drop; alive and resident at the end:"
    yield ""
    yield f"| | KB per round, second half | MB {' | '.join(columns)} |"
    yield "|---|" + "---|" * (1 + len(columns))
    for name, figures in loops.items():
        end = {**figures["curve"][-1]}
        end["resident"] = round(end["resident"] / _MB)
        cells = " | ".join(str(end[column]) for column in columns)
        yield f"| {name} | {figures['kb_per_round']:+.1f} | {cells} |"
    for name, figures in loops.items():
        curve = ", ".join(f"{point['resident'] / _MB:.1f}" for point in figures["curve"])
        yield ""
        yield f"MB resident every ten rounds of {name}: {curve}"
