"""Recurrent cells on a task of memory, and digits read row by row.

ZOO_DATA_DIR=... python benchmarks/recurrent.py [--validate]      (about 25 minutes on two cores)

The adding problem at length 100 (`zoo.data.adding_problem`): always giving the mean has a squared
error of 1/6 = 0.167. Its steps are given as they are: the layer that standardises them makes a
marker of 1 a 7, and the problem easier, which `--validate` shows. That compares learning rates by
the validation part, seed 0. The test part judges the cells at the rate that is better for "gru" and
"lstm", and the simple one also at the rate that is better for it. What `zoo.GradientHealth` finds
in each training stands beside. Then MNIST, 28 steps of 28, by `zoo.recurrent_classifier` as it is.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from measure import report

import zoo

CELLS = ("simple", "gru", "lstm")
UNITS = 32
ADDING: dict[str, Any] = dict(epochs=40)
MNIST: dict[str, Any] = dict(epochs=10, learning_rate=3e-3, learning_rate_schedule="cosine")
RATES = (1e-3, 1e-2)
JUDGED = (("simple", 1e-2), ("simple", 1e-3), ("gru", 1e-2), ("lstm", 1e-2))
COMMON: dict[str, Any] = dict(
    batch_size=128, optimizer="adam", global_clipnorm=1.0, precision="float32", verbose=2
)


@click.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--validate", is_flag=True, help="Compare learning rates by the validation part.")
def main(seeds: int, validate: bool) -> None:
    """Measure the three cells on the adding problem, and the LSTM on rows of MNIST."""
    standardised = zoo.load_data(zoo.data.adding_problem(), kind="sequences")
    raw = as_they_are(standardised)
    if validate:
        rows = [
            {"steps": steps, **adding(data, data.validation, cell, 0, learning_rate=rate)}
            for steps, data in (("as they are", raw), ("standardised", standardised))
            for cell in CELLS
            for rate in RATES
        ]
        report("recurrent_validation", rows, mnist=[mnist(seed=0, validate=True)])
        return
    rows = [
        adding(raw, raw.test, cell, seed, learning_rate=rate)
        for cell, rate in JUDGED
        for seed in range(seeds)
    ]
    variance = float(raw.test.labels.var())
    report(
        "recurrent",
        rows,
        mnist=[mnist(seed) for seed in range(seeds)],
        variance_of_the_test_targets=round(variance, 4),
        squared_error_of_the_mean=round(squared_error(raw.train.labels.mean(), raw.test.labels), 4),
    )


def adding(data: Any, judged: Any, cell: str, seed: int, learning_rate: float) -> dict[str, Any]:
    """Train a cell on the adding problem, and give its squared error."""
    recipe = {**ADDING, "learning_rate": learning_rate}
    run, monitor, seconds = trained(data, {"cell": cell, "units": UNITS}, seed, recipe)
    found = run.predict(judged.examples())["sum"]
    return {
        "cell": cell,
        "seed": seed,
        "parameters": run.model.count_params(),
        "learning rate": learning_rate,
        "squared error": round(squared_error(found, judged.labels[:, 0]), 5),
        "findings": found_by(monitor),
        "seconds": seconds,
    }


def mnist(seed: int, *, validate: bool = False) -> dict[str, Any]:
    """Train on the rows of MNIST, and give the accuracy."""
    images = zoo.load_data("mnist", validation_fraction=0)
    halves = [(part.examples()[..., 0], part.labels) for part in (images.train, images.test)]
    data = zoo.load_data(halves, kind="sequences")
    if validate:
        data = dataclasses.replace(data, test=data.validation)
    run, monitor, seconds = trained(data, {}, seed, MNIST)
    return {
        "seed": seed,
        "parameters": run.model.count_params(),
        "accuracy": round(run.metrics["accuracy"], 4),
        "findings": found_by(monitor),
        "seconds": seconds,
    }


def trained(data: Any, arguments: dict[str, Any], seed: int, recipe: dict[str, Any]) -> Any:
    """Train in a directory of its own; gives the run, what watched it, and the seconds."""
    monitor = zoo.GradientHealth()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        run = zoo.train(
            "recurrent_classifier",
            data,
            arguments=arguments,
            directory=Path(directory) / "run",
            seed=seed,
            callbacks=[monitor],
            **COMMON,
            **recipe,
        )
    return run, monitor, round(time.perf_counter() - started)


def as_they_are(data: Any) -> Any:
    """Leave out the layer that standardises the steps."""
    preparation = dataclasses.replace(data.preparation, mean=(), scale=())
    return dataclasses.replace(data, preparation=preparation)


def found_by(monitor: zoo.GradientHealth) -> str:
    return ", ".join(sorted({finding.name for finding in monitor.report.findings}))


def squared_error(found: Any, wanted: Any) -> float:
    return float(np.square(found - wanted).mean())


if __name__ == "__main__":
    main()
