"""Labels: classes in any form, as numbers from 0, or real numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from zoo.data.columns import listed, require_columns, require_distinct, single_precision

_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+")
FEW = 20  # as many different labels are classes, however few the examples


class Labels(NamedTuple):
    """Labels of one or two parts, int64 (n,) or float32 (n, targets), and what they are called."""

    parts: list[np.ndarray]
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()


def read_labels(given: Mapping[str, Any], class_names: Sequence[str] | None = None) -> Labels:
    """Find out what labels are: classes, or real numbers."""
    given = _in_one_order(given)
    arrays = [_as_array(where, y) for where, y in given.items()]
    forms_of = {(array.shape[1:], array.dtype.kind == "U") for array in arrays}
    if len(forms_of) > 1 or (arrays[0].dtype.kind in "iu" and arrays[-1].dtype.kind == "f"):
        forms = " and ".join(f"{array.dtype} of shape {array.shape}" for array in arrays)
        raise ValueError(f"Labels of the parts must be alike; received {forms}.")
    where, y = " and ".join(given), np.concatenate(arrays)
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    columns = _names(next(iter(given.values())), y)
    if y.ndim == 2 and is_one_hot(y):
        y, class_names = y.argmax(axis=1), class_names or columns
    if y.dtype.kind == "f":
        values = _real_numbers(where, y, columns)
        return Labels(np.split(values, ends), target_names=tuple(columns))
    if y.ndim == 2:
        raise ValueError(
            f"The labels of {where} are {y.shape[1]} values an example of the type {y.dtype}, "
            "which are neither one-hot nor real numbers: pass floats for regression."
        )
    numbers, names = _classes(where, y, class_names)
    return Labels(np.split(numbers, ends), names)


def _in_one_order(given: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the columns of frames into the order of the first frame."""
    frames = {
        where: y.rename(columns=str) for where, y in given.items() if isinstance(y, pd.DataFrame)
    }
    names = [name for frame in list(frames.values())[:1] for name in frame.columns]
    for where, frame in frames.items():
        require_columns(frame, names, f"Of the labels of {where}, the columns")
        frames[where] = frame[names]
    return {**given, **frames}


def _as_array(where: str, y: Any) -> np.ndarray:
    """Give labels as integers, booleans, floats or strings, (n,) or (n, several)."""
    try:
        frame = pd.DataFrame(y if isinstance(y, pd.DataFrame) else _plain(y))
    except ValueError as error:
        raise ValueError(f"The labels of {where} must be (n,) or (n, targets): {error}") from error
    if missing := int(frame.isna().any(axis=1).sum()):
        found = f"missing in {missing} of {len(frame)} examples"
        raise ValueError(f"The labels of {where} are {found}: leave these out.")
    kinds = {pd.api.types.infer_dtype(frame[name]) for name in frame} if frame.size else {"integer"}
    if kinds <= {"string", "categorical"}:
        array = frame.astype(str).to_numpy(str)
        if kinds == {"string"}:
            _require_words(where, sorted(set(array.flat)))
    elif kinds <= {"boolean"}:
        array = frame.to_numpy(bool)
    elif kinds <= {"integer"}:
        columns = [] if frame.empty else [frame[name] for name in frame]
        fits = all(int(one.min()) >= -(2**63) and int(one.max()) < 2**63 for one in columns)
        array = frame.to_numpy(np.int64 if fits else object)
    elif kinds <= {"integer", "floating", "mixed-integer-float", "decimal"}:
        array = frame.to_numpy(np.float64)
    else:
        raise ValueError(
            f"The labels of {where} must be integers, strings, booleans or floats, and all of one "
            f"kind; received {' and '.join(sorted(kinds))}."
        )
    return array[:, 0] if array.shape[1] == 1 else array


def _require_words(where: str, texts: Sequence[str]) -> None:
    """Refuse real numbers that were written as text."""
    odd = [text for text in texts if not text.isdecimal()]
    if odd and all(map(_NUMBER.fullmatch, texts)):
        raise ValueError(
            f"The labels of {where} are numbers as text, such as '{odd[0]}': convert them, for "
            "example by pandas.read_csv(path, decimal=','), or put a letter before each class."
        )


def _plain(y: Any) -> Any:
    if isinstance(y, pd.Series):
        return y.reset_index(drop=True)
    if isinstance(y, np.ma.MaskedArray):
        return y  # what it hides is missing
    array = np.asarray(y)
    if array.dtype.kind == "U" and isinstance(y, list | tuple):
        array = np.asarray(y, dtype=object)  # of ["a", 1], NumPy makes two strings
    if array.ndim > 2:
        raise ValueError(f"received the shape {array.shape}.")
    return array


def _names(y: Any, array: np.ndarray) -> list[str]:
    if isinstance(y, pd.DataFrame):
        return list(map(str, y.columns))
    if array.ndim == 1:
        name = getattr(y, "name", None)
        return ["target" if name is None else str(name)]
    return [str(index) for index in range(array.shape[1])]


def is_one_hot(y: np.ndarray) -> bool:
    """Tell one-hot rows from others."""
    return y.dtype.kind in "bif" and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _real_numbers(where: str, y: np.ndarray, names: Sequence[str]) -> np.ndarray:
    if not np.isfinite(y).all():
        raise ValueError(f"The labels of {where} hold infinite values: leave these examples out.")
    values = np.empty((len(y), len(names)), np.float32)
    for index, (name, column) in enumerate(zip(names, y.reshape(len(y), -1).T, strict=True)):
        values[:, index] = single_precision(f"The target {name!r}", column)
    return values


def _classes(
    where: str, y: np.ndarray, class_names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    require_distinct(class_names or (), "classes")
    found, numbers = np.unique(y, return_inverse=True)
    if len(found) > max(FEW, len(y) / 2):
        raise ValueError(
            f"The labels of {where} are {len(found)} different values in {len(y)} examples, such "
            f"as {listed(found[:3].tolist())}, too many to be classes. Pass floats for regression "
            "(y.astype(float)); for classes, join the rare ones."
        )
    if class_names is not None and y.dtype.kind in "iu":
        count = len(class_names)
        if odd := [label for label in found if not 0 <= label < count]:
            raise ValueError(f"Labels of {count} classes must be 0 to {count - 1}, not {odd[0]}.")
        return y.astype(np.int64), tuple(class_names)
    if class_names is not None:
        order = {name: number for number, name in enumerate(class_names)}
        if odd := [name for name in map(str, found) if name not in order]:
            known = listed(class_names)
            raise ValueError(f"The label {odd[0]!r} is none of the class names {known}.")
        return np.array([order[str(name)] for name in found], np.int64)[numbers], tuple(class_names)
    return numbers.astype(np.int64), tuple(map(str, found.tolist()))
