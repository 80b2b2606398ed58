"""Functions that take variables' handles, as functions that take their values.

Such functions may read the variables, not write to them: when a write in a branch or
loop happens, only a handle can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tensorflow.core.framework import function_pb2, node_def_pb2

from hub_keras_bridge.graphs.control_flow.on_value import ON_VALUE, read_value
from hub_keras_bridge.graphs.control_flow.subgraph import unique
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded


@dataclass(frozen=True)
class _Call:
    """How an op calls functions.

    Attributes:
        functions: attributes that name them.
        types: attribute with the dtypes of their arguments.
        before: how many inputs are no arguments.
        returns: whether each argument is a result, too.
    """

    functions: tuple[str, ...]
    types: str = "Tin"
    before: int = 0
    returns: bool = False


_CALL, _LOOP = _Call(("f",)), _Call(("cond", "body"), types="T", returns=True)
_IF = _Call(("then_branch", "else_branch"), before=1)
_CASE = _Call(("branches",), before=1)
_CALLS = {
    "PartitionedCall": _CALL,
    "StatefulPartitionedCall": _CALL,
    "If": _IF,
    "StatelessIf": _IF,
    "Case": _CASE,
    "StatelessCase": _CASE,
    "While": _LOOP,
    "StatelessWhile": _LOOP,
}


class Calls:
    """Makes the functions that calls with values need.

    Args:
        library: of the graph; those that are made are added to it.
    """

    def __init__(self, library: function_pb2.FunctionDefLibrary) -> None:
        self._library = library
        self._functions = {each.signature.name: each for each in library.function}
        self._made: dict[tuple[str, tuple[tuple[int, int], ...]], str] = {}

    def take_values(self, node: node_def_pb2.NodeDef, dtypes: Mapping[int, int]) -> dict[int, int]:
        """Makes a call take values for handles; changes it.

        Args:
            node: any op that takes handles.
            dtypes: its inputs that are values now -> their dtypes' enums.

        Returns:
            Its outputs that were handles -> the input that each of them is.

        Raises:
            HandleNeeded: it is no call, or what it calls does more than read.
        """
        if node.op in self._functions:
            node.op = self._of_values(node.op, dtypes)
            return {}
        call = _CALLS.get(node.op)
        if call is None or min(dtypes) < call.before:
            raise HandleNeeded(f"{node.name!r} ({node.op}) takes a variable's handle")
        arguments = {index - call.before: dtype for index, dtype in dtypes.items()}
        for name in call.functions:
            attribute = node.attr[name]
            several = attribute.list.func if attribute.HasField("list") else [attribute.func]
            for function in several:
                function.name = self._of_values(function.name, arguments)
        for index, dtype in arguments.items():
            node.attr[call.types].list.type[index] = dtype
            if call.returns and node.attr["output_shapes"].list.shape:
                node.attr["output_shapes"].list.shape[index].Clear()
                node.attr["output_shapes"].list.shape[index].unknown_rank = True
        node.attr.pop("_read_only_resource_inputs", None)
        return {index: index for index in dtypes} if call.returns else {}

    def _of_values(self, name: str, dtypes: Mapping[int, int]) -> str:
        """The function that takes these arguments as values; of whatever calls it so, one."""
        key = (name, tuple(sorted(dtypes.items())))
        if key not in self._made:
            self._made[key] = unique(f"{name}_of_values", self._functions)
            function = function_pb2.FunctionDef()
            function.CopyFrom(self._functions[name])
            function.signature.name = self._made[key]
            self._functions[self._made[key]] = function
            self._rewrite(function, dtypes)
            self._library.function.append(function)
        return self._made[key]

    def _rewrite(self, function: function_pb2.FunctionDef, dtypes: Mapping[int, int]) -> None:
        declared = function.signature.input_arg
        values = {declared[index].name: dtype for index, dtype in dtypes.items()}
        for index, dtype in dtypes.items():
            declared[index].type = dtype
            declared[index].ClearField("handle_data")
            function.arg_attr.pop(index, None)
        function.attr.pop("_input_shapes", None)
        waiting = list(function.node_def)
        renamed: dict[str, str] = {}
        while readers := [n for n in waiting if not values.keys().isdisjoint(n.input)]:
            waiting = [n for n in waiting if values.keys().isdisjoint(n.input)]
            for node in readers:
                given = {i: values[r] for i, r in enumerate(node.input) if r in values}
                if node.op == "Identity":
                    node.attr["T"].type = given[0]
                    values[f"{node.name}:output:0"] = given[0]
                elif node.op in ON_VALUE:
                    if node.op == "ReadVariableOp":
                        renamed[f"{node.name}:value:0"] = f"{node.name}:output:0"
                    for each in read_value(node, given[0]):
                        renamed[each.name] = f"{each.name}:output:0"
                        function.node_def.append(each)
                else:
                    for output, index in self.take_values(node, given).items():
                        values[f"{node.name}:output:{output}"] = given[index]
        for node in function.node_def:
            node.input[:] = [renamed.get(r, r) for r in node.input]
        for result in function.signature.output_arg:
            source = function.ret[result.name] = renamed.get(
                function.ret[result.name], function.ret[result.name]
            )
            if source in values:
                result.type = values[source]
                result.ClearField("handle_data")
