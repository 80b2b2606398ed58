"""From a module to a file of an inference engine, which computes TensorFlow's numbers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import ConversionError, EngineError, InputError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import listed, show_shape
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files import exporting
from hub_keras_bridge.frontends.compiled.choosing import TENSORFLOW, tried
from hub_keras_bridge.frontends.compiled.compile import frozen_call
from hub_keras_bridge.frontends.compiled.examples import inputs_to_try
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.engines.engine import EngineOptions, FileEngine, first_line
from hub_keras_bridge.running.frozen_call import Arrays, FrozenCall, Run
from hub_keras_bridge.running.place import need_eager_execution
from hub_keras_bridge.tools.convert.file_kinds import FileKind
from hub_keras_bridge.tools.convert.origin import CANNOT_WRITE, Handle, Path
from hub_keras_bridge.tools.convert.preflight import require_engine_file
from hub_keras_bridge.tools.convert.whole_call import whole_graph

Source: TypeAlias = Handle | ModuleLayer
# Name -> dtype and shape.
Ports: TypeAlias = dict[str, tf.TensorSpec]

# Of the inputs that are made up: each dimension that is open has two sizes.
_BATCH_SIZES = (1, 3)
_SIDES = (32, 16)


@dataclass(frozen=True)
class EngineFile:
    """What is in a file that a module was converted to.

    Attributes:
        inputs: name -> dtype and shape, where None is a size that may change.
        outputs: likewise.
        unread: inputs of the signature that no output needs, so that the file has them not.
        difference: the largest from TensorFlow's numbers, as a part of the largest number
            in its output.
    """

    inputs: Ports
    outputs: Ports
    unread: tuple[str, ...]
    difference: float


@dataclass(frozen=True)
class Target:
    """What to convert to.

    Attributes:
        kind: the file.
        engine: what writes and runs it.
        ports: from a file, and the graph that it was made of, to its inputs and its outputs.
    """

    kind: FileKind
    engine: FileEngine
    ports: Callable[[str, NumericGraph], tuple[Ports, Ports]]


def choice_of(
    source: Source,
    signature: str | None,
    output_key: str | Sequence[str] | None,
    tags: Collection[str] | None,
    trust: Trust,
) -> Choice:
    """The outputs that are named; else all, or what a layer returns where nothing is named.

    Where it may be, that is by name: the file has names for all of them.
    """
    as_layer = isinstance(source, ModuleLayer) and signature is None
    as_dict = not output_key and not as_layer
    keys = [output_key] if isinstance(output_key, str) else output_key
    return Choice.of(signature, keys, as_dict, None, tags, None, trust)


def write(
    target: Target,
    source: Source,
    path: Path,
    choice: Choice,
    examples: Any,
    options: EngineOptions,
) -> EngineFile:
    """Converts a call, and puts the file in place once it was opened and compared.

    Args:
        target: what to convert to.
        source: a module, a SavedModel or a layer.
        path: of the file to make.
        choice: what of the source.
        examples: what the file is compared on, as a call takes it; made up if None.
        options: how the engine is to run.

    Raises:
        ConversionError: the call is no graph of numbers, the engine cannot run it, it
            computes other numbers, or a package is missing.
        ExportError: the target is taken, has another ending or cannot be written.
        InputError: an example does not fit, or none can be made up.
        HubError: what :class:`ModuleLayer` raises.
    """
    kind = target.kind
    subject = _subject_of(source)
    require_engine_file(kind, path, subject)
    need_eager_execution(
        f"Cannot convert a {subject.kind} in a TF1 graph.",
        subject,
        functions="TensorFlow 2",
        advice="convert it outside the graph",
    )
    call = _frozen(source, choice, kind)
    graph = whole_graph(call, kind.noun)
    batches = inputs_to_try(call, examples, _BATCH_SIZES, _SIDES)
    with _new(kind, path, call.subject) as file:
        run = _written(target, graph, file, options, call.subject)
        difference = _compared(target, call, graph, run, batches, options)
        inputs, outputs = target.ports(file, graph)
    unread = tuple(name for name in call.takes if name not in graph.inputs)
    return EngineFile(inputs, outputs, unread, difference)


def _subject_of(source: Source) -> Subject:
    """For what is told before anything is loaded."""
    if isinstance(source, ModuleSpec):
        return source.subject
    return Subject() if isinstance(source, ModuleLayer) else Subject(redact(os.fspath(source)))


def _frozen(source: Source, choice: Choice, kind: FileKind) -> FrozenCall:
    try:
        return frozen_call(source, choice)
    except ConversionError as error:
        raise ConversionError(
            f"Cannot convert a {error.subject.kind} to {kind.noun}: its weights cannot be in it.",
            error.subject,
            expected=error.expected,
            found=error.found,
            advice="convert to savedmodel",
        ) from error


def _new(kind: FileKind, path: Path, subject: Subject) -> contextlib.AbstractContextManager[str]:
    if kind.beside is None:
        return exporting.new_file(path, subject, CANNOT_WRITE)
    return exporting.new_pair(path, kind.beside, subject, CANNOT_WRITE)


def _written(
    target: Target, graph: NumericGraph, file: str, options: EngineOptions, subject: Subject
) -> Run:
    try:
        target.engine.write(graph, file, options)
        return target.engine.open(file, options)
    except OSError:
        raise
    except EngineError as error:
        raise _refused(target, subject, error.found) from error
    except Exception as error:  # Of whatever class a converter has.
        raise _refused(target, subject, f"{type(error).__name__}: {first_line(error)}") from error


def _refused(target: Target, subject: Subject, found: str | None) -> ConversionError:
    return ConversionError(
        f"Cannot convert a {subject.kind} to {target.kind.noun}.",
        subject,
        expected="ops that the converter and the engine know",
        found=found,
        advice="choose outputs that need none of them with output_key=..., or use "
        "hub.compile(...), which takes what can run it; or convert to savedmodel",
    )


def _compared(
    target: Target,
    call: FrozenCall,
    graph: NumericGraph,
    run: Run,
    batches: Sequence[list[np.ndarray]],
    options: EngineOptions,
) -> float:
    """The largest difference from TensorFlow's numbers.

    Raises:
        ConversionError: it is too large.
    """
    name, names = target.engine.name, list(call.takes)
    read = [names.index(each) for each in graph.inputs]
    runs = {
        TENSORFLOW: _by_tensorflow(call),
        name: lambda flat: run([np.asarray(flat[i]) for i in read]),
    }
    found = tried(runs, batches, exact=not options.int8, clock=False)
    if name in found.differences:
        return found.differences[name]
    raise ConversionError(
        f"Cannot convert a {call.subject.kind} to {target.kind.noun}: what it became is not the "
        "same.",
        call.subject,
        expected=f"TensorFlow's numbers from {name}",
        found=found.excluded[name],
        advice="use hub.compile(...), which takes an engine that agrees; or convert to savedmodel",
    )


def _by_tensorflow(call: FrozenCall) -> Run:
    run = call.by_tensorflow()

    def checked_run(flat: Arrays) -> Arrays:
        try:
            return run(flat)
        except tf.errors.OpError as error:
            raise InputError(
                f"Cannot compare a {call.subject.kind} with what it was converted to.",
                call.subject,
                expected="inputs that it can run on",
                found=f"{first_line(error)}; inputs of shapes "
                + listed(show_shape(array.shape) for array in flat),
                advice="in Python, pass examples=[...], a list of batches as a call takes them",
            ) from error

    return checked_run
