"""Train the corpus with the monitor, two runs at a time, and keep what was measured as JSON."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from health_corpus import Run
from rich.progress import track

PROCESSES = 2
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
RUNS_A_PROCESS = 40  # TensorFlow keeps some memory of each


def in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], what: str
) -> Iterable[Any]:
    """Call a function of this folder in processes of one thread each; results as they come."""
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, maxtasksperchild=RUNS_A_PROCESS) as pool:
        results = pool.imap_unordered(_called, [(function, call) for call in calls], chunksize=1)
        yield from track(results, what, total=len(calls))


def _called(task: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    import keras

    function, arguments = task
    try:
        return function(*arguments)
    finally:
        keras.backend.clear_session()


def record(folder: Path, runs: Sequence[Run], seed: int, loss_scale: float = 1.0) -> None:
    """Train what the folder does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [run for run in runs if not _is_recorded(_file(folder, run), run)]
    calls = [(folder, run, seed, loss_scale) for run in missing]
    for _ in in_processes(_record_one, calls, f"runs of seed {seed}, loss x {loss_scale:g}"):
        pass


def _file(folder: Path, run: Run) -> Path:
    return folder / (re.sub(r"[^\w.-]+", "_", run.key) + ".json")


def _is_recorded(file: Path, run: Run) -> bool:
    wanted = json.loads(json.dumps(dataclasses.asdict(run)))
    return file.exists() and json.loads(file.read_text())["run"] == wanted


def _record_one(folder: Path, run: Run, seed: int, loss_scale: float) -> None:
    from health_data import reference_skill
    from health_training import Trained

    import zoo

    started = time.perf_counter()
    trained = Trained(run, seed, loss_scale)
    start = trained.measure()
    monitor = zoo.GradientHealth()
    trained.fit(monitor)
    entry = {
        "run": dataclasses.asdict(run),
        "key": run.key,
        "seed": seed,
        "start": start,
        "end": trained.measure(),
        "losses": trained.losses,
        "loss scale": loss_scale * run.training.loss_scale,
        "constant loss": trained.data.constant_loss,
        "reference": reference_skill(run.data, seed),
        "history": monitor.history.get_config(),
        "findings": [vars(finding) for finding in monitor.report.findings],
        "seconds": time.perf_counter() - started,
    }
    _file(folder, run).write_text(json.dumps(entry))


def recorded(folder: Path, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Read the runs that are there, in the order of the corpus."""
    files = [_file(folder, run) for run in runs]
    return [json.loads(file.read_text()) for file in files if file.exists()]
