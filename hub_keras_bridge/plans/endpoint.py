"""One signature of one variant with the outputs wanted: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.outputs import OutputKey, output_keys, signature_giving
from hub_keras_bridge.facts.signatures import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program


class Endpoint:
    """Binds a call's inputs to a signature and shapes its outputs.

    Args:
        program: the plans of the variant that runs.
        signature: name of the signature; None for ``"default"``.
        output_key: the one output to return, or several to return by name; None for
            ``"default"``. An inner tensor goes by its published name.
        as_dict: whether to return all outputs by name instead; with one inner tensor,
            that as well.

    Raises:
        SignatureError: no such signature, output or tensor; the choices are listed.
    """

    def __init__(
        self,
        program: Program,
        signature: str | None,
        output_key: OutputKey,
        as_dict: bool,
    ) -> None:
        self.program = program
        self.variant = program.variant
        self.signature = signature or DEFAULT_SIGNATURE
        keys = output_keys(output_key) or (() if as_dict else (DEFAULT_KEY,))
        self.facts = signature_giving(self.variant, self.signature, keys)
        several = isinstance(output_key, tuple)
        self.as_dict = as_dict or several
        self.subject = self.variant.subject.with_signature(self.signature)
        whole = as_dict and not several
        self.outputs = tuple(self.facts.outputs if whole else dict.fromkeys(keys))
        self._input_names = frozenset(self.facts.inputs)

    def bind(self, inputs: Any, *, converts: bool = True) -> list[tf.Tensor]:
        """Converts a call's inputs to the signature's flat tensors.

        Args:
            inputs: a value, or a dict by input name.
            converts: as of :class:`Slot`.

        Raises:
            InputError: names, kinds, dtypes or shapes do not fit.
        """
        values = self.by_name(inputs)
        flat: list[tf.Tensor] = []
        for name in self.facts.inputs:
            flat.extend(self.slot(name, converts=converts).tensors(values[name]))
        return flat

    def fed(self, flat: Sequence[tf.Tensor], name: str) -> tf.Tensor:
        """Of the signature's flat tensors, the one that feeds a dense input."""
        (tensor,) = self.facts.inputs[name].tensor_names
        return flat[self.facts.input_tensors.index(tensor)]

    def slot(self, name: str, *, converts: bool = True) -> Slot:
        """The input of this name, for a value to fit."""
        return Slot(name, self.facts.inputs[name], self.subject, converts)

    def by_name(self, inputs: Any) -> Mapping[str, Any]:
        """The inputs as a dict; a bare value names the only input."""
        if isinstance(inputs, Mapping):
            if self._input_names != inputs.keys():
                raise self._wrong_names(inputs)
            return inputs
        if len(self.facts.inputs) == 1:
            (name,) = self.facts.inputs
            return {name: inputs}
        if not self.facts.inputs and inputs is None:
            return {}
        raise InputError(
            f"Cannot call a {self.subject.kind} with a bare value.",
            self.subject,
            expected=f"a dict with the keys {choices(self.facts.inputs)}"
            if self.facts.inputs
            else "no input, or an empty dict",
            found=type(inputs).__name__,
            advice="pass a dict from input name to value"
            if self.facts.inputs
            else "call the layer without arguments",
        )

    def unmixed(self, inputs: Any) -> Any:
        """The inputs; in a dict with some tensors, the other values made tensors too.

        Keras, unless it converts inputs by itself, takes no dict of both.

        Raises:
            InputError: names do not fit, or a value that is no tensor yet does not.
        """
        if not isinstance(inputs, Mapping):
            return inputs
        tensors = {n for n, v in inputs.items() if is_tensor(v)}
        if len(tensors) in (0, len(inputs)):
            return inputs
        return {
            name: value if name in tensors else self.slot(name).fill(value)
            for name, value in self.by_name(inputs).items()
        }

    def _wrong_names(self, inputs: Mapping[str, Any]) -> InputError:
        missing = self._input_names - inputs.keys()
        unknown = inputs.keys() - self._input_names
        return InputError(
            f"Unexpected input names in a call of a {self.subject.kind}.",
            self.subject,
            expected=f"the keys {choices(self.facts.inputs)}",
            found=f"missing {choices(missing)}; unknown {choices(map(str, unknown))}",
            advice="pass a dict with exactly the expected keys"
            if missing
            else f"leave the others out: {{k: value[k] for k in {list(self.facts.inputs)}}}",
        )

    def pack(self, tensors: Sequence[tf.Tensor]) -> Any:
        """Shapes flat outputs into what a call returns."""
        if not self.as_dict and len(tensors) == 1:
            return tensors[0]
        remaining = iter(tensors)
        packed = {}
        for key in self.outputs:
            count = len(self.facts.outputs[key].tensor_names)
            packed[key] = self._pack_one(key, [next(remaining) for _ in range(count)])
        return packed if self.as_dict else packed[self.outputs[0]]

    def _pack_one(self, key: str, tensors: Sequence[tf.Tensor]) -> Any:
        info = self.facts.outputs[key]
        if isinstance(info.type_spec, tf.TensorSpec):
            return tensors[0]
        with refusing(
            self.subject,
            f"Cannot put together output {key!r} of a {self.subject.kind}.",
            f"the tensors of a {info}",
        ):
            return info.pack(tensors)

    def call(self, *, training: bool) -> Plan:
        """What a call runs; see :meth:`Program.call`."""
        return self.program.call(self.signature, self.outputs, training=training)

    @property
    def fed_losses(self) -> Plan | None:
        """The regularization losses that the inputs feed, if there are any."""
        return self.program.fed_losses(self.facts)

    @property
    def interface(self) -> tuple[dict[str, Any], dict[str, tf.DType]]:
        """What goes in and out: equal for two calls that a graph can choose between."""
        inputs = {name: info.type_spec for name, info in self.facts.inputs.items()}
        return inputs, {key: self.facts.outputs[key].dtype for key in self.outputs}

    def declared(self) -> list[tf.TensorSpec]:
        """Specs of the flat outputs as the signature states them."""
        return [s for key in self.outputs for s in self.facts.outputs[key].component_specs]


def is_tensor(value: Any) -> bool:
    """Whether Keras takes a value for a tensor: one of TensorFlow's, or a symbol."""
    return tf.is_tensor(value) or isinstance(value, keras.KerasTensor)
