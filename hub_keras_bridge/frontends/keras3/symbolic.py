"""What Keras knows of a call before there is a value: kinds, dtypes and shapes.

A module or SavedModel computes in the dtypes it was published with. A graph knows
no dtype policies: float32 is what it has unless its publisher chose another dtype.
So that one becomes the policy's compute dtype at the layer's outputs, where the rest
of the model expects it; a dtype that was chosen stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import InputError, SignatureError, Subject

_UNCHOSEN = "float32"

_DENSE, _SPARSE, _RAGGED = "dense", "sparse", "ragged"
_SPECS = {_DENSE: tf.TensorSpec, _SPARSE: tf.SparseTensorSpec, _RAGGED: tf.RaggedTensorSpec}


def spec_of(value: Any) -> Any:
    """Dtype and shape of a tensor or symbol, as a ``tf.TypeSpec``; another value itself."""
    if tf.is_tensor(value):
        return tf.type_spec_from_value(value)
    if not isinstance(value, keras.KerasTensor):
        return value
    kind = next((k for k in (_SPARSE, _RAGGED) if getattr(value, k, False)), _DENSE)
    return _SPECS[kind](value.shape, keras.backend.standardize_dtype(value.dtype))


@dataclass(frozen=True)
class Known:
    """What is known of a tensor: a leaf of a nest.

    Attributes:
        kind: ``"dense"``, ``"sparse"`` or ``"ragged"``.
        shape: None where the rank is unknown.
        dtype: its name.
    """

    kind: str
    shape: tuple[int | None, ...] | None
    dtype: str

    @classmethod
    def of(cls, value: Any) -> Known:
        """What a tensor, a symbol or a ``tf.TypeSpec`` tells."""
        spec = spec_of(value)
        kind = next(kind for kind, known in _SPECS.items() if isinstance(spec, known))
        shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
        return cls(kind, shape, spec.dtype.name)

    def to_json(self) -> str:
        """As a leaf in JSON: text, since lists are nests there.

        >>> Known("dense", (None, 2), "float32").to_json()
        '["dense", [null, 2], "float32"]'
        """
        return json.dumps([self.kind, self.shape, self.dtype])

    @classmethod
    def from_json(cls, leaf: str) -> Known:
        """The inverse of :meth:`to_json`."""
        kind, shape, dtype = json.loads(leaf)
        return cls(kind, None if shape is None else tuple(shape), dtype)


def known(specs: Any) -> Any:
    """What a nest of tensors, symbols or ``tf.TypeSpec`` tells."""
    return tf.nest.map_structure(Known.of, specs)


class ShapeMemory:
    """What outputs are like for what inputs, inferred once and then remembered.

    A model is restored from its config before the module's graph is there, and
    is to have the shapes then that it was built with.

    Args:
        remembered: what :meth:`to_json` gave.
    """

    def __init__(self, remembered: str = "{}") -> None:
        self._outputs: dict[str, Any] = json.loads(remembered)

    def to_json(self) -> str:
        """All that is remembered."""
        return json.dumps(self._outputs, sort_keys=True)

    def find(self, inputs: Any) -> Any:
        """The outputs for inputs, both nests of :class:`Known`; None if they are new."""
        found = self._outputs.get(_key(inputs))
        return None if found is None else tf.nest.map_structure(Known.from_json, found)

    def note(self, inputs: Any, outputs: Any) -> None:
        """Remembers the outputs for inputs."""
        self._outputs[_key(inputs)] = tf.nest.map_structure(Known.to_json, outputs)


def _key(inputs: Any) -> str:
    return json.dumps(tf.nest.map_structure(Known.to_json, inputs), sort_keys=True)


def symbols(outputs: Any, compute_dtype: str, subject: Subject, name: str) -> Any:
    """KerasTensors for what a call will return.

    Args:
        outputs: a nest of :class:`Known`.
        compute_dtype: that of the layer's dtype policy.
        subject: for messages.
        name: of an output that is returned by itself.

    Raises:
        SignatureError: the rank of an output is unknown, or Keras lacks its dtype.
    """
    if isinstance(outputs, Mapping):
        return {key: symbols(each, compute_dtype, subject, key) for key, each in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [
            symbols(each, compute_dtype, subject, f"{name}[{index}]")
            for index, each in enumerate(outputs)
        ]
    cannot = f"Cannot use output {name!r} of a {subject.kind} in a functional model"
    if outputs.shape is None:
        raise SignatureError(
            f"{cannot}: its rank is unknown.",
            subject,
            expected="a shape with a known number of dimensions",
            found="none, neither in the signature nor from the graph",
            advice="call the layer inside a subclassed model, or in a layer of your own "
            "that reshapes the output",
        )
    try:
        return keras.KerasTensor(
            outputs.shape,
            output_dtype(outputs.dtype, compute_dtype),
            **({} if outputs.kind == _DENSE else {outputs.kind: True}),
        )
    except ValueError as error:
        raise SignatureError(
            f"{cannot}: Keras does not know its dtype.",
            subject,
            expected="a dtype of Keras's",
            found=outputs.dtype,
            advice="call the layer inside a subclassed model, or choose another output",
        ) from error


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
            "The dtype of a ModuleLayer must be a float or a float policy.",
            subject,
            expected="a policy to return floats in, such as 'float32' or 'mixed_float16'",
            found=f"dtype={compute_dtype!r}",
            advice="leave dtype out: the signature has those of the inputs; begin the model with "
            'keras.Input, such as keras.Input((), dtype="string") for text',
        )


def output_dtype(published: str, compute_dtype: str) -> str:
    """The dtype of a layer's output.

    >>> output_dtype("float32", "float16"), output_dtype("float64", "float16")
    ('float16', 'float64')

    Args:
        published: the dtype that the signature has.
        compute_dtype: that of the layer's dtype policy.
    """
    return compute_dtype if published == _UNCHOSEN else published


def to_output_dtypes(outputs: Any, compute_dtype: str) -> Any:
    """Casts a layer's outputs to what they are to be.

    Args:
        outputs: dense, sparse or ragged tensors, one or a nest of them.
        compute_dtype: that of the layer's dtype policy.
    """
    if compute_dtype == _UNCHOSEN:
        return outputs

    def cast(output: Any) -> Any:
        if not tf.is_tensor(output):  # Keras computes with another framework.
            dtype = keras.backend.standardize_dtype(output.dtype)
            return keras.ops.cast(output, output_dtype(dtype, compute_dtype))
        return tf.cast(output, output_dtype(output.dtype.name, compute_dtype))

    return tf.nest.map_structure(cast, outputs)
