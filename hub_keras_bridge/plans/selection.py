"""What a layer uses of a module: variants, signature, outputs, trained variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from absl import logging

from hub_keras_bridge.errors import Subject, TrainingError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.outputs import OutputKey, as_output_key
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.plans import calls, safe_mode
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.trust import Trust

_TRAIN_TAG = "train"


@dataclass(frozen=True)
class Selection:
    """A choice from what a module offers; the fields are ModuleLayer's arguments.

    Attributes:
        signature: name of the signature; None for ``"default"``.
        output_key: name of the one output, or names of several; None for ``"default"``.
        as_dict: whether all outputs are returned by name.
        patterns: regular expressions of which variables are trained; None for
            all that can be.
        tags: the variant that runs.
        training_tags: the variant that runs in a training call.
    """

    signature: str | None
    output_key: OutputKey
    as_dict: bool
    patterns: tuple[str, ...] | None
    tags: frozenset[str]
    training_tags: frozenset[str]

    def endpoints(
        self, programs: Programs, trust: Trust, trainable: bool = False
    ) -> tuple[Endpoint, Endpoint]:
        """Where ordinary calls go, and where training calls go.

        A graph that cannot run, or that safe mode refuses, is known here. That of a
        variant which training calls alone run is known when there are to be such calls:
        :func:`look_at` is to be asked then. Of a spec without graphs there is nothing
        to check.

        Args:
            programs: of the module's variants.
            trust: what of its graphs may reach outside the module.
            trainable: whether there are training calls now.

        Raises:
            TagsError: the module has no such variant.
            SignatureError: a variant has no such signature or output.
            UnknownOpError: TensorFlow lacks an op.
            UnsafeModuleError: an op that is not trusted may reach outside.
        """
        wanted = self.signature, self.output_key, self.as_dict
        inference, training = (
            Endpoint(programs.of(tags), *wanted) for tags in (self.tags, self.training_tags)
        )
        if not programs.spec.files.facts_only:
            look_at(inference, trust, trainable)
            if trainable and training.program is not inference.program:
                look_at(training, trust, trainable)
        return inference, training

    def trained(self, spec: ModuleSpec) -> set[str]:
        """Nodes of the variables that a trainable layer trains."""
        return trained_nodes(self.patterns, spec.variant(self.training_tags).variables)

    def needed(self, spec: ModuleSpec, trainable: bool) -> set[str]:
        """Nodes of the variables that must have values.

        What only a variant that never runs here needs may be absent.
        """
        tags = [self.tags, *([self.training_tags] if trainable else [])]
        return {facts.node for each in tags for facts in spec.variant(each).variables}


def look_at(endpoint: Endpoint, trust: Trust, trainable: bool) -> None:
    """Checks all that calls of an endpoint run, training calls included.

    Args:
        endpoint: whose graphs; they are there.
        trust: what of them may reach outside the module.
        trainable: whether there are training calls now. Both ways all is checked; only
            what is soon to run is kept, since it holds a copy of the graph.

    Raises:
        SignatureError: an output needs an input that the signature lacks.
        UnknownOpError: TensorFlow lacks an op.
        UnsafeModuleError: an op that is not trusted may reach outside.
    """
    program = endpoint.program
    plans = [
        program.plan(question)
        if trainable or not calls.only_trains(endpoint.variant, question)
        else program.look(question)
        for question in program.questions(endpoint.signature, endpoint.outputs)
    ]
    safe_mode.require_safe(plans, endpoint.subject, trust)


def select(
    spec: ModuleSpec,
    *,
    signature: str | None,
    output_key: str | Iterable[str] | None,
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
    patterns = as_patterns(trainable_patterns)
    check_patterns(patterns, spec.variant(training).variables, spec.subject)
    return Selection(signature, as_output_key(output_key), as_dict, patterns, chosen, training)


def as_patterns(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The regular expressions that a caller means; None for all variables.

    >>> as_patterns("kernel$"), as_patterns(["a", "b"]), as_patterns(None)
    (('kernel$',), ('a', 'b'), None)
    """
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(given)


def check_patterns(
    patterns: Iterable[str] | None, variables: Iterable[VariableFacts], subject: Subject
) -> None:
    """Checks that each pattern finds a variable that can be trained.

    Raises:
        TrainingError: one does not, or is no regular expression.
    """
    trainable = [facts for facts in variables if facts.trainable]
    for pattern in patterns or ():
        try:
            matched = trained_nodes([pattern], trainable)
        except re.error as error:
            raise TrainingError(
                f"Cannot use {pattern!r} as one of trainable_patterns.",
                subject,
                expected="a regular expression",
                found=str(error),
                advice="escape the characters that have a meaning, e.g. with re.escape",
            ) from error
        if not matched:
            raise TrainingError(
                f"The trainable pattern {pattern!r} matches no trainable variable.",
                subject,
                expected=f"a part of one of {choices(facts.name for facts in trainable)}",
                found=repr(pattern),
                advice="patterns are searched for (re.search) in variable names",
            )


def trained_nodes(patterns: Collection[str] | None, variables: Iterable[VariableFacts]) -> set[str]:
    """Nodes of the variables that are trained: of those that can be, what a pattern finds."""
    return {
        facts.node
        for facts in variables
        if facts.trainable and (patterns is None or _found_in(patterns, facts))
    }


def warn_of_unfed_losses(endpoint: Endpoint) -> None:
    """Says which regularization losses a signature leaves out."""
    variant = endpoint.variant
    used = {*calls.standing_losses(variant), *calls.losses_fed_by(variant, endpoint.facts)}
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
