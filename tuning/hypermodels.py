"""Registered models as Keras Tuner hypermodels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.errors import FailedTrialError

from tuning.families import family_of
from tuning.spaces import space, task_arguments, training_values
from zoo import tasks
from zoo.arguments import mapping
from zoo.data import Dataset
from zoo.data.augment import ROWS as AUGMENTATION
from zoo.registry import create, entry
from zoo.space import Choice, Float, Int, Space, describe_values, plain_values
from zoo.training.fit import BestWeights, Finite, Keeper, compile_model, fit_model, set_schedule
from zoo.training.precision import precision_scope, resolve_precision
from zoo.training.recipe import BROUGHT, ROWS, Recipe, given_of

ONLY_DATASETS = ("early_stopping", "augment", "class_weight", "label_smoothing")


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
    **values: Any,
) -> ZooHyperModel:
    """Make a registered model searchable with plain Keras Tuner.

    What varies is what `tuning.space` puts together: the rows of the model's family, but for what
    a variant states, and those of training, `batch_size` and `epochs` included.

    Args:
        name: A registered name.
        input_shape: Height, width and channels of images, or time and features of sequences.
        num_classes: Number of classes, for models that classify.
        arguments, fixed, ranges, task, max_parameters: As `tuning.search` takes them.
        **values: Values of the recipe that every trial has, such as `epochs=5`; see `zoo.Recipe`.

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
    fixed, recipe, brought = divided(values, fixed, ranges)
    given: dict[str, Any] = dict(arguments=arguments, fixed=fixed, ranges=ranges, brought=brought)
    rows = space(name, input_shape, task=task, **given)
    builder_arguments = {**data_arguments, **mapping("arguments", arguments)}
    return ZooHyperModel(
        name, rows, builder_arguments, task=task, recipe=recipe, max_parameters=max_parameters
    )


def divided(
    values: Mapping[str, Any], fixed: Mapping[str, Any] | None, ranges: Mapping[str, Any] | None
) -> tuple[dict[str, Any], Recipe, set[str]]:
    """Divide a recipe's values: those that a space fixes, and others with the rows they replace."""
    fixed, ranges = mapping("fixed", fixed), mapping("ranges", ranges)
    recipe = Recipe().replace(**values)  # which checks them
    in_space = {
        name: getattr(recipe, name)
        for name, value in values.items()
        if name in ROWS and isinstance(value, str | int | float)
    }
    others = {name: value for name, value in values.items() if name not in in_space}
    brought = {row for name in others for row in (name, *BROUGHT.get(name, ()))}
    if recipe.augment is not None:
        brought.update(AUGMENTATION)
    for name in (*values, *brought):
        if name in fixed or name in ranges:
            raise ValueError(f"`{name}` is given, and in `fixed` or `ranges`: leave one out.")
    return {**fixed, **in_space}, Recipe().replace(**others), brought


class ZooHyperModel(keras_tuner.HyperModel):
    """A registered model, its search space, and how a trial is built and trained.

    `hypermodel` makes one. Where its `data` are known, their preparation is in the model.
    """

    def __init__(
        self,
        name: str,
        rows: Space,
        arguments: Mapping[str, Any],
        *,
        task: str | tasks.Task | None = None,
        recipe: Recipe | None = None,
        max_parameters: int | None = None,
        data: Dataset | None = None,
    ) -> None:
        super().__init__(name)
        self.rows = rows
        self.fixed_arguments = dict(arguments)
        self.task = tasks.get(task or entry(name).task)
        recipe = recipe or Recipe()
        self.recipe = recipe.replace(precision=resolve_precision(recipe.precision))
        self.max_parameters = max_parameters
        self.data = data

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declare the whole space, so that it is known before the first trial."""
        for name, row in self.rows.items():
            _declare(hp, name, row)

    def values(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """Give the values, by name, that a trial's draws in `hp` stand for, where they apply."""
        return plain_values(self.rows, hp.values)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the builder arguments of a trial: `zoo.create(name, **arguments)` is its model."""
        family = family_of(self.name)
        drawn = {name: value for name, value in values.items() if name in family.rows}
        return {**entry(self.name).arguments, **family.arguments(drawn), **self.fixed_arguments}

    def trial_task(self, values: Mapping[str, Any]) -> tasks.Task:
        """Give the task of a trial: the search's own, but for what the trial's values say."""
        drawn = task_arguments(self.task.name, values)
        return type(self.task)(**{**vars(self.task), **drawn}) if drawn else self.task

    def trial_recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Give the recipe of a trial: the search's own, but for what the trial's values say."""
        return self.recipe.replace(**training_values(values))

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile a trial's model."""
        self.declare_hyperparameters(hp)
        values = self.values(hp)
        task = self.trial_task(values)
        with precision_scope(self.recipe.precision):
            if self.data is None:
                model = create(self.name, **self.arguments(values))
            else:
                model = task.build(self.name, self.data, self.arguments(values))
        # A built optimizer is restored with the weights when Hyperband goes on with a trial.
        compile_model(model, task, self.trial_recipe(values))
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train a trial's model on a `Dataset`, or on whatever `model.fit` takes.

        The trial's batch size and epochs are used where the caller, or Hyperband, gives none.
        Images of 8 bits become what the models are made for, floats in [0, 1].

        Raises:
            FailedTrialError: If the model is too large, or the loss or the objective was not
                finite at the end of an epoch.
        """
        if args and isinstance(args[0], Dataset):
            return self.fit_trial(hp, model, args[0], **kwargs)
        self.require_size(hp, model)
        recipe = self.trial_recipe(self.values(hp)).replace(
            **{name: kwargs[name] for name in ("epochs", "batch_size") if name in kwargs}
        )
        if told := given_of(recipe, ONLY_DATASETS):
            raise ValueError(f"{told} need a `Dataset` (zoo.load_data): search on one.")
        kwargs["epochs"] = recipe.epochs
        if len(args) > 1 or "y" in kwargs:
            kwargs["batch_size"] = recipe.batch_size
        args = _unit_range(args)
        kwargs = {name: _unit_range(value) for name, value in kwargs.items()}
        steps = _steps(args[0] if args else kwargs.get("x"), recipe.batch_size)
        set_schedule(model, recipe, steps)
        finite = Finite()
        callbacks = [*(kwargs.pop("callbacks", None) or ()), finite]
        history = model.fit(*args, callbacks=callbacks, **kwargs)
        self._require_finite(hp, history)
        if finite.bad:
            raise FailedTrialError(f"{finite.bad} {describe_values(self.values(hp))}.")
        return history

    def fit_trial(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        data: Dataset,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        keeper: Keeper | None = None,
        best: BestWeights | None = None,
        verbose: int | str = 0,
    ) -> keras.callbacks.History:
        """Train a trial's model on a data set, as `zoo.train` would, for `fit` and the tuner."""
        self.require_size(hp, model)
        values = self.values(hp)
        recipe = self.trial_recipe(values).replace(**({"epochs": epochs} if epochs else {}))
        try:
            history = fit_model(
                model,
                data,
                self.trial_task(values),
                recipe,
                first_epoch=initial_epoch,
                callbacks=callbacks or (),
                keeper=keeper,
                best=best,
                verbose=verbose,
            )
        except FloatingPointError as error:
            raise FailedTrialError(f"{error} The values: {describe_values(values)}.") from error
        self._require_finite(hp, history)
        return history

    def require_size(self, hp: keras_tuner.HyperParameters, model: keras.Model) -> None:
        """Fail a trial whose model is too large."""
        if self.max_parameters and model.count_params() > self.max_parameters:
            raise FailedTrialError(
                f"The model has {model.count_params():,} parameters, more than `max_parameters`="
                f"{self.max_parameters:,}, with {describe_values(self.values(hp))}."
            )

    def _require_finite(self, hp: keras_tuner.HyperParameters, history: Any) -> None:
        for metric in ("loss", "val_loss", self.task.objective):
            for epoch, value in zip(history.epoch, history.history.get(metric, ()), strict=False):
                if not math.isfinite(value):
                    bad = f"{metric} was {value} in epoch {epoch + 1}"
                    raise FailedTrialError(f"{bad}, with {describe_values(self.values(hp))}.")


def _unit_range(x: Any) -> Any:
    """Bring images of 8 bits, also those in a tuple of validation data, to floats in [0, 1]."""
    if isinstance(x, tuple):
        return tuple(map(_unit_range, x))
    is_bytes = isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim >= 3
    return np.divide(x, np.float32(255), dtype=np.float32) if is_bytes else x


def _steps(x: Any, batch_size: int) -> int:
    """Count the steps of an epoch; 1 where nobody knows."""
    try:
        return -(-len(x) // batch_size) if hasattr(x, "shape") else len(x)
    except TypeError:
        return 1


def _declare(hp: keras_tuner.HyperParameters, name: str, row: Int | Float | Choice) -> None:
    """Declare a row to Keras Tuner.

    Rows with a list of numbers are choices to it: its integers drawn by "log" can exceed their
    range, and its choices turn `True` and `False` into 1 and 0.
    """
    when: dict[str, Any] = {}
    if row.when:
        when = {"parent_name": row.when[0], "parent_values": list(row.when[1])}
    if len(row.options) == 1:
        hp.Fixed(name, row.options[0], **when)
    elif isinstance(row, Float):
        hp.Float(name, row.low, row.high, sampling=row.sampling, default=row.default, **when)
    elif row.kind is bool:
        hp.Boolean(name, default=row.default, **when)
    else:
        hp.Choice(name, list(row.options), default=row.default, **when)
