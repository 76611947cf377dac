"""What a search improves: a value that trainings log, or a function of the trained model."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras_tuner.errors import FatalValueError
from keras_tuner.src.engine.objective import create_objective

from zoo.arguments import one_of
from zoo.tasks import Task

DIRECTIONS = ("max", "min")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a search improves: a logged value, or what a function gives, to "max" or "min"."""

    name: str
    direction: str
    function: Callable[[keras.Model, Mapping[str, float]], float] | None = None

    def score(self, model: keras.Model, logged: Mapping[str, float]) -> float:
        """Score a trained model."""
        if self.function is None and self.name not in logged:
            raise FatalValueError(  # of the whole search: no trial would log it
                f"The objective {self.name!r} is not logged: choose one of {', '.join(logged)}."
            )
        score = float(self.function(model, logged) if self.function else logged[self.name])
        if not math.isfinite(score):
            raise ValueError(f"The objective {self.name!r} was {score}.")
        return score


def make_objective(objective: Any, direction: str | None, task: Task) -> Objective:
    """Check what a caller wants improved.

    Example:
        >>> import zoo
        >>> make_objective("val_loss", None, zoo.tasks.get("classification")).direction
        'min'
    """
    if direction is not None:
        one_of("direction", direction, DIRECTIONS)
    if objective is None or objective == task.objective:
        return Objective(task.objective, direction or task.direction)
    if callable(objective):
        if direction is None:
            raise ValueError("A function as `objective` needs a `direction`: 'max' or 'min'.")
        name = getattr(objective, "__name__", type(objective).__name__)
        try:
            inspect.signature(objective).bind(None, {})
        except TypeError as error:
            raise ValueError(f"`objective` must take (model, logged values): {error}.") from error
        return Objective(name, direction, objective)
    if not isinstance(objective, str):
        raise ValueError(f"`objective` must be a name or a function, received {objective!r}.")
    try:
        inferred = direction or create_objective(objective).direction
    except ValueError as error:
        raise ValueError(f"Is {objective!r} to rise or fall? Give `direction`.") from error
    return Objective(objective, inferred)
