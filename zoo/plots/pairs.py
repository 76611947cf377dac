"""Pictures of a verification: how well distances tell same pairs from different ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.metrics
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from zoo.metrics.verification import OperatingPoint, check_pairs, equal_error_rate, roc_auc
from zoo.plots.parts import plain, show_image, written


def roc_curve(
    same: np.ndarray,
    distances: np.ndarray,
    path: Path | None = None,
    *,
    point: OperatingPoint | None = None,
) -> Path | Any:
    """Draw the share of same pairs that are accepted by the share of others that are.

    Args:
        same: 1 for pairs of the same class, 0 for others, `(pairs,)`.
        distances: Of the pairs, `(pairs,)`.
        path: Where to write the picture, which is then returned; without one, the figure is.
        point: An operating point to mark, such as `zoo.metrics.tar_at_far` gives.

    Raises:
        ValueError: As `zoo.metrics.roc_auc` does.

    Example:
        >>> from zoo.metrics import tar_at_far
        >>> same, distances = np.array([1, 1, 0, 0]), np.array([0.1, 0.4, 0.3, 0.9])
        >>> roc_curve(same, distances, point=tar_at_far(same, distances, 0.1))
        <Figure size 600x500 with 1 Axes>
    """
    same, distances = check_pairs(same, distances)
    far, tar, _ = sklearn.metrics.roc_curve(same, -distances)
    # Where the axis ends: half of the smallest rate that so many pairs can tell from 0.
    least = 0.5 / (same == 0).sum()
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.maximum(far, least), tar, drawstyle="steps-post", label="ROC curve")
    grid = np.geomspace(least, 1, 200)
    axes.plot(grid, 1 - grid, color="tab:grey", lw=0.8, label="where both errors are equal")
    axes.plot(grid, grid, color="tab:grey", ls=":", label="chance")
    if point is not None:
        label, place = _accepted(*point), (max(point.far, least), point.tar)
        axes.plot(*place, "o", color="tab:red", label=label, clip_on=False, zorder=3)
    axes.set(
        xscale="log",
        xlim=(least, 1),
        ylim=(0, 1.02),
        xlabel="false accept rate (0 at the left end)",
        ylabel="true accept rate",
        title=f"area under the curve {roc_auc(same, distances):.4f}, "
        f"equal error rate {equal_error_rate(same, distances)[0]:.2%}",
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return written(figure, path)


def distance_histogram(
    same: np.ndarray,
    distances: np.ndarray,
    path: Path | None = None,
    *,
    threshold: float | None = None,
) -> Path | Any:
    """Draw how far apart same pairs are, and different ones.

    Args:
        same: 1 for pairs of the same class, 0 for others, `(pairs,)`.
        distances: Of the pairs, `(pairs,)`.
        path: Where to write the picture, which is then returned; without one, the figure is.
        threshold: The largest distance that is accepted, drawn as a line.

    Raises:
        ValueError: As `zoo.metrics.roc_auc` does.

    Example:
        >>> distance_histogram([1, 1, 0, 0], [0.1, 0.4, 0.3, 0.9], threshold=0.2)
        <Figure size 800x450 with 1 Axes>
    """
    same, distances = check_pairs(same, distances)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    edges = np.histogram_bin_edges(distances, 60).tolist()
    for kind, name, colour in ((1, "same", "tab:blue"), (0, "different", "tab:orange")):
        values = distances[same == kind]
        label = f"{name}, {len(values)} pairs"
        style: Any = dict(histtype="stepfilled", facecolor=(colour, 0.4), edgecolor=colour)
        # By density, as the different pairs are many more.
        axes.hist(values, edges, density=True, label=label, **style)
    if threshold is not None and math.isfinite(threshold):
        far, tar = ((distances[same == kind] <= threshold).mean() for kind in (0, 1))
        axes.axvline(threshold, color="black", ls="--", label=_accepted(threshold, far, tar))
    axes.set(xlabel="distance", ylabel="density")
    axes.margins(x=0.01)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return written(figure, path)


def image_pairs(pairs: Mapping[str, tuple[Any, Any, Any]], path: Path | None = None) -> Path | Any:
    """Draw rows of image pairs, the distance beneath each; for instance the hardest mistakes.

    Args:
        pairs: Left images and right ones, both `(count, height, width, channels)`, values in
            [0, 1], and their distances, `(count,)`, by the title of their row. A row without pairs
            says so.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Raises:
        ValueError: If a row's three parts are not of one length.

    Example:
        >>> left, right = np.zeros((2, 3, 8, 8, 1))
        >>> image_pairs({"the same person, told apart": (left, right, [0.9, 0.8, 0.8])})
        <Figure size 570x160 with 3 Axes>
    """
    for title, parts in pairs.items():
        if len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"Each pair needs two images and a distance: row {title!r} has "
                f"{' and '.join(str(len(part)) for part in parts)} of them."
            )
    count = max([3, *(len(distances) for _, _, distances in pairs.values())])
    width = 1.9 * count  # in inches, as all sizes here
    shapes = [np.shape(left)[1:3] if len(left) else (0, 0) for left, _, _ in pairs.values()]
    heights = [0.65 + 1.9 * high / (2 * wide) if wide else 0.4 for high, wide in shapes]
    layout = ConstrainedLayoutEngine(w_pad=0.1)
    figure = Figure(figsize=(width, sum(heights)), layout=layout)
    rows = figure.subfigures(len(pairs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for row, (title, (left, right, distances)) in zip(rows, pairs.items(), strict=True):
        none = "" if len(distances) else ": none"
        row.suptitle(plain(title) + none, x=0.1 / width, ha="left")
        cells = row.subplots(1, count, subplot_kw={"anchor": "N"})
        for cell in cells:
            cell.set_axis_off()
        for cell, a, b, distance in zip(cells, left, right, distances, strict=False):
            gap = np.ones((a.shape[0], max(1, a.shape[1] // 30), a.shape[2]))
            show_image(cell, np.concatenate([a, gap, b], axis=1))
            units = dict(xycoords="axes fraction", textcoords="offset points")
            cell.annotate(f"{distance:.3g}", (0.5, 0), (0, -4), ha="center", va="top", **units)
    return written(figure, path)


def _accepted(threshold: float, far: float, tar: float) -> str:
    shares = f"{100 * tar:.3g}% of same, {100 * far:.3g}% of different"
    return f"threshold {threshold:.4g}: accepts\n{shares}"
