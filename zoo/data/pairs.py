"""Pairs of examples to judge distances by."""

from __future__ import annotations

import numpy as np

from zoo import arguments as check


def pairs_of(
    labels: np.ndarray, *, most: int = 100_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List left and right of all pairs, or of as many as are drawn, and 1 where they are alike."""
    check.integer("most", most, minimum=2)
    labels = np.asarray(labels)
    _, of_example, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(
            "Judging distances needs two classes, and two examples of one of them; received "
            f"{len(labels)} examples of {len(counts)} classes."
        )
    if len(labels) * (len(labels) - 1) // 2 <= most:
        left, right = np.triu_indices(len(labels), k=1)
        return left, right, (labels[left] == labels[right]).astype(np.int64)
    rng = np.random.default_rng(seed)
    same = _same_pairs(counts, most // 2, rng)
    others = _different_pairs(counts, most - same.shape[1], rng)
    left, right = np.argsort(of_example, kind="stable")[np.concatenate([same, others], axis=1)]
    return left, right, np.repeat([1, 0], [same.shape[1], others.shape[1]])


# Both give places, (2, pairs), in a row of all examples where each class has a block.


def _same_pairs(counts: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """List the pairs of one class: all, or as many as asked for."""
    starts, pairs = np.cumsum(counts) - counts, counts * (counts - 1) // 2
    if pairs.sum() <= most:
        places = [
            np.stack(np.triu_indices(size, k=1)) + start
            for size, start in zip(counts, starts, strict=True)
        ]
        return np.concatenate(places, axis=1)
    drawn = rng.choice(len(counts), size=most, p=pairs / pairs.sum())
    first = rng.integers(counts[drawn])
    second = (first + rng.integers(1, counts[drawn])) % counts[drawn]
    return starts[drawn] + np.stack([first, second])


def _different_pairs(counts: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pairs of two classes: a left example as often as there are right ones for it."""
    starts, total = np.cumsum(counts) - counts, counts.sum()
    pairs = counts * (total - counts)
    drawn = rng.choice(len(counts), size=count, p=pairs / pairs.sum())
    first = starts[drawn] + rng.integers(counts[drawn])
    beyond = rng.integers(total - counts[drawn])  # steps beyond the class, around the row's end
    return np.stack([first, (starts[drawn] + counts[drawn] + beyond) % total])
