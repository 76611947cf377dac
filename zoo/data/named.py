"""Data sets that have a name, and files of arrays."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn.datasets import fetch_olivetti_faces, load_digits

from zoo.data.arrays import from_arrays
from zoo.data.columns import listed, require_distinct
from zoo.data.dataset import Source
from zoo.data.generated import adding_problem
from zoo.data.sequences import SequencePreparation


def _read_digits(name: str, **options: Any) -> Source:
    digits = load_digits()
    return from_arrays(name, digits.images / 16, digits.target, **options)  # levels 0 to 16


def _read_adding(name: str) -> Source:
    x, y = adding_problem()
    found = from_arrays(name, x, pd.Series(y, name="sum"), kind="sequences")
    # Standardised, the markers would be 7 in place of 1, and the problem easier.
    assert isinstance(found.preparation, SequencePreparation)
    as_it_is = dataclasses.replace(found.preparation, mean=(0.0, 0.0), scale=(1.0, 1.0))
    return dataclasses.replace(found, preparation=as_it_is)


def _read_olivetti_faces(name: str) -> Source:
    faces = _download(name, fetch_olivetti_faces)
    return from_arrays(name, faces.images, faces.target)


def _read_keras(name: str, class_names: Sequence[str] | None = None) -> Source:
    folder = os.environ.get("ZOO_DATA_DIR")
    path = Path(folder, f"{name}.npz") if folder else None
    if path and path.is_file():
        return read_npz(path, class_names)
    train, test = _download(name, getattr(keras.datasets, name).load_data)
    return from_arrays(name, *train, *test, class_names=class_names)


def _download(name: str, fetch: Callable[[], Any]) -> Any:
    try:
        return fetch()
    except Exception as error:  # Keras raises a plain Exception
        raise OSError(
            f"{name!r} could not be downloaded ({error}). If you have the data, load them from a "
            f"file: load_data('{name}.npz') with arrays x_train, y_train, x_test and y_test."
        ) from error


_FASHION = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_CIFAR10 = "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
NAMED: dict[str, Callable[[str], Source]] = {
    "cifar10": lambda name: _read_keras(name, _CIFAR10.split(", ")),
    "digits": _read_digits,
    "fashion_mnist": lambda name: _read_keras(name, _FASHION.split(", ")),
    "mnist": _read_keras,
    "olivetti_faces": _read_olivetti_faces,
    "adding": _read_adding,
    "digits_rows": functools.partial(_read_digits, kind="sequences"),
}


def read_npz(path: Path, class_names: Sequence[str] | None = None, **options: Any) -> Source:
    """Read a file of arrays, with the options of `from_arrays`."""
    if not path.is_file():
        close = difflib.get_close_matches(str(path), NAMED, n=2)
        raise ValueError(
            f"{str(path)!r} is neither a data set's name, as a str, nor a file or folder."
            + (f" Did you mean {' or '.join(map(repr, close))}?" if close else "")
            + f" The names are {', '.join(NAMED)}."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .npz file of numpy.savez (or is cut short), nor a folder.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key.lower(): file[key] for key in file.files}
            require_distinct([key.lower() for key in file.files], "arrays")
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read: {error}. Write plain arrays (no Python objects) by np.savez."
        ) from error
    if class_names is None and "class_names" in arrays:
        class_names = [str(name) for name in np.ravel(arrays["class_names"])]
    for keys in (("x_train", "y_train", "x_test", "y_test"), ("x", "y")):
        images_alone = set(arrays) == {key for key in keys if key.startswith("x")}
        if images_alone or set(keys) <= set(arrays):
            spare = sorted(set(arrays).difference(keys, ["class_names"]))
            if spare:
                warnings.warn(f"Passed over in {path}: the arrays {listed(spare)}.", stacklevel=3)
            found = map(arrays.get, keys)
            return from_arrays(path.stem, *found, class_names=class_names, **options)
    raise ValueError(
        f"{path} holds the arrays {', '.join(arrays) or '(none)'}. Expected x and y, or x_train, "
        "y_train, x_test and y_test (an autoencoder does without those of y). Rename them, or pass "
        "the arrays: load_data((images, labels))."
    )
