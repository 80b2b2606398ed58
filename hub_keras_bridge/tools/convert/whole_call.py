"""A call whose whole is numbers, as a file of an inference engine has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors import ConversionError
from hub_keras_bridge.errors.words import choices, listed
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.graphs.dividing import foreign_ops
from hub_keras_bridge.graphs.graph import is_control
from hub_keras_bridge.plans.frozen import numeric_graph
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running.frozen_call import FrozenCall

# These hold or hand on a string, and say nothing of what it is for.
_HANDING_ON = {"Const", "Identity", "IdentityN"}


def whole_graph(call: FrozenCall, noun: str) -> NumericGraph:
    """All of a call as one graph of numbers.

    Assertions are left out: no number is made of them.

    Args:
        call: the call.
        noun: what it is converted to, for messages.

    Raises:
        ConversionError: it has strings, tables or effects, or sparse or ragged tensors.
    """
    _need_dense(call, noun)
    outputs = dict(zip(call.gives, call.whole.fetches, strict=True))
    _need_numbers(call, outputs, noun)
    graph_def, prefix = _in_a_scope(call.whole.graph_def, {*call.takes, *call.gives})
    leaving = [(prefix + tensor, name) for name, tensor in outputs.items()]
    pairs = zip(call.takes, call.inputs, strict=True)
    entering = {prefix + tensor: (name, call.specs[tensor]) for name, tensor in pairs if tensor}
    return numeric_graph(graph_def, entering, leaving)


def _need_dense(call: FrozenCall, noun: str) -> None:
    if found := _such(call, lambda info: info.is_composite):
        raise ConversionError(
            f"Cannot convert a {call.subject.kind} to {noun}: it takes dense tensors alone.",
            call.subject,
            expected="dense inputs and outputs",
            found=listed(found),
            advice="use hub.compile(...), which takes others, too; or convert to savedmodel",
        )
    if not any(call.inputs):
        raise ConversionError(
            f"Cannot convert a {call.subject.kind} to {noun}: no output depends on an input.",
            call.subject,
            expected="at least one",
            found="constants alone",
            advice="call a ModuleLayer or what load() returns once, and keep the numbers",
        )


def _need_numbers(call: FrozenCall, outputs: Mapping[str, str], noun: str) -> None:
    graph_def = call.whole.graph_def
    ops = foreign_ops(graph_def, outputs.values())
    strings = _such(call, lambda info: info.dtype == tf.string)
    if not ops and not strings:
        return
    numeric = [
        name
        for name, tensor in outputs.items()
        if call.gives[name].dtype != tf.string and not foreign_ops(graph_def, [tensor])
    ]
    other = f"choose of the outputs {choices(numeric)} with output_key=..., or " if numeric else ""
    named = ops - _HANDING_ON
    raise ConversionError(
        f"Cannot convert a {call.subject.kind} to {noun}: it is not made of numbers alone.",
        call.subject,
        expected="no strings, lookup tables, random numbers or other effects",
        found=listed([*strings, *([f"ops {choices(named)}"] if named else [])]),
        advice=f"{other}use hub.compile(...), which leaves these to TensorFlow and the rest to an "
        "engine; or convert to savedmodel",
    )


def _such(call: FrozenCall, is_such: Callable[[ParsedTensorInfo], bool]) -> list[str]:
    """The inputs that are read, and the outputs, that something is true of, in words."""
    # A composite is of several tensors, and not all of one may be read.
    inputs = (
        call.takes
        if call.has_composites
        else {n: call.takes[n] for n, t in zip(call.takes, call.inputs, strict=True) if t}
    )
    return [
        f"{word} {name!r} ({info})"
        for word, infos in (("input", inputs), ("output", call.gives))
        for name, info in infos.items()
        if is_such(info)
    ]


def _in_a_scope(
    graph_def: graph_pb2.GraphDef, names: Collection[str]
) -> tuple[graph_pb2.GraphDef, str]:
    """The graph with a prefix before each node, so that a file may have names like its tensors'.

    Args:
        graph_def: the graph.
        names: those of the file's inputs and outputs.
    """
    prefix = "graph/"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        node.name = prefix + node.name
        node.attr.pop("_class", None)  # Which names other nodes, for a placement that is over.
        kept = [
            f"^{prefix}{each[1:]}" if is_control(each) else prefix + each for each in node.input
        ]
        node.input[:] = kept
    return result, prefix
