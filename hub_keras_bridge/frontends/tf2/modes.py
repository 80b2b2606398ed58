"""What ordinary calls of a loaded module run and what training calls run, as one function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import Selection
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.runtime import Runtime


@dataclasses.dataclass(frozen=True)
class Modes:
    """What ordinary calls run, and what training calls run."""

    inference: Endpoint
    training: Endpoint

    @classmethod
    def of(cls, programs: Programs, selection: Selection, trust: Trust) -> Modes | None:
        """Those of the signature in use, if there is one."""
        names = programs.spec.get_signature_names(selection.tags)
        if selection.signature is None and DEFAULT_SIGNATURE not in names:
            return None
        return cls(*selection.endpoints(programs, trust, trainable=True))

    @property
    def alike(self) -> bool:
        """Whether a graph can hold both, to choose between them as it runs."""
        return self.inference.interface == self.training.interface


def traced(runtime: Runtime, modes: Modes) -> Callable[..., Any]:
    """The function of both modes, traced for all that it takes."""

    def run(inputs: Any, training: bool | tf.Tensor = False) -> Any:
        if tf.is_tensor(training):
            return tf.cond(training, lambda: run(inputs, True), lambda: run(inputs, False))
        endpoint = modes.training if training else modes.inference
        return _run(runtime, endpoint, inputs, training=bool(training))

    function = tf.function(run, autograph=False)
    function.get_concrete_function(_input_specs(modes.inference), training=False)
    function.get_concrete_function(_input_specs(modes.training), training=True)
    if modes.alike:
        flag = tf.TensorSpec([], tf.bool)
        function.get_concrete_function(_input_specs(modes.inference), training=flag)
    return function


def _run(runtime: Runtime, endpoint: Endpoint, inputs: Any, *, training: bool) -> Any:
    function = runtime.call_function(endpoint, training=training)
    return endpoint.pack(function(*endpoint.bind(inputs)))


def structured(endpoint: Endpoint, flat: Sequence[tf.Tensor]) -> Any:
    """Flat tensors as a call has them: a bare value, or a dict by name."""
    return tf.nest.pack_sequence_as(_input_specs(endpoint), flat, expand_composites=True)


def _input_specs(endpoint: Endpoint) -> Any:
    specs = {name: info.type_spec for name, info in endpoint.facts.inputs.items()}
    return next(iter(specs.values())) if len(specs) == 1 else specs
