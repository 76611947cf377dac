"""The search spaces: the rows of a family of models, and those of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tuning.families import family_of
from zoo.arguments import mapping
from zoo.data import Augment, augment
from zoo.data.columns import listed
from zoo.losses import MININGS
from zoo.registry import describe, entry
from zoo.space import Choice, Float, Int, Space, override, resolve_conditions, start_at
from zoo.tasks.base import Task, get_task
from zoo.training.recipe import ROWS, VARIED

TRAINING: Space = {name: ROWS[name] for name in VARIED}
"""What every search varies in a training."""
ON_REQUEST: Space = {**{name: ROWS[name] for name in ROWS if name not in VARIED}, **augment.ROWS}
"""What a search varies, too, where it is named: values of the recipe, and of `zoo.data.Augment`."""


# Of `zoo.tasks.VerificationTask`. A good margin depends on the loss, so each has a row.
VERIFICATION: Space = {
    "pair_margin": Float(0.2, 1.5, default=1.0, argument="margin", when=("head", ("distance",))),
    "triplet_margin": Float(
        0.05, 1.0, sampling="log", default=0.2, argument="margin", when=("head", ("embedding",))
    ),
    "proxy_margin": Float(0.0, 0.5, argument="margin", when=("head", ("proxies",))),
    "mining": Choice(MININGS, default="semi_hard", when=("head", ("embedding",))),
    "examples": Int(2, 8, step=2, sampling="log", default=4, when=("head", ("embedding",))),
    "scale": Float(8.0, 64.0, sampling="log", default=16.0, when=("head", ("proxies",))),
}

TASKS: dict[str, Space] = {"verification": VERIFICATION}
"""What may vary in a task."""


def training_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from values what `zoo.Recipe` takes."""
    drawn = {name: values[name] for name in ROWS if name in values}
    changes = {name: values[name] for name in augment.ROWS if name in values}
    return {**drawn, **({"augment": Augment(**changes)} if changes else {})}


def task_arguments(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from values what a task takes."""
    rows = TASKS.get(task, {})
    return {row.argument or name: values[name] for name, row in rows.items() if name in values}


def space(
    name: str,
    input_shape: Sequence[int | None],
    *,
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    task: str | Task | None = None,
    brought: Collection[str] = (),
) -> dict[str, Int | Float | Choice]:
    """Put together what a search of a registered model varies.

    The rows are those of training, of the task, and of the model's family. What a variant states
    makes it that variant (the filters of vgg16, the skip connections of cascade_cnn_residual), so
    its rows are left out, unless the caller names them in `fixed` or `ranges`.

    Args:
        name: A registered name.
        input_shape: Shape of the examples: height, width and channels, or time and features.
        arguments, fixed, ranges, start, task: As `tuning.search` takes them; rows of what
            `arguments` and a given task state are left out.
        brought: Rows that are left out, for an object of the recipe brings their values.

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
    arguments, fixed = mapping("arguments", arguments), mapping("fixed", fixed)
    ranges, start = mapping("ranges", ranges), mapping("start", start)
    family = family_of(name)
    for key, row in family.rows.items():
        if not isinstance(row, Int | Float | Choice) or key in {**TRAINING, **ON_REQUEST}:
            raise ValueError(
                f"The row {key!r} of {name!r} must be a tuning.Int, Float or Choice, and have "
                f"another name than those of training; received {row!r}."
            )
    asked = {*fixed, *ranges}
    part_of = {key: row.argument or key for key, row in family.rows.items()}
    for key in asked:
        if part_of.get(key) in arguments:
            raise ValueError(
                f"{key!r} decides the builder argument {part_of[key]!r}, which `arguments` gives "
                "already: leave one of the two out."
            )
    stated = set(entry(name).arguments) - {part_of.get(key) for key in asked}
    decided = {*stated, *arguments}
    rows = {key: row for key, row in family.rows.items() if part_of[key] not in decided}
    rows |= _task_rows(get_task(task or entry(name).task))
    given = {**describe(name).arguments, **arguments}
    parents = {row.when[0] for row in rows.values() if row.when} - set(rows)
    conditions = {row.when[0] for row in family.rows.values() if row.when}
    if unknown := conditions - {*given, *family.rows}:
        raise ValueError(f"`when` names {listed(sorted(unknown))}: no row or argument of {name!r}.")
    rows = resolve_conditions(rows, {parent: (given.get(parent),) for parent in parents})
    requested = {key: row for key, row in ON_REQUEST.items() if key in asked}
    rows = override({**TRAINING, **requested, **rows}, fixed, ranges)
    if "depth" in rows and family.depths:
        rows["depth"] = _limit_depth(rows["depth"], *family.depths(input_shape), "depth" in asked)
    return start_at({key: row for key, row in rows.items() if key not in brought}, start)


def _task_rows(task: Task) -> Space:
    """Give the rows of a task, but for what it states otherwise than by default."""
    default = vars(type(task)())
    stated = {name for name, value in vars(task).items() if value != default[name]}
    rows = TASKS.get(task.name, {})
    return {name: row for name, row in rows.items() if (row.argument or name) not in stated}


def _limit_depth(row: Any, low: int, high: int, deepest: int, asked: bool) -> Int | Float | Choice:
    if not asked:
        return dataclasses.replace(row, low=low, high=high)
    if max(row.options) > deepest:
        raise ValueError(
            f"Images of this size can be halved {deepest} times: expected a `depth` of at most "
            f"{deepest}, received {max(row.options)}."
        )
    return row
