"""Accuracy on Fashion-MNIST in float32 and in the precision that "auto" picks here.

ZOO_DATA_DIR=... python benchmarks/precision.py        (about 12 minutes on two cores)

`cascade_cnn` with 16, 32 and 64 filters, no augmentation, cosine schedule, each seed in both
precisions. The step's time is measured by benchmarks/step_time.py.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import tempfile
from pathlib import Path

import click
from measure import report

import zoo
from zoo.training.precision import resolve_precision


@click.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=6, show_default=True)
def main(seeds: int, epochs: int) -> None:
    """Compare the test accuracy of both precisions."""
    data = zoo.load_data("fashion_mnist")
    precisions = ("float32", resolve_precision("auto"))
    rows = []
    for seed in range(seeds):
        for precision in precisions:
            with tempfile.TemporaryDirectory() as directory:
                run = zoo.train(
                    "cascade_cnn",
                    data,
                    arguments=dict(filters=(16, 32, 64)),
                    epochs=epochs,
                    batch_size=128,
                    learning_rate=3e-3,
                    learning_rate_schedule="cosine",
                    precision=precision,
                    seed=seed,
                    directory=Path(directory) / "run",
                    verbose=2,
                )
            rows.append(
                {
                    "precision": precision,
                    "seed": seed,
                    "test accuracy": round(run.metrics["accuracy"], 4),
                }
            )
    accuracy = {
        precision: statistics.mean(r["test accuracy"] for r in rows if r["precision"] == precision)
        for precision in precisions
    }
    difference = accuracy[precisions[1]] - accuracy["float32"]
    report("precision", rows, difference_in_points=round(100 * difference, 2), epochs=epochs)


if __name__ == "__main__":
    main()
