"""Shapes of locally_connected.py, their random data, and what cannot be timed at which."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    sides: tuple[int, ...]
    channels: int
    kernel_size: int
    strides: int
    filters: int
    batch: int
    steps: int  # in a round

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple((side - self.kernel_size) // self.strides + 1 for side in self.sides)

    @property
    def area(self) -> int:
        return self.kernel_size ** len(self.sides)

    @property
    def kernel(self) -> tuple[int, ...]:
        return (*self.positions, self.area * self.channels, self.filters)

    @property
    def flops(self) -> int:
        return 3 * 2 * self.batch * math.prod(self.kernel)

    @property
    def bytes(self) -> int:
        inputs = self.batch * math.prod(self.sides) * self.channels
        outputs = self.batch * math.prod(self.positions) * self.filters
        return 4 * (3 * math.prod(self.kernel) + 2 * inputs + 2 * outputs)


MOST_UNROLLED, MOST_DENSE, MOST_ENTRIES = 1000, 250_000_000, 1_000_000
MOST_FUSED = 16
SHAPES = {
    "63x63x16": Shape((63, 63), 16, 9, 1, 16, batch=16, steps=1),  # DeepFace L4
    "55x55x16": Shape((55, 55), 16, 7, 2, 16, batch=16, steps=3),  # DeepFace L5
    "28x28x1": Shape((28, 28), 1, 3, 1, 32, batch=128, steps=10),
    "14x14x32": Shape((14, 14), 32, 3, 1, 64, batch=64, steps=10),
    "7x7x64": Shape((7, 7), 64, 3, 1, 64, batch=128, steps=10),
    "128x32": Shape((128,), 32, 5, 1, 64, batch=64, steps=10),
    "512x8": Shape((512,), 8, 9, 2, 32, batch=64, steps=10),
}


def random_data(shape: Shape) -> list[np.ndarray]:
    """Inputs, kernel, bias and the gradient of the outputs, channels last."""
    normal = partial(np.random.default_rng(0).standard_normal, dtype="float32")
    kernel = normal(shape.kernel)
    kernel /= math.sqrt(shape.kernel[-2])
    outputs = (*shape.positions, shape.filters)
    inputs = normal((shape.batch, *shape.sides, shape.channels))
    return [inputs, kernel, normal(outputs), normal((shape.batch, *outputs))]


def channels_first(kernel: np.ndarray, shape: Shape) -> np.ndarray:
    """Order the patch as (channels, height, width), which PyTorch and JAX want."""
    return swap_patch(kernel, shape.area, shape.channels)


def channels_last(kernel: np.ndarray, shape: Shape) -> np.ndarray:
    return swap_patch(kernel, shape.channels, shape.area)


def swap_patch(kernel: np.ndarray, outer: int, inner: int) -> np.ndarray:
    parts = kernel.reshape(*kernel.shape[:-2], outer, inner, kernel.shape[-1])
    return parts.swapaxes(-3, -2).reshape(kernel.shape)


def left_out(shape: Shape, setting: str) -> str | None:
    """Why a setting cannot be timed at a shape beside the others, or need not."""
    places = math.prod(shape.positions)
    dense = math.prod(shape.sides) * shape.channels * places * shape.filters
    entries = math.prod(shape.kernel)
    if setting.startswith("implementation 1") and places > MOST_UNROLLED:
        return (
            f"a slice and a reshape for each of {places} positions: too much memory beside others"
        )
    if setting.startswith("implementation 2") and dense > MOST_DENSE:
        return f"a dense kernel of {4 * dense / 1e9:.1f} GB, and a mask and a gradient beside it"
    if "not fused" in setting and shape.kernel[-2] > MOST_FUSED:
        return "larger patches are never fused"
    if setting == "implementation 3" and entries > MOST_ENTRIES:
        return f"a Python list of {entries:,} indices"
    return None
