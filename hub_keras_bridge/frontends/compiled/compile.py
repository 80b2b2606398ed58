"""compile: a module as a fast callable for inference."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hub_keras_bridge.errors import EngineError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.compiled import kept
from hub_keras_bridge.frontends.compiled.choosing import (
    TENSORFLOW,
    Batch,
    dispatch,
    needed,
    tried,
)
from hub_keras_bridge.frontends.compiled.compiled import Compiled
from hub_keras_bridge.frontends.compiled.examples import BATCH_SIZES, inputs_to_try, size_of
from hub_keras_bridge.frontends.compiled.preparing import need_installed, prepared, reopened
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.frontends.keras3.opening import open_content
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.engines.engine import Engine, EngineOptions
from hub_keras_bridge.running.engines.table import ENGINES
from hub_keras_bridge.running.frozen_call import FrozenCall, Run

AUTO = "auto"


def compile(
    handle: str | os.PathLike[str] | ModuleSpec | ModuleLayer,
    *,
    signature: str | None = None,
    output_key: str | Sequence[str] | None = None,
    as_dict: bool = False,
    tags: Collection[str] | None = None,
    engine: str = AUTO,
    examples: Any = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    threads: int | None = None,
    int8: bool = False,
    keep: str | os.PathLike[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> Compiled:
    """Makes a fast callable of a module, a SavedModel or a layer, for inference alone.

    It is a snapshot: the weights are constants in it. After more training, compile again.

    Strings and lookup tables stay in TensorFlow; an engine runs the numbers that are made
    of them. Each engine is compared with TensorFlow on examples before it is used.
    ``engine="auto"`` also times all that are installed, at each batch size, and uses the
    fastest; ``print(compiled.report())`` tells times, choices and why others are not used.

    Example:

    >>> import numpy as np, tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     scale = tf.compat.v1.get_variable("scale", initializer=[[3.0, 5.0]])
    ...     hub.add_signature(inputs=x, outputs=x * scale)
    >>> compiled = hub.compile(hub.create_module_spec(module_fn), engine="tensorflow")
    >>> compiled(np.ones([2, 2], np.float32)).tolist()
    [[3.0, 5.0], [3.0, 5.0]]

    Args:
        handle: what :class:`ModuleLayer` takes; or a layer, of which the weights that it
            has now are taken, and what it runs, where that is not told here.
        signature: name of the signature, as in :class:`ModuleLayer`.
        output_key: name or names of the outputs, as there.
        as_dict: whether to return all outputs by name.
        tags: which variant; a layer has its own.
        engine: ``"auto"``, ``"tensorflow"``, or a name in ``hub.ENGINES``: ``"xla"``,
            ``"onnxruntime"`` (extra ``[onnx]``) or ``"openvino"`` (extra ``[openvino]``).
        examples: what engines are tried on: a batch as a call takes it, or a list of
            batches, of sizes that calls will have. Made up from the signature if None.
        batch_sizes: of the batches that are made up.
        threads: how many an engine uses for one call; None for as many as it likes.
            TensorFlow has one number for all (``tf.config.threading``).
        int8: whether to round the weights of matrix multiplications to 8 bits
            (``"onnxruntime"`` alone). The report tells how far outputs are off by it.
        keep: a folder where choice and converted files are kept. Where they are there
            already, for the same weights, versions and processor, nothing is converted
            or timed again.
        safe_mode: whether to refuse a module that reaches outside its own graph; a layer
            has its own.
        trusted_ops: names of ops that it may reach outside with even so, as an audit
            tells them; a layer has its own.

    Returns:
        A :class:`Compiled`.

    Raises:
        EngineError: there is no such engine, it is not installed, cannot run the graph,
            or computes other numbers.
        ConversionError: a call writes variables.
        InputError: an example does not fit, or none can be made up.
        HubError: what :class:`ModuleLayer` raises.
    """
    trust = Trust.of(safe_mode, trusted_ops)
    choice = Choice.of(signature, output_key, as_dict, None, tags, None, trust)
    call = frozen_call(handle, choice)
    engines = engines_named(engine, call.subject)
    options = EngineOptions(threads, int8)
    batches = inputs_to_try(call, examples, batch_sizes) if engines else []
    if not keep:
        with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
            return _tried(call, engine, engines, options, batches, folder)
    keep, key = os.fspath(keep), kept.key_of(call, engines, options, batches)
    if found := kept.read(keep, key, str(call.subject)):
        return _as_kept(call, engines, options, batches, found)
    with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
        compiled = _tried(call, engine, engines, options, batches, folder)
        kept.write(keep, key, compiled.report(), folder, needed(compiled.report(), engines))
    return compiled


def frozen_call(
    handle: str | os.PathLike[str] | ModuleSpec | ModuleLayer, choice: Choice
) -> FrozenCall:
    """What calls of a handle or of a layer run, with the weights as they are now.

    Raises:
        ConversionError: the call needs its variables, not their values alone.
        HubError: what :class:`ModuleLayer` raises.
    """
    if isinstance(handle, ModuleLayer):
        return handle.frozen(choice)
    return open_content(handle, choice, trainable=False).frozen()


def engines_named(name: str, subject: Subject) -> dict[str, Engine]:
    """Those that are to be tried, TensorFlow apart.

    Args:
        name: as :func:`compile` has it.
        subject: for messages.

    Raises:
        EngineError: there is no such engine, or it is not installed.
    """
    if name == AUTO:
        return dict(ENGINES)
    if name == TENSORFLOW:
        return {}
    if name not in ENGINES:
        raise EngineError(
            f"Cannot compile a {subject.kind}: no such engine.",
            subject,
            expected=f"one of {choices([AUTO, TENSORFLOW, *ENGINES])}",
            found=repr(name),
            advice="choose one of these, or add an Engine of your own to hub_keras_bridge.ENGINES",
        )
    need_installed(name, ENGINES[name], subject)
    return {name: ENGINES[name]}


def _tried(
    call: FrozenCall,
    asked: str,
    engines: Mapping[str, Engine],
    options: EngineOptions,
    batches: Sequence[Batch],
    folder: str,
) -> Compiled:
    """Prepares, compares and times engines.

    Args:
        call: what they are to run.
        asked: the name of one engine, or ``"auto"``.
        engines: those in question, TensorFlow apart.
        options: how they are to run.
        batches: what they are tried on.
        folder: for the files that they convert to.
    """
    graph = call.parts.numeric if engines else None
    made = prepared(graph, engines, options, folder, call.subject)
    if asked in made.refused:
        raise made.refused[asked]
    runs = {name: call.by(run) for name, run in made.runs.items()}
    runs[TENSORFLOW] = call.by_tensorflow()
    found = tried(runs, batches, exact=not options.int8, clock=asked == AUTO)
    if asked in found.excluded:
        raise EngineError(
            f"Cannot compile a {call.subject.kind} for the engine {asked!r}.",
            call.subject,
            expected="TensorFlow's numbers on the examples",
            found=found.excluded[asked],
            advice="use engine='tensorflow', or engine='auto', which takes the fastest that agrees",
        )
    chosen = {size: min(times, key=times.__getitem__) for size, times in found.times.items()}
    only = asked if asked in engines else TENSORFLOW
    report = Report(
        subject=str(call.subject),
        times=found.times,
        choices=chosen or {size_of(flat): only for flat in batches} or {1: only},
        differences=found.differences,
        excluded={**{n: e.found or e.problem for n, e in made.refused.items()}, **found.excluded},
    )
    return _compiled(call, runs, report, engines, batches)


def _compiled(
    call: FrozenCall,
    runs: Mapping[str, Run],
    report: Report,
    engines: Mapping[str, Engine],
    batches: Sequence[Batch],
) -> Compiled:
    # Without the call itself, whose graph has the weights once more.
    run = dispatch(runs, report, engines, batches)
    return Compiled(call.bind, run, call.pack, call.subject, report)


def _as_kept(
    call: FrozenCall,
    engines: Mapping[str, Engine],
    options: EngineOptions,
    batches: Sequence[Batch],
    found: kept.Kept,
) -> Compiled:
    """What was chosen, with the files that were kept."""
    runs = dict[str, Run]()
    for name in needed(found.report, engines):
        if name == TENSORFLOW:
            runs[name] = call.by_tensorflow()
            continue
        assert call.parts.numeric is not None  # The graph is the one that was converted.
        numeric, folder = call.parts.numeric, found.folder
        runs[name] = call.by(reopened(numeric, name, engines[name], options, folder, call.subject))
    return _compiled(call, runs, found.report, engines, batches)
