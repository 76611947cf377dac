"""Outputs beside their targets: what one output for all would cost, and what is out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.health.history import OutOfReach
from zoo.health.probe import activation_name, loss_of, training_argument

FEW_EXAMPLES = 8  # of fewer, the mean is too near to each
TINY = 1e-7  # the least probability that has a logarithm, as in Keras's losses
# The lowest and the highest output of an activation.
REACH = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, np.inf),
}
MOST_OUTPUTS = 10_000_000  # of a batch; for more, as of large vocabularies, it takes too long
MARGIN = 0.01  # how far beyond its reach an activation's outputs may be asked for


def beside_one_output(
    model: keras.Model, state: Mapping[str, Any], batch: tuple[Any, Any, Any]
) -> tuple[float, float] | None:
    """Give the loss of examples, and the lowest found if one output is given for all of them.

    Nothing where that tells nothing: of few examples, or of targets that are all alike, or of a
    loss that does not come from the outputs.
    """
    targets = _arrays(batch[1])
    if not any(len(one) >= FEW_EXAMPLES and (one != one[:1]).any() for one in targets):
        return None

    def cost(outputs: Any) -> float:
        return float(loss_of(model, state, batch, outputs))

    outputs = outputs_of(model, state, batch[0], training=True)
    means = keras.tree.map_structure(
        lambda one: ops.broadcast_to(ops.mean(one, axis=0, keepdims=True), one.shape), outputs
    )
    loss = cost(outputs)
    of_one = [cost(means)]
    for of_all, of_others in _constants(outputs, targets):
        of_one.append(max(cost(of_all), cost(of_others)))
    does_vary = any(map(_vary, keras.tree.flatten(outputs), keras.tree.flatten(means)))
    if does_vary and set(of_one) == {loss}:
        return None
    lowest = float(np.nanmin(of_one))
    if loss >= lowest:  # it may be what dropout makes of it
        loss = min(loss, cost(outputs_of(model, state, batch[0], training=False)))
    return loss, lowest


def _constants(outputs: Any, targets: list[np.ndarray]) -> Iterator[tuple[Any, Any]]:
    """Give what one output for all examples may be: the mean target, or its logits.

    Each could be learned without the inputs, so the lowest loss of them is one that any model can
    have, whatever the loss expects. A mean of these few targets has an advantage, though, as it is
    made for them; so with each comes what the other examples alone would make it.
    """
    leaves = keras.tree.flatten(outputs)
    if len(leaves) != len(targets):
        return
    found = [_means(target, leaf.shape) for target, leaf in zip(targets, leaves, strict=True)]
    means = [one for one in found if one is not None]
    if len(means) < len(found):
        return
    for link in (lambda share: share, _log, lambda share: _log(share) - _log(1 - share)):
        of_all, of_others = (
            keras.tree.pack_sequence_as(
                outputs,
                [
                    ops.convert_to_tensor(link(one), leaf.dtype)
                    for one, leaf in zip(kind, leaves, strict=True)
                ],
            )
            for kind in zip(*means, strict=True)
        )
        yield of_all, of_others


def _means(target: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Give for each example the mean target, and that of the others; or nothing to compare.

    They are drawn towards the mean of all units, as there may be more units than examples: for
    classes, this counts one example more of each.
    """
    units, size = shape[-1] if len(shape) > 1 else 1, int(np.prod(shape))
    if size > MOST_OUTPUTS:
        return None
    if target.size == size:
        rows = target.reshape(-1, units).astype(np.float64)
    elif target.size * units == size and np.isin(target, np.arange(units)).all():
        rows = np.eye(units)[target.reshape(-1).astype(int)]
    else:
        return None
    count = len(rows) + units
    total = np.broadcast_to(rows.sum(axis=0) + units * rows.mean(), rows.shape)
    return (total / count).reshape(shape), ((total - rows) / (count - 1)).reshape(shape)


def out_of_reach(
    model: keras.Model, state: Mapping[str, Any], batch: tuple[Any, Any, Any], step: int
) -> OutOfReach | None:
    """Tell whether the loss asks for targets that are beyond what a last activation can give."""
    ends, targets = _ends(model), _arrays(batch[1])
    if len(ends) != len(targets):
        return None
    for place, (end, target) in enumerate(zip(ends, targets, strict=True)):
        layer = end._keras_history.operation
        activation = activation_name(layer)
        low, high = REACH.get(activation, (-np.inf, np.inf))
        is_alike = target.size == len(target) * np.prod([size or 0 for size in end.shape[1:]])
        share = float(np.mean((target < low - MARGIN) | (target > high + MARGIN)))
        if not is_alike or not share:
            continue
        outputs = outputs_of(model, state, batch[0], training=False)
        met, nearest = (
            float(loss_of(model, state, batch, _with_output(outputs, place, wanted)))
            for wanted in (target, np.clip(target, low, high))
        )
        if met <= nearest:
            least, most = float(target.min()), float(target.max())
            return OutOfReach(step, layer.name, activation, share, least, most)
    return None


def outputs_of(model: keras.Model, state: Mapping[str, Any], x: Any, training: bool) -> Any:
    """Give a model's outputs of examples."""
    weights = (state["trainable"], state["non_trainable"])
    return model.stateless_call(*weights, x, **training_argument(model, training))[0]


def _with_output(outputs: Any, place: int, values: np.ndarray) -> Any:
    """Put values in the place of one of a model's outputs."""
    leaves = keras.tree.flatten(outputs)
    shape, dtype = leaves[place].shape, leaves[place].dtype
    leaves[place] = ops.convert_to_tensor(values.reshape(shape), dtype)
    return keras.tree.pack_sequence_as(outputs, leaves)


def _ends(model: keras.Model) -> list[Any]:
    """Give the symbolic outputs of a model that has a graph of layers."""
    inner = getattr(model, "_functional", None) or model
    return keras.tree.flatten(inner.outputs) if isinstance(inner, keras.Function) else []


def _arrays(y: Any) -> list[np.ndarray]:
    return [np.asarray(ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(y)]


def _log(share: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(share, TINY))


def _vary(outputs: Any, means: Any) -> bool:
    """Tell whether examples have other outputs, by more than rounding makes."""
    return bool(ops.max(ops.abs(outputs - means)) > 1e-5 * ops.max(ops.abs(outputs)))
