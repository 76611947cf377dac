"""Pictures of codecs: what quality costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from zoo.plots.parts import plain, written


def rate_distortion(curves: Mapping[str, Sequence[Any]], path: Path | None = None) -> Path | Any:
    """Draw quality by rate, a line for each codec.

    Args:
        curves: Points with `bits_per_pixel` and `psnr`, by name; see `zoo.codec.rate_distortion`.
        path: Where to write the picture, which is then returned; without one, the figure is.

    Example:
        >>> from zoo.codec import Point
        >>> rate_distortion({"WebP": [Point(0.5, 20.0), Point(1.0, 24.0)]})
        <Figure size 700x450 with 1 Axes>
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        rates = [point.bits_per_pixel for point in points]
        axes.plot(rates, [point.psnr for point in points], marker="o", ms=4, label=plain(name))
    axes.set(xlabel="bits per pixel", ylabel="PSNR in dB", xscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return written(figure, path)
