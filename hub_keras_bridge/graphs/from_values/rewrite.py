"""A graph on variables' handles, as one on their values: nothing is left that has a state.

What reads a handle reads the value; what writes to it computes the value that is read
from then on, and the last of these is the variable's new one.

A session runs nodes in any order that the edges between them allow. Here it is one of
these orders, in which writes come as late as they can: a read that does not wait for a
write does not see it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.control_flow.on_value import ON_VALUE, read_value
from hub_keras_bridge.graphs.from_values.calls import Calls
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.from_values.writes import WRITES, new_value
from hub_keras_bridge.graphs.prune import Placeholder


def from_values(graph_def: graph_pb2.GraphDef, values: Mapping[str, Placeholder]) -> dict[str, str]:
    """Rewrites a graph; its nodes keep their names.

    Args:
        graph_def: changed in place. It has no control flow of TensorFlow 1.
        values: placeholder of a variable's handle -> what stands for the value.

    Returns:
        Placeholder of each variable that the graph writes -> tensor with its new value.

    Raises:
        HandleNeeded: something takes a handle that would not take a value.
    """
    nodes = graph.nodes_by_name(graph_def)
    calls = Calls(graph_def.library)
    handle_of = {placeholder: placeholder for placeholder in values}
    handed_on = graph.handed_on(nodes, values.keys())
    handle_of |= {f"{name}:0": handle for name, handle in handed_on.items()}
    current = {placeholder: placeholder for placeholder in values}
    for placeholder, value in values.items():
        stand_in = nodes[graph.node_name(placeholder)]
        stand_in.attr["dtype"].type = value.dtype
        stand_in.attr["shape"].shape.CopyFrom(value.shape)
    for node in _in_order(nodes):
        taken = {
            index: handle_of[graph.tensor_name(reference)]
            for index, reference in enumerate(node.input)
            if graph.tensor_name(reference) in handle_of
        }
        if not taken:
            continue
        for index, handle in taken.items():
            node.input[index] = current[handle]
        dtypes = {index: values[handle].dtype for index, handle in taken.items()}
        if node.name in handed_on:
            node.attr["T"].type = dtypes[0]
        elif node.op in ON_VALUE:
            graph_def.node.extend(read_value(node, dtypes[0]))
        elif node.op in WRITES:
            graph_def.node.extend(new_value(node, dtypes[0]))
            current[taken[0]] = f"{node.name}:0"
        else:
            for output, index in calls.take_values(node, dtypes).items():
                handle_of[f"{node.name}:{output}"] = taken[index]
    return {handle: tensor for handle, tensor in current.items() if tensor != handle}


def _in_order(nodes: Mapping[str, node_def_pb2.NodeDef]) -> list[node_def_pb2.NodeDef]:
    """The nodes, each after all that it waits for, and writes as late as that allows."""
    waiting: dict[str, int] = {}
    readers = defaultdict[str, list[str]](list)
    for node in nodes.values():
        sources = set(map(graph.node_name, node.input))
        waiting[node.name] = len(sources)
        for source in sources:
            readers[source].append(node.name)
    ordered: list[node_def_pb2.NodeDef] = []
    ready: deque[str] = deque()
    writes: deque[str] = deque()

    def take(names: Collection[str]) -> None:
        for name in names:
            (writes if nodes[name].op in WRITES else ready).append(name)

    take([name for name, count in waiting.items() if not count])
    while ready or writes:
        name = ready.popleft() if ready else writes.popleft()
        ordered.append(nodes[name])
        for reader in readers[name]:
            waiting[reader] -= 1
        take([reader for reader in readers[name] if not waiting[reader]])
    if len(ordered) != len(nodes):
        raise HandleNeeded("it has loops that could not be turned into functions")
    return ordered
