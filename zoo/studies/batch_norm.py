"""Batch normalization in a deep net, beside its rivals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from zoo.arguments import integer
from zoo.studies.drawing import bands, colours, curves, in_percent, whole_numbers
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import RATIO, Net, Trained, check_amounts, summary, train_nets
from zoo.studies.study import Saying, Study, empty_folder, judged, study, write_study

PLAIN, NORMALIZED, SKIPPED = "sigmoid", "sigmoid, batch norm", "sigmoid, skips"
RELU, RELU_SKIPPED = "ReLU", "ReLU, skips"
NETS: dict[str, dict[str, Any]] = {
    PLAIN: dict(activation="sigmoid"),
    NORMALIZED: dict(activation="sigmoid", batch_norm=True),
    SKIPPED: dict(activation="sigmoid", skip_connections=True),
    RELU: dict(activation="relu"),
    RELU_SKIPPED: dict(activation="relu", skip_connections=True),
}
SAYINGS = (
    Saying(
        "A deep sigmoid net does not learn: it names fewer than 20 % of the digits.",
        "accuracy",
        0.2,
        PLAIN,
    ),
    Saying(
        "Its gradients vanish: the first layer gets less than a thousandth of the last one's.",
        RATIO,
        1e-3,
        PLAIN,
    ),
    Saying("With batch normalization it names more.", "accuracy", NORMALIZED, 0.2),
    Saying(
        "With it, the gradient of the first layer is more than a tenth of the last one's.",
        RATIO,
        NORMALIZED,
        0.1,
    ),
    Saying("With ReLU in place of sigmoid it names more than 20 %.", "accuracy", RELU, 0.2),
    Saying("With skip connections it names more than 20 %.", "accuracy", SKIPPED, 0.2),
    Saying("Skip connections make the ReLU net better.", "accuracy", RELU_SKIPPED, RELU),
)
ASKED = """\
The gradient of a layer is a product of factors, one for each layer above it. The slope of a
sigmoid is at most 0.25, so in a deep net the product comes near 0 and the first layers stand
still: the gradient vanishes. Batch normalization keeps the inputs of each activation where its
slope is large; ReLU has a slope of 1; a skip connection adds the input of a layer to its output,
so that a part of the gradient passes by.
"""
HOW = """\
Each net is `zoo.create('mlp', input_shape=(8, 8, 1), hidden_units=(64,) * {layers}, ...)`, with
`activation`, `batch_norm` and `skip_connections` as named, trained by
`zoo.Recipe(learning_rate=0.003, batch_size=32, epochs={epochs})`. Its skip connections add before
the activation, so that a sum passes through the sigmoid, too. The gradients are what
`zoo.GradientHealth` measures in every tenth step, for each layer's kernel: the median over the
training.
"""


@study
def batch_norm(
    directory: str | os.PathLike[str],
    *,
    num_layers: int = 20,
    epochs: int = 12,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Train a deep sigmoid net as it is, with batch normalization, with ReLU, with skips.

    Args:
        directory: As `activations` takes it.
        num_layers: Number of hidden layers, at least 2.
        epochs, seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: accuracy, loss, and the gradient of the first layer over that of the last.

    Raises:
        ValueError, OSError: As `activations` does. Gradients need Keras on TensorFlow or JAX.

    Reference:
        Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
        Internal Covariate Shift, 2015, https://arxiv.org/abs/1502.03167

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = batch_norm(folder, num_layers=2, epochs=1, seeds=1, verbose=0)
        >>> found.table.index.tolist()
        ['sigmoid', 'sigmoid, batch norm', 'sigmoid, skips', 'ReLU', 'ReLU, skips']
    """
    integer("num_layers", num_layers, minimum=2)
    check_amounts(epochs, seeds, seed)
    with empty_folder(directory) as folder:
        data = digits()
        shape = dict(hidden_units=(64,) * num_layers)
        nets = [
            Net(
                labels={"net": name},
                model="mlp",
                arguments={"batch_norm": False, **shape, **arguments},
                data=data,
                recipe=dict(epochs=epochs, learning_rate=3e-3, batch_size=32),
            )
            for name, arguments in NETS.items()
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose, watched=True)
        measures = {
            "accuracy": lambda run: run.last("val_accuracy"),
            "loss": lambda run: run.last("loss"),
            RATIO: lambda run: run.first_over_last,
        }
        table = summary(trained, measures)
        title = f"Batch normalization in a net of {num_layers} layers"
        how = HOW.format(layers=num_layers, epochs=epochs) + JUDGED
        claims, figure = judged(SAYINGS, table), _picture(trained)
        return write_study(folder, "batch_norm", title, (ASKED, how), table, claims, figure)


def _picture(trained: Sequence[Trained]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    by_row = colours(NETS)
    curves(left, trained, "val_accuracy", by_row)
    left.set(ylim=(0, 1), title="accuracy on digits not learned from")
    in_percent(left.yaxis)
    for row, colour in by_row.items():
        flows = [run.flow for run in trained if run.net.row == row]
        bands(right, np.arange(1, len(flows[0]) + 1), flows, colour)
    right.set(
        yscale="log",
        xlabel="layer, counted from the input",
        ylabel="norm of the gradient",
        title="gradient that reaches each layer",
    )
    whole_numbers(right)
    right.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
