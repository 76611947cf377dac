"""What the pictures of studies share: lines with the range of their runs, dots with theirs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from zoo.studies.nets import Trained
from zoo.studies.study import named, spread

# Okabe and Ito's colours, which colour-blind people can tell apart, then some more.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"),
    *("#7B3294", "#8C510A"),
)
TWINS = 0.002  # lines that are nowhere further apart hide one another


def colours(rows: Iterable[Any]) -> dict[Any, str]:
    """Give each row a colour."""
    rows = list(rows)
    return dict(zip(rows, itertools.cycle(COLOURS), strict=False))


def bands(
    axes: Axes, x: Any, runs: Sequence[Any], colour: str, label: str | None = None, **style: Any
) -> None:
    """Draw the mean of some runs as a line, and a band from the lowest to the highest."""
    values = np.array(runs)
    (line,) = axes.plot(x, values.mean(axis=0), color=colour, label=label, **style)
    others = [one.get_ydata() for one in axes.get_lines()[:-1]]
    if any(
        np.shape(y) == np.shape(x) and np.allclose(y, line.get_ydata(), 0, TWINS) for y in others
    ):
        line.set_linestyle("--")  # so that both are seen
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)


def curves(axes: Axes, trained: Sequence[Trained], name: str, by_row: Mapping[Any, str]) -> None:
    """Draw a value by epoch, of each net."""
    for row, colour in by_row.items():
        runs = [run.history[name] for run in trained if run.net.row == row]
        bands(axes, np.arange(1, len(runs[0]) + 1), runs, colour, named(row))
    whole_numbers(axes)
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)


def dots(axes: Axes, table: pd.DataFrame, measure: str, by_row: Mapping[Any, str]) -> None:
    """Draw a measure of each net as a dot, and a line from its lowest to its highest run."""
    for place, (row, colour) in enumerate(by_row.items()):
        mean, *ends = spread(table, measure, row)
        axes.plot(ends, [place, place], color=colour, lw=4, alpha=0.4, solid_capstyle="round")
        axes.plot(mean, place, "o", color=colour)
    axes.set_yticks(range(len(by_row)), [named(row) for row in by_row])
    axes.set_ylim(len(by_row) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(alpha=0.3)


def whole_numbers(axes: Axes) -> None:
    """Put the ticks below a picture at whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def in_percent(axis: Any) -> None:
    """Write the ticks of an axis of shares as percent."""
    axis.set_major_formatter(PercentFormatter(1))
