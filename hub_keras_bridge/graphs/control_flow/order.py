"""The order in which nodes can run."""

from __future__ import annotations

from collections import defaultdict

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.control_flow.subgraph import Irregular
from hub_keras_bridge.graphs.graph import node_name


def topological(nodes: dict[str, node_def_pb2.NodeDef]) -> list[str]:
    """Names in an order where inputs come first; rings of loops are cut open.

    Raises:
        Irregular: there is a cycle that is no loop.
    """
    waiting = {}
    consumers = defaultdict(list)
    for node in nodes.values():
        sources = {node_name(r) for r in node.input if nodes[node_name(r)].op != "NextIteration"}
        waiting[node.name] = len(sources)
        for source in sources:
            consumers[source].append(node.name)
    ready = [name for name, count in waiting.items() if not count]
    ordered = []
    while ready:
        name = ready.pop()
        ordered.append(name)
        for consumer in consumers[name]:
            waiting[consumer] -= 1
            if not waiting[consumer]:
                ready.append(consumer)
    if len(ordered) != len(nodes):
        raise Irregular("the graph has a cycle that is no loop")
    return ordered
