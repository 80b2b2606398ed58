"""What a node is and returns, read from its op's definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tensorflow.core.framework import attr_value_pb2, node_def_pb2, op_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, damaged

Signatures = Mapping[str, op_def_pb2.OpDef]


# Of inputs, too. Real nodes have hundreds at most.
MOST_OUTPUTS = 10_000


def definition(node: node_def_pb2.NodeDef, functions: Signatures) -> op_def_pb2.OpDef:
    """The op's definition, of the registry or of the graph's own functions.

    Raises:
        FormatError: there is none.
    """
    found = functions.get(node.op) or private_tf.op_def(node.op)
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
        count, dtypes = _given_by(node, op, argument)
        if 0 <= position < count:
            return f"{argument.name}:{position}", dtypes[position % len(dtypes)]
        position -= max(count, 0)
    raise FormatError(f"Node {node.name!r} of type {node.op} has no output {index}.")


def position(node: node_def_pb2.NodeDef, argument: str, functions: Signatures) -> int:
    """The position of an output's first tensor among all that a node returns.

    Args:
        node: of a function.
        argument: the op's name for the output.
        functions: signatures of those that it may call.

    Raises:
        FormatError: there is no such output.
    """
    op, first = definition(node, functions), 0
    for declared in op.output_arg:
        if declared.name == argument:
            return first
        first += max(_given_by(node, op, declared)[0], 0)
    raise FormatError(f"Node {node.name!r} of type {node.op} has no output {argument!r}.")


def output_dtypes(node: node_def_pb2.NodeDef, functions: Signatures) -> list[int]:
    """The dtypes' enums of all outputs, in order.

    Raises:
        FormatError: it claims more of them than any node has.
    """
    op = definition(node, functions)
    return _dtypes(node, op, op.output_arg, "outputs")


def input_dtypes(node: node_def_pb2.NodeDef, functions: Signatures) -> list[int]:
    """The dtypes' enums of all that a node reads, in order.

    Raises:
        FormatError: it claims more of them than any node has.
    """
    op = definition(node, functions)
    return _dtypes(node, op, op.input_arg, "inputs")


def _dtypes(
    node: node_def_pb2.NodeDef,
    op: op_def_pb2.OpDef,
    arguments: Iterable[op_def_pb2.OpDef.ArgDef],
    what: str,
) -> list[int]:
    given = [_given_by(node, op, argument) for argument in arguments]
    if (total := sum(max(count, 0) for count, _ in given)) > MOST_OUTPUTS:
        raise damaged(
            f"Node {node.name!r} of type {node.op} claims too many {what}.",
            expected=f"at most {MOST_OUTPUTS:,}",
            found=f"{total:,}",
        )
    return [dtypes[i % len(dtypes)] for count, dtypes in given for i in range(count)]


def is_reference(node: node_def_pb2.NodeDef, index: int, functions: Signatures) -> bool:
    """Whether an output refers to what a variable or an old table holds.

    Raises:
        FormatError: there is none at this position.
    """
    argument, _, _ = output(node, index, functions)[0].rpartition(":")
    declared = definition(node, functions).output_arg
    return any(each.is_ref for each in declared if each.name == argument)


def _given_by(
    node: node_def_pb2.NodeDef, op: op_def_pb2.OpDef, argument: op_def_pb2.OpDef.ArgDef
) -> tuple[int, Sequence[int]]:
    """How many tensors an argument is, and their dtypes, or the one that all have.

    Counted, not listed: a node may claim more of them than there is memory.
    """
    if argument.type_list_attr:
        dtypes = attribute(node, op, argument.type_list_attr).list.type
        return len(dtypes), dtypes
    dtype = argument.type or attribute(node, op, argument.type_attr).type
    return attribute(node, op, argument.number_attr).i if argument.number_attr else 1, [dtype]


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
