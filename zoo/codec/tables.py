"""Frequency tables: densities frozen into integers, which are the same on every machine."""

from __future__ import annotations

import math

import numpy as np

TOTAL_BITS = 24  # the precision of the range coder
TOTAL = 2**TOTAL_BITS  # what each table's frequencies sum to
ESCAPE_BITS = 32  # what an integer outside the table takes beside the escape symbol


def frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Turn probabilities into frequencies that are at least 1 and sum to `TOTAL`."""
    shares = np.asarray(probabilities, "float64")
    sums = shares.sum(axis=1, keepdims=True)
    if not (np.isfinite(sums).all() and (shares >= 0).all() and (sums > 0).all()):
        raise ValueError(
            "The model's densities are not finite, so that it cannot be a codec: received "
            f"channels whose probabilities sum to {sums.ravel()}. Train it with a lower rate."
        )
    size = shares.shape[1]
    counts = 1 + np.floor(shares / sums * (TOTAL - size)).astype(np.int64)
    rows = np.arange(len(counts))
    counts[rows, counts.argmax(axis=1)] += TOTAL - counts.sum(axis=1)  # what the floor left over
    return counts.astype(np.int32)


def check_tables(tables: np.ndarray) -> np.ndarray:
    """Refuse what `frequencies` cannot have made."""
    if (tables < 1).any() or (tables.sum(axis=1, dtype=np.int64) != TOTAL).any():
        raise ValueError(
            "The model's frequency tables are damaged: each must hold integers of at least 1 that "
            f"sum to {TOTAL}. Load the codec from another copy, or set all of them to 0 to have "
            "them frozen anew."
        )
    return tables


def to_indices(symbols: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Give each symbol's place in its table: the last one where the table does not hold it."""
    escape = tables.shape[1] - 1
    indices = symbols.astype(np.int64) + escape // 2
    return np.where((indices < 0) | (indices >= escape), escape, indices).astype(np.int32)


def bits(symbols: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Give the information in symbols under tables, that of escaped integers included.

    Example:
        >>> bits(np.array([[0, 1], [0, 9]]), np.full((2, 4), 2**22)).tolist()
        [4.0, 36.0]
    """
    indices = to_indices(symbols, tables)
    costs = TOTAL_BITS - np.log2(tables)  # (channels, symbols)
    costs[:, -1] += ESCAPE_BITS
    return np.take_along_axis(costs, indices.T, axis=1).sum(axis=0)


def least_bits(tables: np.ndarray) -> int:
    """Give the bits that the cheapest image takes, rounded down, but at least 1."""
    # In integers, for writer and reader must agree.
    largest = math.prod(map(int, tables.max(axis=1)))
    return max(1, (TOTAL ** len(tables) // largest).bit_length() - 1)
