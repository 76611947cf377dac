"""What follows from what was measured: a pure function a rule, each with its thresholds.

The rules compare what was measured within one training (layer with layer, step with step), so that
they say the same of a loss that is multiplied by a thousand. Their thresholds were set on one half
of the labelled trainings of `benchmarks/health.py`, and are judged there by the other half.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.arguments import mapping, number
from zoo.health.history import History, kernels
from zoo.registry import require_known

SEVERITIES = ("error", "warning", "info")
FEW_LAYERS = 3  # with fewer, gradients have no way to fade along


@dataclass(frozen=True)
class Finding:
    """What a rule has found.

    Attributes:
        name: The rule's name.
        severity: "error" (this training is hopeless as it is), "warning" or "info".
        layer: Name of the layer where it shows most, or `None`.
        step: The training step where it showed first, or was measured last.
        evidence: What was measured, in words and numbers.
    """

    name: str
    severity: str
    layer: str | None
    step: int
    evidence: str

    def __str__(self) -> str:
        where = f" in {self.layer!r}" if self.layer else ""
        return f"{self.severity}: {self.name}{where}, step {self.step}: {self.evidence}"


def judge(
    history: History, thresholds: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[Finding, ...]:
    """Apply all rules to a history.

    Args:
        history: What was measured.
        thresholds: Thresholds by the rule's name, where they are not to be the defaults.

    Returns:
        The findings, the most severe first.

    Raises:
        ValueError: If a rule or a threshold is unknown, or a threshold out of range.

    Example:
        >>> judge(History())
        ()
    """
    given = checked_thresholds(thresholds)
    found = [rule(history, **given.get(rule.__name__, {})) for rule in RULES]
    findings = [finding for finding in found if finding is not None]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def checked_thresholds(
    thresholds: Mapping[str, Mapping[str, float]] | None,
) -> dict[str, dict[str, float]]:
    """Check thresholds by the rule's name."""
    rules = {rule.__name__: rule for rule in RULES}
    checked = {}
    for name, values in mapping("thresholds", thresholds).items():
        require_known("A monitor", [name], rules)
        values = mapping(f"thresholds[{name!r}]", values)
        known = {key: 0 for key in inspect.signature(rules[name]).parameters if key != "history"}
        require_known(f"The rule {name!r}", values, known)
        checked[name] = {
            key: number(f"thresholds[{name!r}][{key!r}]", value) for key, value in values.items()
        }
    return checked


def non_finite(history: History) -> Finding | None:
    """Tell where the first value came from that was NaN or infinite."""
    first = history.non_finite
    if first is None:
        return None
    came = {
        "batch": "the batch held a value that is NaN or infinite",
        "weight": "weights were NaN or infinite before the step",
        "output": "the layer was the first to give a NaN or infinite output",
        "loss": "the loss was NaN or infinite, and no layer's output was",
        "gradient": "the loss was finite, and a gradient was NaN or infinite",
    }[first.what]
    return Finding("non_finite", "error", first.layer, first.step, came)


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
    if first is not None and first.what in ("weight", "output", "loss", "gradient"):
        name = "weights of NaN" if first.what == "weight" else "loss of NaN"
        add(name, f"in step {first.step}", first.layer, first.step, False)
    for rule, name in ((no_traction, "poor traction"), (loss_spikes, "large changes of the loss")):
        if finding := rule(history):
            add(name, finding.evidence, None, finding.step, False)
    return signs


def vanishing_gradients(
    history: History,
    *,
    ratio: float = 1e-3,
    hopeless_ratio: float = 1e-5,
    time_ratio: float = 1e-3,
    update: float = 1e-5,
) -> Finding | None:
    """Tell whether gradients fade on their way to the input, or back through time.

    Args:
        history: What was measured.
        ratio: Gradients of the first layers over those of the last ones, below which they fade.
        hopeless_ratio: The same, below which the first layers learn nothing.
        time_ratio: The gradient of the first steps in time over the largest, below which a
            recurrent layer that has no traction does not look back so far.
        update: Norm of an update over that of the weights, below which the first layers hardly
            move where the last one does.
    """
    found = depth_ratios(history)
    traction = traction_of(history)
    if len(found):
        late = float(np.median(found[len(found) // 2 :]))
        if late < ratio:
            severity = "error" if late < hopeless_ratio and traction < 0.2 else "warning"
            layer = history.layers[kernels(history)[0]]
            evidence = (
                f"gradients of the first layers are {late:.2g} times those of the last ones, and "
                f"fall by a factor of {_per_layer(history):.2g} a layer"
            )
            return Finding("vanishing_gradients", severity, layer, int(history.steps[-1]), evidence)
    moved = moves_of(history)
    if len(moved) >= FEW_LAYERS and moved[-1] > 30 * update and traction < 0.2:
        early = float(np.median(moved[: max(1, len(moved) // 3)]))
        if early < update:
            layer = history.layers[kernels(history)[0]]
            evidence = (
                f"updates of the first layers are {early:.2g} times their weights, those of the "
                f"last {moved[-1]:.2g} times"
            )
            step = int(history.steps[-1])
            return Finding("vanishing_gradients", "warning", layer, step, evidence)
    for layer, measured in history.time_gradients.items():
        norms = np.array(measured.norms[-1])
        if len(norms) < 10 or not norms.max() > 0 or traction > 0.2:
            continue
        first = float(np.median(norms[: max(1, len(norms) // 10)]) / norms.max())
        if first < time_ratio:
            evidence = (
                f"through time: the gradient of the first of {len(norms)} steps in time is "
                f"{first:.2g} times the largest"
            )
            return Finding("vanishing_gradients", "warning", layer, measured.steps[-1], evidence)
    return None


def dead_units(
    history: History, *, share: float = 0.7, hopeless_share: float = 0.95
) -> Finding | None:
    """Tell whether rectified units are 0 for every example that was looked at.

    Args:
        history: What was measured.
        share: Share of a layer's units.
        hopeless_share: The same, above which nothing passes through the layer.
    """
    last = {name: units.dead[-1] for name, units in history.units.items() if units.dead}
    if not last:
        return None
    layer = max(last, key=last.__getitem__)
    if last[layer] < share:
        return None
    severity = "error" if last[layer] >= hopeless_share else "warning"
    evidence = f"{last[layer]:.0%} of the units were 0 for every example"
    return Finding("dead_units", severity, layer, history.units[layer].steps[-1], evidence)


def saturated_units(
    history: History, *, share: float = 0.6, hopeless_share: float = 0.9
) -> Finding | None:
    """Tell whether sigmoid and tanh units sit at the flat ends of their activation.

    Args:
        history: What was measured.
        share: Share of a layer's outputs.
        hopeless_share: The same, above which hardly a gradient passes.
    """
    last = {name: units.saturated[-1] for name, units in history.units.items() if units.saturated}
    if not last:
        return None
    layer = max(last, key=last.__getitem__)
    if last[layer] < share:
        return None
    severity = (
        "error" if last[layer] >= hopeless_share and traction_of(history) < 0.1 else "warning"
    )
    kind = history.units[layer].kind
    evidence = f"{last[layer]:.0%} of the outputs were at the flat ends of {kind}"
    return Finding("saturated_units", severity, layer, history.units[layer].steps[-1], evidence)


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
    history: History, *, fall: float = 0.02, steps: float = 100, update: float = 1e-5
) -> Finding | None:
    """Tell whether the loss on the training data does not fall.

    Args:
        history: What was measured.
        fall: Share of the first losses by which the last ones are to be lower.
        steps: Number of steps before anything is said.
        update: Norm of an update over that of the weights, below which a loss that hardly falls
            does so by chance.
    """
    losses = history.loss
    if len(losses) < steps or not np.isfinite(losses).all():
        return None
    traction = traction_of(history)
    moved = moves_of(history)
    typical = float(np.median(moved)) if len(moved) else np.inf
    if traction >= fall and (typical >= update or traction > 0.2):
        return None
    evidence = f"the loss fell by {max(traction, 0):.1%} in {len(losses)} steps"
    if typical < update:
        evidence += f"; updates are {typical:.2g} times the weights"
    return Finding("no_traction", "warning", None, int(history.last_step), evidence)


RULES: tuple[Callable[..., Finding | None], ...] = (
    non_finite,
    exploding_gradients,
    vanishing_gradients,
    dead_units,
    saturated_units,
    loss_spikes,
    no_traction,
)


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
    """Give the share of the first losses by which the last ones are lower."""
    losses = history.loss
    start = start_of(losses)
    last = losses[-max(5, len(losses) // 10) :]
    if not start or not len(last) or not np.isfinite(last).all():
        return 0.0
    return float((start - np.median(last)) / abs(start))


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


def _per_layer(history: History) -> float:
    """Give the factor from one layer's gradient to that of the layer before it."""
    logs = np.median(_log_gradients(history), axis=0)
    slope = np.polyfit(np.arange(len(logs)), logs, 1)[0]
    return float(10.0**slope)


def _log_gradients(history: History) -> np.ndarray:
    """Give the logarithms of the layers' gradients, of the records whose gradients are not 0."""
    norms = history.gradient_norm[:, kernels(history)]
    used = np.isfinite(norms).all(axis=1) & (norms > 0).any(axis=1)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(norms[used]), -300)


def _over_first(norms: np.ndarray) -> np.ndarray:
    first = np.where(norms[0] > 0, norms[0], np.inf)
    return np.nan_to_num(norms / first, nan=0.0, posinf=np.inf)
