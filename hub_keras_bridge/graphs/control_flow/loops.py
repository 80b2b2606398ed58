"""Rings of Enter, Merge, Switch, NextIteration and Exit as While ops."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.conds import functionalize_conds
from hub_keras_bridge.graphs.control_flow.order import topological
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    Irregular,
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
    functions: dict[str, function_pb2.FunctionDef],
    targets: Iterable[str],
    undifferentiated: Collection[str] = (),
) -> None:
    """Replaces every loop, innermost first; changes the first two arguments.

    Args:
        nodes: a graph.
        functions: its library, which the loops' parts join.
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
    for frame in sorted(_frames(nodes, frame_of), key=lambda frame: -frame.depth):
        exit_op = "StopGradient" if frame.name in undifferentiated else "Identity"
        for leaving, source, dtype in _replace(frame, nodes, functions):
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
    for frame in frames.values():
        frame.depth = len(_around(frame, frames, frame_of))
    return list(frames.values())


def _around(
    frame: _Frame, frames: dict[str, _Frame], frame_of: dict[str, str | None]
) -> list[_Frame]:
    """The loops that a loop is in, innermost first."""
    found: list[_Frame] = []
    while True:
        # A value may enter from further out than the loop around.
        sources = (frame_of[node_name(enter.input[0])] for enter in frame.enters)
        around = {source for source in sources if source is not None}
        if not around:
            return found
        if len(around) > 1 or len(found) > len(frames):
            raise Irregular(f"loop {frame.name!r} lies in several loops at once")
        frame = frames[around.pop()]
        found.append(frame)


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
    functions: dict[str, function_pb2.FunctionDef],
) -> list[tuple[str, str, int]]:
    """Adds the While op; returns each Exit with what it hands out, and its dtype."""
    signatures = {name: f.signature for name, f in functions.items()}
    variables, loop_cond = _variables(frame, nodes)
    entered = {variable.enter.name for variable in variables}
    constants = [enter for enter in frame.enters if enter.name not in entered]

    sources = [*(v.enter for v in variables), *constants]
    names = [
        *(f"variable_{i}" for i in range(len(variables))),
        *(f"constant_{i}" for i in range(len(constants))),
    ]
    dtypes = [dtype_of(nodes, enter.name, signatures) for enter in sources]
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
    cond = _body(nodes, arguments, given, [loop_cond.input[0]], [])
    ring = [variable.next_iteration for variable in variables]
    after = [node_name(r) for n in ring for r in n.input if is_control(r)]
    body = _body(nodes, arguments, given, [n.input[0] for n in ring], after)
    _count(body)
    body.results = [f"{_LIMIT}:0", *body.results, *(f"{n}:0" for n in names[len(variables) :])]
    body.results.insert(0, "loop_counter/next:0")

    prefix = frame.name.replace("/", "_")
    made = []
    for part, kind in ((cond, "cond"), (body, "body")):
        moved = functionalize_conds(part.nodes, functions, [*part.results, *part.effects])
        part.effects = list(dict.fromkeys(moved.get(effect, effect) for effect in part.effects))
        name = unique(f"{prefix}_{kind}", functions)
        signatures = {key: f.signature for key, f in functions.items()}
        functions[name] = to_function(name, part, signatures)
        made.append(functions[name])
    loop = _while_node(frame, nodes, sources, dtypes, made, variables)
    return [
        (variable.exit.name, f"{loop.name}:{index + 2}", dtypes[index])
        for index, variable in enumerate(variables)
        if variable.exit is not None
    ]


def _variables(
    frame: _Frame, nodes: dict[str, node_def_pb2.NodeDef]
) -> tuple[list[_Variable], node_def_pb2.NodeDef]:
    """The loop's variables and its LoopCond."""
    enters = {enter.name: enter for enter in frame.enters}
    merges = {}
    for node in nodes.values():
        if node.op == "Merge" and node_name(node.input[0]) in enters:
            merges[node.name] = node
    switches: dict[str, node_def_pb2.NodeDef] = {}
    loop_conds = {}
    for node in nodes.values():
        if node.op == "Switch" and node_name(node.input[0]) in merges:
            pred = nodes[node_name(node.input[1])]
            if pred.op == "LoopCond":
                switches[node_name(node.input[0])] = node
                loop_conds[pred.name] = pred
    if len(loop_conds) != 1:
        raise Irregular(f"loop {frame.name!r} has {len(loop_conds)} conditions")
    exits = {node_name(node.input[0]): node for node in nodes.values() if node.op == "Exit"}
    variables = []
    for merge in sorted(merges.values(), key=lambda node: node.name):
        ring_end = nodes[node_name(merge.input[1])]
        if ring_end.op != "NextIteration":
            raise Irregular(f"the ring at {merge.name!r} is broken")
        switch = switches.get(merge.name)
        leaving = exits.get(switch.name) if switch else None
        enter = enters[node_name(merge.input[0])]
        variables.append(_Variable(enter, merge, ring_end, switch, leaving))
    return variables, next(iter(loop_conds.values()))


def _body(
    nodes: dict[str, node_def_pb2.NodeDef],
    arguments: dict[str, node_def_pb2.NodeDef],
    given: dict[str, str],
    results: list[str],
    after: list[str],
) -> Body:
    """What computes some results inside a frame, in terms of its arguments."""
    on_ring = {node_name(tensor) for tensor in given}
    effects = [name for name in after if name not in on_ring]
    copied = {}
    for name in upstream(nodes, [*results, *effects], given):
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
