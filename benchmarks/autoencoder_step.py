"""Time of a training step of `conv_autoencoder`: ours, and the same net by hand in Keras.

python benchmarks/autoencoder_step.py        (about 3 minutes)

Two blocks of 32 and 64 filters, codes of 32 values; 28x28x1 images in memory, batches of 128.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any

import click
import keras
import numpy as np
from keras import layers
from measure import in_batches, interleaved, report, summary

import zoo
from zoo.training.precision import precision_scope

BATCH, STEPS = 128, 20


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    """A training step of the convolutional autoencoder, and of the same net by hand."""
    contestants = {
        (name, precision): functools.partial(make, precision)
        for precision in ("float32", "mixed_bfloat16")
        for name, make in (("keras-zoo", of_zoo), ("Keras by hand", by_hand))
    }
    times = interleaved(contestants, rounds=rounds, steps=STEPS)
    rows = [
        {"net": name, "precision": precision, **summary(values)}
        for (name, precision), values in times.items()
    ]
    ratios = {
        precision: round(
            statistics.median(times["keras-zoo", precision])
            / statistics.median(times["Keras by hand", precision]),
            3,
        )
        for precision in ("float32", "mixed_bfloat16")
    }
    report("autoencoder_step", rows, ours_over_by_hand=ratios)


def of_zoo(precision: str) -> Callable[[], None]:
    with precision_scope(precision):
        return fitting(zoo.conv_autoencoder((28, 28, 1), 32, filters=(32, 64)))


def by_hand(precision: str) -> Callable[[], None]:
    def conv(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    with precision_scope(precision):
        x = image = keras.Input((28, 28, 1))
        for filters in (32, 64):
            x = layers.MaxPooling2D()(conv(conv(x, filters), filters))
        x = layers.Dense(32)(layers.Flatten()(x))
        x = layers.Dense(7 * 7 * 64, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.UpSampling2D()(layers.Reshape((7, 7, 64))(x))
        x = layers.UpSampling2D()(conv(conv(x, 32), 32))
        x = layers.Conv2D(1, 3, padding="same")(conv(x, 32))
        model = keras.Model(image, layers.Activation("sigmoid", dtype="float32")(x))
    return fitting(model)


def fitting(model: keras.Model) -> Callable[[], None]:
    images = np.random.default_rng(0).random((BATCH * STEPS, 28, 28, 1), dtype="float32")
    # `fit(images, images)` would end epochs this short with pauses of seconds.
    batches = in_batches((images, images), BATCH)
    model.compile("adam", "mse")

    def run() -> None:
        model.fit(batches, epochs=1, shuffle=False, verbose=0)

    return run


if __name__ == "__main__":
    main()
