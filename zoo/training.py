"""Train a registered model on a data set, into a run directory that survives being killed."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from zoo import tasks
from zoo.arguments import MAX_SEED, integer
from zoo.data.dataset import Dataset, fingerprint, require_dataset
from zoo.optimizers import learning_rate_callback, make_optimizer
from zoo.precision import precision_scope, resolve_precision
from zoo.records import claimed
from zoo.registry import create, entry
from zoo.runs import (
    CONFIG,
    METRICS,
    MODEL,
    Run,
    RunKeeper,
    load_run,
    load_state,
)


def train(
    name: str,
    data: Dataset,
    *,
    arguments: Mapping[str, Any] | None = None,
    task: str | tasks.Task | None = None,
    epochs: int = 10,
    batch_size: int = 64,
    optimizer: str = "adamw",
    learning_rate: float = 1e-3,
    learning_rate_schedule: str = "constant",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    precision: str = "auto",
    seed: int = 0,
    directory: str | os.PathLike[str],
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> Run:
    """Build a model, fit it, evaluate it on the test part, and keep everything in a directory.

    The directory holds `config.json` (builder name and arguments, training values, seed,
    versions), `model.keras` (the model and its optimizer after the last good epoch, replaced as a
    whole each epoch), `history.csv`, and, once the training is complete, `metrics.json`. The same
    seed gives the same numbers on the same machine, also when the training was interrupted.

    Args:
        name: A registered model's name.
        data: What `zoo.load_data` gives.
        arguments: The builder's arguments, beside those that the data decide.
        task: Name of a task, or a task, where it is not the one that the model is registered for.
        epochs: Number of passes over the training part.
        batch_size: Number of examples a step.
        optimizer: "sgd", "adagrad", "adadelta", "rmsprop", "adam" or "adamw".
        learning_rate: The optimizer's step size, at the schedule's peak.
        learning_rate_schedule: "constant", "cosine", "exponential" or "one_cycle".
        momentum: For "sgd" and "rmsprop"; the others ignore it.
        weight_decay: Decoupled weight decay.
        augment: Changes a batch of training images, `(images, rng) -> images`; see
            `zoo.data.augment`.
        precision: "auto" (bfloat16 where the machine computes it faster), "float32",
            "mixed_bfloat16" or "mixed_float16".
        seed: Decides initial weights, dropout, the order of examples and their augmentation.
        directory: A new or empty directory, or with `resume` one that holds this run.
        resume: Go on from the last good epoch of the run in `directory`; a complete run is
            loaded. The other arguments must be those that it was started with.
        callbacks: More Keras callbacks for `fit`. A resumed run begins with new ones: what they
            keep in memory is not in the directory.
        verbose: As `fit` takes it; 0 is silent.

    Returns:
        The run.

    Raises:
        ValueError: If an argument is illegal, the model does not fit the data, or a resumed run
            was started with other arguments.
        FileExistsError: If the directory is not empty and `resume` is false.
        FloatingPointError: If the loss or a weight is no longer finite; the last good model stays.

    Example:
        >>> import tempfile, zoo
        >>> data = zoo.load_data("digits")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     run = zoo.train("mlp_tiny", data, epochs=2, directory=directory, verbose=0)
        >>> sorted(run.metrics)
        ['accuracy', 'loss']
    """
    require_dataset(data)
    the_task = tasks.get(task or entry(name).task)
    epochs = integer("epochs", epochs)
    batch_size = integer("batch_size", batch_size)
    seed = integer("seed", seed, minimum=0, maximum=MAX_SEED)
    if augment is not None and not callable(augment):
        raise ValueError(f"`augment` must be a function of (images, rng), received {augment!r}.")
    _require_one_schedule(learning_rate_schedule, callbacks)
    arguments = {**the_task.model_arguments(data), **(arguments or {})}
    policy = resolve_precision(precision)
    config = {
        "model": entry(name).name,
        "arguments": arguments,
        "task": the_task.name,
        "task_arguments": vars(the_task),
        "data": [data.name, *data.input_shape],
        "parts": fingerprint(data.train, data.validation, data.test),
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "learning_rate_schedule": learning_rate_schedule,
        "momentum": momentum,
        "weight_decay": weight_decay,
        # A function's address in memory is another one in each process.
        "augment": re.sub(r" at 0x[0-9a-f]+", "", repr(augment)),
        "precision": policy,
        "seed": seed,
    }

    keras.utils.set_random_seed(seed)
    schedule = learning_rate_callback(learning_rate_schedule, learning_rate, epochs)
    with precision_scope(policy):
        model = create(name, **arguments)
    the_task.check(model, data)
    the_task.compile(
        model,
        make_optimizer(optimizer, learning_rate, momentum=momentum, weight_decay=weight_decay),
    )
    batches = functools.partial(
        the_task.batches, model, data.train, batch_size, seed=seed, augment=augment
    )
    steps = len(batches())

    with claimed(directory, CONFIG, config, resume=resume) as path:
        if (path / METRICS).exists():
            return load_run(path)
        if (path / MODEL).exists():
            load_state(model, path / MODEL)
        # Rounded, since mixed_float16 skips the steps in which its loss scale overflows.
        done = round(int(model.optimizer.iterations) / steps)
        keeper = RunKeeper(path, done)
        judging = the_task.validation(model, data.validation)
        before = [_Reseed(seed), schedule, keras.callbacks.TerminateOnNaN()]
        # After the caller's, which can restore weights, and before what is then kept.
        finish = _Finish(keeper, lambda: the_task.finish(model, data))
        model.fit(
            batches(first_epoch=done),
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,  # the batches come in an order of their own
            callbacks=[*before, *judging.pop("callbacks", ()), *callbacks, finish, keeper],
            verbose=verbose,
            **judging,
        )
        keeper.require_finite()
        return keeper.close(the_task.evaluate(model, data.test))


def _require_one_schedule(schedule: str, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    kinds = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    for callback in callbacks:
        if isinstance(callback, kinds) and schedule != "constant":
            raise ValueError(
                f"`learning_rate_schedule`={schedule!r} and the callback {type(callback).__name__} "
                "both set the learning rate: leave one of them out."
            )


class _Finish(keras.callbacks.Callback):
    """Settles what follows from the trained weights, unless the training diverged."""

    def __init__(self, keeper: RunKeeper, finish: Callable[[], None]) -> None:
        super().__init__()
        self.keeper, self.finish = keeper, finish

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if not self.keeper.diverged:
            self.finish()


class _Reseed(keras.callbacks.Callback):
    """Makes dropout in an epoch depend on seed and epoch alone; Keras does not save its state."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        variables = self.model.non_trainable_variables
        states = [variable for variable in variables if variable.name == "seed_generator_state"]
        for index, state in enumerate(states):
            generator = np.random.default_rng((self.seed, epoch, index))
            state.assign(generator.integers(2**31, size=state.shape))
