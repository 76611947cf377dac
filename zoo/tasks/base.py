"""The interface that training, search and export see of a task."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any, ClassVar

import keras

from zoo.arguments import one_of
from zoo.data import Dataset, Part


class Task(abc.ABC):
    """What a model is trained for.

    A task joins a model and a data set: it says which builder arguments the data decide, makes
    batches, compiles, evaluates, and names the signatures that an export carries.
    """

    name: ClassVar[str]
    """The name that registry entries and configurations use."""
    objective: str
    """The entry of `fit`'s history that a search improves."""
    direction: str
    """Whether the objective is to rise ("max") or to fall ("min")."""
    split_by: ClassVar[str] = "examples"
    """How data are to be split, as `zoo.load_data` takes it."""

    def __init_subclass__(cls) -> None:
        """Make the task known under its name."""
        _tasks[cls.name] = cls

    @abc.abstractmethod
    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the builder arguments that the data decide.

        Args:
            data: What will be trained on.

        Returns:
            Arguments by name, such as `input_shape`.
        """

    @abc.abstractmethod
    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check that a model fits the data.

        Args:
            model: The model.
            data: What it would be trained on.

        Raises:
            ValueError: If it does not; the message says why.
        """

    @abc.abstractmethod
    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches that `fit` takes.

        Args:
            model: The model that is given them.
            part: A part of a data set.
            batch_size: Number of examples in a batch.
            **options: `seed`, `first_epoch` and `augment`, as `Part.batches` takes them.

        Returns:
            What `fit` takes as `x`.
        """

    @abc.abstractmethod
    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile a model with the task's loss and metrics.

        Args:
            model: The model.
            optimizer: Its optimizer.
        """

    @abc.abstractmethod
    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Name what an export serves.

        Args:
            model: The model to export.

        Returns:
            A model for each signature, `serving_default` among them.
        """

    @abc.abstractmethod
    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw pictures that show how good a model is on the test part.

        Args:
            model: The trained model.
            data: What it was trained on.
            directory: Where to write the pictures.

        Returns:
            The pictures' paths.
        """

    def validation(self, model: keras.Model, part: Part) -> dict[str, Any]:
        """Say how `fit` is to judge the model after each epoch.

        Args:
            model: The model.
            part: The validation part; it may be empty.

        Returns:
            Arguments of `fit`: `validation_data`, or `callbacks` that log the objective.
        """
        return {"validation_data": self.batches(model, part, 256)} if len(part) else {}

    def finish(self, model: keras.Model, data: Dataset) -> None:  # noqa: B027
        """Settle what follows from trained weights, before the model is judged and kept.

        Args:
            model: The trained model.
            data: What it was trained on.
        """

    def evaluate(
        self, model: keras.Model, part: Part, *, batch_size: int = 256
    ) -> dict[str, float]:
        """Evaluate a compiled model.

        Args:
            model: The model.
            part: What to evaluate on.
            batch_size: Number of examples in a batch.

        Returns:
            The loss and each metric by name.
        """
        results = model.evaluate(self.batches(model, part, batch_size), return_dict=True, verbose=0)
        return {name: float(value) for name, value in results.items()}


_tasks: dict[str, type[Task]] = {}


def get_task(task: str | Task) -> Task:
    """Find a task.

    Args:
        task: The task's name, or a task.

    Returns:
        The task.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> import zoo.tasks
        >>> zoo.tasks.get("classification").objective
        'val_accuracy'
    """
    return task if isinstance(task, Task) else _tasks[one_of("task", task, _tasks)]()
