"""Where data come from: a name, an `.npz` file, a folder of images, or arrays."""

from __future__ import annotations

import difflib
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import keras
import numpy as np
from sklearn.datasets import fetch_olivetti_faces, load_digits

from zoo.arguments import integer, one_of, rate
from zoo.data.arrays import from_arrays, read_arrays
from zoo.data.dataset import Dataset, Source
from zoo.data.folder import read_folder
from zoo.data.pictures import MAX_PIXELS
from zoo.data.split import split_classes, split_examples


def load_data(
    source: str | os.PathLike[str] | Sequence[Any],
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
    color: str | None = None,
    background: str = "white",
    max_pixels: int = MAX_PIXELS,
    on_corrupt: str = "refuse",
    split_by: str = "examples",
) -> Dataset:
    """Load labelled images, and split them into a training, a validation and a test part.

    A part that the source sets aside is taken as it is; the others are split off at random, with
    every class in the same proportion in each part. Or, for models that are judged by classes they
    have never seen, such as those that verify, every class is whole in one part.

    Args:
        source: One of
            - a name: "digits" and "olivetti_faces" (scikit-learn), "mnist", "fashion_mnist" and
              "cifar10" (`<name>.npz` in the folder that the environment variable `ZOO_DATA_DIR`
              names if it is there, else `keras.datasets`, which downloads it once);
            - the path of an `.npz` file with the arrays `x` and `y`, or `x_train`, `y_train`,
              `x_test` and `y_test` (in lower or upper case), and optionally `class_names`; or with
              `x`, or `x_train` and `x_test`, alone;
            - the path of a folder with one folder of images a class (JPEG, PNG, BMP, WebP, or GIF,
              of which the first frame counts), or with such folders inside `train`, `test` and
              optionally `validation`. Images are read when they are needed, never all at once.
              They are taken as a viewer shows them. Hidden files are passed over, and with a
              warning what is no image, no regular file, or a link that leads out of the folder;
            - arrays, `(x, y)` or `((x_train, y_train), (x_test, y_test))`.
            In arrays, images are (n, height, width, channels) or (n, height, width), either uint8
            or floats in [0, 1]; labels are integers from 0 to the number of classes - 1, or `None`
            where an autoencoder is to be trained, which needs none.
        validation_fraction: Share of the examples (those not set aside as test part) to validate
            with; 0 makes an empty validation part.
        test_fraction: Share of the examples to test with, where the source sets none aside.
        seed: Decides the split: the same seed gives the same parts.
        image_size: For folders: height and width, in pixels, that all images are resized to
            (without keeping their proportions). `None` takes the commonest, with a warning where
            images differ.
        color: For folders: "grey", "rgb", or `None`, which takes the commonest likewise.
        background: For folders: colour under transparent places, a name or "#rrggbb".
        max_pixels: For folders: pixels that an image may have; larger ones count as corrupt, and
            are not decoded.
        on_corrupt: For folders: whether files that cannot be decoded are refused ("refuse") or
            left out with a warning ("skip"). All files are decoded once to find them.
        split_by: "examples", or "classes": no class is in two parts. The fractions are shares of
            the classes then, of which each part gets at least two. Parts that the source sets
            aside are kept if no class is in two of them; else they are joined and split anew.
            Labels and class names keep their numbers, so a part's labels have gaps.

    Returns:
        The data set.

    Raises:
        ValueError: If the source is unknown, unreadable, empty or malformed, or cannot be split so
            that every class is in every part, or in one. The message says what to change.
        OSError: If a named data set must be downloaded and cannot.

    Example:
        >>> data = load_data("digits", seed=1)
        >>> data.input_shape, data.num_classes, len(data.test)
        ((8, 8, 1), 10, 359)
        >>> x = np.random.default_rng(0).random((30, 12, 12))
        >>> print(load_data((x, np.arange(30) % 3)))
        arrays: 21 train, 3 validation, 6 test images of 12 x 12 x 1, 3 classes
        >>> data = load_data("digits", split_by="classes", test_fraction=0.3)
        >>> [np.unique(part.labels).tolist() for part in (data.train, data.validation, data.test)]
        [[0, 1, 5, 8, 9], [3, 7], [2, 4, 6]]
    """
    rate("validation_fraction", validation_fraction)
    rate("test_fraction", test_fraction)
    integer("seed", seed, minimum=0)
    one_of("on_corrupt", on_corrupt, ("refuse", "skip"))
    by_classes = one_of("split_by", split_by, ("examples", "classes")) == "classes"
    if _is_folder(source):
        found = read_folder(
            Path(source), image_size, color, background, max_pixels, on_corrupt, not by_classes
        )
    elif (image_size, color, background, max_pixels) != (None, None, "white", MAX_PIXELS):
        raise ValueError(
            "`image_size`, `color`, `background` and `max_pixels` are for folders of images, and "
            f"the source is none; received image_size={image_size!r}, color={color!r}, "
            f"background={background!r}, max_pixels={max_pixels!r}."
        )
    elif isinstance(source, str) and source in _NAMED:
        found = _NAMED[source](source)
    elif isinstance(source, str | os.PathLike):
        found = _read_npz(Path(source))
    else:
        found = read_arrays(source)
    split = split_classes if by_classes else split_examples
    return split(found, validation_fraction, test_fraction, seed)


def _is_folder(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(source, str | os.PathLike) and source not in _NAMED and os.path.isdir(source)


# Named data sets.


def _read_digits(name: str) -> Source:
    digits = load_digits()
    return from_arrays(name, digits.images / 16, digits.target)  # levels 0 to 16


def _read_olivetti_faces(name: str) -> Source:
    faces = _download(name, fetch_olivetti_faces)
    return from_arrays(name, faces.images, faces.target)


def _read_keras(name: str, class_names: Sequence[str] | None = None) -> Source:
    folder = os.environ.get("ZOO_DATA_DIR")
    path = Path(folder, f"{name}.npz") if folder else None
    if path and path.is_file():
        return _read_npz(path, class_names)
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


# fmt: off
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer",
            "dog", "frog", "horse", "ship", "truck")
# fmt: on

_NAMED: dict[str, Callable[[str], Source]] = {
    "cifar10": lambda name: _read_keras(name, _CIFAR10),
    "digits": _read_digits,
    "fashion_mnist": lambda name: _read_keras(name, _FASHION),
    "mnist": _read_keras,
    "olivetti_faces": _read_olivetti_faces,
}


# Files and arrays.


def _read_npz(path: Path, class_names: Sequence[str] | None = None) -> Source:
    if not path.is_file():
        close = difflib.get_close_matches(str(path), _NAMED, n=2)
        raise ValueError(
            f"{str(path)!r} is neither a data set's name nor a file or folder."
            + (f" Did you mean {' or '.join(map(repr, close))}?" if close else "")
            + f" The names are {', '.join(_NAMED)}."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no .npz file (or is cut short). Expected one written by numpy.savez, or a "
            "folder of images."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key.lower(): file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read: {error}. Expected plain arrays (no Python objects), written "
            "by numpy.savez."
        ) from error
    if class_names is None and "class_names" in arrays:
        class_names = [str(name) for name in np.ravel(arrays["class_names"])]
    for keys in (("x_train", "y_train", "x_test", "y_test"), ("x", "y")):
        images_alone = set(arrays) == {key for key in keys if key.startswith("x")}
        if images_alone or set(keys) <= set(arrays):
            return from_arrays(path.stem, *map(arrays.get, keys), class_names=class_names)
    raise ValueError(
        f"{path} holds the arrays {', '.join(arrays) or '(none)'}. Expected x and y, or x_train, "
        "y_train, x_test and y_test (an autoencoder does without those of y). Rename them, or pass "
        "the arrays: load_data((images, labels))."
    )
