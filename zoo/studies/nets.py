"""The nets of a study: trained side by side from several seeds, measured, and timed."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import keras
import numpy as np
import pandas as pd

import zoo
from zoo.arguments import MAX_SEED, integer, integers
from zoo.health.history import kernels
from zoo.health.tap import BACKENDS
from zoo.studies.study import HIGHEST, LOWEST, named
from zoo.training.fit import compile_model, fit_model

# What measures are called.
RATIO, RELATIVE = "first over last gradient", "relative time"
# What each epoch of a training counts for that ended with a value that is not finite.
DIVERGED = {"loss": math.inf, "val_loss": math.inf, "accuracy": 0.0, "val_accuracy": 0.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Net:
    """A net of a study: a model of the zoo, its data, and the values of its recipe."""

    labels: Mapping[str, Any]  # what the table calls it, by column
    model: str
    arguments: Mapping[str, Any]
    data: zoo.Dataset
    recipe: Mapping[str, Any]

    @property
    def row(self) -> Any:
        """The net's row in the table."""
        values = tuple(self.labels.values())
        return values if len(values) > 1 else values[0]

    def compiled(self, seed: int = 0) -> tuple[keras.Model, zoo.tasks.Task, zoo.Recipe]:
        """Build and compile the model, with weights that the seed decides."""
        recipe = zoo.Recipe(seed=seed, precision="float32", **self.recipe)
        task = zoo.tasks.get("regression" if self.data.is_regression else "classification")
        keras.utils.set_random_seed(seed)
        model = task.build(self.model, self.data, self.arguments)
        compile_model(model, task, recipe)
        return model, task, recipe


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a net became from one seed."""

    net: Net
    parameters: int
    history: Mapping[str, Sequence[float]]  # by epoch
    tested: Mapping[str, float]  # on the test part
    health: Any = None  # the history of `zoo.GradientHealth`

    def last(self, name: str) -> float:
        """Give what the last epoch logged."""
        return self.history[name][-1]

    @property
    def flow(self) -> np.ndarray:
        """Norm of the gradient of each layer's kernel, from input to output: its median."""
        columns = [
            column
            for column in kernels(self.health)
            if self.health.variables[column].endswith("kernel")
        ]
        return np.median(self.health.gradient_norm[:, columns], axis=0)

    @property
    def first_over_last(self) -> float:
        """The gradient that reaches the first layer, in those of the last one."""
        return float(self.flow[0] / self.flow[-1])


def check_amounts(epochs: Any, seeds: Any, seed: Any, **others: Any) -> None:
    """Check what every study takes, and other amounts."""
    for name, value in {"epochs": epochs, "seeds": seeds, **others}.items():
        integer(name, value)
    integer("seed", seed, minimum=0, maximum=MAX_SEED - seeds)


def check_names(names: Any, check: Callable[[str, Any], Any]) -> list[str]:
    """Check a list of names, each by a function, and leave out doubles."""
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        raise ValueError(f"`names` must be a list of names, received {names!r}.")
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"`names[{index}]` must be a name, received {name!r}.")
        check(f"names[{index}]", name)
    return list(dict.fromkeys(names))


def check_sizes(name: str, value: Any, minimum: int) -> list[int]:
    """Check some sizes to compare: two different ones at least; gives them in order."""
    sizes = sorted(set(integers(name, value)))
    if len(sizes) < 2 or sizes[0] < minimum:
        raise ValueError(
            f"`{name}` must be two different integers or more, each at least {minimum}, "
            f"received {value!r}."
        )
    return sizes


def train_nets(
    nets: Sequence[Net], *, seeds: int, seed: int, verbose: int | str, watched: bool = False
) -> list[Trained]:
    """Train every net from every seed, and say so line by line."""
    if watched and keras.backend.backend() not in BACKENDS:
        raise ValueError(
            f"Gradients are measured on {' and '.join(BACKENDS)}; Keras runs on "
            f"{keras.backend.backend()}: choose another backend, or another study."
        )
    jobs = [(number, net) for number in range(seed, seed + seeds) for net in nets]
    trained = []
    for done, (number, net) in enumerate(jobs, 1):
        began = time.perf_counter()
        trained.append(_train(net, number, watched))
        if verbose:
            name, value = list(trained[-1].history.items())[-1]
            title = f"{done}/{len(jobs)}  {named(net.row)}, seed {number}"
            seconds = time.perf_counter() - began
            click.echo(f"{title}: {name} {value[-1]:.3f}  {seconds:.1f} s")
    return trained


def _train(net: Net, seed: int, watched: bool) -> Trained:
    model, task, recipe = net.compiled(seed)
    monitors = [zoo.GradientHealth()] if watched else []
    try:
        history = fit_model(model, net.data, task, recipe, callbacks=monitors, verbose=0).history
    except FloatingPointError:  # which is a result, too
        history = {name: [value] * recipe.epochs for name, value in DIVERGED.items()}
    tested = task.evaluate(model, net.data.test)
    health = monitors[0].history if watched else None
    return Trained(net, model.count_params(), history, tested, health)


def summary(
    trained: Sequence[Trained], measures: Mapping[str, Callable[[Trained], float]]
) -> pd.DataFrame:
    """Make a table: a row for each net, with each measure's mean, lowest and highest value."""
    runs: dict[Any, list[Trained]] = {}
    for one in trained:
        runs.setdefault(one.net.row, []).append(one)
    first = [ones[0] for ones in runs.values()]
    rows = [
        {**one.net.labels, "runs": len(runs[one.net.row]), "parameters": one.parameters}
        for one in first
    ]
    table = pd.DataFrame(rows).set_index(list(first[0].net.labels))
    for name, measure in measures.items():
        add_measure(table, name, {row: list(map(measure, ones)) for row, ones in runs.items()})
    return table


def add_measure(table: pd.DataFrame, name: str, values: Mapping[Any, Sequence[float]]) -> None:
    """Add a measure to a table, whose rows have several values each."""
    for end, of in (("", statistics.fmean), (LOWEST, min), (HIGHEST, max)):
        table[name + end] = [of(values[row]) for row in table.index]


def add_times(table: pd.DataFrame, name: str, times: Mapping[Any, Sequence[float]]) -> None:
    """Add times to a table, also over those of the first row in the same block."""
    add_measure(table, name, times)
    first = times[table.index[0]]
    relative = {
        row: [one / other for one, other in zip(found, first, strict=True)]
        for row, found in times.items()
    }
    add_measure(table, RELATIVE, relative)


def interleaved(
    calls: Mapping[Any, Callable[[], Any]], *, blocks: int = 5, rounds: int = 20
) -> dict[Any, list[float]]:
    """Time calls by turns, so that a slow moment of the machine meets all alike.

    Gives a median for each block of rounds, in milliseconds.
    """
    for call in calls.values():  # which traces
        call()
    medians: dict[Any, list[float]] = {name: [] for name in calls}
    for _ in range(blocks):
        times: dict[Any, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                times[name].append(1e3 * (time.perf_counter() - began))
        for name, found in times.items():
            medians[name].append(statistics.median(found))
    return medians


def step_times(nets: Sequence[Net], *, blocks: int, rounds: int) -> dict[Any, list[float]]:
    """Time a training step of each net, in milliseconds."""
    calls = {}
    for net in nets:
        model, _, recipe = net.compiled()
        batch = net.data.train.batches(recipe.batch_size)[0]
        x, y = map(keras.ops.convert_to_tensor, batch)
        calls[net.row] = lambda model=model, x=x, y=y: model.train_on_batch(x, y)
    return interleaved(calls, blocks=blocks, rounds=rounds)
