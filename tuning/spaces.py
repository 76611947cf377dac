"""The search spaces: the rows of a family of models, and those of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.families import family_of
from tuning.rows import Choice, Float, Int, Space, override, start_at
from tuning.verification import VERIFICATION, verification_arguments
from zoo.optimizers import OPTIMIZERS, SCHEDULES, WITH_MOMENTUM
from zoo.registry import entry
from zoo.tasks.base import Task, get_task

# Good learning rates differ between optimizers by a factor of thousands. A row for each optimizer
# would leave all but one of them without meaning in any trial, and one wide range would waste most
# draws; so the row is drawn in Adam's measure and multiplied by the optimizer's factor: what a
# search learns of it under one optimizer holds for the others. The factors are ratios of the best
# rates on the digits, to half a decade (benchmarks/learning_rates.py); sgd's and rmsprop's hold
# with momentum. The values and ranges of a caller are the rates themselves, not multiplied.
RATE_SCALES = {"sgd": 20.0, "adagrad": 30.0, "adadelta": 1000.0, "rmsprop": 0.1}

TRAINING: Space = {
    "optimizer": Choice(tuple(OPTIMIZERS), default="adamw"),
    "learning_rate": Float(
        1e-4, 1e-2, sampling="log", default=1e-3, scale=("optimizer", RATE_SCALES)
    ),
    "momentum": Float(0.0, 0.95, default=0.9, when=("optimizer", WITH_MOMENTUM)),
    "weight_decay": Float(1e-5, 0.1, sampling="log", default=4e-3, when=("optimizer", ("adamw",))),
    "learning_rate_schedule": Choice(tuple(SCHEDULES)),
    "batch_size": Int(16, 256, step=2, sampling="log", default=64),
    "epochs": Int(5, 30, default=10),
}


# What may vary in a task, and how it becomes the task's arguments.
TASKS: dict[str, tuple[Space, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "verification": (VERIFICATION, verification_arguments)
}


def training_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from values what `zoo.train` takes.

    Args:
        values: Value by row name.

    Returns:
        Arguments of `zoo.train`; momentum and weight decay are 0 where they do not apply.

    Example:
        >>> training_arguments({"optimizer": "adam", "learning_rate": 0.001, "depth": 3})
        {'momentum': 0.0, 'weight_decay': 0.0, 'optimizer': 'adam', 'learning_rate': 0.001}
    """
    drawn = {name: values[name] for name in TRAINING if name in values}
    return {"momentum": 0.0, "weight_decay": 0.0, **drawn}


def task_arguments(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from values what a task takes.

    Args:
        task: The task's name.
        values: Value by row name.

    Returns:
        Arguments of the task.

    Example:
        >>> task_arguments("verification", {"examples": 4, "depth": 3})
        {'examples': 4}
    """
    return TASKS[task][1](values) if task in TASKS else {}


def space(
    name: str,
    input_shape: Sequence[int | None],
    *,
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    task: str | Task | None = None,
) -> dict[str, Int | Float | Choice]:
    """Put together what a search of a registered model varies.

    The rows are those of training, of the task, and of the model's family. What a variant states
    makes it that variant (the filters of vgg16, the skip connections of cascade_cnn_residual), so
    its rows are left out, unless the caller names them in `fixed` or `ranges`.

    Args:
        name: A registered name.
        input_shape: Height, width and channels of the images.
        arguments: Builder arguments that the caller decides; their rows are left out.
        fixed: Value by row name; see `override`.
        ranges: Range by row name; see `override`.
        start: Value by row name, for the first trial; see `start_at`.
        task: Name of a task, or a task, where it is not the one that the model is registered for.
            Rows of what a given task states are left out.

    Returns:
        Rows by name.

    Raises:
        ValueError: If a name is unknown, a value is illegal, or the images are too small.

    Example:
        >>> [name for name in space("vgg16", (224, 224, 3)) if name not in TRAINING]
        ['kernel_size', 'pooling', 'head', 'activation', 'skip_connections']
        >>> space("cascade_cnn", (8, 8, 1))["depth"].high
        3
    """
    family = family_of(name)
    asked = {*(fixed or {}), *(ranges or {})}
    part_of = {key: row.argument or key for key, row in family.rows.items()}
    for key in asked:
        if part_of.get(key) in (arguments or {}):
            raise ValueError(
                f"{key!r} decides the builder argument {part_of[key]!r}, which `arguments` gives "
                "already: leave one of the two out."
            )
    stated = set(entry(name).arguments) - {part_of.get(key) for key in asked}
    decided = {*stated, *(arguments or {})}
    rows = {key: row for key, row in family.rows.items() if part_of[key] not in decided}
    rows |= _task_rows(get_task(task or entry(name).task))
    rows = _settle(rows, {**entry(name).arguments, **(arguments or {})})
    rows = override({**TRAINING, **rows}, fixed, ranges)
    if "depth" in rows and family.depths:
        rows["depth"] = _limit_depth(rows["depth"], *family.depths(input_shape), "depth" in asked)
    return start_at(rows, start or {})


def _task_rows(task: Task) -> Space:
    """Give the rows of a task, but for what it states otherwise than by default."""
    default = vars(type(task)())
    stated = {name for name, value in vars(task).items() if value != default[name]}
    rows = TASKS[task.name][0] if task.name in TASKS else {}
    return {name: row for name, row in rows.items() if (row.argument or name) not in stated}


def _settle(rows: Space, decided: Mapping[str, Any]) -> dict[str, Int | Float | Choice]:
    """Drop the rows that what is decided elsewhere rules out, and conditions that it fulfils."""
    settled = {}
    for name, row in rows.items():
        parent, values = row.when or (name, ())
        if parent in rows:
            settled[name] = row
        elif decided.get(parent) in values:
            settled[name] = dataclasses.replace(row, when=None)
    return settled


def _limit_depth(row: Any, low: int, high: int, deepest: int, asked: bool) -> Int | Float | Choice:
    if not asked:
        return dataclasses.replace(row, low=low, high=high)
    if max(row.options) > deepest:
        raise ValueError(
            f"Images of this size can be halved {deepest} times: expected a `depth` of at most "
            f"{deepest}, received {max(row.options)}."
        )
    return row
