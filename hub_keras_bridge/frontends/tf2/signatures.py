"""A loaded module's signatures as TensorFlow 2 has them: functions of keywords.

A function of TensorFlow's takes dense tensors, so a sparse or ragged input has a
keyword for each of its components, named as ``tf.saved_model.load`` names those
of a TF1 SavedModel. Here it has one for the whole value, too.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from hub_keras_bridge.errors import choices
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import Selection
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.runtime import Runtime

SignatureFunction: TypeAlias = Callable[..., dict[str, Any]]


class Signatures(Mapping[str, SignatureFunction]):
    """The signatures of a module's variant, each made when it is first asked for.

    Args:
        programs: of the module's variants.
        selection: which variant.
        trust: what of their graphs may reach outside the module.
        make: makes the function of a signature with all its outputs.

    Raises:
        SignatureError: on access, no signature of this name.
        UnsafeModuleError: on access, an op of this signature may reach outside.
        UnknownOpError: on access, TensorFlow lacks an op of this signature.
    """

    def __init__(
        self,
        programs: Programs,
        selection: Selection,
        trust: Trust,
        make: Callable[[Endpoint], SignatureFunction],
    ) -> None:
        self._programs = programs
        self._names = programs.spec.get_signature_names(selection.tags)
        # Training goes through the module's own call.
        self._selection = dataclasses.replace(
            selection, output_key=None, as_dict=True, training_tags=selection.tags
        )
        self._trust = trust
        self._make = make
        self._functions: dict[str, SignatureFunction] = {}

    def __getitem__(self, name: str) -> SignatureFunction:
        if name not in self._functions:
            chosen = dataclasses.replace(self._selection, signature=name)
            endpoint, _ = chosen.endpoints(self._programs, self._trust)
            self._functions[name] = self._make(endpoint)
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<signatures {choices(self)}>"


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


def _component_names(name: str, info: ParsedTensorInfo) -> list[str]:
    if isinstance(info.type_spec, tf.TensorSpec):
        return [name]
    if info.is_sparse:
        return [f"{name}_{part}" for part in ("indices", "values", "dense_shape")]
    return [f"{name}_component_{number}" for number, _ in enumerate(info.component_specs)]


def signature_function(runtime: Runtime, endpoint: Endpoint) -> SignatureFunction:
    """A signature as a ``tf.types.experimental.ConcreteFunction``."""
    keywords = Keywords.of(endpoint.facts.inputs)

    def run(**given: tf.Tensor) -> dict[str, Any]:
        function = runtime.call_function(endpoint, training=False)
        return endpoint.pack(function(*(given[keyword] for keyword in keywords.flat)))

    specs = dict(zip(keywords.flat, endpoint.facts.input_specs, strict=True))
    function = tf.function(run, autograph=False).get_concrete_function(**specs)
    return _taking_whole_values(function, endpoint, keywords) if keywords.whole else function


def _taking_whole_values(function: Any, endpoint: Endpoint, keywords: Keywords) -> Any:
    """The same function, which takes what is sparse or ragged as a value, too.

    It stays the object that TensorFlow made, for nothing else can be saved as a
    signature; it is given a class with a call of its own.
    """

    class TakingWholeValues(type(function)):  # type: ignore[misc]  # private in TensorFlow
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            for keyword in keywords.whole.keys() & kwargs.keys():
                name, value = keywords.whole[keyword], kwargs.pop(keyword)
                components = endpoint.slot(name).tensors(value)
                kwargs.update(zip(keywords.parts[name], components, strict=True))
            return super().__call__(*args, **kwargs)

    function.__class__ = TakingWholeValues
    return function
