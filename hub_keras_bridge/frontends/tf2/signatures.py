"""A loaded module's signatures as TensorFlow 2 has them: functions of keywords."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.frontends.tf2.keywords import Keywords
from hub_keras_bridge.frontends.untracked import USE_A_LAYER, warn_of_untracked
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


def signature_function(
    runtime: Runtime, trainable: Sequence[tf.Variable], endpoint: Endpoint
) -> SignatureFunction:
    """A signature as a ``tf.types.experimental.ConcreteFunction``.

    Args:
        runtime: runs it.
        trainable: the module's variables that could be trained.
        endpoint: the signature, with all its outputs.
    """
    keywords = Keywords.of(endpoint.facts.inputs)

    def run(**given: tf.Tensor) -> dict[str, Any]:
        function = runtime.call_function(endpoint, training=False)
        return endpoint.pack(function(*(given[keyword] for keyword in keywords.flat)))

    specs = dict(zip(keywords.flat, endpoint.facts.input_specs, strict=True))
    function = tf.function(run, autograph=False).get_concrete_function(**specs)

    class Signature(type(function)):  # type: ignore[misc]  # private in TensorFlow
        """Takes what is sparse or ragged as a value, too, and warns as a module does."""

        # TensorFlow's function only refers to variables: they live as long as it does.
        _holds = runtime

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            warn_of_untracked(self, lambda: trainable, endpoint.subject, USE_A_LAYER)
            for keyword in keywords.whole.keys() & kwargs.keys():
                name, value = keywords.whole[keyword], kwargs.pop(keyword)
                components = endpoint.slot(name).tensors(value)
                kwargs.update(zip(keywords.parts[name], components, strict=True))
            return super().__call__(*args, **kwargs)

    # The object stays the one that TensorFlow made: nothing else is saved as a signature.
    function.__class__ = Signature
    return function
