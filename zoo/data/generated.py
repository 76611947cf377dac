"""Sequences that are made, not collected: tasks whose difficulty is known."""

from __future__ import annotations

import numpy as np

from zoo.arguments import MAX_SEED, integer


def adding_problem(
    length: int = 100, *, examples: int = 10_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Make the adding problem: sum the two marked numbers of a long sequence.

    Each step has a number, drawn evenly from [0, 1], and a marker: 1 at one step of the first half
    and at one of the second, else 0. The target is the sum of the two marked numbers, so a model
    has to remember the first one over three quarters of the steps on average.

    Always giving the mean, 1, has a squared error of 1/6 = 0.167, the variance of the targets, at
    any length: a model that stays there has learned nothing. What makes the problem hard is the
    length, for the error at the end has to be traced back to the marked steps.

    `zoo.load_data("adding")` has it at length 100, as it is. Sequences that are given as arrays are
    standardised by a layer of the model: that makes a marker 7 in place of 1 there, and the problem
    easier (`benchmarks/results/recurrent_validation.json`).

    Args:
        length: Steps of each sequence, at least 2.
        examples: Number of sequences.
        seed: Decides the numbers: the same seed gives the same examples.

    Returns:
        The sequences, float32 `(examples, length, 2)`, and their targets, float32 `(examples,)`.

    Raises:
        ValueError: If an argument is illegal.

    Reference:
        Hochreiter and Schmidhuber, Long Short-Term Memory, 1997 (experiment 4); with these numbers
        and markers, Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of
        Rectified Linear Units, 2015, https://arxiv.org/abs/1504.00941

    Example:
        >>> x, y = adding_problem(200, examples=3)
        >>> x.shape, x[:, :, 1].sum(axis=1)
        ((3, 200, 2), array([2., 2., 2.], dtype=float32))
        >>> bool(np.allclose(y, (x[:, :, 0] * x[:, :, 1]).sum(axis=1)))
        True
    """
    length = integer("length", length, minimum=2)
    examples = integer("examples", examples)
    rng = np.random.default_rng(integer("seed", seed, minimum=0, maximum=MAX_SEED))
    numbers = rng.random((examples, length), np.float32)
    rows, half = np.arange(examples), length // 2
    markers = np.zeros_like(numbers)
    markers[rows, rng.integers(0, half, examples)] = 1
    markers[rows, rng.integers(half, length, examples)] = 1
    return np.stack([numbers, markers], axis=-1), (numbers * markers).sum(axis=1)
