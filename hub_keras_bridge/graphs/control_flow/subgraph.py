"""Some nodes of a graph as a function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2

from hub_keras_bridge.graphs.graph import is_control, node_name, tensor_name, upstream
from hub_keras_bridge.graphs.ops import definitions as op_facts


class Irregular(Exception):
    """Control flow that was not made by ``tf.while_loop`` or ``tf.cond``."""


class Effort:
    """How much of a graph is copied into functions, as against its size.

    A node of ``tf.while_loop`` or ``tf.cond`` runs in one branch or loop alone. In
    a graph made by hand any number of them may depend on the same nodes, and
    their copies would be more than there is time and memory for.

    Args:
        nodes: the graph.
    """

    def __init__(self, nodes: Mapping[str, node_def_pb2.NodeDef]) -> None:
        self._left = _LEAST_EFFORT + _EFFORT * sum(map(_size, nodes.values()))

    def spend(self, node: node_def_pb2.NodeDef) -> None:
        """Counts a node that is copied.

        Raises:
            Irregular: that is too many.
        """
        self._left -= _size(node)
        if self._left < 0:
            raise Irregular("too many branches or loops depend on the same nodes")


# How often each node and edge may be copied, all taken together.
_EFFORT = 10
_LEAST_EFFORT = 20_000

# Each is called, and of calls there may not be any number (see graphs/calls.py).
_MOST_MADE = 4000


def _size(node: node_def_pb2.NodeDef) -> int:
    return 1 + len(node.input)


class Library:
    """The functions of a graph, to which those that are made are added.

    Args:
        functions: those that are there.
    """

    def __init__(self, functions: Iterable[function_pb2.FunctionDef] = ()) -> None:
        self.functions = list(functions)
        self.signatures = {f.signature.name: f.signature for f in self.functions}
        self._numbers: dict[str, int] = {}
        self._most = len(self.functions) + _MOST_MADE

    def add(self, function: function_pb2.FunctionDef) -> function_pb2.FunctionDef:
        """Adds a function under a name that is not taken; returns it.

        Raises:
            Irregular: there are too many.
        """
        if len(self.functions) == self._most:
            raise Irregular(f"it has more than {_MOST_MADE} branches and parts of loops")
        self.functions.append(function)
        self.signatures[function.signature.name] = function.signature
        return function

    def unique(self, name: str) -> str:
        """A name that no function has yet; where several ask for one name, the next."""
        number = self._numbers.get(name, 0)
        while (candidate := f"{name}_{number}" if number else name) in self.signatures:
            number += 1
        self._numbers[name] = number
        return candidate


@dataclass
class Body:
    """Nodes that become a function.

    Attributes:
        nodes: by name; the arguments are among them, as placeholders.
        arguments: names of the placeholders, in order.
        results: tensors to return, in order.
        effects: nodes to run besides.
    """

    nodes: dict[str, node_def_pb2.NodeDef]
    arguments: list[str]
    results: list[str]
    effects: list[str] = field(default_factory=list)


def argument(name: str, dtype: int) -> node_def_pb2.NodeDef:
    """The placeholder that stands for a function's argument."""
    node = node_def_pb2.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype
    return node


def dtype_of(
    nodes: dict[str, node_def_pb2.NodeDef], tensor: str, functions: op_facts.Signatures
) -> int:
    """The dtype enum of a tensor of a GraphDef."""
    name, _, index = tensor_name(tensor).rpartition(":")
    return op_facts.output(nodes[name], int(index), functions)[1]


def to_function(name: str, body: Body, functions: op_facts.Signatures) -> function_pb2.FunctionDef:
    """The function of a body: what its results and effects need."""
    function = function_pb2.FunctionDef()
    function.signature.name = name
    arguments = set(body.arguments)
    for argument_name in body.arguments:
        function.signature.input_arg.add(
            name=argument_name, type=body.nodes[argument_name].attr["dtype"].type
        )

    def port(reference: str) -> str:
        source = node_name(reference)
        if source in arguments:
            return source
        index = int(tensor_name(reference).rpartition(":")[2])
        return f"{source}:{op_facts.output(body.nodes[source], index, functions)[0]}"

    kept = upstream(body.nodes, [*body.results, *body.effects])
    for node_key in sorted(kept - arguments):
        node = function.node_def.add()
        node.CopyFrom(body.nodes[node_key])
        node.input[:] = _function_inputs(node.input, arguments, port)
        if op_facts.is_stateful(node, functions):
            function.signature.is_stateful = True
            function.control_ret[node_key] = node_key
            function.signature.control_output.append(node_key)
    for effect in body.effects:
        if effect not in function.control_ret:
            function.control_ret[effect] = effect
            function.signature.control_output.append(effect)
    for index, result in enumerate(body.results):
        dtype = dtype_of(body.nodes, result, functions)
        function.signature.output_arg.add(name=f"result_{index}", type=dtype)
        function.ret[f"result_{index}"] = port(result)
    return function


def _function_inputs(
    references: Iterable[str], arguments: set[str], port: Callable[[str], str]
) -> list[str]:
    # Arguments are there from the start: nothing waits for them.
    return [
        reference if is_control(reference) else port(reference)
        for reference in references
        if not (is_control(reference) and node_name(reference) in arguments)
    ]


def unique(name: str, taken: Collection[str]) -> str:
    """A name that is not taken yet.

    >>> unique("a", ["a", "a_1"])
    'a_2'
    """
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def constant(
    name: str, value: Any, dtype: int, controls: Iterable[str] = ()
) -> node_def_pb2.NodeDef:
    """A Const node; its control inputs say in which frame and branch it is."""
    node = node_def_pb2.NodeDef(name=name, op="Const", input=controls)
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
    return node


def beside(nodes: dict[str, node_def_pb2.NodeDef], tensor: str) -> str:
    """A control input that puts a node into the frame and branch of a tensor.

    A Switch runs whichever way it passes its input on, so that a control edge
    to it says nothing of the branch; an Identity of the one output, which may
    be added to the nodes, does.
    """
    source = nodes[node_name(tensor)]
    if source.op != "Switch":
        return f"^{source.name}"
    pivot = f"{tensor_name(tensor).replace(':', '_')}/pivot"
    if pivot not in nodes:
        nodes[pivot] = identity(pivot, tensor, source.attr["T"].type)
    return f"^{pivot}"


def identity(name: str, source: str, dtype: int) -> node_def_pb2.NodeDef:
    """An Identity node, to keep a name that others refer to."""
    node = node_def_pb2.NodeDef(name=name, op="Identity", input=[source])
    node.attr["T"].type = dtype
    return node
