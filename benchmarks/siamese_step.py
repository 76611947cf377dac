"""Time of a training step of a siamese network: the trunk run once on both images, or twice.

python benchmarks/siamese_step.py        (about 4 minutes)

A cascade of 32 and 64 filters, two convolutions each, batch normalization, embeddings of 64 values;
28x28x1 images in memory; contrastive loss.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable

import click
import keras
import numpy as np
import tensorflow as tf
from measure import interleaved, report, summary

import zoo
from zoo.data import feed
from zoo.layers import Distance

STEPS = 20
PAIRS = (4, 16, 64)


@click.command()
@click.option("--rounds", default=9, show_default=True)
def main(rounds: int) -> None:
    """A training step with the trunk run once, and run twice."""
    ways = {"once": once, "twice": twice}
    contestants = {
        (name, pairs): functools.partial(fitting, make, pairs)
        for pairs in PAIRS
        for name, make in ways.items()
    }
    times = interleaved(contestants, rounds=rounds, steps=STEPS)
    rows = [
        {"trunk runs": name, "pairs a batch": pairs, **summary(values)}
        for (name, pairs), values in times.items()
    ]
    faster = {
        pairs: round(
            statistics.median(times["twice", pairs]) / statistics.median(times["once", pairs]), 2
        )
        for pairs in PAIRS
    }
    report("siamese_step", rows, twice_over_once=faster)


def once(trunk: keras.Model) -> keras.Model:
    return zoo.siamese(trunk)


def twice(trunk: keras.Model) -> keras.Model:
    sides = [keras.Input((28, 28, 1), name=side) for side in ("left", "right")]
    return keras.Model(sides, Distance(name="distance")(*map(trunk, sides)))


def fitting(make: Callable[[keras.Model], keras.Model], pairs: int) -> Callable[[], None]:
    trunk = zoo.cascade_cnn((28, 28, 1), 0, filters=(32, 64), dense_units=(64,))
    model = make(trunk)
    model.compile("adam", zoo.losses.Contrastive())
    generator = np.random.default_rng(0)
    left, right = generator.random((2, pairs * STEPS, 28, 28, 1), dtype="float32")
    same = generator.integers(0, 2, (pairs * STEPS, 1)).astype("float32")
    data = ({"left": left, "right": right}, same)
    batches = feed(tf.data.Dataset.from_tensor_slices(data).batch(pairs))

    def run() -> None:
        model.fit(batches, epochs=1, shuffle=False, verbose=0)

    return run


if __name__ == "__main__":
    main()
