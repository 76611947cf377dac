"""Registered models as Keras Tuner hypermodels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
from keras_tuner.errors import FailedTrialError

from tuning.families import family_of
from tuning.rows import Choice, Float, Int, Space, describe_values, plain_values
from tuning.spaces import space, task_arguments, training_arguments
from zoo import tasks
from zoo.data import Dataset
from zoo.optimizers import learning_rate_callback, make_optimizer
from zoo.precision import precision_scope, resolve_precision
from zoo.registry import create, entry


def hypermodel(
    name: str,
    *,
    input_shape: Sequence[int],
    num_classes: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    task: str | tasks.Task | None = None,
    max_parameters: int | None = None,
    precision: str = "auto",
) -> ZooHyperModel:
    """Make a registered model searchable with plain Keras Tuner.

    What varies is what `tuning.space` puts together: the rows of the model's family, but for what
    a variant states, and those of training, `batch_size` and `epochs` included.

    Args:
        name: A registered name.
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes, for models that classify.
        arguments: Builder arguments for every trial; they win over the search space.
        fixed: Hyperparameters to fix, value by name.
        ranges: Hyperparameters to narrow or widen: a tuple `(low, high)` or a list of choices by
            name. Rates are the optimizer's own.
        task: What the model is trained for: name of a task, or a task, where it is not the one that
            the model is registered for.
        max_parameters: Larger models are failed trials; `None` is no limit.
        precision: As `zoo.train` takes it.

    Returns:
        A hypermodel. A tuner's `search` takes `x, y, validation_data=...` or a zoo `Dataset`.

    Raises:
        ValueError: If a name is unknown, or a value is illegal.

    Example:
        >>> import keras_tuner
        >>> found = hypermodel("mlp_tiny", input_shape=(8, 8, 1), num_classes=10)
        >>> found.build(keras_tuner.HyperParameters()).count_params()
        2506
    """
    data_arguments: dict[str, Any] = {"input_shape": tuple(input_shape)}
    if num_classes is not None:
        data_arguments["num_classes"] = num_classes
    task = tasks.get(task or entry(name).task)
    rows = space(name, input_shape, arguments=arguments, fixed=fixed, ranges=ranges, task=task)
    return ZooHyperModel(
        name,
        rows,
        {**data_arguments, **(arguments or {})},
        task=task,
        max_parameters=max_parameters,
        precision=precision,
    )


class ZooHyperModel(keras_tuner.HyperModel):
    """A registered model, its search space, and how a trial is built and trained.

    Args:
        name: A registered name.
        rows: The search space; see `tuning.space`.
        arguments: Builder arguments for every trial.
        task: What the model is trained for.
        max_parameters: Larger models are failed trials.
        precision: As `zoo.train` takes it.
        seed: Order of the examples, where a trial is given a `Dataset`.
    """

    def __init__(
        self,
        name: str,
        rows: Space,
        arguments: Mapping[str, Any],
        *,
        task: str | tasks.Task | None = None,
        max_parameters: int | None = None,
        precision: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(name)
        self.rows = rows
        self.fixed_arguments = dict(arguments)
        self.task = tasks.get(task or entry(name).task)
        self.max_parameters = max_parameters
        self.precision = resolve_precision(precision)
        self.seed = seed

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declare the whole space, so that it is known before the first trial."""
        for name, row in self.rows.items():
            _declare(hp, name, row)

    def values(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """Give the values that a trial's draws stand for.

        Args:
            hp: The trial's hyperparameters.

        Returns:
            Value by name; those that do not apply are missing.
        """
        return plain_values(self.rows, hp.values)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the builder arguments of a trial: `zoo.create(name, **arguments)` is its model.

        Args:
            values: The trial's values.

        Returns:
            Every argument that is not the builder's default, the variant's own among them.
        """
        family = family_of(self.name)
        drawn = {name: value for name, value in values.items() if name in family.rows}
        return {**entry(self.name).arguments, **family.arguments(drawn), **self.fixed_arguments}

    def trial_task(self, values: Mapping[str, Any]) -> tasks.Task:
        """Give the task of a trial: the search's own, but for what the values say.

        Args:
            values: The trial's values.

        Returns:
            The task.
        """
        drawn = task_arguments(self.task.name, values)
        return type(self.task)(**{**vars(self.task), **drawn}) if drawn else self.task

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile a trial's model."""
        self.declare_hyperparameters(hp)
        values = self.values(hp)
        training = training_arguments(values)
        with precision_scope(self.precision):
            model = create(self.name, **self.arguments(values))
        optimizer = make_optimizer(
            training["optimizer"],
            training["learning_rate"],
            momentum=training["momentum"],
            weight_decay=training["weight_decay"],
        )
        self.trial_task(values).compile(model, optimizer)
        # A built optimizer is restored with the weights when Hyperband goes on with a trial.
        model.optimizer.build(model.trainable_variables)
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train a trial's model on a `Dataset`, or on whatever `model.fit` takes.

        The trial's batch size and epochs are used where the caller, or Hyperband, gives none.

        Raises:
            FailedTrialError: If the model is too large, or the loss or the objective was not
                finite at the end of an epoch.
        """
        values = self.values(hp)
        if self.max_parameters and model.count_params() > self.max_parameters:
            raise FailedTrialError(
                f"The model has {model.count_params():,} parameters, more than `max_parameters`="
                f"{self.max_parameters:,}, with {describe_values(values)}."
            )
        training = training_arguments(values)
        if "epochs" not in kwargs:
            kwargs["epochs"] = training["epochs"]
        if args and isinstance(args[0], Dataset):
            task = self.trial_task(values)
            kwargs = self._on_dataset(model, args[0], task, training["batch_size"], **kwargs)
            args = ()
        elif (len(args) > 1 or "y" in kwargs) and "batch_size" not in kwargs:
            kwargs["batch_size"] = training["batch_size"]
        schedule = learning_rate_callback(
            training["learning_rate_schedule"], training["learning_rate"], kwargs["epochs"]
        )
        callbacks = [schedule, *(kwargs.pop("callbacks", None) or ()), _StopAtNonFiniteLoss()]
        history = model.fit(*args, callbacks=callbacks, **kwargs)
        for metric in ("loss", "val_loss", self.task.objective):
            for epoch, value in zip(history.epoch, history.history.get(metric, ()), strict=False):
                if not math.isfinite(value):
                    bad = f"{metric} was {value} in epoch {epoch + 1}"
                    raise FailedTrialError(f"{bad}, with {describe_values(values)}.")
        return history

    def _on_dataset(
        self, model: keras.Model, data: Dataset, task: tasks.Task, batch_size: int, **kwargs: Any
    ) -> dict[str, Any]:
        """Make the arguments of `fit` that a data set's training and validation parts decide."""
        epoch = kwargs.get("initial_epoch", 0)
        judging = task.validation(model, data.validation)
        callbacks = [*judging.pop("callbacks", ()), *(kwargs.pop("callbacks", None) or ())]
        train = task.batches(model, data.train, batch_size, seed=self.seed, first_epoch=epoch)
        return {"x": train, "shuffle": False, "callbacks": callbacks, **judging, **kwargs}


class _StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Keras's TerminateOnNaN, without what it prints; `fit` above reports the loss."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True


def _declare(hp: keras_tuner.HyperParameters, name: str, row: Int | Float | Choice) -> None:
    """Declare a row to Keras Tuner.

    Rows with a list of numbers are choices to it: its integers drawn by "log" can exceed their
    range, and its choices turn `True` and `False` into 1 and 0.
    """
    parent, parent_values = row.when or (None, None)
    options: dict[str, Any] = {
        "parent_name": parent,
        "parent_values": parent_values and list(parent_values),
    }
    if len(row.options) == 1:
        hp.Fixed(name, row.options[0], **options)
        return
    options["default"] = row.default
    if isinstance(row, Float):
        hp.Float(name, row.low, row.high, sampling=row.sampling, **options)
    elif row.kind is bool:
        hp.Boolean(name, **options)
    else:
        hp.Choice(name, list(row.options), **options)
