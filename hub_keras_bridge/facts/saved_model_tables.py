"""The tables of a TF1 SavedModel that grow in training: a checkpoint has their entries.

A module's tables are filled by initializers. Here constants become what fills these, so that
nothing but the reader of the SavedModel has to read its checkpoint.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.graphs import graph, saver, variable_lists
from hub_keras_bridge.graphs.refusing import refusing

_TABLE_INITIALIZERS = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS


def fill_with_constants(
    meta_graph: meta_graph_pb2.MetaGraphDef, prefix: str, subject: Subject
) -> None:
    """Lists what fills the tables that signatures need and a Saver saved, in place.

    Args:
        meta_graph: with the initializers of its other tables listed.
        prefix: path of the checkpoint without ``.index``.
        subject: for messages.

    Raises:
        CheckpointError: entries are not there, or damaged.
        FormatError: a node is missing.
    """
    with refusing(subject, "Cannot read the tables of a TF1 SavedModel.", "tables of its graph"):
        tables = saver.restored_tables(meta_graph, subject)
        if not tables:
            return
        needed = variable_lists.needed_nodes(meta_graph, subject)
        nodes = graph.nodes_by_name(meta_graph.graph_def)
        checkpoint = Checkpoint(prefix, subject)
        for filling, names in tables.items():
            if graph.node_name(nodes[filling].input[0]) in needed:
                for place, name in enumerate(names, start=1):
                    value = checkpoint.read(checkpoint.entry(name)).numpy()
                    constant = _constant(f"{filling}/saved_{place}", value)
                    nodes[filling].input[place] = constant.name
                    meta_graph.graph_def.node.append(constant)
                collection = meta_graph.collection_def[_TABLE_INITIALIZERS]
                collection.node_list.value.append(filling)


def _constant(name: str, value: np.ndarray) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node
