"""Tables: columns of numbers and categories, as vectors that a layer of the model prepares."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np
import pandas as pd

from zoo.data import columns as col
from zoo.data.part import Part
from zoo.data.preparation import PREPARATION, Preparation


@dataclass(frozen=True)
class TablePreparation(Preparation):
    """Rows of numbers and categories.

    In frames and dictionaries the order does not matter, and other columns are passed over; arrays
    are in the order of the columns.

    Args:
        input_shape: Number of columns, as `(columns,)`. An example is float32: numbers as they are,
            categories as codes (their place among `categories`), NaN where a value is missing.
        columns: Their names.
        categories: For each column the names of its categories, with `None` for those that the
            training part lacks; `None` for a column of numbers.
        missing: "refuse", or "impute": a missing number is the mean, a missing or unknown category
            is none of those that are known.
        mean: For each column the mean in the training part.
        scale: For each column the standard deviation there; 0 where it is constant.

    Example:
        >>> import zoo
        >>> x = np.random.default_rng(0).normal(50, 9, (90, 3))
        >>> prepare = zoo.load_data((x, np.arange(90) % 2)).preparation
        >>> prepare({"0": 1, "1": 2, "2": 3, "more": 4})
        array([[1., 2., 3.]], dtype=float32)
    """

    kind: ClassVar[str] = "tables"
    input_shape: tuple[int]
    columns: tuple[str, ...] = ()
    categories: tuple[tuple[str | None, ...] | None, ...] = ()
    missing: str = "refuse"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Name columns that have no names by their numbers, and take them for numbers."""
        count = self.input_shape[0]
        object.__setattr__(self, "columns", self.columns or tuple(map(str, range(count))))
        object.__setattr__(self, "categories", self.categories or (None,) * count)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of an example with one value for each number and each category."""
        if not self.mean:
            return self.input_shape
        return (sum(1 if codes is None else len(codes) for codes in self._codes()),)

    def fitted(self, train: Part) -> Self:
        """Learn means, standard deviations and categories from the training part."""
        values = np.ma.masked_invalid(train.examples().astype(np.float64))
        empty = values.count(axis=0) == 0
        if empty.any():
            names = col.listed([self.columns[index] for index in np.flatnonzero(empty)])
            raise ValueError(f"Columns without a value in the training part: {names}. Drop them.")
        categories = tuple(
            names and _seen(names, values[:, index]) for index, names in enumerate(self.categories)
        )
        return dataclasses.replace(self, categories=categories, **col.mean_and_scale(values))

    def layer(self) -> keras.Layer | None:
        """Make the layer that standardises numbers and makes categories one-hot."""
        from zoo.layers import Tabular  # which loads all of Keras

        if not self.mean:
            return None
        impute = self.missing == "impute"
        return Tabular(self._codes(), self.mean, self.scale, impute=impute, name=PREPARATION)

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Give numbers in their units, and the code of the likeliest of a column's categories."""
        if not self.mean:
            return outputs
        restored, start = [], 0
        for codes, mean, scale in zip(self._codes(), self.mean, self.scale, strict=True):
            stop = start + (1 if codes is None else len(codes))
            found = outputs[:, start:stop]
            if codes is None:
                restored.append(found[:, 0] * scale + mean)
            else:
                restored.append(np.array(codes)[found.argmax(axis=1)])
            start = stop
        return np.stack(restored, axis=1).astype(np.float32)

    def __call__(self, x: Any) -> np.ndarray:
        """Take a frame, a dictionary of columns or values, a list of these, an array or a file."""
        frame = self._frame(x)
        col.require_columns(frame, self.columns, "The columns")
        values = encoded(frame, self)
        large = (np.abs(values) > np.finfo(np.float32).max).any(axis=0)  # NaN is not
        if large.any():
            names = col.listed([self.columns[index] for index in np.flatnonzero(large)])
            raise ValueError(f"Values are too large for 32 bits in the columns {names}.")
        return values.astype(np.float32)

    def names(self, x: Any) -> list[str]:
        """Name rows by their index."""
        return [str(name) for name in self._frame(x).index]

    def check(self, part: Part) -> None:
        """Refuse categories that only the other parts have, where they may not be missing."""
        if self.missing == "impute":
            return
        for name, codes, values in zip(self.columns, self._codes(), part.examples().T, strict=True):
            unknown = 0 if codes is None else (~np.isin(values, codes)).sum()
            if unknown:
                raise ValueError(
                    f"The column {name!r} has {unknown} values in the validation or test part that "
                    "no row of the training part has: join rare categories, or take them for "
                    "unknown by missing='impute'."
                )

    def __str__(self) -> str:
        return f"rows of {self.input_shape[0]} columns"

    def _codes(self) -> list[list[int] | None]:
        return [
            None if names is None else [code for code, name in enumerate(names) if name is not None]
            for names in self.categories
        ]

    def _frame(self, x: Any) -> pd.DataFrame:
        if hasattr(x, "__array__") and not (isinstance(x, pd.DataFrame) or col.has_names(x)):
            x = np.asanyarray(x)  # with its mask
        if isinstance(x, str | os.PathLike):
            pairs = zip(self.columns, self.categories, strict=True)
            texts = {name: names for name, names in pairs if names and col.are_only_texts(names)}
            x = col.read_file(Path(x), texts)
        frame = col.as_frame(x, self.columns)
        rows = [x, *x] if isinstance(x, list | tuple) else [x]
        if isinstance(x, np.ndarray | list | tuple) and not any(map(col.has_names, rows)):
            for name, known in zip(self.columns, self.categories, strict=True):
                if known and frame[name].dtype.kind in "iuf":  # as `Part.examples` gives them
                    frame[name] = _named(name, frame[name], known)
        return frame


def _named(name: str, codes: pd.Series, known: Sequence[str | None]) -> pd.Series:
    """Give the names of codes, where these cannot be meant as names themselves."""
    numeric = pd.to_numeric(pd.Series(known, dtype=object), errors="coerce").notna().any()
    if numeric or not codes.dropna().isin(range(len(known))).all():
        raise ValueError(f"The column {name!r} holds categories: give their names, in a DataFrame.")
    return codes.map(dict(enumerate(known)))


def _seen(names: Sequence[str | None], codes: np.ma.MaskedArray) -> tuple[str | None, ...]:
    present = set(codes.compressed().astype(int).tolist())
    return tuple(name if code in present else None for code, name in enumerate(names))


def read_frames(
    frames: Sequence[pd.DataFrame], missing: str
) -> tuple[list[np.ndarray], TablePreparation]:
    """Find out what the columns of a table are, and give its rows as vectors."""
    frames = [col.as_frame(frame, frame.columns) for frame in frames]
    names = tuple(frames[0].columns)
    if not names:
        raise ValueError("The table has no columns beside its targets.")
    for frame in frames:
        col.require_columns(frame, names, "The columns")
    joined = pd.concat([frame[list(names)] for frame in frames], ignore_index=True)
    for name in names:
        if any(isinstance(frame[name].dtype, pd.CategoricalDtype) for frame in frames):
            joined[name] = col.texts_of(joined[name]).astype("category")  # also of other categories
    categories = tuple(
        col.categories_of(name, joined[name]) if col.is_category(name, joined[name]) else None
        for name in names
    )
    preparation = TablePreparation((len(names),), names, categories, missing)
    values = encoded(joined, preparation)
    for index, name in enumerate(names):
        numbers = values[:, index]
        # Integers beyond 2**53 may be different, and the same as floats.
        varied = np.ptp(numbers) == 0 and joined[name].nunique() > 1
        values[:, index] = col.single_precision(f"The column {name!r}", numbers, varied)
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(values.astype(np.float32), ends), preparation


def encoded(frame: pd.DataFrame, preparation: TablePreparation) -> np.ndarray:
    """Give a table's columns as numbers, float64 (n, columns), with codes for categories."""
    values = np.empty((len(frame), len(preparation.columns)), order="F")
    absent = []
    pairs = zip(preparation.columns, preparation.categories, strict=True)
    for index, (name, known) in enumerate(pairs):
        column = frame[name]
        if known is None:
            values[:, index] = col.numbers_of(name, column)
        else:
            texts = col.texts_of(column)
            codes = {text: code for code, text in enumerate(known) if text is not None}
            values[:, index] = texts.map(codes)
            unknown = texts[np.isnan(values[:, index]) & texts.notna().to_numpy()].unique()
            if len(unknown) and preparation.missing == "refuse":
                raise ValueError(
                    f"The column {name!r} has categories that are not known: {col.listed(unknown)}."
                    f" Known are {col.listed(list(codes))}."
                )
        if column.isna().any():
            absent.append(f"{name!r} ({column.isna().sum()})")
    if absent and preparation.missing == "refuse":
        raise ValueError(
            f"Values are missing in {len(absent)} columns, {', '.join(absent)}: fill them in, "
            "leave out rows or columns, or load the data with missing='impute'."
        )
    return values
