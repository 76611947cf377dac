"""What several pictures are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def plain(text: object) -> str:
    """Give a text that matplotlib shows as it is, for example $ as a dollar."""
    return str(text).replace("$", r"\$")


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Show an image."""
    colour = image.shape[-1] == 3
    axes.imshow(np.clip(image if colour else image[..., 0], 0, 1), "gray", vmin=0, vmax=1)


def written(figure: Figure, path: Path | None, dpi: int = 120) -> Path | Any:
    """Write a figure where a path is given, else hand it over."""
    if path is None:  # the type says Any, so that callers with a path need not tell the two apart
        return figure
    figure.savefig(path, dpi=dpi)
    return path
