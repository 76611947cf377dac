"""Weights that are shared over an image, or not, or in part, on aligned and on moved images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import zoo
from zoo.arguments import integers
from zoo.studies.drawing import bands, colours, in_percent
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import Net, Trained, check_amounts, summary, train_nets
from zoo.studies.study import Claim, Saying, Study, empty_folder, judged, study, write_study

SHARINGS = ("shared", "low_rank", "local")
SIZE, MOVED = 12, 2  # pixels of the canvas, and of the largest move
ALIGNED, SHIFTED = "aligned", "moved"
ASKED = """\
A convolution shares its weights over the image: what it looks for at one place it looks for
everywhere. A locally connected layer has other weights at each place. A low-rank layer lies
between: at each place it mixes the same few kernels by weights of that place. Sharing should help
where the same thing can be anywhere, and where examples are few; it might hinder where images are
aligned, so that each place has a meaning of its own.
"""
HOW = """\
Each net is `zoo.create('face_cnn', input_shape=({size}, {size}, 1), sharing=...,
num_shared_blocks=0, num_local_blocks=2, local_filters=8, embedding_dim=32, batch_norm=False)`:
two 3x3 layers, then a dense one, trained by `zoo.Recipe(epochs=..., batch_size=32)`, {epochs}
epochs of all {most} images and as many steps of fewer. Aligned digits are in the middle of the
image; moved ones are up to {moved} pixels away from it, those to learn from and those to judge by
alike.
"""


@study
def sharing(
    directory: str | os.PathLike[str],
    *,
    examples: Sequence[int] = (300, 1258),
    epochs: int = 12,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Compare convolutions with low-rank and locally connected layers, where sharing helps.

    Args:
        directory: As `activations` takes it.
        examples: Numbers of images to learn from, each at least 20 and at most 1258.
        epochs: Number of epochs where nets learn from all images; with fewer images they are more,
            so that all take as many steps.
        seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: accuracy by kind of layer, number of images, and whether they are aligned.

    Raises:
        ValueError, OSError: As `activations` does.

    Reference:
        Elsayed et al., Revisiting Spatial Invariance with Low-Rank Local Connectivity, 2020,
        https://arxiv.org/abs/2002.02959

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = sharing(folder, examples=(20,), epochs=1, seeds=1, verbose=0)
        >>> found.table["parameters"].head(3).tolist()
        [37890, 40074, 132842]
    """
    examples = sorted(set(integers("examples", examples)))
    check_amounts(epochs, seeds, seed)
    with empty_folder(directory) as folder:
        sets = {ALIGNED: digits(SIZE), SHIFTED: digits(SIZE, MOVED, MOVED)}
        most = len(sets[ALIGNED].train)
        if examples[0] < 20 or examples[-1] > most:
            raise ValueError(f"`examples` must be from 20 to {most}, received {examples}.")
        shape = dict(num_shared_blocks=0, num_local_blocks=2, local_filters=8, embedding_dim=32)
        nets = [
            Net(
                labels={"images": which, "learned from": count, "weights": kind},
                model="face_cnn",
                arguments=dict(sharing=kind, batch_norm=False, **shape),
                data=_first(data, count),
                recipe=dict(epochs=round(epochs * most / count), batch_size=32),
            )
            for which, data in sets.items()
            for count in examples
            for kind in SHARINGS
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose)
        measures = {
            "accuracy": lambda run: run.last("val_accuracy"),
            "accuracy in training": lambda run: run.last("accuracy"),
        }
        table = summary(trained, measures)
        how = HOW.format(size=SIZE, moved=MOVED, epochs=epochs, most=most) + JUDGED
        title = "Weights that are shared over the image, or not"
        figure = _picture(trained, examples)
        return write_study(folder, "sharing", title, (ASKED, how), table, held(table), figure)


def _first(data: zoo.Dataset, count: int) -> zoo.Dataset:
    return dataclasses.replace(data, train=data.train.subset(np.arange(count)))


def held(table: pd.DataFrame) -> list[Claim]:
    """Hold what books say of sharing against the table."""
    few, many = (of(table.index.get_level_values("learned from")) for of in (min, max))
    sayings = (
        Saying(
            "A locally connected layer has more weights than a convolution: here more than twice "
            "as many in the whole net.",
            "parameters",
            (ALIGNED, many, "local"),
            2.0 * table.loc[(ALIGNED, many, "shared"), "parameters"],
        ),
        Saying(
            f"On {many} aligned images weights of their own for each place are more accurate than "
            "shared ones.",
            "accuracy",
            (ALIGNED, many, "local"),
            (ALIGNED, many, "shared"),
        ),
        Saying(
            f"On {many} moved images shared weights are more accurate.",
            "accuracy",
            (SHIFTED, many, "shared"),
            (SHIFTED, many, "local"),
        ),
        Saying(
            f"From {few} aligned images shared weights learn more.",
            "accuracy",
            (ALIGNED, few, "shared"),
            (ALIGNED, few, "local"),
        ),
        Saying(
            f"From {few} moved images shared weights learn more.",
            "accuracy",
            (SHIFTED, few, "shared"),
            (SHIFTED, few, "local"),
        ),
        Saying(
            f"Low rank is more accurate than unshared weights on {many} moved images, with fewer "
            "weights.",
            "accuracy",
            (SHIFTED, many, "low_rank"),
            (SHIFTED, many, "local"),
        ),
    )
    return judged(sayings, table)


def _picture(trained: Sequence[Trained], examples: Sequence[int]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    titles = {ALIGNED: "digits all in the middle", SHIFTED: f"moved by up to {MOVED} pixels"}
    for axes, (which, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for kind, colour in colours(SHARINGS).items():
            groups = [
                [run.last("val_accuracy") for run in trained if run.net.row == (which, count, kind)]
                for count in examples
            ]
            label = kind.replace("_", " ")
            bands(axes, examples, list(zip(*groups, strict=True)), colour, label, marker="o")
        axes.set(xscale="log", xlabel="images learned from", title=title)
        axes.set_xticks(examples, map(str, examples), minor=False)
        axes.minorticks_off()
        in_percent(axes.yaxis)
        axes.grid(alpha=0.3)
    axes.legend(title="weights")
    figure.supylabel("accuracy on digits not learned from", size="medium")
    return figure
