"""What a search shows while it runs: a line for each trial, and a bar for its epochs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import rich.progress
from rich.console import Console
from rich.text import Text

from tuning.report import TrialRecord, best_of, describe_trial
from zoo.space import Space


class Progress:
    """Shows trials and epochs on the terminal."""

    def __init__(
        self, objective: str, direction: str, max_trials: int, rows: Space, *, shown: bool
    ) -> None:
        self.objective, self.direction = objective, direction
        self.max_trials, self.rows = max_trials, rows
        self.console = Console(quiet=not shown)
        self.records: list[TrialRecord] = []
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TextColumn("epoch {task.completed}/{task.total}  {task.fields[now]}"),
            console=self.console,
            transient=True,
            disable=not (shown and self.console.is_terminal),
        )
        self.epochs = self.bar.add_task("", visible=False, now="")

    @contextlib.contextmanager
    def show(self, ended: list[TrialRecord]) -> Iterator[None]:
        """Show the bar while trials run."""
        self.records = list(ended)
        if ended:
            self.console.print(f"{len(ended)} of {self.max_trials} trials are there already.")
        with self.bar:
            yield

    def begin_trial(self, number: int, epochs: int) -> None:
        """Show that a trial begins."""
        self.bar.reset(
            self.epochs, total=epochs, description=self._title(number), visible=True, now=""
        )

    def end_epoch(self, done: int, logs: Mapping[str, float]) -> None:
        """Show that an epoch ended."""
        now = f"{self.objective} {logs[self.objective]:.4f}" if self.objective in logs else ""
        self.bar.update(self.epochs, completed=done, now=now)

    def end_trial(self, record: TrialRecord) -> None:
        """Print a trial's line."""
        self.records.append(record)
        self.bar.update(self.epochs, visible=False)
        best = best_of(self.records, self.direction)
        line = Text(f"{self._title(record.number)}  ")
        if record.score is None:
            line.append(f"{record.status.lower():<{len(self.objective) + 7}}", style="red")
        else:
            line.append(f"{self.objective} {record.score:.4f}", style="bold" * (record is best))
        line.append(f"  best {best.score:.4f}" if best else "  best -     ")
        line.append(f"  {record.seconds:6.1f} s  ")
        line.append(describe_trial(record, self.rows), style="dim")
        if self.console.is_terminal:
            self.console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(line, soft_wrap=True)

    def _title(self, number: int) -> str:
        return f"trial {number:>{len(str(self.max_trials))}}/{self.max_trials}"
