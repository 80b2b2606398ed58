"""Name scopes of a TF1 graph: which may be a module's, and which are unused."""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import GraphModeError, InputError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.variant import Variant

# What TensorFlow takes for the name of an outermost scope.
# It cannot put names under one that begins with a digit.
_SCOPE_NAME = r"[A-Za-z.][A-Za-z0-9_.\\>-]*(/[A-Za-z_.\\>-][A-Za-z0-9_.\\>-]*)*"


def check_name(name: Any) -> None:
    """Checks that a module's name can be that of a scope.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(_SCOPE_NAME, name):
        raise InputError(
            "Cannot make a hub.Module: its name cannot be a scope's.",
            expected="letters, digits and _.-/ , the first a letter or dot",
            found=repr(name),
            advice="pass a name like 'encoder', or none",
        )


def unused_scope(name: str) -> str:
    """An absolute scope, with its slash, that no other variables use."""
    around = tf.compat.v1.get_variable_scope().name
    with (
        tf.name_scope(f"{around}/" if around else ""),
        # Entered, so that no other one takes it.
        tf.compat.v1.variable_scope(None, default_name=name, auxiliary_name_scope=False) as scope,
    ):
        return f"{scope.name}/"


def scope_for(name: str) -> str:
    """The absolute name scope, with its slash, that an import will open."""
    free = tf.compat.v1.get_default_graph().unique_name(name, mark_as_used=False)
    return f"{free}/"


def require_free_names(graph: tf.Graph, scope: str, variant: Variant) -> None:
    """Checks that names below the scope are as unused as variables are.

    They are not where a variable scope is entered again, to reuse what is in
    it, or where something was named in full.

    Args:
        graph: the one that is being built.
        scope: absolute, with its slash.
        variant: what is to be imported there.

    Raises:
        GraphModeError: they are in use.
    """
    name = scope.split("/")[-2]
    free = graph.unique_name(name, mark_as_used=False)
    here = {op.name for op in graph.get_operations() if op.name.startswith(scope)}
    published = {scope + node.name for node in variant.published.graph_def.node}
    if f"{free}/" == scope and not here & published:
        return
    raise GraphModeError(
        f"Cannot make a hub.Module: its name scope {scope!r} is in use.",
        variant.subject,
        expected="a name scope as unused as the variable scope of this name",
        found=f"the ops {choices(sorted(here)[:5])}" if here else "a scope without ops",
        advice="make the module once and apply it wherever it is needed, since its variables "
        "cannot be had again by variable_scope(..., reuse=True); or pass another name=...",
    )
