"""Pictures of a training: learning curves, the confusion matrix, predicted values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix as count_confusions

from zoo.plots.parts import plain, written


def learning_curves(history: Mapping[str, Sequence[float]], path: Path | None = None) -> Path | Any:
    """Draw the loss and each metric by epoch, training beside validation.

    Args:
        history: Values by name, one an epoch; those of the validation part begin with `val_`.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> learning_curves({"loss": [1.0, 0.5], "val_loss": [0.9, 0.6], "accuracy": [0.4, 0.7]})
        <Figure size 800x320 with 2 Axes>
    """
    names = list(dict.fromkeys(key.removeprefix("val_") for key in history if key != "epoch"))
    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for prefix, label, colour in (
            ("", "training", "tab:blue"),
            ("val_", "validation", "tab:orange"),
        ):
            if (key := prefix + name) in history:
                epochs = np.arange(1, len(history[key]) + 1)
                axes.plot(epochs, history[key], label=label, marker=".", color=colour)
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if f"val_{name}" in history:
            axes.legend()
    return written(figure, path)


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], path: Path | None = None
) -> Path | Any:
    """Draw how often each class was taken for each class.

    Args:
        labels: True labels, integers `(examples,)`.
        predicted: Predicted labels, integers `(examples,)`.
        class_names: Names of the classes, by label.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> confusion_matrix(np.array([0, 1]), np.array([0, 0]), ["no", "yes"])
        <Figure size 400x400 with 1 Axes>
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
            style: Any = dict(ha="center", va="center", color=colour, size=9)
            axes.text(column, row, counts[row, column], **style)
    ticks = range(0, size, max(1, size // 30))
    names = [plain(class_names[tick]) for tick in ticks]
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(ticks, names)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    title = f"{counts.sum()} test examples, accuracy {accuracy:.2%}"
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return written(figure, path)


def predicted_values(
    labels: np.ndarray, found: np.ndarray, names: Sequence[str], path: Path | None = None
) -> Any:
    """Draw predicted values over true ones, target by target; on the diagonal they are equal.

    Args:
        labels: True values, `(examples, targets)`.
        found: Predicted values, `(examples, targets)`.
        names: Names of the targets.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> values = np.array([[1.0], [2.0], [3.0]])
        >>> predicted_values(values, values + 0.1, ["income"])
        <Figure size 400x400 with 1 Axes>
    """
    figure = Figure(figsize=(4 * len(names), 4), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, len(names), squeeze=False)[0]):
        axes.plot(labels[:, index], found[:, index], ".", alpha=0.5)
        axes.axline((float(labels[0, index]),) * 2, slope=1, color="black", linewidth=0.8)
        axes.set(title=plain(names[index]), xlabel="true", ylabel="predicted")
        axes.grid(alpha=0.3)
    return written(figure, path)
