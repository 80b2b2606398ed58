"""What is served of a TF1 SavedModel where nobody says which of its graphs and signatures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import tensorflow as tf

from hub_keras_bridge.errors import Subject, TagsError
from hub_keras_bridge.errors.words import listed, show_tags

_SERVING = frozenset({tf.saved_model.SERVING})
_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def served_tags(offered: Sequence[Collection[str]], subject: Subject) -> frozenset[str]:
    """``{"serve"}``, or the tags of the only graph.

    Args:
        offered: the tags of each graph.
        subject: the SavedModel, for messages.

    Raises:
        TagsError: there are several, and none is for serving.

    >>> sorted(served_tags([{"serve"}, {"serve", "gpu"}], Subject()))
    ['serve']
    >>> sorted(served_tags([{"train"}], Subject()))
    ['train']
    """
    sets = list(map(frozenset, offered))
    if _SERVING in sets:
        return _SERVING
    if len(sets) == 1:
        return sets[0]
    raise TagsError(
        f"A {subject.kind} has several graphs, and none with tags {show_tags(_SERVING)} alone.",
        subject,
        expected=f"tags, one of {listed(map(show_tags, sorted(sets, key=sorted)))}",
        found="none given",
        advice="pass tags=... with one of these sets",
    )


def served_signature(offered: Collection[str]) -> str | None:
    """``"serving_default"``, or the name of the only signature; None where neither is there.

    >>> served_signature(["predict", "serving_default"]), served_signature(["predict"])
    ('serving_default', 'predict')
    """
    if _SIGNATURE in offered:
        return _SIGNATURE
    return next(iter(offered)) if len(offered) == 1 else None


def served_output(offered: Collection[str]) -> str | None:
    """The name of the only output; None where there are several.

    >>> served_output(["probabilities"]), served_output(["classes", "scores"])
    ('probabilities', None)
    """
    return next(iter(offered)) if len(offered) == 1 else None
