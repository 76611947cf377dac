"""Checks of builder arguments: each returns the value in one form, or says what is wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from zoo._lazy import keras

MAX_SEED = 2**32 - 1
"""The largest seed that every random number generator takes."""


def integer(name: str, value: Any, *, minimum: int = 1, maximum: int | None = None) -> int:
    """Check an integer argument."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}, received {value!r}.")
    if maximum is not None and int(value) > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}, received {value!r}.")
    return int(value)


def integers(name: str, value: Any, *, length: int | None = None, empty: bool = False) -> tuple:
    """Check an argument that is a sequence of positive integers."""
    if length is not None and isinstance(value, Integral):
        value = (value,) * length
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"`{name}` must be a tuple of positive integers, received {value!r}.")
    if not value and not empty:
        raise ValueError(f"`{name}` must have at least one entry, received {value!r}.")
    if length is not None and len(value) != length:
        raise ValueError(f"`{name}` must be an integer or {length} of them, received {value!r}.")
    return tuple(integer(f"{name}[{index}]", entry) for index, entry in enumerate(value))


def rate(name: str, value: Any) -> float:
    """Check a rate: a number of at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ValueError(f"`{name}` must be a number from 0 to below 1, received {value!r}.")
    return float(value)


def number(name: str, value: Any, *, or_zero: bool = False) -> float:
    """Check a positive number."""
    is_finite = isinstance(value, Real) and math.isfinite(value)
    if isinstance(value, bool) or not is_finite or float(value) < 0 or (value == 0 and not or_zero):
        least = "of at least" if or_zero else "above"
        raise ValueError(f"`{name}` must be a number {least} 0, received {value!r}.")
    return float(value)


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Check an argument that is a dictionary, or `None` for an empty one."""
    if not isinstance(value, Mapping | None):
        raise ValueError(f"`{name}` must be a dictionary, received {value!r}.")
    return dict(value or {})


def flag(name: str, value: Any) -> bool:
    """Check a yes-or-no argument."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False, received {value!r}.")
    return bool(value)


def one_of(name: str, value: Any, options: Collection[str]) -> str:
    """Check that an argument is one of some words."""
    if not isinstance(value, str) or value not in options:
        close = difflib.get_close_matches(str(value), options, n=1)
        question = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(map(repr, options))
        raise ValueError(f"`{name}` must be one of {listed}, received {value!r}.{question}")
    return value


def activation(name: str, value: Any) -> Any:
    """Check an activation: a Keras name, or a callable from tensor to tensor."""
    if isinstance(value, keras.Layer | type):
        raise ValueError(f"`{name}` must be a name or a function, received a layer, {value!r}.")
    if callable(value):
        return value
    # The last two are no functions from a tensor to one of the same shape.
    others = ("deserialize", "get", "serialize", "glu", "threshold")
    known = [key for key in dir(keras.activations) if key not in others and key[0] != "_"]
    return one_of(name, value, known)


def initializer(name: str, value: Any) -> Any:
    """Check an initializer of weights: a Keras name, or an initializer."""
    if isinstance(value, keras.initializers.Initializer):
        return value
    known = [key for key in dir(keras.initializers) if key[0].islower()]
    return one_of(name, value, [key for key in known if key not in ("deserialize", "get")])


def image_shape(name: str, value: Any) -> tuple[int | None, int | None, int]:
    """Check the shape of an image: height, width, channels."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise ValueError(f"`{name}` must be (height, width, channels), received {value!r}.")
    height, width = (
        size if size is None else integer(f"{name}[{axis}]", size)
        for axis, size in enumerate(value[:2])
    )
    return height, width, integer(f"{name}[2]", value[2])


def images(name: str, value: Any, shape: Sequence[int | None]) -> np.ndarray:
    """Check images, or rows of numbers, that a model is to be given."""
    array = np.asarray(value)
    if array.ndim != len(shape) + 1 or any(
        wanted not in (size, None) for size, wanted in zip(array.shape[1:], shape, strict=True)
    ):
        raise ValueError(
            f"`{name}` must be of shape (images, {', '.join(map(str, shape))}), received "
            f"{array.shape}. A single image is {name}[None]."
        )
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"`{name}` must be floats in [0, 1] or uint8, received {array.dtype}.")
    if array.dtype.kind == "f" and array.size and len(shape) == 3:
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise ValueError(
                f"`{name}` of floats must be in [0, 1], received values from {low:g} to {high:g}. "
                "Scale them first, or pass uint8."
            )
    return array


def broken_weights(weights: Iterable[Any]) -> list[str]:
    """Name the weights that hold NaN or infinite values, which ReLU can hide from outputs."""
    return [
        weight.path
        for weight in weights
        if keras.backend.is_float_dtype(weight.dtype)
        and not np.isfinite(keras.ops.convert_to_numpy(weight)).all()
    ]
