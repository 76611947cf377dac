"""The known signs of exploding gradients, and the rule that goes by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.health.findings import Finding
from zoo.health.history import History, kernels
from zoo.health.levels import depth_ratios, settled, start_of, traction_of
from zoo.health.loss_rules import loss_spikes, no_traction


@dataclass(frozen=True)
class Sign:
    """A known sign of exploding gradients, with its evidence.

    Attributes:
        name: What it is called.
        evidence: What was measured.
        layer: Where it shows, or `None`.
        step: When it showed first.
        counts: Whether it makes a finding by itself; the others are information.
    """

    name: str
    evidence: str
    layer: str | None
    step: int
    counts: bool


def exploding_gradients(
    history: History,
    *,
    loss_growth: float = 10.0,
    weight_growth: float = 10.0,
    gradient_growth: float = 1e3,
    depth_ratio: float = 1e3,
    update: float = 1.0,
    update_rms: float = 0.01,
) -> Finding | None:
    """Tell whether gradients or weights grow out of bounds.

    Args:
        history: What was measured.
        loss_growth: Factor by which the loss grew over its start.
        weight_growth: Factor by which a layer's weights grew over their first record, where the
            training gained little by it.
        gradient_growth: Factor by which the gradients grew over their first records.
        depth_ratio: Gradients of the first layers over those of the last ones.
        update: Norm of an update over that of the weights.
        update_rms: Root mean square of an update, below which it harms no weights, small as these
            may be at first.
    """
    signs = exploding_signs(
        history,
        loss_growth=loss_growth,
        weight_growth=weight_growth,
        gradient_growth=gradient_growth,
        depth_ratio=depth_ratio,
        update=update,
        update_rms=update_rms,
    )
    strong = [sign for sign in signs if sign.counts]
    if not strong:
        return None
    blew_up = history.non_finite is not None or any(s.name == "growing loss" for s in strong)
    severity = "error" if blew_up or len(strong) > 1 else "warning"
    evidence = "; ".join(f"{sign.name}: {sign.evidence}" for sign in signs if sign.counts)
    return Finding("exploding_gradients", severity, strong[0].layer, strong[0].step, evidence)


def exploding_signs(
    history: History,
    *,
    loss_growth: float = 10.0,
    weight_growth: float = 10.0,
    gradient_growth: float = 1e3,
    depth_ratio: float = 1e3,
    update: float = 1.0,
    update_rms: float = 0.01,
) -> list[Sign]:
    """List the known signs of exploding gradients that a history shows, by name."""
    return [
        *_of_loss(history, loss_growth),
        *_of_weights(history, update, update_rms, weight_growth),
        *_of_gradients(history, gradient_growth, depth_ratio),
        *_through_time(history, depth_ratio),
        *_for_information(history),
    ]


def _of_loss(history: History, loss_growth: float) -> Iterator[Sign]:
    losses, start = history.loss, start_of(history.loss)
    grown = np.flatnonzero(losses > loss_growth * start) if start > 0 else np.array([], int)
    if len(grown) and not settled(losses, start):
        most = np.nanmax(losses[np.isfinite(losses)], initial=start)
        step = int(history.loss_steps[grown[0]])
        yield Sign("growing loss", f"from {start:.3g} to {most:.3g}", None, step, True)


def _of_weights(
    history: History, update: float, update_rms: float, weight_growth: float
) -> Iterator[Sign]:
    columns = kernels(history)
    names = [history.layers[column] for column in columns]
    weights = history.weight_norm[:, columns]
    updates = np.nan_to_num(history.update_ratio[:, columns], nan=0.0, posinf=0.0)
    sizes = updates * weights / np.sqrt([history.sizes[column] for column in columns])
    updates = np.where(sizes < update_rms, 0.0, updates)
    if updates.size and updates.max() > update:
        row, column = np.unravel_index(np.argmax(updates), updates.shape)
        words, step = "updates as large as the weights", int(history.steps[row])
        times = f"{updates[row, column]:.3g} times the weights' norm"
        yield Sign(words, times, names[column], step, True)
    if len(weights) < 2:
        return
    growth = _over_first(weights)
    row, column = np.unravel_index(np.argmax(growth), growth.shape)
    if growth[row, column] > weight_growth:
        times = f"{growth[row, column]:.3g} times its first norm"
        counts = traction_of(history) < 0.2 or no_traction(history) is not None
        yield Sign("growing weights", times, names[column], int(history.steps[row]), counts)


def _of_gradients(history: History, gradient_growth: float, depth_ratio: float) -> Iterator[Sign]:
    gradients = history.gradient_norm[:, kernels(history)]
    if len(gradients) < 2:
        return
    level = np.median(gradients, axis=1)
    early = np.median(level[: max(1, len(level) // 5)])
    is_settled = settled(history.loss, start_of(history.loss))
    if early > 0 and level.max() > gradient_growth * early and not is_settled:
        times = f"{level.max() / early:.3g} times the first ones"
        step = int(history.steps[int(np.argmax(level))])
        yield Sign("growing gradients", times, None, step, True)
    ratio, last = depth_ratios(history), int(history.steps[-1])
    if len(ratio) and ratio[-1] > depth_ratio:
        times = f"those of the first layers are {ratio[-1]:.3g} times those of the last"
        first = history.layers[kernels(history)[0]]
        yield Sign("gradients that grow towards the input", times, first, last, True)
    if (gradients[np.isfinite(gradients)] > 1).all():
        words, step = "gradient norms above 1 for every layer", int(history.steps[0])
        yield Sign(words, "throughout", None, step, False)


def _through_time(history: History, depth_ratio: float) -> Iterator[Sign]:
    for layer, measured in history.time_gradients.items():
        norms = np.array(measured.norms[-1])
        ends = max(1, len(norms) // 10)
        first, last = np.median(norms[:ends]), np.median(norms[-ends:])
        if last > 0 and first > depth_ratio * last:
            times = f"those of the first steps are {first / last:.3g} times those of the last"
            words = "gradients that grow back through time"
            yield Sign(words, times, layer, measured.steps[-1], True)


def _for_information(history: History) -> Iterator[Sign]:
    first = history.non_finite
    if first is not None and first.what != "batch":
        name = "weights of NaN" if first.what == "weight" else "loss of NaN"
        yield Sign(name, f"in step {first.step}", first.layer, first.step, False)
    for rule, name in ((no_traction, "poor traction"), (loss_spikes, "large changes of the loss")):
        if finding := rule(history):
            yield Sign(name, finding.evidence, None, finding.step, False)


def _over_first(norms: np.ndarray) -> np.ndarray:
    first = np.where(norms[0] > 0, norms[0], np.inf)
    return np.nan_to_num(norms / first, nan=0.0, posinf=np.inf)
