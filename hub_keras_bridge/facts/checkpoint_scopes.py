"""Where in a checkpoint a module's variables are.

A Saver writes the variables of a TF1 graph by name. Those of a ``hub.Module`` are in a
scope there, as ``module/kernel`` or ``my_model/module_1/kernel`` are. What an optimizer
keeps of them ends in a name of its own, as ``module/kernel/Adam`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub_keras_bridge.errors import CheckpointError
from hub_keras_bridge.errors.words import choices, listed
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.facts.variables import VariableFacts


def scope_of(variables: Sequence[VariableFacts], checkpoint: Checkpoint) -> str:
    """The one scope that has all of some variables, with the slash at its end.

    Args:
        variables: what is to be there, in its shape and dtype.
        checkpoint: under the names that it has.

    Raises:
        CheckpointError: there is no such scope, or there are several.
    """
    names = {facts.name for facts in variables}
    scopes = scopes_of(names, checkpoint.names)
    faults = {
        # Slices share an entry.
        scope: list(dict.fromkeys(filter(None, map(inside.fault, variables))))
        for scope in scopes
        for inside in [checkpoint.under(scope)]
    }
    fitting = [scope for scope in scopes if not faults[scope]]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise CheckpointError(
            f"Cannot tell which variables of a checkpoint are a {checkpoint.subject.kind}'s.",
            checkpoint.subject,
            expected=f"one scope with all of {choices(names, limit=5)}",
            found=f"{len(fitting)} scopes: {choices(fitting)}",
            advice=f"choose one of them, such as name_transform_fn=lambda name: "
            f"{fitting[0]!r} + name",
        )
    nearest = sorted(scopes, key=lambda scope: len(faults[scope]))
    raise CheckpointError(
        f"Cannot find the variables of a {checkpoint.subject.kind} in a checkpoint.",
        checkpoint.subject,
        expected=f"all of {choices(names, limit=5)} in one scope of {checkpoint.prefix}",
        found=listed(
            (f"in scope {scope!r} {listed(faults[scope], limit=3)}" for scope in nearest),
            limit=5,
            separator="; ",
        )
        or f"entries {choices(checkpoint.names, limit=10)}",
        advice=_OF_OBJECTS if checkpoint.is_of_objects else _OTHER_NAMES,
    )


_OTHER_NAMES = (
    "pass a checkpoint of a graph with this module in it, or, if its variables have other "
    "names there, name_transform_fn: from the name in the module to that in the checkpoint"
)
_OF_OBJECTS = "restore it as it was saved, by tf.train.Checkpoint: its entries are objects' paths"


def scopes_of(names: set[str], entries: Iterable[str]) -> list[str]:
    """The scopes in which one of some names is, in order.

    >>> scopes_of({"w", "dense/b"}, ["m/w", "m/dense/b", "m/w/Adam", "w", "step"])
    ['', 'm/']
    """
    return sorted(
        {entry.removesuffix(end) for entry in entries for end in _ends(entry) if end in names}
    )


def _ends(entry: str) -> Iterable[str]:
    """A name, and what of it is behind each of its slashes."""
    parts = entry.split("/")
    return ("/".join(parts[number:]) for number in range(len(parts)))
