"""Rings of Enter, Merge, Switch, NextIteration and Exit as While ops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.conds import functionalize_conds
from hub_keras_bridge.graphs.control_flow.order import topological
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    Effort,
    Irregular,
    Library,
    argument,
    constant,
    dtype_of,
    identity,
    to_function,
    unique,
)
from hub_keras_bridge.graphs.graph import is_control, node_name, tensor_name, upstream

# TensorFlow differentiates a While only if its first two variables are these
# (tensorflow/python/ops/while_v2.py); no limit is -1.
_COUNTER = "loop_counter"
_LIMIT = "maximum_iterations"

_DEEPEST = 64  # as for conditionals


@dataclass
class _Variable:
    """One loop variable: the ops on its ring.

    A variable that only the loop's condition reads has no Switch left once the
    graph is pruned, one whose last value nobody wants has no Exit.
    """

    enter: node_def_pb2.NodeDef
    merge: node_def_pb2.NodeDef
    next_iteration: node_def_pb2.NodeDef
    switch: node_def_pb2.NodeDef | None
    exit: node_def_pb2.NodeDef | None


@dataclass
class _Frame:
    """One loop: its execution frame in the terms of TensorFlow 1."""

    name: str
    enters: list[node_def_pb2.NodeDef] = field(default_factory=list)
    depth: int = 0


def functionalize_loops(
    nodes: dict[str, node_def_pb2.NodeDef],
    library: Library,
    targets: Iterable[str],
    undifferentiated: Collection[str] = (),
) -> None:
    """Replaces every loop, innermost first; changes the first two arguments.

    Args:
        nodes: a graph.
        library: its functions, which the loops' parts join.
        targets: tensors and nodes that are wanted.
        undifferentiated: frames that no gradient leaves.

    Raises:
        Irregular: a ring is not as ``tf.while_loop`` makes it, or something is
            wanted from within a loop.
    """
    frame_of = _frame_of_each(nodes)
    for target in targets:
        if within := frame_of[node_name(target)]:
            raise Irregular(f"{target!r} is wanted from within loop {within!r}")
    rings, effort = _Rings(nodes), Effort(nodes)
    for frame in sorted(_frames(nodes, frame_of), key=lambda frame: -frame.depth):
        exit_op = "StopGradient" if frame.name in undifferentiated else "Identity"
        for leaving, source, dtype in _replace(frame, nodes, library, rings, effort):
            nodes[leaving] = identity(leaving, source, dtype)
            nodes[leaving].op = exit_op


def _frames(
    nodes: dict[str, node_def_pb2.NodeDef], frame_of: dict[str, str | None]
) -> list[_Frame]:
    frames: dict[str, _Frame] = {}
    for node in nodes.values():
        if node.op == "Enter":
            name = node.attr["frame_name"].s.decode()
            frames.setdefault(name, _Frame(name)).enters.append(node)
    around = {name: _around(frame, frame_of) for name, frame in frames.items()}
    for frame in frames.values():
        outer = around[frame.name]
        while outer is not None:
            frame.depth += 1
            if frame.depth > _DEEPEST:
                raise Irregular(f"loop {frame.name!r} lies in more than {_DEEPEST} loops")
            outer = around[outer]
    return list(frames.values())


def _around(frame: _Frame, frame_of: dict[str, str | None]) -> str | None:
    """The loop that a loop is in, if it is in one."""
    # A value may enter from further out than the loop around.
    found = {frame_of[node_name(enter.input[0])] for enter in frame.enters} - {None}
    if len(found) > 1:
        raise Irregular(f"loop {frame.name!r} lies in several loops at once")
    return found.pop() if found else None


def _frame_of_each(nodes: dict[str, node_def_pb2.NodeDef]) -> dict[str, str | None]:
    """The innermost frame that each node's outputs are in; None outside loops."""
    parents: dict[str, str | None] = {}
    found: dict[str, str | None] = {}
    for name in topological(nodes):
        node = nodes[name]
        # What comes round the ring is in the frame that its Enter is in.
        sources = [r for r in node.input if nodes[node_name(r)].op != "NextIteration"]
        frames = {found[node_name(r)] for r in sources} - {None}
        if len(frames) > 1:
            raise Irregular(f"node {name!r} is in several loops at once")
        frame = frames.pop() if frames else None
        if node.op == "Enter":
            inner = node.attr["frame_name"].s.decode()
            parents[inner] = parents.get(inner) or frame
            frame = inner
        elif node.op == "Exit":
            frame = parents.get(frame) if frame else None
        found[name] = frame
    return found


def _replace(
    frame: _Frame,
    nodes: dict[str, node_def_pb2.NodeDef],
    library: Library,
    rings: _Rings,
    effort: Effort,
) -> list[tuple[str, str, int]]:
    """Adds the While op; returns each Exit with what it hands out, and its dtype."""
    variables, loop_cond = _variables(frame, nodes, rings)
    entered = {variable.enter.name for variable in variables}
    constants = [enter for enter in frame.enters if enter.name not in entered]

    sources = [*(v.enter for v in variables), *constants]
    names = [
        *(f"variable_{i}" for i in range(len(variables))),
        *(f"constant_{i}" for i in range(len(constants))),
    ]
    dtypes = [dtype_of(nodes, enter.name, library.signatures) for enter in sources]
    given = {}
    for name, variable in zip(names, variables, strict=False):
        given[f"{variable.merge.name}:0"] = f"{name}:0"
        if variable.switch is not None:
            given[f"{variable.switch.name}:1"] = f"{name}:0"
    for name, enter in zip(names[len(variables) :], constants, strict=True):
        given[f"{enter.name}:0"] = f"{name}:0"

    arguments = {
        node.name: node
        for node in (
            argument(_COUNTER, types_pb2.DT_INT32),
            argument(_LIMIT, types_pb2.DT_INT32),
            *(argument(name, dtype) for name, dtype in zip(names, dtypes, strict=True)),
        )
    }
    cond = _body(nodes, arguments, given, [loop_cond.input[0]], [], effort)
    ring = [variable.next_iteration for variable in variables]
    after = [node_name(r) for n in ring for r in n.input if is_control(r)]
    body = _body(nodes, arguments, given, [n.input[0] for n in ring], after, effort)
    _count(body)
    body.results = [f"{_LIMIT}:0", *body.results, *(f"{n}:0" for n in names[len(variables) :])]
    body.results.insert(0, "loop_counter/next:0")

    prefix = frame.name.replace("/", "_")
    made = []
    for part, kind in ((cond, "cond"), (body, "body")):
        moved = functionalize_conds(part.nodes, library, [*part.results, *part.effects])
        part.effects = list(dict.fromkeys(moved.get(effect, effect) for effect in part.effects))
        name = library.unique(f"{prefix}_{kind}")
        made.append(library.add(to_function(name, part, library.signatures)))
    loop = _while_node(frame, nodes, sources, dtypes, made, variables)
    return [
        (variable.exit.name, f"{loop.name}:{index + 2}", dtypes[index])
        for index, variable in enumerate(variables)
        if variable.exit is not None
    ]


class _Rings:
    """What a graph's rings go through, by the node that each of these ops reads first."""

    def __init__(self, nodes: dict[str, node_def_pb2.NodeDef]) -> None:
        self._readers = defaultdict[tuple[str, str], list[node_def_pb2.NodeDef]](list)
        for node in nodes.values():
            if node.op in ("Merge", "Switch", "Exit"):
                self._readers[node.op, node_name(node.input[0])].append(node)

    def of(self, op: str, source: str) -> list[node_def_pb2.NodeDef]:
        """The nodes of an op that read a node."""
        return self._readers.get((op, source), [])


def _variables(
    frame: _Frame, nodes: dict[str, node_def_pb2.NodeDef], rings: _Rings
) -> tuple[list[_Variable], node_def_pb2.NodeDef]:
    """The loop's variables and its LoopCond."""
    enters = {enter.name: enter for enter in frame.enters}
    merges = {merge.name: merge for name in enters for merge in rings.of("Merge", name)}
    switches: dict[str, node_def_pb2.NodeDef] = {}
    loop_conds = {}
    for merge_name in merges:
        for switch in rings.of("Switch", merge_name):
            pred = nodes[node_name(switch.input[1])]
            if pred.op == "LoopCond":
                switches[merge_name] = switch
                loop_conds[pred.name] = pred
    if len(loop_conds) != 1:
        raise Irregular(f"loop {frame.name!r} has {len(loop_conds)} conditions")
    variables = []
    for merge in sorted(merges.values(), key=lambda node: node.name):
        ring_end = nodes[node_name(merge.input[1])]
        if ring_end.op != "NextIteration":
            raise Irregular(f"the ring at {merge.name!r} is broken")
        switch = switches.get(merge.name)
        leaving = next(reversed(rings.of("Exit", switch.name)), None) if switch else None
        enter = enters[node_name(merge.input[0])]
        variables.append(_Variable(enter, merge, ring_end, switch, leaving))
    return variables, next(iter(loop_conds.values()))


def _body(
    nodes: dict[str, node_def_pb2.NodeDef],
    arguments: dict[str, node_def_pb2.NodeDef],
    given: dict[str, str],
    results: list[str],
    after: list[str],
    effort: Effort,
) -> Body:
    """What computes some results inside a frame, in terms of its arguments."""
    on_ring = {node_name(tensor) for tensor in given}
    effects = [name for name in after if name not in on_ring]
    copied = {}
    for name in upstream(nodes, [*results, *effects], given):
        effort.spend(nodes[name])
        node = node_def_pb2.NodeDef()
        node.CopyFrom(nodes[name])
        node.input[:] = [
            r if is_control(r) else given.get(tensor_name(r), r)
            for r in node.input
            if not (is_control(r) and node_name(r) in on_ring)
        ]
        if node.op in ("Enter", "Exit", "NextIteration", "LoopCond"):
            raise Irregular(f"node {name!r} of a loop is not on its ring")
        copied[name] = node
    mapped = [given.get(tensor_name(r), r) for r in results]
    return Body(copied | arguments, list(arguments), mapped, effects)


def _count(body: Body) -> None:
    one = constant("loop_counter/one", 1, types_pb2.DT_INT32)
    following = node_def_pb2.NodeDef(
        name="loop_counter/next", op="AddV2", input=[_COUNTER, one.name]
    )
    following.attr["T"].type = types_pb2.DT_INT32
    body.nodes |= {one.name: one, following.name: following}


def _while_node(
    frame: _Frame,
    nodes: dict[str, node_def_pb2.NodeDef],
    enters: list[node_def_pb2.NodeDef],
    dtypes: list[int],
    made: list[function_pb2.FunctionDef],
    variables: list[_Variable],
) -> node_def_pb2.NodeDef:
    name = unique(f"{frame.name}/While", nodes)
    numbers = {f"{name}/{_COUNTER}": 0, f"{name}/{_LIMIT}": -1}
    nodes |= {key: constant(key, value, types_pb2.DT_INT32) for key, value in numbers.items()}
    stateful = any(function.signature.is_stateful for function in made)
    loop = node_def_pb2.NodeDef(
        name=name,
        op="While" if stateful else "StatelessWhile",
        input=[*numbers, *(enter.input[0] for enter in enters)],
    )
    waits = [r for enter in enters for r in enter.input if is_control(r)]
    loop.input.extend(dict.fromkeys(waits))
    loop.attr["T"].list.type.extend([types_pb2.DT_INT32] * 2 + dtypes)
    loop.attr["cond"].func.name = made[0].signature.name
    loop.attr["body"].func.name = made[1].signature.name
    loop.attr["parallel_iterations"].i = enters[0].attr["parallel_iterations"].i or 10
    loop.attr["_num_original_outputs"].i = 2 + len(dtypes)
    loop.attr["_lower_using_switch_merge"].b = True
    shapes = loop.attr["output_shapes"].list.shape
    for _ in numbers:
        shapes.add()
    for variable in variables:
        # The ring's shape may be looser than what enters it.
        known = variable.merge.attr.get("_output_shapes")
        shapes.add().CopyFrom(known.list.shape[0]) if known else shapes.add(unknown_rank=True)
    for enter in enters[len(variables) :]:
        known = enter.attr.get("_output_shapes")
        shapes.add().CopyFrom(known.list.shape[0]) if known else shapes.add(unknown_rank=True)
    nodes[name] = loop
    return loop
