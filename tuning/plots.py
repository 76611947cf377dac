"""Pictures of a search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy.stats import kruskal

from tuning.report import SearchResult, TrialRecord
from zoo.plots.parts import written
from zoo.space import Choice, Float, Int

INK, MUTED, GRID = "#24292f", "#6e7781", "#e6e9ec"
TRIAL, BEST, FAILED = "#4c78a8", "#e07b00", "#c0392b"
MOST_PANELS = 6


def draw_search(result: SearchResult, path: Path | None = None) -> Path | Any:
    """Draw the scores trial by trial, and against the most telling hyperparameters."""
    names = telling(result)[:MOST_PANELS]
    rows = math.ceil(len(names) / 3)
    heights = [3.5, 2.5 * rows] if names else [3.5]
    figure = Figure(figsize=(10, sum(heights)), layout="constrained", facecolor="white")
    top, *bottom = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    main = top.subplots()
    _draw_trials(main, result)
    if names:
        title = f"{result.objective} by the hyperparameters that tell most of it; lines are medians"
        bottom[0].suptitle(title, x=0.008, ha="left", fontsize=10, color=MUTED)
        panels = bottom[0].subplots(rows, 3, squeeze=False, sharey=True)
        panels[0, 0].sharey(main)
        for panel, name in itertools.zip_longest(panels.flat, names):
            if name is None:
                panel.remove()
            else:
                _draw_values(panel, result, name)
    return written(figure, path, dpi=150)


def telling(result: SearchResult) -> list[str]:
    """Order the hyperparameters that varied by how much of the scores they explain.

    The measure is the share of the variance of the scores' ranks that lies between groups of
    trials (each choice is a group; numbers are cut into quarters), less what chance would give.

    Example:
        >>> trials = [TrialRecord(i, "COMPLETED", i % 2 / 2, {"a": i // 5, "b": i % 2}, 1.0)
        ...           for i in range(10)]
        >>> rows = {"a": Int(1, 2), "b": Int(1, 2)}
        >>> made = [Path(), Path()]  # not looked at, as the best values
        >>> telling(SearchResult("mlp", "score", "max", tuple(trials), rows, {}, {}, {}, *made))
        ['b', 'a']
    """
    shares = {}
    for name, row in result.rows.items():
        trials, scores = _scored(result, name)
        values = [_drawn(row, name, trial) for trial in trials]
        if len(set(values)) > 1:
            shares[name] = _share(values, scores)
    return sorted(shares, key=lambda name: -shares[name])


def _scored(result: SearchResult, name: str | None = None) -> tuple[list[TrialRecord], list[float]]:
    """Give the completed trials, those with a value of this name, and their scores."""
    trials = [
        trial
        for trial in result.trials
        if trial.score is not None and (name is None or name in trial.values)
    ]
    return trials, [trial.score or 0.0 for trial in trials]


def _drawn(row: Int | Float | Choice, name: str, trial: TrialRecord) -> Any:
    """Give a value as it was drawn: rates of different optimizers are alike only in that form."""
    value = trial.values[name]
    return value / row.factor(trial.values) if isinstance(row, Float) else value


def _share(values: Sequence[Any], scores: Sequence[float]) -> float:
    if len(set(values)) > 5 and not isinstance(values[0], str):
        groups = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values)
    else:
        groups = np.unique(values, return_inverse=True)[1]
    members = [np.array(scores)[groups == group] for group in np.unique(groups)]
    free = len(scores) - len(members)
    if not free or np.ptp(scores) == 0:
        return -1.0
    return float((kruskal(*members).statistic - len(members) + 1) / free)


def _draw_trials(axes: Axes, result: SearchResult) -> None:
    completed, scores = _scored(result)
    others = [trial for trial in result.trials if trial.score is None]
    numbers = [trial.number for trial in completed]
    last = result.trials[-1].number
    so_far = list(itertools.accumulate(scores, max if result.direction == "max" else min))
    so_far.append(so_far[-1])
    axes.step([*numbers, last], so_far, where="post", color=BEST, lw=1.6, label="best so far")
    _scatter(axes, result, numbers, scores, size=34, label="trial")
    axes.scatter([result.best.number], [result.best_score], **_star)
    if others:
        axes.plot(
            [trial.number for trial in others],
            [0.03] * len(others),
            "x",
            color=FAILED,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label=" and ".join(sorted({trial.status.lower() for trial in others})),
        )
    seconds = sum(trial.seconds for trial in result.trials)
    axes.set_title(
        f"{result.name}: best {result.objective} {result.best_score:.4f} in trial "
        f"{result.best.number} of {len(result.trials)}, {seconds / 60:.1f} minutes",
        loc="left",
        color=INK,
        fontsize=12,
        pad=10,
    )
    axes.set_xlim(0.4, last + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("trial", color=MUTED)
    axes.set_ylabel(result.objective, color=MUTED)
    axes.legend(
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        labelcolor=MUTED,
        fontsize=9,
        handlelength=1.2,
        borderaxespad=0.2,
    )
    _style(axes)


def _draw_values(axes: Axes, result: SearchResult, name: str) -> None:
    row = result.rows[name]
    trials, scores = _scored(result, name)
    places, labels = _places(row, [trial.values[name] for trial in trials])
    _scatter(axes, result, places, scores, size=26)
    if name in result.best_values:
        best = trials.index(result.best)
        axes.scatter([places[best]], [scores[best]], **_star)
    if labels is not None:
        for index in range(len(labels)):
            here = [s for s, place in zip(scores, places, strict=True) if round(place) == index]
            axes.plot([index - 0.3, index + 0.3], [np.median(here)] * 2, color=INK, lw=1, alpha=0.5)
        axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 5 else 30)
        axes.set_xlim(-0.6, len(labels) - 0.4)
    elif isinstance(row, Float) and row.sampling == "log":
        axes.set_xscale("log")
        ticks = np.geomspace(min(places), max(places), 7)[1::2]
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_title(name, loc="left", color=INK, fontsize=10)
    _style(axes)


def _places(
    row: Int | Float | Choice, values: Sequence[Any]
) -> tuple[list[float], list[str] | None]:
    """Give each value its place on the axis, and the ticks' labels where values are choices."""
    if isinstance(row, Float) or (isinstance(row, Int) and len(row.options) > 6):
        return list(values), None
    options = [option for option in row.options if option in values]
    spread = np.random.default_rng(0).uniform(-0.16, 0.16, len(values))
    places = [options.index(value) + shift for value, shift in zip(values, spread, strict=True)]
    return places, [str(option) for option in options]


def _scatter(
    axes: Axes, result: SearchResult, at: ArrayLike, scores: ArrayLike, size: float, label: str = ""
) -> None:
    """Draw scores as points, and those off the axis as triangles at its edge."""
    low, high = _limits(result)
    x, y = np.array(at), np.array(scores)
    off = ~((low <= y) & (y <= high))
    edge = 0.03 * (high - low)
    options: dict[str, Any] = dict(s=size, edgecolor="white", lw=0.6, zorder=3)
    axes.scatter(x[~off], y[~off], color=TRIAL, label=label or None, **options)
    if off.any():
        edges = np.clip(y[off], low + edge, high - edge)
        options |= dict(marker="v" if result.direction == "max" else "^", color=MUTED)
        axes.scatter(x[off], edges, label="off the axis" if label else None, **options)
    axes.set_ylim(low, high)


def _limits(result: SearchResult) -> tuple[float, float]:
    """Bound the axis so that one bad trial does not flatten the difference of the good ones."""
    scores = np.array(_scored(result)[1])
    reach = 4 * abs(result.best_score - np.median(scores)) or np.ptp(scores) or 0.01
    low, high = max(scores.min(), np.median(scores) - reach), scores.max()
    if result.direction == "min":
        low, high = scores.min(), min(scores.max(), np.median(scores) + reach)
    margin = 0.06 * (high - low) or 0.01
    return float(low - margin), float(high + margin)


_star: dict[str, Any] = dict(
    s=190, marker="*", color=BEST, edgecolor="white", lw=0.8, zorder=4, label=None
)


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(which="both", colors=MUTED, labelsize=8.5, length=0)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
