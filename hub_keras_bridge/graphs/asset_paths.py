"""Which tensors hold the path of one of the module's own assets, in functions too.

A path is followed through ``Identity`` and as the argument of a function, if
every call of the function passes a path; not through anything that could make
another path of it. What is called out of sight, such as a gradient, has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.graph import handed_on, is_control, node_name, tensor_name
from hub_keras_bridge.graphs.library import called_out_of_sight, named_functions

Nodes = Mapping[str, node_def_pb2.NodeDef]

# Ops that hand their inputs, as they are, to the function in attribute ``f``.
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


class OwnPaths:
    """The tensors of a graph, or of a function's body, that are such a path.

    Args:
        nodes: the graph or the body, by name.
        given: tensors that are known to be.
    """

    def __init__(self, nodes: Nodes, given: Collection[str] = ()) -> None:
        self._given = frozenset(given)
        self._handed_on = handed_on(nodes, self._given) if given else {}

    def has(self, reference: str) -> bool:
        """Whether a node's input, as the node has it, is one."""
        if is_control(reference):
            return False
        return tensor_name(reference) in self._given or node_name(reference) in self._handed_on


def own_paths(graph_def: graph_pb2.GraphDef, paths: Collection[str]) -> dict[str | None, OwnPaths]:
    """Where paths of the module's own assets come in.

    Args:
        graph_def: a graph with its functions.
        paths: tensors of the graph that are such paths.

    Returns:
        Name of a function -> what its body has of them; under None, the graph.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    if not paths:
        return dict.fromkeys((None, *functions), OwnPaths({}))
    bodies: dict[str | None, Nodes] = {None: _by_name(graph_def.node)}
    bodies |= {name: _by_name(function.node_def) for name, function in functions.items()}
    found: dict[str | None, OwnPaths] = {None: OwnPaths(bodies[None], paths)}
    calls = {caller: list(_calls(nodes.values(), functions)) for caller, nodes in bodies.items()}
    calls[None] += [(name, []) for name in called_out_of_sight(graph_def.library)]
    left = dict.fromkeys(functions, 0)
    for callees in calls.values():
        for callee, _ in callees:
            left[callee] += 1
    passed: dict[str, set[str]] = {}
    # Each after all that call it; those that call themselves are never reached.
    waiting: list[str | None] = [None, *(name for name, count in left.items() if not count)]
    while waiting:
        caller = waiting.pop()
        if caller is not None:
            found[caller] = OwnPaths(bodies[caller], passed.get(caller, ()))
        for callee, inputs in calls[caller]:
            arguments = zip(_arguments(functions[callee]), inputs, strict=False)
            own = {argument for argument, reference in arguments if found[caller].has(reference)}
            passed[callee] = passed[callee] & own if callee in passed else own
            left[callee] -= 1
            if not left[callee]:
                waiting.append(callee)
    return {name: found.get(name) or OwnPaths(nodes) for name, nodes in bodies.items()}


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
    arguments = function.signature.input_arg
    if any(argument.number_attr or argument.type_list_attr for argument in arguments):
        return []  # Which of the inputs is which argument is up to the call's attributes.
    return [tensor_name(argument.name) for argument in arguments]


def _by_name(nodes: Iterable[node_def_pb2.NodeDef]) -> Nodes:
    return {node.name: node for node in nodes}
