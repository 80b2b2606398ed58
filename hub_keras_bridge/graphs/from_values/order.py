"""One of the orders in which a session may run some nodes: writes come as late as they can.

A read that does not wait for a write does not see it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.graph import node_name


def in_order(
    nodes: Mapping[str, node_def_pb2.NodeDef], writers: Collection[str]
) -> list[node_def_pb2.NodeDef]:
    """The nodes, each after all that it waits for.

    Args:
        nodes: a graph or a function's body, by name.
        writers: those that come as late as that allows.

    Raises:
        HandleNeeded: there is no such order.
    """
    waiting: dict[str, int] = {}
    readers = defaultdict[str, list[str]](list)
    for node in nodes.values():
        sources = set(map(node_name, node.input))
        waiting[node.name] = len(sources)
        for source in sources:
            readers[source].append(node.name)
    ordered: list[node_def_pb2.NodeDef] = []
    ready: deque[str] = deque()
    late: deque[str] = deque()

    def take(names: Collection[str]) -> None:
        for name in names:
            (late if name in writers else ready).append(name)

    take([name for name, count in waiting.items() if not count])
    while ready or late:
        name = ready.popleft() if ready else late.popleft()
        ordered.append(nodes[name])
        for reader in readers[name]:
            waiting[reader] -= 1
        take([reader for reader in readers[name] if not waiting[reader]])
    if len(ordered) != len(nodes):
        raise HandleNeeded("it has loops that could not be turned into functions")
    return ordered
