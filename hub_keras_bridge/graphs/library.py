"""The function library of a GraphDef: what of it is used, under what names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.graph import reached_from

# tensorflow/python/framework/ops.py: what Graph.gradient_override_map writes.
_GRADIENT = "_gradient_op_type"
# tensorflow/python/ops/custom_gradient.py: generate_name, then a number of the process.
_NUMBERED = "CustomGradient-"


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


def named_gradient(node: node_def_pb2.NodeDef) -> str:
    """What the node has for the name of its gradient in place of its op's; mostly empty."""
    return node.attr[_GRADIENT].s.decode("utf-8", "replace") if _GRADIENT in node.attr else ""


def _references(node: node_def_pb2.NodeDef) -> Iterator[attr_value_pb2.NameAttrList]:
    return _within(node.attr.values())


def _within(
    attributes: Iterable[attr_value_pb2.AttrValue],
) -> Iterator[attr_value_pb2.NameAttrList]:
    waiting = list(attributes)
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
    """All that some nodes may come to run of a library, and nothing else.

    That is what they call, directly or not, and the gradients of it: those that
    the library has for functions, and those that are registered under the names
    that nodes have for their gradients.
    """
    leads = _Leads(library)
    reached: set[str] = set()
    waiting = leads.from_body(nodes)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= leads.from_function(name) - reached
    kept = type(library)()
    kept.function.extend(leads.functions[name] for name in sorted(reached))
    kept.gradient.extend(g for g in library.gradient if g.function_name in reached)
    kept.registered_gradients.extend(
        g for g in library.registered_gradients if g.registered_op_type in leads.asked_gradients
    )
    return kept


def called_out_of_sight(library: function_pb2.FunctionDefLibrary) -> Iterator[str]:
    """The functions of a library that TensorFlow may call where no node does."""
    named = [g.gradient_func for g in (*library.gradient, *library.registered_gradients)]
    named += [name for function in library.function for name in _beside(function)]
    known = {function.signature.name for function in library.function}
    return (name for name in named if name in known)


def leading_to(library: function_pb2.FunctionDefLibrary, functions: Iterable[str]) -> set[str]:
    """Some functions of a library, and all those that may come to run one of them."""
    leads = _Leads(library)
    callers: dict[str, list[str]] = {}
    for name in leads.functions:
        for callee in leads.from_function(name):
            callers.setdefault(callee, []).append(name)
    return reached_from(functions, callers)


class _Leads:
    """Which functions nodes and functions lead to in one step."""

    def __init__(self, library: function_pb2.FunctionDefLibrary) -> None:
        self.functions = {function.signature.name: function for function in library.function}
        self.asked_gradients: set[str] = set()
        self._of_function = {g.function_name: g.gradient_func for g in library.gradient}
        registered = library.registered_gradients
        self._of_node = {g.registered_op_type: g.gradient_func for g in registered}

    def from_body(self, nodes: Iterable[node_def_pb2.NodeDef]) -> set[str]:
        if not self.functions:
            return set()
        found: set[str] = set()
        for node in nodes:
            found.update(calls([node], self.functions))
            if (gradient := named_gradient(node)) in self._of_node:
                self.asked_gradients.add(gradient)
                found.add(self._of_node[gradient])
        return found & self.functions.keys()

    def from_function(self, name: str) -> set[str]:
        function = self.functions[name]
        found = self.from_body(function.node_def)
        found.update(_beside(function))
        if name in self._of_function:
            found.add(self._of_function[name])
        return found & self.functions.keys()


def _beside(function: function_pb2.FunctionDef) -> Iterator[str]:
    """The functions that a function's own attributes name, as TensorFlow's rewrites read them.

    Its forward and backward functions, for example.
    """
    yield from (reference.name for reference in _within(function.attr.values()))
    yield from (value.s.decode("utf-8", "replace") for value in function.attr.values() if value.s)


def called_as_ops(graph_def: graph_pb2.GraphDef) -> set[str]:
    """The functions that nodes call by having them for an op, and all that these call."""
    functions = {function.signature.name for function in graph_def.library.function}
    nodes = [node for node in graph_def.node if node.op in functions]
    return {f.signature.name for f in reachable(graph_def.library, nodes).function}


def with_own_gradients(
    graph_def: graph_pb2.GraphDef, own: Collection[str] = ()
) -> graph_pb2.GraphDef:
    """The same graph, whose nodes find no gradient of ``tf.custom_gradient`` but its own.

    The names of these are numbers, which mean one function in the program that
    published the graph, and another one here. A gradient that is not to be found
    is an error when it is asked for.

    Args:
        graph_def: a graph with its functions.
        own: names that stay.
    """
    if not any(_is_of_others(node, own) for node in _all_nodes(graph_def)):
        return graph_def
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in _all_nodes(result):
        if _is_of_others(node, own):
            node.attr[_GRADIENT].s += b" of the program that published it"
    return result


def _is_of_others(node: node_def_pb2.NodeDef, own: Collection[str]) -> bool:
    gradient = named_gradient(node)
    return gradient.startswith(_NUMBERED) and gradient not in own


def _all_nodes(graph_def: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


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
        call_by_names(function.node_def, renamed)
    for gradient in library.gradient:
        gradient.function_name = renamed.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = renamed.get(gradient.gradient_func, gradient.gradient_func)
    call_by_names(graph_def.node, renamed)


def has_functions_as_ops(graph_def: graph_pb2.GraphDef) -> bool:
    """Whether a node, or one of a function, has a function for its op."""
    functions = {function.signature.name for function in graph_def.library.function}
    return bool(functions) and any(node.op in functions for node in _all_nodes(graph_def))


def callees_first(library: function_pb2.FunctionDefLibrary) -> list[function_pb2.FunctionDef]:
    """Copies of the functions, each after those that it calls; none comes to call itself."""
    leads = _Leads(library)
    ordered: dict[str, function_pb2.FunctionDef] = {}
    waiting = list(leads.functions)
    while waiting:
        name = waiting[-1]
        called = leads.from_body(leads.functions[name].node_def) - ordered.keys()
        if name in ordered or not called:
            waiting.pop()
            if name not in ordered:
                ordered[name] = function_pb2.FunctionDef()
                ordered[name].CopyFrom(leads.functions[name])
        waiting.extend(sorted(called) if name not in ordered else ())
    return list(ordered.values())


def forget_places(library: function_pb2.FunctionDefLibrary) -> None:
    """Takes devices and colocations out of functions; changes the library."""
    for function in library.function:
        for node in function.node_def:
            node.device = ""
            node.attr.pop("_class", None)


def call_by_names(nodes: Iterable[node_def_pb2.NodeDef], renamed: Mapping[str, str]) -> None:
    """Gives the functions that nodes call other names; changes the nodes.

    Args:
        nodes: of a graph or a function.
        renamed: name of a function -> its new name; others stay.
    """
    for node in nodes:
        node.op = renamed.get(node.op, node.op)
        for function in _references(node):
            function.name = renamed.get(function.name, function.name)
