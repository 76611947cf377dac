"""Where data come from: a name, a file, a folder of images, a table, or arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd

from zoo.arguments import integer, one_of, rate
from zoo.data.arrays import from_arrays, is_pair, read_arrays
from zoo.data.collected import are_batches, collected
from zoo.data.columns import SUFFIXES, as_frame, require_columns
from zoo.data.dataset import Dataset, Source
from zoo.data.folder import read_folder
from zoo.data.labels import FEW
from zoo.data.named import NAMED, read_npz
from zoo.data.pictures import MAX_PIXELS
from zoo.data.preparation import KINDS
from zoo.data.split import split_classes, split_examples
from zoo.data.texts import are_texts, is_folder_of_texts, read_folder_of_texts


def load_data(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    missing: str = "refuse",
    kind: str | None = None,
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
    """Load examples and their labels, and split them into training, validation and test part.

    A part that the source sets aside is taken as it is; the others are split off at random, with
    every class in the same proportion in each part, or (`split_by`) whole in one part.

    Args:
        source: Where the examples are.

            Images:

            - a name: "digits" and "olivetti_faces" (scikit-learn), "mnist", "fashion_mnist" and
              "cifar10" (`<name>.npz` in the folder that the environment variable `ZOO_DATA_DIR`
              names if it is there, else `keras.datasets`, which downloads it once);
            - the path of a folder with one folder of images a class (JPEG, PNG, BMP, WebP, or a
              GIF's first frame), or with such folders inside `train`, `test` and optionally
              `validation`. Images are read when they are needed, as a viewer shows them. Hidden
              files are passed over, and with a warning what is no image, no regular file, or a
              link that leads out of the folder;
            - arrays (n, height, width, channels) or (n, height, width), either uint8 or floats in
              [0, 1].

            Tables, whose columns hold numbers, booleans or categories (strings; of at most 1,000
            kinds): a pandas DataFrame, or the path of a `.csv` or `.parquet` file, with `target`;
            arrays (n, columns). A layer of the model standardises numbers and makes categories
            one-hot.

            Sequences, (time, features), or (time,) of one feature, in a list. They are padded at
            their end to the longest; a layer of the model standardises their steps and masks the
            padding. Arrays (n, time, features), whose steps all count, and lists where all are of
            one length need `kind`. By name: "digits_rows", the digits read row by row, 8 steps of
            8; and "adding", 10,000 of `zoo.data.adding_problem` at length 100, a regression.

            Texts: a list of `str`, or of paths of `.txt` files (UTF-8) of one text each; the path
            of a `.txt` file of texts that blank lines part, or of one text a line; that of a folder
            of `.txt` files, of one folder of these a class, or of `train` and `test` with either; a
            table with `target` and one other column, by `kind`.

            A `tf.data.Dataset` or a `keras.utils.PyDataset` of known length, of (x, y) or of x
            alone; or `(train, test)` of them. They are read into memory once.

            Arrays, and frames without their target, come with their labels as `(x, y)` or
            `((x_train, y_train), (x_test, y_test))`; or as the path of an `.npz` file with the
            arrays `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test` (in lower or upper
            case), and optionally `class_names`; or with those of x alone.

            Labels are classes where they are integers, strings, booleans or one-hot rows, and
            numbered in sorted order where they are not 0, 1, ... already. Floats are real numbers,
            one or several for each example, even where all are whole: a regression learns them.
            Strings for texts, of which most occur once, are texts as targets. `None` is for models
            that need no labels, such as autoencoders.
        target: For tables with names: the column that holds the labels, or several columns of
            floats or one-hot; `None` where there are no labels. Integers of more than 20 different
            values, such as incomes, are real numbers here; make them strings to be classes.
        missing: For tables: whether missing values are refused ("refuse"), or imputed ("impute"):
            a missing number is the training part's mean, a missing category, or one that the
            training part lacks, is none of those that are known.
        kind: "images", "tables", "sequences" or "texts", where the examples' form does not tell.
        validation_fraction: Share of the examples (those not set aside as test part) to validate
            with; 0 makes an empty validation part.
        test_fraction: Share of the examples to test with, where the source sets none aside.
        seed: Decides the split: the same seed gives the same parts.
        image_size: For folders: height and width, in pixels, that all images are resized to
            (without keeping their proportions). `None` takes the commonest, with a warning where
            images differ.
        color: For folders: "grey", "rgb", or `None`, which takes the commonest likewise.
        background: For folders: colour under transparent places, a name or "#rrggbb".
        max_pixels: For folders: pixels above which an image counts as corrupt and is not decoded.
        on_corrupt: For folders: whether files that cannot be decoded are refused ("refuse") or
            left out with a warning ("skip"). All files are decoded once to find them.
        split_by: "examples", or, for models judged by classes they have never seen, "classes": no
            class is in two parts. The fractions are shares of the classes then, of which each part
            gets at least two. Parts that the source sets aside are kept if no class is in two of
            them; else they are joined and split anew. Labels and class names keep their numbers,
            so a part's labels have gaps.

    Returns:
        The data set.

    Raises:
        ValueError: If the source is unknown, unreadable, empty or malformed, or cannot be split so
            that every class is in every part, or in one. The message says what to change.
        ImportError: If a Parquet file needs pyarrow (`pip install keras-zoo[tables]`).
        OSError: If a named data set cannot be downloaded.

    Example:
        >>> import numpy as np
        >>> data = load_data("digits", seed=1)
        >>> data.input_shape, data.num_classes, len(data.test)
        ((8, 8, 1), 10, 359)
        >>> x = np.random.default_rng(0).random((30, 12, 12))
        >>> print(load_data((x, np.arange(30) % 3)))
        arrays: 21 train, 3 validation, 6 test images of 12 x 12 x 1, 3 classes
        >>> frame = pd.DataFrame({"age": np.arange(40), "city": ["Rome", "Bonn"] * 20})
        >>> print(load_data(frame.assign(income=frame["age"] * 1e3), target="income"))
        DataFrame: 28 train, 4 validation, 8 test rows of 2 columns, target income
        >>> data = load_data("digits", split_by="classes", test_fraction=0.3)
        >>> [np.unique(part.labels).tolist() for part in (data.train, data.validation, data.test)]
        [[0, 1, 5, 8, 9], [3, 7], [2, 4, 6]]
    """
    rate("validation_fraction", validation_fraction)
    rate("test_fraction", test_fraction)
    integer("seed", seed, minimum=0)
    one_of("on_corrupt", on_corrupt, ("refuse", "skip"))
    one_of("missing", missing, ("refuse", "impute"))
    if kind is not None:
        one_of("kind", kind, KINDS)
    by_classes = one_of("split_by", split_by, ("examples", "classes")) == "classes"
    of_folders = (image_size, color, background, max_pixels)
    of_images = _is_folder(source) and not _is_texts(source, kind)
    if not of_images and of_folders != (None, None, "white", MAX_PIXELS):
        raise ValueError(
            "`image_size`, `color`, `background` and `max_pixels` are for folders of images, and "
            f"the source is none; received image_size={image_size!r}, color={color!r}, "
            f"background={background!r}, max_pixels={max_pixels!r}."
        )
    options = {"missing": missing, "kind": kind}
    if _is_table(source):
        found = _read_table(source, target, **options)
    elif target is not None:
        raise ValueError(
            f"`target`={target!r} is for tables with named columns, in a DataFrame, a .csv or a "
            f".parquet file, and the source is none: {source!r:.80}."
        )
    elif of_images:
        found = read_folder(Path(source), *of_folders, on_corrupt, not by_classes)
    elif _is_texts(source, kind):
        found = _read_texts(source)
    elif isinstance(source, str) and source in NAMED:
        found = NAMED[source](source)
    elif isinstance(source, str | os.PathLike):
        found = read_npz(Path(source), **options)
    else:
        found = read_arrays(_collected(source, kind), **options)
    split = split_classes if by_classes else split_examples
    data = split(found, validation_fraction, test_fraction, seed)
    if kind not in (None, data.preparation.kind):
        raise ValueError(f"`kind` is {kind!r}, but the source holds {data.preparation}.")
    return data


def _is_folder(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(source, str | os.PathLike) and source not in NAMED and os.path.isdir(source)


def _is_texts(source: Any, kind: str | None) -> bool:
    if _is_folder(source):
        return kind == "texts" or (kind is None and is_folder_of_texts(Path(source)))
    if isinstance(source, str | os.PathLike):
        return Path(source).suffix.lower() == ".txt"
    return isinstance(source, list) and are_texts(source)


def _read_texts(source: Any) -> Source:
    if isinstance(source, list):
        return from_arrays("texts", source, None, kind="texts")
    path = Path(source)
    arguments, names = read_folder_of_texts(path) if path.is_dir() else ([path, None], None)
    return from_arrays(path.resolve().stem, *arguments, class_names=names, kind="texts")


def _collected(source: Any, kind: str | None) -> Any:
    if are_batches(source):
        return collected("the data", source, kind)
    if is_pair(source) and any(map(are_batches, source)):
        if not all(are_batches(part) or is_pair(part) for part in source):
            raise ValueError("Beside batches must be others, or the arrays (x_test, y_test).")
        return tuple(
            collected(f"the {name} part", part, kind) if are_batches(part) else tuple(part)
            for name, part in zip(("training", "test"), source, strict=True)
        )
    return source


def _is_table(source: Any) -> TypeGuard[pd.DataFrame | str | os.PathLike[str]]:
    is_path = isinstance(source, str | os.PathLike) and not os.path.isdir(source)
    return isinstance(source, pd.DataFrame) or (is_path and Path(source).suffix.lower() in SUFFIXES)


def _read_table(source: Any, target: str | Sequence[str] | None, **options: Any) -> Source:
    name = "DataFrame" if isinstance(source, pd.DataFrame) else Path(source).stem
    frame = as_frame(source, ())
    if target is None:
        return from_arrays(name, frame, None, **options)
    one = isinstance(target, str) or not isinstance(target, Iterable)
    targets = [str(name) for name in ([target] if one else target)]  # as columns are named
    if isinstance(target, Set) or not targets or len(set(targets)) < len(targets):
        raise ValueError(f"`target` must name one column or several, received {target!r}.")
    require_columns(frame, targets, "As `target`, the columns")
    x, y = frame.drop(columns=targets), frame[targets].infer_objects()
    counts = [key for key in targets if pd.api.types.is_integer_dtype(y[key].dtype)]
    real = [key for key in counts if y[key].nunique() > FEW]
    return from_arrays(name, x, y.astype(dict.fromkeys(real, float)), **options)
