"""TensorArrays as TensorLists, which loops of TensorFlow 2 can differentiate.

A TensorArray is a resource plus a scalar float, its flow, that orders the ops
on it. A TensorList is a value: here it travels where the flow went. Ops and
attributes are those of tensorflow/core/ops/data_flow_ops.cc and list_ops.cc.
"""

from __future__ import annotations

from collections.abc import Callable

from tensorflow.core.framework import node_def_pb2, tensor_shape_pb2, types_pb2

from hub_keras_bridge.control_flow.order import topological
from hub_keras_bridge.graph import node_name, tensor_name

_MAKE = "TensorArrayV3"
# Ops that carry handles and flows in and out of loops and branches.
_CARRY = frozenset({"Identity", "Enter", "Exit", "Merge", "Switch", "NextIteration"})


def use_tensor_lists(nodes: dict[str, node_def_pb2.NodeDef]) -> None:
    """Rewrites all TensorArrays of a graph; changes ``nodes``.

    Where one is used in a way that lists do not know (its gradient, say), all
    are left as they are.
    """
    ops_on_arrays = [n for n in nodes.values() if n.op.startswith("TensorArray")]
    if not ops_on_arrays or any(n.op not in {_MAKE, *_REWRITES} for n in ops_on_arrays):
        return
    handles = _reached(nodes, {f"{n.name}:0": n for n in ops_on_arrays if n.op == _MAKE})
    flows = _reached(
        nodes,
        {f"{n.name}:{index}": n for n in ops_on_arrays for index in _FLOW_OUTPUTS.get(n.op, ())},
    )
    for tensor in flows:
        carrier = nodes[node_name(tensor)]
        if carrier.op in _CARRY:
            carrier.attr["T"].type = types_pb2.DT_VARIANT
            carrier.attr.pop("_output_shapes", None)
    arrays = {n.name: handles[tensor_name(n.input[0])] for n in ops_on_arrays if n.op != _MAKE}
    described = {
        n.name: (n.attr["dtype"].type, _shape_of(n)) for n in ops_on_arrays if n.op == _MAKE
    }
    renamed: dict[str, str] = {}
    for node in ops_on_arrays:
        maker = node.name if node.op == _MAKE else arrays[node.name].name
        renamed |= _rewrite(nodes, node, *described[maker])
    for node in nodes.values():
        node.input[:] = [renamed.get(reference, reference) for reference in node.input]


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
) -> dict[str, str]:
    """Rewrites one op in place; returns new names for its outputs."""
    data = [r for r in node.input if not r.startswith("^")]
    controls = [r for r in node.input if r.startswith("^")]
    if node.op == _MAKE:
        element = _element_shape(nodes, node, shape, controls)
        node.op, inputs = "TensorListReserve", [element, data[0]]
        _set_types(node, element_dtype=dtype, shape_type=types_pb2.DT_INT32)
        renamed = {f"{node.name}:1": node.name}
    else:
        element = _element_shape(nodes, node, shape, [*controls, f"^{node_name(data[-1])}"])
        node.op, inputs, types = _REWRITES[node.op](data, element)
        _set_types(node, element_dtype=dtype, **types)
        renamed = {}
    if node.op == "TensorListSetItem":
        # An array may grow; a list of fixed length checks the index by itself.
        node.attr["resize_if_index_out_of_bounds"].b = True
    if node.op == "TensorListLength":
        node.attr.pop("element_dtype")
    if node.op == "TensorListConcatV2":
        _add_leading_dims(nodes, node, inputs, controls)
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
    constant = node_def_pb2.NodeDef(name=f"{node.name}/element_shape", op="Const")
    # In the frame and branch that the op itself is in.
    constant.input.extend(controls)
    constant.attr["dtype"].type = types_pb2.DT_INT32
    tensor = constant.attr["value"].tensor
    tensor.dtype = types_pb2.DT_INT32
    tensor.tensor_shape.SetInParent()
    if shape.unknown_rank:
        tensor.int_val.append(-1)
    else:
        tensor.tensor_shape.dim.add(size=len(shape.dim))
        tensor.int_val.extend(dim.size for dim in shape.dim)
    nodes[constant.name] = constant
    return constant.name


def _add_leading_dims(
    nodes: dict[str, node_def_pb2.NodeDef],
    node: node_def_pb2.NodeDef,
    inputs: list[str],
    controls: list[str],
) -> None:
    constant = node_def_pb2.NodeDef(name=f"{node.name}/leading_dims", op="Const")
    constant.input.extend([*controls, f"^{node_name(inputs[0])}"])
    constant.attr["dtype"].type = types_pb2.DT_INT64
    tensor = constant.attr["value"].tensor
    tensor.dtype = types_pb2.DT_INT64
    tensor.tensor_shape.dim.add(size=0)
    nodes[constant.name] = constant
    inputs.append(constant.name)


def _set_types(node: node_def_pb2.NodeDef, **types: int) -> None:
    node.attr.clear()
    for name, value in types.items():
        node.attr[name].type = value
