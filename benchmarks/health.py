"""How well `zoo.GradientHealth` tells sick trainings from healthy ones.

python benchmarks/health.py record                  (some 8 minutes a seed on two cores)
python benchmarks/health.py record --loss-scale 100 --half "held out" --seed 0   (and 0.001)
python benchmarks/health.py judge                   (seconds; results/health.json)
python benchmarks/health.py judge --half tuned      (results/health_tuned.json)
python benchmarks/health.py nan                     (8 minutes; results/health_nan.json)

The corpus (health_corpus.py) has runs of 200 steps that are healthy or sick by construction.
health_judging.py says which of them truly are, by what was measured apart from the monitor; where
the two disagree the run is dropped. Thresholds were set on the half of the architectures that is
called tuned; the other half is reported. fashion_mnist is read from the folder that ZOO_DATA_DIR
names, or downloaded by Keras.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from health_corpus import Run, runs
from health_judging import CLASSES, by, rates, share, verdict, wrong
from health_nan import cases, inject
from health_nets import ARCHITECTURES, HELD_OUT, TUNED
from health_record import in_processes, recorded
from health_record import record as record_runs
from measure import report

from zoo.health import Finding, History, judge

SEEDS = (0, 1, 2)
LOSS_SCALES = (1e-3, 100.0)
RESULTS = {TUNED: "health_tuned", HELD_OUT: "health"}
RUNS = click.option(
    "--runs",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("out/health_runs"),
    show_default=True,
    help="Where what each run measured is kept: another folder after a change of the monitor.",
)
SEED_OPTION = click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS)


@click.group()
def main() -> None:
    """Judge the monitor by a corpus of labelled trainings."""


@main.command()
@RUNS
@SEED_OPTION
@click.option("--only", default="", help="Only runs with this in their name.")
@click.option("--half", type=click.Choice((TUNED, HELD_OUT)), help="Only one half.")
@click.option("--loss-scale", default=1.0, help="Multiply all losses by this.")
def record(folder: Path, seeds: Sequence[int], only: str, half: str, loss_scale: float) -> None:
    """Train what the folder does not hold yet."""
    for seed in seeds:
        chosen = [run for run in _half(half) if only in run.key]
        record_runs(_folder(folder, seed, loss_scale), chosen, seed, loss_scale)


@main.command("judge")
@RUNS
@SEED_OPTION
@click.option("--half", type=click.Choice((TUNED, HELD_OUT)), default=HELD_OUT, show_default=True)
def judge_runs(folder: Path, seeds: Sequence[int], half: str) -> None:
    """Set what the rules find in recorded runs beside what is true of them."""
    entries = [entry for seed in seeds for entry in recorded(_folder(folder, seed), _half(half))]
    if not entries:
        raise click.UsageError(f"{folder} holds no runs of these seeds: record them first.")
    verdicts = [verdict(entry, _findings(entry)) for entry in entries]
    report(
        RESULTS[half],
        [*by(verdicts, "seed"), {"seed": "all", **rates(verdicts)}],
        by_architecture=by(verdicts, "architecture"),
        by_way=by(verdicts, "way"),
        by_truth=by(verdicts, "truth"),
        wrong=wrong(verdicts),
        with_another_loss_scale=[
            changes(folder, seeds, half, loss_scale) for loss_scale in LOSS_SCALES
        ],
        class_of_finding=CLASSES,
    )


def changes(folder: Path, seeds: Sequence[int], half: str, loss_scale: float) -> dict[str, Any]:
    """Compare the alarms of runs with those of the same runs with another factor of the loss.

    Once the records are multiplied; once the run is trained so, where that was recorded. Then
    rounding differs, and trainings that jump about go another way.
    """
    row: dict[str, Any] = {"factor": loss_scale, "records": 0, "records changed": 0}
    compared, changed, other = 0, [], 0
    for seed in seeds:
        plain = {one["key"]: one for one in recorded(_folder(folder, seed), _half(half))}
        for entry in plain.values():
            row["records"] += 1
            row["records changed"] += _alarms(entry) != _alarms(multiplied(entry, loss_scale))
        for entry in recorded(_folder(folder, seed, loss_scale), _half(half)):
            before, after = _alarms(plain[entry["key"]]), _alarms(entry)
            compared += 1
            other += bool(before) != bool(after)
            if before != after:
                changed.append(f"{entry['key']}: {before} became {after}")
    return row | {
        "trained so": compared,
        "other findings": len(changed),
        "alarm or none": other,
        "which": changed,
    }


def multiplied(entry: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Multiply what a record holds of the loss and its gradients."""

    def times(values: Any) -> Any:
        if isinstance(values, list):
            return [times(value) for value in values]
        return factor * float(values)  # NaN is a word there

    history = dict(entry["history"])
    for name in ("loss", "gradient_norm"):
        history[name] = times(history[name])
    through_time = history["time_gradients"].items()
    history["time_gradients"] = {
        layer: {**one, "norms": times(one["norms"])} for layer, one in through_time
    }
    one_output = history["one_output"]
    history["one_output"] = one_output | {
        name: times(one_output[name]) for name in ("loss", "of_mean")
    }
    return {**entry, "history": history}


@main.command()
@SEED_OPTION
def nan(seeds: Sequence[int]) -> None:
    """Put NaN into weights, batches and a layer's output, and compare step and layer."""
    calls = [(*case, seed) for seed in seeds for case in cases()]
    found = list(in_processes(inject, calls, "NaN"))
    rows = []
    for way in dict.fromkeys(case[1] for case in cases()):
        own = [one for one in found if one["way"] == way]
        row = {"NaN in": way, "runs": len(own)}
        row["step exact"] = share(one["step"] == one["found step"] for one in own)
        row["layer exact"] = share(one["layers apart"] == 0 for one in own)
        row["layer within one"] = share(one["layers apart"] in (0, 1) for one in own)
        rows.append(row)
    missed = [
        one
        for one in found
        if one["step"] != one["found step"] or one["layers apart"] not in (0, 1)
    ]
    report("health_nan", rows, missed=missed)


def _half(half: str | None) -> list[Run]:
    return [run for run in runs() if half in (None, ARCHITECTURES[run.architecture].half)]


def _folder(folder: Path, seed: int, loss_scale: float = 1.0) -> Path:
    return folder / (f"seed{seed}" if loss_scale == 1.0 else f"seed{seed}_loss_x_{loss_scale:g}")


def _findings(entry: Mapping[str, Any]) -> Sequence[Finding]:
    return judge(History.from_config(entry["history"]))


def _alarms(entry: Mapping[str, Any]) -> list[str]:
    return sorted(one.name for one in _findings(entry) if one.severity != "info")


if __name__ == "__main__":
    main()
