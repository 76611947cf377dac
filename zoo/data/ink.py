"""Drawings brought to one size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from zoo import arguments as check


def cut_to_ink(images: Any, size: int, *, border: int = 0) -> np.ndarray:
    """Cut drawings to their ink, and bring all to one size, without distortion.

    Where something was drawn, and how large, says little about what it is; MNIST's digits were
    brought to one size, too. Ink is what is at least half as bright as a drawing's brightest pixel.

    Args:
        images: Drawings on black, (images, height, width) or (images, height, width, 1): floats in
            [0, 1] or uint8.
        size: Height and width of the results, in pixels.
        border: Pixels left free around the ink, whose longer side fills the rest.

    Returns:
        (images, size, size, 1), float32 in [0, 1]; the ink is in the middle.

    Raises:
        ValueError: If the images have another shape, type or range, one of them is blank, or
            `border` leaves no room.

    Reference:
        LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998 (size-normalized
        and centred digits)

    Example:
        >>> drawing = np.zeros((1, 105, 105), "float32")
        >>> drawing[0, 10:30, 60:65] = 1
        >>> cut_to_ink(drawing, 28, border=4)[0, :, :, 0].sum(axis=1).round().astype(int).tolist()
        [0, 0, 0, 0, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 0, 0, 0, 0]
    """
    check.integer("size", size)
    check.integer("border", border, minimum=0, maximum=(size - 1) // 2)
    drawings = np.asarray(images)
    if drawings.ndim == 3:
        drawings = drawings[..., None]
    drawings = check.images("images", drawings, (None, None, 1))[..., 0]
    if drawings.dtype != np.uint8:
        drawings = np.rint(255 * drawings).astype(np.uint8)
    blank = np.flatnonzero(~drawings.any(axis=(1, 2)))
    if len(blank):
        raise ValueError(f"{len(blank)} images are blank, the first at {blank[0]}: leave them out.")
    found = np.empty((len(drawings), size, size, 1), np.float32)
    for result, drawing in zip(found, drawings, strict=True):
        result[..., 0] = _cut(drawing, size, border)
    return found / 255


def _cut(drawing: np.ndarray, size: int, border: int) -> np.ndarray:
    ink = drawing >= drawing.max() / 2
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis))[[0, -1]] for axis in (1, 0))
    half = (1 + max(bottom - top, right - left)) / 2 * size / (size - 2 * border)
    height, width = drawing.shape
    y, x = (top + bottom + 1) / 2, (left + right + 1) / 2
    # The cut may reach beyond the drawing. Half of one is enough paper for most, and so the same
    # for most: where an edge of a pixel falls on one of the cut, rounding depends on it.
    beyond = math.ceil(half - min(y, x, height - y, width - x))
    paper = max(beyond, height // 2, width // 2)
    box = (x - half + paper, y - half + paper, x + half + paper, y + half + paper)
    image = Image.fromarray(np.pad(drawing, paper))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX, box))
