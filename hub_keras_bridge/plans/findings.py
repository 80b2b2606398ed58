"""Which nodes may reach outside their module: files, network, Python, the process.

Ops are looked up in a reviewed list (:mod:`ops.reach`), those in functions too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.asset_paths import OwnPaths, own_paths
from hub_keras_bridge.graphs.ops.reach import Reach, reach_of, reach_of_op

# Ops that do no more than read a file, and which input is its path.
_READERS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}

# Named state is looked at before.
_INSIDE = frozenset({Reach.COMPUTE, Reach.STATE, Reach.NAMED})


@dataclass(frozen=True)
class Finding:
    """A node that may reach outside its module.

    Attributes:
        kind: what it may touch.
        node: its name.
        op: what it runs; of a node that names a function which the module does
            not have, that function.
        function: the function of the graph's library that it is in, if any.
        tags: the variant.
        needed_by: signatures whose calls run it; empty where nothing does.
    """

    kind: Reach
    node: str
    op: str
    function: str | None = None
    tags: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in function {legible(self.function)}" if self.function else ""
        return f"{legible(self.node)}{where} ({legible(self.op)}: {self.kind.value})"


def in_variant(variant: Variant) -> list[Finding]:
    """All of the graph as published, without saying what of it runs."""
    own_state = {facts.node for facts in variant.variables} | variant.resources
    signatures = map(variant.published_signature, variant.signature_names)
    fed = {tensor for signature in signatures for tensor in signature.input_tensors}
    return in_graph(variant.published.graph_def, variant.assets.keys() - fed, own_state)


def of_makers(makers: Iterable[node_def_pb2.NodeDef]) -> list[Finding]:
    """Nodes that are to make tables, and may reach outside."""
    nodes = list(makers)
    return _in_body(nodes, (), OwnPaths({}), {node.name for node in nodes})


def in_graph(
    graph_def: graph_pb2.GraphDef, paths: Collection[str], own_state: Collection[str]
) -> list[Finding]:
    """The nodes of a graph, and of all its functions, that may reach outside.

    Args:
        graph_def: the graph.
        paths: tensors that hold paths of the module's own files.
        own_state: nodes that hold state of the module's own.
    """
    functions = {function.signature.name for function in graph_def.library.function}
    own = own_paths(graph_def, paths)
    found = _in_body(graph_def.node, functions, own[None], own_state)
    for function in graph_def.library.function:
        name = function.signature.name
        inside = _in_body(function.node_def, functions, own[name], own_state=())
        found += [replace(finding, function=name) for finding in inside]
        if private_tf.op_def(name) is not None:
            # Whoever reads the graph takes calls of it for the op.
            found.append(Finding(Reach.UNKNOWN, name, name, function=name))
    gradients = [
        *((g.function_name, g.gradient_func) for g in graph_def.library.gradient),
        *((g.registered_op_type, g.gradient_func) for g in graph_def.library.registered_gradients),
    ]
    for name, gradient in gradients:
        if gradient not in functions:
            found.append(Finding(Reach.UNKNOWN, name, gradient, function=name))
    return found


def _in_body(
    nodes: Collection[node_def_pb2.NodeDef],
    functions: Collection[str],
    paths: OwnPaths,
    own_state: Collection[str],
) -> list[Finding]:
    return [finding for node in nodes for finding in _of_node(node, functions, paths, own_state)]


def _of_node(
    node: node_def_pb2.NodeDef,
    functions: Collection[str],
    paths: OwnPaths,
    own_state: Collection[str],
) -> Iterator[Finding]:
    # TensorFlow would look for a name that is not among the module's functions
    # among those of the whole process.
    for name in library.named_functions(node):
        if name not in functions:
            yield Finding(Reach.UNKNOWN, node.name, name)
    # Differentiating the node would make what the gradient of that op makes.
    gradient = library.named_gradient(node)
    if gradient and private_tf.op_def(gradient) and reach_of_op(gradient) not in _INSIDE:
        yield Finding(reach_of_op(gradient), node.name, gradient)
    if node.op in functions:
        return  # looked at by itself
    kind = reach_of(node)
    if kind is Reach.NAMED and node.name not in own_state:
        yield Finding(Reach.PROCESS, node.name, node.op)
    elif kind not in _INSIDE and not _reads_own_file(node, paths):
        yield Finding(kind, node.name, node.op)
    elif _passes_on_functions(node):
        yield Finding(Reach.UNKNOWN, node.name, node.op)


def _reads_own_file(node: node_def_pb2.NodeDef, paths: OwnPaths) -> bool:
    position = _READERS.get(node.op)
    return position is not None and len(node.input) > position and paths.has(node.input[position])


def _passes_on_functions(node: node_def_pb2.NodeDef) -> bool:
    """Whether the caller of the function around says which function the node calls."""
    left_open = {name for name, value in node.attr.items() if value.placeholder}
    definition = private_tf.op_def(node.op) if left_open else None
    return definition is not None and any(
        attribute.name in left_open and attribute.type in ("func", "list(func)")
        for attribute in definition.attr
    )
