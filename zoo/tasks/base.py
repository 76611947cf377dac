"""The interface that training, search and export see of a task."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo.arguments import one_of
from zoo.data import Dataset, Part, feed
from zoo.data.preparation import PREPARATION
from zoo.history import numbers_of
from zoo.registry import create

BATCH = 256  # examples at a time, where nothing is learned


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """What a model is trained for.

    A task joins a model and a data set: it says which builder arguments the data decide, makes
    batches, compiles, evaluates, predicts, and names the signatures that an export carries. Tasks
    are frozen dataclasses. A subclass with a `name` of its own is known by that name.

    The methods take a Keras `model`, the `data` that it is trained on, and a `part` of these.
    """

    name: ClassVar[str]
    """The name that registry entries and configurations use."""
    objective: ClassVar[str]
    """The entry of `fit`'s history that a search improves."""
    direction: ClassVar[str]
    """Whether the objective is to rise ("max") or to fall ("min")."""
    has_classes: ClassVar[bool] = False
    """Whether labels are classes that can be weighted and smoothed."""
    split_by: ClassVar[str] = "examples"
    """How data are to be split, as `zoo.load_data` takes it."""

    def __init_subclass__(cls) -> None:
        """Make a task known under a name of its own."""
        if "name" in vars(cls):
            known = _tasks.get(cls.name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise ValueError(f"There is a task {cls.name!r} already: choose another `name`.")
            _tasks[cls.name] = cls

    @property
    def label(self) -> str:
        """How a run records the task: its name, if it is known by that, or its class."""
        cls = type(self)
        return cls.name if _tasks.get(cls.name) is cls else f"{cls.__module__}.{cls.__qualname__}"

    def get_config(self) -> dict[str, Any]:
        """Give the task's values, by name."""
        return dataclasses.asdict(self)

    def build(self, name: str, data: Dataset, arguments: Mapping[str, Any]) -> keras.Model:
        """Build an uncompiled model that fits the data, with their preparation inside.

        Args:
            name: A registered name.
            data: What it will be trained on.
            arguments: The builder's, beside those that the data decide.

        Raises:
            ValueError: If an argument is illegal, or the model does not fit the data.
        """
        model = create(name, **{**self.model_arguments(data), **arguments})
        self.check(model, data)
        return self.adapt(model, data)

    def adapt(self, model: keras.Model, data: Dataset) -> keras.Model:
        """Put the data's preparation, if it has a layer, in front of a model that fits the data."""
        layer = preparing_layer(model, data)
        if layer is None:
            return model
        inputs = keras.Input(data.preparation.input_shape, name=model.inputs[0].name)
        # `call` runs the same layers on other tensors, so the model stays flat; as a layer it would
        # hide its encoder and the name of its output.
        outputs = model.call(layer(inputs))
        kind = keras.Model if isinstance(model, keras.Sequential) else type(model)
        return kind(inputs, outputs, name=model.name)

    @abc.abstractmethod
    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the builder arguments that the data decide, such as `input_shape`, by name."""

    @abc.abstractmethod
    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check that a model fits the data.

        Raises:
            ValueError: If it does not; the message says why.
        """

    @abc.abstractmethod
    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches that `fit` takes as `x`.

        Args:
            model: The model that is given them, compiled.
            part: A part of a data set.
            batch_size: Number of examples in a batch.
            **options: `seed`, `first_epoch` and `augment`, as `Part.batches` takes them.
        """

    @abc.abstractmethod
    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile a model with its optimizer and the task's loss and metrics."""

    def class_weights(self, data: Dataset, wanted: Any) -> dict[int, float]:
        """Give each class's weight, by its number, as `fit` takes it; for tasks with classes.

        Args:
            data: What is trained on.
            wanted: As `zoo.Recipe` takes it.
        """
        raise ValueError(f"`class_weight` is for tasks with classes, received it for {self.name}.")

    @abc.abstractmethod
    def predict(self, model: keras.Model, x: np.ndarray, data: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what a model makes of examples: arrays by name, with one entry an example.

        Args:
            model: The trained model.
            x: Examples, ready for the model.
            data: What `Dataset.description` gave.
        """

    def remark(self, data: Dataset, metrics: Mapping[str, float]) -> str | None:
        """Say so if the metrics of the test part are no better than chance."""
        return None

    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Give a model for each signature that an export serves; by default all of it for one."""
        return {"serving_default": model}

    @abc.abstractmethod
    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw how good a model is on the test part into a directory, and give the files' paths."""

    def validation(self, model: keras.Model, part: Part) -> dict[str, Any]:
        """Say how `fit` is to judge the model after each epoch.

        Args:
            model: The model.
            part: The validation part; it may be empty.

        Returns:
            Arguments of `fit`: `validation_data`, or `callbacks` that log the objective.
        """
        return {"validation_data": self.batches(model, part, BATCH)} if len(part) else {}

    def finish(self, model: keras.Model, data: Dataset) -> None:  # noqa: B027
        """Settle what follows from trained weights, before the model is judged and kept."""

    def evaluate(
        self, model: keras.Model, part: Part, *, batch_size: int = BATCH
    ) -> dict[str, float]:
        """Give the loss and each metric of a compiled model on a part, by name."""
        results = model.evaluate(self.batches(model, part, batch_size), return_dict=True, verbose=0)
        return numbers_of(results)


_tasks: dict[str, type[Task]] = {}


def is_prepared(model: keras.Model) -> bool:
    """Tell whether the preparation of some data is in front of a model already."""
    return any(layer.name == PREPARATION for layer in model.layers)


def preparing_layer(model: keras.Model, data: Dataset) -> keras.Layer | None:
    """Make the layer that prepares data, if they have one, and a model lacks it."""
    return None if is_prepared(model) else data.preparation.layer()


def check_input(model: keras.Model, data: Dataset) -> None:
    """Check that every input of a model takes the examples, and that it gives one tensor."""
    if isinstance(getattr(model, "output", None), Mapping | list | tuple):
        raise ValueError(f"Model {model.name!r} must give one tensor, not {model.output!r:.80}.")
    expected = data.preparation.input_shape if is_prepared(model) else data.input_shape
    for tensor in model.inputs:
        taken, given = tuple(tensor.shape[1:]), expected
        fits = len(taken) == len(given) and all(
            size in (None, wanted) for size, wanted in zip(taken, given, strict=True)
        )
        if not fits:
            raise ValueError(
                f"Model {model.name!r} takes examples of shape {taken}, but data {data.name!r} has "
                f"{given}: build it with that `input_shape`."
            )


def outputs_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Apply a model to examples, batch by batch."""
    part = Part(x, np.zeros(len(x), np.int64))
    return model.predict(feed(part.batches(BATCH)), verbose=0)


def get_task(task: str | Task) -> Task:
    """Find a task; an object is one already."""
    return task if isinstance(task, Task) else _tasks[one_of("task", task, _tasks)]()


def task_for(task: str, data: Dataset) -> str:
    """Name the task, on data, of a model that is registered for one: real numbers have no classes.

    Example:
        >>> import zoo
        >>> task_for("classification", zoo.load_data("digits"))
        'classification'
    """
    return "regression" if task == "classification" and data.is_regression else task
