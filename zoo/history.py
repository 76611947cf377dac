"""Tables of what a training logs: a row an epoch, a column a value."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.files import replacing
from zoo.records import refusing_damage

EPOCH = "epoch"


def write_table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a table as CSV that is whole at any moment."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != EPOCH]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([EPOCH, *names])
    for number, row in enumerate(rows, 1):
        writer.writerow([number, *(float(row[name]) if name in row else "" for name in names)])
    with replacing(path) as draft:
        # A name that is no valid text must not end a training.
        draft.write_text(text.getvalue(), "utf-8", errors="backslashreplace", newline="")


def read_table(path: Path) -> list[dict[str, float]]:
    """Read a table that `write_table` wrote."""
    with refusing_damage(path):
        text = path.read_bytes().decode()
        if not text.endswith("\n"):
            raise ValueError("its last line is cut off")
        names, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        if names[:1] != [EPOCH] or len(set(names)) < len(names):
            raise ValueError(f"its columns are {names}, expected 'epoch' and different names")
        return [_row(number, names, cells) for number, cells in enumerate(lines, 1)]


def numbers_of(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Pick the numbers from what callbacks logged, which may be anything."""
    numbers = {}
    for name, value in (logs or {}).items():
        number = _number(value)
        if number is None or not isinstance(name, str) or name == EPOCH or "\r" in name:
            warnings.warn(  # once for each name: Python shows the same text only once
                f"{name!r} in the logs of a callback is left out of the history, which holds "
                f"numbers by name (and no other {EPOCH!r}). It is of type {type(value).__name__}.",
                stacklevel=2,
            )
        else:
            numbers[name] = number
    return numbers


def _row(number: int, names: list[str], cells: list[str]) -> dict[str, float]:
    if len(cells) != len(names) or cells[0] != str(number):
        raise ValueError(f"row {number} is {cells}, expected {number} and {len(names) - 1} cells")
    values = {name: float(cell) for name, cell in zip(names, cells, strict=True) if cell}
    return {**values, EPOCH: number}


def _number(value: Any) -> float | None:
    try:
        is_other = isinstance(value, str | bytes | np.complexfloating)
        return None if is_other or np.ndim(value) else float(value)
    except Exception:  # whatever an object of anybody's raises; a log must not end a training
        return None
