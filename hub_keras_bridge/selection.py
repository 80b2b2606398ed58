"""What a layer uses of a module: variants, signature, outputs, trained variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from absl import logging

from hub_keras_bridge import audit
from hub_keras_bridge.endpoint import Endpoint
from hub_keras_bridge.errors import TrainingError, choices
from hub_keras_bridge.plan import losses_fed_by, plan_all, standing_losses
from hub_keras_bridge.spec import ModuleSpec, as_tags
from hub_keras_bridge.variant import VariableFacts

_TRAIN_TAG = "train"


@dataclass(frozen=True)
class Selection:
    """A choice from what a module offers; the fields are ModuleLayer's arguments.

    Attributes:
        signature: name of the signature; None for ``"default"``.
        output_key: name of the one output; None for ``"default"``.
        as_dict: whether all outputs are returned by name.
        patterns: regular expressions of which variables are trained; None for
            all that can be.
        tags: the variant that runs.
        training_tags: the variant that runs in a training call.
    """

    signature: str | None
    output_key: str | None
    as_dict: bool
    patterns: tuple[str, ...] | None
    tags: frozenset[str]
    training_tags: frozenset[str]

    def to_config(self) -> dict[str, Any]:
        """The arguments again, ready for JSON."""
        return {
            "signature": self.signature,
            "output_key": self.output_key,
            "as_dict": self.as_dict,
            "trainable_patterns": None if self.patterns is None else list(self.patterns),
            "tags": sorted(self.tags),
            "training_tags": sorted(self.training_tags),
        }

    def endpoints(self, spec: ModuleSpec, safe_mode: bool) -> tuple[Endpoint, Endpoint]:
        """Where ordinary calls go, and where training calls go.

        A graph that cannot run, or that safe mode refuses, is known here. Of a
        spec without graphs there is nothing to check.

        Raises:
            TagsError: the module has no such variant.
            SignatureError: a variant has no such signature or output.
            UnknownOpError: TensorFlow lacks an op.
            UnsafeModuleError: safe mode refuses an op.
        """
        wanted = self.signature, self.output_key, self.as_dict
        inference, training = (
            Endpoint(spec.variant(tags), *wanted) for tags in (self.tags, self.training_tags)
        )
        if not spec.files.facts_only:
            # Once, where both calls run the same variant.
            for each in {e.variant.tags: e for e in (inference, training)}.values():
                plans = plan_all(each.variant, each.signature, each.outputs)
                if safe_mode:
                    audit.require_safe(plans, each.subject, each.variant.nodes)
        return inference, training

    def trained(self, spec: ModuleSpec) -> set[str]:
        """Nodes of the variables that a trainable layer trains."""
        return {
            facts.node
            for facts in self._trainable(spec)
            if self.patterns is None or _found_in(self.patterns, facts)
        }

    def needed(self, spec: ModuleSpec, trainable: bool) -> set[str]:
        """Nodes of the variables that must have values.

        What only a variant that never runs here needs may be absent.
        """
        tags = [self.tags, *([self.training_tags] if trainable else [])]
        return {facts.node for each in tags for facts in spec.variant(each).variables}

    def _trainable(self, spec: ModuleSpec) -> list[VariableFacts]:
        variables = spec.variant(self.training_tags).variables
        return [facts for facts in variables if facts.trainable]

    def check_patterns(self, spec: ModuleSpec) -> None:
        """Checks that each pattern finds a variable.

        Raises:
            TrainingError: one does not, or is no regular expression.
        """
        trainable = self._trainable(spec)
        for pattern in self.patterns or ():
            try:
                matched = any(_found_in([pattern], facts) for facts in trainable)
            except re.error as error:
                raise TrainingError(
                    f"Cannot use {pattern!r} as one of trainable_patterns.",
                    spec.subject,
                    expected="a regular expression",
                    found=str(error),
                    advice="escape the characters that have a meaning, e.g. with re.escape",
                ) from error
            if not matched:
                raise TrainingError(
                    f"The trainable pattern {pattern!r} matches no trainable variable.",
                    spec.subject,
                    expected=f"a part of one of {choices(facts.name for facts in trainable)}",
                    found=repr(pattern),
                    advice="patterns are searched for (re.search) in TF1 variable names",
                )


def select(
    spec: ModuleSpec,
    *,
    signature: str | None,
    output_key: str | None,
    as_dict: bool,
    trainable_patterns: str | Sequence[str] | None,
    tags: Collection[str] | None,
    training_tags: Collection[str] | None,
) -> Selection:
    """Completes a layer's arguments from what the module has.

    Raises:
        TagsError: tags are a string.
        TrainingError: a pattern finds no variable.
        SignatureError: the training variant does not exist.
    """
    chosen = as_tags(tags)
    if training_tags is not None:
        training = as_tags(training_tags)
    else:
        with_train = chosen | {_TRAIN_TAG}
        training = with_train if with_train in spec.get_tags() else chosen
    if isinstance(trainable_patterns, str):
        trainable_patterns = [trainable_patterns]
    patterns = None if trainable_patterns is None else tuple(trainable_patterns)
    selection = Selection(signature, output_key, as_dict, patterns, chosen, training)
    selection.check_patterns(spec)
    return selection


def warn_of_unfed_losses(endpoint: Endpoint) -> None:
    """Says which regularization losses a signature leaves out."""
    variant = endpoint.variant
    used = {*standing_losses(variant), *losses_fed_by(variant, endpoint.facts)}
    if left_out := [loss for loss in variant.losses if loss not in used]:
        logging.warning(
            "Left out %d regularization loss(es) that depend on inputs which are not in the "
            "signature in use (%s): %s",
            len(left_out),
            endpoint.subject,
            choices(left_out),
        )


def _found_in(patterns: Iterable[str], facts: VariableFacts) -> bool:
    return any(re.search(p, name) for p in patterns for name in (facts.name, facts.node))
