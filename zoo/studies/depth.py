"""How deep a net can be before it stops learning."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from zoo.studies.drawing import bands, colours, in_percent
from zoo.studies.images import JUDGED, digits
from zoo.studies.nets import RATIO, Net, Trained, check_amounts, check_sizes, summary, train_nets
from zoo.studies.study import Claim, Saying, Study, empty_folder, judged, study, write_study

SIGMOID, RELU, SKIPPED = "sigmoid", "ReLU", "ReLU, skips"
NETS: dict[str, dict[str, Any]] = {
    SIGMOID: dict(activation="sigmoid"),
    RELU: dict(activation="relu"),
    SKIPPED: dict(activation="relu", skip_connections=True),
}
LEARNED = 0.5  # of the digits, which a net that learns names at least
ASKED = """\
Each layer that is added multiplies the gradients of the layers below it by one factor more. Here
nets of ever more layers learn the same digits: with sigmoid, with ReLU, and with ReLU and skip
connections, which add the input of each layer to its output.
"""
HOW = """\
Each net is `zoo.create('mlp', input_shape=(8, 8, 1), hidden_units=(64,) * layers,
batch_norm=False, ...)`, with `activation` and `skip_connections` as named, trained by
`zoo.Recipe(learning_rate=0.003, batch_size=32, epochs={epochs})`. The gradients are what
`zoo.GradientHealth` measures in every tenth step, for each layer's kernel, the classifier being
the last: the median over the training.
"""


@study
def depth(
    directory: str | os.PathLike[str],
    *,
    depths: Sequence[int] = (1, 2, 4, 7, 12, 20),
    epochs: int = 8,
    seeds: int = 3,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Study:
    """Train nets of ever more layers, and see where they stop learning.

    Args:
        directory: As `activations` takes it.
        depths: Numbers of hidden layers, two at least.
        epochs, seeds, seed, verbose: As `activations` takes them.

    Returns:
        The study: accuracy, and the gradient of the first layer over that of the last, by depth.

    Raises:
        ValueError, OSError: As `activations` does. Gradients need Keras on TensorFlow or JAX.

    Reference:
        Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
        networks, 2010; He et al., Deep Residual Learning for Image Recognition, 2015,
        https://arxiv.org/abs/1512.03385

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = depth(folder, depths=(1, 2), epochs=1, seeds=1, verbose=0)
        >>> found.table.index.tolist()[:3]
        [('sigmoid', 1), ('sigmoid', 2), ('ReLU', 1)]
    """
    depths = check_sizes("depths", depths, minimum=1)
    check_amounts(epochs, seeds, seed)
    with empty_folder(directory) as folder:
        data = digits()
        nets = [
            Net(
                labels={"net": name, "layers": layers},
                model="mlp",
                arguments={"batch_norm": False, "hidden_units": (64,) * layers, **arguments},
                data=data,
                recipe=dict(epochs=epochs, learning_rate=3e-3, batch_size=32),
            )
            for name, arguments in NETS.items()
            for layers in depths
        ]
        trained = train_nets(nets, seeds=seeds, seed=seed, verbose=verbose, watched=True)
        measures = {
            "accuracy": lambda run: run.last("val_accuracy"),
            RATIO: lambda run: run.first_over_last,
        }
        table = summary(trained, measures)
        title = "How deep a net can be before it stops learning"
        how = HOW.format(epochs=epochs) + JUDGED
        claims, figure = held(table), _picture(trained, depths)
        return write_study(folder, "depth", title, (ASKED, how), table, claims, figure)


def held(table: pd.DataFrame) -> list[Claim]:
    """Hold what books say of depth against the table."""
    shallow, deep = (of(table.index.get_level_values("layers")) for of in (min, max))
    last = {name: stops_at(table, name) for name in (SIGMOID, RELU)}
    told = {name: f"from {at:g} layers on" if at < 1e9 else "never" for name, at in last.items()}
    first = Claim(
        "Sigmoid nets stop learning at a smaller depth than ReLU nets.",
        f"under {LEARNED:.0%} are right: " + "; ".join(f"{a} {b}" for a, b in told.items()),
        last[SIGMOID] < last[RELU],
    )
    sayings = (
        Saying(
            f"With sigmoid the gradient vanishes: at {deep} layers the first layer gets less than "
            "a thousandth of the last one's.",
            RATIO,
            1e-3,
            (SIGMOID, deep),
        ),
        Saying(
            f"With ReLU it does not: at {deep} layers the first layer gets more than a tenth.",
            RATIO,
            (RELU, deep),
            0.1,
        ),
        Saying("Skip connections help deep ReLU nets.", "accuracy", (SKIPPED, deep), (RELU, deep)),
        Saying(
            "They do not help shallow ones: without them a net is at least as good.",
            "accuracy",
            (RELU, shallow),
            (SKIPPED, shallow),
            lambda one, other: one.highest >= other.lowest,
        ),
        Saying(
            "The deepest net with skip connections is better than the shallowest.",
            "accuracy",
            (SKIPPED, deep),
            (SKIPPED, shallow),
        ),
    )
    return [first, *judged(sayings, table)]


def stops_at(table: pd.DataFrame, name: str) -> float:
    """Give the smallest depth at which a kind of net does not learn, else infinity."""
    accuracy = table["accuracy"].xs(name, level="net")
    return float(min(accuracy.index[accuracy < LEARNED], default=float("inf")))


def _picture(trained: Sequence[Trained], depths: Sequence[int]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in colours(NETS).items():
        runs = [[run for run in trained if run.net.row == (name, layers)] for layers in depths]
        accuracies = [[run.last("val_accuracy") for run in group] for group in runs]
        bands(left, depths, list(zip(*accuracies, strict=True)), colour, name, marker="o")
        ratios = [[run.first_over_last for run in group] for group in runs]
        bands(right, depths, list(zip(*ratios, strict=True)), colour, name, marker="o")
    left.set(ylim=(0, 1), title="accuracy on digits not learned from")
    in_percent(left.yaxis)
    right.set(yscale="log", title="gradient of the first layer over that of the last")
    for axes in (left, right):
        axes.set_xlabel("hidden layers")
        axes.set_xticks(depths)
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
