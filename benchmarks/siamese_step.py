"""Time of a training step of a siamese network: the trunk run once on both images, or twice.

python benchmarks/siamese_step.py        (a quarter of an hour)

Three trunks: a cascade of 32 and 64 filters, two convolutions each, with embeddings of 64 values;
that of `siamese_cnn`; and a small one whose arithmetic is little beside what each operation costs
to start. 28x28x1 images in memory; contrastive loss, Adam. Each is measured in float32, one step a
call of `fit`'s function, which is Keras's default; and in bfloat16, in which the zoo trains where
the processor multiplies it, 20 steps a call, so that less of what `fit` itself costs is measured.
"""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable

import click
import keras
import numpy as np
from measure import PAIRS, TRUNKS, in_batches, interleaved, report, summary

import zoo
from zoo.layers import Distance
from zoo.training.precision import precision_scope

SETTINGS: dict[str, tuple[str, int]] = {
    "float32": ("float32", 1),
    "bfloat16, 20 steps a call": ("mixed_bfloat16", 20),
}


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    """A training step with the trunk run once, and run twice."""
    ways = {"once": once, "twice": twice}
    times = {}
    for trunk, pairs in itertools.product(TRUNKS, PAIRS):
        contestants = {
            (trunk, setting, name, pairs): functools.partial(
                fitting, trunk, make, pairs, *SETTINGS[setting]
            )
            for setting, (name, make) in itertools.product(SETTINGS, ways.items())
        }
        times.update(interleaved(contestants, rounds=rounds, steps=PAIRS[pairs]))
    rows = [
        {"trunk": trunk, "in": setting, "runs": name, "pairs a batch": pairs, **summary(values)}
        for (trunk, setting, name, pairs), values in times.items()
    ]
    medians = {key: statistics.median(values) for key, values in times.items()}
    faster = []
    for trunk, setting in itertools.product(TRUNKS, SETTINGS):
        both = {
            f"{pairs} pairs": [medians[trunk, setting, name, pairs] for name in ways]
            for pairs in PAIRS
        }
        ratios = {pairs: round(slow / fast, 2) for pairs, (fast, slow) in both.items()}
        faster.append({"trunk": trunk, "in": setting, **ratios})
    report("siamese_step", rows, twice_over_once=faster)


def once(trunk: keras.Model) -> keras.Model:
    return zoo.siamese(trunk)


def twice(trunk: keras.Model) -> keras.Model:
    sides = [keras.Input((28, 28, 1), name=side) for side in ("left", "right")]
    return keras.Model(sides, Distance(dtype="float32", name="distance")(*map(trunk, sides)))


def fitting(
    trunk: str,
    make: Callable[[keras.Model], keras.Model],
    pairs: int,
    precision: str,
    steps: int,
) -> Callable[[], None]:
    with precision_scope(precision):
        model = make(zoo.cascade_cnn((28, 28, 1), 0, **TRUNKS[trunk]))
    model.compile("adam", zoo.losses.Contrastive(), steps_per_execution=steps)
    generator = np.random.default_rng(0)
    left, right = generator.random((2, pairs * PAIRS[pairs], 28, 28, 1), dtype="float32")
    same = generator.integers(0, 2, (pairs * PAIRS[pairs], 1)).astype("float32")
    batches = in_batches(({"left": left, "right": right}, same), pairs)

    def run() -> None:
        model.fit(batches, epochs=1, shuffle=False, verbose=0)

    return run


if __name__ == "__main__":
    main()
