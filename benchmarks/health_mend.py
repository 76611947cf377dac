"""How often `zoo.mend` repairs trainings that explode or vanish, and what its order is worth.

python benchmarks/health_mend.py            (some 15 minutes)
python benchmarks/health_mend.py --seed 1   (the order of the remedies was chosen with seed 0)

Each training is mended with the remedies in their order, and with the same remedies shuffled
(three times). It counts as repaired if nothing but information is found any more, and the net then
has most of the accuracy of the same training without its fault, in which it was made ill.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import functools
import random
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import Any

import click
from measure import report
from rich.progress import track

import zoo
from zoo.health.remedies import REMEDIES
from zoo.training import mending

ATTEMPTS, SHUFFLES, SHARE = 8, 3, 0.8
SGD: dict[str, Any] = dict(optimizer="sgd", precision="float32")
PLAIN = dict(batch_norm=False)


def deep(activation: str, depth: int, **more: Any) -> dict[str, Any]:
    return dict(hidden_units=(32,) * depth, activation=activation, batch_norm=False, **more)


# By name: data, model, arguments that are well, arguments that are ill, and the ill one's recipe.
CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "12 sigmoid layers": ("digits", "mlp", deep("relu", 12), deep("sigmoid", 12), {}),
    "20 sigmoid layers": ("digits", "mlp", deep("relu", 20), deep("sigmoid", 20), {}),
    "16 sigmoid layers, sgd": ("digits", "mlp", deep("relu", 16), deep("sigmoid", 16), SGD),
    "14 tanh layers, tiny weights": (
        "digits",
        "mlp",
        deep("tanh", 14),
        deep("tanh", 14, kernel_initializer="random_normal"),
        {},
    ),
    "16 ReLU layers, tiny weights": (
        "digits",
        "mlp",
        deep("relu", 16),
        deep("relu", 16, kernel_initializer="random_normal"),
        {},
    ),
    "8 convolutions of sigmoids": (
        "digits",
        "cascade_cnn",
        dict(filters=(16, 16), convs_per_block=4, batch_norm=False, activation="relu"),
        dict(filters=(16, 16), convs_per_block=4, batch_norm=False, activation="sigmoid"),
        {},
    ),
    "mlp, sgd at 10": ("digits", "mlp", PLAIN, PLAIN, dict(**SGD, learning_rate=10.0)),
    "mlp, sgd at 1000": ("digits", "mlp", PLAIN, PLAIN, dict(**SGD, learning_rate=1000.0)),
    "mlp, adam at 3": ("digits", "mlp", PLAIN, PLAIN, dict(optimizer="adam", learning_rate=3.0)),
    "mlp_residual, sgd at 10": (
        "digits",
        "mlp_residual",
        PLAIN,
        PLAIN,
        dict(**SGD, learning_rate=10.0),
    ),
    "cascade, sgd at 30": (
        "digits",
        "cascade_cnn_tiny",
        PLAIN,
        PLAIN,
        dict(**SGD, learning_rate=30.0),
    ),
    "10 linear layers, weights of 1": (
        "digits",
        "mlp",
        deep("relu", 10),
        deep("linear", 10, kernel_initializer="ones"),
        SGD,
    ),
    "4 exponential layers": (
        "digits",
        "mlp",
        deep("relu", 4),
        deep("exponential", 4),
        dict(**SGD, learning_rate=0.05),
    ),
    "simple cell, sgd at 10": (
        "digits_rows",
        "elman_classifier",
        {},
        {},
        dict(**SGD, learning_rate=10.0),
    ),
}


@functools.cache
def data(name: str) -> zoo.Dataset:
    return zoo.load_data(name)


@functools.cache
def healthy_score(case: str, seed: int) -> float:
    source, model, well, _, recipe = CASES[case]
    told = {**recipe, "epochs": 8, "seed": seed}
    told.pop("learning_rate", None)
    if told.get("optimizer") == "sgd":
        told["learning_rate"] = 0.02
    with tempfile.TemporaryDirectory() as directory:
        told["directory"] = Path(directory, "run")
        run = zoo.train(model, data(source), arguments=well, verbose=0, **told)
        return run.history["val_accuracy"][-1]


def mended(case: str, seed: int, directory: Path) -> mending.Mended:
    source, model, _, ill, recipe = CASES[case]
    told = {"model": model, "arguments": ill, "epochs": 8, "seed": seed, **recipe}
    return zoo.mend(told, data(source), directory=directory, max_attempts=ATTEMPTS, verbose=0)


def judged(case: str, seed: int, order: int | None) -> dict[str, Any]:
    """Mend one training, with the remedies in their order or in a random one."""
    ordered = mending.REMEDIES, mending.in_order
    if order is not None:
        shuffle = random.Random(f"{order} {seed} {case}")
        mending.REMEDIES = {n: tuple(shuffle.sample(of, len(of))) for n, of in REMEDIES.items()}
        mending.in_order = lambda remedies, history: remedies
    with tempfile.TemporaryDirectory() as directory:
        goal = healthy_score(case, seed)
        try:
            found = mended(case, seed, Path(directory, "mended"))
        finally:
            mending.REMEDIES, mending.in_order = ordered
    kept = [attempt for attempt in found.attempts if attempt.kept]
    score = kept[-1].score if kept else found.before
    return {
        "repaired": found.is_healthy and score is not None and score >= SHARE * goal,
        "trainings": len(found.attempts),
        "accuracy": score and round(score, 4),
        "of": round(goal, 4),
        "kept": "; ".join(attempt.remedy.call for attempt in kept),
        "left": ", ".join(one.name for one in found.findings if one.severity != "info"),
    }


@click.command()
@click.option("--seed", default=0, show_default=True)
def main(seed: int) -> None:
    """Mend each training in order and in random orders."""
    warnings.simplefilter("ignore", UserWarning)
    rows, orders = [], {"in order": [None], "shuffled": list(range(SHUFFLES))}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in orders}
    for case in track(CASES, "trainings"):
        row: dict[str, Any] = {"training": case}
        for name, ways in orders.items():
            found = [judged(case, seed, order) for order in ways]
            results[name] += found
            if name == "in order":
                row.update(found[0])
            else:
                row["repaired, shuffled"] = f"{sum(one['repaired'] for one in found)} of {SHUFFLES}"
                row["trainings, shuffled"] = statistics.mean(one["trainings"] for one in found)
        rows.append(row)
    summary = [
        {
            "order": name,
            "repaired": round(statistics.mean(one["repaired"] for one in found), 3),
            "trainings": round(statistics.mean(one["trainings"] for one in found), 2),
        }
        for name, found in results.items()
    ]
    name = f"health_mend_{seed}" if seed else "health_mend"
    report(name, rows, summary=summary, seed=seed, attempts=ATTEMPTS)


if __name__ == "__main__":
    main()
