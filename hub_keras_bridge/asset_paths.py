"""Which tensors hold the path of one of the module's own assets, in functions too.

A path is followed through ``Identity`` and as the argument of a function, if
every call of the function passes a path; not through anything that could make
another path of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.graph import is_control, same_value, tensor_name
from hub_keras_bridge.graphs.library import named_functions

Nodes = Mapping[str, node_def_pb2.NodeDef]

# Ops that hand their inputs, as they are, to the function in attribute ``f``.
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def own_paths(
    graph_def: graph_pb2.GraphDef, paths: Collection[str]
) -> dict[str | None, Collection[str]]:
    """Where paths of the module's own assets come in.

    Args:
        graph_def: a graph with its functions.
        paths: tensors of the graph that are such paths.

    Returns:
        Name of a function -> those of its arguments, as tensor names, that are
        such a path in every call; under None, ``paths``.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    if not functions:
        return {None: frozenset(paths)}
    bodies: dict[str | None, Nodes] = {None: _by_name(graph_def.node)}
    bodies |= {name: _by_name(function.node_def) for name, function in functions.items()}
    own: dict[str | None, Collection[str]] = {None: frozenset(paths)}
    own |= {name: frozenset(_arguments(function)) for name, function in functions.items()}
    narrowed = True
    while narrowed:  # ends, since sets only shrink
        narrowed = False
        for caller, nodes in bodies.items():
            for callee, passed in _calls(nodes.values(), functions):
                arguments = _arguments(functions[callee])
                kept = {
                    argument
                    for argument, reference in zip(arguments, passed, strict=False)
                    if argument in own[callee] and is_own_path(reference, nodes, own[caller])
                }
                if kept != own[callee]:
                    own[callee], narrowed = kept, True
    return own


def is_own_path(reference: str, nodes: Nodes, own: Collection[str]) -> bool:
    """Whether a node's input is the path of an asset of the module's.

    Args:
        reference: the input, as the node has it.
        nodes: the graph or the function's body that the node is in, by name.
        own: what :func:`own_paths` says of that body.
    """
    return any(tensor_name(same) in own for same in same_value(nodes, reference))


def _calls(
    nodes: Iterable[node_def_pb2.NodeDef], functions: Collection[str]
) -> Iterator[tuple[str, list[str]]]:
    """Functions that nodes use, with what they surely pass, argument by argument."""
    for node in nodes:
        inputs = [reference for reference in node.input if not is_control(reference)]
        if node.op in functions:
            yield node.op, inputs
        for name in named_functions(node):
            if name in functions:
                yield name, inputs if node.op in _CALLS else []


def _arguments(function: function_pb2.FunctionDef) -> list[str]:
    return [tensor_name(argument.name) for argument in function.signature.input_arg]


def _by_name(nodes: Iterable[node_def_pb2.NodeDef]) -> Nodes:
    return {node.name: node for node in nodes}
