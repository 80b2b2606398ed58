"""A graph on variables' handles, as one on their values: nothing is left that has a state."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.control_flow.subgraph import Irregular
from hub_keras_bridge.graphs.from_values.functions import Functions
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.from_values.walk import walk
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
    known = set(nodes)
    functions = Functions(graph_def.library)
    handles = {placeholder: placeholder for placeholder in values}
    try:
        walked = walk(nodes, handles, values, functions.writers(nodes), functions.take_values)
    except Irregular as error:
        raise HandleNeeded(str(error)) from error
    graph_def.node.extend(node for name, node in nodes.items() if name not in known)
    del graph_def.library.function[:]
    graph_def.library.function.extend(functions.library.functions)
    return {handle: tensor for handle, tensor in walked.current.items() if tensor != handle}
