"""What is done with a mutant, and how each step ended."""

from __future__ import annotations

import enum
import gc
import os
import traceback
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.plans.audit import audit_module
from hub_keras_bridge.running.runtime import _NO_GRADIENT
from stress.hostile.mutants import Mutant

v1 = tf.compat.v1
T = TypeVar("T")

_ROOT = Path(__file__).parent.parent.parent
# Inputs of a signature may be declared as large as one likes.
_MOST_ELEMENTS = 1 << 20
# Where the package is at work for TensorFlow, and no call of the user's is running.
_BUILDING = frozenset({"_import", "_table", "_once", "infer", "first_values", "read", "add"})


class Outcome(str, enum.Enum):
    """How a mutant ended; the worst of its steps."""

    COMPUTED = "computed"
    REFUSED = "refused"
    COMPUTING = "TensorFlow's own error while computing"
    ENDLESS = "computing without end"
    RAW = "raw error"
    BARE = "error without its module or what was found"
    OUTSIDE = "file outside"
    MEMORY = "memory"
    HANG = "hang"
    CRASH = "crash"


FINDINGS = frozenset(list(Outcome)[list(Outcome).index(Outcome.RAW) :])


@dataclass(frozen=True)
class Step:
    """One step and how it ended.

    Attributes:
        name: of the step.
        outcome: how it ended.
        error: what was raised, with the line that raised it.
    """

    name: str
    outcome: Outcome
    error: str = ""


class _NotTried(Exception):
    """A step needs what an earlier one did not bring, or takes too much."""


def exercise(mutant: Mutant, place: Path, announce: Callable[[str], None]) -> Iterator[Step]:
    """Reads, audits, loads, calls, trains and exports a mutant.

    Args:
        mutant: what to try.
        place: the folder that all it writes must stay in.
        announce: is told each step before it begins.
    """
    trial = _Trial(announce)
    spec = yield from trial.step("read", lambda: _read(mutant.folder))
    if spec is None:
        return
    yield from trial.step("audit", lambda: audit_module(spec))
    for tags, signature in mutant.some(list(_uses(spec))):
        yield from _exercise_use(trial, spec, tags, signature, place / "out")
    keras.backend.clear_session()
    gc.collect()
    yield from _outside(place)


def _exercise_use(
    trial: _Trial, spec: hub.ModuleSpec, tags: frozenset[str], signature: str, out: Path
) -> Iterator[Step]:
    """All that is done with one signature of one variant."""
    use = f"{sorted(tags)}, {signature!r}"
    layer = yield from trial.step(f"layer {use}", lambda: _layer(spec, tags, signature))
    if layer is None:
        return  # Safe mode may have had its reasons: no session either.
    yield from trial.step(f"shapes {use}", lambda: _symbolic(layer, tags, signature))
    yield from trial.step(f"call {use}", lambda: layer(_inputs(spec, tags, signature)))
    layer.trainable = True
    yield from trial.step(f"train {use}", lambda: _train(layer, spec, tags, signature))
    yield from trial.step(f"session {use}", lambda: _session(spec, tags, signature))
    yield from trial.step(f"export {use}", lambda: _export(layer, out))


class _Trial:
    """Takes steps, whatever they raise."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce

    def step(self, name: str, action: Callable[[], T]) -> Generator[Step, None, T | None]:
        """Yields how an action ended; its result, or None."""
        self._announce(name)
        try:
            result = action()
        except _NotTried:
            return None
        except Exception as error:
            yield _judge(name, error)
            return None
        yield Step(name, Outcome.COMPUTED)
        return result


def _read(folder: Path) -> hub.ModuleSpec:
    spec = hub.load_module_spec(folder)
    for tags, signature in _uses(spec):
        spec.get_input_info_dict(signature, tags)
        spec.get_output_info_dict(signature, tags)
    for tags in spec.get_tags():
        spec.get_attached_message("note", wrappers_pb2.StringValue, tags)
        spec.get_attached_message("image_module_info", hub.ImageModuleInfo, tags)
    _ = spec.variables, repr(spec), spec._repr_html_()
    return spec


def _uses(spec: hub.ModuleSpec) -> Iterator[tuple[frozenset[str], str]]:
    for tags in spec.get_tags():
        for signature in spec.get_signature_names(tags):
            yield tags, signature


def _layer(spec: hub.ModuleSpec, tags: frozenset[str], signature: str) -> hub.ModuleLayer:
    layer = hub.ModuleLayer(spec, tags=tags, signature=signature, as_dict=True, name="mutant")
    layer.build()
    return layer


def _symbolic(layer: hub.ModuleLayer, tags: frozenset[str], signature: str) -> Any:
    infos = layer.spec.get_input_info_dict(signature, tags)
    if not all(isinstance(info.type_spec, tf.TensorSpec) for info in infos.values()):
        raise _NotTried
    shapes = {name: info.get_shape() for name, info in infos.items()}
    if any(shape.rank in (None, 0) for shape in shapes.values()):
        raise _NotTried
    try:
        symbols = {
            name: keras.KerasTensor(tuple(shape), infos[name].dtype.name)
            for name, shape in shapes.items()
        }
    except ValueError as error:
        raise _NotTried from error  # Keras does not know the dtype.
    return layer.compute_output_spec(symbols)


def _train(
    layer: hub.ModuleLayer, spec: hub.ModuleSpec, tags: frozenset[str], signature: str
) -> None:
    with tf.GradientTape() as tape:
        outputs = layer(_inputs(spec, tags, signature), training=True)
        floats = [
            t for t in tf.nest.flatten(outputs, expand_composites=True) if t.dtype.is_floating
        ]
        loss = tf.add_n([tf.reduce_sum(tf.cast(value, tf.float32)) for value in floats] or [0.0])
        loss += tf.add_n(
            [tf.cast(tf.reduce_sum(each), tf.float32) for each in layer.losses] or [0.0]
        )
    tape.gradient(loss, layer.trainable_weights and [v.value for v in layer.trainable_weights])


def _session(spec: hub.ModuleSpec, tags: frozenset[str], signature: str) -> None:
    with tf.Graph().as_default():
        module = hub.Module(spec, trainable=True, tags=tags)
        outputs = module(_inputs(spec, tags, signature), signature=signature, as_dict=True)
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            session.run([tf.nest.flatten(outputs, expand_composites=True), _updates()])


def _updates() -> list[Any]:
    return v1.get_collection(v1.GraphKeys.UPDATE_OPS)


def _export(layer: hub.ModuleLayer, out: Path) -> None:
    layer.export_module(out)
    hub.load_module_spec(out)


# --- inputs ---


def _inputs(spec: hub.ModuleSpec, tags: frozenset[str], signature: str) -> dict[str, Any]:
    infos = spec.get_input_info_dict(signature, tags)
    return {name: _value(info) for name, info in infos.items()}


def _value(info: ParsedTensorInfo) -> Any:
    shape = info.get_shape()
    if shape.rank is None or shape.rank > 8:
        raise _NotTried
    sizes = [2 if size is None else size for size in shape]
    if int(np.prod(sizes, dtype=np.float64)) > _MOST_ELEMENTS:
        raise _NotTried
    if info.is_sparse:
        dense = _dense(sizes, info.dtype)
        return tf.sparse.from_dense(dense)
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(
            _dense(sizes, info.dtype),
            ragged_rank=max(info.type_spec.ragged_rank, 1),
            row_splits_dtype=info.type_spec.row_splits_dtype,
        )
    return _dense(sizes, info.dtype)


def _dense(sizes: list[int], dtype: tf.DType) -> tf.Tensor:
    if dtype == tf.string:
        return tf.fill(sizes, "a b")
    try:
        return tf.ones(sizes, dtype)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise _NotTried from error  # No value can be of this dtype.


# --- verdicts ---


def _judge(step: str, error: BaseException) -> Step:
    told = f"{type(error).__name__}: {str(error)[:2000]}"
    if isinstance(error, hub.HubError):
        whole = error.found and (error.subject.module or step.startswith("export"))
        return Step(step, Outcome.REFUSED if whole else Outcome.BARE, told)
    if isinstance(error, LookupError) and _NO_GRADIENT in str(error):
        # From within TensorFlow's gradient, which has words for a reason alone.
        return Step(step, Outcome.REFUSED, told)
    where = traceback.extract_tb(error.__traceback__)
    told += "".join(
        f"\n  {os.path.relpath(f.filename, _ROOT)}:{f.lineno} {f.name}"
        for f in where
        if "hub_keras_bridge" in f.filename or "stress" in f.filename
    )
    if isinstance(error, tf.errors.OpError) and _is_computing(step, error.__traceback__):
        return Step(step, Outcome.COMPUTING, told)
    return Step(step, Outcome.RAW, told)


def _is_computing(step: str, trace: TracebackType | None) -> bool:
    """Whether an error came out of running a graph that was built."""
    names = [
        frame.name for frame in traceback.extract_tb(trace) if "hub_keras_bridge" in frame.filename
    ]
    return step.split()[0] in ("call", "train", "session") and not _BUILDING & set(names)


def stack_is_computing(step: str, stack: str) -> bool:
    """The same of a stack that ``faulthandler`` wrote."""
    building = any(f" in {name}\n" in stack for name in _BUILDING)
    return step.split()[0] in ("call", "train", "session") and not building


def _outside(place: Path) -> Iterator[Step]:
    """Looks whether anything lies where it should not."""
    expected = {"module", "outside", "temporary", "home", "out"}
    found = [path.name for path in place.iterdir() if path.name not in expected]
    found += [f"temporary/{path.name}" for path in (place / "temporary").glob("*")]
    found += [f"home/{path.name}" for path in (place / "home").glob("*")]
    secret = (place / "outside" / "secret").read_bytes()
    for path in place.glob("out/**/*"):
        if path.is_symlink() or (path.is_file() and path.read_bytes() == secret):
            found.append(str(path.relative_to(place)))
    for path in (place / "outside").iterdir():
        if path.name not in ("secret", "assets", "variables"):
            found.append(str(path.relative_to(place)))
    if found:
        yield Step("files", Outcome.OUTSIDE, ", ".join(found))
