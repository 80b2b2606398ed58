"""What a node is and returns, read from its op's definition."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.framework import attr_value_pb2, node_def_pb2, op_def_pb2

from hub_keras_bridge import compat
from hub_keras_bridge.errors import FormatError

Signatures = Mapping[str, op_def_pb2.OpDef]


def definition(node: node_def_pb2.NodeDef, functions: Signatures) -> op_def_pb2.OpDef:
    """The op's definition, of the registry or of the graph's own functions.

    Raises:
        FormatError: there is none.
    """
    found = functions.get(node.op) or compat.op_def(node.op)
    if found is None:
        raise FormatError(f"Node {node.name!r} has an op that is not registered: {node.op}.")
    return found


def output(node: node_def_pb2.NodeDef, index: int, functions: Signatures) -> tuple[str, int]:
    """One output as (``argument:index``, dtype enum).

    Inside a function an output is named by its argument, in a GraphDef by its
    position alone (tensorflow/core/framework/function.proto).

    Raises:
        FormatError: there is none at this position.
    """
    op = definition(node, functions)
    position = index
    for argument in op.output_arg:
        # Counted, not listed: a node may claim more of them than there is memory.
        if argument.type_list_attr:
            dtypes = attribute(node, op, argument.type_list_attr).list.type
            count = len(dtypes)
        else:
            count = attribute(node, op, argument.number_attr).i if argument.number_attr else 1
        if 0 <= position < count:
            if argument.type_list_attr:
                return f"{argument.name}:{position}", dtypes[position]
            dtype = argument.type or attribute(node, op, argument.type_attr).type
            return f"{argument.name}:{position}", dtype
        position -= max(count, 0)
    raise FormatError(f"Node {node.name!r} of type {node.op} has no output {index}.")


def input_count(node: node_def_pb2.NodeDef, functions: Signatures) -> int:
    """How many tensors a node reads.

    Raises:
        FormatError: its op or an attribute that says so is missing.
    """
    op = definition(node, functions)
    count = 0
    for argument in op.input_arg:
        if argument.type_list_attr:
            count += len(attribute(node, op, argument.type_list_attr).list.type)
        elif argument.number_attr:
            count += attribute(node, op, argument.number_attr).i
        else:
            count += 1
    return count


def attribute(
    node: node_def_pb2.NodeDef, op: op_def_pb2.OpDef, name: str
) -> attr_value_pb2.AttrValue:
    """An attribute's value, or its default, which publishing strips."""
    if name in node.attr:
        return node.attr[name]
    for declared in op.attr:
        if declared.name == name:
            return declared.default_value
    raise FormatError(f"Node {node.name!r} of type {node.op} lacks its attribute {name!r}.")


def is_stateful(node: node_def_pb2.NodeDef, functions: Signatures) -> bool:
    """Whether running the node may have an effect or give another result twice."""
    return definition(node, functions).is_stateful
