"""A recipe for Fashion-MNIST: at least 94 % with under a million parameters, on two cores.

python examples/fashion_mnist.py --directory out/fashion_mnist

The validation part chose the recipe; the test part is looked at once, at the end. README has the
measured result.
"""

from __future__ import annotations

from zoo.terminal import quiet_tensorflow, watching

quiet_tensorflow()  # before it is loaded by what follows

import json
import time
from pathlib import Path

import click
import keras

import zoo
import zoo.plots
import zoo.tasks
from zoo.data.augment import Augment

ARGUMENTS = dict(filters=(32, 64, 128), convs_per_block=2, dense_units=(128,), dropout=0.3)
TRAINING = dict(
    epochs=24,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    learning_rate_schedule="one_cycle",
    weight_decay=0.05,
    augment=Augment(flip=True, shift=2, erase=8),
)


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), default=Path("out/fashion_mnist"))
@click.option("--seed", default=0, show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--epochs", default=TRAINING["epochs"], show_default=True)
@click.option("--resume", is_flag=True)
def main(directory: Path, seed: int, precision: str, epochs: int, resume: bool) -> None:
    """Train the recipe and write down what it reached."""
    data = zoo.load_data("fashion_mnist", validation_fraction=0.05, seed=0)
    started = time.perf_counter()
    run = zoo.train(
        "cascade_cnn",
        data,
        arguments=ARGUMENTS,
        **{**TRAINING, "epochs": epochs},
        precision=precision,
        seed=seed,
        directory=directory,
        **watching(),
        resume=resume,
    )
    minutes = (time.perf_counter() - started) / 60
    zoo.plots.learning_curves(run.history, directory / "learning_curves.png")
    zoo.tasks.get("classification").draw(run.model, data, directory)
    result = {
        "test_accuracy": run.metrics["accuracy"],
        "validation_accuracy": run.history["val_accuracy"][-1],
        "parameters": run.model.count_params(),
        "minutes": round(minutes, 1),
        "seed": seed,
        "precision": run.recipe.precision,
        "epochs": epochs,
        "versions": run.config["versions"],
        "keras_backend": keras.backend.backend(),
    }
    (directory / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
