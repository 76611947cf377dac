"""What a search found: records, a table, pictures."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import pandas as pd
from rich.console import Console
from rich.table import Table

from zoo.space import Space, describe_values
from zoo.training.runs import load_model

if TYPE_CHECKING:
    from zoo.tasks import Task
    from zoo.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One trial of a search.

    Attributes:
        number: From 1, in the order in which the trials began.
        status: "COMPLETED", "FAILED", or "RUNNING" where the search was cut off.
        score: The objective's value for the weights that are kept; `None` unless completed.
        values: Hyperparameter values by name.
        seconds: Duration.
        error: What went wrong, in one line.
    """

    number: int
    status: str
    score: float | None
    values: Mapping[str, Any]
    seconds: float
    error: str | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class SearchResult:
    """What a search found.

    Attributes:
        name: The model's registered name.
        objective: What the search improved, such as "val_accuracy".
        direction: "max" or "min".
        trials: Every trial, in the order in which they began.
        rows: The search space.
        best_arguments: Builder arguments of the best trial, for `zoo.create(name, **arguments)`.
        best_recipe: How the best trial was trained, for `zoo.train(..., recipe=recipe)`.
        best_task: What the best trial was trained for, for `zoo.train(..., task=task)`.
        model_path: Where the best trial's model is.
        directory: Where the search lies.

    Example:
        >>> best = TrialRecord(1, "COMPLETED", 0.9, {"depth": 2}, 1.5)
        >>> SearchResult("mlp", "auc", "max", (best,), {}, {}, None, None, Path(), Path()).best
        TrialRecord(number=1, status='COMPLETED', score=0.9, ...
    """

    name: str
    objective: str
    direction: str
    trials: tuple[TrialRecord, ...]
    rows: Space
    best_arguments: Mapping[str, Any]
    best_recipe: Recipe
    best_task: Task
    model_path: Path
    directory: Path

    def best_model(self) -> keras.Model:
        """Load the best trial's trained model: the one that `best_score` was measured with.

        Returns:
            The model, compiled.

        Raises:
            ValueError: If its file is missing or damaged.
        """
        return load_model(self.model_path, self.best_recipe.precision)

    def __repr__(self) -> str:
        return (
            f"<SearchResult {self.name}: best {self.objective} {self.best_score:.4g} in trial "
            f"{self.best.number} of {len(self.trials)}, in {str(self.directory)!r}>"
        )

    def _repr_html_(self) -> str:
        console = Console(record=True, file=io.StringIO(), width=120)
        console.print(self.table())
        return console.export_html(inline_styles=True)

    @property
    def best(self) -> TrialRecord:
        """The best trial."""
        best = best_of(self.trials, self.direction)
        if best is None:
            raise ValueError("No trial was completed.")
        return best

    @property
    def best_score(self) -> float:
        """The best trial's score."""
        return self.best.score or 0.0

    @property
    def best_values(self) -> Mapping[str, Any]:
        """All hyperparameter values of the best trial."""
        return self.best.values

    def to_dataframe(self) -> pd.DataFrame:
        """Lay the trials out as a pandas table: a row each, a column for each value.

        Returns:
            A pandas `DataFrame`, indexed by the trial's number.
        """
        rows = [{**vars(trial), **trial.values} for trial in self.trials]
        return pd.DataFrame(rows).drop(columns="values").set_index("number")

    def table(self, limit: int = 10) -> Table:
        """Lay the best trials out for the terminal.

        Args:
            limit: Number of trials to show.

        Returns:
            A table that rich prints; failed trials come last.
        """
        table = Table(title=f"{self.name}: {len(self.trials)} trials")
        for column in ("trial", self.objective, "seconds"):
            table.add_column(column, justify="right")
        table.add_column("values")
        for trial in ranked(self.trials, self.direction)[:limit]:
            table.add_row(
                str(trial.number),
                trial.status.lower() if trial.score is None else f"{trial.score:.4f}",
                f"{trial.seconds:.1f}",
                describe_trial(trial, self.rows),
                style="bold" if trial is self.best else "red" if trial.score is None else None,
            )
        return table

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path | Any:
        """Draw the scores trial by trial, and against the most telling hyperparameters.

        Args:
            path: Where the picture goes; its suffix gives the format, such as `.png`. Without one,
                nothing is written.

        Returns:
            The path, or matplotlib's figure where none is given.
        """
        from tuning.plots import draw_search  # matplotlib is loaded only to draw

        return draw_search(self, None if path is None else Path(path))


def ranked(trials: Sequence[TrialRecord], direction: str) -> list[TrialRecord]:
    """Order trials from the best one; those without a score come last."""
    sign = -1 if direction == "max" else 1
    return sorted(trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0.0)))


def best_of(trials: Sequence[TrialRecord], direction: str) -> TrialRecord | None:
    """Find the best of the completed trials."""
    return next((t for t in ranked(trials, direction) if t.score is not None), None)


def describe_trial(trial: TrialRecord, rows: Space) -> str:
    """Say what went wrong in a trial, or which values it had of the rows that vary."""
    varied = [name for name, row in rows.items() if len(row.options) != 1 and name in trial.values]
    return trial.error or describe_values({name: trial.values[name] for name in varied})
