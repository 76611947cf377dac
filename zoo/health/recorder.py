"""Begins a history, and makes records of the samples that steps take."""

from __future__ import annotations

import math

import keras
import numpy as np

from zoo.health import probe
from zoo.health.history import History, NonFinite
from zoo.health.layout import Layout


def empty_history(model: keras.Model) -> History:
    """Give a history of a model of which nothing was measured yet."""
    variables, recurrent = model.trainable_variables, probe.recurrent_layers(model)
    owners = {
        id(variable): layer.name
        for layer in model._flatten_layers(include_self=False, recursive=True)
        for variable in layer._trainable_variables
    }
    for layer in recurrent:  # whose cells hold the variables
        owners.update({id(variable): layer.name for variable in layer.trainable_variables})
    return History(
        variables=tuple(variable.path for variable in variables),
        layers=tuple(owners.get(id(variable), model.name) for variable in variables),
        sizes=tuple(math.prod(variable.shape) for variable in variables),
        recurrent=tuple(layer.name for layer in recurrent),
    )


class Recorder:
    """Puts records into a history; each needs the weights of two steps in a row.

    Args:
        history: Where records go.
        layout: What the samples are of.
        is_each: Whether each step makes a record, and not two of several steps.
    """

    def __init__(self, history: History, layout: Layout, is_each: bool) -> None:
        self.history, self.layout, self.is_each = history, layout, is_each
        self._waiting: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None

    def take(self, step: int, norms: np.ndarray, weights: np.ndarray, scale: float) -> bool:
        """Take what a step measured; tell whether that ended a record.

        Args:
            step: Number of the step, counted from 1.
            norms: Norms of the gradients.
            weights: Samples of the weights.
            scale: Factor of the loss that the gradients are of.
        """
        ended = self.end(step, weights)
        if ended and not self.is_each:
            return True
        with np.errstate(all="ignore"):  # of what is not finite
            own = self.layout.norms(weights)
            self._waiting = (step, norms / scale, own, weights)
        broken = np.flatnonzero(~np.isfinite(own))
        if len(broken) and self.history.non_finite is None:  # which a ReLU hid from the loss
            column = self.layout.columns[broken[0]]
            layer, name = self.history.layers[column], self.history.variables[column]
            self.history.non_finite = NonFinite(step, "weight", layer, (name,))
        return ended

    def end(self, step: int, weights: np.ndarray) -> bool:
        """End the record of the step before by the weights after it, if there is one."""
        if self._waiting is None or self._waiting[0] != step - 1:
            return False
        number, norms, own, old = self._waiting
        with np.errstate(all="ignore"):
            ratio = self.layout.norms(weights - old) / own
        self.history.add(number, *map(self.layout.spread, (norms, own, ratio)))
        self._waiting = None
        return True
