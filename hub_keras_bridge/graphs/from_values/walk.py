"""Nodes on variables' handles, as nodes on their values: one rule for graphs and functions.

What reads a handle reads the value; what writes to it computes the value that is read
from then on, and the last of these is the variable's new one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.control_flow.on_value import ON_VALUE, read_value
from hub_keras_bridge.graphs.control_flow.subgraph import constant
from hub_keras_bridge.graphs.from_values.gradients import with_gradient_to
from hub_keras_bridge.graphs.from_values.order import in_order
from hub_keras_bridge.graphs.from_values.writes import WRITES, new_value
from hub_keras_bridge.graphs.prune import Placeholder


@dataclass(frozen=True)
class Called:
    """What a call with values returns.

    Attributes:
        handles: its outputs that were handles -> the caller's handle that each is.
        written: the caller's handle -> the output that is the new value.
    """

    handles: Mapping[int, str]
    written: Mapping[str, int]


@dataclass(frozen=True)
class Walked:
    """What has become of handles.

    Attributes:
        handle_of: each tensor that was a handle -> the handle that came from outside.
        current: that handle -> the tensor with the value in the end.
        read: gives, of that handle, what would be read then.
    """

    handle_of: Mapping[str, str]
    current: Mapping[str, str]
    read: Callable[[str], str]


# Makes a node that is neither a read nor a write take values at these inputs for these
# handles, which are of that; changes the node.
TakeValues: TypeAlias = Callable[
    [node_def_pb2.NodeDef, Mapping[int, str], Mapping[str, Placeholder]], Called
]


def walk(
    nodes: dict[str, node_def_pb2.NodeDef],
    handles: Mapping[str, str],
    values: Mapping[str, Placeholder],
    writers: Collection[str],
    take_values: TakeValues,
) -> Walked:
    """Rewrites nodes; they keep their names.

    Args:
        nodes: by name, changed; what they need besides is added.
        handles: placeholder of a handle -> the first one of the same variable.
        values: of these first ones, what stands for the value.
        writers: nodes that write, or call what does.
        take_values: makes calls take values, or tells what would not.
    """
    for placeholder, handle in handles.items():
        stand_in = nodes[graph.node_name(placeholder)]
        stand_in.attr["dtype"].type = values[handle].dtype
        stand_in.attr["shape"].shape.CopyFrom(values[handle].shape)
    handle_of, current = dict(handles), {handle: handle for handle in values}
    readable = dict(current)

    def read(handle: str) -> str:
        tensor = current[handle]
        if tensor not in readable:
            readable[tensor] = with_gradient_to(handle, tensor, values[handle], nodes)
        return readable[tensor]

    for node in in_order(nodes, writers):
        taken = {
            index: handle_of[graph.tensor_name(reference)]
            for index, reference in enumerate(node.input)
            if graph.tensor_name(reference) in handle_of
        }
        if not taken:
            continue
        node.attr.pop("_output_shapes", None)
        for index, handle in taken.items():
            node.input[index] = current[handle] if node.op in WRITES else read(handle)
        handle, dtype = taken.get(0, ""), values[next(iter(taken.values()))].dtype
        if node.op == "Identity":
            node.attr["T"].type = dtype
            handle_of[f"{node.name}:0"] = handle
        elif node.op in ON_VALUE:
            graph.rewrite_node(nodes, node, functools.partial(read_value, dtype=dtype))
        elif node.op == "VarIsInitializedOp":
            _know(node)
        elif node.op in WRITES:
            graph.rewrite_node(nodes, node, functools.partial(new_value, dtype=dtype))
            current[handle] = f"{node.name}:0"
        else:
            called = take_values(node, taken, values)
            handle_of |= {f"{node.name}:{index}": each for index, each in called.handles.items()}
            current |= {each: f"{node.name}:{index}" for each, index in called.written.items()}
    return Walked(handle_of, current, read)


def _know(node: node_def_pb2.NodeDef) -> None:
    """Makes a constant of the question whether a variable has a value: it is given one."""
    node.CopyFrom(
        constant(node.name, True, types_pb2.DT_BOOL, filter(graph.is_control, node.input))
    )
