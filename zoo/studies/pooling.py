"""Small kernels against large ones, and ways of pooling, on digits that are moved or not."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from zoo.arguments import integer
from zoo.studies.drawing import colours, dots, in_percent
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import (
    RELATIVE,
    Net,
    add_times,
    check_amounts,
    step_times,
    summary,
    train_nets,
)
from zoo.studies.study import Saying, Study, empty_folder, judged, study, write_study

SMALL, LARGE = "two 3x3", "one 5x5"
MAX, AVERAGE = "max", "average"
GLOBAL_AVERAGE, GLOBAL_MAX = "max, then global average", "max, then global max"
KERNELS: dict[str, dict[str, Any]] = {
    SMALL: dict(convs_per_block=2, kernel_size=3),
    LARGE: dict(convs_per_block=1, kernel_size=5),
}
POOLINGS: dict[str, dict[str, Any]] = {
    MAX: dict(pooling="max"),
    AVERAGE: dict(pooling="average"),
    GLOBAL_AVERAGE: dict(head="global_average"),
    GLOBAL_MAX: dict(head="global_max"),
}
SIZE, MOVED = 16, 4  # pixels of the canvas, and of the largest move
TIME, WHERE_MOVED = "ms a step", "accuracy where moved"
SAYINGS = (
    Saying(
        "Two 3x3 convolutions have fewer weights than one of 5x5, which sees as much.",
        "parameters",
        LARGE,
        SMALL,
    ),
    Saying("They take less time.", RELATIVE, LARGE, SMALL),
    Saying("They are more accurate, as there is an activation more.", "accuracy", SMALL, LARGE),
    Saying(
        "Max pooling is more accurate than average pooling, which dilutes what was found.",
        "accuracy",
        MAX,
        AVERAGE,
    ),
    Saying(
        "A global average has fewer weights than a dense layer on all positions.",
        "parameters",
        MAX,
        GLOBAL_AVERAGE,
    ),
    Saying(
        "It is more accurate, too, as it cannot learn positions by heart.",
        "accuracy",
        GLOBAL_AVERAGE,
        MAX,
    ),
    Saying(
        "Max pooling of 2x2 makes a net indifferent to where things are: it still names 90 % of "
        "the digits where they are moved.",
        WHERE_MOVED,
        MAX,
        0.9,
    ),
    Saying(
        "Where digits are moved a global average is more accurate.",
        WHERE_MOVED,
        GLOBAL_AVERAGE,
        MAX,
    ),
    Saying("So is a global maximum.", WHERE_MOVED, GLOBAL_MAX, MAX),
)
ASKED = """\
Two convolutions of 3x3, one after the other, see as many pixels as one of 5x5. Pooling makes an
image smaller, by the largest or the mean of 2x2 values; global pooling keeps one value of each
filter and forgets where it was. The nets learn digits in the middle of an image, and are judged
by others in the middle, and by the same digits moved about, which they never saw.
"""
HOW = """\
Each net is `zoo.create('cascade_cnn', input_shape=({size}, {size}, 1), filters=...,
dense_units=(), batch_norm=False, ...)`, with three blocks of {filters} filters to compare kernels
and two to compare poolings, trained by `zoo.Recipe(learning_rate=0.003, epochs={epochs},
batch_size=32)`. Two 3x3 kernels have 18 weights for each pair of filters, one 5x5 kernel has 25;
in the first block, whose input has one channel, it is the other way round. Digits are moved by up
to {moved} pixels to each side. Steps are timed by turns, {rounds} in a block, of which the median
counts; there are {blocks} blocks. The relative time is that over the first net's in the same
block.
"""


@study
def pooling(
    directory: str | os.PathLike[str],
    *,
    filters: int = 24,
    blocks: int = 5,
    rounds: int = 20,
    epochs: int = 10,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Compare two 3x3 convolutions with one of 5x5, and max, average and global pooling.

    Args:
        directory: As `activations` takes it.
        filters: Number of filters of each convolution.
        blocks, rounds: Steps are timed in so many blocks of so many rounds.
        epochs, seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: parameters, time, and accuracy on digits in the middle and on moved ones.

    Raises:
        ValueError, OSError: As `activations` does.

    Reference:
        Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
        2014, https://arxiv.org/abs/1409.1556; Lin, Chen and Yan, Network In Network, 2013,
        https://arxiv.org/abs/1312.4400

    Example:
        >>> import tempfile
        >>> amounts = dict(filters=2, epochs=1, seeds=1, blocks=1, rounds=1, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = pooling(folder, **amounts)
        >>> found.table["parameters"].head(2).tolist()
        [300, 346]
    """
    integer("filters", filters)
    check_amounts(epochs, seeds, seed, blocks=blocks, rounds=rounds)
    with empty_folder(directory) as folder:
        data = digits(SIZE, test_shift=MOVED)
        shared = dict(dense_units=(), batch_norm=False)
        nets = [
            Net(
                labels={"net": name},
                model="cascade_cnn",
                arguments=dict(filters=(filters,) * depth, **shared, **arguments),
                data=data,
                recipe=dict(epochs=epochs, learning_rate=3e-3, batch_size=32),
            )
            for depth, group in ((3, KERNELS), (2, POOLINGS))
            for name, arguments in group.items()
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose)
        measures = {
            "accuracy": lambda run: run.last("val_accuracy"),
            WHERE_MOVED: lambda run: run.tested["accuracy"],
        }
        table = summary(trained, measures)
        add_times(table, TIME, step_times(nets, blocks=blocks, rounds=rounds))
        amounts = dict(blocks=blocks, rounds=rounds, epochs=epochs, filters=filters)
        how = HOW.format(size=SIZE, moved=MOVED, **amounts) + JUDGED
        title = "Small kernels, and ways of pooling"
        claims, figure = judged(SAYINGS, table), _picture(table)
        return write_study(folder, "pooling", title, (ASKED, how), table, claims, figure)


def _picture(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(10, 6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1, 1.5])
    upper, lower = parts
    upper.suptitle("two 3x3 convolutions against one of 5x5")
    panels = upper.subplots(1, 3, sharey=True)
    for axes, measure in zip(panels, ("parameters", TIME, "accuracy"), strict=True):
        dots(axes, table, measure, colours(KERNELS))
        axes.set_xlabel(measure)
        if measure == "accuracy":
            in_percent(axes.xaxis)
        else:
            axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
    lower.suptitle("ways of pooling: accuracy on digits not learned from")
    titles = {"accuracy": "in the middle, as those learned from", WHERE_MOVED: "moved about"}
    panels = lower.subplots(1, 2, sharey=True)
    for axes, (measure, title) in zip(panels, titles.items(), strict=True):
        dots(axes, table, measure, colours(POOLINGS))
        axes.set(xlim=(0, 1.02), title=title)
        in_percent(axes.xaxis)
    return figure
