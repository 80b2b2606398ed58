"""Whether the objects of a TF2 SavedModel are what TensorFlow can make objects of.

Of most that is wrong TensorFlow tells in an error of its own; of some it makes
objects that end the process, or fail when they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.graphs.graph import nodes_by_name

# What TensorFlow gives functions as objects of their own. Another name could be that of
# a method, which TensorFlow would then call.
_FUNCTIONS = ("function", "bare_concrete_function")
_OF_FUNCTIONS = re.compile(r"(trace|capture)_\d+")

# Tensors; nothing can be an attribute of them.
_LEAVES = ("constant", "captured_tensor")
_WITHOUT_VALUES = (tf.resource.as_datatype_enum, tf.variant.as_datatype_enum)


def check_objects(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Checks the objects before TensorFlow makes them.

    Raises:
        FormatError: one cannot be what it says it is.
    """
    nodes = nodes_by_name(meta_graph.graph_def)
    found = next(_faults(meta_graph.object_graph_def, nodes), None)
    found = found or next(_miscounted(meta_graph), None)
    if found:
        raise FormatError(
            "Cannot load a TF2 SavedModel: its objects are damaged.",
            expected="a graph of objects as tf.saved_model.save writes it",
            found=found,
            advice="fetch it or save it again",
        )


def _faults(
    objects: saved_object_graph_pb2.SavedObjectGraph, nodes: Mapping[str, node_def_pb2.NodeDef]
) -> Iterator[str]:
    root = objects.nodes[0].WhichOneof("kind") if objects.nodes else None
    if root != "user_object":
        yield f"a {root} as the object that has all others"
    for number, each in enumerate(objects.nodes):
        kind = each.WhichOneof("kind")
        if kind in _LEAVES and each.children:
            yield f"object {number}, a {kind} with objects of its own"
        names = [child.local_name for child in each.children]
        if kind in _FUNCTIONS and not all(map(_OF_FUNCTIONS.fullmatch, names)):
            yield f"object {number}, a {kind} with objects called {choices(names)}"
        if kind == "constant":
            node = nodes.get(each.constant.operation)
            if node is None or node.op != "Const" or _has_none(node.attr["value"].tensor.dtype):
                yield f"object {number}, a constant whose value is that of none"
        if kind == "variable" and _has_none(each.variable.dtype):
            yield f"object {number}, a variable that holds no values"
        missing = [other for other in _others(each) if not 0 <= other < len(objects.nodes)]
        if missing:
            yield f"object {number}, which names object {missing[0]} of {len(objects.nodes)}"


def _miscounted(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Functions that capture more objects, or fewer, than they have inputs for.

    TensorFlow would take the last inputs for what is captured, of gradients, too.
    """
    library = {f.signature.name: f.signature for f in meta_graph.graph_def.library.function}
    for name, concrete in sorted(meta_graph.object_graph_def.concrete_functions.items()):
        if name not in library or not concrete.HasField("canonicalized_input_signature"):
            continue
        try:
            takes = private_tf.decode_structure(concrete.canonicalized_input_signature)
        except (TypeError, ValueError):
            continue  # A type of value that this process does not have.
        captures, inputs = len(concrete.bound_inputs), len(library[name].input_arg)
        if _count_of_tensors(takes) + captures != inputs:
            yield f"function {name!r} of {inputs} inputs, which captures {captures} objects"


def _count_of_tensors(structure: Any) -> int:
    flat = tf.nest.flatten(structure, expand_composites=True)
    return sum(isinstance(spec, tf.TypeSpec) for spec in flat)


def _has_none(dtype: int) -> bool:
    return dtype == 0 or dtype > 100 or dtype in _WITHOUT_VALUES  # 101 on: references


def _others(each: saved_object_graph_pb2.SavedObject) -> Iterator[int]:
    yield from (child.node_id for child in (*each.children, *each.dependencies))
    for saveable in each.saveable_objects.values():
        yield from (saveable.save_function, saveable.restore_function)
    for slot in each.slot_variables:
        yield from (slot.original_variable_node_id, slot.slot_variable_node_id)


def check_captures(functions: Mapping[str, Any]) -> list[tf.Variable]:
    """Checks that restored functions have been given all that they capture.

    Args:
        functions: name -> function, of TensorFlow's or restored; others are not looked at.

    Returns:
        The variables that they read. A function does not keep them, and an object
        that has lost one of them does not either.

    Raises:
        FormatError: one has not, and could not be called.
    """
    traced = [
        (name, concrete)
        for name, function in functions.items()
        for concrete in getattr(function, "concrete_functions", [function])
        if hasattr(concrete, "captured_inputs") and hasattr(concrete, "inputs")
    ]
    wrong = [
        name
        for name, concrete in traced
        if not (_has_variables(concrete) and _is_complete(concrete))
    ]
    if wrong:
        raise FormatError(
            "Cannot load a TF2 SavedModel: its functions do not fit what they use.",
            expected="for each function the variables and constants that it reads",
            found=f"others for {choices(dict.fromkeys(wrong))}",
            advice="fetch it or save it again",
        )
    return [variable for _, concrete in traced for variable in concrete.variables]


def _has_variables(concrete: Any) -> bool:
    """Whether there still are the variables that a function reads."""
    try:
        return concrete.variables is not None
    except AssertionError:
        return False


def _is_complete(concrete: Any) -> bool:
    given = _count_of_tensors(concrete.structured_input_signature)
    wanted = [tensor.dtype for tensor in concrete.inputs[given:]]
    # Under tf.distribute, variables of several replicas stand where handles do.
    return wanted == [
        tf.resource if isinstance(each, tf.Variable) else each.dtype
        for each in concrete.captured_inputs
    ]


# List -> what is in it.
_LISTED = {
    "signatures": "functions of TensorFlow that take their inputs by name",
    "variables": "variables",
    "trainable_variables": "variables",
    "regularization_losses": "functions without arguments",
}


def _is_signature(function: Any) -> bool:
    """Whether it takes its inputs by name, and in no other way."""
    arguments = getattr(function, "structured_input_signature", None)
    return arguments is not None and not arguments[0]


def check_lists(model: Any, subject: Subject) -> None:
    """Checks that what a SavedModel lists is what its lists are for.

    Args:
        model: a RestoredModel.
        subject: for messages.

    Raises:
        FormatError: a list has something else.
    """
    others = {
        "signatures": [f for f in model.signatures.values() if not _is_signature(f)],
        "variables": [v for v in model.variables if not isinstance(v, tf.Variable)],
        "trainable_variables": [
            v for v in model.trainable_variables if not isinstance(v, tf.Variable)
        ],
        "regularization_losses": [
            loss for loss in model.regularization_losses if not _needs_no_argument(loss)
        ],
    }
    for name, found in others.items():
        if found:
            raise FormatError(
                f"Cannot use a TF2 SavedModel: its {name} are something else.",
                subject,
                expected=_LISTED[name],
                found=choices(type(each).__name__ for each in found),
                advice="fetch it or save it again",
            )


def _needs_no_argument(loss: Any) -> bool:
    traced = getattr(loss, "concrete_functions", None) or [loss]
    return any(
        callable(each) and not tf.nest.flatten(getattr(each, "structured_input_signature", [0]))
        for each in traced
    )
