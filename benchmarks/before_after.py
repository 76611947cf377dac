"""Did a change cost time? Two checkouts of this project by turns, contestant by contestant.

python benchmarks/before_after.py CHECKOUT        (a quarter of an hour)

CHECKOUT is the root of an older checkout (`git worktree add /elsewhere COMMIT`). What the other
benchmarks of speed compare with peers is timed here in both: steps of a cascade, an autoencoder
and siamese networks, short epochs through `feed`, and a whole training of 30 short epochs. Each
checkout has two processes, whose difference shows the noise. float32; data in memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from measure import PAIRS, TRUNKS, in_batches, interleaved, report

HERE = Path(__file__).resolve().parents[1]
SHAPE = (28, 28, 1)


# Each contestant imports what it uses itself, when the path leads to its checkout.
def fitting(model: Any, examples: Any, targets: Any, batch: int) -> Callable[[], None]:
    batches = in_batches((examples, targets), batch)
    return lambda: model.fit(batches, epochs=1, shuffle=False, verbose=0)


def images(*shape: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).random((*shape, *SHAPE), dtype="float32")


def cascade(batch: int, steps: int) -> Callable[[], None]:
    import zoo

    model = zoo.cascade_cnn(SHAPE, 10, filters=(32, 64, 128), head="global_average")
    model.compile("adamw", "sparse_categorical_crossentropy")
    x = images(batch * steps)
    return fitting(model, x, (x[:, 0, 0, 0] * 10).astype(int), batch)


def autoencoder(batch: int, steps: int) -> Callable[[], None]:
    import zoo

    model = zoo.conv_autoencoder(SHAPE, 32, filters=(32, 64))
    model.compile("adam", "mse")
    x = images(batch * steps)
    return fitting(model, x, x, batch)


def siamese(batch: int, steps: int, *, trunk: str) -> Callable[[], None]:
    import zoo

    model = zoo.siamese(zoo.cascade_cnn(SHAPE, 0, **TRUNKS[trunk]))
    model.compile("adam", zoo.losses.Contrastive())
    left, right = images(2, batch * steps)
    same = (left[:, :1, 0, 0] > 0.5).astype("float32")
    return fitting(model, {"left": left, "right": right}, same, batch)


def short_epochs(batch: int, steps: int) -> Callable[[], None]:
    import zoo
    from zoo.data import feed

    batches = feed(zoo.load_data("digits").train.batches(batch, seed=0))
    model = zoo.create("cascade_cnn_tiny", input_shape=(8, 8, 1), num_classes=10)
    model.compile("adam", "sparse_categorical_crossentropy")
    return lambda: model.fit(batches, epochs=steps, shuffle=False, verbose=0)


def training(batch: int, steps: int) -> Callable[[], None]:
    import keras

    import zoo

    data = zoo.load_data("digits")
    values = dict(epochs=steps, batch_size=batch, precision="float32", verbose=0)

    def run() -> None:
        with tempfile.TemporaryDirectory() as directory:
            zoo.train("cascade_cnn", data, directory=directory, **values)
        keras.backend.clear_session()

    return run


# What is timed, how large its batches are, and how many steps (or epochs) a round has.
TIMED: dict[str, tuple[Callable[..., Any], int, int]] = {
    "step of a cascade, batch of 128": (cascade, 128, 20),
    "step of an autoencoder, batch of 128": (autoencoder, 128, 20),
    **{
        f"step of siamese {trunk}, pairs: {pairs}": (partial(siamese, trunk=trunk), pairs, steps)
        for trunk in TRUNKS
        for pairs, steps in PAIRS.items()
    },
    "epoch of the digits through feed": (short_epochs, 64, 10),
    "epoch of zoo.train, 30 short epochs": (training, 64, 30),
}


def of_checkout(root: Path, make: Callable[..., Any], batch: int, steps: int) -> Callable[[], None]:
    sys.path.insert(0, str(root))
    import zoo

    assert Path(zoo.__file__).is_relative_to(root), zoo.__file__
    run: Callable[[], None] = make(batch, steps)
    return run


@click.command()
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=5, show_default=True)
def main(checkout: Path, rounds: int) -> None:
    """Time what guards speed in CHECKOUT and here."""
    roots = {"before": checkout.resolve(), "after": HERE}
    rows = []
    for name, (make, batch, steps) in TIMED.items():
        click.echo(name)
        contestants = {
            (when, twin): partial(of_checkout, root, make, batch, steps)
            for twin in (1, 2)
            for when, root in roots.items()
        }
        times = interleaved(contestants, rounds=rounds, steps=steps)
        medians = {key: statistics.median(values) for key, values in times.items()}
        before, after = ([medians[when, twin] for twin in (1, 2)] for when in roots)
        rows.append(
            {
                "timed": name,
                "before ms": " ".join(f"{value:.1f}" for value in before),
                "after ms": " ".join(f"{value:.1f}" for value in after),
                "after over before": round(sum(after) / sum(before), 3),
            }
        )
    report("before_after", rows, rounds=rounds)


if __name__ == "__main__":
    main()
