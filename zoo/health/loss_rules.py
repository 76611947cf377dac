"""Rules of the loss: it jumps, or does not fall."""

from __future__ import annotations

import numpy as np

from zoo.health.findings import Finding
from zoo.health.history import History
from zoo.health.levels import fall_of, gain_over_one_output, moves_of, start_of, traction_of


def loss_spikes(history: History, *, factor: float = 3.0, count: float = 3) -> Finding | None:
    """Tell whether the loss changes much from update to update.

    Args:
        history: What was measured.
        factor: A spike is this many times the median of the 20 losses before, and the start.
        count: Number of spikes.
    """
    losses, at = history.loss, history.loss_steps
    start = start_of(losses)
    spikes = []
    for index in range(5, len(losses)):
        usual = np.median(losses[max(0, index - 20) : index])
        if losses[index] > factor * max(usual, start * 0.5):
            spikes.append(index)
    if len(spikes) < count:
        return None
    worst = max(spikes, key=lambda index: losses[index])
    evidence = f"{len(spikes)} losses were far above those before, such as {losses[worst]:.3g}"
    return Finding("loss_spikes", "warning", None, int(at[spikes[0]]), evidence)


def no_traction(
    history: History,
    *,
    fall: float = 0.02,
    steps: float = 100,
    update: float = 1e-5,
    gain: float = 0.04,
    late_fall: float = 0.1,
) -> Finding | None:
    """Tell whether the loss on the training data does not fall, or ends no lower than a constant's.

    Args:
        history: What was measured.
        fall: Share of the first losses by which the last ones are to be lower.
        steps: Number of steps before anything is said.
        update: Norm of an update over that of the weights, below which a loss that hardly falls
            does so by chance.
        gain: Share by which the loss is to be lower than that of one output for all examples, or
            to fall after it was measured.
        late_fall: Share by which the loss may fall in the second half of the steps, from which on
            it may still be higher than that.
    """
    losses = history.loss
    if len(losses) < steps or not np.isfinite(losses).all():
        return None
    traction = traction_of(history)
    moved = moves_of(history)
    typical = float(np.median(moved)) if len(moved) else np.inf
    evidence = f"the loss fell by {max(traction, 0):.1%} in {len(losses)} steps"
    if traction < fall or (typical < update and traction <= 0.2):
        if typical < update:
            evidence += f"; updates are {typical:.2g} times the weights"
    elif (
        gain_over_one_output(history, steps) < gain
        and fall_of(losses[len(losses) // 2 :]) < late_fall
    ):
        measured = history.one_output
        evidence += (
            f"; in step {measured.steps[-1]} it was {measured.loss[-1]:.3g}, and "
            f"{measured.of_mean[-1]:.3g} with one output for all examples"
        )
    else:
        return None
    return Finding("no_traction", "warning", None, int(history.last_step), evidence)
