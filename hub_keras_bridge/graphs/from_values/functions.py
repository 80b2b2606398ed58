"""Functions that take variables' handles, as functions that take their values.

What a function writes it returns, behind its other results: a branch also what another
branch of the same call writes, and a loop in the argument's own place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2, tensor_shape_pb2

from hub_keras_bridge.graphs import library as library_facts
from hub_keras_bridge.graphs.bodies import add_function, opened
from hub_keras_bridge.graphs.calling import Call
from hub_keras_bridge.graphs.control_flow.subgraph import Body, Library
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.from_values.walk import Called, walk
from hub_keras_bridge.graphs.from_values.writes import WRITES
from hub_keras_bridge.graphs.prune import Placeholder

_Nodes = dict[str, node_def_pb2.NodeDef]

# Of functions that call functions; each is followed by a call of Python's.
_DEEPEST = 64


@dataclass(frozen=True)
class _Argument:
    """An argument of a function that is a value now.

    Attributes:
        index: which.
        first: the first argument of the same variable.
        dtype: of the value, as an enum.
        shape: of the value, a serialized TensorShapeProto.
    """

    index: int
    first: int
    dtype: int
    shape: bytes

    @classmethod
    def of(cls, index: int, first: int, value: Placeholder) -> _Argument:
        shape = tf.TensorShape(value.shape).as_proto()
        return cls(index, first, value.dtype, shape.SerializeToString(deterministic=True))

    @property
    def value(self) -> Placeholder:
        return Placeholder(self.dtype, tensor_shape_pb2.TensorShapeProto.FromString(self.shape))


@dataclass(frozen=True)
class _OnValues:
    """A function's body after the walk.

    Attributes:
        body: its nodes, arguments and results.
        handles: results that were handles -> the argument that each is.
        values: first argument of a variable -> its value in the end.
        written: those of them that are new.
    """

    body: Body
    handles: Mapping[int, int]
    values: Mapping[int, str]
    written: frozenset[int]


class Functions:
    """Makes the functions that calls with values need.

    Args:
        functions: of the graph.
    """

    def __init__(self, functions: function_pb2.FunctionDefLibrary) -> None:
        self.library = Library(functions.function)
        self._published = {each.signature.name: each for each in functions.function}
        writing = [
            name
            for name, each in self._published.items()
            if any(node.op in WRITES for node in each.node_def)
        ]
        self._writing = library_facts.leading_to(functions, writing)
        self._bodies: dict[tuple[str, tuple[_Argument, ...]], _OnValues] = {}
        self._made: dict[tuple[str, tuple[_Argument, ...], tuple[int, ...]], str] = {}
        self._depth = 0

    def writers(self, nodes: _Nodes) -> set[str]:
        """Those of some nodes that write, or call what does."""
        return {
            name
            for name, node in nodes.items()
            if node.op in WRITES or any(library_facts.calls([node], self._writing))
        }

    def take_values(
        self,
        node: node_def_pb2.NodeDef,
        taken: Mapping[int, str],
        values: Mapping[str, Placeholder],
    ) -> Called:
        """Makes a call take values for handles; changes it.

        Args:
            node: any op that takes handles.
            taken: its inputs that are values now -> the handles that they were.
            values: what the values of handles are.

        Raises:
            HandleNeeded: it is no call, or what it calls does more than read and write.
        """
        call = Call.of(node, self._published)
        if call is None or min(taken) < call.before:
            raise HandleNeeded(f"{node.name!r} ({node.op}) takes a variable's handle")
        first: dict[str, int] = {}
        arguments = tuple(
            _Argument.of(index, first.setdefault(handle, index), values[handle])
            for index, handle in ((i - call.before, taken[i]) for i in sorted(taken))
        )
        bodies = [self._on_values(name, arguments) for name in call.functions]
        place = _places(call, bodies, arguments)
        returned = () if call.is_loop else tuple(place)
        call.functions = [self._function(name, arguments, returned) for name in call.functions]
        value = {argument.index: argument.value for argument in arguments}
        for index, each in value.items():
            call.take(index, each.dtype, each.shape)
        given = {} if call.is_loop else {**bodies[0].handles, **{o: i for i, o in place.items()}}
        for output, index in given.items():
            call.give(output, value[index].dtype, value[index].shape)
        node.attr.pop("_read_only_resource_inputs", None)
        handle_at = {index: handle for handle, index in first.items()}
        return Called(
            {output: handle_at[index] for output, index in bodies[-1].handles.items()},
            {handle_at[index]: output for index, output in place.items()},
        )

    def _on_values(self, name: str, arguments: tuple[_Argument, ...]) -> _OnValues:
        """The body of a function with these arguments as values."""
        if (name, arguments) not in self._bodies:
            self._depth += 1
            if self._depth > _DEEPEST:
                raise HandleNeeded(f"{name!r} is called more than {_DEEPEST} functions deep")
            body = opened(self._published[name], self.library.signatures)
            if body is None:
                raise HandleNeeded(f"function {name!r}, whose arguments differ by call, takes one")
            self._bodies[name, arguments] = self._walked(body, arguments)
            self._depth -= 1
        return self._bodies[name, arguments]

    def _walked(self, body: Body, arguments: tuple[_Argument, ...]) -> _OnValues:
        placeholder = {each.index: f"{body.arguments[each.index]}:0" for each in arguments}
        handles = {placeholder[each.index]: placeholder[each.first] for each in arguments}
        values = {placeholder[each.first]: each.value for each in arguments}
        writers = self.writers(body.nodes)
        walked = walk(body.nodes, handles, values, writers, self.take_values)
        argument = {placeholder[each.first]: each.first for each in arguments}
        was = [walked.handle_of.get(result) for result in body.results]
        results = [
            result if handle is None else walked.read(handle)
            for handle, result in zip(was, body.results, strict=True)
        ]
        return _OnValues(
            Body(body.nodes, body.arguments, results),
            {index: argument[handle] for index, handle in enumerate(was) if handle is not None},
            {argument[handle]: tensor for handle, tensor in walked.current.items()},
            frozenset(argument[h] for h, tensor in walked.current.items() if tensor != h),
        )

    def _function(
        self, name: str, arguments: tuple[_Argument, ...], returned: tuple[int, ...]
    ) -> str:
        """The function with these arguments as values, which returns some of them, too."""
        key = name, arguments, returned
        if key not in self._made:
            found = self._bodies[name, arguments]
            results = [*found.body.results, *(found.values[index] for index in returned)]
            whole = Body(found.body.nodes, found.body.arguments, results)
            made = add_function(f"{name}_of_values", whole, self.library)
            self._made[key] = made.signature.name
        return self._made[key]


def _places(
    call: Call, bodies: list[_OnValues], arguments: tuple[_Argument, ...]
) -> dict[int, int]:
    """Argument of a variable that is written -> the output that is its new value."""
    written = sorted(index for body in bodies for index in body.written)
    what = f"{call.node.name!r} ({call.node.op})"
    if not call.is_loop:
        if any(body.handles != bodies[0].handles for body in bodies):
            raise HandleNeeded(f"{what} returns one variable's handle or another's")
        count = len(bodies[0].body.results)
        return {index: count + place for place, index in enumerate(dict.fromkeys(written))}
    condition, body = bodies
    if condition.written:
        raise HandleNeeded(f"the condition of {what} writes to a variable")
    if body.handles != {each.index: each.first for each in arguments}:
        raise HandleNeeded(f"in {what} variables' handles change places")
    return {index: index for index in written}
