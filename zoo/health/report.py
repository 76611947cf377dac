"""What a monitor concludes, to be read, drawn and kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.health.exploding import Sign, exploding_signs
from zoo.health.findings import Finding
from zoo.health.history import History
from zoo.health.remedies import REMEDIES, in_order
from zoo.health.rules import judge
from zoo.records import read_json, refusing_damage, write_json


@dataclass(frozen=True)
class Report:
    """What was found in a training; `print` shows it to people.

    Attributes:
        findings: What the rules found, the most severe first.
        signs: The known signs of exploding gradients that showed, by name.
        history: What was measured.

    Example:
        >>> print(Report.of(History()))
        Gradient health: nothing was measured.
    """

    findings: tuple[Finding, ...]
    signs: tuple[Sign, ...]
    history: History

    @classmethod
    def of(
        cls, history: History, thresholds: Mapping[str, Mapping[str, float]] | None = None
    ) -> Report:
        """Judge a history.

        Args:
            history: What was measured.
            thresholds: As `zoo.GradientHealth` takes them.
        """
        given = dict((thresholds or {}).get("exploding_gradients", {}))
        return cls(judge(history, thresholds), tuple(exploding_signs(history, **given)), history)

    @property
    def severity(self) -> str | None:
        """Severity of the worst finding, or `None`."""
        return self.findings[0].severity if self.findings else None

    def findings_as_json(self) -> list[dict[str, Any]]:
        """Give the findings as plain values, which JSON takes."""
        return [vars(finding) for finding in self.findings]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as JSON, whole at any moment.

        Args:
            path: The file.
        """
        content = {
            "findings": self.findings_as_json(),
            "signs": [vars(sign) for sign in self.signs],
            "history": self.history.get_config(),
        }
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            ValueError: If it is missing or damaged.
        """
        content = read_json(Path(path))
        with refusing_damage(Path(path)):
            return cls(
                tuple(Finding(**one) for one in content["findings"]),
                tuple(Sign(**one) for one in content["signs"]),
                History.from_config(content["history"]),
            )

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw gradient flow by depth over time; see `zoo.plots.gradient_flow`."""
        from zoo.plots import gradient_flow

        return gradient_flow(self, None if path is None else Path(path))

    def __str__(self) -> str:
        history = self.history
        if not history.last_step:
            return "Gradient health: nothing was measured."
        layers = len(set(history.layers))
        lines = [f"Gradient health of {history.last_step} steps, {layers} layers with weights:"]
        if not len(history.steps):
            lines.append("  no gradients were measured.")
        if not self.findings:
            lines.append("  nothing found.")
        for finding in self.findings:
            lines.append(f"  {finding}")
            if finding.severity != "info":
                remedies = in_order(REMEDIES[finding.name], history)[:4]
                lines.append(f"    try: {'; '.join(map(str, remedies))}")
        return "\n".join(lines)
