"""The only door to private names of TensorFlow and Keras.

Each function says what it reaches for and why no public name serves. A test
holds that nothing else in the package imports such a name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.saving import serialization_lib
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import struct_pb2
from tensorflow.python.eager import context as tf_context
from tensorflow.python.framework import op_def_registry
from tensorflow.python.ops import variables
from tensorflow.python.saved_model import nested_structure_coder


def op_def(name: str) -> op_def_pb2.OpDef | None:
    """The registered op of this name, ops of loaded libraries included.

    ``tf.raw_ops`` knows neither ops without a Python wrapper nor reference
    arguments.
    """
    return op_def_registry.get(name)


def decode_type_spec(proto: struct_pb2.TypeSpecProto) -> tf.TypeSpec:
    """The TypeSpec that a SavedModel's TensorInfo spells as a proto.

    TensorFlow publishes no decoder for this part of its own file format.
    """
    return nested_structure_coder.decode_proto(struct_pb2.StructuredValue(type_spec_value=proto))


def encode_type_spec(spec: tf.TypeSpec) -> struct_pb2.TypeSpecProto:
    """The inverse of :func:`decode_type_spec`."""
    return nested_structure_coder.encode_structure(spec).type_spec_value


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Eager execution, whatever graph is being built around.

    ``tf.init_scope`` leads out of functions, but not out of a TF1 graph.
    """
    return tf_context.eager_mode()


def set_save_slice(
    variable: tf.Variable, name: str, full_shape: Sequence[int], offset: Sequence[int]
) -> None:
    """Marks a TF1 variable as a slice of a partitioned one, as a Saver reads it.

    TensorFlow sets it where it partitions itself; a restored slice needs it too.
    """
    variable._set_save_slice_info(  # noqa: SLF001
        variables.Variable.SaveSliceInfo(
            name, list(full_shape), list(offset), variable.shape.as_list()
        )
    )


def capture(tensor: tf.Tensor) -> tf.Tensor:
    """Captures an eager tensor in the function graph being built.

    An op would capture its inputs by itself, but the input map of a graph
    import takes only tensors that are in the graph already.
    """
    return tf.compat.v1.get_default_graph().capture(tensor)


def capture_variable(variable: tf.Variable, watch: bool) -> tf.Tensor:
    """Captures a variable's handle in the function graph being built.

    Watching it is what makes a gradient tape around a call see the variable.
    A distributed variable has one handle per replica, so its handle is looked
    up at each call; a plain one is bound once, which keeps calls cheap.
    """
    graph = tf.compat.v1.get_default_graph()
    if isinstance(variable, tf.distribute.DistributedValues):
        handle = graph.capture_call_time_value(
            lambda: variable.handle, tf.TensorSpec([], tf.resource), key=id(variable)
        )
    else:
        handle = graph.capture(variable.handle)
    if watch:
        graph.watch_variable(variable)
    return handle


def track_child(parent: Any, child: Any, name: str) -> None:
    """Makes a trackable the child of a resource, as saved models count them.

    Resources do not track their attributes, and Keras's export follows
    resources alone.
    """
    parent._track_trackable(child, name)  # noqa: SLF001


def raw_variable(variable: keras.Variable) -> tf.Variable:
    """The TensorFlow variable inside a Keras variable.

    ``Variable.value`` is public but hands out a cast copy inside an autocast
    scope, and the module computes in the dtypes it was published with.
    """
    return variable._value  # noqa: SLF001


def take_inputs_as_they_are(layer: keras.layers.Layer) -> None:
    """Stops Keras from converting a layer's inputs before ``call``.

    Keras would cast floats to the policy's dtype, take a list of strings
    apart, and refuse anything but tensors.
    """
    layer._convert_input_args = False  # noqa: SLF001
    layer._allow_non_tensor_positional_args = True  # noqa: SLF001


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers in a model, at any depth, each once.

    Keras's public ``layers`` lists one level, and none inside a custom layer; a
    ``tf.train.TrackableView`` misses what a layer holds in lists and dicts.
    """
    return list(model._flatten_layers(include_self=False))  # noqa: SLF001


@contextlib.contextmanager
def outside_stateless_scope() -> Iterator[None]:
    """Lets variables be made at once while Keras traces a model's shapes.

    Keras puts that off, since a weight's shape may depend on what it traces. A
    module's does not, and its graph takes handles, which only a variable has.
    """
    scope = global_state.get_global_attribute("stateless_scope")
    global_state.set_global_attribute("stateless_scope", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("stateless_scope", scope)


def loads_in_safe_mode() -> bool:
    """Whether ``keras.models.load_model`` is running with ``safe_mode=True``.

    Keras tells its own layers so; it has no public name for it.
    """
    return bool(serialization_lib.in_safe_mode())


def forget_weights(layer: keras.layers.Layer) -> None:
    """Takes back the weights of a layer whose building failed.

    Keras only ever adds weights; a second try would have each twice.
    """
    for weight in [*layer._trainable_variables, *layer._non_trainable_variables]:  # noqa: SLF001
        layer._untrack_variable(weight)  # noqa: SLF001


class OwnLosses(keras.layers.Layer):
    """A layer whose losses are computed when asked for.

    Keras offers losses per call (``add_loss``) and per weight (regularizers);
    a loss over several weights, current at any time, needs this hook. A parent
    model collects its layers' losses through it too.
    """

    def standing_losses(self) -> list[tf.Tensor]:
        """Losses that exist between calls, computed from current weights."""
        return []

    def _get_own_losses(self) -> list[Any]:
        return [*super()._get_own_losses(), *self.standing_losses()]


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
