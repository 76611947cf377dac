"""The one function that fits: runs, trials of searches and estimators train by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import keras
import numpy as np

from zoo.arguments import broken_weights
from zoo.data import Dataset
from zoo.health import GradientHealth
from zoo.health.tap import BACKENDS
from zoo.history import numbers_of
from zoo.tasks import Task
from zoo.training.memory import keep_freed_memory
from zoo.training.recipe import Recipe

Logs = Mapping[str, float] | None


def compile_model(model: keras.Model, task: Task, recipe: Recipe) -> None:
    """Compile a model for a task, with an optimizer whose state can be loaded."""
    smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
    if smoothing and not task.has_classes:
        raise ValueError(f"`label_smoothing` is for tasks with classes, received {task.name!r}.")
    task.compile(model, recipe.make_optimizer(), **smoothing)
    model.optimizer.build(model.trainable_variables)


def set_schedule(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Give a model that `compile_model` compiled its learning rates, once the steps are known."""
    rate = recipe.make_schedule(steps)
    if not isinstance(rate, float):
        model.optimizer.learning_rate = rate


def monitor_in(callbacks: Sequence[keras.callbacks.Callback]) -> GradientHealth | None:
    """Find the monitor of a training's health among its callbacks."""
    return next((one for one in callbacks if isinstance(one, GradientHealth)), None)


def own_monitors() -> list[GradientHealth]:
    """Give a training's monitor of its own, or none on a backend where it sees nothing."""
    return [GradientHealth()] if keras.backend.backend() in BACKENDS else []


def require_trainable(recipe: Recipe, data: Dataset, task: Task, callbacks: Any) -> None:
    """Refuse, before work starts, what would end a training in its first epoch."""
    kind = keras.callbacks.Callback
    if not isinstance(callbacks, Sequence) or not all(isinstance(one, kind) for one in callbacks):
        raise ValueError(f"`callbacks` must be a list of Keras callbacks, received {callbacks!r}.")
    if recipe.class_weight:
        task.class_weights(data, recipe.class_weight)
    if recipe.augment and data.preparation.kind != "images":
        raise ValueError(f"`augment` changes images, and the data hold {data.preparation}.")
    if recipe.augment:
        try:
            data.train.batches(2, seed=recipe.seed, augment=recipe.augment)[0]
        except TypeError as error:
            raise ValueError(f"`augment` must take (examples, rng): {error}.") from error
    if recipe.warmup_epochs > recipe.epochs:
        raise ValueError(
            f"`warmup_epochs`={recipe.warmup_epochs:g} are more than `epochs`={recipe.epochs}: the "
            "learning rate would never reach its peak."
        )
    kinds = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    is_scheduled = isinstance(recipe.make_optimizer().get_config()["learning_rate"], dict)
    for callback in callbacks:
        if isinstance(callback, kinds) and is_scheduled:
            raise ValueError(
                f"A schedule (`learning_rate_schedule`) and the callback {type(callback).__name__} "
                "both set the learning rate: leave one of them out."
            )


def fit_model(
    model: keras.Model,
    data: Dataset,
    task: Task,
    recipe: Recipe,
    *,
    first_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    keeper: Keeper | None = None,
    best: BestWeights | None = None,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Fit a compiled model for a task on data."""
    keep_freed_memory()
    options = {"seed": recipe.seed, "first_epoch": first_epoch, "augment": recipe.augment}
    batches = task.batches(model, data.train, recipe.batch_size, **options)
    set_schedule(model, recipe, len(batches))
    judging = task.validation(model, data.validation)
    if recipe.class_weight:
        judging["class_weight"] = task.class_weights(data, recipe.class_weight)
    monitor = monitor_in(callbacks)
    finite = Finite(monitor)
    if best is None and recipe.early_stopping:
        best = BestWeights(task.objective, task.direction, recipe.early_stopping)
    if keeper:
        keeper.best, keeper.monitor = best, monitor
    # The caller's come before what restores weights, and that before what is then kept.
    carried = [
        _Reseed(recipe.seed),
        *judging.pop("callbacks", ()),
        *callbacks,
        finite,
        *([best] if best else []),
        _Keeping(keeper, finite, lambda: task.finish(model, data)),
    ]
    history = model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        shuffle=False,  # the batches come in an order of their own
        callbacks=carried,
        verbose=verbose,
        **judging,
    )
    finite.require()
    return history


class Finite(keras.callbacks.Callback):
    """Stops a training whose loss or weights are not finite; leaves but numbers in its logs."""

    async_safe = True  # Keras need not wait for each step's loss, only to show it here

    def __init__(self, monitor: GradientHealth | None = None) -> None:
        super().__init__()
        self.monitor = monitor  # which knows where it came from
        self.bad: str | None = None
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Take note of the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self._stop("The loss")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Look at the weights, and take out of the logs what no progress bar can show."""
        for name in logs.keys() - numbers_of(logs).keys():
            del logs[name]
        # The loss does not always tell: a ReLU turns what a weight of NaN gives it into zeros.
        broken = broken_weights(self.model.weights)
        if broken:
            self._stop(f"The weight {broken[0]!r}")

    def _stop(self, what: str) -> None:
        self.bad = self.bad or f"{what} was not finite in epoch {self.epoch + 1}."
        self.model.stop_training = True

    def require(self) -> None:
        """Raise an error if something was not finite, or the training was ended as hopeless."""
        found = self.monitor.report.findings if self.monitor else ()
        if self.bad:
            cause = next((f" {one}." for one in found if one.name == "non_finite"), "")
            raise FloatingPointError(
                f"{self.bad}{cause} Lower `learning_rate`, use `batch_norm`, or "
                "precision='float32'."
            )
        if self.monitor and self.monitor.stopped_by:
            raise FloatingPointError(f"Training was ended: {self.monitor.stopped_by}.")

    @property
    def is_good(self) -> bool:
        """Whether what the training gave is worth keeping."""
        return not self.bad and not (self.monitor and self.monitor.stopped_by)


class BestWeights(keras.callbacks.Callback):
    """Keeps the best epoch's weights, ends a training that no longer gets better, restores them.

    Keras's EarlyStopping, but it can go on where a training was interrupted.
    """

    def __init__(self, objective: str, direction: str, patience: int) -> None:
        super().__init__()
        self.objective, self.direction, self.patience = objective, direction, patience
        self.epoch: int | None = None  # the best one, counted from 0
        self.value, self.weights = math.nan, cast(Any, None)
        self._judged = ""  # what is logged of the objective, the validation's loss and the loss

    def is_better(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Take note of an epoch, and tell whether it is the best so far."""
        if not self._judged:
            self._judged = next(key for key in (self.objective, "val_loss", "loss") if key in logs)
        rising = self._judged == self.objective and self.direction == "max"
        value = float(logs.get(self._judged, math.nan)) * (1 if rising else -1)
        if better := math.isnan(self.value) or value > self.value:
            self.epoch, self.value = epoch, value
        return better

    def is_over(self, epoch: int) -> bool:
        """Tell whether an epoch was one too many without a better value."""
        return self.epoch is not None and epoch - self.epoch >= self.patience

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the weights if they are the best, and stop if they have not been for long."""
        if self.is_better(epoch, logs or {}):
            self.weights = self.model.get_weights()
        if self.is_over(epoch):
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the best weights."""
        if self.weights is not None:
            self.model.set_weights(self.weights)


class Keeper(Protocol):
    """What writes down a training; see `zoo.training.runs`."""

    best: BestWeights | None
    """What knows the best weights, where training stops early."""
    monitor: GradientHealth | None
    """What watches the training's health."""

    def keep(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep an epoch."""

    def end(self, model: keras.Model, epochs: int) -> None:
        """Keep the model as the training leaves it."""


class _Keeping(keras.callbacks.Callback):
    """Hands what is good to the keeper, once the task has settled what follows from the weights."""

    def __init__(self, keeper: Keeper | None, finite: Finite, finish: Any) -> None:
        super().__init__()
        self.keeper, self.finite, self.finish = keeper, finite, finish

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.keeper and self.finite.is_good:
            logs = {"learning_rate": float(self.model.optimizer.learning_rate), **(logs or {})}
            self.keeper.keep(self.model, epoch, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.finite.is_good:
            self.finish()
            if self.keeper:
                self.keeper.end(self.model, self.params["epochs"])


class _Reseed(keras.callbacks.Callback):
    """Makes dropout in an epoch depend on seed and epoch alone; Keras does not save its state."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        variables = self.model.non_trainable_variables
        states = [variable for variable in variables if variable.name == "seed_generator_state"]
        for index, state in enumerate(states):
            generator = np.random.default_rng((self.seed, epoch, index))
            state.assign(generator.integers(2**31, size=state.shape))
