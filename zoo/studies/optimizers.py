"""The optimizers, from equal starts."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from zoo.arguments import one_of
from zoo.studies.drawing import bands, colours, curves
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import Net, Trained, check_amounts, check_names, summary, train_nets
from zoo.studies.study import Saying, Study, empty_folder, judged, study, write_study
from zoo.training.recipe import OPTIMIZERS

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # tried, in Adam's measure; see OPTIMIZERS
SAYINGS = (
    Saying(
        "Adam brings the loss down in fewer epochs than SGD with momentum.",
        "early loss",
        "sgd",
        "adam",
    ),
    Saying(
        "In the end SGD with momentum is more accurate than Adam on images not learned from.",
        "accuracy",
        "sgd",
        "adam",
    ),
    Saying(
        "Adagrad, whose steps can only shrink, ends with a higher loss than RMSprop, which forgets "
        "old gradients.",
        "loss",
        "adagrad",
        "rmsprop",
    ),
    Saying(
        "SGD needs a learning rate more than ten times as large as Adam's.",
        "times Adam's rate",
        "sgd",
        10.0,
    ),
    Saying(
        "Adadelta finds its step size by itself: a learning rate like Adam's suits it.",
        "times Adam's rate",
        10.0,
        "adadelta",
    ),
    Saying(
        "Without weight decay AdamW is Adam: every run ends with the same loss.",
        "loss",
        "adamw",
        "adam",
        lambda one, other: one == other,
    ),
)
ASKED = """\
An optimizer decides how a gradient becomes a step. Here each one trains the same net from the
same weights, on the same batches in the same order. The left picture shows how much the learning
rate matters, and that good rates differ between optimizers; the right one shows how the loss
falls where each has the best of the rates that were tried.
"""
HOW = """\
The net is `zoo.create('mlp', input_shape=(8, 8, 1), hidden_units=(64, 64), batch_norm=False)`,
trained by `zoo.Recipe(optimizer=..., learning_rate=..., epochs={epochs}, batch_size=32)`. A seed
decides the weights and the order of the images. SGD (Nesterov's) and RMSprop have momentum 0.9.
Each rate was tried from one seed, and the one with the lowest training loss in the end was taken.
The early loss is that of epoch {early}.
"""


@study
def optimizers(
    directory: str | os.PathLike[str],
    *,
    names: Sequence[str] = tuple(OPTIMIZERS),
    epochs: int = 10,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Train one net by each optimizer of `zoo.Recipe`, from the same weights.

    Args:
        directory: As `activations` takes it.
        names: The optimizers, by their names in `zoo.Recipe`.
        epochs, seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: loss and accuracy by each optimizer, at the best of five learning rates.

    Raises:
        ValueError, OSError: As `activations` does.

    Reference:
        Ruder, An overview of gradient descent optimization algorithms, 2016,
        https://arxiv.org/abs/1609.04747; Wilson et al., The Marginal Value of Adaptive Gradient
        Methods in Machine Learning, 2017, https://arxiv.org/abs/1705.08292

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = optimizers(folder, names=("sgd",), epochs=1, seeds=1, verbose=0)
        >>> found.table.loc["sgd", "learning rate"] in (0.006, 0.02, 0.06, 0.2, 0.6)
        True
    """
    names = check_names(names, functools.partial(one_of, options=OPTIMIZERS))
    check_amounts(epochs, seeds, seed)
    early = -(-epochs // 4)
    with empty_folder(directory) as folder:
        data = digits()

        def net(labels: dict[str, object], optimizer: str, rate: float) -> Net:
            recipe = dict(optimizer=optimizer, learning_rate=rate, epochs=epochs, batch_size=32)
            arguments = dict(hidden_units=(64, 64), batch_norm=False)
            return Net(labels=labels, model="mlp", arguments=arguments, data=data, recipe=recipe)

        tried = train_nets(
            [
                net({"optimizer": name, "learning rate": rate}, name, rate)
                for name in names
                for rate in [float(f"{base * OPTIMIZERS[name][1]:.1g}") for base in RATES]
            ],
            seeds=1,
            seed=seed,
            verbose=verbose,
        )
        losses = {run.net.row: run.last("loss") for run in tried}
        best = {
            name: min((row[1] for row in losses if row[0] == name), key=lambda r: losses[name, r])
            for name in names
        }
        trained = train_nets(
            [net({"optimizer": name}, name, rate) for name, rate in best.items()],
            seeds=seeds,
            seed=seed,
            verbose=verbose,
        )
        measures = {
            "early loss": lambda run: run.history["loss"][early - 1],
            "loss": lambda run: run.last("loss"),
            "accuracy": lambda run: run.last("val_accuracy"),
        }
        table = summary(trained, measures)
        table.insert(0, "learning rate", [best[name] for name in table.index])
        table.insert(1, "times Adam's rate", table["learning rate"] / best.get("adam", math.nan))
        how = HOW.format(epochs=epochs, early=early) + JUDGED
        title = "The optimizers from equal starts"
        claims, figure = judged(SAYINGS, table), _picture(losses, trained, names)
        return write_study(folder, "optimizers", title, (ASKED, how), table, claims, figure)


def _picture(
    losses: dict[tuple[str, float], float], trained: Sequence[Trained], names: Sequence[str]
) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    by_name = colours(names)
    for name, colour in by_name.items():
        points = [(rate, loss) for (of, rate), loss in losses.items() if of == name]
        rates, found = zip(*points, strict=True)
        bands(left, rates, [found], colour, marker="o", ms=4)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="learning rate",
        ylabel="training loss (cross-entropy)",
        title="loss in the end, by learning rate",
    )
    left.grid(alpha=0.3)
    curves(right, trained, "loss", by_name)
    right.set_title("loss by epoch, each at its best rate")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure
