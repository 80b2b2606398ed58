"""The plan of a call of a TF2 SavedModel, out of the function that TensorFlow traces of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, op_def_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.plans.plan import Plan

# What calls have for the name of their gradient: that of the functions as they were traced.
_GRADIENT = "_gradient_op_type"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


@dataclasses.dataclass(frozen=True, eq=False)
class TracedPlan:
    """A plan, and what its placeholders stand for.

    Attributes:
        plan: the plan; its inputs go by their placeholders.
        variables: what is known of the variables that it reads or writes.
        input_specs: dtypes and shapes of the inputs, in order, by placeholder.
        outside: placeholder -> what else the function captured: tables, paths, constants.
        others: node of a variable that the SavedModel does not list -> the variable.
    """

    plan: Plan
    variables: tuple[VariableFacts, ...]
    input_specs: Mapping[str, tf.TensorSpec]
    outside: Mapping[str, tf.Tensor]
    others: Mapping[str, tf.Variable]


def traced_plan(
    function: Any,
    fetches: Sequence[tf.Tensor],
    listed: Sequence[tuple[VariableFacts, tf.Variable]],
    assets: Sequence[tf.Tensor],
    subject: Subject,
) -> TracedPlan:
    """The plan of what a function computes.

    Args:
        function: a ``ConcreteFunction`` that calls what TensorFlow restored.
        fetches: tensors that it returns, those that are wanted.
        listed: the variables that the SavedModel lists.
        assets: paths of the SavedModel's own files.
        subject: for messages.
    """
    listed_too = {id(variable) for _, variable in listed}
    others = {
        # No variable that TensorFlow saves has a space in its name.
        f"{variable.name} {number}": variable
        for number, variable in enumerate(function.variables)
        if id(variable) not in listed_too
    }
    facts = {id(variable.handle): each for each, variable in listed}
    facts |= {id(variable.handle): _facts(node, variable) for node, variable in others.items()}
    read, outside, paths = {}, {}, []
    for value, placeholder in function.graph.captures:
        if id(value) in facts:
            read[placeholder.name] = facts[id(value)]
            continue
        outside[placeholder.name] = value
        if any(value is path for path in assets):
            paths.append(placeholder.name)
    captured = read.keys() | outside.keys()
    given = [tensor for tensor in function.inputs if tensor.name not in captured]
    plan = Plan(
        graph_def=_graph(function),
        producer_ops=op_def_pb2.OpList(),
        inputs={tensor.name: tensor.name for tensor in given},
        variables={each.node: placeholder for placeholder, each in read.items()},
        resources={},
        assets={"": paths} if paths else {},
        fetches=tuple(tensor.name for tensor in fetches),
        shapes=tuple(tensor.shape for tensor in fetches),
        updates=tuple(op.name for op in function.graph.control_outputs),
        differentiable=True,
        subject=subject,
        # Names of gradients are those of this process.
        made_here=True,
    )
    return TracedPlan(
        plan,
        tuple(read.values()),
        {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in given},
        outside,
        {each.node: others[each.node] for each in read.values() if each.node in others},
    )


def _facts(node: str, variable: tf.Variable) -> VariableFacts:
    return VariableFacts(node, variable.name, tuple(variable.shape), variable.dtype, False)


def _graph(function: Any) -> graph_pb2.GraphDef:
    graph_def: graph_pb2.GraphDef = function.graph.as_graph_def()
    for nodes in (graph_def.node, *(each.node_def for each in graph_def.library.function)):
        for node in nodes:
            node.device = ""
            node.attr.pop("_class", None)
            if node.op in _CALLS:
                node.attr.pop(_GRADIENT, None)
    for each in graph_def.library.function:
        # Among them the names of its gradient, of the same function on handles.
        each.attr.clear()
    return graph_def
