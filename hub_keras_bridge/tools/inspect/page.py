"""What a module holds as one HTML page, without anything from elsewhere.

The page runs no script and asks for no file; its content policy forbids both,
should a name in the module ever get past the escaping.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Iterator, Sequence

from hub_keras_bridge.errors.words import (
    alike,
    choices,
    show_bytes,
    show_dtype,
    show_number,
    show_shape,
    show_share,
    show_tags,
    show_variants,
)
from hub_keras_bridge.facts.shown.markup import (
    Column,
    Html,
    code,
    element,
    join,
    quiet,
    table,
    text,
    typed,
    words,
)
from hub_keras_bridge.tools.inspect.parameters import chart, variable_tables
from hub_keras_bridge.tools.inspect.summary import (
    ModuleSummary,
    OpSummary,
    SignatureSummary,
    TensorSummary,
)
from hub_keras_bridge.tools.inspect.views import ops_of_variants, side_by_side
from hub_keras_bridge.version import VERSION

_COMMA = Html(", ")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_page(module: ModuleSummary) -> str:
    """Lays a module's facts out as a page.

    Args:
        module: what :func:`inspect_module` found.

    Returns:
        A whole HTML document, to be written as UTF-8.
    """
    title = _title(module.handle)
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", text(f"{title}: TF1 Hub module")),
        element("style", Html(_style())),
    )
    sections = [
        _section("Signatures", *_signatures(module)),
        _section("Parameters by scope", *chart(module)),
        _section("Variables", *variable_tables(module)),
        _section("Training", element("div", *_training(module), class_="rows")),
        _section("Assets", _assets(module)),
        _section("Attachments", _attachments(module)),
        _section("Ops by type", _ops(module)),
    ]
    footer = f"Written by hub-keras-bridge {VERSION}. Nothing of the module was run for it."
    body = element(
        "body",
        element("main", _header(module, title), *sections),
        element("footer", text(footer)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _style() -> str:
    """How the page looks: on a screen, wide or narrow, light or dark, and on paper."""
    return importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")


def _title(handle: str) -> str:
    """The part of a handle that tells modules apart.

    >>> _title("https://tfhub.dev/google/elmo/2"), _title("/modules/elmo/"), _title("elmo.tar.gz")
    ('elmo/2', 'modules/elmo', 'elmo.tar.gz')
    """
    return "/".join(handle.rstrip("/").split("/")[-2:])


def _section(title: str, *content: Html) -> Html:
    return element("section", element("h2", text(title)), *content)


def _header(module: ModuleSummary, title: str) -> Html:
    trainable = show_share(module.trainable_parameters, module.parameters)
    names = {s.name for variant in module.variants for s in variant.signatures}
    tags = ", ".join(show_tags(variant.tags) for variant in module.variants)
    figures = [
        ("Parameters", f"{module.parameters:,}", f"{trainable} trainable"),
        ("Weights", show_bytes(module.bytes), show_number(len(module.variables), "variable")),
        ("Signatures", f"{len(names):,}", choices(names, limit=3)),
        ("Variants", f"{len(module.variants):,}", tags),
    ]
    return element(
        "header",
        element("p", text("TF1 Hub module"), class_="quiet"),
        element("h1", element("bdi", text(title))),
        element("p", code(module.handle), class_="quiet"),
        element("dl", *(_figure(*figure) for figure in figures)),
    )


def _figure(label: str, value: str, note: str) -> Html:
    return element("div", element("dt", text(label)), element("dd", text(value), quiet(note)))


def _signatures(module: ModuleSummary) -> Iterator[Html]:
    found = alike((v.tags, signature) for v in module.variants for signature in v.signatures)
    for tags, signature in found:
        yield element("h3", words(code(signature.name), _where(tags, module)))
        yield _inputs_and_outputs(signature)


def _where(tags: Sequence[Iterable[str]], module: ModuleSummary) -> Html:
    """Which variants have something, where there is more than one."""
    of = len(module.variants)
    return quiet(f"in {show_variants(tags, of)}" if of > 1 else "")


def _inputs_and_outputs(signature: SignatureSummary) -> Html:
    return element(
        "div",
        _tensors("Inputs", signature.inputs),
        _tensors("Outputs", signature.outputs),
        class_="pair",
    )


def _tensors(caption: str, tensors: Sequence[TensorSummary]) -> Html:
    if not tensors:
        return _nothing(f"{caption}: none")
    columns = (Column("Name"), Column("Dtype and shape"))
    rows = [
        (code(t.name), typed(show_dtype(t.dtype, t.kind), show_shape(t.shape))) for t in tensors
    ]
    return table(text(caption), columns, rows)


def _training(module: ModuleSummary) -> Iterator[Html]:
    losses = [(variant.tags, variant.losses) for variant in module.variants]
    yield from _lists(losses, "regularization loss/regularization losses")
    yield from _lists([(v.tags, v.update_ops) for v in module.variants], "update op")


def _lists(named: Sequence[tuple[Iterable[str], tuple[str, ...]]], noun: str) -> Iterator[Html]:
    for tags, names in alike(named):
        count = show_number(len(names), noun)
        if len(named) > 1:
            count += f" in {show_variants(tags, of=len(named))}"
        if names:
            items = element("ul", *(element("li", code(name)) for name in names), class_="list")
            yield element("details", element("summary", text(count)), items)
        else:
            yield _nothing(count)


def _assets(module: ModuleSummary) -> Html:
    if not module.assets:
        return _nothing("There are no files under assets/.")
    columns = (Column("File"), Column("Its path is in"), Column("Size", numbers=True))
    rows = [
        (code(a.name), join(map(code, a.tensors), _COMMA), text(show_bytes(a.bytes)))
        for a in module.assets
    ]
    return table(text("Files under assets/"), columns, rows)


def _attachments(module: ModuleSummary) -> Html:
    found = alike((variant.tags, a) for variant in module.variants for a in variant.attachments)
    if not found:
        return _nothing("No message is attached.")
    columns = (Column("Key"), Column("Content"), Column("Size", numbers=True))
    rows = [
        (
            words(code(a.key), _where(tags, module)),
            text(a.decoded) if a.decoded else quiet("not decoded"),
            text(show_bytes(a.bytes)),
        )
        for tags, a in found
    ]
    return table(text("Attached messages"), columns, rows)


def _ops(module: ModuleSummary) -> Html:
    groups, left_out = ops_of_variants(module)
    titles = [", ".join(map(show_tags, tags)) for tags, _ in groups] if groups[1:] else ["Nodes"]
    columns = [Column("Op"), *(Column(title, numbers=True) for title in titles)]
    rows = [
        (code(op), *map(_op_count, counts)) for op, counts in side_by_side([o for _, o in groups])
    ]
    rows.append((text("all"), *(text(f"{sum(op.count for op in ops):,}") for _, ops in groups)))
    caption = "How many nodes there are, those in library functions included"
    if left_out:
        caption += f"; {show_number(left_out, 'variant')} more are left out"
    return element("div", table(text(caption), columns, rows), class_="ops")


def _op_count(found: OpSummary | None) -> Html:
    if found is None:
        return text("0")
    inside = f"{found.in_functions:,} in functions" if found.in_functions else ""
    return words(quiet(inside), text(f"{found.count:,}"))


def _nothing(written: str) -> Html:
    return element("p", text(written), class_="quiet")
