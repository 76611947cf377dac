"""What the benchmarks share: interleaved timing, the machine's description, a table, JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def interleaved(
    contestants: Mapping[str, Callable[[], None]], *, rounds: int, steps: int
) -> dict[str, list[float]]:
    """Time each contestant once a round, so that a slow moment of the machine meets all alike.

    Returns milliseconds a step, one entry a round; a first round, which traces, is dropped.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in track(range(rounds + 1), "rounds"):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - started) / steps * 1e3)
    return {name: values[1:] for name, values in times.items()}


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(times), 2),
        "fastest_ms": round(min(times), 2),
        "slowest_ms": round(max(times), 2),
        "rounds": len(times),
    }


def machine() -> dict[str, Any]:
    """Processor, cores and the versions of what was measured."""
    versions = {}
    for package in ("keras-zoo", "keras", "tensorflow", "torch", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": processor(), "cores": os.cpu_count(), "versions": versions}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    bfloat16 = sorted({"avx512_bf16", "amx_bf16"} & set(flags))
    return f"{name or platform.processor()} ({', '.join(bfloat16) or 'no bfloat16'})"


def report(name: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Print the rows as a table and save them, with what else was found, as results/NAME.json."""
    table = Table(title=name)
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    for key, value in more.items():
        console.print(f"{key}: {value}")
    content = {"machine": machine(), "rows": rows, **more}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
