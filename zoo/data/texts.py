"""Texts: what they are, and where they are read from."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from zoo.data.columns import SUFFIXES, read_file
from zoo.data.pictures import leads_out, visible, visible_folders, warn_of_others
from zoo.data.preparation import Preparation

_TABLE = re.compile(r"\S+\.(csv|parquet)", re.IGNORECASE).fullmatch
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class TextPreparation(Preparation):
    """Texts, as Python strings; models have layers of their own that take them apart.

    A `str` without blanks that ends in .txt, .csv or .parquet is a path, and so is the name of a
    folder; in a list, one that ends in .txt, of a single text.

    Args:
        column: Name of the texts' column, where they come from a table.

    Example:
        >>> TextPreparation()(["Good day.", "Grüß Gott."])
        array(['Good day.', 'Grüß Gott.'], dtype=object)
    """

    kind: ClassVar[str] = "texts"
    input_shape: tuple[()] = ()
    column: str = ""

    def names(self, x: Any) -> list[str]:
        """Name texts by their beginnings."""
        return [textwrap.shorten(text, 40, placeholder="...") for text in self(x)]

    def __call__(self, x: Any) -> np.ndarray:
        """Take a text, several in a list, a file or a folder of some, or a frame."""
        if isinstance(x, os.PathLike) or (isinstance(x, str) and (_TABLE(x) or os.path.isdir(x))):
            x = _read(Path(x))
        if isinstance(x, pd.DataFrame) and self.column in x:
            x = x[[self.column]]
        return as_texts("the examples", [x] if isinstance(x, str) and not _is_path(x) else x)

    def __str__(self) -> str:
        return "texts"


def _read(path: Path) -> Any:
    if path.is_dir():
        return [file for files in read_folder_of_texts(path)[0][::2] for file in files]
    return read_file(path) if path.suffix.lower() in SUFFIXES else path


def _is_path(item: Any) -> bool:
    return isinstance(item, os.PathLike) or (
        isinstance(item, str) and re.fullmatch(r"\S+\.txt", item, re.IGNORECASE) is not None
    )


def are_texts(x: Any) -> bool:
    """Tell a list, or another column, of strings from other examples, and from paths of images."""
    if not isinstance(x, list | tuple | np.ndarray | pd.Series):
        return False
    return len(x) > 0 and all(
        isinstance(item, str | os.PathLike) and not str(item).lower().endswith(_IMAGES)
        for item in x
    )


def as_texts(where: str, x: Any) -> np.ndarray:
    """Check texts, and give them as an array of objects."""
    if _is_path(x):
        content = read_text(Path(x))
        found = re.split(r"\n\s*\n", content)
        x = found if len(found) > 1 else content.split("\n")
    elif isinstance(x, list | tuple):
        x = [read_text(Path(item)) if _is_path(item) else item for item in x]
    if isinstance(x, pd.DataFrame):
        if x.shape[1] != 1:
            there = f"{x.shape[1]}, {', '.join(map(str, x.columns))}"
            raise ValueError(f"Texts are one column beside the target; there are {there}.")
        x = x.iloc[:, 0]
    if not isinstance(x, list | tuple | np.ndarray | pd.Series) or not len(x):
        raise ValueError(f"The texts of {where} must be a list of str; received {x!r:.80}.")
    for index, text in enumerate(x):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Text {index} of {where} must be str, and not blank: {text!r:.60}.")
    array = np.empty(len(x), object)
    array[:] = list(map(str, x))  # NumPy's own strings are others
    return array


def read_text(path: Path) -> str:
    """Read a file in UTF-8, without blank lines around."""
    if not path.is_file() or path.suffix.lower() in SUFFIXES:
        raise ValueError(f"{str(path)!r} is no file of a text: give the path of a .txt file.")
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a text in UTF-8: {error}.") from error
    if "\0" in content or not content.strip():
        raise ValueError(f"{path} is {'no text in UTF-8' if content.strip() else 'blank'}.")
    return content.strip()


def text_targets(given: Mapping[str, Any]) -> list[np.ndarray] | None:
    """Give the targets of each part as texts, if most occur once; else `None`, for classes."""
    columns = [np.asarray(y, object) for y in given.values()]
    columns = [y[:, 0] if y.shape[1:] == (1,) else y for y in columns]
    if not all(map(are_texts, columns)):
        return None
    values = [text for column in columns for text in column]
    if len(set(values)) <= len(values) / 2:
        return None
    return [as_texts(f"the targets of {where}", y) for where, y in zip(given, columns, strict=True)]


def is_folder_of_texts(path: Path) -> bool:
    """Tell a folder that holds .txt files above all, at any depth, from one of images."""
    texts, others = 0, 0
    for file in path.rglob("*"):
        suffix = file.suffix.lower()
        if suffix in _IMAGES:
            return False
        texts += suffix == ".txt"
        others += suffix != ".txt" and file.is_file()  # an image can do without a suffix
    return texts > others


def read_folder_of_texts(path: Path) -> tuple[list[Any], list[str] | None]:
    """Find the texts in a folder, one a .txt file."""
    others: list[Path] = []
    found = _read_folder(path, path.resolve(), others)
    reason = "are no .txt files, in no class's folder, or links that lead out"
    warn_of_others(others, reason, stacklevel=5)
    return found


def _read_folder(path: Path, root: Path, others: list[Path]) -> tuple[list[Any], list[str] | None]:
    folders = visible_folders(path, root)
    if set(folders) == {"train", "test"}:
        train, names = _read_folder(path / "train", root, others)
        test, more = _read_folder(path / "test", root, others)
        return [*train, *test], names and [*names, *set(more or ()).difference(names)]
    if not folders:
        return [_files(path, root, others), None], None
    others += [item for item in visible(path) if not item.is_dir()]
    found = {name: _files(folder, root, others) for name, folder in folders.items()}
    labels = [name for name, files in found.items() for _ in files]
    return [[file for files in found.values() for file in files], labels], list(found)


def _files(folder: Path, root: Path, others: list[Path]) -> list[Path]:
    found = visible(folder)
    files = [
        file
        for file in found
        if file.suffix.lower() == ".txt" and file.is_file() and not leads_out(file, root)
    ]
    others += sorted(set(found).difference(files))
    if not files:
        raise ValueError(
            f"{folder} holds no .txt file. Expected one file a text, in a folder or in one folder "
            "a class. (Links that lead out are not followed.)"
        )
    return files
