"""What the end of an epoch costs on TensorFlow: Keras's own pipelines against `zoo.data.feed`.

python benchmarks/epoch_end.py        (about 3 minutes)

Three epochs of 20 steps of `cascade_cnn` on data in memory. Keras's pipelines tune themselves in a
thread that sleeps 10, 20, 40, ... ms, and the end of an epoch can wait for it to wake.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable
from functools import partial

import click
import numpy as np
from measure import interleaved, report, summary

import zoo
from zoo.data import Part, feed

BATCH, STEPS, EPOCHS = 128, 20, 3


def fitting(pipeline: str) -> Callable[[], None]:
    generator = np.random.default_rng(0)
    images = generator.random((BATCH * STEPS, 28, 28, 1), dtype="float32")
    labels = generator.integers(0, 10, BATCH * STEPS)
    model = zoo.cascade_cnn((28, 28, 1), 10)
    model.compile("adamw", "sparse_categorical_crossentropy")
    batches = Part(images, labels).batches(BATCH, seed=0)
    data = {
        "fit(x, y)": dict(x=images, y=labels, batch_size=BATCH),
        "fit(PyDataset)": dict(x=batches),
        "fit(feed(PyDataset))": dict(x=feed(batches), shuffle=False),
    }[pipeline]

    def run() -> None:
        model.fit(**data, epochs=EPOCHS, verbose=0)

    return run


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    """Time three epochs through three pipelines."""
    pipelines = ("fit(x, y)", "fit(PyDataset)", "fit(feed(PyDataset))")
    contestants = {pipeline: partial(fitting, pipeline) for pipeline in pipelines}
    times = interleaved(contestants, rounds=rounds, steps=EPOCHS)
    report("epoch_end", [{"pipeline": name, **summary(values)} for name, values in times.items()])


if __name__ == "__main__":
    main()
