"""How the values that a step measures are laid out: of which variables, and how many of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.health.samples import stride_of


class Layout:
    """The trainable variables of a model, and the samples that a step takes of them.

    Args:
        variables: All trainable variables.

    Attributes:
        columns: Places of the variables that the step has gradients of.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.shapes = [tuple(variable.shape) for variable in variables]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.strides = [stride_of(size) for size in self.sizes]
        self.choose([])

    def choose(self, columns: list[int]) -> None:
        """Take note of the variables that are measured."""
        self.columns = columns
        sizes = np.array([self.sizes[column] for column in columns], int)
        counts = -(-sizes // np.array([self.strides[column] for column in columns], int))
        self._filled = np.flatnonzero(counts)  # the variables that have values
        self._starts = (np.cumsum(counts) - counts)[self._filled]
        self._factors = sizes / np.maximum(counts, 1)

    def norms(self, samples: np.ndarray) -> np.ndarray:
        """Estimate the norms of the measured variables that samples are of."""
        sums = np.zeros(len(self.columns))
        if len(self._filled):
            sums[self._filled] = np.add.reduceat(np.square(samples, dtype=float), self._starts)
        return np.sqrt(sums * self._factors)

    def scaled(self, norms: Any) -> np.ndarray:
        """Estimate the norms of the measured variables from those of their samples."""
        return np.asarray(norms, float) * np.sqrt(self._factors)

    def sampled(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Give the samples of the measured weights."""
        strides = [self.strides[column] for column in self.columns]
        parts = [weight.reshape(-1)[::by] for weight, by in zip(weights, strides, strict=True)]
        return np.concatenate(parts).astype(np.float64)

    def whole(self, values: np.ndarray) -> list[np.ndarray] | None:
        """Give the measured weights of all their values; nothing of other values."""
        sizes = [self.sizes[column] for column in self.columns]
        if len(values) != sum(sizes):
            return None
        parts = np.split(values, np.cumsum(sizes)[:-1])
        shapes = [self.shapes[column] for column in self.columns]
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Lay values of the measured variables out over all of them, with NaN for the others."""
        row = np.full(len(self.shapes), np.nan)
        row[self.columns] = values
        return row
