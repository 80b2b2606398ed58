"""What a layer is to use of what its handle leads to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hub_keras_bridge.facts.outputs import OutputKey, as_output_key, output_keys
from hub_keras_bridge.facts.served import served_output, served_signature, served_tags
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.plans.selection import as_patterns
from hub_keras_bridge.plans.trust import Trust


@dataclass(frozen=True)
class Choice:
    """ModuleLayer's arguments, as they were given.

    Attributes:
        signature: name of the signature, or None.
        output_key: name of the one output, or names of several, or None.
        as_dict: whether all outputs are returned by name.
        patterns: regular expressions of which variables are trained; None for all
            that can be.
        tags: the variant that runs, or None.
        training_tags: the variant that runs in a training call, or None.
        trust: what may reach outside the module.
    """

    signature: str | None
    output_key: OutputKey
    as_dict: bool
    patterns: tuple[str, ...] | None
    tags: frozenset[str] | None
    training_tags: frozenset[str] | None
    trust: Trust

    @property
    def returns_one(self) -> bool:
        """Whether no outputs are named, or one is."""
        return not isinstance(self.output_key, tuple)

    @property
    def keys(self) -> tuple[str, ...]:
        """The outputs that are named."""
        return output_keys(self.output_key)

    @classmethod
    def of(
        cls,
        signature: str | None,
        output_key: str | Sequence[str] | None,
        as_dict: bool,
        trainable_patterns: str | Sequence[str] | None,
        tags: Collection[str] | None,
        training_tags: Collection[str] | None,
        trust: Trust,
    ) -> Choice:
        """A choice from arguments of public functions.

        Raises:
            TagsError: tags are a string.
        """
        return cls(
            signature,
            as_output_key(output_key),
            as_dict,
            as_patterns(trainable_patterns),
            None if tags is None else as_tags(tags),
            None if training_tags is None else as_tags(training_tags),
            trust,
        )

    def within(self, spec: ModuleSpec) -> Choice:
        """The same, and of a TF1 SavedModel what is served where nothing was said.

        Raises:
            TagsError: there is no such graph; or none was named, and of several none is
                for serving.
        """
        if not spec.files.is_saved_model:
            return self
        tags = served_tags(spec.get_tags(), spec.subject) if self.tags is None else self.tags
        names = spec.get_signature_names(tags)
        signature = self.signature or served_signature(names)
        output_key = self.output_key
        if signature in names and not self.as_dict:
            outputs = spec.variant(tags).signature(signature).outputs
            output_key = output_key or served_output(outputs)
        return replace(self, tags=tags, signature=signature, output_key=output_key)

    def calling(self, other: Choice) -> Choice:
        """The same, of which calls run and return what another choice says, if it says so."""
        if not (other.signature or other.keys or other.as_dict):
            return self
        return replace(
            self,
            signature=other.signature or self.signature,
            output_key=other.output_key,
            as_dict=other.as_dict,
        )

    def to_config(self) -> dict[str, Any]:
        """The arguments again, ready for JSON."""
        return {
            "signature": self.signature,
            "output_key": self.output_key if self.returns_one else list(self.keys),
            "as_dict": self.as_dict,
            "trainable_patterns": None if self.patterns is None else list(self.patterns),
            "tags": None if self.tags is None else sorted(self.tags),
            "training_tags": None if self.training_tags is None else sorted(self.training_tags),
            **self.trust.to_config(),
        }
