"""Optimizers and learning-rate schedules by name, with the values that searches vary."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from zoo.arguments import number, one_of, rate

OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}

# Optimizers with an argument `momentum`; the others ignore it.
WITH_MOMENTUM = ("sgd", "rmsprop")

# From the part of the training that is done, in [0, 1), to a factor on the learning rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "exponential": lambda done: 0.01**done,
    # Rises to the peak over the first fifth, then falls as a cosine.
    "one_cycle": lambda done: (
        0.1 + 4.5 * done if done < 0.2 else (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2
    ),
}


def make_optimizer(
    optimizer: str, learning_rate: float, *, momentum: float = 0.0, weight_decay: float = 0.0
) -> keras.optimizers.Optimizer:
    """Make a Keras optimizer.

    Args:
        optimizer: "sgd", "adagrad", "adadelta", "rmsprop", "adam" or "adamw".
        learning_rate: Step size, above 0.
        momentum: In [0, 1); used by "sgd" (Nesterov's) and "rmsprop", ignored by the others.
        weight_decay: Decoupled decay a step, at least 0, times the learning rate.

    Returns:
        The optimizer.

    Raises:
        ValueError: If the name is unknown, or a value is out of its range.

    Example:
        >>> make_optimizer("sgd", 0.1, momentum=0.9).momentum
        0.9
    """
    one_of("optimizer", optimizer, OPTIMIZERS)
    learning_rate = number("learning_rate", learning_rate)
    momentum = rate("momentum", momentum)
    weight_decay = number("weight_decay", weight_decay, or_zero=True)
    options: dict[str, Any] = {"momentum": momentum} if optimizer in WITH_MOMENTUM else {}
    if optimizer == "sgd":
        options["nesterov"] = momentum > 0
    if weight_decay or optimizer == "adamw":  # AdamW has a decay of its own where none is given
        options["weight_decay"] = weight_decay
    return OPTIMIZERS[optimizer](learning_rate, **options)


def learning_rate_callback(
    schedule: str, learning_rate: float, epochs: int
) -> keras.callbacks.Callback:
    """Make the Keras callback that sets the learning rate at the start of each epoch.

    Args:
        schedule: "constant", "cosine" (to 0), "exponential" (to a hundredth) or "one_cycle" (up
            from a tenth over the first fifth of the epochs, then down as a cosine).
        learning_rate: The schedule's peak.
        epochs: Number of epochs that the schedule spans.

    Returns:
        The callback. It depends on the number of the epoch alone, so that a resumed training
        goes on at the right place.

    Raises:
        ValueError: If the schedule is unknown, or `epochs` is below 1.

    Example:
        >>> callback = learning_rate_callback("cosine", 0.1, epochs=10)
        >>> callback.schedule(5, None)
        0.05
    """
    factor = SCHEDULES[one_of("learning_rate_schedule", schedule, SCHEDULES)]
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1, received {epochs!r}.")
    if schedule == "constant":  # leaves the rate to the optimizer, and to the user's callbacks
        return keras.callbacks.Callback()
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: round(learning_rate * factor(epoch / epochs), 12)
    )
