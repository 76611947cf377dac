"""A training of 30 short epochs: `zoo.train`, which keeps every epoch, against plain `fit`.

python benchmarks/short_epochs.py        (about 5 minutes)

`cascade_cnn` on the digits, 1,258 training images in batches of 64, judged by the validation part
after each epoch and by the test part at the end; float32. Building, tracing and writing count.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import click
import keras
import numpy as np
from measure import interleaved, report, summary

import zoo

EPOCHS = 30


def plain_fit() -> Callable[[], None]:
    data = zoo.load_data("digits")
    x, y = arrays(data.train)
    validation, test = arrays(data.validation), arrays(data.test)

    def run() -> None:
        model = zoo.create("cascade_cnn", input_shape=data.input_shape)
        model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=64, epochs=EPOCHS, validation_data=validation, verbose=0)
        model.evaluate(*test, verbose=0)
        keras.backend.clear_session()

    return run


def arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*part.batches(64), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def zoo_train() -> Callable[[], None]:
    data = zoo.load_data("digits")

    def run() -> None:
        with tempfile.TemporaryDirectory() as directory:
            zoo.train(
                "cascade_cnn",
                data,
                epochs=EPOCHS,
                precision="float32",
                directory=directory,
                verbose=0,
            )
        keras.backend.clear_session()

    return run


@click.command()
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int) -> None:
    """Time whole trainings, by turns."""
    contestants = {"fit": plain_fit, "zoo.train": zoo_train}
    times = interleaved(contestants, rounds=rounds, steps=1)
    ratio = statistics.median(times["zoo.train"]) / statistics.median(times["fit"])
    rows = [{"training": name, **summary(values)} for name, values in times.items()]
    report("short_epochs", rows, zoo_train_over_fit=round(ratio, 3))


if __name__ == "__main__":
    main()
