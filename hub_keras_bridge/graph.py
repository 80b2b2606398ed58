"""Pure rewrites of GraphDefs and MetaGraphDefs: names, reach, pruning.

Nothing here touches a TensorFlow runtime; protos go in, new protos come out.

In a GraphDef an op's input is written ``node`` or ``node:index`` for a tensor,
``^node`` for a control edge (tensorflow/core/framework/node_def.proto).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2

from hub_keras_bridge.errors import FormatError, Subject

COND_CONTEXTS = "cond_context"
WHILE_CONTEXTS = "while_context"

# What ties a node to a place or to another node. The numbers do not depend on
# it; a colocated node may be pruned away, and a published device be absent.
# Recorded output shapes no longer hold once inputs and state are rewritten.
_LAYOUT_ATTRIBUTES = ("_class", "_output_shapes")


@dataclass(frozen=True)
class Placeholder:
    """What stands where a tensor was cut: ``dtype`` as a DataType enum."""

    dtype: int
    shape: object = None  # TensorShapeProto; unknown where None


@dataclass(frozen=True, eq=False)
class Pruned:
    """A graph cut down to what its targets need.

    Attributes:
        meta_graph: the nodes, functions and control flow contexts that remain.
        placeholders: cut tensor -> the placeholder tensor that stands for it;
            only of cut tensors that something still reads.
    """

    meta_graph: meta_graph_pb2.MetaGraphDef
    placeholders: Mapping[str, str]


def node_name(reference: str) -> str:
    """The node in a tensor name or a node's input.

    >>> node_name("a/b:1"), node_name("^a/b"), node_name("a/b")
    ('a/b', 'a/b', 'a/b')
    """
    return reference.removeprefix("^").partition(":")[0]


def tensor_name(reference: str) -> str:
    """A tensor's full name.

    >>> tensor_name("a"), tensor_name("a:1")
    ('a:0', 'a:1')
    """
    name, _, index = reference.partition(":")
    return f"{name}:{index or 0}"


def is_control(reference: str) -> bool:
    return reference.startswith("^")


def nodes_by_name(graph_def: graph_pb2.GraphDef) -> dict[str, node_def_pb2.NodeDef]:
    return {node.name: node for node in graph_def.node}


def upstream(
    nodes: Mapping[str, node_def_pb2.NodeDef],
    targets: Iterable[str],
    cut: Collection[str] = (),
    subject: Subject | None = None,
) -> set[str]:
    """Names of all nodes that the targets depend on.

    Args:
        nodes: the graph.
        targets: tensor or node names.
        cut: tensors that are given from outside, so that what computes them is
            not followed.
        subject: for messages.

    Raises:
        FormatError: something names a node that is not in the graph.
    """
    cut_nodes = {node_name(tensor) for tensor in cut}
    reached: set[str] = set()
    waiting = [node_name(t) for t in targets if tensor_name(t) not in cut]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        node = nodes.get(name)
        if node is None:
            raise FormatError(
                "Cannot follow the graph of a TF1 Hub module: a node is missing.",
                subject,
                expected=f"a node named {name!r}",
                found="only references to it",
                advice="fetch the module again; its graph is damaged",
            )
        reached.add(name)
        for reference in node.input:
            if is_control(reference):
                # A cut node has no effects of its own to wait for.
                if node_name(reference) not in cut_nodes:
                    waiting.append(node_name(reference))
            elif tensor_name(reference) not in cut:
                waiting.append(node_name(reference))
    return reached


def prune(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    targets: Iterable[str],
    cut: Mapping[str, Placeholder],
    subject: Subject | None = None,
) -> Pruned:
    """Keeps what the targets need, with placeholders where tensors are cut.

    v1 while and cond contexts stay with the ops they govern: without them
    TensorFlow cannot differentiate a loop.
    """
    nodes = nodes_by_name(meta_graph.graph_def)
    needed = _with_whole_loops(meta_graph, nodes, list(targets), cut, subject)
    cut_nodes = {node_name(tensor) for tensor in cut}
    read = {
        tensor_name(reference)
        for name in needed
        for reference in nodes[name].input
        if not is_control(reference)
    } & set(cut)
    placeholders = {
        # The name stays where it can, since contexts refer to it.
        tensor: f"{node_name(tensor)}:0"
        if node_name(tensor) not in needed and tensor.endswith(":0")
        else f"{tensor.replace(':', '_')}/cut:0"
        for tensor in sorted(read)
    }

    graph_def = graph_pb2.GraphDef(versions=meta_graph.graph_def.versions)
    for tensor, placeholder in placeholders.items():
        graph_def.node.append(_placeholder_node(node_name(placeholder), cut[tensor]))
    for node in meta_graph.graph_def.node:
        if node.name in needed:
            kept = graph_def.node.add()
            kept.CopyFrom(node)
            kept.device = ""
            for attribute in _LAYOUT_ATTRIBUTES:
                kept.attr.pop(attribute, None)
            del kept.input[:]
            kept.input.extend(_rewire(node.input, cut_nodes, placeholders))
    graph_def.library.CopyFrom(_reachable_library(meta_graph.graph_def.library, graph_def.node))
    _rename_functions(graph_def)

    kept_names = {node.name for node in graph_def.node}
    result = meta_graph_pb2.MetaGraphDef(meta_info_def=meta_graph.meta_info_def)
    result.graph_def.CopyFrom(graph_def)
    _copy_contexts(meta_graph, result, kept_names)
    return Pruned(result, placeholders)


def _placeholder_node(name: str, placeholder: Placeholder) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = placeholder.dtype
    if placeholder.shape is not None:
        node.attr["shape"].shape.CopyFrom(placeholder.shape)
    return node


def _rewire(
    references: Iterable[str], cut_nodes: Collection[str], placeholders: Mapping[str, str]
) -> list[str]:
    kept = [r for r in references if not (is_control(r) and node_name(r) in cut_nodes)]
    return [
        r if is_control(r) else node_name(placeholders[tensor_name(r)])
        if tensor_name(r) in placeholders
        else r
        for r in kept
    ]


# --- v1 control flow -------------------------------------------------------


def _contexts(meta_graph: meta_graph_pb2.MetaGraphDef, collection: str, message: type) -> list:
    if collection not in meta_graph.collection_def:
        return []
    values = meta_graph.collection_def[collection].bytes_list.value
    return [message.FromString(value) for value in values]


def _with_whole_loops(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    nodes: Mapping[str, node_def_pb2.NodeDef],
    targets: list[str],
    cut: Mapping[str, Placeholder],
    subject: Subject | None,
) -> set[str]:
    """Like :func:`upstream`, with every exit of each loop that is entered.

    A while context lists all its exits; TensorFlow restores it only whole.
    """
    loops = _all_loops(meta_graph)
    while True:
        needed = upstream(nodes, targets, cut, subject)
        more = [
            name
            for loop in loops
            if loop.pivot_name and node_name(loop.pivot_name) in needed
            for name in [*loop.loop_exit_names, *loop.loop_enter_names]
            if node_name(name) not in needed and node_name(name) in nodes
        ]
        if not more:
            return needed
        targets = [*targets, *more]


def _all_loops(
    meta_graph: meta_graph_pb2.MetaGraphDef,
) -> list[control_flow_pb2.WhileContextDef]:
    found = []
    waiting = [
        *_contexts(meta_graph, WHILE_CONTEXTS, control_flow_pb2.WhileContextDef),
        *_contexts(meta_graph, COND_CONTEXTS, control_flow_pb2.CondContextDef),
    ]
    while waiting:
        context = waiting.pop()
        if isinstance(context, control_flow_pb2.WhileContextDef):
            found.append(context)
        waiting.extend(getattr(n, n.WhichOneof("ctxt")) for n in context.nested_contexts)
    return found


def _copy_contexts(
    source: meta_graph_pb2.MetaGraphDef,
    target: meta_graph_pb2.MetaGraphDef,
    kept_names: Collection[str],
) -> None:
    for collection, message in (
        (COND_CONTEXTS, control_flow_pb2.CondContextDef),
        (WHILE_CONTEXTS, control_flow_pb2.WhileContextDef),
    ):
        for context in _contexts(source, collection, message):
            if _restrict(context, kept_names):
                values = target.collection_def[collection].bytes_list.value
                values.append(context.SerializeToString())


def _restrict(context: object, kept_names: Collection[str]) -> bool:
    """Drops from a context what was pruned; False if nothing of it is left."""
    if node_name(context.pivot_name) not in kept_names:
        return False
    values = context.values_def
    kept = [value for value in values.values if node_name(value) in kept_names]
    del values.values[:]
    values.values.extend(kept)
    for key, external in list(values.external_values.items()):
        if node_name(external) not in kept_names:
            del values.external_values[key]
    nested = [
        n for n in context.nested_contexts if _restrict(getattr(n, n.WhichOneof("ctxt")), kept_names)
    ]
    del context.nested_contexts[:]
    context.nested_contexts.extend(nested)
    return True


# --- the function library --------------------------------------------------


def _function_names(nodes: Iterable[node_def_pb2.NodeDef], known: Collection[str]) -> set[str]:
    names = {node.op for node in nodes if node.op in known}
    for node in nodes:
        for attribute in node.attr.values():
            names.update(f.name for f in _functions_in(attribute) if f.name in known)
    return names


def _functions_in(
    attribute: attr_value_pb2.AttrValue,
) -> Iterable[attr_value_pb2.NameAttrList]:
    if attribute.HasField("func"):
        return [attribute.func]
    return attribute.list.func


def _reachable_library(
    library: graph_pb2.GraphDef, nodes: Iterable[node_def_pb2.NodeDef]
) -> object:
    functions = {function.signature.name: function for function in library.function}
    reached: set[str] = set()
    waiting = _function_names(nodes, functions)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= _function_names(functions[name].node_def, functions) - reached
    kept = type(library)()
    kept.function.extend(functions[name] for name in sorted(reached))
    kept.gradient.extend(g for g in library.gradient if g.function_name in reached)
    return kept


def _rename_functions(graph_def: graph_pb2.GraphDef) -> None:
    """Gives each library function a name that tells its whole library.

    A process has one name space for functions; modules out of one script have
    different functions of the same name. Equal libraries get equal names, so
    loading a module again adds nothing.
    """
    library = graph_def.library
    if not library.function:
        return
    digest = hashlib.sha256(library.SerializeToString(deterministic=True)).hexdigest()[:16]
    renamed = {f.signature.name: f"{f.signature.name}_{digest}" for f in library.function}
    for function in library.function:
        function.signature.name = renamed[function.signature.name]
        _rename_calls(function.node_def, renamed)
        for node in function.node_def:
            node.device = ""
            node.attr.pop("_class", None)
    for gradient in library.gradient:
        gradient.function_name = renamed[gradient.function_name]
        gradient.gradient_func = renamed.get(gradient.gradient_func, gradient.gradient_func)
    _rename_calls(graph_def.node, renamed)


def _rename_calls(nodes: Iterable[node_def_pb2.NodeDef], renamed: Mapping[str, str]) -> None:
    for node in nodes:
        node.op = renamed.get(node.op, node.op)
        for attribute in node.attr.values():
            for function in _functions_in(attribute):
                function.name = renamed.get(function.name, function.name)
