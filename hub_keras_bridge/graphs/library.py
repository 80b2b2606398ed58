"""The function library of a GraphDef: what of it is used, under what names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2


def calls(nodes: Iterable[node_def_pb2.NodeDef], known: Collection[str]) -> Iterator[str]:
    """The functions that some nodes call themselves, as often as they name them."""
    if not known:
        return  # Most graphs are long, and have none.
    for node in nodes:
        if node.op in known:
            yield node.op
        yield from (name for name in named_functions(node) if name in known)


def named_functions(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Functions that a node's attributes name, whether or not the graph has them.

    An attribute may pass functions on to the one it names, at any depth.
    """
    return (function.name for function in _references(node) if function.name)


def _references(node: node_def_pb2.NodeDef) -> Iterator[attr_value_pb2.NameAttrList]:
    waiting = list(node.attr.values())
    while waiting:
        attribute = waiting.pop()
        kind = attribute.WhichOneof("value")
        if kind not in ("func", "list"):
            continue
        for function in [attribute.func] if kind == "func" else attribute.list.func:
            waiting.extend(function.attr.values())
            yield function


def reachable(
    library: function_pb2.FunctionDefLibrary, nodes: Iterable[node_def_pb2.NodeDef]
) -> function_pb2.FunctionDefLibrary:
    """The functions that some nodes call, directly or not, and their gradients."""
    functions = {function.signature.name: function for function in library.function}
    gradients = {g.function_name: g.gradient_func for g in library.gradient}
    reached: set[str] = set()
    waiting = set(calls(nodes, functions))
    while waiting:
        name = waiting.pop()
        reached.add(name)
        called = set(calls(functions[name].node_def, functions))
        if gradients.get(name) in functions:
            called.add(gradients[name])
        waiting |= called - reached
    kept = type(library)()
    kept.function.extend(functions[name] for name in sorted(reached))
    kept.gradient.extend(g for g in library.gradient if g.function_name in reached)
    return kept


def called_as_ops(graph_def: graph_pb2.GraphDef) -> set[str]:
    """The functions that nodes call by having them for an op, and all that these call."""
    functions = {function.signature.name for function in graph_def.library.function}
    nodes = [node for node in graph_def.node if node.op in functions]
    return {f.signature.name for f in reachable(graph_def.library, nodes).function}


def rename_functions(
    graph_def: graph_pb2.GraphDef, salt: str = "", kept: Collection[str] = ()
) -> None:
    """Gives each library function a name that tells the whole graph.

    A process has one name space for functions; modules out of one script have
    different functions of the same name. Equal graphs get equal names, so
    loading a module again adds nothing. (The whole graph, since TensorFlow
    derives names from these for what it needs of a loop's gradient.)

    Args:
        graph_def: changed in place.
        salt: what else the names are to tell apart.
        kept: functions that keep their names.
    """
    library = graph_def.library
    if not library.function:
        return
    told = graph_def.SerializeToString(deterministic=True) + salt.encode()
    digest = hashlib.sha256(told).hexdigest()[:16]
    names = [f.signature.name for f in library.function if f.signature.name not in kept]
    renamed = {name: f"{name}_{digest}" for name in names}
    for function in library.function:
        function.signature.name = renamed.get(function.signature.name, function.signature.name)
        _rename_calls(function.node_def, renamed)
    for gradient in library.gradient:
        gradient.function_name = renamed.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = renamed.get(gradient.gradient_func, gradient.gradient_func)
    _rename_calls(graph_def.node, renamed)


def forget_places(library: function_pb2.FunctionDefLibrary) -> None:
    """Takes devices and colocations out of functions; changes the library."""
    for function in library.function:
        for node in function.node_def:
            node.device = ""
            node.attr.pop("_class", None)


def _rename_calls(nodes: Iterable[node_def_pb2.NodeDef], renamed: Mapping[str, str]) -> None:
    for node in nodes:
        node.op = renamed.get(node.op, node.op)
        for function in _references(node):
            function.name = renamed.get(function.name, function.name)
