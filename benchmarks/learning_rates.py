"""Which learning rate is best for each optimizer, on the digits: where `RATE_SCALES` comes from.

python benchmarks/learning_rates.py        (10 minutes on two cores)

A small cascade, 5 epochs at a constant rate, for each optimizer at half decades around Adam's
usual rate times the optimizer's scale in `tuning/spaces.py`. Judged by the loss on the validation
part, averaged over the seeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
from measure import report
from rich.progress import track

import zoo
from zoo.training.recipe import OPTIMIZERS

USUAL = 1e-3
STEPS = range(-3, 5)  # half decades: from 3e-5 to 0.1 for Adam


def validation_loss(data: zoo.Dataset, optimizer: str, rate: float, seed: int) -> float:
    """Validation loss after the last epoch; infinite where the training diverges."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            run = zoo.train(
                "cascade_cnn",
                data,
                arguments=dict(filters=(16, 32), dense_units=(64,)),
                epochs=5,
                optimizer=optimizer,
                learning_rate=rate,
                precision="float32",
                seed=seed,
                directory=Path(directory) / "run",
                verbose=0,
            )
        except FloatingPointError:
            return float("inf")
        return float(run.history["val_loss"][-1])


@click.command()
@click.option("--seeds", default=2, show_default=True)
def main(seeds: int) -> None:
    """Find each optimizer's best rate, and compare it with Adam's."""
    data = zoo.load_data("digits")
    losses: dict[str, dict[float, float]] = {optimizer: {} for optimizer in OPTIMIZERS}
    for optimizer, step in track([(o, s) for s in STEPS for o in OPTIMIZERS], "rates"):
        rate = float(f"{USUAL * OPTIMIZERS[optimizer][1] * 10 ** (step / 2):.2g}")
        found = [validation_loss(data, optimizer, rate, seed) for seed in range(seeds)]
        losses[optimizer][rate] = round(statistics.mean(found), 4)
    best = {optimizer: min(tried, key=tried.__getitem__) for optimizer, tried in losses.items()}
    rows: list[dict[str, Any]] = [
        {
            "optimizer": optimizer,
            "best rate": rate,
            "validation loss": losses[optimizer][rate],
            "times Adam's": round(rate / best["adam"], 1),
            "scale": OPTIMIZERS[optimizer][1],
        }
        for optimizer, rate in best.items()
    ]
    report("learning_rates", rows, losses=losses, seeds=seeds)


if __name__ == "__main__":
    main()
