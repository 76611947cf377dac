"""What a rule finds."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "info")


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
