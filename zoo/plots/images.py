"""Pictures of images and of their codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from zoo.plots.parts import plain, show_image, written


def image_rows(rows: Mapping[str, np.ndarray], path: Path | None = None) -> Path | Any:
    """Draw rows of images, one above the other.

    Args:
        rows: Images `(count, height, width, channels)`, values in [0, 1], by what they are; one or
            three channels are shown as grey or colour, else the first.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> image_rows({"image": np.zeros((3, 8, 8, 1)), "rebuilt": np.ones((3, 8, 8, 1))})
        <Figure size 420x210 with 6 Axes>
    """
    count = max(len(images) for images in rows.values())
    figure = Figure(figsize=(1.2 + count, 1.05 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for axes, (name, images) in zip(grid, rows.items(), strict=True):
        for cell in axes:
            cell.set_axis_off()
        for cell, image in zip(axes, images, strict=False):
            show_image(cell, image)
        axes[0].text(-0.15, 0.5, plain(name), ha="right", va="center", transform=axes[0].transAxes)
    return written(figure, path)


def latent_scatter(
    codes: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path | None = None
) -> Path | Any:
    """Draw codes in the plane, coloured by class; long ones by their two main components.

    Args:
        codes: Codes, `(examples, latent_dim)`.
        labels: True labels, integers `(examples,)`; they only give the colours.
        class_names: Names of the classes, by label.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> latent_scatter(np.eye(4), np.array([0, 0, 1, 1]), ["no", "yes"])
        <Figure size 700x550 with 1 Axes>
    """
    latent_dim = codes.shape[1]
    if latent_dim == 1:
        codes = np.concatenate([codes, np.zeros_like(codes)], axis=1)
    names = ["code 1", "code 2"]
    if latent_dim > 2:
        components = PCA(2, random_state=0).fit(codes)
        codes = components.transform(codes)
        shares = components.explained_variance_ratio_
        names = [f"component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares)]
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    present = np.unique(labels)
    colours = colormaps["tab10" if len(present) <= 10 else "gist_ncar"]
    for index, label in enumerate(present):
        x, y = codes[labels == label, :2].T
        colour = colours(index if len(present) <= 10 else index / len(present))
        axes.scatter(x, y, s=8, alpha=0.6, color=colour, label=plain(class_names[label]))
    if len(present) <= 20:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)
    title = f"{len(codes)} test examples, codes of {latent_dim} values"
    axes.set(xlabel=names[0], ylabel=names[1], title=title)
    return written(figure, path)
