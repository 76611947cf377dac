"""What is true of a run, apart from the rules; and how often the rules are right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from health_corpus import EPOCHS
from health_nets import ARCHITECTURES
from health_ways import HEALTHY

LEARNS, FAILS = 0.7, 0.6  # of the skill of a forest of trees with the same data
CLASSES = {
    "exploding_gradients": "exploding",
    "loss_spikes": "exploding",
    "vanishing_gradients": "vanishing",
    "dead_units": "dead",
    "saturated_units": "saturated",
    "non_finite": "non_finite",
    "no_traction": "no_traction",
}
ALARMS = ("error", "warning")


def truth(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Give what a run is both by construction and as measured; nothing where these disagree.

    A healthy run is one that learns. A sick one does not, and shows the sign of its sickness, which
    is measured on validation examples without the monitor. "no_traction" is true only where no
    other sign of the construction shows.
    """
    labels = entry["run"]["labels"]
    skill = entry["end"]["skill"] / entry["reference"]
    if HEALTHY in labels:
        return (HEALTHY,) if skill >= LEARNS and entry["end"]["finite"] else ()
    if skill > FAILS:
        return ()
    shown = tuple(label for label in labels if SIGNS[label](entry))
    return tuple(label for label in shown if label != "no_traction") or shown


def _exploding(entry: Mapping[str, Any]) -> bool:
    """Loss NaN or 20 times what a constant would give, or weights 10 times what they were."""
    losses = np.array(entry["losses"]) / entry["loss scale"]
    if not np.isfinite(losses).all() or losses.max() > 20 * entry["constant loss"]:
        return True
    sizes = zip(entry["start"]["weights"], entry["end"]["weights"], strict=True)
    return any(not end <= 10 * start for start, end in sizes if start > 0)


def _vanishing(entry: Mapping[str, Any]) -> bool:
    """Gradients of the first layer below 1e-3 of the largest, or of the first steps below 1e-4."""
    return any(
        _share_of_largest(entry[when]["gradients"][:1], entry[when]["gradients"]) < 1e-3
        or _through_time(entry[when]) < 1e-4
        for when in ("start", "end")
    )


def _through_time(measured: Mapping[str, Any]) -> float:
    sizes = measured.get("by step")
    return _share_of_largest(sizes[: len(sizes) // 10], sizes) if sizes else math.inf


def _share_of_largest(some: Sequence[float], all_of_them: Sequence[float]) -> float:
    largest = max(all_of_them)
    return max(some) / largest if some and 0 < largest < math.inf else math.inf


def _dead(entry: Mapping[str, Any]) -> bool:
    """Most rectified units of a layer never fire."""
    return any(share >= 0.8 for share in entry["end"]["dead"].values())


def _saturated(entry: Mapping[str, Any]) -> bool:
    """Most sigmoid or tanh outputs of a layer are at an end of their range."""
    return any(share >= 0.8 for share in entry["end"]["saturated"].values())


def _no_traction(entry: Mapping[str, Any]) -> bool:
    """The last epoch is hardly better than the first, or than a constant would be."""
    first, *_, last = np.reshape(entry["losses"], (EPOCHS, -1)).mean(axis=1)
    return bool(last > 0.9 * min(entry["constant loss"] * entry["loss scale"], first))


SIGNS = {
    "exploding": _exploding,
    "vanishing": _vanishing,
    "dead": _dead,
    "saturated": _saturated,
    "no_traction": _no_traction,
    "non_finite": lambda entry: not entry["end"]["finite"],
}


def verdict(entry: Mapping[str, Any], findings: Sequence[Any]) -> dict[str, Any]:
    """Set what was found beside what is true of a run."""
    alarms = [finding for finding in findings if finding.severity in ALARMS]
    worst = [finding for finding in alarms if finding.severity == alarms[0].severity]
    true = truth(entry)
    classes = {CLASSES[finding.name] for finding in worst}
    return {
        "architecture": entry["run"]["architecture"],
        "half": ARCHITECTURES[entry["run"]["architecture"]].half,
        "way": entry["run"]["way"],
        "run": entry["key"],
        "seed": entry["seed"],
        "true": true,
        "truth": " or ".join(true) or "dropped",
        "found": "; ".join(f"{finding.severity}: {finding.name}" for finding in findings),
        "sick": bool(true) and HEALTHY not in true,
        "alarm": bool(alarms),
        "error": any(finding.severity == "error" for finding in findings),
        "class right": bool(classes & set(true)),
    }


def rates(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count how often the rules are right on runs that have a label."""
    known = [one for one in verdicts if one["true"]]
    sick = [one for one in known if one["sick"]]
    healthy = [one for one in known if not one["sick"]]
    alarms = [one for one in known if one["alarm"]]
    return {
        "sick": len(sick),
        "healthy": len(healthy),
        "recall": share(one["alarm"] for one in sick),
        "precision": share(one["sick"] for one in alarms),
        "class accuracy": share(one["class right"] for one in sick),
        "alarms on healthy": share(one["alarm"] for one in healthy),
        "errors on healthy": share(one["error"] for one in healthy),
        "dropped": len(verdicts) - len(known),
    }


def share(of: Iterable[bool]) -> float | None:
    values = list(of)
    return round(sum(values) / len(values), 4) if values else None


def by(verdicts: Sequence[Mapping[str, Any]], column: str) -> list[dict[str, Any]]:
    """Give the rates by the values of a column."""
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for one in verdicts:
        groups.setdefault(one[column], []).append(one)
    return [{column: name, **rates(group)} for name, group in groups.items()]


def wrong(verdicts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the runs that the rules get wrong."""
    return [
        {"run": one["run"], "seed": one["seed"], "truth": one["truth"], "found": one["found"]}
        for one in verdicts
        if one["true"] and (not one["class right"] if one["sick"] else one["alarm"])
    ]
