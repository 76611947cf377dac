"""What an example is, and what is done to make one ready for a model."""

from __future__ import annotations

import abc
import dataclasses
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from zoo._lazy import keras
from zoo.arguments import one_of

if TYPE_CHECKING:
    from zoo.data.part import Part


PREPARATION = "preparation"
"""Name of the layer that prepares examples inside a model."""


class Preparation(abc.ABC):
    """What an example is, and how others like it become what a model takes.

    A preparation is plain data: it is kept with a run, so that `run.predict` and whoever serves an
    export prepare examples exactly as in training. What it learned, it learned from the training
    part alone.
    """

    kind: ClassVar[str]
    """What the examples are: "images", "tables", "sequences" or "texts"."""
    input_shape: tuple[int | None, ...]
    """Shape of an example as the whole model takes it."""

    def __init_subclass__(cls) -> None:
        """Make the kind known by its name."""
        _kinds[cls.kind] = cls

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of an example after `layer`, as a builder takes it."""
        return self.input_shape

    def fitted(self, train: Part) -> Self:
        """Give a preparation that has learned from the training part, and no other."""
        return self

    def check(self, part: Part) -> None:  # noqa: B027
        """Refuse a part that has what the training part lacks, and the model cannot take."""

    def layer(self) -> keras.Layer | None:
        """Make the layer that prepares inside the model; `None` where nothing is left to do."""
        return None

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Bring what a model rebuilt, (n, *output_shape), back into the form of the examples."""
        return outputs

    @abc.abstractmethod
    def __call__(self, x: Any) -> np.ndarray:
        """Make what people have, an example or several, ready for the model: (n, *input_shape)."""

    def names(self, x: Any) -> list[str]:
        """Name each of the examples `x`, for reports: by path, or "0", "1", ... if in no files."""
        return [str(index) for index in range(len(self(x)))]

    @abc.abstractmethod
    def __str__(self) -> str:
        """Say what the examples are, in a few words."""

    def get_config(self) -> dict[str, Any]:
        """Give the preparation as plain values."""
        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]


_kinds: dict[str, type[Preparation]] = {}
KINDS = ("texts", "tables", "sequences", "images")
"""What examples can be, by the number of their axes; each kind has a module of that name."""


def _kind(name: Any) -> type[Preparation]:
    importlib.import_module(f"zoo.data.{one_of('kind', name, KINDS)}")
    return _kinds[name]


def preparation_from_config(config: Mapping[str, Any]) -> Preparation:
    """Make a preparation of what `get_config` gave, also after JSON."""
    values = {name: _as_tuples(value) for name, value in config.items() if name != "kind"}
    try:
        return _kind(config.get("kind"))(**values)
    except TypeError as error:
        raise ValueError(f"The preparation {dict(config)} is damaged: {error}.") from error


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def preparation_for(input_shape: tuple[int | None, ...]) -> Preparation:
    """Guess what examples are by their shape."""
    return _kind(KINDS[len(input_shape)])(input_shape=input_shape)  # type: ignore[call-arg]
