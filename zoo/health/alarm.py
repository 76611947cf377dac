"""What was the first value that is not finite: in the batch, a weight, an output, or a gradient."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.health import probe
from zoo.health.batches import floats_of
from zoo.health.history import History, NonFinite
from zoo.health.tap import Kept, Tap


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
    columns = tap.columns
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
    layer = probe.first_broken_layer(tap.model, (trainable, others), x)
    if kept.weights is None:
        return NonFinite(0, "output with older weights" if layer else "loss", layer, names)
    if layer is None:
        return NonFinite(0, "loss", tap.model.layers[-1].name, names)
    return NonFinite(0, "output", layer, names)
