"""Random changes to a batch of training images, in NumPy, a whole batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.arguments import flag, integer


@dataclass(frozen=True)
class Augment:
    """Mirror, shift and partly erase the images of a batch, each image by its own draw.

    Erasing is random erasing of Zhong et al. 2017 (https://arxiv.org/abs/1708.04896) with one
    grey level a rectangle.

    Args:
        flip: Mirror every second image (on average) left to right.
        shift: Largest shift, in pixels, up, down, left and right; what comes in is 0.
        erase: Fill a rectangle with one random grey level in every second image (on average).
            Its sides are drawn from 2 to `2 * erase` pixels; 0 erases nothing.

    Raises:
        ValueError: If `flip` is no boolean, or `shift` or `erase` is no integer of at least 0.

    Example:
        >>> augment = Augment(flip=True, shift=2)
        >>> augment(np.zeros((64, 28, 28, 1), "float32"), np.random.default_rng(0)).shape
        (64, 28, 28, 1)
    """

    flip: bool = False
    shift: int = 0
    erase: int = 0

    def __post_init__(self) -> None:
        flag("flip", self.flip)
        integer("shift", self.shift, minimum=0)
        integer("erase", self.erase, minimum=0)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a batch.

        Args:
            images: (batch, height, width, channels), values in [0, 1]. Left as they are.
            rng: Where all chance comes from: the same state gives the same changes.

        Returns:
            An array of the same shape and type, values in [0, 1].
        """
        images = images.copy()
        if self.flip:
            _flip(images, rng)
        if self.shift:
            _shift(images, rng, self.shift)
        if self.erase:
            _erase(images, rng, 2 * self.erase)
        return images


# Each changes the batch in place: a new array of a batch's size costs more than most of the work.


def _flip(images: np.ndarray, rng: np.random.Generator) -> None:
    chosen = rng.random(len(images)) < 0.5
    images[chosen] = images[chosen, :, ::-1]


def _shift(images: np.ndarray, rng: np.random.Generator, largest: int) -> None:
    batch, *image_shape = images.shape
    padded = np.pad(images, [(0, 0), (largest, largest), (largest, largest), (0, 0)])
    # A view of every window, (batch, 2 * largest + 1, 2 * largest + 1, 1, height, width, channels),
    # of which one an image is copied: several times faster than gathering pixels.
    windows = np.lib.stride_tricks.sliding_window_view(padded, image_shape, axis=(1, 2, 3))
    top, left = rng.integers(0, 2 * largest + 1, (2, batch))
    images[:] = windows[np.arange(batch), top, left, 0]


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
