"""What was the first value that is not finite: in the batch, a weight, an output, or a gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.health import probe
from zoo.health.batches import floats_of
from zoo.health.history import History, NonFinite
from zoo.health.tap import Tap


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a step that was not finite gave: which gradients and weights were, and the weights.

    The weights are those before the step, and `None` where XLA compiles it and where the loss was
    finite.
    """

    finite_gradients: list[bool]
    finite_weights: list[bool]
    weights: list[np.ndarray] | None


def unpack(tap: Tap, values: np.ndarray, weights_now: Sequence[Any]) -> Kept:
    """Read what a step that was not finite gave; `weights_now` are those after it."""
    columns = tap.layout.columns
    count = len(columns)
    gradients, rest = values[:count].astype(bool).tolist(), values[count:]
    if tap.is_compiled:
        return Kept(gradients, rest.astype(bool).tolist(), None)
    weights = tap.layout.whole(rest)
    if weights is not None:
        return Kept(gradients, [bool(np.isfinite(one).all()) for one in weights], weights)
    if getattr(tap.inner, "global_clipnorm", None):  # which spreads NaN to all
        return Kept(gradients, [True] * count, None)
    # An update by a finite gradient leaves a weight that is not finite as it was.
    now = [bool(ops.all(ops.isfinite(weights_now[column]))) for column in columns]
    pairs = zip(gradients, now, strict=True)
    return Kept(gradients, [is_now or not gradient for gradient, is_now in pairs], None)


def first_broken(
    tap: Tap,
    history: History,
    weights_now: tuple[Any, Any],
    older: Any,
    x: Any,
    kept: Kept | None,
    loss_is_finite: bool,
) -> NonFinite:
    """Tell what was not finite, the layer, and the variables.

    `older` are the trainable weights of some steps before, where those of the step are not kept.
    """
    if any(not np.isfinite(one).all() for one in floats_of(x)):
        return NonFinite(0, "batch", tap.model.layers[0].name)
    if kept is None:
        return NonFinite(0, "gradient" if loss_is_finite else "loss")
    columns = tap.layout.columns
    broken = [column for column, good in zip(columns, kept.finite_weights, strict=True) if not good]
    if broken:
        names = tuple(history.variables[column] for column in broken)
        return NonFinite(0, "weight", history.layers[broken[0]], names)
    flags = zip(columns, kept.finite_gradients, strict=True)
    bad = [column for column, good in flags if not good]
    names = tuple(history.variables[column] for column in bad)
    if loss_is_finite:
        return NonFinite(0, "gradient", history.layers[bad[-1]] if bad else None, names)
    if (kept.weights is None and older is None) or x is None:
        return NonFinite(0, "loss", None, names)
    trainable, others = weights_now
    if kept.weights is None:
        trainable = older
    else:
        own = dict(zip(columns, kept.weights, strict=True))
        trainable = [own.get(column, value) for column, value in enumerate(trainable)]
    trainable = [ops.convert_to_tensor(value) for value in trainable]
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    try:
        layer = probe.first_broken_layer(tap.model, (trainable, others), x)
    except Exception:  # as of a model that takes other inputs than its train step does
        return NonFinite(0, "loss", None, names)
    if kept.weights is None:
        return NonFinite(0, "output with older weights" if layer else "loss", layer, names)
    if layer is None:
        return NonFinite(0, "loss", tap.model.layers[-1].name, names)
    return NonFinite(0, "output", layer, names)
