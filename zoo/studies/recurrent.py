"""Simple, GRU and LSTM cells on a task of memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import zoo
from zoo.studies.drawing import bands, colours, curves
from zoo.studies.nets import RATIO, Net, Trained, check_amounts, check_sizes, summary, train_nets
from zoo.studies.study import Claim, Saying, Study, empty_folder, judged, study, write_study

CELLS = ("simple", "gru", "lstm")
HELD_OUT = 1000  # sequences that nets are judged by
ASKED = """\
A recurrent net reads a sequence step by step and keeps what it needs in its state. In the adding
problem it must remember two marked numbers of a sequence and give their sum: the longer the
sequence, the further back the error has to be traced. The error is about 1 where a net always
guesses the mean. In a simple cell the gradient shrinks, or grows, with each step back; the gates of
GRU and LSTM can let it pass.
"""
HOW = """\
The data are `zoo.data.adding_problem(length)`: {examples} sequences to learn from and {held}
others. Each net is `zoo.create('recurrent_classifier', cell=..., units=32)` with one number as
its output, trained by `zoo.Recipe(optimizer='adam', learning_rate=0.005, global_clipnorm=1.0,
epochs={epochs}, batch_size=64)`. The error is the squared error over the variance of the sums.
Gradients through time are what `zoo.GradientHealth` measures: the norm of the loss's gradient for
each step that is read, after the first step of training and in its last look.
"""


@study
def recurrent(
    directory: str | os.PathLike[str],
    *,
    lengths: Sequence[int] = (10, 30, 60),
    examples: int = 3000,
    epochs: int = 15,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Train simple, GRU and LSTM cells on the adding problem, at ever greater lengths.

    Args:
        directory: As `activations` takes it.
        lengths: Steps of the sequences, two lengths at least, each of 2 steps or more.
        examples: Number of sequences to learn from.
        epochs, seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: error, and the gradient of the first step in time over that of the last, by cell
        and length.

    Raises:
        ValueError, OSError: As `activations` does. Gradients need Keras on TensorFlow or JAX.

    Reference:
        Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997; Bengio,
        Simard and Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult,
        1994

    Example:
        >>> import tempfile
        >>> amounts = dict(examples=64, epochs=1, seeds=1, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = recurrent(folder, lengths=(2, 4), **amounts)
        >>> found.table["parameters"].tolist()[:3]
        [1153, 3489, 4513]
    """
    lengths = check_sizes("lengths", lengths, minimum=2)
    check_amounts(epochs, seeds, seed, examples=examples)
    with empty_folder(directory) as folder:
        recipe = dict(optimizer="adam", learning_rate=5e-3, global_clipnorm=1.0, batch_size=64)
        nets = [
            Net(
                labels={"cell": cell, "steps": length},
                model="recurrent_classifier",
                arguments=dict(cell=cell, units=32),
                data=data,
                recipe=dict(epochs=epochs, **recipe),
            )
            for length, data in {of: adding(of, examples) for of in lengths}.items()
            for cell in CELLS
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose, watched=True)
        measures = {
            "error": lambda run: run.last("val_loss"),
            RATIO: lambda run: through_time(run, -1)[0] / through_time(run, -1)[-1],
        }
        table = summary(trained, measures)
        how = HOW.format(examples=f"{examples:,}", held=f"{HELD_OUT:,}", epochs=epochs).strip()
        title = "Recurrent cells on a task of memory"
        figure = _picture(trained, lengths)
        return write_study(folder, "recurrent", title, (ASKED, how), table, held(table), figure)


def adding(length: int, examples: int) -> zoo.Dataset:
    """Make the adding problem, its steps as they are: to standardise them makes it easier."""
    x, y = zoo.data.adding_problem(length, examples=examples + HELD_OUT)
    parts = (x[:examples], y[:examples]), (x[examples:], y[examples:])
    data = zoo.load_data(parts, kind="sequences", validation_fraction=0.0)
    raw: Any = dataclasses.replace(cast(Any, data.preparation), mean=(), scale=())
    return dataclasses.replace(data, validation=data.test, preparation=raw)


def through_time(run: Trained, look: int) -> np.ndarray:
    """Give the gradient of each step in time, as a look of the monitor found it."""
    (found,) = run.health.time_gradients.values()
    return np.array(found.norms[look])


def held(table: pd.DataFrame) -> list[Claim]:
    """Hold what books say of recurrent cells against the table."""
    short, long = (of(table.index.get_level_values("steps")) for of in (min, max))
    sayings = (
        Saying(
            f"A simple cell remembers over {short} steps: its error is below a half.",
            "error",
            0.5,
            ("simple", short),
        ),
        Saying(
            f"It does not over {long}: its error stays above 0.9.", "error", ("simple", long), 0.9
        ),
        Saying(
            f"GRU remembers over {long} steps: its error is below 0.1.", "error", 0.1, ("gru", long)
        ),
        Saying(
            f"LSTM remembers over {long} steps: its error is below 0.1.",
            "error",
            0.1,
            ("lstm", long),
        ),
        Saying(
            f"In the simple cell the gradient vanishes over {long} steps: less than a hundredth of "
            "it comes to the first one.",
            RATIO,
            0.01,
            ("simple", long),
        ),
        Saying(
            f"In a trained LSTM more than a tenth comes to the first of {long} steps.",
            RATIO,
            ("lstm", long),
            0.1,
        ),
        Saying(
            "GRU, which has fewer weights, is no better than LSTM.",
            "error",
            ("gru", long),
            ("lstm", long),
            lambda one, other: one.highest >= other.lowest,
        ),
    )
    return judged(sayings, table)


def _picture(trained: Sequence[Trained], lengths: Sequence[int]) -> Figure:
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    by_epoch, by_length, by_step = figure.subplots(1, 3)
    longest = lengths[-1]
    curves(by_epoch, trained, "val_loss", colours((cell, longest) for cell in CELLS))
    for cell, colour in colours(CELLS).items():
        runs = [[run for run in trained if run.net.row == (cell, length)] for length in lengths]
        errors = [[run.last("val_loss") for run in group] for group in runs]
        bands(by_length, lengths, list(zip(*errors, strict=True)), colour, cell, marker="o")
        for look, style in ((0, ":"), (-1, "-")):
            flows = np.array([through_time(run, look) for run in runs[-1]])
            middle = np.exp(np.log(np.maximum(flows, 1e-30)).mean(axis=0))
            by_step.plot(np.arange(1, longest + 1), middle, style, color=colour)
    by_epoch.set(yscale="log", ylabel="error", title=f"error by epoch, {longest} steps")
    by_length.set(yscale="log", xlabel="steps", xticks=lengths, title="error after training")
    for axes in (by_epoch, by_length):
        axes.axhline(1, color="black", lw=0.8, ls="--", label="always the mean")
    by_step.set(
        yscale="log",
        xlabel="step that is read",
        ylabel="norm of the gradient",
        title="gradient through time\ndotted: first look, solid: last one",
    )
    for axes in (by_length, by_step):
        axes.grid(alpha=0.3)
    figure.legend(*by_length.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
