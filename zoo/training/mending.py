"""Mend an ill training: try remedies in order, train again, keep what helps."""

from __future__ import annotations

import dataclasses
import inspect
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import track

from zoo import tasks
from zoo.arguments import integer, mapping
from zoo.data.dataset import Dataset, require_dataset
from zoo.health import Finding, Report
from zoo.health.remedies import REMEDIES, Remedy, in_order
from zoo.records import CONFIG, read_record, require_free
from zoo.registry import entry
from zoo.training.recipe import Recipe
from zoo.training.runs import HEALTH, METRICS, Run, load_run
from zoo.training.train import train


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is trained: a registered model's name, its arguments, its task, and the recipe."""

    model: str
    arguments: Mapping[str, Any]
    task: tasks.Task
    recipe: Recipe

    @property
    def all_arguments(self) -> dict[str, Any]:
        """All arguments of the builder, with the values that it is called with."""
        found = entry(self.model)
        parameters = inspect.signature(found.builder).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        return {**defaults, **found.arguments, **self.arguments}

    def with_remedy(self, remedy: Remedy) -> Plan | None:
        """Give the plan with a remedy, or `None` where it would be the same or is not legal."""
        changes = remedy.changes(self.all_arguments, self.recipe.get_config())
        if changes is None:
            return None
        try:
            recipe = self.recipe.replace(**changes[1])
        except ValueError:  # such as a learning rate that the optimizer brings
            return None
        return dataclasses.replace(self, arguments={**self.arguments, **changes[0]}, recipe=recipe)


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A training with one remedy more.

    Attributes:
        remedy: What was tried.
        against: Name of the finding that it was to clear.
        findings: What was found in the training.
        score: The task's objective at its end; `None` where it failed.
        kept: Whether the finding cleared and the objective improved.
        directory: Where the run is.
        error: Why it failed.
    """

    remedy: Remedy
    against: str
    findings: tuple[Finding, ...]
    score: float | None
    kept: bool
    directory: Path
    error: str | None = None

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "not kept"
        cleared = "still there" if _has(self.findings, self.against) else "cleared"
        score = self.error or f"{self.score:.4g}"
        return f"{self.remedy} against {self.against}: {cleared}, {score}: {verdict}"


@dataclasses.dataclass(frozen=True)
class Mended:
    """What came of mending.

    Attributes:
        plan: What the last kept training was told: model, arguments, task and recipe.
        run: The last training that was kept; `None` where nothing helped.
        objective: Name of what the trainings were compared by.
        before: Its value at the start; `None` where that training failed.
        attempts: All that was tried, in order.
        findings: What is still found after the last kept training.
    """

    plan: Plan
    run: Run | None
    objective: str
    before: float | None
    attempts: tuple[Attempt, ...]
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether no finding is left but information."""
        return not _serious(self.findings)

    def __str__(self) -> str:
        began = "failed" if self.before is None else f"{self.before:.4g}"
        lines = [f"{self.plan.model}: {self.objective} {began} at the start"]
        lines += [f"  {attempt}" for attempt in self.attempts]
        left = "; ".join(finding.name for finding in _serious(self.findings))
        return "\n".join([*lines, f"left: {left or 'nothing'}"])


def mend(
    run: Run | str | os.PathLike[str] | Mapping[str, Any],
    data: Dataset,
    *,
    directory: str | os.PathLike[str],
    max_attempts: int = 12,
    verbose: int = 1,
) -> Mended:
    """Try remedies for what the monitor found in a training, one by one, and keep what helps.

    Each remedy of each finding, in the order of `zoo.health.remedies`, is a change of a builder's
    argument or of the recipe. The model is trained anew with it, and the change is kept only if the
    finding clears and the task's objective on the validation part improves.

    Args:
        run: A run, its directory (also of a training that failed), or what is to be trained:
            `{"model": name, "arguments": {...}, "task": ..., **values of the recipe}`.
        data: What it was trained on, with a validation part.
        directory: A new or empty directory, where each training gets a directory of its own.
        max_attempts: Number of trainings at most.
        verbose: 0 shows no progress.

    Returns:
        What was tried, and what was kept; `print` shows it.

    Raises:
        ValueError: If the model is none that is built by a registered name, or the data have no
            validation part.
        FileExistsError: If the directory is not empty.

    Example:
        >>> import tempfile, zoo
        >>> data = zoo.load_data("digits")
        >>> deep = {"hidden_units": (32,) * 12, "activation": "sigmoid", "batch_norm": False}
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     told = {"model": "mlp", "arguments": deep, "epochs": 6, "seed": 1}
        ...     mended = mend(told, data, directory=directory, max_attempts=1, verbose=0)
        >>> mended.attempts[0].remedy.call, mended.attempts[0].kept
        ("activation='relu'", True)
    """
    require_dataset(data)
    require_free(directory, CONFIG, wanted=False)
    max_attempts = integer("max_attempts", max_attempts)
    if not len(data.validation):
        raise ValueError(
            f"Mending judges by the validation part, which is empty in {data.name!r}: give data "
            "with a validation part."
        )
    path = Path(directory)
    if isinstance(run, Mapping):
        plan = _plan_told(run, data)
        health, before, _ = _train(plan, data, path / "0")
    else:
        plan, health, before = _as_it_was(run, data)
    score, kept_run = before, None
    attempts: list[Attempt] = []
    tried: set[tuple[str, str]] = set()
    for number in track(
        range(1, max_attempts + 1), "mending", disable=verbose == 0, transient=True
    ):
        step = _next(plan, health, tried)
        if step is None:
            break
        against, remedy, changed = step
        tried.add((against, remedy.words))
        found, reached, outcome = _train(changed, data, path / str(number))
        kept = not _has(found.findings, against) and _improves(plan.task, reached, score)
        error = None if isinstance(outcome, Run) else outcome
        where = path / str(number)
        attempts.append(Attempt(remedy, against, found.findings, reached, kept, where, error))
        if kept:
            plan, health, score = changed, found, reached
            kept_run = outcome if isinstance(outcome, Run) else None
    return Mended(plan, kept_run, plan.task.objective, before, tuple(attempts), health.findings)


def _plan_told(told: Mapping[str, Any], data: Dataset) -> Plan:
    """Read what is to be trained."""
    told = dict(told)
    if "model" not in told:
        raise ValueError(f"`run` must have a 'model', received {sorted(told)}.")
    model = told.pop("model")
    _require_registered(model, not isinstance(model, str))
    arguments = mapping("arguments", told.pop("arguments", None))
    task = tasks.get(told.pop("task", None) or tasks.task_for(entry(model).task, data))
    return Plan(model, arguments, task, Recipe().replace(**told))


def _as_it_was(
    run: Run | str | os.PathLike[str], data: Dataset
) -> tuple[Plan, Report, float | None]:
    """Read what a run was told, what was found in it, and its objective, if it came to its end."""
    if not isinstance(run, Run | str | os.PathLike):
        raise ValueError(f"`run` must be a run, its directory or a dictionary, received {run!r}.")
    where = run.directory if isinstance(run, Run) else Path(run)
    config = read_record(where / CONFIG)
    _require_registered(config["model"], "layers" in config)
    task = type(tasks.get(config["task"]))(**config["task_arguments"])
    decided = task.model_arguments(data)
    arguments = {k: v for k, v in config["arguments"].items() if k not in decided}
    plan = Plan(config["model"], arguments, task, Recipe.from_config(config["recipe"]))
    ended = (where / METRICS).exists()
    score = load_run(where).history[task.objective][-1] if ended else None
    return plan, Report.load(where / HEALTH), score


def _require_registered(model: Any, is_own: bool) -> None:
    if is_own:
        raise ValueError(
            f"Mending changes a builder's arguments, and {model!r} is a model of your own: "
            "register its builder (zoo.register), and train it by name."
        )


def _train(plan: Plan, data: Dataset, directory: Path) -> tuple[Report, float | None, Run | str]:
    """Train, and give what was found, the objective, and the run or why there is none."""
    try:
        with warnings.catch_warnings():  # each attempt's findings are in what is returned
            warnings.simplefilter("ignore", UserWarning)
            run = train(
                plan.model,
                data,
                arguments=plan.arguments,
                task=plan.task,
                recipe=plan.recipe,
                directory=directory,
                verbose=0,
            )
    except FloatingPointError as error:
        return Report.load(directory / HEALTH), None, str(error)
    return run.health, run.history[plan.task.objective][-1], run


def _next(
    plan: Plan, health: Report, tried: set[tuple[str, str]]
) -> tuple[str, Remedy, Plan] | None:
    """Give the next remedy that changes something, the finding it is for, and the new plan."""
    for finding in _serious(health.findings):
        for remedy in in_order(REMEDIES[finding.name], health.history):
            changed = plan.with_remedy(remedy)
            if changed is not None and (finding.name, remedy.words) not in tried:
                return finding.name, remedy, changed
    return None


def _serious(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "info"]


def _has(findings: tuple[Finding, ...], name: str) -> bool:
    return any(finding.name == name for finding in _serious(findings))


def _improves(task: tasks.Task, score: float | None, best: float | None) -> bool:
    if score is None or best is None:
        return score is not None
    return score > best if task.direction == "max" else score < best
