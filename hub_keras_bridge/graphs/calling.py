"""How nodes call functions: which attributes name them, and which inputs they are given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tensorflow.core.framework import attr_value_pb2, node_def_pb2, tensor_shape_pb2

from hub_keras_bridge.graphs.graph import is_control


@dataclass(frozen=True)
class _Kind:
    """How an op calls functions.

    Attributes:
        functions: attributes that name them.
        arguments: attribute with the dtypes of what they are given.
        results: attribute with the dtypes of what they return.
        before: how many inputs are no arguments.
        pure: the op for functions without effects.
    """

    functions: tuple[str, ...] = ()
    arguments: str = ""
    results: str = ""
    before: int = 0
    pure: str = ""


# A node whose op is the function's name.
_DIRECT = _Kind()
_KINDS = {
    op: kind
    for stateful, kind in {
        "StatefulPartitionedCall": _Kind(("f",), "Tin", "Tout", pure="PartitionedCall"),
        "If": _Kind(("then_branch", "else_branch"), "Tin", "Tout", 1, "StatelessIf"),
        "Case": _Kind(("branches",), "Tin", "Tout", 1, "StatelessCase"),
        "While": _Kind(("cond", "body"), "T", "T", pure="StatelessWhile"),
    }.items()
    for op in (stateful, kind.pure)
}


class Call:
    """A node that calls functions; what is set here changes the node.

    Args:
        node: the node.
        kind: how it calls them.
    """

    def __init__(self, node: node_def_pb2.NodeDef, kind: _Kind) -> None:
        self.node = node
        self._kind = kind

    @classmethod
    def of(cls, node: node_def_pb2.NodeDef, functions: Collection[str]) -> Call | None:
        """The call that a node is; None where it is none, or calls otherwise.

        Args:
            node: of a graph or of a function.
            functions: names of all functions that are there.
        """
        kind = _DIRECT if node.op in functions else _KINDS.get(node.op)
        found = kind and cls(node, kind)
        return found if found and set(found.functions) <= set(functions) else None

    @property
    def before(self) -> int:
        """How many inputs come before the arguments."""
        return self._kind.before

    @property
    def is_loop(self) -> bool:
        """Whether it calls a condition and a body, which returns its own next arguments."""
        return self._kind.pure == "StatelessWhile"

    @property
    def functions(self) -> list[str]:
        """What it calls; of a loop the condition first."""
        return [each.name for each in self._named()] or [self.node.op]

    @functions.setter
    def functions(self, names: Sequence[str]) -> None:
        if self._kind is _DIRECT:
            (self.node.op,) = names
        for each, name in zip(self._named(), names, strict=self._kind is not _DIRECT):
            each.name = name

    def has_no_effects(self) -> None:
        """Says of the call that its functions have none."""
        self.node.op = self._kind.pure or self.node.op

    def take(self, index: int, dtype: int, shape: tensor_shape_pb2.TensorShapeProto) -> None:
        """Sets what an argument is; of a loop also what comes out in its place."""
        self._set(self._kind.arguments, index, dtype)
        if self.is_loop:
            self._set_shape(index, shape)

    def give(self, index: int, dtype: int, shape: tensor_shape_pb2.TensorShapeProto) -> None:
        """Sets what a result is; it may be the one behind the last."""
        self._set(self._kind.results, index, dtype)
        self._set_shape(index, shape)

    def add(self, argument: str, dtype: int, shape: tensor_shape_pb2.TensorShapeProto) -> None:
        """Gives it one more argument, behind the others."""
        self.node.attr.pop("_output_shapes", None)
        count = sum(not is_control(reference) for reference in self.node.input)
        self.node.input.insert(count, argument)
        self.take(count - self.before, dtype, shape)

    def _named(self) -> list[attr_value_pb2.NameAttrList]:
        attributes = [self.node.attr[name] for name in self._kind.functions]
        return [f for a in attributes for f in (a.list.func if a.HasField("list") else [a.func])]

    def _set(self, attribute: str, index: int, dtype: int) -> None:
        if not attribute:
            return  # The function's own signature tells.
        dtypes = self.node.attr[attribute].list.type
        dtypes[index : index + 1] = [dtype]

    def _set_shape(self, index: int, shape: tensor_shape_pb2.TensorShapeProto) -> None:
        if "output_shapes" not in self.node.attr:
            return
        # Where they are told, they are told of all.
        shapes = self.node.attr["output_shapes"].list.shape
        if 0 < len(shapes) == index:
            shapes.add()
        if shapes:
            shapes[index].CopyFrom(shape)
