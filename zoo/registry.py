"""The models by name: register builders, list, describe and create them."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import keras

Builder = TypeVar("Builder", bound=Callable[..., "keras.Model"])


@dataclasses.dataclass(frozen=True)
class Entry:
    """One registered model: a builder and the arguments that make it this variant."""

    name: str
    builder: Callable[..., keras.Model]
    arguments: Mapping[str, Any]
    task: str
    reference: str
    space: Mapping[str, Any] | None = None

    @property
    def family(self) -> str:
        """Name of the builder that the model is a variant of."""
        return self.builder.__name__


@dataclasses.dataclass(frozen=True)
class Description:
    """What `describe` tells of a model; `str()` of it is meant to be read."""

    name: str
    family: str
    task: str
    summary: str
    arguments: Mapping[str, Any]
    reference: str

    def __str__(self) -> str:
        arguments = "\n".join(f"    {key} = {value!r}" for key, value in self.arguments.items())
        return (
            f"{self.name}: {self.summary}\n"
            f"  family: {self.family}\n"
            f"  task: {self.task}\n"
            f"  reference: {self.reference}\n"
            f"  arguments:\n{arguments}"
        )


_entries: dict[str, Entry] = {}


def register(
    *,
    task: str,
    reference: str = "",
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    space: Mapping[str, Any] | None = None,
) -> Callable[[Builder], Builder]:
    """Register a builder under its own name, and its variants under theirs.

    Models of a registered builder pass through `zoo.create`, `zoo.train`, `tuning.search` and the
    exports as the zoo's own do.

    Args:
        task: Name of the task that the models are trained for (see `zoo.tasks`).
        reference: The paper or text that describes the architecture.
        variants: Arguments of the builder for each further name.
        space: What a search varies: for each argument of the builder a `tuning.Int`,
            `tuning.Float` or `tuning.Choice`.

    Returns:
        A decorator that returns the builder unchanged.

    Raises:
        ValueError: If a name is taken, or the builder lacks an argument that it should have.

    Example:
        >>> import keras, tuning
        >>> @register(task="classification", space={"units": tuning.Int(8, 64)})
        ... def softmax_net(input_shape=(28, 28, 1), num_classes=10, *, units=32, name="net"):
        ...     image = keras.Input(input_shape, name="image")
        ...     x = keras.layers.Dense(units, "relu")(keras.layers.Flatten()(image))
        ...     return keras.Model(image, keras.layers.Dense(num_classes, "softmax")(x), name=name)
        >>> create("softmax_net", units=8).count_params()
        6370
    """

    def decorate(builder: Builder) -> Builder:
        named = {builder.__name__: {}, **(variants or {})}
        parameters = inspect.signature(builder).parameters
        for name, arguments in named.items():
            old = _entries[name].builder if name in _entries else builder
            # A cell of a notebook may define its builder again.
            if (old.__module__, old.__qualname__) != (builder.__module__, builder.__qualname__):
                raise ValueError(f"A model named {name!r} is registered already: choose another.")
            if unknown := set(arguments) - set(parameters):
                raise ValueError(f"Variant {name!r} has unknown arguments {sorted(unknown)}.")
        needed = {"input_shape", "name", *(["num_classes"] if task == "classification" else [])}
        if missing := {*needed, *(space or {})} - set(parameters):
            raise ValueError(f"{builder.__name__!r} lacks the arguments {sorted(missing)}.")
        for name, arguments in named.items():
            _entries[name] = Entry(name, builder, dict(arguments), task, reference, space)
        return builder

    return decorate


def entry(name: str) -> Entry:
    """Look a model up."""
    known = _all_entries()
    if name not in known:
        raise ValueError(f"Unknown model {name!r}. {suggestion(name, known)}")
    return known[name]


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """List the registered models' names, sorted.

    Args:
        pattern: A shell-style pattern that the names match.
        task: Keep only models for this task.

    Raises:
        ValueError: If no model is registered for the task.

    Example:
        >>> list_models("vgg*", task="classification")
        ['vgg16', 'vgg19']
    """
    known = _all_entries()
    tasks = {found.task: found for found in known.values()}
    if task is not None and task not in tasks:
        raise ValueError(f"No model is for the task {task!r}. {suggestion(task, tasks)}")
    return sorted(
        name
        for name, found in known.items()
        if fnmatch.fnmatchcase(name, pattern) and task in (None, found.task)
    )


def describe(name: str) -> Description:
    """Describe a model: summary, arguments with their defaults, task and reference.

    Args:
        name: A registered name.

    Returns:
        The description; print it, or read its fields.

    Raises:
        ValueError: If no model has that name.

    Example:
        >>> describe("lenet5").arguments["activation"]
        'tanh'
    """
    found = entry(name)
    defaults = {key: p.default for key, p in inspect.signature(found.builder).parameters.items()}
    return Description(
        name=name,
        family=found.family,
        task=found.task,
        summary=(inspect.getdoc(found.builder) or "").partition("\n")[0],
        arguments={**defaults, **found.arguments, "name": name},
        reference=found.reference,
    )


def create(name: str, /, **arguments: Any) -> keras.Model:
    """Build a registered model: Functional, and uncompiled.

    Args:
        name: A registered name.
        **arguments: Arguments of the model's builder; they win over the variant's own.

    Raises:
        ValueError: If the name is unknown, or an argument is unknown or illegal.

    Example:
        >>> create("cascade_cnn_tiny", input_shape=(8, 8, 1), num_classes=3).output_shape
        (None, 3)
    """
    found = entry(name)
    parameters = inspect.signature(found.builder).parameters
    require_known(repr(name), arguments, parameters)
    model = found.builder(**{"name": name, **found.arguments, **arguments})
    if getattr(model, "compiled", True):
        raise ValueError(f"The builder of {name!r} must return an uncompiled model, not {model!r}.")
    return model


def require_known(whose: str, arguments: Iterable[str], known: Mapping[str, Any]) -> None:
    """Check that what is to be called has arguments of these names."""
    for argument in arguments:
        if argument not in known:
            raise ValueError(f"{whose} has no argument {argument!r}. {suggestion(argument, known)}")


def suggestion(name: str, known: Mapping[str, Any]) -> str:
    """Say which known names are close to an unknown one."""
    close = difflib.get_close_matches(str(name), known, n=3)
    question = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{question}Known: {', '.join(sorted(known)) or 'none'}."


def _all_entries() -> dict[str, Entry]:
    """Import every module of `zoo.models`, whose builders register themselves."""
    models = importlib.import_module("zoo.models")
    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"zoo.models.{module.name}")
    return _entries
