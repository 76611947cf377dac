"""What a training is told: the one place where its values are named, checked and kept."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from typing import Any

from zoo._lazy import keras
from zoo.arguments import MAX_SEED, integer, number, one_of, rate
from zoo.data.augment import Augment
from zoo.registry import require_known, suggestion
from zoo.space import Choice, Float, Int
from zoo.training.fingerprint import describe_function
from zoo.training.precision import PRECISIONS

# Keras's classes by our names, with the factor between a good learning rate of theirs and of
# Adam's: ratios of the best rates on the digits, to half a decade (benchmarks/learning_rates.py);
# those of sgd and rmsprop hold with momentum. Good rates differ between optimizers by a factor of
# thousands. A search draws in Adam's measure, so that what it learns of the rate under one
# optimizer holds for the others; the values that a caller gives are the rates themselves.
OPTIMIZERS = {
    "sgd": ("SGD", 20.0),
    "adagrad": ("Adagrad", 30.0),
    "adadelta": ("Adadelta", 1000.0),
    "rmsprop": ("RMSprop", 0.1),
    "adam": ("Adam", 1.0),
    "adamw": ("AdamW", 1.0),
}
WITH_MOMENTUM = ("sgd", "rmsprop")
SCHEDULES = ("constant", "cosine", "exponential", "one_cycle")

# What an optimizer that is given as an object, or a schedule, brings with it.
BROUGHT = {
    "optimizer": (
        *("learning_rate", "learning_rate_schedule", "warmup_epochs"),
        *("momentum", "weight_decay", "global_clipnorm"),
    ),
    "learning_rate_schedule": ("learning_rate", "warmup_epochs"),
}


def _with(check: Callable[..., Any], row: Any = None, varied: bool = True) -> dict[str, Any]:
    """Describe a value: its check, and its row in a search, varied always or on request."""
    return {"check": check, "row": row, "varied": varied}


def _named_or_object(name: str, value: Any, known: Collection[str], word: str) -> Any:
    """Check what is given by one of some names, or as an object of Keras's."""
    if isinstance(value, str):
        return one_of(name, value, known)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if not isinstance(value, schedule if word == "schedule" else keras.optimizers.Optimizer):
        raise ValueError(
            f"`{name}` must be {', '.join(map(repr, known))} or a Keras {word}, not {value!r}."
        )
    return value


def _class_weight(name: str, value: Any) -> Any:
    if value is None or value == "balanced":
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"`{name}` must be 'balanced' or a weight for each class, not {value!r}.")
    return {str(key): number(f"{name}[{key!r}]", of, or_zero=True) for key, of in value.items()}


def _augment(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        require_known("An augmentation", map(str, value), inspect.signature(Augment).parameters)
        return Augment(**value)
    if value is not None and not callable(value):
        raise ValueError(f"`{name}` must be a function of (images, rng), received {value!r}.")
    return value


def _or_none(check: Callable[..., Any]) -> Callable[..., Any]:
    return lambda name, value: None if value is None else check(name, value)


_optimizer = functools.partial(_named_or_object, known=OPTIMIZERS, word="optimizer")
_schedule = functools.partial(_named_or_object, known=SCHEDULES, word="schedule")
_from_zero = functools.partial(number, or_zero=True)

# What a search draws the values from.
_BATCH_SIZES = Int(16, 256, step=2, sampling="log", default=64)
_OPTIMIZERS = Choice(tuple(OPTIMIZERS), default="adamw")
_FACTORS = {name: factor for name, (_, factor) in OPTIMIZERS.items()}
_LEARNING_RATES = Float(1e-4, 1e-2, sampling="log", default=1e-3, scale=("optimizer", _FACTORS))
_WARMUPS = Float(0.0, 3.0, when=("learning_rate_schedule", ("constant", "cosine")))
_MOMENTA = Float(0.0, 0.95, default=0.9, when=("optimizer", WITH_MOMENTUM))
_WEIGHT_DECAYS = Float(1e-5, 0.1, sampling="log", default=4e-3, when=("optimizer", ("adamw",)))
_CLIPNORMS = Float(0.1, 10.0, sampling="log", default=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training is told, whatever is trained on which data.

    `zoo.train`, the trials of `tuning.search` and the command lines all train by one.

    Args:
        epochs: Number of passes over the training part.
        batch_size: Number of examples a step.
        optimizer: "sgd" (with Nesterov's momentum), "adagrad", "adadelta", "rmsprop", "adam" or
            "adamw"; or a Keras optimizer, which brings its own learning rate, momentum, decay and
            clipping. Of an optimizer that is given, each training takes a fresh copy.
        learning_rate: Step size, above 0, at the schedule's peak.
        learning_rate_schedule: "constant", "cosine" (to 0), "exponential" (to a hundredth),
            "one_cycle" (up from a tenth over the first fifth of the training, then down as a
            cosine); or a Keras schedule, in steps. It moves step by step.
        warmup_epochs: Number of epochs, also a part of one, in which the learning rate rises evenly
            to its peak; for "constant" and "cosine".
        momentum: In [0, 1), for "sgd" and "rmsprop"; the others ignore it.
        weight_decay: Decoupled weight decay a step, at least 0, times the learning rate.
        global_clipnorm: Largest norm of all gradients together; `None` clips nothing.
        label_smoothing: Share of each label's probability, in [0, 1), that is spread evenly over
            the classes; for classification.
        class_weight: Weight of each class in the loss, by its name or else number (1 where none is
            given), or "balanced", which makes rare classes count as much as frequent ones; for
            classification.
        augment: Changes a batch of training images, `(images, rng) -> images`, such as
            `zoo.data.Augment`.
        early_stopping: Number of epochs without a better value of the task's objective (without a
            validation part, of the loss) after which training ends; the weights of the best epoch
            are restored then, and also where training runs to its last epoch. `None` trains all
            epochs and keeps the last one's weights.
        precision: "auto" (bfloat16 where the machine computes it faster), "float32",
            "mixed_bfloat16" or "mixed_float16".
        seed: Decides initial weights, dropout, the order of examples and their augmentation.

    Raises:
        ValueError: If a value is illegal; the message says what was expected.

    Example:
        >>> recipe = Recipe(epochs=5, learning_rate_schedule="cosine", warmup_epochs=1)
        >>> Recipe.from_config(recipe.get_config()) == recipe
        True
    """

    epochs: int = field(default=10, metadata=_with(integer, Int(5, 30, default=10)))
    batch_size: int = field(default=64, metadata=_with(integer, _BATCH_SIZES))
    optimizer: Any = field(default="adamw", metadata=_with(_optimizer, _OPTIMIZERS))
    learning_rate: float = field(default=1e-3, metadata=_with(number, _LEARNING_RATES))
    learning_rate_schedule: Any = field(
        default="constant", metadata=_with(_schedule, Choice(SCHEDULES))
    )
    warmup_epochs: float = field(default=0.0, metadata=_with(_from_zero, _WARMUPS, varied=False))
    momentum: float = field(default=0.9, metadata=_with(rate, _MOMENTA))
    weight_decay: float = field(default=0.0, metadata=_with(_from_zero, _WEIGHT_DECAYS))
    global_clipnorm: float | None = field(
        default=None, metadata=_with(_or_none(number), _CLIPNORMS, varied=False)
    )
    label_smoothing: float = field(default=0.0, metadata=_with(rate, Float(0.0, 0.2), varied=False))
    class_weight: Any = field(default=None, metadata=_with(_class_weight))
    augment: Any = field(default=None, metadata=_with(_augment))
    early_stopping: int | None = field(
        default=None, metadata=_with(_or_none(integer), Int(2, 10, default=5), varied=False)
    )
    precision: str = field(
        default="auto", metadata=_with(functools.partial(one_of, options=PRECISIONS))
    )
    seed: int = field(
        default=0, metadata=_with(functools.partial(integer, minimum=0, maximum=MAX_SEED))
    )

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            checked = one.metadata["check"](one.name, getattr(self, one.name))
            object.__setattr__(self, one.name, checked)
        for owner, brought in BROUGHT.items():
            if not isinstance(getattr(self, owner), str) and (given := given_of(self, brought)):
                raise ValueError(
                    f"`{owner}` is a Keras object, which brings {given} with it: give those to "
                    f"the object, or `{owner}` by name."
                )
        if self.warmup_epochs and self.learning_rate_schedule not in ("constant", "cosine"):
            raise ValueError(
                "`warmup_epochs` need the schedule 'constant' or 'cosine', received "
                f"{self.learning_rate_schedule!r}: leave one of the two out."
            )

    def replace(self, **values: Any) -> Recipe:
        """Give a recipe with some values changed.

        Args:
            **values: Value by name.

        Returns:
            The recipe.

        Raises:
            ValueError: If a name is unknown (the message suggests close ones), or a value illegal.

        Example:
            >>> Recipe().replace(epoch=3)
            Traceback (most recent call last):
            ValueError: A training has no value 'epoch'. Did you mean 'epochs'? Known: ...
        """
        for name in values:
            if name not in DEFAULTS:
                raise ValueError(f"A training has no value {name!r}. {suggestion(name, DEFAULTS)}")
        return dataclasses.replace(self, **values)

    def make_schedule(self, steps: int) -> Any:
        """Make the learning rate of a training.

        Args:
            steps: Number of steps an epoch.

        Returns:
            A number, or a `keras.optimizers.schedules.LearningRateSchedule` over all steps.

        Example:
            >>> schedule = Recipe(learning_rate_schedule="cosine", epochs=10).make_schedule(20)
            >>> round(float(schedule(100)), 6)
            0.0005
        """
        kind, peak = self.learning_rate_schedule, self.learning_rate
        if not isinstance(kind, str):
            return kind
        total, warmup = self.epochs * steps, round(self.warmup_epochs * steps)
        if kind == "constant" and not warmup:
            return peak
        schedules = keras.optimizers.schedules
        if kind == "exponential":
            return schedules.ExponentialDecay(peak, total, 0.01)
        first = peak / (warmup + 1)
        if kind == "one_cycle":
            warmup, first = math.ceil(total / 5), peak / 10
        return schedules.CosineDecay(
            first if warmup else peak,
            max(total - warmup, 1),
            alpha=1.0 if kind == "constant" else 0.0,
            warmup_target=peak if warmup else None,
            warmup_steps=warmup,
        )

    def make_optimizer(self, steps: int = 1) -> keras.optimizers.Optimizer:
        """Make the Keras optimizer of a training.

        Args:
            steps: Number of steps an epoch, which a schedule needs to know.

        Returns:
            A new optimizer.

        Example:
            >>> Recipe(optimizer="sgd", momentum=0.8).make_optimizer().momentum
            0.8
        """
        if not isinstance(self.optimizer, str):
            return type(self.optimizer).from_config(self.optimizer.get_config())
        options: dict[str, Any] = {"global_clipnorm": self.global_clipnorm}
        if self.optimizer in WITH_MOMENTUM:
            options["momentum"] = self.momentum
        if self.optimizer == "sgd":
            options["nesterov"] = self.momentum > 0
        if self.weight_decay or self.optimizer == "adamw":  # whose default is another
            options["weight_decay"] = self.weight_decay
        kind = getattr(keras.optimizers, OPTIMIZERS[self.optimizer][0])
        return kind(self.make_schedule(steps), **options)

    def get_config(self) -> dict[str, Any]:
        """Give the recipe as plain values, which JSON takes.

        Returns:
            Value by name: Keras objects as Keras serializes them, an `Augment` as its values, and
            another function as a description that changes with its code.
        """
        config = {name: getattr(self, name) for name in DEFAULTS}
        for name in BROUGHT:
            if not isinstance(config[name], str):
                config[name] = keras.saving.serialize_keras_object(config[name])
                config[name]["config"].pop("name", None)  # which counts a process's objects
        if isinstance(self.augment, Augment):
            config["augment"] = dataclasses.asdict(self.augment)
        elif self.augment is not None:
            config["augment"] = describe_function(self.augment)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recipe:
        """Make a recipe of what `get_config` gave, also after JSON.

        Args:
            config: Value by name. A function that augments is not in it: it is left out.

        Returns:
            The recipe.

        Raises:
            ValueError: If a name is unknown, or a value illegal.
        """
        values = dict(config)
        for name in BROUGHT:
            if isinstance(values.get(name), Mapping):
                values[name] = keras.saving.deserialize_keras_object(values[name])
        if isinstance(values.get("augment"), str):
            values["augment"] = None
        return cls().replace(**values)


_FIELDS = dataclasses.fields(Recipe)
DEFAULTS: dict[str, Any] = {one.name: one.default for one in _FIELDS}
ROWS = {one.name: one.metadata["row"] for one in _FIELDS if one.metadata["row"]}
"""What a search can vary in a training."""
VARIED = [one.name for one in _FIELDS if one.name in ROWS and one.metadata["varied"]]
"""What a search varies unless it is told otherwise."""


def given_of(recipe: Recipe, names: Iterable[str]) -> str:
    """List those of some values that differ from their defaults."""
    return ", ".join(f"`{name}`" for name in names if getattr(recipe, name) != DEFAULTS[name])
