"""What a module holds, as text for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from hub_keras_bridge.errors.words import (
    alike,
    show_bytes,
    show_dtype,
    show_number,
    show_shape,
    show_share,
    show_tags,
    show_variants,
)
from hub_keras_bridge.tools.inspect.snippet import snippet
from hub_keras_bridge.tools.inspect.summary import ModuleSummary, OpSummary
from hub_keras_bridge.tools.inspect.terminal import ModuleName, keep_names_whole, table_of
from hub_keras_bridge.tools.inspect.views import ops_of_variants, remarks, side_by_side

# Of longer lists, one less, and how many more there are.
_MOST_NAMES = 4
# Likewise of tables, where they are to be brief.
BRIEF = 8

Row = Sequence[RenderableType]


def format_summary(module: ModuleSummary, console: Console, *, most: int | None = None) -> str:
    """Lays a module's facts out as text.

    Args:
        module: what :func:`inspect_module` found.
        console: whose width and colours to use; nothing is printed on it.
        most: how many rows a table may have, and a signature inputs and outputs; None
            for all.
    """
    losses, updates = (_names(module, kind) for kind in ("losses", "update_ops"))
    blocks = {
        "Signatures": _signatures(module, most),
        "Parameters by scope": _scopes(module, most),
        "Variables": _variables(module, console, most),
        f"Regularization losses{_count(losses)}": _first(losses),
        f"Update ops{_count(updates)}": _first(updates),
        "Assets": _assets(module, most),
        "Attachments": _attachments(module),
        "Ops by type": _ops(module, most),
    }
    with console.capture() as captured:
        console.print(ModuleName(module.handle, style="bold"))
        console.print(_overview(module))
        for title, table in blocks.items():
            console.print()
            if table.row_count:
                console.print(Text(title, "bold"))
                console.print(table)
            else:
                console.print(Text.assemble((title, "bold"), ("  none", "dim")))
        if code := snippet(module):
            console.print()
            console.print(Text("In Keras", "bold"))
            # It is pasted, so that no line is broken.
            console.print(Text(code), soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _overview(module: ModuleSummary) -> Table:
    trainable = show_share(module.trainable_parameters, module.parameters)
    variables = show_number(len(module.variables), "variable")
    table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    for label, value in (
        ("Variants", ", ".join(show_tags(variant.tags) for variant in module.variants)),
        ("Parameters", f"{module.parameters:,}, {trainable} trainable"),
        ("Weights", f"{show_bytes(module.bytes)} in {variables}"),
    ):
        table.add_row(Text(label, "dim"), Text(value))
    return table


def _signatures(module: ModuleSummary, most: int | None) -> Table:
    table = table_of("Signature", "", "Name", "Dtype and shape")
    found = alike((v.tags, signature) for v in module.variants for signature in v.signatures)
    for tags, signature in found:
        rows: list[Row] = []
        first = ModuleName(signature.name, _where(tags, module))
        for kind, tensors in (("in", signature.inputs), ("out", signature.outputs)):
            for t in tensors:
                shown = f"{show_dtype(t.dtype, t.kind)} {show_shape(t.shape)}"
                rows.append((first, Text(kind, "dim"), ModuleName(t.name), Text(shown)))
                first = ModuleName("")
        _add(table, rows, most, before=(first, ""))
        table.add_section()
    return table


def _where(tags: Sequence[Iterable[str]], module: ModuleSummary) -> str:
    """Which variants have something, where not all do."""
    of = len(module.variants)
    return f"in {show_variants(tags, of)}" if len(tags) < of else ""


def _scopes(module: ModuleSummary, most: int | None) -> Table:
    numbers = ("Variables", "Parameters", "Share")
    table = table_of("Scope", *numbers, numbers=numbers)
    rows: list[Row] = []
    for s in module.scopes:
        share = show_share(s.parameters, module.parameters)
        scope = ModuleName(s.name) if s.name else Text("(no scope)", "dim")
        rows.append((scope, f"{s.variables:,}", f"{s.parameters:,}", share))
    _add(table, rows, most)
    return table


def _variables(module: ModuleSummary, console: Console, most: int | None) -> Table:
    table = table_of("Name", "Dtype and shape", "Parameters", numbers=("Parameters",))
    rows: list[Row] = []
    for v in module.variables:
        name = ModuleName(v.name, remarks(v, len(module.variants)))
        rows.append((name, Text(f"{v.dtype} {show_shape(v.shape)}"), f"{v.parameters:,}"))
    _add(table, rows, most)
    keep_names_whole(table, "Dtype and shape", console)
    return table


def _names(module: ModuleSummary, attribute: str) -> list[ModuleName]:
    found = alike((v.tags, name) for v in module.variants for name in getattr(v, attribute))
    return [ModuleName(name, _where(tags, module)) for tags, name in found]


def _count(names: Sequence[ModuleName]) -> str:
    return f" ({len(names):,})" if names else ""


def _first(names: Sequence[ModuleName]) -> Table:
    """The first of some names, and how many more there are."""
    shown = names if len(names) <= _MOST_NAMES else names[: _MOST_NAMES - 1]
    table = Table.grid()
    for name in shown:
        table.add_row(name)
    if len(names) > len(shown):
        table.add_row(_left_out(f"{len(names) - len(shown):,}"))
    return table


def _add(table: Table, rows: Sequence[Row], most: int | None, before: Row = ()) -> None:
    """Adds rows, or the first of them and how many more there are."""
    shown = rows if most is None or len(rows) <= most else rows[: most - 1]
    for row in shown:
        table.add_row(*row)
    if len(rows) > len(shown):
        table.add_row(*before, _left_out(f"{len(rows) - len(shown):,}", "--all"))


def _left_out(number: str, option: str = "--json") -> Text:
    return Text(f"and {number} more (all with {option})", "dim")


def _assets(module: ModuleSummary, most: int | None) -> Table:
    table = table_of("File", "Its path is in", "Size", numbers=("Size",))
    rows: list[Row] = [
        (ModuleName(a.name), ModuleName(", ".join(a.tensors)), show_bytes(a.bytes))
        for a in module.assets
    ]
    _add(table, rows, most)
    return table


def _attachments(module: ModuleSummary) -> Table:
    table = table_of("Key", "Content", "Size", numbers=("Size",))
    for tags, a in alike((v.tags, attached) for v in module.variants for attached in v.attachments):
        content = Text(a.decoded) if a.decoded else Text("not decoded", "dim")
        table.add_row(ModuleName(a.key, _where(tags, module)), content, show_bytes(a.bytes))
    return table


def _ops(module: ModuleSummary, most: int | None) -> Table:
    groups, left_out = ops_of_variants(module)
    titles = [", ".join(map(show_tags, tags)) for tags, _ in groups] if groups[1:] else ["Nodes"]
    table = table_of("Op", *titles, numbers=titles)
    found = side_by_side([ops for _, ops in groups])
    _add(table, [(ModuleName(op), *map(_op_count, counts)) for op, counts in found], most)
    table.add_section()
    table.add_row("all", *(f"{sum(op.count for op in ops):,}" for _, ops in groups))
    if left_out:
        table.add_row(_left_out(show_number(left_out, "variant")))
    return table


def _op_count(op: OpSummary | None) -> Text:
    if op is None:
        return Text("0")
    inside = f"({op.in_functions:,} in functions) " if op.in_functions else ""
    return Text.assemble((inside, "dim"), f"{op.count:,}")
