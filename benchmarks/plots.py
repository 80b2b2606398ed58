"""Results as plots."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.figures import Case, Result
from benchmarks.report import show
from benchmarks.sides import (
    BARE_FUNCTION,
    BEST,
    COMPILED,
    KERAS_LAYER,
    ONNX_RUNTIME,
    OPENVINO,
    OURS,
    SAVED_MODEL,
    SESSION,
    TWIN,
    TWIN_WITHOUT_XLA,
    compiled_by,
)

# Colours that differ in lightness too, after Okabe and Ito.
_COLOURS: Mapping[str, str] = {
    OURS: "#0072b2",
    KERAS_LAYER: "#d55e00",
    SAVED_MODEL: "#e69f00",
    BARE_FUNCTION: "#56b4e9",
    SESSION: "#7f7f7f",
    TWIN: "#009e73",
    TWIN_WITHOUT_XLA: "#8fd3bb",
    COMPILED: "#332288",
    compiled_by("tensorflow"): "#aa99dd",
    compiled_by("xla"): "#ddcc77",
    compiled_by("onnxruntime"): "#cc6699",
    compiled_by("openvino"): "#44aa99",
    ONNX_RUNTIME: "#e3b3cc",
    OPENVINO: "#a9dbd3",
    BEST: "#111111",
}
# A bar that is so many times as long as the one in the middle is cut off.
_LONGEST = 4.0
_TEXT, _FAINT = "#333333", "#dddddd"


def draw(result: Result) -> Figure:
    """Bars for a comparison, lines for a sweep; a panel per sort of module."""
    return _lines(result) if result.axis else _bars(result)


# --- bars ---


def _bars(result: Result) -> Figure:
    columns = min(2, len(result.cases))
    rows = math.ceil(len(result.cases) / columns)
    height = 0.9 + rows * (0.75 + 0.27 * len(result.sides))
    figure = Figure(figsize=(10, height), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, case in zip(panels.flat, result.cases, strict=False):
        _bar_panel(axes, result, case)
    for axes in panels.flat[len(result.cases) :]:
        axes.set_axis_off()
    _title(figure, _headline(result))
    return figure


def _bar_panel(axes: Axes, result: Result, case: Case) -> None:
    sides = list(case.measured)
    spreads = [result.shown(case, side) for side in sides]
    # One that is far longer than the others would leave no room to compare these.
    limit = _LONGEST * statistics.median(spread.median for spread in spreads)
    right = min(max(spread.high for spread in spreads), limit)
    axes.barh(
        sides,
        [min(spread.median, right) for spread in spreads],
        height=0.72,
        color=[_COLOURS[side] for side in sides],
    )
    for row, spread in enumerate(spreads):
        label = show(spread.median)
        if row:
            label += f"  ({spread.median / spreads[0].median:.2f}x)"
        if spread.high > right:
            label += ", cut off"
        else:
            ends = [[spread.median - spread.low], [spread.high - spread.median]]
            axes.errorbar(
                spread.median, row, xerr=ends, fmt="none", ecolor=_TEXT, elinewidth=1, capsize=2
            )
        at = min(spread.high, right) + 0.02 * right
        axes.text(at, row, label, va="center", fontsize=8.5)
    axes.set_xlim(0, 1.32 * right)
    axes.invert_yaxis()
    axes.set_title(case.module, loc="left", fontsize=10.5, color=_TEXT)
    axes.get_yticklabels()[0].set_fontweight("bold")
    _clean(axes)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_FAINT, linewidth=0.8)


# --- lines ---


def _lines(result: Result) -> Figure:
    figure = Figure(figsize=(10, 4.4), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(result.modules), squeeze=False)[0]
    for axes, module in zip(panels, result.modules, strict=True):
        _line_panel(axes, result, [case for case in result.cases if case.module == module])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    _title(figure, _headline(result))
    return figure


def _line_panel(axes: Axes, result: Result, cases: Sequence[Case]) -> None:
    at = [case.at for case in cases]
    for side in reversed(cases[0].measured):
        spreads = [result.shown(case, side) for case in cases]
        axes.fill_between(
            at,
            [spread.low for spread in spreads],
            [spread.high for spread in spreads],
            color=_COLOURS[side],
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(
            at,
            [spread.median for spread in spreads],
            color=_COLOURS[side],
            linewidth=2.6 if side == result.subject else 1.5,
            marker="o",
            markersize=5 if side == result.subject else 3.5,
            label=side,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(at, [f"{value:g}" for value in at])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlabel(result.axis)
    axes.set_ylabel(result.shown_unit)
    axes.set_title(cases[0].module, loc="left", fontsize=10.5, color=_TEXT)
    _clean(axes)
    axes.grid(color=_FAINT, linewidth=0.8)


# --- all in one ---


def overview(results: Sequence[Result]) -> Figure:
    """What a subject takes as a part of what others take.

    Args:
        results: all comparisons of one subject, no sweeps among them.
    """
    subject = results[0].subject
    counts = [len(result.cases) for result in results]
    figure = Figure(
        figsize=(10, 1.3 + sum(0.55 + 0.3 * count for count in counts)),
        layout="constrained",
        facecolor="white",
    )
    panels = figure.subplots(len(results), 1, sharex=True, squeeze=False, height_ratios=counts)[
        :, 0
    ]
    for axes, result in zip(panels, results, strict=True):
        _overview_panel(axes, result)
    _fit_ratios(panels[-1], results)
    panels[-1].set_xlabel(f"what {subject} takes, as a part of what the other takes")
    found = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        found.values(), found, loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    _title(
        figure,
        f"{subject} beside what people use today: left of the line it takes less (dotted: aims)",
    )
    return figure


def _fit_ratios(axes: Axes, results: Sequence[Result]) -> None:
    """Limits of the axis that all panels share, around all figures and aims."""
    ratios = [r for result in results for case in result.cases for r in case.ratio.values()]
    aims = [
        aim for result in results for each in (result, *result.cases) for aim in each.aims.values()
    ]
    lowest = min([*(ratio.low for ratio in ratios), *aims, 0.5])
    highest = max([*(ratio.high for ratio in ratios), *aims, 2.0])
    axes.set_xlim(lowest / 1.1, highest * 1.1)


def _overview_panel(axes: Axes, result: Result) -> None:
    others = result.others
    for side in others:
        found = [
            (case.ratio[side], row) for row, case in enumerate(result.cases) if side in case.ratio
        ]
        axes.errorbar(
            [ratio.median for ratio, _ in found],
            # Apart, so that sides alike do not hide each other.
            [row + 0.5 * ((others.index(side) + 0.5) / len(others) - 0.5) for _, row in found],
            xerr=[
                [ratio.median - ratio.low for ratio, _ in found],
                [ratio.high - ratio.median for ratio, _ in found],
            ],
            fmt="o",
            markersize=6,
            color=_COLOURS[side],
            elinewidth=1.2,
            label=side,
        )
        if side in result.aims:
            aim = result.aims[side]
            axes.axvline(aim, color=_COLOURS[side], linewidth=1.2, linestyle=":")
    axes.axvline(1, color=_TEXT, linewidth=1)
    axes.set_xscale("log")
    marks = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 20)
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.set_yticks(range(len(result.cases)), [case.module for case in result.cases])
    axes.set_ylim(len(result.cases) - 0.5, -0.5)
    axes.set_title(result.title, loc="left", fontsize=10.5, color=_TEXT)
    _clean(axes)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_FAINT, linewidth=0.8)


# --- what all have ---


def _headline(result: Result) -> str:
    return f"{result.title}: {result.shown_unit}, {'more' if result.rate else 'less'} is better"


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=_TEXT)


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(colors=_TEXT, labelsize=9)
    axes.set_axisbelow(True)
