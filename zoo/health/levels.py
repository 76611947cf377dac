"""What rules compare: the loss with its start, layers with layers, updates with weights."""

from __future__ import annotations

import numpy as np

from zoo.health.history import History, kernels

FEW_LAYERS = 3  # with fewer, gradients have no way to fade along


def start_of(losses: np.ndarray) -> float:
    """Give the level that the loss began at: that of the first steps, unless they blew it up."""
    first = losses[:5][np.isfinite(losses[:5])]
    if not len(first):
        return 0.0
    usual = float(np.median(first))
    return usual if usual < 3 * abs(first[0]) else float(first[0])


def settled(losses: np.ndarray, start: float) -> bool:
    """Tell whether the loss ended below where it began."""
    last = losses[-max(5, len(losses) // 10) :]
    return bool(np.isfinite(last).all() and len(last) and np.median(last) < start)


def traction_of(history: History) -> float:
    """Give the share of the first losses by which the last ones are lower; NaN if none is known."""
    losses = history.loss
    if not np.isfinite(losses).any() and history.non_finite is None:
        return np.nan
    start = start_of(losses)
    last = losses[-max(5, len(losses) // 10) :]
    if not start or not len(last) or not np.isfinite(last).all():
        return 0.0
    return float((start - np.median(last)) / abs(start))


def gain_over_one_output(history: History, steps: float) -> float:
    """Give the share by which the loss is lower than that of one output for all.

    It is that of the last look, with what the losses fell since; infinity where nobody looked after
    so many steps.
    """
    measured, losses = history.one_output, history.loss
    if not measured.steps or measured.steps[-1] < steps:
        return np.inf
    loss, level = measured.loss[-1], measured.of_mean[-1]
    since = losses[history.loss_steps >= measured.steps[-1]]
    if not len(since) or not level:
        return np.inf
    return float((level - loss + fall_of(since) * abs(loss)) / abs(level))


def fall_of(losses: np.ndarray) -> float:
    """Give the share of the first of some losses by which the last ones are lower, or 0."""
    ends = max(5, len(losses) // 10)
    first, last = np.median(losses[:ends]), np.median(losses[-ends:])
    return max(float((first - last) / abs(first)), 0.0) if first else 0.0


def moves_of(history: History) -> np.ndarray:
    """Give for each layer the norm of its updates over that of its weights."""
    ratios = history.update_ratio[:, kernels(history)]
    used = ratios[np.isfinite(ratios).all(axis=1)]
    return np.median(used, axis=0) if len(used) else np.array([])


def depth_ratios(history: History) -> np.ndarray:
    """Give for each record the gradients of the first third of the layers over the last third's."""
    logs = _log_gradients(history)
    if logs.shape[1] < FEW_LAYERS:
        return np.array([])
    third = max(1, logs.shape[1] // 3)
    early, late = (np.median(part, axis=1) for part in (logs[:, :third], logs[:, -third:]))
    return 10.0 ** np.clip(early - late, -300, 300)


def factor_a_layer(history: History) -> float:
    """Give the factor from one layer's gradient to that of the layer before it."""
    logs = np.median(_log_gradients(history), axis=0)
    slope = np.polyfit(np.arange(len(logs)), logs, 1)[0]
    return float(10.0**slope)


def _log_gradients(history: History) -> np.ndarray:
    """Give the logarithms of the layers' gradients, of the records whose gradients are not 0.

    A layer's gradient is that of all its variables: where what goes forward fades, too, its
    kernel's is small in every layer, and its bias's tells what comes back.
    """
    names = list(dict.fromkeys(history.layers))
    places = [names.index(layer) for layer in history.layers]
    squares = np.zeros((len(history.steps), len(names)))
    np.add.at(squares.T, places, np.square(history.gradient_norm).T)
    used = np.isfinite(squares).all(axis=1) & (squares > 0).any(axis=1)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(squares[used]) / 2, -300)
