"""What the benchmarks share: interleaved timing, the machine's description, a table, JSON."""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

# Siamese networks that are timed: arguments of their cascades, and pairs a batch: steps a round.
TRUNKS: dict[str, dict[str, Any]] = {
    "cascade 32-64": dict(filters=(32, 64), dense_units=(64,)),
    "siamese_cnn": dict(
        filters=(32, 64, 128, 256), convs_per_block=1, head="global_average", dense_units=()
    ),
    "small": dict(filters=(4, 8, 16, 32), head="global_average", dense_units=()),
}
PAIRS = {1: 200, 4: 100, 16: 40, 64: 20}


def interleaved(
    contestants: Mapping[Any, Callable[[], Callable[[], None]]], *, rounds: int, steps: int
) -> dict[Any, list[float]]:
    """Time each contestant once a round, so that a slow moment of the machine meets all alike.

    Each is made, by a picklable function, in a process of its own (one library's memory settings
    slow another's) and idles while others run. Returns milliseconds a step, one entry a round; a
    first round, which traces, is dropped.
    """
    context = multiprocessing.get_context("spawn")
    connections, processes = {}, []
    for name, make in contestants.items():
        connections[name], theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, make), daemon=True))
        processes[-1].start()
        theirs.close()  # so that a contestant that dies is an error here, not a wait
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in track(range(rounds + 1), "rounds"):
        for name, connection in connections.items():
            connection.send("run")
            times[name].append(connection.recv() / steps * 1e3)
    for connection in connections.values():
        connection.send(None)
    for process in processes:
        process.join()
    return {name: values[1:] for name, values in times.items()}


def _serve(connection: Connection, make: Callable[[], Callable[[], None]]) -> None:
    run = make()
    while connection.recv():
        started = time.perf_counter()
        run()
        connection.send(time.perf_counter() - started)


def in_batches(arrays: Any, size: int) -> Any:
    """Make a `tf.data.Dataset` of batches without the tuning thread that `zoo.data.feed` avoids."""
    import tensorflow as tf

    untuned = tf.data.Options()
    untuned.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size).with_options(untuned)


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median ms": round(statistics.median(times), 1),
        "fastest ms": round(min(times), 1),
        "slowest ms": round(max(times), 1),
        "rounds": len(times),
    }


def machine() -> dict[str, Any]:
    """Processor, cores and the versions of what was measured."""
    versions = {}
    for package in (
        "keras-zoo",
        "keras",
        "tensorflow",
        "tf_keras",
        "torch",
        "jax",
        "jaxlib",
        "numpy",
    ):
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
    """Save the rows, with what else was found, as results/NAME.json, and print them as a table."""
    content = {"machine": machine(), "rows": rows, **more}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    console = Console()
    console.print(_table(name, rows))
    for key, value in more.items():
        tabular = isinstance(value, list) and value and isinstance(value[0], dict)
        console.print(_table(key, value) if tabular else f"{key}: {value}")


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table
