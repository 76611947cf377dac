"""The activations: their slopes, what each costs in time, and how a net learns with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from zoo.arguments import activation
from zoo.studies.drawing import COLOURS, colours, curves, dots
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import (
    RELATIVE,
    Net,
    Trained,
    add_times,
    check_amounts,
    check_names,
    interleaved,
    summary,
    train_nets,
)
from zoo.studies.study import Claim, Saying, Study, empty_folder, judged, study, write_study

NAMES = (
    *("linear", "sigmoid", "tanh", "softplus", "relu"),
    *("leaky_relu", "elu", "selu", "gelu", "silu"),
)
ENDS = 4.0  # where curves are drawn: from minus this to this
POINTS = 800  # even, so that 0, where some have no slope, is none of them
TIMED = 1_000_000  # values a pass
LARGEST, AT_END, TIME = "largest slope", f"slope at {ENDS:g}", "ms a million values"
ASKED = """\
An activation makes of each number that a layer gives another one; without it many layers could do
no more than one. Its slope decides how much of the gradient passes on the way back: where the
slope is near 0 nothing is learned. The small pictures show each function and its slope; below is
what a pass costs, and how a net learns with each.
"""
HOW = """\
The slopes come from Keras's automatic differentiation, at {points} points from -4 to 4. The time
is that of a pass forward and back through the activation of a million numbers, with the little
that the pass needs besides: `linear`, which does nothing, shows how much that is. Passes of all
activations take turns, {rounds} in a block, of which the median counts; there are {blocks}
blocks. The relative time is that over the first activation's in the same block. The net is
`zoo.create('mlp', input_shape=(8, 8, 1), hidden_units=(64,) * 4, batch_norm=False,
activation=...)`, trained by `zoo.Recipe(epochs={epochs}, batch_size=32)`.
"""


@study
def activations(
    directory: str | os.PathLike[str],
    *,
    names: Sequence[str] = NAMES,
    blocks: int = 5,
    rounds: int = 20,
    epochs: int = 10,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Draw activations and their slopes, time them, and train a net with each.

    Args:
        directory: Where the picture (PNG), the table (CSV) and the page of words (Markdown) are
            written; a new or an empty directory.
        names: The activations, by Keras's names.
        blocks, rounds: Passes are timed in so many blocks of so many rounds.
        epochs: Number of passes over the training part, of each net.
        seeds: Number of runs of each net, which differ in initial weights and order of examples.
        seed: The first seed.
        verbose: 0 is silent; anything else prints a line for each net that is trained.

    Returns:
        The study: slopes, time, accuracy and loss of each activation.

    Raises:
        ValueError: If an argument is illegal.
        OSError: If the directory is not empty, or cannot be written.

    Reference:
        Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011; Hendrycks and
        Gimpel, Gaussian Error Linear Units, 2016, https://arxiv.org/abs/1606.08415

    Example:
        >>> import tempfile
        >>> amounts = dict(epochs=1, seeds=1, blocks=1, rounds=1, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = activations(folder, names=("sigmoid",), **amounts)
        >>> print(f"{found.table.loc['sigmoid', 'largest slope']:.3f}")
        0.250
    """
    names = check_names(names, activation)
    check_amounts(epochs, seeds, seed, blocks=blocks, rounds=rounds)
    with empty_folder(directory) as folder:
        data = digits()
        nets = [
            Net(
                labels={"activation": name},
                model="mlp",
                arguments=dict(hidden_units=(64,) * 4, batch_norm=False, activation=name),
                data=data,
                recipe=dict(epochs=epochs, batch_size=32),
            )
            for name in names
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose)
        measures = {
            "accuracy": lambda run: run.last("val_accuracy"),
            "loss": lambda run: run.last("loss"),
        }
        table = summary(trained, measures)
        x = np.linspace(-ENDS, ENDS, POINTS, dtype=np.float32)
        drawn = {name: values_and_slopes(name, x) for name in names}
        table.insert(0, LARGEST, [slopes.max() for _, slopes in drawn.values()])
        table.insert(1, AT_END, [slopes[-1] for _, slopes in drawn.values()])
        passes = {name: _pass_of(name) for name in names}
        add_times(table, TIME, interleaved(passes, blocks=blocks, rounds=rounds))
        amounts = dict(points=POINTS, blocks=blocks, rounds=rounds, epochs=epochs)
        how = HOW.format(**amounts) + JUDGED
        figure = _picture(x, drawn, table, trained)
        title = "Activations, their slopes and what they cost"
        return write_study(folder, "activations", title, (ASKED, how), table, held(table), figure)


def values_and_slopes(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what an activation makes of numbers, and its slope there, on any backend.

    The numbers are the weights of a layer that is given a 1; a step of gradient descent subtracts
    the slopes.
    """
    model = _weights_through(name, x, learning_rate=float(len(x)))
    one = np.ones((1, 1), np.float32)
    values = model.predict_on_batch(one)[0]
    model.train_on_batch(one, one)
    return values, x - keras.ops.convert_to_numpy(model.trainable_variables[0])[0]


def _pass_of(name: str) -> Callable[[], Any]:
    """Make a pass of many numbers, forward and back."""
    x = np.linspace(-ENDS, ENDS, TIMED, dtype=np.float32)
    model = _weights_through(name, x, learning_rate=0.0)
    one = keras.ops.ones((1, 1))
    return lambda: model.train_on_batch(one, one)


def _weights_through(name: str, x: np.ndarray, learning_rate: float) -> keras.Model:
    layer = keras.layers.Dense(len(x), name, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([x[None]])
    model.compile(keras.optimizers.SGD(learning_rate), loss=lambda _, found: found)  # their mean
    return model


def held(table: pd.DataFrame) -> list[Claim]:
    """Hold what books say of activations against the table."""
    curved = table.drop(["linear", "relu"], errors="ignore")
    cheapest = curved[RELATIVE].idxmin() if len(curved) else None
    worst = table.drop("linear", errors="ignore")["accuracy"].idxmin() if len(curved) else None
    sayings = (
        Saying("The slope of sigmoid is never above a quarter.", LARGEST, 0.2501, "sigmoid"),
        Saying("That of tanh comes up to 1: above 0.99.", LARGEST, "tanh", 0.99),
        Saying(f"Sigmoid is flat at {ENDS:g}: its slope is below 0.02.", AT_END, 0.02, "sigmoid"),
        Saying("So is tanh.", AT_END, 0.02, "tanh"),
        Saying(f"ReLU is not: its slope at {ENDS:g} is still above 0.99.", AT_END, "relu", 0.99),
        Saying("ReLU costs least of all that bend.", RELATIVE, cheapest, "relu"),
        Saying("GELU costs more than ReLU.", RELATIVE, "gelu", "relu"),
        Saying("A net learns faster with ReLU than with sigmoid.", "loss", "sigmoid", "relu"),
        Saying("It learns faster with tanh than with sigmoid.", "loss", "sigmoid", "tanh"),
        Saying("GELU is more accurate than ReLU.", "accuracy", "gelu", "relu"),
        Saying(
            "Every activation is more accurate than none, which `linear` is.",
            "accuracy",
            worst,
            "linear",
        ),
    )
    return judged(sayings, table)


def _picture(
    x: np.ndarray,
    drawn: dict[str, tuple[np.ndarray, np.ndarray]],
    table: pd.DataFrame,
    trained: Sequence[Trained],
) -> Figure:
    columns = min(5, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(11, 2.1 * rows + 4.4), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.1 * rows, 4.4])
    by_name = colours(drawn)
    upper, lower = parts
    grid = upper.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for (name, (values, slopes)), axes in zip(drawn.items(), grid, strict=False):
        axes.plot(x, values, color=COLOURS[0], label="value")
        axes.plot(x, slopes, color=COLOURS[1], ls="--", label="slope")
        axes.set(title=name, ylim=(-2, ENDS), xticks=(-ENDS, 0, ENDS))
        axes.grid(alpha=0.3)
    upper.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    for empty in grid:  # which no activation is left for
        empty.set_axis_off()
    times, losses = lower.subplots(1, 2)
    dots(times, table, TIME, by_name)
    times.set(xlim=(0, None), xlabel=TIME, title="time forward and back")
    curves(losses, trained, "loss", by_name)
    losses.set(yscale="log", ylabel="training loss (cross-entropy)", title="how a net learns")
    lower.legend(*losses.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure
