"""What follows from what was measured: a pure function a rule, each with its thresholds.

The rules compare what was measured within one training (layer with layer, step with step), so that
they say the same of a loss that is multiplied by a thousand. Their thresholds were set on one half
of the labelled trainings of `benchmarks/health.py`, and are judged there by the other half.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np

from zoo.arguments import mapping, number
from zoo.health.exploding import exploding_gradients
from zoo.health.findings import SEVERITIES, Finding
from zoo.health.history import History, kernels
from zoo.health.levels import FEW_LAYERS, depth_ratios, factor_a_layer, moves_of, traction_of
from zoo.health.loss_rules import loss_spikes, no_traction
from zoo.registry import require_known


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
        "output with older weights": "with weights of some steps before, the layer is the first to "
        "give a NaN or infinite output of the batch",
        "loss": "the loss was NaN or infinite, and no layer's output was",
        "gradient": "the loss was finite, and a gradient was NaN or infinite",
    }[first.what]
    return Finding("non_finite", "error", first.layer, first.step, came)


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
                f"fall by a factor of {factor_a_layer(history):.2g} a layer"
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
        if len(norms) < 10 or not norms.max() > 0 or not traction <= 0.2:
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
    history: History,
    *,
    share: float = 0.6,
    hopeless_share: float = 0.9,
    fall: float = 0.9,
    targets: float = 0.05,
) -> Finding | None:
    """Tell whether units sit at the flat ends of their activation, or the last ones have to.

    Args:
        history: What was measured.
        share: Share of the outputs of a layer of sigmoid or tanh units.
        hopeless_share: The same, above which hardly a gradient passes.
        fall: Share of the first losses by which the last ones are lower, from which on units may
            be as certain as they like.
        targets: Share of the targets that are beyond what the last activation can give.
    """
    last = {name: units.saturated[-1] for name, units in history.units.items() if units.saturated}
    layer = max(last, key=last.__getitem__) if last else None
    traction = traction_of(history)
    if layer is not None and last[layer] >= share and not traction >= fall:
        is_hopeless = last[layer] >= hopeless_share and traction < 0.1
        units = history.units[layer]
        evidence = f"{last[layer]:.0%} of the outputs were at the flat ends of {units.kind}"
        severity = "error" if is_hopeless else "warning"
        return Finding("saturated_units", severity, layer, units.steps[-1], evidence)
    beyond = history.out_of_reach
    if beyond is None or beyond.share < targets:
        return None
    evidence = (
        f"{beyond.share:.0%} of the targets, which are {beyond.least:.3g} to {beyond.most:.3g}, "
        f"are beyond what {beyond.activation} can give: the last activation does not fit them"
    )
    return Finding("saturated_units", "warning", beyond.layer, beyond.step, evidence)


RULES: tuple[Callable[..., Finding | None], ...] = (
    non_finite,
    exploding_gradients,
    vanishing_gradients,
    dead_units,
    saturated_units,
    loss_spikes,
    no_traction,
)
