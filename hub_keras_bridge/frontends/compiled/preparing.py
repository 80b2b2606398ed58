"""Engines take in the numeric part of a call, or say why not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hub_keras_bridge.errors import EngineError, Subject
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running.engines.engine import Engine, EngineOptions, FileEngine, first_line
from hub_keras_bridge.running.engines.packages import Packages, not_installed
from hub_keras_bridge.running.frozen_call import Arrays, Run

NOTHING_NUMERIC = "All of the call is strings, tables or effects, which are TensorFlow's."


@dataclass(frozen=True)
class Prepared:
    """What engines made of a graph.

    Attributes:
        runs: engine -> what runs the graph.
        refused: engine -> the error that says why it does not.
    """

    runs: Mapping[str, Run]
    refused: Mapping[str, EngineError]


def prepared(
    graph: NumericGraph | None,
    engines: Mapping[str, Engine],
    options: EngineOptions,
    folder: str,
    subject: Subject,
) -> Prepared:
    """Lets each engine take in a graph.

    Args:
        graph: the numeric part of a call, if it has one.
        engines: by name.
        options: how they are to run.
        folder: for the files that they convert to; see :func:`path_of`.
        subject: for messages.
    """
    runs, refused = dict[str, Run](), dict[str, EngineError]()
    for name, engine in engines.items():
        try:
            runs[name] = _prepared(graph, name, engine, options, folder, subject)
        except EngineError as error:
            refused[name] = error
        except Exception as error:  # Of whatever class an engine, or one of the user's, has.
            refused[name] = _refusal(name, subject, f"{type(error).__name__}: {first_line(error)}")
            refused[name].__cause__ = error
    return Prepared(runs, refused)


def reopened(
    graph: NumericGraph,
    name: str,
    engine: Engine,
    options: EngineOptions,
    folder: str,
    subject: Subject,
) -> Run:
    """As an engine prepared a graph before, by the file that it was converted to.

    Args:
        graph: the graph.
        name: of the engine.
        engine: what converted it, if it converts at all.
        options: how it is to run.
        folder: where the file is.
        subject: for messages.
    """
    if isinstance(engine, FileEngine):
        run = engine.open(path_of(folder, name, engine), options)
    else:
        run = engine.prepare(graph, options)
    return _telling(run, name, subject)


def path_of(folder: str, name: str, engine: FileEngine) -> str:
    """The file that an engine of this name converts to, in a folder."""
    return os.path.join(folder, f"{name}{engine.ending}")


def need_installed(name: str, engine: Engine, subject: Subject) -> None:
    """Checks that the packages of an engine are there.

    Raises:
        EngineError: one is not.
    """
    if absent := engine.missing:
        raise not_installed(name, Packages(engine.packages, engine.extra), absent, subject)


def _prepared(
    graph: NumericGraph | None,
    name: str,
    engine: Engine,
    options: EngineOptions,
    folder: str,
    subject: Subject,
) -> Run:
    need_installed(name, engine, subject)
    if graph is None:
        raise _refusal(name, subject, NOTHING_NUMERIC)
    if options.int8 and not engine.rounds:
        raise _refusal(name, subject, "It does not round weights to 8 bits.")
    if isinstance(engine, FileEngine):
        engine.write(graph, path_of(folder, name, engine), options)
    return reopened(graph, name, engine, options, folder, subject)


def _telling(run: Run, name: str, subject: Subject) -> Run:
    """The same, whose errors tell what failed."""

    def told(arrays: Arrays) -> Arrays:
        try:
            return run(arrays)
        except Exception as error:  # Of whatever class an engine has.
            raise EngineError(
                f"The engine {name!r} failed in a call of a compiled {subject.kind}.",
                subject,
                expected="inputs that it can compute with, as with those that it was tried on",
                found=first_line(error),
                advice="compile with examples=[...] that are like these inputs, or with "
                "engine='tensorflow'",
            ) from error

    return told


def _refusal(name: str, subject: Subject, found: str) -> EngineError:
    return EngineError(
        f"Cannot compile a {subject.kind} for the engine {name!r}.",
        subject,
        expected="a graph with numbers that the engine can run",
        found=found,
        advice="use engine='tensorflow', or engine='auto', which takes the fastest that can",
    )
