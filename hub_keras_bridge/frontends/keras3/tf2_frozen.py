"""An inference call of a TF2 SavedModel, with its weights as they are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.frontends.tf2.inputs import named
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.frozen_call import FrozenCall, Value
from hub_keras_bridge.running.importing import import_plan
from hub_keras_bridge.running.lookup_tables import Function
from hub_keras_bridge.running.values import with_value


def frozen_call(
    model: RestoredModel, choose: Callable[[Any], Any], trust: Trust, subject: Subject
) -> FrozenCall:
    """What calls of a restored SavedModel run, and nothing that later training changes.

    Args:
        model: the SavedModel.
        choose: from what its function returns to what of it a call returns.
        trust: what may reach outside of it.
        subject: for messages.
    """
    specs = model.input_specs
    function = model.trace(specs)
    graph = private_tf.with_constants(function)
    everything, _ = function.structured_outputs
    outputs = choose(everything)
    fetches = _fetches(everything, outputs, graph)
    takes = named(specs, getattr(specs, "name", None) or "inputs")
    gives = named(tf.nest.map_structure(tf.type_spec_from_value, outputs), DEFAULT_KEY)
    if [*gives] == [DEFAULT_KEY] and model.runs and model.runs in model.signatures:
        # The only output of a signature, which a call returns by itself.
        gives = dict(zip(model.interface[model.runs].outputs, gives.values(), strict=True))
    flat_specs = tf.nest.flatten(specs, expand_composites=True)
    inputs = {
        placeholder: tf.TensorSpec(spec.shape, spec.dtype)
        for placeholder, spec in zip(graph.inputs, flat_specs, strict=True)
    }
    plan = Plan(
        graph_def=graph.graph_def,
        producer_ops=op_def_pb2.OpList(),
        inputs={placeholder: placeholder for placeholder in graph.inputs},
        variables={},
        resources={},
        assets={},
        fetches=fetches,
        shapes=(),
        updates=(),
        differentiable=False,
        subject=subject,
    )
    return FrozenCall(
        whole=plan,
        specs=inputs,
        names={**_names(takes, graph.inputs), **_names(gives, fetches)},
        trust=trust,
        inputs=tuple(graph.inputs),
        make=lambda part, given: _function(part, given, graph.outside, trust),
        bind=lambda values: _flat(model, specs, values, subject),
        pack=lambda arrays: _packed(outputs, arrays),
        subject=subject,
        takes=takes,
        gives=gives,
    )


def _fetches(everything: Any, outputs: Any, graph: private_tf.Frozen) -> tuple[str, ...]:
    """The tensors of what a call returns, of all that its function returns."""
    there, wanted = (
        [tensor.name for tensor in tf.nest.flatten(nest, expand_composites=True)]
        for nest in (everything, outputs)
    )
    tensors = dict(zip(there, graph.outputs, strict=True))
    return tuple(tensors[name] for name in wanted)


def _names(infos: Mapping[str, ParsedTensorInfo], tensors: Sequence[str]) -> dict[str, str]:
    """What inputs or outputs are called where a file of an engine names them."""
    # Else some are of several tensors.
    return dict(zip(tensors, infos, strict=True)) if len(infos) == len(tensors) else {}


def _function(
    plan: Plan,
    inputs: Mapping[str, tf.TensorSpec],
    outside: Mapping[str, tf.Tensor],
    trust: Trust,
) -> Function:
    """The function of a part, which captures the tables and paths that it reads."""
    placeholders = {f"{node.name}:0" for node in plan.graph_def.node if node.op == "Placeholder"}

    def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
        given = dict(zip(map(plan.inputs.__getitem__, inputs), arguments, strict=True))
        for placeholder in placeholders & outside.keys():
            given[placeholder] = private_tf.capture(outside[placeholder])
        return import_plan(plan, given, trust)

    return private_tf.wrap_function(body, list(inputs.values()))


def _flat(model: RestoredModel, specs: Any, values: Any, subject: Subject) -> list[Value]:
    tensors = tf.nest.flatten(
        model.converted({} if values is None else values), expand_composites=True
    )
    infos = tf.nest.flatten(specs, expand_composites=True)
    return [
        with_value(tensor, Slot("inputs", ParsedTensorInfo.from_type_spec(spec), subject))
        for tensor, spec in zip(tensors, infos, strict=True)
    ]


def _packed(outputs: Any, arrays: Any) -> Any:
    """Arrays as the function's tensors are; sparse and ragged ones as TensorFlow's."""
    if any(map(_is_composite, tf.nest.flatten(outputs))):
        arrays = list(map(tf.constant, arrays))
    return tf.nest.pack_sequence_as(outputs, arrays, expand_composites=True)


def _is_composite(value: Any) -> bool:
    return isinstance(value, tf.SparseTensor | tf.RaggedTensor)
