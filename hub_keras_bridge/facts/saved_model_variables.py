"""Which variables a TF1 SavedModel has for a module's calls, and where their values are."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs import saver, variable_lists
from hub_keras_bridge.graphs.refusing import refusing

_READING = ("Cannot read the variables of a TF1 SavedModel.", "lists of variables of the graph")


def choose_variables(
    meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject, *, all_saved: bool
) -> dict[str, str | None]:
    """Lists the variables that signatures need, and no others that have no values; in place.

    Args:
        meta_graph: with the initializers of its tables listed.
        subject: for messages.
        all_saved: whether those are kept that no signature needs, and that have values.

    Returns:
        Name of each variable -> its name in the checkpoint; None of one that is not
        there, and starts from its initializer.

    Raises:
        FormatError: lists are damaged, or a node is missing.
    """
    with refusing(subject, *_READING):
        names = saver.restored(meta_graph, subject)
        needed = variable_lists.needed_nodes(meta_graph, subject)
        local = variable_lists.make_global(meta_graph, needed)
        if not all_saved:
            variable_lists.keep(meta_graph, needed)
        elif names is not None:
            variable_lists.keep(meta_graph, needed | names.keys())
        anew = [d for d in local if variable_lists.node_of(d) not in (names or ())]
        return {
            **_in_checkpoint(meta_graph, names or {}),
            **dict.fromkeys(map(variable_lists.name_of, anew)),
        }


def names_in_checkpoint(
    meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject
) -> dict[str, str | None]:
    """Name of each variable -> its name in the checkpoint.

    Raises:
        FormatError: lists are damaged, or a node is missing.
    """
    with refusing(subject, *_READING):
        return _in_checkpoint(meta_graph, saver.restored(meta_graph, subject) or {})


def _in_checkpoint(
    meta_graph: meta_graph_pb2.MetaGraphDef, names: Mapping[str, str]
) -> dict[str, str | None]:
    """What the graph's Saver says, and of other variables their own names."""
    own = {
        variable_lists.node_of(d): variable_lists.name_of(d)
        for d in variable_lists.listed(meta_graph)
    }
    return {name: names.get(node, name) for node, name in own.items()}
