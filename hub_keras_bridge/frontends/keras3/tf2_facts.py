"""What a layer must know of a TF2 SavedModel before it is there: its variables, its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of one SavedModel.

    Attributes:
        variables: in order, each under a name of its own.
        input_dtypes: of the only input, or in the nest that the inputs are in,
            with lists for tuples; None where that is not known.
    """

    variables: tuple[VariableFacts, ...]
    input_dtypes: Any

    def taking(self, input_dtypes: Any) -> Facts:
        """The same SavedModel, called with other inputs."""
        return dataclasses.replace(self, input_dtypes=input_dtypes)

    def to_config(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        variables = [[f.node, list(f.shape), f.dtype.name, f.trainable] for f in self.variables]
        return {"variables": variables, "input_dtypes": self.input_dtypes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Facts:
        """The inverse of :meth:`to_config`."""
        variables = [
            VariableFacts(node, node, tuple(shape), tf.as_dtype(dtype), trainable)
            for node, shape, dtype, trainable in config["variables"]
        ]
        return cls(tuple(variables), config["input_dtypes"])


def facts_of(model: RestoredModel, subject: Subject) -> Facts:
    """The facts of a SavedModel that is there.

    Raises:
        FormatError: a variable has no fixed shape, as Keras's have.
    """
    return Facts(tuple(_variables(model, subject)), _dtypes(model.input_specs))


def _dtypes(specs: Any) -> Any:
    if isinstance(specs, tf.TypeSpec):
        return specs.dtype.name
    if isinstance(specs, Mapping):
        return {name: _dtypes(spec) for name, spec in specs.items()}
    return list(map(_dtypes, specs)) if isinstance(specs, list | tuple) else None


def _variables(model: RestoredModel, subject: Subject) -> Iterator[VariableFacts]:
    trainable = {id(variable) for variable in model.trainable_variables}
    counts: dict[str, int] = {}
    for variable in model.variables:
        name = variable.name.removesuffix(":0")
        counts[name] = number = counts.get(name, 0) + 1
        # Keras 3 names as many variables "kernel" as there are.
        unique = name if number == 1 else f"{name}#{number}"
        if not variable.shape.is_fully_defined():
            raise FormatError(
                f"Cannot make a layer of a TF2 SavedModel: variable {name!r} has no fixed shape.",
                subject,
                expected="variables whose shapes are known, as Keras's are",
                found=str(variable.shape),
                advice="use hub.load, or save it again with variables of fixed shapes",
            )
        shape = tuple(variable.shape.as_list())
        yield VariableFacts(unique, unique, shape, variable.dtype, id(variable) in trainable)
