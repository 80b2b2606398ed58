"""Collections of a MetaGraphDef: lists under a name, of nodes or of serialized messages."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject, damaged

_KEYS = tf.compat.v1.GraphKeys

# What those that are read have in them. TensorFlow makes of a list of another kind
# what a session then stumbles over.
_NODES, _PROTOS = "node_list", "bytes_list"
_KINDS = {
    _KEYS.ASSET_FILEPATHS: _NODES,
    _KEYS.COND_CONTEXT: _PROTOS,
    _KEYS.GLOBAL_VARIABLES: _PROTOS,
    _KEYS.MODEL_VARIABLES: _PROTOS,
    _KEYS.REGULARIZATION_LOSSES: _NODES,
    _KEYS.TABLE_INITIALIZERS: _NODES,
    _KEYS.TRAINABLE_VARIABLES: _PROTOS,
    _KEYS.UPDATE_OPS: _NODES,
    _KEYS.WHILE_CONTEXT: _PROTOS,
}
# The collections that calls, their gradients or their exports read.
READ = frozenset(_KINDS)

_IN_WORDS = {_NODES: "names of nodes", _PROTOS: "serialized messages"}


def nodes(meta_graph: meta_graph_pb2.MetaGraphDef, key: str) -> Sequence[str]:
    """The names in a collection; none where there is no such collection."""
    known = meta_graph.collection_def
    return known[key].node_list.value if key in known else ()


def protos(meta_graph: meta_graph_pb2.MetaGraphDef, key: str) -> Sequence[bytes]:
    """The messages in a collection; none where there is no such collection."""
    known = meta_graph.collection_def
    return known[key].bytes_list.value if key in known else ()


def check(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> None:
    """Checks that the collections that are read are lists of what they should be.

    Raises:
        FormatError: one is not.
    """
    for key, kind in _KINDS.items():
        if key not in meta_graph.collection_def:
            continue
        found = meta_graph.collection_def[key].WhichOneof("kind")
        if found not in (kind, None):
            raise damaged(
                f"Cannot read collection {key!r} of a TF1 Hub module: it lists other things.",
                subject,
                expected=_IN_WORDS[kind],
                found=_IN_WORDS.get(str(found), f"a list of another kind, {found}"),
            )
