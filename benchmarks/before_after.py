"""Benchmarks of two checkouts of this project by turns, side by side.

python benchmarks/before_after.py CHECKOUT step_time autoencoder_step siamese_step epoch_end
    short_epochs        (about an hour and a half)

CHECKOUT is the root of an older checkout (`git worktree add /elsewhere COMMIT`). Each benchmark
runs as it stands there (where it is missing, as it stands here) and as it stands here, in turns
of a few rounds, with the packages that are installed here.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from measure import report

HERE = Path(__file__).resolve().parents[1]


@click.command()
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("benchmarks", nargs=-1, required=True)
@click.option("--turns", default=2, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Rounds in each turn.")
def main(checkout: Path, benchmarks: tuple[str, ...], turns: int, rounds: int) -> None:
    """Run BENCHMARKS in CHECKOUT and here, and save the medians of both."""
    checkouts = {"before": checkout.resolve(), "after": HERE}
    for benchmark in benchmarks:
        medians: dict[str, dict[str, list[float]]] = {}
        for turn in range(turns):
            click.echo(f"{benchmark}, turn {turn + 1} of {turns}")
            for when, root in checkouts.items():
                for row in rows_of(benchmark, root, rounds):
                    both = medians.setdefault(contestant(row), {"before": [], "after": []})
                    both[when].append(row["median ms"])
        report(f"before_after_{benchmark}", [compared(*both) for both in medians.items()])


def rows_of(benchmark: str, checkout: Path, rounds: int) -> list[dict[str, Any]]:
    """Run a benchmark on a checkout, from a copy, so that no kept result is overwritten."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Path(folder, "benchmarks")
        shutil.copytree(checkout / "benchmarks", scripts)
        if not (scripts / f"{benchmark}.py").exists():
            shutil.copy(HERE / "benchmarks" / f"{benchmark}.py", scripts)
        subprocess.run(
            [sys.executable, f"{benchmark}.py", "--rounds", str(rounds)],
            cwd=scripts,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        rows = json.loads((scripts / "results" / f"{benchmark}.json").read_text())["rows"]
    return list(rows)


def contestant(row: dict[str, Any]) -> str:
    """What is timed: a row's columns before its times."""
    columns = list(row)
    return ", ".join(str(row[name]) for name in columns[: columns.index("median ms")])


def compared(name: str, medians: dict[str, list[float]]) -> dict[str, Any]:
    before, after = (statistics.median(values) for values in medians.values())
    return {
        "timed": name,
        "before ms": round(before, 1),
        "after ms": round(after, 1),
        "after over before": round(after / before, 3),
        "turns before": medians["before"],
        "turns after": medians["after"],
    }


if __name__ == "__main__":
    main()
