"""Random changes to a batch of training images, in NumPy, a whole batch at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from zoo.arguments import flag, integer, number, one_of
from zoo.space import Choice, Float

PadMode = Literal["constant", "edge"]
_PAD_MODES: dict[str, PadMode] = {"constant": "constant", "nearest": "edge"}  # Keras's, NumPy's


@dataclass(frozen=True)
class Augment:
    """Mirror, shift, warp, relight and partly erase a batch's images, each by its own draw.

    They happen in this order. Warps stretch an image, shear it and turn it, all about its centre,
    with bilinear interpolation. Erasing is random erasing of Zhong et al. 2017
    (https://arxiv.org/abs/1708.04896) with one grey level a rectangle.

    Args:
        flip: Mirror every second image (on average) left to right.
        shift: Largest shift, in whole pixels, up, down, left and right.
        erase: Fill a rectangle with one random grey level in every second image (on average).
            Its sides are drawn from 2 to `2 * erase` pixels; 0 erases nothing.
        turn: Largest angle, in degrees, that an image is turned by, to either side.
        zoom: Largest stretch, less 1: height and width are stretched, each by its own draw, by
            `(1 + zoom) ** uniform(-1, 1)`.
        shear: Largest angle, in degrees, below 90, that upright lines are slanted by.
        light: Largest change of light: contrast, about the grey level 0.5, changes by
            `(1 + light) ** uniform(-1, 1)`, and brightness by at most `light / 2`.
        fill_mode: What shifts and warps bring in: "constant" is 0, as letters want it, and
            "nearest" repeats the image's edge, as photographs want it.

    Raises:
        ValueError: If `flip` is no boolean, `shift` or `erase` no integer of at least 0, `turn`,
            `zoom`, `shear` or `light` no number of at least 0, `shear` 90 or more, or `fill_mode`
            another word.

    Example:
        >>> augment = Augment(flip=True, shift=2, turn=8, zoom=0.1, light=0.4, fill_mode="nearest")
        >>> augment(np.zeros((64, 28, 28, 1), "float32"), np.random.default_rng(0)).shape
        (64, 28, 28, 1)
    """

    flip: bool = field(default=False, metadata={"row": Choice((False, True))})
    shift: int = field(default=0, metadata={"row": Choice((0, 1, 2, 4))})
    erase: int = field(default=0, metadata={"row": Choice((0, 2, 4, 8))})
    turn: float = field(default=0, metadata={"row": Float(0.0, 20.0)})
    zoom: float = field(default=0, metadata={"row": Float(0.0, 0.3)})
    shear: float = field(default=0, metadata={"row": Float(0.0, 15.0)})
    light: float = field(default=0, metadata={"row": Float(0.0, 0.5)})
    fill_mode: str = "constant"

    def __post_init__(self) -> None:
        flag("flip", self.flip)
        integer("shift", self.shift, minimum=0)
        integer("erase", self.erase, minimum=0)
        for name in ("turn", "zoom", "shear", "light"):
            number(name, getattr(self, name), or_zero=True)
        if self.shear >= 90:
            raise ValueError(f"`shear` must be below 90 degrees, received {self.shear!r}.")
        one_of("fill_mode", self.fill_mode, tuple(_PAD_MODES))

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a batch.

        Args:
            images: (batch, height, width, channels), values in [0, 1]. Left as they are.
            rng: Where all chance comes from: the same state gives the same changes.

        Returns:
            An array of the same shape and type, values in [0, 1].
        """
        if images.ndim != 4:
            raise ValueError(f"Images must be (n, height, width, channels), not {images.shape}.")
        images = images.copy()
        pad_mode = _PAD_MODES[self.fill_mode]
        if self.flip:
            _flip(images, rng)
        if self.shift:
            _shift(images, rng, self.shift, pad_mode)
        if self.turn or self.zoom or self.shear:
            matrices = _matrices(len(images), rng, self.turn, self.zoom, self.shear)
            _warp(images, matrices.astype(images.dtype), pad_mode)
        if self.light:
            _relight(images, rng, self.light)
        if self.erase:
            _erase(images, rng, 2 * self.erase)
        return images


ROWS = {one.name: one.metadata["row"] for one in dataclasses.fields(Augment)[:-1]}
"""What a search can vary."""


# Each changes the batch in place: a new array of a batch's size costs more than most of the work.


def _flip(images: np.ndarray, rng: np.random.Generator) -> None:
    chosen = rng.random(len(images)) < 0.5
    images[chosen] = images[chosen, :, ::-1]


def _shift(images: np.ndarray, rng: np.random.Generator, largest: int, pad_mode: PadMode) -> None:
    batch, *image_shape = images.shape
    padded = _padded(images, largest, pad_mode)
    # A view of every window, (batch, 2 * largest + 1, 2 * largest + 1, 1, height, width, channels),
    # of which one an image is copied: several times faster than gathering pixels.
    windows = np.lib.stride_tricks.sliding_window_view(padded, image_shape, axis=(1, 2, 3))
    top, left = rng.integers(0, 2 * largest + 1, (2, batch))
    images[:] = windows[np.arange(batch), top, left, 0]


def _padded(images: np.ndarray, border: int, mode: PadMode) -> np.ndarray:
    return np.pad(images, [(0, 0), (border, border), (border, border), (0, 0)], mode)


def _matrices(
    batch: int, rng: np.random.Generator, turn: float, zoom: float, shear: float
) -> np.ndarray:
    """Draw (2, 2, batch): from a pixel of the result to where it comes from, (row, column)."""
    turns, shears, tall, wide = rng.uniform(-1, 1, (4, batch))
    angle, slant = np.deg2rad(turn) * turns, np.tan(np.deg2rad(shear) * shears)
    cosine, sine = np.cos(angle), np.sin(angle)
    # The image is stretched, sheared, then turned; this undoes it in the reverse order.
    rows = np.array([cosine, -sine])
    columns = np.array([sine, cosine]) + slant * rows
    return np.array([rows / (1 + zoom) ** tall, columns / (1 + zoom) ** wide])


def _warp(images: np.ndarray, matrices: np.ndarray, pad_mode: PadMode) -> None:
    # Few images at a time, so that all that is computed stays in the cache: that is two to four
    # times as fast as SciPy's affine_transform, or as the whole batch at once.
    for start in range(0, len(images), 8):
        few = slice(start, start + 8)
        _sample(images[few], matrices[:, :, few], pad_mode)


def _sample(images: np.ndarray, matrices: np.ndarray, pad_mode: PadMode) -> None:
    batch, height, width, channels = images.shape
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in (height, width))
    rows, columns = rows.astype(images.dtype)[:, None], columns.astype(images.dtype)
    # Where each pixel comes from, (batch, height, width), counted from the corner of the border.
    from_row, from_column = matrices[..., None, None]  # each (2, batch, 1, 1)
    y = from_row[0] * rows + (from_row[1] * columns + (height + 1) / 2)
    x = from_column[0] * rows + (from_column[1] * columns + (width + 1) / 2)
    top, left = np.floor(y).clip(0, height), np.floor(x).clip(0, width)
    down, right = (y - top).clip(0, 1)[..., None], (x - left).clip(0, 1)[..., None]
    pixels = _padded(images, 1, pad_mode).reshape(-1, channels)
    line = width + 2
    first = top.astype(np.intp) * line + left.astype(np.intp)
    first += np.arange(batch)[:, None, None] * ((height + 2) * line)
    # a + f * (b - a) with f from 0 to 1 stays between 0 and 1, rounded as it is.
    upper, lower = pixels.take(first, axis=0), pixels.take(first + line, axis=0)
    upper += right * (pixels.take(first + 1, axis=0) - upper)
    lower += right * (pixels.take(first + (line + 1), axis=0) - lower)
    images[:] = upper + down * (lower - upper)


def _relight(images: np.ndarray, rng: np.random.Generator, light: float) -> None:
    draws = rng.uniform(-1, 1, (2, len(images), 1, 1, 1)).astype(images.dtype)
    images -= 0.5
    images *= (1 + light) ** draws[0]
    images += 0.5 + light / 2 * draws[1]
    np.clip(images, 0, 1, out=images)


def _erase(images: np.ndarray, rng: np.random.Generator, longest: int) -> None:
    batch, height, width, _ = images.shape
    rows = _random_interval(height, batch, longest, rng)  # (batch, height)
    columns = _random_interval(width, batch, longest, rng)  # (batch, width)
    rows &= rng.random((batch, 1)) < 0.5  # no row, no rectangle
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    level = rng.random((batch, 1, 1, 1)).astype(images.dtype)
    np.copyto(images, level, where=inside)


def _random_interval(
    size: int, batch: int, longest: int, rng: np.random.Generator
) -> np.ndarray:  # (batch, size), true inside the interval
    length = np.minimum(rng.integers(2, longest + 1, (batch, 1)), size)
    start = rng.integers(0, size - length + 1)
    offset = np.arange(size) - start
    return (offset >= 0) & (offset < length)
