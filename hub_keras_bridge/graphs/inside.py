"""What lies inside TensorFlow 1's control flow, where a tensor has no one value in a run.

Of a loop, from Enter to Exit, it has a value for each turn; in a branch, from
Switch to Merge, it has one only if the branch runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.graph import is_control, node_name

_Nodes: TypeAlias = Mapping[str, node_def_pb2.NodeDef]

# Loops in loops; what a damaged graph has more of is not followed.
_DEEPEST = 64


class Inside(Enum):
    """What a node lies inside of, in words."""

    LOOP = "a loop"
    BRANCH = "a branch of a conditional"


def inside(nodes: _Nodes) -> dict[str, Inside]:
    """The nodes that lie in loops or branches; of one that is in both, the loop is told.

    Args:
        nodes: a graph by name.
    """
    ends = {name: end for name, node in nodes.items() if (end := _end(node, nodes))}
    if not ends:
        return {}
    readers = _readers(nodes)
    found: dict[str, Inside] = {}
    for kind, *both in ((Inside.BRANCH, "Switch", "Merge"), (Inside.LOOP, "Enter", "Exit")):
        opening, closing = ({name for name, each in ends.items() if each == end} for end in both)
        found |= dict.fromkeys(_between(opening, closing, readers), kind)
    return found


def _end(node: node_def_pb2.NodeDef, nodes: _Nodes) -> str:
    """Which end of control flow a node is; a loop's own Switch and Merge are none."""
    end = node.op.removeprefix("Ref")
    if end in ("Enter", "Exit"):
        return end
    before = [_op_of(reference, nodes).removeprefix("Ref") for reference in node.input]
    if end == "Switch":
        return "" if "LoopCond" in before else end
    return end if end == "Merge" and "NextIteration" not in before else ""


def _op_of(reference: str, nodes: _Nodes) -> str:
    node = nodes.get(node_name(reference))
    return node.op if node is not None else ""


def _readers(nodes: _Nodes) -> dict[str, list[str]]:
    """Node -> the nodes that read it, or wait for it where that puts them beside it.

    A Switch runs whichever way it passes its input on: who waits for it alone is not in
    either branch.
    """
    found: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for reference in node.input:
            if not (is_control(reference) and _op_of(reference, nodes).endswith("Switch")):
                found.setdefault(node_name(reference), []).append(name)
    return found


def _between(
    opening: Collection[str], closing: Collection[str], readers: Mapping[str, Collection[str]]
) -> set[str]:
    """The nodes after an opening that has not been closed."""
    reached: set[tuple[str, int]] = set()
    waiting = [(name, 1) for name in opening]
    while waiting:
        state = name, depth = waiting.pop()
        if state in reached:
            continue
        reached.add(state)
        for reader in readers.get(name, ()):
            following = depth + (reader in opening) - (reader in closing)
            if 0 < following <= _DEEPEST:
                waiting.append((reader, following))
    return {name for name, _ in reached}
