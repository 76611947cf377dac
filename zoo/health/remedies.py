"""What can be done about a finding, in the order in which it is worth trying."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.health.history import History, kernels

# Norm of a layer's largest update over that of its weights: of 159 healthy trainings, of the half
# of `benchmarks/health.py` that sets thresholds, the median is 0.012; nine in ten: 0.004 to 0.05.
USUAL_UPDATE = 0.01
SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "softsign")
UNSCALED = ("ones", "zeros", "random_normal", "random_uniform", "truncated_normal")


@dataclass(frozen=True, eq=False)
class Remedy:
    """A change of what a model is built with, or of what its training is told.

    Args:
        words: What it does, and for what.
        arguments: Arguments of the builder, value by name.
        values: Values of the recipe, by name.
        factors: Values of the recipe that are multiplied, factor by name.
        instead_of: Values of an argument that the remedy is for, by name; of others it is no
            remedy.
    """

    words: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    instead_of: Mapping[str, Collection[Any]] = field(default_factory=dict)

    @property
    def call(self) -> str:
        """The arguments as they are written in a call; empty where the remedy is no argument."""
        given = {**self.arguments, **self.values}
        parts = [f"{name}={value!r}" for name, value in given.items()]
        return ", ".join([*parts, *(f"{name} * {by:g}" for name, by in self.factors.items())])

    def changes(
        self, arguments: Mapping[str, Any], values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Give what the remedy makes of a builder's arguments and a recipe's values.

        Args:
            arguments: All arguments that the builder has, with the values that it is called with.
            values: All values of the recipe.

        Returns:
            The arguments and the values that change; `None` where the remedy changes nothing.
        """
        for name, wanted in self.instead_of.items():
            if arguments.get(name) not in wanted:
                return None
        if not set(self.arguments) <= set(arguments):
            return None
        new = {name: value for name, value in self.arguments.items() if arguments[name] != value}
        told = {name: value for name, value in self.values.items() if values.get(name) != value}
        told.update({name: values[name] * by for name, by in self.factors.items()})
        return (new, told) if new or told else None

    def __str__(self) -> str:
        return f"{self.call} ({self.words})" if self.call else self.words


CLIP = Remedy("clip the gradients", values={"global_clipnorm": 1.0})
LOWER_RATE = Remedy("lower the learning rate", factors={"learning_rate": 0.1})
MUCH_LOWER_RATE = Remedy("lower the learning rate much", factors={"learning_rate": 0.001})
HIGHER_RATE = Remedy("raise the learning rate", factors={"learning_rate": 10.0})
WARM_UP = Remedy("warm the learning rate up", values={"warmup_epochs": 1.0})
SCALE = Remedy("scale the inputs to about [0, 1], or to mean 0 and standard deviation 1")
RELU = Remedy(
    "ReLU in place of an activation with flat ends",
    arguments={"activation": "relu"},
    instead_of={"activation": SATURATING},
)
BOUNDED = Remedy(
    "ReLU in place of an activation that grows too fast",
    arguments={"activation": "relu"},
    instead_of={"activation": ("exponential", "linear")},
)
LEAKY = Remedy(
    "leaky ReLU, whose units cannot die",
    arguments={"activation": "leaky_relu"},
    instead_of={"activation": ("relu", "relu6")},
)
SKIP = Remedy("skip connections", arguments={"skip_connections": True})
BATCH_NORM = Remedy("batch normalization", arguments={"batch_norm": True})
HE = Remedy("He initialisation, for ReLU", arguments={"kernel_initializer": "he_normal"})
GLOROT = Remedy(
    "Glorot initialisation, for tanh and sigmoid",
    arguments={"kernel_initializer": "glorot_uniform"},
)
INITIAL = Remedy(
    "Glorot initialisation in place of one that does not go by the layer's size",
    arguments={"kernel_initializer": "glorot_uniform"},
    instead_of={"kernel_initializer": UNSCALED},
)
GRU = Remedy(
    "GRU in place of the simple recurrent cell",
    arguments={"cell": "gru"},
    instead_of={"cell": ("simple",)},
)
LSTM = Remedy(
    "LSTM in place of the simple recurrent cell",
    arguments={"cell": "lstm"},
    instead_of={"cell": ("simple",)},
)
FLOAT32 = Remedy("compute in float32", values={"precision": "float32"})
CHECK_DATA = Remedy("look for NaN and infinite values in the data (monitor.bad_batch has them)")
CHECK_LAST = Remedy("check that the last activation fits the loss and the labels")

REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "non_finite": (
        *(CHECK_DATA, BOUNDED, INITIAL, CLIP, LOWER_RATE, MUCH_LOWER_RATE),
        *(SCALE, BATCH_NORM, FLOAT32),
    ),
    "exploding_gradients": (
        *(BOUNDED, INITIAL, CLIP, LOWER_RATE, MUCH_LOWER_RATE, WARM_UP),
        *(SCALE, BATCH_NORM, GLOROT, SKIP, GRU, LSTM),
    ),
    "vanishing_gradients": (RELU, SKIP, BATCH_NORM, HE, GRU, LSTM),
    "dead_units": (LOWER_RATE, MUCH_LOWER_RATE, LEAKY, HE, BATCH_NORM, SCALE),
    "saturated_units": (RELU, BATCH_NORM, GLOROT, CHECK_LAST, LOWER_RATE, SCALE),
    "loss_spikes": (LOWER_RATE, CLIP, MUCH_LOWER_RATE, WARM_UP, BATCH_NORM),
    "no_traction": (
        *(LOWER_RATE, HIGHER_RATE, CHECK_LAST, MUCH_LOWER_RATE, INITIAL),
        *(BATCH_NORM, SCALE),
    ),
}
"""Remedies by the name of a finding; those for a value that brings it about come first."""


def in_order(remedies: Sequence[Remedy], history: History) -> tuple[Remedy, ...]:
    """Put remedies in the order in which they are worth trying, by what was measured.

    Where updates are far from what is usual, the learning rate that would make them so comes before
    other rates and before clipping, and rates that would take them farther away come last.

    Args:
        remedies: Those of a finding.
        history: What was measured in the training.

    Example:
        >>> history = History(("dense/kernel",), ("dense",), (64,))
        >>> history.add(1, np.array([9.0]), np.array([8.0]), np.array([2.0]))  # twice the weights
        >>> [remedy.call for remedy in in_order((CLIP, LOWER_RATE, MUCH_LOWER_RATE), history)]
        ['learning_rate * 0.001', 'learning_rate * 0.1', 'global_clipnorm=1.0']
    """
    wanted = _wanted_factor(history)
    rates = {remedy: remedy.factors["learning_rate"] for remedy in remedies if remedy.factors}
    if not 0 < wanted < 0.1 and not 10 < wanted < math.inf:
        return tuple(remedies)
    near = [remedy for remedy, factor in rates.items() if (factor < 1) == (wanted < 1)]
    near.sort(key=lambda remedy: abs(math.log(rates[remedy] / wanted)))
    away = [remedy for remedy in rates if remedy not in near]
    before = list(itertools.takewhile(lambda one: one not in (CLIP, *rates), remedies))
    after = [remedy for remedy in remedies if remedy not in (*before, *rates)]
    return (*before, *near, *after, *away)


def _wanted_factor(history: History) -> float:
    """Give the factor of the learning rate that makes the largest updates usual; NaN if unknown."""
    ratios = history.update_ratio[:, kernels(history)]
    ratios = np.where(np.isfinite(ratios), ratios, 0.0)
    largest = float(np.median(ratios.max(axis=0))) if ratios.size else 0.0
    return USUAL_UPDATE / largest if largest > 0 else math.nan
