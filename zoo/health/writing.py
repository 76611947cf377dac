"""What a monitor writes: its report, the picture, a broken batch, scalars for TensorBoard."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.files import cannot_write, replacing
from zoo.health.history import History

if TYPE_CHECKING:
    from zoo.health.monitor import GradientHealth

BETWEEN_REPORTS = 10.0  # seconds


class Writer:
    """Writes into a monitor's directories, where it has any."""

    def __init__(self, directory: Any, log_dir: Any) -> None:
        for name, value in (("directory", directory), ("log_dir", log_dir)):
            if not isinstance(value, str | os.PathLike | None):
                raise ValueError(f"`{name}` must be a path, received {value!r}.")
            if value is not None:
                _require_writable(Path(value))
        self.directory = None if directory is None else Path(directory)
        self.log_dir = None if log_dir is None else str(log_dir)
        self.report: Path | None = None
        self._scalars: Any = None
        self._next = 0.0

    def begin(self) -> None:
        """Choose the files of a new training."""
        if self.directory is not None:
            _require_writable(self.directory)
            names = ["health.json", *(f"health_{number}.json" for number in range(2, 100_000))]
            self.report = next(p for p in map(self.directory.joinpath, names) if not p.exists())
        if self.log_dir is not None and self._scalars is None:
            from tensorboard.summary import Writer as Scalars

            self._scalars = Scalars(self.log_dir)

    def record(self, history: History) -> None:
        """Write the last record's scalars."""
        if self._scalars is None:
            return
        step, *tables = history.last_record()
        for name, row in zip(("gradient_norm", "weight_norm", "update_ratio"), tables, strict=True):
            for variable, value in zip(history.variables, row, strict=True):
                if np.isfinite(value):
                    self._scalars.add_scalar(f"{name}/{variable}", value, step)

    def batch(self, batch: Any) -> None:
        """Write a batch that was not finite."""
        if self.report is None or batch is None:
            return
        import keras

        arrays: dict[str, Any] = {}
        for name, part in zip(("x", "y", "sample_weight"), batch, strict=True):
            leaves = [leaf for leaf in keras.tree.flatten(part) if leaf is not None]
            keys = [name] if len(leaves) == 1 else [f"{name}_{i}" for i in range(len(leaves))]
            arrays.update(zip(keys, leaves, strict=True))
        path = self.report.with_name(f"{self.report.stem}_batch.npz")
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)

    def epoch(self, monitor: GradientHealth) -> None:
        """Write the report, if the last one is not of just now."""
        if self.report is not None and time.monotonic() >= self._next:
            monitor.report.save(self.report)
            self._next = time.monotonic() + BETWEEN_REPORTS

    def end(self, monitor: GradientHealth) -> None:
        """Write the report and its picture."""
        if self._scalars is not None:
            self._scalars.close()
            self._scalars = None
        if self.report is not None:
            report = monitor.report
            report.save(self.report)
            report.plot(self.report.with_suffix(".png"))


def _require_writable(directory: Path) -> None:
    """Refuse a directory that nothing can be written to; make one that is missing."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied", str(directory))
    except OSError as error:
        raise cannot_write(directory, error) from error
