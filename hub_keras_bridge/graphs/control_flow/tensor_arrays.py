"""TensorArrays as TensorLists, which loops of TensorFlow 2 can differentiate.

A TensorArray is a resource plus a scalar float, its flow, that orders the ops
on it. A TensorList is a value: here it travels where the flow went. Ops and
attributes are those of tensorflow/core/ops/data_flow_ops.cc and list_ops.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, tensor_shape_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.order import topological
from hub_keras_bridge.graphs.control_flow.subgraph import Irregular, beside, constant
from hub_keras_bridge.graphs.graph import is_control, node_name, tensor_name

_MAKE = "TensorArrayV3"
# Ops that carry handles and flows in and out of loops and branches.
_CARRY = frozenset({"Identity", "Enter", "Exit", "Merge", "Switch", "NextIteration"})


def use_tensor_lists(nodes: dict[str, node_def_pb2.NodeDef]) -> None:
    """Rewrites all TensorArrays of a graph; changes ``nodes``.

    Raises:
        Irregular: one is used in a way that lists do not know.
    """
    ops_on_arrays = [n for n in nodes.values() if n.op.startswith("TensorArray")]
    if not ops_on_arrays:
        return
    unknown = {n.op for n in ops_on_arrays} - {_MAKE, *_REWRITES}
    if unknown:
        raise Irregular(f"there is no counterpart for {', '.join(sorted(unknown))}")
    handles = _reached(nodes, {f"{n.name}:0": n for n in ops_on_arrays if n.op == _MAKE})
    for tensor in flows(nodes):
        carrier = nodes[node_name(tensor)]
        if carrier.op in _CARRY:
            carrier.attr["T"].type = types_pb2.DT_VARIANT
            carrier.attr.pop("_output_shapes", None)
    arrays = {n.name: handles[tensor_name(n.input[0])] for n in ops_on_arrays if n.op != _MAKE}
    described = {
        n.name: (n.attr["dtype"].type, _shape_of(n)) for n in ops_on_arrays if n.op == _MAKE
    }
    renamed: dict[str, str] = {}
    origins = _origins(nodes)
    for node in ops_on_arrays:
        maker = node.name if node.op == _MAKE else arrays[node.name].name
        renamed |= _rewrite(nodes, node, *described[maker], origins)
    for node in nodes.values():
        node.input[:] = [renamed.get(reference, reference) for reference in node.input]


def flows(nodes: dict[str, node_def_pb2.NodeDef]) -> Collection[str]:
    """The tensors that are flows of TensorArrays, to which no value belongs.

    Raises:
        Irregular: there is a cycle that is no loop.
    """
    sources = {
        f"{node.name}:{index}": node
        for node in nodes.values()
        for index in _FLOW_OUTPUTS.get(node.op, ())
    }
    return _reached(nodes, sources) if sources else ()


def _reached(
    nodes: dict[str, node_def_pb2.NodeDef], sources: dict[str, node_def_pb2.NodeDef]
) -> dict[str, node_def_pb2.NodeDef]:
    """Each tensor that carries one of the sources -> the node it came from."""
    found = dict(sources)
    order = topological(nodes)
    # Twice, since a Merge is reached from its Enter before its ring is closed.
    for name in [*order, *order]:
        node = nodes[name]
        if node.op not in _CARRY:
            continue
        origin = next((found[t] for t in map(tensor_name, node.input) if t in found), None)
        if origin is not None:
            for index in range(2 if node.op == "Switch" else 1):
                found.setdefault(f"{name}:{index}", origin)
    return found


def _shape_of(node: node_def_pb2.NodeDef) -> tensor_shape_pb2.TensorShapeProto:
    shape = tensor_shape_pb2.TensorShapeProto(unknown_rank=True)
    if "element_shape" in node.attr:
        shape.CopyFrom(node.attr["element_shape"].shape)
    return shape


def _rewrite(
    nodes: dict[str, node_def_pb2.NodeDef],
    node: node_def_pb2.NodeDef,
    dtype: int,
    shape: tensor_shape_pb2.TensorShapeProto,
    origins: dict[str, str],
) -> dict[str, str]:
    """Rewrites one op in place; returns new names for its outputs."""
    data = [r for r in node.input if not is_control(r)]
    controls = [r for r in node.input if is_control(r)]
    where = [*controls, beside(nodes, data[-1])]
    element = _element_shape(nodes, node, shape, where)
    if node.op == _MAKE:
        node.op, inputs = "TensorListReserve", [element, data[0]]
        _set_types(node, element_dtype=dtype, shape_type=types_pb2.DT_INT32)
        renamed = {f"{node.name}:1": node.name}
    else:
        if node.op == "TensorArrayGatherV3" and not _are_distinct(nodes, origins, data[1]):
            _stack_and_gather(nodes, node, data, element, dtype, where)
            return {}
        node.op, inputs, types = _REWRITES[node.op](data, element)
        _set_types(node, element_dtype=dtype, **types)
        renamed = {}
    if node.op == "TensorListSetItem":
        # An array may grow; a list of fixed length checks the index by itself.
        node.attr["resize_if_index_out_of_bounds"].b = True
    if node.op == "TensorListLength":
        node.attr.pop("element_dtype")
    if node.op == "TensorListConcatV2":
        # Only of an empty list must the leading dimension be told.
        none = constant(f"{node.name}/leading_dims", [], types_pb2.DT_INT64, where)
        nodes[none.name] = none
        inputs.append(none.name)
    node.input[:] = [*inputs, *controls]
    return renamed


# Op -> given its data inputs and the element shape: new op, inputs, types.
# The last data input is the flow, which is the list now.
_Rewrite = Callable[[list[str], str], tuple[str, list[str], dict[str, int]]]
_REWRITES: dict[str, _Rewrite] = {
    "TensorArrayWriteV3": lambda d, _: ("TensorListSetItem", [d[3], d[1], d[2]], {}),
    "TensorArrayReadV3": lambda d, e: ("TensorListGetItem", [d[2], d[1], e], {}),
    "TensorArrayGatherV3": lambda d, e: ("TensorListGather", [d[2], d[1], e], {}),
    "TensorArrayScatterV3": lambda d, _: (
        "TensorListScatterIntoExistingList",
        [d[3], d[2], d[1]],
        {},
    ),
    "TensorArraySizeV3": lambda d, _: ("TensorListLength", [d[1]], {}),
    "TensorArrayConcatV3": lambda d, e: (
        "TensorListConcatV2",
        [d[1], e],
        {"shape_type": types_pb2.DT_INT32},
    ),
    "TensorArraySplitV3": lambda d, e: (
        "TensorListSplit",
        [d[1], e, d[2]],
        {"shape_type": types_pb2.DT_INT32},
    ),
}

_FLOW_OUTPUTS = {
    _MAKE: (1,),
    "TensorArrayWriteV3": (0,),
    "TensorArrayScatterV3": (0,),
    "TensorArraySplitV3": (0,),
}


def _element_shape(
    nodes: dict[str, node_def_pb2.NodeDef],
    node: node_def_pb2.NodeDef,
    shape: tensor_shape_pb2.TensorShapeProto,
    controls: list[str],
) -> str:
    """A constant with the shape of one element; -1 where it is open."""
    sizes = -1 if shape.unknown_rank else [dim.size for dim in shape.dim]
    # In the frame and branch that the op itself is in.
    made = constant(f"{node.name}/element_shape", sizes, types_pb2.DT_INT32, controls)
    nodes[made.name] = made
    return made.name


def _origins(nodes: dict[str, node_def_pb2.NodeDef]) -> dict[str, str]:
    """Each node that hands on what another gives, whichever way it came -> that other."""
    found: dict[str, str] = {}
    for name in topological(nodes):
        node = nodes[name]
        if node.op in _CARRY and node.op != "Merge":
            source = node_name(node.input[0])
            found[name] = found.get(source, source)
    return found


def _are_distinct(
    nodes: dict[str, node_def_pb2.NodeDef], origins: dict[str, str], indices: str
) -> bool:
    """Whether no index comes twice, for all that the graph tells."""
    name = node_name(indices)
    node = nodes[origins.get(name, name)]
    if node.op == "Const":
        proto = node.attr["value"].tensor
        if math.prod(dim.size for dim in proto.tensor_shape.dim) > proto.ByteSize():
            # There are more than are written down: the last one is repeated.
            return False
        values = tf.make_ndarray(proto)
        return len(set(values.flat)) == values.size
    # What TensorArray.stack() gathers.
    return node.op == "Range"


def _stack_and_gather(
    nodes: dict[str, node_def_pb2.NodeDef],
    node: node_def_pb2.NodeDef,
    data: list[str],
    element: str,
    dtype: int,
    controls: list[str],
) -> None:
    """Gathers from all elements, since of an index that comes twice the gradient
    of TensorListGather keeps one.
    """
    stack = node_def_pb2.NodeDef(
        name=f"{node.name}/stack", op="TensorListStack", input=[data[2], element]
    )
    _set_types(stack, element_dtype=dtype)
    axis = constant(f"{node.name}/axis", 0, types_pb2.DT_INT32, controls)
    nodes |= {stack.name: stack, axis.name: axis}
    node.op = "GatherV2"
    node.input[:] = [stack.name, data[1], axis.name, *(c for c in node.input if is_control(c))]
    _set_types(node, Tparams=dtype, Tindices=types_pb2.DT_INT32, Taxis=types_pb2.DT_INT32)


def _set_types(node: node_def_pb2.NodeDef, **types: int) -> None:
    node.attr.clear()
    for name, value in types.items():
        node.attr[name].type = value
