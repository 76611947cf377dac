"""The whole path on scikit-learn's handwritten digits: search, train, export, report.

Run it with `make demo`, or: python examples/digits.py --directory out/demo
"""

from __future__ import annotations

from zoo.terminal import quiet_tensorflow, watching

quiet_tensorflow()  # before it is loaded by what follows

import shutil
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

import tuning
import zoo
import zoo.plots
import zoo.tasks

# Values that are known to suit 8x8 images are fixed; the rest is searched.
FIXED = {"optimizer": "adamw", "batch_size": 32, "learning_rate_schedule": "cosine"}
RANGES = {"epochs": (6, 12), "learning_rate": (1e-3, 1e-2), "activation": ["relu", "leaky_relu"]}


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), default=Path("out/demo"))
@click.option("--max-trials", default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(directory: Path, max_trials: int, seed: int) -> None:
    """Search, train, export and check a digit classifier, and say how good it is."""
    started = time.perf_counter()
    console = Console()
    shutil.rmtree(directory, ignore_errors=True)
    data = zoo.load_data("digits", seed=seed)
    console.print(f"[bold]data[/] {data}")

    console.rule("search")
    result = tuning.search(
        "cascade_cnn",
        data,
        max_trials=max_trials,
        fixed=FIXED,
        ranges=RANGES,
        seed=seed,
        directory=directory / "search",
    )

    console.rule("train the best model")
    run = zoo.train(
        "cascade_cnn",
        data,
        arguments=result.best_arguments,
        recipe=result.best_recipe,
        epochs=30,
        seed=seed,
        directory=directory / "run",
        **watching(),
    )

    console.rule("export and check in a fresh process")
    exported = run.export(directory / "served" / "1")
    pictures = [
        result.plot(directory / "search.png"),
        zoo.plots.learning_curves(run.history, directory / "learning_curves.png"),
        *zoo.tasks.get("classification").draw(run.model, data, directory),
    ]

    table = Table(title="keras-zoo on handwritten digits", show_header=False)
    completed = sum(trial.status == "COMPLETED" for trial in result.trials)
    table.add_row("trials", f"{completed} of {len(result.trials)} completed")
    table.add_row("best values", ", ".join(f"{k}={v}" for k, v in result.best_values.items()))
    table.add_row("validation accuracy of the best trial", f"{result.best_score:.2%}")
    table.add_row("test accuracy", f"{run.metrics['accuracy']:.2%} of {len(data.test)} images")
    table.add_row("linear baseline's test accuracy", f"{linear_baseline(data):.2%}")
    table.add_row("exported model differs by at most", f"{exported.max_difference:.1e}")
    table.add_row(
        "exported size",
        f"{exported.size_bytes / 1e6:.2f} MB for {exported.parameters:,} parameters",
    )
    table.add_row("pictures", ", ".join(str(path) for path in pictures))
    table.add_row("model", str(run.directory / "model.keras"))
    table.add_row("SavedModel", str(exported.path))
    table.add_row("time", f"{time.perf_counter() - started:.0f} s")
    console.print(table)


def linear_baseline(data: zoo.Dataset) -> float:
    """Test accuracy of logistic regression on the same training images."""
    x, y = (part.examples(range(len(part))) for part in (data.train, data.test))
    model = LogisticRegression(max_iter=2000).fit(x.reshape(len(x), -1), data.train.labels)
    return model.score(y.reshape(len(y), -1), data.test.labels)


if __name__ == "__main__":
    main()
