"""Pairs of Switch and Merge as If ops."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.order import topological
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    Effort,
    Irregular,
    Library,
    argument,
    dtype_of,
    identity,
    to_function,
    unique,
)
from hub_keras_bridge.graphs.graph import is_control, node_name, tensor_name

# Under which outcomes a node runs: pairs of a predicate's tensor and its value.
_Condition = frozenset[tuple[str, bool]]

# A node is looked at under each of the predicates that it runs under.
_DEEPEST = 64


@dataclass
class _Cond:
    """One conditional: all that merges, or has an effect, under one predicate."""

    predicate: str
    around: _Condition
    merges: list[node_def_pb2.NodeDef] = field(default_factory=list)
    effects: dict[bool, list[str]] = field(default_factory=lambda: {True: [], False: []})

    @property
    def all_effects(self) -> list[str]:
        """The effects of both branches."""
        return [*self.effects[True], *self.effects[False]]


def functionalize_conds(
    nodes: dict[str, node_def_pb2.NodeDef], library: Library, targets: Collection[str]
) -> dict[str, str]:
    """Replaces every conditional, innermost first; changes both first arguments.

    Args:
        nodes: a graph without loops.
        library: its functions, which the branches join.
        targets: tensors and nodes that are wanted.

    Returns:
        Wanted node that runs in a branch now -> the node to run instead.

    Raises:
        Irregular: a Switch and Merge are not as ``tf.cond`` makes them, or a
            tensor is wanted from within a branch.
    """
    conditions = _conditions(nodes)
    waiting = _Waiting(conditions)
    for cond in _conds(nodes, conditions):
        waiting.add(cond)
    # Node to run -> the wanted nodes that it runs.
    runs = {name: [name] for name in map(node_name, targets)}
    for name in runs:
        waiting.add_effect(name)
    if not waiting:
        return {}
    values = {node_name(target): target for target in targets if ":" in target}
    numbered = _read_as_index(nodes, targets)
    effort = Effort(nodes)
    moved: dict[str, str] = {}
    while waiting:
        cond = waiting.pop_innermost()
        node = _replace(cond, nodes, library, conditions, effort, numbered)
        inside = [wanted for effect in cond.all_effects for wanted in runs.pop(effect)]
        if not inside:
            continue
        for name in inside:
            # A node runs or not; a value would be missing where the branch does not run.
            if name in values:
                raise Irregular(f"{values[name]!r} is wanted from within a branch")
            moved[name] = node.name
        runs[node.name] = inside
        waiting.add_effect(node.name)
    # Merges of one scope, one after the other, would be one conditional that waits for itself.
    topological(nodes)
    return moved


class _Waiting:
    """The conditionals that are still to be replaced."""

    def __init__(self, conditions: dict[str, dict[int, _Condition]]) -> None:
        self._conditions = conditions
        self._by_depth: list[tuple[int, int, _Cond]] = []
        self._by_predicate: dict[str, OrderedDict[int, _Cond]] = defaultdict(OrderedDict)
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._by_depth)

    def add(self, cond: _Cond) -> None:
        """Adds a conditional."""
        number = next(self._numbers)
        heapq.heappush(self._by_depth, (-len(cond.around), number, cond))
        self._by_predicate[cond.predicate][number] = cond

    def add_effect(self, name: str) -> None:
        """Adds a wanted node to the innermost conditional that it is in, if it is in one."""
        own = self._conditions[name][-1]
        if not own:
            return
        # The innermost predicate: the one that no other's condition includes.
        predicate, value = max(own, key=lambda p: len(self._conditions[node_name(p[0])][-1]))
        if not self._by_predicate[predicate]:
            self.add(_Cond(predicate, own - {(predicate, value)}))
        known = next(iter(self._by_predicate[predicate].values()))
        known.effects[value].append(name)

    def pop_innermost(self) -> _Cond:
        """Takes out the first of those that lie deepest."""
        _, number, cond = heapq.heappop(self._by_depth)
        del self._by_predicate[cond.predicate][number]
        return cond


def _read_as_index(nodes: dict[str, node_def_pb2.NodeDef], targets: Collection[str]) -> set[str]:
    """The second outputs that are read or wanted; those of a Merge tell which input it took."""
    read = (r for node in nodes.values() for r in node.input if not is_control(r))
    return {tensor for tensor in map(tensor_name, (*read, *targets)) if tensor.endswith(":1")}


def _conditions(nodes: dict[str, node_def_pb2.NodeDef]) -> dict[str, dict[int, _Condition]]:
    """Node -> output index -> condition; index -1 for the node as a whole."""
    found: dict[str, dict[int, _Condition]] = {}
    for name in topological(nodes):
        node = nodes[name]
        inputs = [_condition_of(found, reference) for reference in node.input]
        if node.op == "Merge":
            data = inputs[: sum(not is_control(r) for r in node.input)]
            found[name] = {-1: frozenset.intersection(*data)}
            continue
        whole: _Condition = frozenset().union(*inputs)
        if len(whole) > _DEEPEST:
            raise Irregular(f"node {name!r} lies in more than {_DEEPEST} conditionals")
        found[name] = {-1: whole}
        if node.op == "Switch":
            predicate = _predicate(node, nodes)
            for value in (False, True):
                found[name][int(value)] = whole | {(predicate, value)}
    return found


def _predicate(switch: node_def_pb2.NodeDef, nodes: dict[str, node_def_pb2.NodeDef]) -> str:
    """What a Switch asks, by a name that is one conditional's alone.

    ``tf.cond`` gives its ops an Identity of the predicate called ``pred_id``;
    only the Switch that its constants hang on asks the predicate itself.
    """
    asked = tensor_name(switch.input[1])
    if tensor_name(switch.input[0]) == asked:
        own = f"{switch.name.rpartition('/')[0]}/pred_id"
        if own in nodes and tensor_name(nodes[own].input[0]) == asked:
            return f"{own}:0"
    return asked


def _condition_of(found: dict[str, dict[int, _Condition]], reference: str) -> _Condition:
    outputs = found.get(node_name(reference))
    if outputs is None:
        raise Irregular(f"{reference!r} comes round a ring that is no loop")
    if is_control(reference):
        return outputs[-1]
    return outputs.get(int(tensor_name(reference).rpartition(":")[2]), outputs[-1])


def _conds(
    nodes: dict[str, node_def_pb2.NodeDef], conditions: dict[str, dict[int, _Condition]]
) -> Collection[_Cond]:
    found: dict[tuple[str, str], _Cond] = {}
    for node in nodes.values():
        if node.op == "Merge":
            false, true = _sides(node, conditions)
            (predicate,) = {p for p, _ in true - false}
            around = true - {(predicate, True)}
            # All that one tf.cond merges is in one name scope.
            scope = node.name.rpartition("/")[0]
            cond = found.setdefault((predicate, scope), _Cond(predicate, around))
            if cond.around != around:
                raise Irregular(f"predicate {predicate!r} is used at several depths")
            cond.merges.append(node)
    return found.values()


def _sides(
    merge: node_def_pb2.NodeDef, conditions: dict[str, dict[int, _Condition]]
) -> tuple[_Condition, _Condition]:
    """The conditions of a Merge's inputs, that of the false branch first."""
    data = [r for r in merge.input if not is_control(r)]
    if len(data) == 2:
        one, other = (_condition_of(conditions, r) for r in data)
        if len(one - other) == len(other - one) == 1:
            ((p, value),), ((q, opposite),) = one - other, other - one
            if p == q and value != opposite:
                return (other, one) if value else (one, other)
    raise Irregular(f"what {merge.name!r} merges are not the branches of one condition")


def _replace(
    cond: _Cond,
    nodes: dict[str, node_def_pb2.NodeDef],
    library: Library,
    conditions: dict[str, dict[int, _Condition]],
    effort: Effort,
    numbered: Collection[str],
) -> node_def_pb2.NodeDef:
    results = {value: [_side(m, value, conditions) for m in cond.merges] for value in (True, False)}
    sides = {
        value: _Side(cond, value, nodes, conditions).collect(results[value], effort)
        for value in (True, False)
    }
    outside = list(dict.fromkeys([*sides[True].outside, *sides[False].outside]))
    names = {tensor: f"argument_{index}" for index, tensor in enumerate(outside)}
    dtypes = [dtype_of(nodes, tensor, library.signatures) for tensor in outside]
    arguments = {
        names[tensor]: argument(names[tensor], dtype)
        for tensor, dtype in zip(outside, dtypes, strict=True)
    }
    base = (cond.merges[0].name if cond.merges else node_name(cond.predicate)) + "/If"
    node_key = unique(base, nodes)
    made = {}
    for value, side in sides.items():
        body = side.body(arguments, names, results[value])
        kind = "true" if value else "false"
        name = library.unique(f"{node_key.replace('/', '_')}_{kind}")
        made[value] = library.add(to_function(name, body, library.signatures))

    stateful = any(function.signature.is_stateful for function in made.values())
    node = node_def_pb2.NodeDef(
        name=node_key, op="If" if stateful else "StatelessIf", input=[cond.predicate, *outside]
    )
    node.input.extend(dict.fromkeys([*sides[True].waits, *sides[False].waits]))
    node.attr["Tcond"].type = types_pb2.DT_BOOL
    node.attr["Tin"].list.type.extend(dtypes)
    node.attr["then_branch"].func.name = made[True].signature.name
    node.attr["else_branch"].func.name = made[False].signature.name
    node.attr["_lower_using_switch_merge"].b = True
    node.attr["Tout"].list.SetInParent()
    for merge in cond.merges:
        node.attr["Tout"].list.type.append(dtype_of(nodes, merge.name, library.signatures))
        known = merge.attr.get("_output_shapes")
        shapes = node.attr["output_shapes"].list.shape
        shapes.add().CopyFrom(known.list.shape[0]) if known else shapes.add(unknown_rank=True)
    nodes[node_key] = node
    for index, merge in enumerate(cond.merges):
        if f"{merge.name}:1" in numbered:
            raise Irregular(f"the index of {merge.name!r} is used")
        dtype = node.attr["Tout"].list.type[index]
        nodes[merge.name] = identity(merge.name, f"{node.name}:{index}", dtype)
    for name in (node.name, *(merge.name for merge in cond.merges)):
        conditions[name] = {-1: cond.around}
    return node


def _side(
    merge: node_def_pb2.NodeDef, value: bool, conditions: dict[str, dict[int, _Condition]]
) -> str:
    """The tensor that a Merge passes on for one outcome."""
    wanted = _sides(merge, conditions)[int(value)]
    data = (r for r in merge.input if not is_control(r))
    return next(tensor_name(r) for r in data if _condition_of(conditions, r) == wanted)


class _Side:
    """One branch: the nodes that run in it and what they take from outside."""

    def __init__(
        self,
        cond: _Cond,
        value: bool,
        nodes: dict[str, node_def_pb2.NodeDef],
        conditions: dict[str, dict[int, _Condition]],
    ) -> None:
        self._cond = cond
        self._value = value
        self._nodes = nodes
        self._conditions = conditions
        self._inside: set[str] = set()
        self.outside: list[str] = []
        self.waits: list[str] = []

    def collect(self, results: list[str], effort: Effort) -> _Side:
        """Walks up from the results and effects to the Switch ops."""
        waiting = [
            *(node_name(r) for r in results if self._is_inside(r)),
            *self._cond.effects[self._value],
        ]
        self.outside.extend(self._source(r) for r in results if not self._is_inside(r))
        while waiting:
            name = waiting.pop()
            if name in self._inside:
                continue
            self._inside.add(name)
            effort.spend(self._nodes[name])
            for reference in self._nodes[name].input:
                if self._is_inside(reference):
                    waiting.append(node_name(reference))
                elif not is_control(reference):
                    self.outside.append(self._source(reference))
                elif not self._is_switch(reference):
                    self.waits.append(reference)
        return self

    def _is_switch(self, reference: str) -> bool:
        node = self._nodes[node_name(reference)]
        return node.op == "Switch" and _predicate(node, self._nodes) == self._cond.predicate

    def _is_inside(self, reference: str) -> bool:
        if self._is_switch(reference):
            return False
        condition = _condition_of(self._conditions, reference)
        return (self._cond.predicate, self._value) in condition

    def _source(self, reference: str) -> str:
        """The tensor outside that a reference stands for."""
        if self._is_switch(reference):
            return tensor_name(self._nodes[node_name(reference)].input[0])
        return tensor_name(reference)

    def body(
        self,
        arguments: dict[str, node_def_pb2.NodeDef],
        names: dict[str, str],
        results: list[str],
    ) -> Body:
        """The branch with arguments in place of what comes from outside."""

        def inner(reference: str) -> str:
            return (
                reference if self._is_inside(reference) else f"{names[self._source(reference)]}:0"
            )

        copied = {}
        for name in self._inside:
            node = node_def_pb2.NodeDef()
            node.CopyFrom(self._nodes[name])
            node.input[:] = [
                r if is_control(r) else inner(r)
                for r in node.input
                if not is_control(r) or self._is_inside(r)
            ]
            copied[name] = node
        return Body(
            copied | arguments,
            list(arguments),
            [inner(result) for result in results],
            list(self._cond.effects[self._value]),
        )
