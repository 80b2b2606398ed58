"""The values that a module's variables start from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.graphs.prune import prune
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.trust import EVERYTHING, Trust
from hub_keras_bridge.running.seeds import with_seeds

_GROUP_BYTES = 16 * 2**20
_AHEAD = 2  # Groups that are being read at once.


def first_values(
    spec: ModuleSpec, tags: Collection[str], needed: Collection[str], trust: Trust
) -> Iterator[tuple[VariableFacts, tf.Tensor | np.ndarray]]:
    """Each variable with its value, for the caller to keep and take the next.

    What is read ahead is a part of what the caller will have in the end.

    Args:
        spec: the module. With a checkpoint, values come from there, but for variables
            that start anew; a spec made in memory runs its initializers; of one without
            graphs, all are zero.
        tags: the variant whose initializers count.
        needed: nodes of variables that must have a value; another, or one that no
            Saver saves, is left out if the checkpoint does not have it.
        trust: what of the initializers, if they run, may reach outside the module;
            anything, in a spec that this program made.

    Raises:
        CheckpointError: the checkpoint cannot be opened or lacks a variable.
        UnsafeModuleError: something else of an initializer may reach outside.
    """
    if not spec.variables:
        return
    if spec.files.facts_only:
        for facts in spec.variables:
            yield facts, np.zeros(facts.shape, facts.dtype.as_numpy_dtype)
    elif spec.files.checkpoint is None:
        values = initial_values(spec, tags, EVERYTHING if spec.files.made_here else trust)
        for facts in spec.variables:
            yield facts, np.asarray(values[facts.node])
    else:
        checkpoint = Checkpoint(spec.files.checkpoint, spec.subject, spec.files.name_in_checkpoint)
        anew = {facts.node for facts in spec.variables if spec.files.starts_anew(facts.name)}
        present = [
            facts
            for facts in spec.variables
            if facts.node not in anew
            and ((facts.is_global and facts.node in needed) or checkpoint.has(facts))
        ]
        yield from read_ahead(checkpoint, present)
        if anew:
            values = initial_values(spec, tags, trust, only=anew)
            yield from (
                (facts, values[facts.node]) for facts in spec.variables if facts.node in anew
            )


def read_ahead(
    checkpoint: Checkpoint, variables: Sequence[VariableFacts]
) -> Iterator[tuple[VariableFacts, tf.Tensor]]:
    """Variables with their values, some being read while the caller keeps those before.

    Raises:
        CheckpointError: one does not fit, before any is read; or is damaged.
    """
    for facts in variables:
        checkpoint.check(facts)
    groups = list(_groups(variables))
    if len(groups) == 1:
        # Nothing to do meanwhile, and a thread takes its time, too.
        yield from zip(groups[0], checkpoint.read_together(groups[0]), strict=True)
        return
    with ThreadPoolExecutor(_AHEAD) as readers:
        reading: deque[Future[list[tf.Tensor]]] = deque()
        for number, group in enumerate(groups):
            for each in groups[number + len(reading) : number + _AHEAD + 1]:
                reading.append(readers.submit(checkpoint.read_together, each))
            yield from zip(group, reading.popleft().result(), strict=True)


def _groups(several: Sequence[VariableFacts]) -> Iterator[list[VariableFacts]]:
    """Cuts a list into runs to read at once: opening a checkpoint takes its time."""
    group: list[VariableFacts] = []
    size = 0
    for facts in several:
        size += math.prod(facts.shape) * facts.dtype.size
        group.append(facts)
        if size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def initial_values(
    spec: ModuleSpec,
    tags: Collection[str],
    trust: Trust,
    only: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Runs the variables' initializers as TF1 would, in one session.

    Args:
        spec: the module.
        tags: the variant whose initializers count; for a variable that it does
            not have, those of the first variant that has it.
        trust: what of the initializers may reach outside the module.
        only: nodes of the variables that are asked for; None for all.

    Returns:
        Node of each variable -> its value.
    """
    values: dict[str, np.ndarray] = {}
    for variant_tags in sorted(spec.get_tags(), key=lambda other: other != frozenset(tags)):
        variant = spec.variant(variant_tags)
        facts = [
            f
            for f in variant.variables
            if f.node not in values and (only is None or f.node in only)
        ]
        if not facts:
            continue
        initializers = [graph.node_name(f.initializer) for f in facts]
        pruned = prune(variant.meta_graph.graph_def, initializers, {}, variant.subject)
        graph_def = with_seeds(pruned.graph_def, variant.subject)
        graph_def.library.CopyFrom(library.reachable(graph_def.library, graph_def.node))
        own_state = {f.node for f in variant.variables} | variant.resources
        safe_mode.require_safe_graph(graph_def, own_state, variant.subject, trust)
        with (
            refusing(
                variant.subject,
                "Cannot compute the initial values of a TF1 Hub module's variables.",
                "initializers that this TensorFlow can run",
            ),
            tf.Graph().as_default() as built,
        ):
            tf.graph_util.import_graph_def(graph_def, name="module")
            fetches = [
                tf.raw_ops.ReadVariableOp(
                    resource=built.get_tensor_by_name(f"module/{f.node}:0"), dtype=f.dtype
                )
                for f in facts
            ]
            with tf.compat.v1.Session() as session:
                session.run([built.get_operation_by_name(f"module/{i}") for i in initializers])
                values |= zip((f.node for f in facts), session.run(fetches), strict=True)
    return values
