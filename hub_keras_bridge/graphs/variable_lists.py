"""The lists of variables that a MetaGraphDef has, and which of them its signatures need.

A graph that was trained lists more than a call needs: how many steps it took, an
optimizer's averages, the counters of metrics. Of a list that is damaged it is left to the
caller to tell what protobuf says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import tensorflow as tf
from tensorflow.core.framework.variable_pb2 import VariableDef
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs import collections
from hub_keras_bridge.graphs.graph import node_name, nodes_by_name, upstream

_KEYS = tf.compat.v1.GraphKeys

# What runs beside the outputs of signatures.
_RUN_BESIDE = (_KEYS.REGULARIZATION_LOSSES, _KEYS.TABLE_INITIALIZERS, _KEYS.UPDATE_OPS)

# The lists that are read. Local variables, which no checkpoint has, are on another.
_READ = (_KEYS.GLOBAL_VARIABLES, _KEYS.MODEL_VARIABLES, _KEYS.TRAINABLE_VARIABLES)


def node_of(definition: VariableDef) -> str:
    """The node that makes a variable."""
    return node_name(definition.variable_name)


def name_of(definition: VariableDef) -> str:
    """The variable's name; the slices of a partitioned one share it."""
    return str(definition.save_slice_info_def.full_name or node_of(definition))


def needed_nodes(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> set[str]:
    """The nodes that calls of signatures, training ones too, need.

    Raises:
        FormatError: one is missing.
    """
    targets = [t for d in meta_graph.signature_def.values() for t in _outputs(d)]
    targets += [n for key in _RUN_BESIDE for n in collections.nodes(meta_graph, key)]
    return upstream(nodes_by_name(meta_graph.graph_def), targets, subject=subject)


def listed(meta_graph: meta_graph_pb2.MetaGraphDef) -> list[VariableDef]:
    """The variables on the lists that are read, each once."""
    return list({d.variable_name: d for key in _READ for d in _on(meta_graph, key)}.values())


def keep(meta_graph: meta_graph_pb2.MetaGraphDef, nodes: Collection[str]) -> None:
    """Shortens the lists that are read to the variables of some nodes, in place."""
    for key in _READ:
        if collections.protos(meta_graph, key):
            kept = [d.SerializeToString() for d in _on(meta_graph, key) if node_of(d) in nodes]
            meta_graph.collection_def[key].bytes_list.value[:] = kept


def make_global(
    meta_graph: meta_graph_pb2.MetaGraphDef, nodes: Collection[str]
) -> list[VariableDef]:
    """Lists the local variables of some nodes among the global ones, in place.

    Returns:
        These variables.
    """
    known = set(map(node_of, listed(meta_graph)))
    local = {node_of(d): d for d in _on(meta_graph, _KEYS.LOCAL_VARIABLES)}
    made = [d for node, d in local.items() if node in nodes and node not in known]
    if made:
        values = meta_graph.collection_def[_KEYS.GLOBAL_VARIABLES].bytes_list.value
        values.extend(d.SerializeToString() for d in made)
    return made


def _on(meta_graph: meta_graph_pb2.MetaGraphDef, key: str) -> Iterator[VariableDef]:
    return map(VariableDef.FromString, collections.protos(meta_graph, key))


def _outputs(signature: meta_graph_pb2.SignatureDef) -> Iterator[str]:
    """The tensors that a signature's outputs consist of."""
    waiting = list(signature.outputs.values())
    while waiting:
        info = waiting.pop()
        if info.WhichOneof("encoding") == "composite_tensor":
            waiting.extend(info.composite_tensor.components)
        elif info.WhichOneof("encoding") == "coo_sparse":
            sparse = info.coo_sparse
            yield from (sparse.indices_tensor_name, sparse.values_tensor_name)
            yield sparse.dense_shape_tensor_name
        else:
            yield info.name
