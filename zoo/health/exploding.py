"""The known signs of exploding gradients, and the rule that goes by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.health.findings import Finding
from zoo.health.history import History, kernels
from zoo.health.levels import depth_ratios, settled, start_of
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
) -> Finding | None:
    """Tell whether gradients or weights grow out of bounds.

    Args:
        history: What was measured.
        loss_growth: Factor by which the loss grew over its start.
        weight_growth: Factor by which a layer's weights grew over their first record.
        gradient_growth: Factor by which the gradients grew over their first records.
        depth_ratio: Gradients of the first layers over those of the last ones.
        update: Norm of an update over that of the weights.
    """
    signs = exploding_signs(
        history,
        loss_growth=loss_growth,
        weight_growth=weight_growth,
        gradient_growth=gradient_growth,
        depth_ratio=depth_ratio,
        update=update,
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
) -> list[Sign]:
    """List the known signs of exploding gradients that a history shows, by name."""
    signs: list[Sign] = []

    def add(name: str, evidence: str, layer: Any, step: int, counts: bool = True) -> None:
        signs.append(Sign(name, evidence, layer, int(step), counts))

    losses, at = history.loss, history.loss_steps
    start = start_of(losses)
    grown = np.flatnonzero(losses > loss_growth * start) if start > 0 else np.array([], int)
    if len(grown) and not settled(losses, start):
        most = np.nanmax(losses[np.isfinite(losses)], initial=start)
        add("growing loss", f"from {start:.3g} to {most:.3g}", None, at[grown[0]])
    columns = kernels(history)
    weights, gradients = history.weight_norm[:, columns], history.gradient_norm[:, columns]
    names = [history.layers[column] for column in columns]
    updates = np.nan_to_num(history.update_ratio[:, columns], nan=0.0, posinf=0.0)
    if updates.size and updates.max() > update:
        row, column = np.unravel_index(np.argmax(updates), updates.shape)
        times = f"{updates[row, column]:.3g} times the weights' norm"
        add("updates as large as the weights", times, names[column], history.steps[row])
    if len(weights) > 1:
        growth = _over_first(weights)
        row, column = np.unravel_index(np.argmax(growth), growth.shape)
        if growth[row, column] > weight_growth:
            times = f"{growth[row, column]:.3g} times its first norm"
            add("growing weights", times, names[column], history.steps[row])
        level = np.median(gradients, axis=1)
        early = np.median(level[: max(1, len(level) // 5)])
        if early > 0 and level.max() > gradient_growth * early and not settled(losses, start):
            step = history.steps[int(np.argmax(level))]
            times = f"{level.max() / early:.3g} times the first ones"
            add("growing gradients", times, None, step)
        ratio = depth_ratios(history)
        if len(ratio) and (ratio.min() > depth_ratio or ratio[-1] > depth_ratio):
            times = f"those of the first layers are {ratio[-1]:.3g} times those of the last"
            add("gradients that grow towards the input", times, names[0], history.steps[-1])
        if (gradients[np.isfinite(gradients)] > 1).all():
            add(
                "gradient norms above 1 for every layer",
                "throughout",
                None,
                history.steps[0],
                False,
            )
    for layer, measured in history.time_gradients.items():
        norms = np.array(measured.norms[-1])
        ends = max(1, len(norms) // 10)
        late = np.median(norms[-ends:])
        if late > 0 and np.median(norms[:ends]) > depth_ratio * late:
            times = f"those of the first steps are {np.median(norms[:ends]) / late:.3g} times"
            words = "gradients that grow back through time"
            add(words, f"{times} those of the last", layer, measured.steps[-1])
    first = history.non_finite
    if first is not None and first.what != "batch":
        name = "weights of NaN" if first.what == "weight" else "loss of NaN"
        add(name, f"in step {first.step}", first.layer, first.step, False)
    for rule, name in ((no_traction, "poor traction"), (loss_spikes, "large changes of the loss")):
        if finding := rule(history):
            add(name, finding.evidence, None, finding.step, False)
    return signs


def _over_first(norms: np.ndarray) -> np.ndarray:
    first = np.where(norms[0] > 0, norms[0], np.inf)
    return np.nan_to_num(norms / first, nan=0.0, posinf=np.inf)
