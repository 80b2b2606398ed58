"""What calls of a signature ask of a variant: questions, for plans and for the audit alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from hub_keras_bridge.errors import SignatureError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.outputs import signature_giving
from hub_keras_bridge.facts.signatures import SignatureFacts
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.plans.plan import Question

# Signatures that are looked through for one that feeds a tensor.
_MOST_ASKED = 40


def call_of(
    variant: Variant, signature_name: str, outputs: Sequence[str], *, training: bool
) -> Question:
    """One call: some outputs of a signature.

    Args:
        variant: whose graph.
        signature_name: which signature.
        outputs: names of the outputs wanted, and of inner tensors.
        training: whether the update ops that this signature feeds run too.
    """
    signature = signature_giving(variant, signature_name, outputs)
    inputs = tuple(signature.input_tensors)
    fetches, shapes = signature.fetches(outputs)
    updates = _fed(variant, variant.update_ops, inputs) if training else ()
    return Question(tuple(fetches), inputs, shapes=tuple(shapes), updates=updates)


def questions(variant: Variant, signature_name: str, outputs: Sequence[str]) -> Iterator[Question]:
    """All that calls of a signature ask, training included; but not what fills tables."""
    yield call_of(variant, signature_name, outputs, training=True)
    if standing := standing_losses(variant):
        yield Question(standing)
    signature = variant.signature(signature_name)
    if fed := losses_fed_by(variant, signature):
        yield Question(fed, tuple(signature.input_tensors))


def only_trains(variant: Variant, question: Question) -> bool:
    """Whether training calls alone ask this: for update ops or regularization losses."""
    return not {*variant.losses, *variant.update_ops}.isdisjoint(question.targets)


def need_complete(variant: Variant, signature_name: str, outputs: Sequence[str]) -> None:
    """Checks that a signature feeds all that some of its outputs, or inner tensors, need.

    Raises:
        SignatureError: an output needs an input that the signature lacks.
    """
    signature = signature_giving(variant, signature_name, outputs)
    fetches, _ = signature.fetches(outputs)
    incomplete = _incomplete(variant, fetches, signature.input_tensors)
    for key in outputs:
        names = signature.outputs[key].tensor_names
        if incomplete.intersection(map(graph.node_name, names)):
            missing = unfed_placeholders(variant, names, signature.input_tensors)
            raise SignatureError(
                f"Cannot compute output {key!r} of a {variant.subject.kind}.",
                variant.subject.with_signature(signature_name),
                expected="a signature whose inputs feed all that its outputs need",
                found=f"unfed placeholders {choices(missing)}",
                advice="choose another output or signature; this one was published incomplete"
                if key in variant.signature(signature_name).outputs
                else _who_feeds(variant, names),
            )


def _who_feeds(variant: Variant, targets: Sequence[str]) -> str:
    """What to do where a signature does not feed what an inner tensor needs."""
    feeding = [
        name
        for name in variant.signature_names[:_MOST_ASKED]
        if not unfed_placeholders(variant, targets, variant.signature(name).input_tensors)
    ]
    if feeding:
        return f"pass signature=... with one whose inputs feed it: {choices(feeding)}"
    return "ask for another tensor: no signature feeds all that this one needs"


def standing_losses(variant: Variant) -> tuple[str, ...]:
    """Regularization losses that depend on weights alone."""
    return _fed(variant, variant.losses, ())


def losses_fed_by(variant: Variant, signature: SignatureFacts) -> tuple[str, ...]:
    """Regularization losses that depend on inputs, all in this signature."""
    standing = set(standing_losses(variant))
    others = [tensor for tensor in variant.losses if tensor not in standing]
    return _fed(variant, others, set(signature.input_tensors))


def _fed(variant: Variant, targets: Sequence[str], fed: Collection[str]) -> tuple[str, ...]:
    """Those of the targets that need no placeholder but the ones that are fed."""
    incomplete = _incomplete(variant, targets, fed)
    return tuple(target for target in targets if graph.node_name(target) not in incomplete)


def _incomplete(variant: Variant, targets: Sequence[str], fed: Collection[str]) -> set[str]:
    """Of the nodes that the targets need, those that need placeholders that nobody feeds."""
    cut = variant.cut(fed)
    needed = variant.walk(targets, cut).nodes
    unfed = [name for name in needed if variant.nodes[name].op == "Placeholder"]
    if not unfed:
        return set()
    return graph.downstream({name: variant.nodes[name] for name in needed}, unfed, cut)


def nodes_unfed_by(variant: Variant, signature_name: str) -> set[str]:
    """Of all nodes, those that need placeholders that a signature does not feed."""
    cut = variant.cut(variant.signature(signature_name).input_tensors)
    placeholders = (name for name, node in variant.nodes.items() if node.op == "Placeholder")
    unfed = [name for name in placeholders if f"{name}:0" not in cut]
    return graph.downstream(variant.nodes, unfed, cut)


def unfed_placeholders(variant: Variant, targets: Iterable[str], fed: Collection[str]) -> list[str]:
    """Placeholders that the targets need and nobody feeds."""
    needed = variant.walk(targets, fed).nodes
    return sorted(name for name in needed if variant.nodes[name].op == "Placeholder")
