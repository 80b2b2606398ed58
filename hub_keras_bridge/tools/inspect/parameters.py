"""Where a module's parameters are: a bar per scope, and tables of the variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hub_keras_bridge.errors.words import show_number, show_shape, show_share
from hub_keras_bridge.facts.shown.markup import (
    Column,
    Html,
    code,
    element,
    quiet,
    table,
    text,
    typed,
    words,
)
from hub_keras_bridge.tools.inspect.summary import ModuleSummary, ScopeSummary, VariableSummary
from hub_keras_bridge.tools.inspect.views import remarks

# More scopes than this are told as a rest.
_BARS = 40

# More variables than this are folded, scope by scope.
_UNFOLDED = 40


def chart(module: ModuleSummary) -> Iterator[Html]:
    """A bar per scope, the biggest first, split into trainable and not."""
    if not module.parameters:
        yield element("p", text("There are no parameters."), class_="quiet")
        return
    meaning = "How many parameters each scope holds, and its share of all"
    yield element("p", quiet(meaning), class_="caption")
    if module.trainable_parameters < module.parameters:
        yield _LEGEND
    longest = max(scope.parameters for scope in module.scopes)
    bars = [_bar(scope, longest, module.parameters) for scope in module.scopes[:_BARS]]
    if rest := module.scopes[_BARS:]:
        bars.append(_rest(rest, module.parameters))
    yield element("ul", *bars, class_="chart", role="list")


def _bar(scope: ScopeSummary, longest: int, total: int) -> Html:
    parts = [("fixed", scope.parameters), ("trained", scope.trainable_parameters)]
    rects = [
        f'<rect class="{kind}" width="{100 * count / longest:.2f}" height="1"/>'
        for kind, count in parts
    ]
    # An image, since browsers leave backgrounds out when they print.
    bar = (
        '<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        + "".join(rects)
        + "</svg>"
    )
    return element("li", _label(scope.name), Html(bar), *_numbers(scope.parameters, total))


def _rest(scopes: Sequence[ScopeSummary], total: int) -> Html:
    count = sum(scope.parameters for scope in scopes)
    return element("li", quiet(show_number(len(scopes), "smaller scope")), *_numbers(count, total))


def _numbers(count: int, total: int) -> tuple[Html, Html]:
    return (
        element("span", text(f"{count:,}"), class_="number count"),
        element("span", text(show_share(count, total)), class_="number share"),
    )


def _label(scope: str) -> Html:
    return code(scope) if scope else text("(no scope)")


def _swatch(kind: str, meaning: str) -> Html:
    rect = f'<rect class="{kind}" width="1" height="1"/>'
    image = f'<svg viewBox="0 0 1 1" aria-hidden="true">{rect}</svg>'
    return element("span", Html(image), text(meaning))


_LEGEND = element(
    "p", _swatch("trained", "trainable"), _swatch("fixed", "not trainable"), class_="quiet legend"
)


def variable_tables(module: ModuleSummary) -> Iterator[Html]:
    """One table, or of many variables one per scope, folded."""
    if not module.variables:
        yield element("p", text("There are no variables."), class_="quiet")
        return
    variants = len(module.variants)
    if len(module.variables) <= _UNFOLDED:
        yield _table("In the order of the graph", module.variables, variants)
        return
    members: dict[str, list[VariableSummary]] = {}
    for variable in module.variables:
        members.setdefault(variable.scope, []).append(variable)
    yield element("div", *(_folded(*pair, variants) for pair in members.items()), class_="rows")


def _folded(scope: str, variables: Sequence[VariableSummary], variants: int) -> Html:
    count = sum(variable.parameters for variable in variables)
    told = f"{show_number(len(variables), 'variable')}, {show_number(count, 'parameter')}"
    return element(
        "details",
        element("summary", words(_label(scope), quiet(told))),
        _table(f"Variables below {scope or 'no scope'}", variables, variants),
    )


def _table(caption: str, variables: Iterable[VariableSummary], variants: int) -> Html:
    columns = (Column("Name"), Column("Dtype and shape"), Column("Parameters", numbers=True))
    rows = [
        (
            words(code(v.name), quiet(remarks(v, variants))),
            typed(v.dtype, show_shape(v.shape)),
            text(f"{v.parameters:,}"),
        )
        for v in variables
    ]
    return table(text(caption), columns, rows)
