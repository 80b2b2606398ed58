"""What Keras knows of a call before there is a value: shapes and dtypes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import InputError, SignatureError, Subject
from hub_keras_bridge.frontends.keras3.precision import output_dtype
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.shapes import inferred_outputs


class ShapeMemory:
    """Output shapes by input shapes, inferred once and then remembered.

    A model is restored from its config before the module's graph is there, and
    is to have the shapes then that it was built with.

    Args:
        remembered: what :meth:`to_json` gave.
    """

    def __init__(self, remembered: str = "{}") -> None:
        self._known: dict[str, list[list[int | None] | None]] = json.loads(remembered)

    def to_json(self) -> str:
        """All that is remembered."""
        return json.dumps(self._known, sort_keys=True)

    def output_specs(
        self,
        endpoint: Endpoint,
        shapes: Mapping[str, tf.TensorShape],
        has_graph: bool,
        trust: Trust,
    ) -> list[tf.TensorSpec]:
        """Specs of the flat outputs for inputs of these shapes.

        Args:
            endpoint: the call.
            shapes: of the dense inputs, by name.
            has_graph: whether there is a graph to infer from; else what is not
                remembered is as the signature declares it.
            trust: what of it may reach outside the module.
        """
        declared = endpoint.declared()
        key = json.dumps({name: shape.as_list() for name, shape in sorted(shapes.items())})
        if key not in self._known:
            if not has_graph:
                return declared
            inferred = [spec.shape for spec in inferred_outputs(endpoint, shapes, trust)]
            self._known[key] = [s.as_list() if s.rank is not None else None for s in inferred]
        found = zip(self._known[key], declared, strict=True)
        return [tf.TensorSpec(shape, spec.dtype) for shape, spec in found]


def need_float_policy(compute_dtype: str, subject: Subject) -> None:
    """Refuses a layer's ``dtype`` that was meant to be that of its inputs.

    Args:
        compute_dtype: that of the layer's dtype policy.
        subject: for messages.

    Raises:
        InputError: it is not one of the floats.
    """
    if not tf.as_dtype(compute_dtype).is_floating:
        raise InputError(
            "Cannot make a layer with this dtype.",
            subject,
            expected="a policy to return floats in, such as 'float32' or 'mixed_float16'",
            found=f"dtype={compute_dtype!r}",
            advice="leave dtype out: the signature has those of the inputs; begin the model with "
            'keras.Input, such as keras.Input((), dtype="string") for text',
        )


def symbolic_inputs(endpoint: Endpoint, inputs: Any) -> dict[str, tf.TensorShape]:
    """Shapes of the dense inputs of a symbolic call, by name.

    Raises:
        InputError: names, shapes or dtypes can never fit.
    """
    shapes = {}
    for name, value in endpoint.by_name(inputs).items():
        is_dense = isinstance(endpoint.facts.inputs[name].type_spec, tf.TensorSpec)
        if is_dense and hasattr(value, "dtype"):
            dtype = tf.as_dtype(keras.backend.standardize_dtype(value.dtype))
            endpoint.check_shape(name, value.shape, dtype)
            shapes[name] = tf.TensorShape(value.shape)
    return shapes


def symbolic_outputs(endpoint: Endpoint, specs: Sequence[tf.TensorSpec], compute_dtype: str) -> Any:
    """KerasTensors for what a call will return.

    Args:
        endpoint: the call.
        specs: of the flat outputs.
        compute_dtype: that of the layer's dtype policy.

    Raises:
        SignatureError: the rank of an output is unknown.
    """
    remaining = iter(specs)
    found = {}
    for key in endpoint.outputs:
        info = endpoint.facts.outputs[key]
        components = [next(remaining) for _ in info.tensor_names]
        is_dense = isinstance(info.type_spec, tf.TensorSpec)
        shape = components[0].shape if is_dense else info.get_shape()
        if shape.rank is None:
            raise SignatureError(
                f"Cannot use output {key!r} of a TF1 Hub module in a functional model: "
                "its rank is unknown.",
                endpoint.subject,
                expected="a shape with a known number of dimensions",
                found="none, neither in the signature nor from the graph",
                advice="call the layer inside a subclassed model, or in a layer of your own "
                "that reshapes the output",
            )
        ragged = isinstance(info.type_spec, tf.RaggedTensorSpec)
        try:
            found[key] = keras.KerasTensor(
                tuple(shape),
                output_dtype(info.dtype.name, compute_dtype),
                sparse=info.is_sparse,
                # Keras before 3.9 does not know the word.
                **({"ragged": True} if ragged else {}),
            )
        except ValueError as error:
            raise SignatureError(
                f"Cannot use output {key!r} of a TF1 Hub module in a functional model: "
                "Keras does not know its dtype.",
                endpoint.subject,
                expected="a dtype of Keras's",
                found=info.dtype.name,
                advice="call the layer inside a subclassed model, or choose another output",
            ) from error
    return found if endpoint.as_dict else found[endpoint.outputs[0]]
