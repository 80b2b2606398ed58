"""A variant's whole graph, as a session's graph takes it in: protos in, protos out.

A session runs what it is asked for, so nothing is left out here, and every node
keeps its published name below the scope that it is imported into: programs read
inner tensors by name. The state of a module is imported once; of each
application the same graph again, with placeholders where the state stood. In a
session's graph the lookup tables, queues and the like of one ``shared_name`` are
one, so that each import has names of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.graph import node_name, nodes_by_name
from hub_keras_bridge.graphs.ops import definitions as op_facts

MetaGraph: TypeAlias = meta_graph_pb2.MetaGraphDef

_KEYS = tf.compat.v1.GraphKeys

# An application reads files where the state does, for whoever saves its graph.
_EVERYWHERE = (_KEYS.ASSET_FILEPATHS, _KEYS.COND_CONTEXT, _KEYS.WHILE_CONTEXT)
_OF_STATE = (_KEYS.GLOBAL_VARIABLES, _KEYS.MODEL_VARIABLES, _KEYS.TABLE_INITIALIZERS)
_OF_TRAINED_STATE = (_KEYS.TRAINABLE_VARIABLES, _KEYS.REGULARIZATION_LOSSES)
_OF_TRAINED_APPLICATIONS = (_KEYS.UPDATE_OPS,)


def with_files(meta_graph: MetaGraph, paths: Mapping[str, str]) -> MetaGraph:
    """A copy that names its files by their paths, and lists them.

    Args:
        meta_graph: as published; its assets are named below ``assets/``.
        paths: string tensor -> path of the file that it stands for.
    """
    result = MetaGraph()
    result.CopyFrom(meta_graph)
    nodes = nodes_by_name(result.graph_def)
    for tensor, path in paths.items():
        node = nodes.get(node_name(tensor))
        if node is not None and node.op == "Const":
            value = node.attr["value"].tensor
            value.tensor_content = b""  # would be taken before the other
            value.string_val[:] = [path.encode()]
    if paths:
        result.collection_def[_KEYS.ASSET_FILEPATHS].node_list.value[:] = paths
    return result


def without(meta_graph: MetaGraph, unwanted: Collection[str]) -> MetaGraph:
    """A copy without some nodes, and without the functions that nothing else calls.

    Placeholders give what they gave, so that the rest stays as it is.

    Args:
        meta_graph: as published.
        unwanted: names of the nodes.

    Raises:
        FormatError: the op of one of them is not known, so that nobody knows what it gives.
    """
    result = MetaGraph()
    result.CopyFrom(meta_graph)
    functions = {f.signature.name: f.signature for f in meta_graph.graph_def.library.function}
    for node in [node for node in result.graph_def.node if node.name in unwanted]:
        dtypes = op_facts.output_dtypes(node, functions)
        node.attr.clear()
        del node.input[:]
        if len(dtypes) == 1:
            _become_placeholder(node, dtypes[0])
            continue
        node.op = "IdentityN" if dtypes else "NoOp"
        for number, dtype in enumerate(dtypes):
            node.attr["T"].list.type.append(dtype)
            node.input.append(f"{node.name}/output_{number}")
            _become_placeholder(result.graph_def.node.add(name=node.input[-1]), dtype)
    used = library.reachable(result.graph_def.library, result.graph_def.node)
    result.graph_def.library.CopyFrom(used)
    return result


def state(meta_graph: MetaGraph, scope: str, *, trainable: bool) -> MetaGraph:
    """What to import for the state of a module.

    Args:
        meta_graph: as :func:`with_files` makes it.
        scope: absolute name scope that it will stand in.
        trainable: whether it joins the collections that training reads.
    """
    keys = (*_EVERYWHERE, *_OF_STATE, *(_OF_TRAINED_STATE if trainable else ()))
    return _part(meta_graph, keys, scope)


def application(meta_graph: MetaGraph, scope: str, *, trainable: bool) -> MetaGraph:
    """What to import for an application, its state fed in; see :func:`state`."""
    keys = (*_EVERYWHERE, *(_OF_TRAINED_APPLICATIONS if trainable else ()))
    result = _part(meta_graph, keys, scope)
    holders = state_nodes(result.graph_def)
    for node in result.graph_def.node:
        if node.name in holders:
            # Whatever was there: nothing reads it.
            _become_placeholder(node, tf.resource.as_datatype_enum)
    return result


def state_nodes(graph_def: graph_pb2.GraphDef) -> set[str]:
    """Nodes that hold state: variables, tables, queues and the like.

    These hand out what they hold and depend on nothing; an op that is stateful
    for its effects, such as a print, or for its randomness has inputs.
    """
    definitions = {op: private_tf.op_def(op) for op in {node.op for node in graph_def.node}}
    return {
        node.name
        for node in graph_def.node
        # None for a call of the graph's own function.
        if (d := definitions[node.op]) and d.is_stateful and not d.input_arg
    }


def _part(meta_graph: MetaGraph, keys: Collection[str], scope: str) -> MetaGraph:
    result = MetaGraph()
    result.CopyFrom(meta_graph)
    for key in set(result.collection_def) - set(keys):
        del result.collection_def[key]
    _prefix_shared_names(result.graph_def.node, scope)
    return result


def _prefix_shared_names(nodes: Iterable[node_def_pb2.NodeDef], scope: str) -> None:
    for node in nodes:
        # Without a shared name an op is known by its own, which the scope begins.
        if name := node.attr["shared_name"].s if "shared_name" in node.attr else b"":
            node.attr["shared_name"].s = scope.encode() + name


def _become_placeholder(node: node_def_pb2.NodeDef, dtype: int) -> None:
    node.op = "Placeholder"
    for key in set(node.attr) - {"shape"}:
        del node.attr[key]
    node.attr["dtype"].type = dtype
