"""What the inputs of a signature are called as arguments of a Python function.

A function of TensorFlow's takes dense tensors, so a sparse or ragged input has a
keyword for each of its components, named as ``tf.saved_model.load`` names those
of a TF1 SavedModel. Here it has one for the whole value, too.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping

import tensorflow as tf

from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo


@dataclasses.dataclass(frozen=True)
class Keywords:
    """What the inputs of a signature are called as arguments.

    >>> inputs = {
    ...     "ids": ParsedTensorInfo(tf.TensorSpec([None], tf.int64), ()),
    ...     "x/y": ParsedTensorInfo(tf.SparseTensorSpec([None, 3]), ()),
    ... }
    >>> keywords = Keywords.of(inputs)
    >>> keywords.parts
    {'ids': ['ids'], 'x/y': ['x_y_indices', 'x_y_values', 'x_y_dense_shape']}
    >>> keywords.whole
    {'x/y': 'x/y', 'x_y': 'x/y'}

    Attributes:
        parts: input -> keyword of each of its tensors.
        whole: keyword of a sparse or ragged value -> the input that takes it.
    """

    parts: Mapping[str, list[str]]
    whole: Mapping[str, str]

    @classmethod
    def of(cls, inputs: Mapping[str, ParsedTensorInfo]) -> Keywords:
        """Those of a signature with these inputs."""
        components = {name: _component_names(name, info) for name, info in inputs.items()}
        arguments = _unique_arguments(each for names in components.values() for each in names)
        remaining = iter(arguments)
        parts = {name: [next(remaining) for _ in names] for name, names in components.items()}
        composite = [name for name in inputs if components[name] != [name]]
        whole = {name: name for name in composite}
        whole |= {plain: n for n, plain in argument_names(inputs).items() if n in composite}
        return cls(parts, {k: n for k, n in whole.items() if k not in arguments})

    @property
    def flat(self) -> list[str]:
        """The keywords of all tensors, in the order of the signature's flat inputs."""
        return [keyword for names in self.parts.values() for keyword in names]


def argument_names(names: Iterable[str]) -> dict[str, str]:
    """Input name -> the keyword that a Python function can have for it.

    >>> argument_names(["rho$a", "rho_a", "1st"])
    {'rho$a': 'rho_a', 'rho_a': 'rho_a_1', '1st': 'arg_1st'}
    """
    given = list(names)
    return dict(zip(given, _unique_arguments(given), strict=True))


def _unique_arguments(names: Iterable[str]) -> list[str]:
    arguments: list[str] = []
    for name in names:
        plain = re.sub(r"[^a-zA-Z0-9]", "_", name)
        plain = plain if plain[:1].isalpha() else f"arg_{plain}"
        free = (f"{plain}_{number}" if number else plain for number in itertools.count())
        arguments.append(next(each for each in free if each not in arguments))
    return arguments


def _component_names(name: str, info: ParsedTensorInfo) -> list[str]:
    if isinstance(info.type_spec, tf.TensorSpec):
        return [name]
    if info.is_sparse:
        return [f"{name}_{part}" for part in ("indices", "values", "dense_shape")]
    return [f"{name}_component_{number}" for number, _ in enumerate(info.component_specs)]
