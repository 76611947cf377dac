"""Columns as people have them: files and frames, and what their values are."""

from __future__ import annotations

import difflib
import functools
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SUFFIXES = (".csv", ".parquet")
MOST_CATEGORIES = 1000
_DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}(?!\d)")


def read_file(path: Path, known: Mapping[str, Sequence[Any]] | None = None) -> pd.DataFrame:
    """Read a CSV or Parquet file; of some columns it is known which texts they hold."""
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is no file: give the path of a .csv or .parquet file.")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return _read_csv(path, known or {})
    except ImportError as error:
        raise ImportError(
            f"{path} needs pyarrow to be read: pip install 'keras-zoo[tables]', or save a .csv."
        ) from error
    except (ValueError, OSError, pd.errors.ParserWarning) as error:  # Arrow's errors are the two
        raise ValueError(f"{path} cannot be read: {error}") from error


def _read_csv(path: Path, known: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    header = pd.read_csv(
        path, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True
    ).iloc[0]
    names = header.tolist()
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise ValueError(
            f"its columns are not parted by commas, its first line is {names[0]!r}. Read it "
            "yourself: load_data(pandas.read_csv(path, sep=';'))."
        )
    if pd.to_numeric(header, errors="coerce").notna().all():
        raise ValueError(f"its first line must name columns, but holds: {', '.join(names[:5])}.")
    require_distinct(names)  # pandas would rename them
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
        index = False if names[0] else 0
        read = functools.partial(
            pd.read_csv, path, index_col=index, skipinitialspace=True, low_memory=False
        )
        frame = read(dtype=dict.fromkeys(known, str))
        as_text = read(dtype=str, keep_default_na=False) if known else frame
    written = as_text.set_axis(frame.index)  # its own is of text, too
    for name in frame.columns.intersection(list(known)):  # where "None" may be a category
        frame[name] = written[name].where(written[name].isin(known[name]), frame[name])
    return frame


def require_distinct(names: Sequence[str], what: str = "columns") -> None:
    """Refuse columns, or others, of the same name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"Several {what} have the same name, {listed(twice)}: rename them.")


def as_frame(x: Any, columns: Sequence[str]) -> pd.DataFrame:
    """Lay out rows in any form as a frame."""
    if isinstance(x, str | os.PathLike):
        x = read_file(Path(x))
    try:
        frame = _as_frame(x, columns)
    except (TypeError, ValueError) as error:
        raise ValueError(f"These are no rows of a table: {error}") from error
    if not len(frame):
        raise ValueError("These are no rows of a table: there is not a single one.")
    return frame.rename(columns=str)


def _as_frame(x: Any, columns: Sequence[str]) -> pd.DataFrame:
    if isinstance(x, pd.DataFrame) or getattr(getattr(x, "dtype", None), "names", None):
        return pd.DataFrame(x)
    if isinstance(x, Mapping):
        return pd.DataFrame({name: _column(name, values) for name, values in x.items()})
    rows = [x] if has_names(x) else list(x) if isinstance(x, list | tuple) else np.asanyarray(x)
    if not isinstance(rows, list) and rows.ndim == 0:
        raise ValueError(f"received {type(x).__name__} (sparse rows need .toarray()).")
    if len(rows) and all(map(has_names, rows)):
        return pd.DataFrame(rows).infer_objects()
    if isinstance(rows, list):
        one = not any(np.ndim(row) for row in rows)
        if not one and len({len(row) for row in rows}) > 1:
            raise ValueError("they differ in length.")
        rows = np.ma.stack(rows) if any(map(np.ma.isMaskedArray, rows)) else [rows] if one else rows
    elif rows.ndim == 1:
        rows = rows[None]
    frame = pd.DataFrame(rows).infer_objects()
    if frame.shape[1] != len(columns):
        raise ValueError(
            f"expected {len(columns)} columns, received {frame.shape[1]} (one row has as many "
            "values as there are columns)."
        )
    return frame.set_axis(list(columns), axis=1)


def has_names(row: Any) -> bool:
    """Tell a row that names its values; a Series with numbers for an index does not."""
    is_named = isinstance(row, pd.Series) and row.index.dtype.kind not in "iu"
    return is_named or isinstance(row, Mapping) or hasattr(row, "_fields")


def _column(name: str, values: Any) -> Any:
    """Give a column's values without an index of their own; a single value is a row."""
    if np.ndim(values) > 1:
        raise ValueError(f"the column {name!r} has the shape {np.shape(values)}, and not (n,).")
    return values.array if isinstance(values, pd.Series) else np.atleast_1d(values)


def require_columns(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """Refuse a frame that lacks some columns, or has one of them twice."""
    require_distinct([name for name in frame.columns if name in names])
    absent = [name for name in names if name not in frame.columns]
    if absent:
        close = difflib.get_close_matches(absent[0], frame.columns, n=1)
        question = f" Did you mean {close[0]!r}?" if close else ""
        there = listed(list(frame.columns))
        raise ValueError(f"{what} {listed(absent)} are missing; there are {there}.{question}")


def is_category(name: str, column: pd.Series) -> bool:
    """Tell a column of categories from one of numbers, and refuse what is neither."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return False
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if isinstance(column.dtype, pd.CategoricalDtype) or kind == "string":
        return True
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"):
        return False
    if kind.startswith(("date", "time", "period")):
        raise _no_dates(name)
    raise ValueError(
        f"The column {name!r} holds values of the kind {kind!r}, and must hold numbers only or "
        "strings only: convert it, or leave it out."
    )


def _no_dates(name: str) -> ValueError:
    return ValueError(
        f"The column {name!r} holds dates or times: make numbers of them, for example the day of "
        "the week by .dt.dayofweek or the days since the first, or leave it out."
    )


def numbers_of(name: str, column: pd.Series) -> np.ndarray:
    """Give a column's numbers, float64, with NaN where they are missing."""
    if is_category(name, column):
        shown = column.dropna().iloc[0]
        raise ValueError(f"The column {name!r} must hold numbers, received {shown!r}.")
    numbers = column.astype("Float64") if column.dtype == object else column
    values = numbers.to_numpy(np.float64, na_value=np.nan)
    if np.isinf(values).any():
        odd = f"{np.isinf(values).sum()} infinite values"
        raise ValueError(f"The column {name!r} holds {odd}: remove them, or make them NaN.")
    return values


def single_precision(what: str, values: np.ndarray, varied: bool = False) -> np.ndarray:
    """Give numbers as float32, if that leaves what tells them apart (integers: `varied`)."""
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if low < high or varied:
        spread = np.nanstd(values / max(-low, high)) * max(-low, high)
        lost = np.nanmax(np.abs(single - values))
        if not (1e-30 < spread < 1e30 and lost < spread / 100):
            raise ValueError(
                f"{what} has values from {low:.10g} to {high:.10g}, which 32 bits "
                "cannot tell apart: subtract their mean, or count in another unit."
            )
    elif not np.isfinite(single[~np.isnan(values)]).all():
        raise ValueError(f"{what} has values of {high:g}, too large for 32 bits.")
    return single


def texts_of(column: pd.Series) -> pd.Series:
    """Give a column of categories as strings; missing ones stay so."""
    return column.astype(object).map(_text_of, na_action="ignore")


def _text_of(value: Any) -> str:
    # An integer that shares a column with a missing one comes as a float.
    return str(int(value) if isinstance(value, float) and value == value // 1 else value)


def are_only_texts(categories: Sequence[str | None]) -> bool:
    """Tell categories that a file must not give as numbers or booleans, such as "01234"."""
    texts = pd.Series([name for name in categories if name is not None], dtype=object)
    numbers = pd.to_numeric(texts, errors="coerce").dropna()
    return len(numbers) < len(texts) or bool((texts_of(numbers) != texts[numbers.index]).any())


def categories_of(name: str, column: pd.Series) -> tuple[str, ...]:
    """Give the categories of a column, sorted, and refuse what are ids, texts or numbers."""
    rows, found = len(column), sorted(texts_of(column).dropna().unique())
    what = f"The column {name!r}"
    if not isinstance(column.dtype, pd.CategoricalDtype):
        _require_words(name, found)
    if len(found) == rows > 10:
        raise ValueError(f"{what} has another string in each of {rows} rows, as ids have: drop it.")
    if len(found) > MOST_CATEGORIES:
        raise ValueError(f"{what} has {len(found)} categories, above {MOST_CATEGORIES}: join some.")
    return tuple(found)


def _require_words(name: str, found: Sequence[str]) -> None:
    """Refuse numbers and dates that were written as text."""
    if sum(_DATE.match(text) is not None for text in found) > len(found) / 2:
        raise _no_dates(name)
    plain = pd.Series(found, dtype=object).str.replace(",", "")  # 1,234
    is_number = pd.to_numeric(plain, errors="coerce").notna()
    if is_number.sum() <= len(found) / 2:
        return
    if is_number.all():
        raise ValueError(
            f"The column {name!r} holds numbers as text, such as {found[0]!r}: convert them, for "
            "example by pandas.to_numeric or pandas.read_csv(path, decimal=','), or say that they "
            "are categories by .astype('category')."
        )
    odd = found[int(np.flatnonzero(~is_number)[0])]
    raise ValueError(
        f"The column {name!r} holds numbers, but also {odd!r}: make it missing, for example by "
        f"pandas.read_csv(path, na_values=[{odd!r}])."
    )


def as_array(what: str, values: Any) -> np.ndarray:
    """Give values as an array, and refuse those that differ in shape, or are masked."""
    if np.ma.is_masked(values):
        raise ValueError(f"{what} are masked in part: fill these values in.")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} differ in shape: {error}") from error


def listed(names: Sequence[Any]) -> str:
    """Quote some names, the first five of more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more


def mean_and_scale(values: np.ndarray) -> dict[str, Any]:
    """Measure columns: their means and standard deviations, 0 where a column is constant."""
    constant = values.max(axis=0) == values.min(axis=0)
    scale = np.where(constant, 0, values.std(axis=0))
    return {"mean": tuple(values.mean(axis=0).tolist()), "scale": tuple(scale.tolist())}
