"""Labelled images in memory, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.data.dataset import Source
from zoo.data.part import Part


def read_arrays(source: Any) -> Source:
    """Check arrays that a caller gives.

    Args:
        source: `(x, y)` or `((x_train, y_train), (x_test, y_test))`; see `zoo.load_data`.

    Returns:
        What they hold.

    Raises:
        ValueError: If they have another form, or images or labels are malformed.

    Example:
        >>> read_arrays((np.zeros((4, 8, 8)), [0, 1, 0, 1])).train.input_shape
        (8, 8, 1)
    """
    is_pair = isinstance(source, tuple | list) and len(source) == 2
    if is_pair and all(isinstance(half, tuple | list) and len(half) == 2 for half in source):
        return from_arrays("arrays", *source[0], *source[1])
    if is_pair:
        return from_arrays("arrays", *source)
    raise ValueError(
        "`source` must be a name, a path, (x, y) or ((x_train, y_train), (x_test, y_test)); "
        f"received {type(source).__name__}."
    )


def from_arrays(
    name: str,
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    class_names: Sequence[str] | None = None,
) -> Source:
    """Check images and labels, and bring them into the form that parts have.

    Args:
        name: What the data are called.
        x: Images, (n, height, width) or (n, height, width, channels), uint8 or floats in [0, 1].
        y: Labels, integers from 0, (n,) or (n, 1); `None` puts all images in class 0.
        x_test: Images set aside as test part, or `None`.
        y_test: Their labels, or `None`.
        class_names: Name of class 0, 1, ...; `None` names classes by their numbers.

    Returns:
        What they hold.

    Raises:
        ValueError: If images or labels are malformed.

    Example:
        >>> from_arrays("dots", np.zeros((2, 8, 8)), [0, 1], class_names=["a", "b"]).class_names
        ('a', 'b')
    """
    has_test = x_test is not None
    if has_test and (y is None) != (y_test is None):
        without = "training" if y is None else "test"
        raise ValueError(
            f"The {without} part has no labels, and the other one has: give both, or neither."
        )
    train = _part("the training part" if has_test else "the data", x, y)
    test = _part("the test part", x_test, y_test) if has_test else None
    if test and test.input_shape != train.input_shape:
        raise ValueError(
            f"Training and test images must have one shape; received {train.input_shape} and "
            f"{test.input_shape}."
        )
    largest = max(int(part.labels.max()) for part in (train, test) if part)
    if class_names is None:
        class_names = [str(index) for index in range(largest + 1)]
    elif largest >= len(class_names):
        raise ValueError(
            f"There are {len(class_names)} class names, so labels must be 0 to "
            f"{len(class_names) - 1}; received the label {largest}."
        )
    return Source(name, train, None, test, tuple(class_names))


def _part(where: str, x: Any, y: Any) -> Part:
    images = _check_images(where, x)
    labels = np.zeros(len(images), np.int64) if y is None else _check_labels(where, y)
    if len(images) != len(labels):
        raise ValueError(
            f"Each image needs one label; {where} has {len(images)} images and {len(labels)} "
            "labels."
        )
    return Part(images, labels)


def _check_images(where: str, x: Any) -> np.ndarray:
    """Give images as (n, height, width, channels), uint8, or float32 in [0, 1]."""
    try:
        images = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"The images of {where} differ in shape: {error}") from error
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"The images of {where} must be (n, height, width, channels) or (n, height, width), "
            f"with no size 0; received the shape {images.shape}."
        )
    mend = _odd_layout(images.shape)
    if mend:
        raise ValueError(
            f"The images of {where} have the shape {images.shape}, which is not "
            f"(n, height, width, channels). {mend}"
        )
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype == np.uint8:
        if images.max() == 1:
            raise ValueError(
                f"The images of {where} are uint8 with no value above 1, and uint8 is taken as 0 "
                "to 255. If they are black and white, pass x.astype('float32')."
            )
        return images
    if images.dtype.kind != "f":
        raise ValueError(
            f"The images of {where} must be uint8 (0 to 255) or floats in [0, 1]; received "
            f"{images.dtype}. Convert them, for example with x.astype('uint8')."
        )
    low, high = images.min(), images.max()  # NaN if any value is
    if not np.isfinite([low, high]).all():
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        raise ValueError(
            f"{len(bad)} images of {where} hold NaN or infinite values, the first at index "
            f"{bad[0]}. Remove or repair them."
        )
    if low < 0 or high > 1 or 0 < high <= _DIVIDED_TWICE:
        raise ValueError(
            f"The images of {where} must be floats in [0, 1] (or uint8); received values from "
            f"{low:g} to {high:g}. {how_to_scale(low, high)}"
        )
    return images.astype(np.float32, copy=False)


_DIVIDED_TWICE = 1.001 / 255  # the largest value of images that were divided by 255 twice


def how_to_scale(low: float, high: float) -> str:
    """Say how to mend images of another scale.

    Args:
        low: Their smallest value.
        high: Their largest.

    Returns:
        A sentence.
    """
    if not np.isfinite([low, high]).all():
        return "Remove or repair those with NaN or infinite values."
    if low >= 0 and high <= _DIVIDED_TWICE:
        return "Were they divided by 255 twice? Once is enough."
    if low >= 0 and high <= 1:
        return "If they are black and white, pass x.astype('float32')."
    if low >= 0 and 2 < high <= 255:
        return "If they are of 0 to 255, pass x.astype('uint8')."
    if low >= -1 and high <= 1:
        return "If they are of -1 to 1, pass (x + 1) / 2."
    return "Scale them first, for example (x - x.min()) / np.ptp(x)."


def _odd_layout(shape: tuple[int, ...]) -> str:
    """Say how to mend images whose axes are in another order; nothing where none is odd."""
    channels = (1, 2, 3, 4)
    if len(shape) != 4 or shape[3] in channels:
        return ""
    if shape[1] in channels and shape[2] not in channels:
        return "They look like (n, channels, height, width): pass np.moveaxis(x, 1, -1)."
    if shape[2] in channels and shape[1] not in channels:
        return "They look like (height, width, channels, n): pass np.moveaxis(x, -1, 0)."
    return ""


def _check_labels(where: str, y: Any) -> np.ndarray:
    """Give labels as int64, (n,)."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"The labels of {where} must be one integer an image, of shape (n,); received the "
            f"shape {labels.shape}. If they are one-hot, pass y.argmax(axis=1)."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"The labels of {where} must be integers; received {labels.dtype}. "
            "np.unique(y, return_inverse=True)[1] numbers them."
        )
    if len(labels) and labels.min() < 0:
        raise ValueError(
            f"The labels of {where} must be 0 to the number of classes - 1; received the label "
            f"{labels.min()}. np.unique(y, return_inverse=True)[1] renumbers them."
        )
    return labels.astype(np.int64)
