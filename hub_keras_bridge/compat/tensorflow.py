"""The door to private names of TensorFlow.

Each function says what it reaches for and why no public name serves. A test
holds that nothing outside of this folder imports such a name. Imported whole, as
``private_tf``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    graph_pb2,
    kernel_def_pb2,
    op_def_pb2,
)
from tensorflow.core.protobuf import struct_pb2
from tensorflow.python.distribute import values_util
from tensorflow.python.eager import context as tf_context
from tensorflow.python.eager import record
from tensorflow.python.eager.polymorphic_function import concrete_function, function_type_utils
from tensorflow.python.framework import (
    convert_to_constants,
    function_def_to_graph,
    kernels,
    op_def_registry,
)
from tensorflow.python.ops import control_flow_util, handle_data_util, resource_variable_ops
from tensorflow.python.saved_model import nested_structure_coder
from tensorflow.python.util import pywrap_xla_ops

from hub_keras_bridge.compat.restored_gradients import know_gradients


def op_def(name: str) -> op_def_pb2.OpDef | None:
    """The registered op of this name, ops of loaded libraries included.

    ``tf.raw_ops`` knows neither ops without a Python wrapper nor reference
    arguments.
    """
    return op_def_registry.get(name)


def decode_type_spec(proto: struct_pb2.TypeSpecProto) -> tf.TypeSpec:
    """The TypeSpec that a SavedModel's TensorInfo spells as a proto.

    TensorFlow publishes no decoder for this part of its own file format, nor the
    error that it raises.

    Raises:
        ValueError, TypeError: it spells none.
    """
    return decode_structure(struct_pb2.StructuredValue(type_spec_value=proto))


def decode_structure(value: struct_pb2.StructuredValue) -> Any:
    """The nest that a SavedModel spells as a proto; see :func:`decode_type_spec`.

    Raises:
        ValueError, TypeError: it spells none.
    """
    try:
        return nested_structure_coder.decode_proto(value)
    except nested_structure_coder.NotEncodableError as error:
        raise ValueError(str(error)) from error


def encode_type_spec(spec: tf.TypeSpec) -> struct_pb2.TypeSpecProto:
    """The inverse of :func:`decode_type_spec`."""
    return nested_structure_coder.encode_structure(spec).type_spec_value


def track_child(parent: Any, child: Any, name: str) -> None:
    """Makes a trackable the child of another, as checkpoints and saved models count them.

    Resources do not track their attributes, and Keras's export follows
    resources alone. Layers do, and look each up in all of their lists first. One
    of the same name, from a first try that failed, is replaced.
    """
    parent._track_trackable(child, name, overwrite=True)  # noqa: SLF001


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Eager execution, whatever graph is being built around.

    ``tf.init_scope`` leads out of functions, but not out of a TF1 graph.
    """
    return tf_context.eager_mode()


def runs_eagerly() -> bool:
    """Whether this process, or the one it was forked from, has run an op eagerly.

    That is when TensorFlow starts the threads that functions are run by; it
    publishes neither them nor the moment.
    """
    context = tf_context.context_safe()
    return context is not None and context._context_handle is not None  # noqa: SLF001


def global_seed() -> int | None:
    """What ``tf.random.set_seed`` was last told; None if nothing.

    ``tf.compat.v1.get_seed`` is public, and draws from the seed's sequence.
    """
    return tf_context.global_seed()


def local_replica() -> int | None:
    """The number of the replica whose code runs, counted on this machine.

    Under a strategy, None outside of replicas; 0 without one. The public number
    counts over all machines, and is a tensor where there are several.
    """
    return values_util.get_current_replica_id_as_int()


def wrap_function(
    function: Callable[..., list[tf.Tensor]], signature: list[tf.TensorSpec]
) -> Callable[..., list[tf.Tensor]]:
    """``tf.compat.v1.wrap_function``, built outside any graph in progress.

    The result outlives the trace that first asks for it. Its stateful ops are
    made outputs of control: without that, TensorFlow may leave out or reorder
    them once it inlines the function into another.
    """

    def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
        results = function(*arguments)
        graph = tf.compat.v1.get_default_graph()
        ops = graph.get_operations()
        # An op inside a v1 loop or branch may not run, and cannot be waited for.
        if not any(op.type in ("Enter", "Switch") for op in ops):
            graph.control_outputs.extend(
                op for op in ops if op.op_def.is_stateful and op.type != "Placeholder"
            )
        return results

    with tf.init_scope():
        return tf.compat.v1.wrap_function(body, signature)


def called_directly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for eager calls on tensors of its own shapes, which no tape is to see.

    Of a small graph, what an ordinary call looks at takes as long as the graph. What is
    no ``ConcreteFunction`` is left as it is.
    """
    if not isinstance(function, concrete_function.ConcreteFunction):
        return function
    captured = function.captured_inputs
    run = function._inference_function  # noqa: SLF001
    return lambda *tensors: run.call_preflattened([*tensors, *captured])


_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_LOOPS = frozenset({"While", "StatelessWhile"})
# What know_calls is to be told of.
CALLS_AND_LOOPS = _CALLS | _LOOPS


def function_of(definition: function_pb2.FunctionDef, callees: Collection[Any]) -> Any:
    """A function like those that ``tf.function`` traces, from its definition.

    TensorFlow makes such ones where it loads a SavedModel, and publishes no way to.

    Args:
        definition: it calls functions by the names that they have here.
        callees: functions, among them those that it calls.

    Returns:
        A ``tf.types.experimental.ConcreteFunction`` that captures nothing.

    Raises:
        ValueError: TensorFlow makes no graph of it.
    """
    told = function_pb2.FunctionDef()
    told.CopyFrom(definition)
    # A handle's own shape, which TensorFlow would take for that of what it is of.
    told.attr.pop("_input_shapes", None)
    for index, argument in enumerate(told.signature.input_arg):
        if argument.type == tf.resource.as_datatype_enum:
            told.arg_attr.pop(index, None)
    with tf.Graph().as_default() as scratch:
        for callee in callees:
            callee.add_to_graph(scratch)
        graph = function_def_to_graph.function_def_to_graph(told)
    for callee in callees:
        callee.add_to_graph(graph)
    know_calls(graph.get_operations(), callees)
    know_gradients(graph.get_operations())
    kind = function_type_utils.derive_from_graph(graph)
    # Its attributes speak of other functions of the program that published it.
    return concrete_function.ConcreteFunction.from_func_graph(graph, kind, attrs={})


def know_calls(ops: Iterable[tf.Operation], functions: Iterable[Any]) -> None:
    """Tells imported ops what TensorFlow tells those that it makes when it traces.

    That is, how a call is differentiated: as the function is, where otherwise its
    gradient would have none; and what the handles that come out of a loop are of.

    Args:
        ops: those that call functions, others among them.
        functions: what they may call, as :func:`function_of` made it.
    """
    known = {name_of(function): function for function in functions}
    for op in ops:
        if op.type in _CALLS and (function := known.get(op.get_attr("f").name)):
            op._gradient_function = function._get_gradient_function()  # noqa: SLF001
        elif op.type in _LOOPS:
            for source, result in zip(op.inputs, op.outputs, strict=True):
                if result.dtype in (tf.resource, tf.variant):
                    handle_data_util.copy_handle_data(source, result)


def name_of(function: Any) -> str:
    """The name by which a graph calls a function."""
    return str(function.name, "utf-8")


def capture(tensor: tf.Tensor) -> tf.Tensor:
    """Captures an eager tensor in the function graph being built.

    An op would capture its inputs by itself, but the input map of a graph
    import takes only tensors that are in the graph already.
    """
    return tf.compat.v1.get_default_graph().capture(tensor)


def capture_variable(variable: tf.Variable, watch: bool) -> tf.Tensor:
    """Captures a variable's handle in the function graph being built.

    Watching it is what makes a gradient tape around a call see the variable.
    """
    graph = tf.compat.v1.get_default_graph()
    handle = graph.capture(variable.handle)
    if watch:
        graph.watch_variable(variable)
    return handle


def announce_variables(function: Callable[..., Any]) -> None:
    """Says that the variables of a wrapped function are about to be read.

    TensorFlow says so itself where a tape records; ``tf.recompute_grad``, and
    with it ``keras.RematScope``, listens where none does.
    """
    if not record.could_possibly_record():
        for variable in getattr(function, "variables", ()):
            resource_variable_ops.variable_accessed(variable)


def mention_variables(variables: Iterable[tf.Variable]) -> None:
    """Lists variables in the function being built, without a tape seeing them.

    By such lists Keras's ``export`` finds what a function reads. TensorFlow
    makes them itself of what its own variables are asked for, no public name
    adds to them.
    """
    graph = tf.compat.v1.get_default_graph()
    if hasattr(graph, "watch_variable"):
        for variable in variables:
            graph.watch_variable(variable)


def tape_records() -> bool:
    """Whether a gradient tape is open, around what is computed or traced.

    A tape is told what happens, and has no public name that tells of it.
    """
    return bool(record.could_possibly_record())


def inside_v1_loop() -> bool:
    """Whether the body of a v1 loop is being built, at any depth."""
    context = tf.compat.v1.get_default_graph()._get_control_flow_context()  # noqa: SLF001
    return context is not None and context.GetWhileContext() is not None


def enter_v1_context(tensor: tf.Tensor) -> tf.Tensor:
    """A tensor as the v1 loop or branch that is being built, if any, sees it.

    Ops do so with their inputs by themselves; those that are imported do not.
    """
    context = tf.compat.v1.get_default_graph()._get_control_flow_context()  # noqa: SLF001
    return tensor if context is None else context.AddValue(tensor)


def colocate(op: tf.Operation, others: Sequence[tf.Operation]) -> None:
    """Makes an op that exists share the devices of others, at least one.

    ``tf.compat.v1.colocate_with`` speaks of ops that are still to be made.
    """
    own = b"loc:@" + op.name.encode()
    groups = {*op.colocation_groups(), *(g for other in others for g in other.colocation_groups())}
    value = attr_value_pb2.AttrValue()
    value.list.s.extend(sorted(groups - {own}))
    op._set_attr("_class", value)  # noqa: SLF001
    # Not that of a `with tf.device(...)` around, which may contradict.
    op._set_device(others[0].device)  # noqa: SLF001


def set_initializer(variable: tf.Variable, op: tf.Operation) -> None:
    """Says what op of a TF1 graph initializes a variable that lies outside of it.

    ``tf.compat.v1.global_variables_initializer`` asks each variable for one.
    """
    variable._initializer_op = op  # noqa: SLF001


class Frozen(NamedTuple):
    """A function's graph without variables and without calls of functions.

    Attributes:
        graph_def: the graph.
        inputs: placeholders of the function's arguments.
        outside: placeholder -> what else the function captured: tables, paths.
        outputs: tensors that it returns.
    """

    graph_def: graph_pb2.GraphDef
    inputs: tuple[str, ...]
    outside: dict[str, tf.Tensor]
    outputs: tuple[str, ...]


def with_constants(function: Any) -> Frozen:
    """The graph of a ``ConcreteFunction``, with its variables' values in it.

    TensorFlow's converters to other formats do this first, by no public name.
    """
    made = convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )
    captured = {inner.name: outer for outer, inner in function.graph.captures}
    return Frozen(
        made.graph.as_graph_def(),
        tuple(tensor.name for tensor in function.inputs if tensor.name not in captured),
        {t.name: captured[t.name] for t in made.inputs if t.name in captured},
        tuple(tensor.name for tensor in made.outputs),
    )


def inside_xla() -> bool:
    """Whether XLA will compile the graph being built.

    TensorFlow's own control flow asks the same, by no public name.
    """
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


@functools.cache
def xla_kernels(op: str, device: str) -> tuple[kernel_def_pb2.KernelDef, ...]:
    """The kernels that XLA has for an op.

    TensorFlow tells of them nowhere but in the error of a failed compilation.

    Args:
        op: name of the op.
        device: ``"XLA_CPU_JIT"`` or ``"XLA_GPU_JIT"``.
    """
    # Registers them; before, TensorFlow knows those of its executors alone.
    pywrap_xla_ops.get_cpu_kernel_names()
    found = kernels.get_registered_kernels_for_op(op).kernel
    return tuple(kernel for kernel in found if kernel.device_type == device)
