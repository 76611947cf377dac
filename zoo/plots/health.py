"""Pictures of a training's health: how gradients flow through the layers, and the loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zoo.plots.parts import plain, written

if TYPE_CHECKING:
    from zoo.health import Report

TICKS = 25  # names of layers that are written out at most


def gradient_flow(report: Report, path: Path | None = None) -> Path | Any:
    """Draw the gradient of each layer, from the input to the output, over the training.

    Args:
        report: What a monitor concluded; see `zoo.GradientHealth`.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> from zoo.health import History, Report
        >>> history = History(variables=("a/kernel",), layers=("a",), sizes=(4,))
        >>> history.add(1, np.array([0.5]), np.array([2.0]))
        >>> gradient_flow(Report.of(history))
        <Figure size 1000x680 with 4 Axes>
    """
    from zoo.health.history import kernels

    history = report.history
    columns = kernels(history)
    layers = [plain(history.layers[column]) for column in columns]
    figure = Figure(figsize=(10, 6.8), layout="constrained")
    axes = figure.subplot_mosaic(
        [["flow", "flow"], ["depth", "loss"]], height_ratios=[1.25, 1], width_ratios=[1.3, 1]
    )
    gradients = history.gradient_norm[:, columns]
    shown = np.where(gradients > 0, gradients, np.nan)
    if np.isfinite(shown).any():
        _flow(axes["flow"], history.steps, shown, layers, figure)
        _depth(axes["depth"], history.steps, shown, layers)
    _loss(axes["loss"], report)
    found = [one for one in report.findings if one.severity != "info"]
    title = "\n".join(plain(_short(str(one))) for one in found[:3]) or "Nothing was found."
    figure.suptitle(title, size=10, ha="left", x=0.01)
    return written(figure, path)


def _short(text: str) -> str:
    return text if len(text) < 130 else f"{text[:127]}..."


def _flow(axes: Axes, steps: Any, gradients: np.ndarray, layers: list[str], figure: Figure) -> None:
    """Draw a map: steps across, layers from the input below to the output above."""
    edges = np.append(steps, steps[-1] + max(1, steps[-1] - steps[-2] if len(steps) > 1 else 1))
    low, high = np.nanmin(gradients), np.nanmax(gradients)
    norm = LogNorm(max(low, high * 1e-12), max(high, low * 1.01))
    image = axes.pcolormesh(
        edges, np.arange(len(layers) + 1), gradients.T, norm=norm, cmap="viridis"
    )
    figure.colorbar(image, ax=axes, label="norm of the gradient")
    every = -(-len(layers) // TICKS)
    axes.set_yticks(np.arange(len(layers))[::every] + 0.5, layers[::every], size=8)
    axes.set_facecolor("lightgrey")
    title = "Gradient of each layer, input below, output above (grey: no gradient at all)"
    axes.set(title=title, xlabel="step")


def _depth(axes: Axes, steps: Any, gradients: np.ndarray, layers: list[str]) -> None:
    """Draw gradients over depth at the start, the middle and the end."""
    positions = np.arange(1, len(layers) + 1)
    rows = dict.fromkeys([0, (len(steps) - 1) // 2, len(steps) - 1])
    for row, colour in zip(rows, ("tab:green", "tab:blue", "tab:purple"), strict=False):
        axes.plot(positions, gradients[row], marker=".", color=colour, label=f"step {steps[row]}")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        title="Gradient over depth",
        xlabel="layer with weights, counted from the input",
        ylabel="norm of the gradient",
    )
    axes.legend()
    axes.grid(alpha=0.3)


def _loss(axes: Axes, report: Report) -> None:
    """Draw the loss of each step, and where something was found."""
    history = report.history
    losses = np.where(np.isfinite(history.loss), history.loss, np.nan)
    axes.plot(history.loss_steps, losses, color="tab:orange", linewidth=0.8)
    known = losses[np.isfinite(losses)]
    if len(known) and 0 < 100 * known.min() < known.max():
        axes.set_yscale("log")
    if history.non_finite is not None:
        axes.axvline(history.non_finite.step, color="tab:red", label="first NaN or infinite value")
        axes.legend()
    axes.set(title="Loss of each step", xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
