"""Pictures of a training: learning curves, confusion matrix, images and their codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix as count_confusions


def learning_curves(history: Mapping[str, Sequence[float]], path: Path) -> Path:
    """Draw the loss and each metric by epoch, training beside validation.

    Args:
        history: Values by name, one an epoch; those of the validation part begin with `val_`.
        path: Where to write the picture.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> history = {"loss": [1.0, 0.5], "val_loss": [0.9, 0.6], "learning_rate": [0.1, 0.1]}
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     learning_curves(history, Path(directory) / "curves.png").name
        'curves.png'
    """
    names = [key for key in history if key != "epoch" and not key.startswith("val_")]
    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        epochs = np.arange(1, len(history[name]) + 1)
        for key, label, style in (
            (name, "training", {"color": "tab:blue"}),
            (f"val_{name}", "validation", {"color": "tab:orange"}),
        ):
            if key in history:
                axes.plot(epochs, history[key], label=label, marker=".", **style)
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if f"val_{name}" in history:
            axes.legend()
    figure.savefig(path, dpi=120)
    return path


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], path: Path
) -> Path:
    """Draw how often each class was taken for each class.

    Args:
        labels: True labels, integers `(examples,)`.
        predicted: Predicted labels, integers `(examples,)`.
        class_names: Names of the classes, by label.
        path: Where to write the picture.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "confusion.png"
        ...     confusion_matrix(np.array([0, 1]), np.array([0, 0]), ["no", "yes"], path).exists()
        True
    """
    size = len(class_names)
    counts = count_confusions(labels, predicted, labels=range(size))
    side = max(4.0, min(16.0, 1.5 + 0.45 * size))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    # Logarithmic colours, so that the few mistakes show beside the many hits.
    axes.imshow(np.maximum(counts, 0.5), cmap="Blues", norm=LogNorm(0.5, max(counts.max(), 1)))
    if size <= 30:
        dark = counts > counts.max() ** 0.6
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if dark[row, column] else "black"
            axes.text(
                column, row, counts[row, column], ha="center", va="center", color=colour, size=9
            )
    step = max(1, size // 30)
    ticks = range(0, size, step)
    names = [_plain(class_names[tick]) for tick in ticks]
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(ticks, names)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    axes.set(
        xlabel="predicted",
        ylabel="true",
        title=f"{counts.sum()} test examples, accuracy {accuracy:.2%}",
    )
    figure.savefig(path, dpi=120)
    return path


def image_rows(rows: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw rows of images, one above the other.

    Args:
        rows: Images `(count, height, width, channels)`, values in [0, 1], by what they are; one or
            three channels are shown as grey or colour, else the first.
        path: Where to write the picture.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> rows = {"image": np.zeros((3, 8, 8, 1)), "rebuilt": np.ones((3, 8, 8, 1))}
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     image_rows(rows, Path(directory) / "rows.png").exists()
        True
    """
    count = max(len(images) for images in rows.values())
    figure = Figure(figsize=(1.2 + count, 1.05 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for axes, (name, images) in zip(grid, rows.items(), strict=True):
        for cell in axes:
            cell.set_axis_off()
        for cell, image in zip(axes, images, strict=False):
            colour = image.shape[-1] == 3
            cell.imshow(np.clip(image if colour else image[..., 0], 0, 1), "gray", vmin=0, vmax=1)
        axes[0].text(-0.15, 0.5, _plain(name), ha="right", va="center", transform=axes[0].transAxes)
    figure.savefig(path, dpi=120)
    return path


def latent_scatter(
    codes: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path
) -> Path:
    """Draw codes in the plane, coloured by class; long ones by their two main components.

    Args:
        codes: Codes, `(examples, latent_dim)`.
        labels: True labels, integers `(examples,)`; they only give the colours.
        class_names: Names of the classes, by label.
        path: Where to write the picture.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "codes.png"
        ...     latent_scatter(np.eye(4), np.array([0, 0, 1, 1]), ["no", "yes"], path).exists()
        True
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
        axes.scatter(x, y, s=8, alpha=0.6, color=colour, label=_plain(class_names[label]))
    if len(present) <= 20:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)
    axes.set(
        xlabel=names[0],
        ylabel=names[1],
        title=f"{len(codes)} test examples, codes of {latent_dim} values",
    )
    figure.savefig(path, dpi=120)
    return path


def rate_distortion(curves: Mapping[str, Sequence[Any]], path: Path) -> Path:
    """Draw quality by rate, a line for each codec.

    Args:
        curves: Points with `bits_per_pixel` and `psnr`, by name; see `zoo.codec.rate_distortion`.
        path: Where to write the picture.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> from zoo.codec import Point
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "curves.png"
        ...     rate_distortion({"WebP": [Point(0.5, 20.0), Point(1.0, 24.0)]}, path).exists()
        True
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        rates = [point.bits_per_pixel for point in points]
        axes.plot(rates, [point.psnr for point in points], marker="o", ms=4, label=_plain(name))
    axes.set(xlabel="bits per pixel", ylabel="PSNR in dB", xscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)
    return path


def _plain(text: object) -> str:
    return str(text).replace("$", r"\$")  # $ begins a formula
