"""An inference call of a TF1 Hub module, with its weights as they are now."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, ConversionError
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.frozen import frozen
from hub_keras_bridge.plans.of_values import of_values
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.frozen_call import FrozenCall, Value
from hub_keras_bridge.running.runtime import Runtime
from hub_keras_bridge.running.values import with_value


def frozen_call(module: Tf1Module, endpoint: Endpoint, trust: Trust) -> FrozenCall:
    """What calls of an endpoint run, and nothing that later training changes.

    Raises:
        ConversionError: the call needs its variables, not their values alone.
    """
    on_values = _on_values(endpoint)
    plan = frozen(on_values, _values(module, endpoint, on_values, trust))
    facts = endpoint.facts
    placeholders = [on_values.inputs.get(tensor) for tensor in facts.input_tensors]
    specs = {p: s for p, s in zip(placeholders, facts.input_specs, strict=True) if p}
    # Of its own, so that the layer's weights are not kept.
    runtime = Runtime({}, module.spec.files.assets, trust)
    return FrozenCall(
        whole=plan,
        specs=specs,
        names=_names(endpoint, on_values),
        trust=trust,
        inputs=tuple(placeholders),
        make=functools.partial(runtime.plan_function, endpoint.program),
        bind=_binder(endpoint),
        pack=endpoint.pack,
        subject=endpoint.subject,
        takes=facts.inputs,
        gives={key: facts.outputs[key] for key in endpoint.outputs},
    )


def _on_values(endpoint: Endpoint) -> Plan:
    try:
        return of_values(endpoint.call(training=False), endpoint.variant)
    except BackendError as error:
        raise ConversionError(
            "Cannot compile a call of a TF1 Hub module: it needs variables, not values alone.",
            endpoint.subject,
            expected=error.expected,
            found=error.found,
            advice="call the ModuleLayer itself",
        ) from error


def _values(module: Tf1Module, endpoint: Endpoint, chosen: Plan, trust: Trust) -> Mapping[str, Any]:
    """Those of the layer's variables, or those that they would have at first."""
    if module.has_weights:
        made = module.variables
        return {n: private_keras.to_numpy(made[n]) for n in chosen.values if n in made}
    needed = set(chosen.values)
    found = first_values(module.spec, endpoint.variant.tags, needed, trust)
    return {facts.node: value for facts, value in found if facts.node in needed}


def _names(endpoint: Endpoint, chosen: Plan) -> dict[str, str]:
    """What inputs and outputs are called where a file of an engine names them."""
    outputs = [(key, endpoint.facts.outputs[key]) for key in endpoint.outputs]
    flat_outputs = [name for key, info in outputs for name in _flat_names(key, info)]
    flat_inputs = [n for key, info in endpoint.facts.inputs.items() for n in _flat_names(key, info)]
    named = dict(zip(chosen.fetches, flat_outputs, strict=True))
    for tensor, name in zip(endpoint.facts.input_tensors, flat_inputs, strict=True):
        if placeholder := chosen.inputs.get(tensor):
            named[placeholder] = name
    return named


def _flat_names(name: str, info: ParsedTensorInfo) -> list[str]:
    count = len(info.component_specs)
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]


def _binder(endpoint: Endpoint) -> Callable[[Any], list[Value]]:
    """Takes arrays of the signature's dtypes and shapes as they are, and converts the rest."""
    fits = {name: _fits(info) for name, info in endpoint.facts.inputs.items()}

    def bind(inputs: Any) -> list[Value]:
        flat: list[Value] = []
        given = endpoint.by_name(inputs)
        for name, takes in fits.items():
            value = given[name]
            if takes(value):
                flat.append(value)
            else:
                slot = endpoint.slot(name)
                flat += [with_value(tensor, slot) for tensor in slot.tensors(value)]
        return flat

    return bind


def _fits(info: ParsedTensorInfo) -> Callable[[Any], bool]:
    spec = info.type_spec
    if not isinstance(spec, tf.TensorSpec):
        return lambda _: False
    dtype, shape = np.dtype(spec.dtype.as_numpy_dtype), spec.shape
    sizes = None if shape.rank is None else shape.as_list()

    def fits(value: Any) -> bool:
        if type(value) is not np.ndarray or value.dtype != dtype:
            return False
        if sizes is not None and (
            value.ndim != len(sizes)
            or any(a is not None and a != b for a, b in zip(sizes, value.shape, strict=True))
        ):
            return False
        return dtype.kind != "O" or all(map(_is_text, value.flat))

    return fits


def _is_text(value: Any) -> bool:
    # Of other text, that it can be encoded is to be seen.
    return type(value) is bytes or (type(value) is str and value.isascii())
