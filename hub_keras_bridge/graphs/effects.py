"""Calls of functions without effects, said to have none."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.graphs.calling import Call
from hub_keras_bridge.graphs.library import callees_first
from hub_keras_bridge.graphs.ops import definitions as op_facts


def forget_effects(graph_def: graph_pb2.GraphDef) -> None:
    """Makes stateless ops of calls, branches and loops that have no effects any more.

    Args:
        graph_def: changed in place, its functions too.
    """
    functions = {f.signature.name: f for f in graph_def.library.function}
    signatures = {name: function.signature for name, function in functions.items()}
    for name in [function.signature.name for function in callees_first(graph_def.library)]:
        function = functions[name]
        _forget(function.node_def, signatures)
        stateful = {n.name for n in function.node_def if op_facts.is_stateful(n, signatures)}
        function.signature.is_stateful = bool(stateful)
        if not stateful:
            function.control_ret.clear()
            del function.signature.control_output[:]
    _forget(graph_def.node, signatures)


def _forget(nodes: Iterable[node_def_pb2.NodeDef], signatures: op_facts.Signatures) -> None:
    for node in nodes:
        call = Call.of(node, signatures.keys())
        if call and not any(signatures[name].is_stateful for name in call.functions):
            call.has_no_effects()
