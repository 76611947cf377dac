"""Labelled examples in memory, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from zoo.data.columns import as_array
from zoo.data.dataset import Source
from zoo.data.labels import Labels, read_labels
from zoo.data.part import Part
from zoo.data.preparation import Preparation
from zoo.data.sequences import are_sequences, read_sequences
from zoo.data.tables import read_frames
from zoo.data.texts import TextPreparation, are_texts, as_texts, text_targets


def read_arrays(source: Any, **options: Any) -> Source:
    """Check arrays that a caller gives, with the options of `from_arrays`."""
    if not is_pair(source):
        raise ValueError(
            "`source` must be a name, a path, a DataFrame, (x, y) or ((x_train, y_train), (x_test, "
            f"y_test)); received {type(source).__name__}."
        )
    halves = [*source[0], *source[1]] if all(map(is_pair, source)) else source
    return from_arrays("arrays", *halves, **options)


def is_pair(value: Any) -> bool:
    """Tell a tuple or list of two."""
    return isinstance(value, tuple | list) and len(value) == 2


def from_arrays(
    name: str,
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    missing: str = "refuse",
    kind: str | None = None,
) -> Source:
    """Check examples and labels, and bring them into the form that parts have."""
    has_test = x_test is not None
    if has_test and (y is None) != (y_test is None):
        without = f"The {'training' if y is None else 'test'} part has no labels"
        raise ValueError(f"{without}, and the other one has: give both, or neither.")
    wheres = ["the training part", "the test part"] if has_test else ["the data"]
    given = dict(zip(wheres, (x, x_test), strict=False))
    examples, preparation = _examples(given, missing, kind)
    shapes = [part.shape[1:] for part in examples]
    if len(set(shapes)) > 1:
        received = " and ".join(map(str, shapes))
        raise ValueError(f"Training and test examples must have one shape; received {received}.")
    if y is None:
        names = tuple(class_names or ("0",))
        labels = Labels([np.zeros(len(part), np.int64) for part in examples], names)
    else:
        targets = dict(zip(wheres, (y, y_test), strict=False))
        is_plain = class_names is None and isinstance(preparation, TextPreparation)
        texts = text_targets(targets) if is_plain else None
        labels = Labels(texts) if texts else read_labels(targets, class_names)
    parts = []
    for where, part, values in zip(wheres, examples, labels.parts, strict=True):
        if len(part) != len(values):
            counts = f"{len(part)} examples and {len(values)} labels"
            raise ValueError(f"Each example needs one label; {where} has {counts}.")
        parts.append(Part(part, values))
    test = parts[1] if has_test else None
    return Source(name, parts[0], None, test, labels.class_names, preparation, labels.target_names)


def _examples(
    given: Mapping[str, Any], missing: str, kind: str | None
) -> tuple[list[np.ndarray], Preparation | None]:
    """Give the examples of each part, and their preparation where it was found out."""
    if kind is None and all(map(are_texts, given.values())):
        kind = "texts"
    if kind is None and any(map(are_sequences, given.values())):
        kind = "sequences"
    may_be_table = kind not in ("texts", "sequences")
    if may_be_table and all(_is_table(where, x) for where, x in given.items()):
        widths = [np.shape(x)[1] for x in given.values() if not isinstance(x, pd.DataFrame)]
        if len(set(widths)) > 1:
            received = " and ".join(map(str, widths))
            raise ValueError(f"Both parts must have the same columns; received {received}.")
        return read_frames([_frame(where, x) for where, x in given.items()], missing)
    if missing != "refuse":
        raise ValueError(f"`missing`={missing!r} is for tables, and these are none.")
    if kind == "texts":
        names = getattr(next(iter(given.values())), "columns", ("",))
        texts = [as_texts(where, x) for where, x in given.items()]
        return texts, TextPreparation(column=str(names[0]))
    if kind == "sequences":
        return read_sequences(given)
    return [_check_images(where, x) for where, x in given.items()], None


def _is_table(where: str, x: Any) -> bool:
    if not hasattr(x, "ndim") or hasattr(x, "toarray"):  # a sparse matrix
        x = as_array(f"The examples of {where}", x)
    return x.ndim == 2


def _frame(where: str, x: Any) -> pd.DataFrame:
    if isinstance(x, pd.DataFrame):
        return x
    array = np.asarray(x)
    if array.dtype.kind not in "biufO" or 0 in array.shape:
        raise ValueError(
            f"The rows of {where} must be numbers, (n, columns), with no size 0, or a DataFrame, "
            f"which can hold strings too; received {array.dtype} of the shape {array.shape}."
        )
    # What a masked array hides is missing.
    return pd.DataFrame(x if isinstance(x, np.ma.MaskedArray) else array).infer_objects()


def _check_images(where: str, x: Any) -> np.ndarray:
    """Give images as (n, height, width, channels), uint8, or float32 in [0, 1]."""
    images = as_array(f"The images of {where}", x)
    mend = _odd_layout(images.shape)
    if mend or images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"The images of {where} must be (n, height, width, channels) or (n, height, width), "
            f"with no size 0; received the shape {images.shape}.{mend}"
        )
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype == np.uint8 and images.max() != 1:
        return images
    if images.dtype == np.uint8:
        raise ValueError(
            f"The images of {where} are uint8 with no value above 1, and uint8 is taken as 0 to "
            f"255. {how_to_scale(0, 1)}"
        )
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
    if low < 0 or high > 1 or 0 < high <= DIVIDED_TWICE:
        hint = " Sequences of numbers need kind='sequences'." if np.ndim(x) == 3 else ""
        raise ValueError(
            f"The images of {where} must be floats in [0, 1] (or uint8); received values from "
            f"{low:g} to {high:g}. {how_to_scale(low, high)}{hint}"
        )
    return images.astype(np.float32, copy=False)


DIVIDED_TWICE = 1.001 / 255  # the largest value of images that were divided by 255 twice


def how_to_scale(low: float, high: float) -> str:
    """Say how to mend images of another scale."""
    if not np.isfinite([low, high]).all():
        return "Remove or repair those with NaN or infinite values."
    if low >= 0 and high <= DIVIDED_TWICE:
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
    if len(shape) < 2:
        return " Tables are (n, columns), such as x[:, None], or pandas DataFrames."
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        return (
            " They look like one image: pass x[None], or x[..., None] if they are that narrow. "
            "Sequences of numbers need kind='sequences'."
        )
    mends: dict[tuple[bool, ...], str] = {
        (True, False, False): "(n, channels, height, width): pass np.moveaxis(x, 1, -1).",
        (False, True, False): "(height, width, channels, n): pass np.moveaxis(x, -1, 0).",
    }
    found = mends.get(tuple(1 <= size <= 4 for size in shape[1:]))
    return f" They look like {found}" if found else ""
