"""TensorLists that are filled, or read, as a whole.

``TensorArray.unstack`` and ``stack`` of TensorFlow 1 name each index, and so do the ops on
lists that they become. XLA and other engines know lists that are made of one tensor, or
made into one (tensorflow/core/ops/list_ops.cc).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.graph import is_control, node_name

_Nodes = Mapping[str, node_def_pb2.NodeDef]


def as_a_whole(graph_def: graph_pb2.GraphDef) -> None:
    """Rewrites scatters to, and gathers from, all indices of a list; changes the graph.

    A list that is shorter than it was made for then has the length of what fills it.
    """
    _rewrite(graph_def.node)
    for function in graph_def.library.function:
        _rewrite(function.node_def)


def _rewrite(body: MutableSequence[node_def_pb2.NodeDef]) -> None:
    nodes = {node.name: node for node in body}
    for node in body:
        if node.op == "TensorListScatterIntoExistingList":
            _fill(nodes, node)
        elif node.op == "TensorListGather":
            _stack(nodes, node)


def _fill(nodes: _Nodes, node: node_def_pb2.NodeDef) -> None:
    made, values, indices, *waits = node.input
    reserve = nodes.get(node_name(made))
    limit = _limit(nodes, indices)
    if reserve is None or reserve.op != "TensorListReserve" or limit is None:
        return
    shape, count = reserve.input[:2]
    if _is_first_size(nodes, limit, values) or _equal(nodes, limit, count):
        node.op = "TensorListFromTensor"
        node.input[:] = [values, shape, *waits]
        node.attr["shape_type"].CopyFrom(reserve.attr["shape_type"])


def _stack(nodes: _Nodes, node: node_def_pb2.NodeDef) -> None:
    made, indices, shape, *waits = node.input
    limit = nodes.get(node_name(_limit(nodes, indices) or ""))
    if limit is not None and limit.op == "TensorListLength" and limit.input[0] == made:
        node.op = "TensorListStack"
        node.input[:] = [made, shape, *waits]


def _limit(nodes: _Nodes, indices: str) -> str | None:
    """Where the indices end, if they begin at 0 and leave none out."""
    node = nodes.get(node_name(indices))
    if node is None or node.op != "Range":
        return None
    start, limit, delta = [r for r in node.input if not is_control(r)]
    return limit if _value(nodes, start) == 0 and _value(nodes, delta) == 1 else None


def _is_first_size(nodes: _Nodes, limit: str, values: str) -> bool:
    """Whether a number is the first dimension of a tensor, as ``tf.shape(x)[0]`` is made."""
    node = nodes.get(node_name(limit))
    if node is None or node.op != "StridedSlice" or _value(nodes, node.input[1]) != 0:
        return False
    shape = nodes.get(node_name(node.input[0]))
    return shape is not None and shape.op == "Shape" and shape.input[0] == values


def _equal(nodes: _Nodes, one: str, other: str) -> bool:
    value = _value(nodes, one)
    return one == other or (value is not None and value == _value(nodes, other))


def _value(nodes: _Nodes, reference: str) -> int | None:
    """A constant number; None if it is no constant, or several."""
    node = nodes.get(node_name(reference))
    if node is None or node.op != "Const":
        return None
    value = tf.make_ndarray(node.attr["value"].tensor)
    return int(value.item()) if value.size == 1 else None
