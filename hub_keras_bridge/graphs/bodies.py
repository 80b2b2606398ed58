"""Bodies of functions in the form of a graph, so that one rewrite does for both.

A graph names a tensor by its node and position, a function by its node, the op's name
for the output, and the position in that.
"""

from __future__ import annotations

from tensorflow.core.framework import function_pb2, node_def_pb2

from hub_keras_bridge.errors import FormatError
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    Library,
    argument,
    to_function,
    unique,
)
from hub_keras_bridge.graphs.graph import is_control
from hub_keras_bridge.graphs.ops import definitions as op_facts


def opened(function: function_pb2.FunctionDef, functions: op_facts.Signatures) -> Body | None:
    """A function's body as nodes of a graph, with placeholders for its arguments.

    Args:
        function: of a graph's library.
        functions: signatures of all that are there.

    Returns:
        The body; None where dtypes or numbers of its arguments depend on the call.
    """
    signature = function.signature
    if signature.attr or any(a.number_attr or a.type_list_attr for a in signature.input_arg):
        return None
    nodes: dict[str, node_def_pb2.NodeDef] = {}
    for node in function.node_def:
        nodes[node.name] = node_def_pb2.NodeDef()
        nodes[node.name].CopyFrom(node)
    computed = dict(nodes)
    arguments: dict[str, str] = {}
    for each in signature.input_arg:
        name = arguments[each.name] = unique(each.name, nodes)
        nodes[name] = argument(name, each.type)

    def tensor(reference: str) -> str:
        name, _, port = reference.partition(":")
        if name in arguments and (not port or port == "0"):
            return f"{arguments[name]}:0"
        if name not in computed:
            raise FormatError(f"Function {signature.name!r} has no node {name!r}.")
        output, _, position = port.partition(":")
        start = op_facts.position(computed[name], output, functions)
        return f"{name}:{start + int(position or 0)}"

    results = [tensor(function.ret[each.name]) for each in signature.output_arg]
    for node in computed.values():
        node.input[:] = [r if is_control(r) else tensor(r) for r in node.input]
    return Body(nodes, list(arguments.values()), results)


def add_function(name: str, body: Body, library: Library) -> function_pb2.FunctionDef:
    """Makes a function of a body; whatever has an effect in it runs.

    Args:
        name: a name for it, or the beginning of one.
        body: its nodes, arguments and results.
        library: gets the function.
    """
    functions = library.signatures
    body.effects = sorted(
        name
        for name, node in body.nodes.items()
        if name not in body.arguments and op_facts.is_stateful(node, functions)
    )
    return library.add(to_function(library.unique(name), body, functions))
