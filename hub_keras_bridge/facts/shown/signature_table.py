"""The signatures of a module as tables for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub_keras_bridge.errors.words import alike, inference_first, show_variants
from hub_keras_bridge.facts.shown.markup import Column, Html, code, element, table, text, words
from hub_keras_bridge.facts.signatures import SignatureFacts
from hub_keras_bridge.facts.variant import Variant

_COLUMNS = (Column("Name"), Column("Direction"), Column("Dtype and shape"))

# A notebook's own style would put all of it flush right. Colours are left to it,
# since they depend on its theme. The class keeps the rules off other tables.
_STYLE = Html(
    ".hub-signatures table { margin: 0 0 1em; }"
    " .hub-signatures caption { text-align: left; white-space: nowrap; padding: 0 0 0.4em; }"
    " .hub-signatures :is(th, td) { text-align: left !important; vertical-align: top; }"
    " .hub-signatures tbody th { font-weight: normal; }"
    " .hub-signatures code { background: none; overflow-wrap: anywhere; }"
)


def signature_table(title: str, variants: Iterable[Variant]) -> str:
    """What goes in and out of a module, as HTML.

    Args:
        title: what stands above, e.g. the module's handle.
        variants: the module's graphs. A signature that is the same in several
            is shown once.

    Returns:
        An element with a style of its own. Names in it are escaped.
    """
    variants = sorted(variants, key=lambda variant: inference_first(variant.tags))
    signatures = alike(
        (variant.tags, (name, _rows(variant.signature(name))))
        for variant in variants
        for name in variant.signature_names
    )
    tables = [
        _table(words(code(name), text(f"in {show_variants(tags, len(variants))}")), rows)
        for tags, (name, rows) in signatures
    ]
    return _under(title, tables)


def facts_table(title: str, signatures: Mapping[str, SignatureFacts]) -> str:
    """As :func:`signature_table`, of a model that has one graph.

    Args:
        title: what stands above.
        signatures: by name.
    """
    return _under(title, (_table(code(name), _rows(f)) for name, f in signatures.items()))


def _under(title: str, tables: Iterable[Html]) -> str:
    return element(
        "div", element("style", _STYLE), element("p", code(title)), *tables, class_="hub-signatures"
    )


def _table(caption: Html, rows: Iterable[tuple[Html, ...]]) -> Html:
    return table(words(text("Signature"), caption), _COLUMNS, rows)


def _rows(facts: SignatureFacts) -> tuple[tuple[Html, ...], ...]:
    return tuple(
        (code(name), text(direction), text(str(info)))
        for direction, infos in (("input", facts.inputs), ("output", facts.outputs))
        for name, info in infos.items()
    )
