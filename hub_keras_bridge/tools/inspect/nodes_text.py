"""The tensors of a module's graphs as text for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub_keras_bridge.errors.words import alike, choices, show_shape, show_variants
from hub_keras_bridge.tools.inspect.nodes import ModuleNodes, NodeTensor
from hub_keras_bridge.tools.inspect.terminal import ModuleName, keep_names_whole, table_of


def format_nodes(found: ModuleNodes, console: Console) -> str:
    """Lays what was found out as text, once for variants that have the same.

    Args:
        found: what :func:`find_nodes` found.
        console: whose width and colours to use; nothing is printed on it.
    """
    with console.capture() as captured:
        console.print(ModuleName(found.handle, style="bold"))
        for tags, tensors in alike((each.tags, each.tensors) for each in found.variants):
            where = show_variants(tags, of=len(found.variants))
            title = f"Tensors of {where}"
            console.print()
            if tensors:
                console.print(Text(title, "bold"))
                console.print(_table(tensors, console))
            else:
                console.print(Text.assemble((title, "bold"), ("  none", "dim")))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _table(tensors: Iterable[NodeTensor], console: Console) -> Table:
    table = table_of("Tensor", "Op", "Dtype and shape", "In a call of")
    for each in tensors:
        shown = f"{each.dtype} {show_shape(each.shape)}" if each.dtype else ""
        table.add_row(ModuleName(each.name), ModuleName(each.op), Text(shown), _where(each))
    keep_names_whole(table, "Dtype and shape", console)
    return table


def _where(tensor: NodeTensor) -> Text:
    """The signatures whose calls can return a tensor, or why none can."""
    if tensor.obstacle is not None:
        return Text(f"none: {tensor.obstacle}", "dim")
    return Text(choices(tensor.signatures, limit=4))
