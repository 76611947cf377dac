"""Folders of labelled images, read when they are needed."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from zoo.arguments import integer, one_of
from zoo.data.dataset import Source
from zoo.data.images import ImagePreparation
from zoo.data.part import Part, digest
from zoo.data.pictures import (
    decode,
    ends_of_file,
    in_threads,
    natural_order,
    picture_files,
    visible,
    visible_folders,
    warn_of_others,
)

_SPLITS = ("train", "validation", "test")
_CHANNELS = {"grey": 1, "rgb": 3}
_MANY = 1000  # files, from which on a progress bar is worth its line


class ImageFiles:
    """Images in files, read and decoded when they are asked for; an `Examples`."""

    def __init__(self, files: np.ndarray, root: Path, preparation: ImagePreparation) -> None:
        self.files = files
        self.input_shape: Any = preparation.input_shape
        self._root, self._preparation = root, preparation

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See `Examples.read`."""
        images = np.empty((len(rows), *self.input_shape), np.float32)

        def place(row: int, image: np.ndarray) -> None:
            np.divide(self._preparation.pixels(self.files[row]), np.float32(255), out=image)

        list(in_threads(place, rows, images))
        return images

    def fingerprint(self) -> str:
        """See `Examples.fingerprint`."""
        return digest(*in_threads(self._file_fingerprint, self.files))

    def _file_fingerprint(self, file: str) -> bytes:
        found = os.stat(file)
        name = os.fsencode(os.path.relpath(file, self._root))
        facts = f"\0{found.st_size} {found.st_mtime_ns}\0".encode()
        return digest(name, facts, ends_of_file(file)).encode()


def read_folder(
    path: Path,
    image_size: Sequence[int] | None,
    color: str | None,
    background: str,
    max_pixels: int,
    on_corrupt: str,
    same_classes: bool = True,
) -> Source:
    """Find a folder's images and classes, and decode every file once to see that it can be read."""
    size = None if image_size is None else _check_size(image_size)
    if color is not None:
        one_of("color", color, tuple(_CHANNELS))
    checked = ImagePreparation((None, None, 3), background, max_pixels)  # refuses what is illegal
    folders = _part_folders(path, same_classes)
    names = {name for classes in folders.values() for name in classes}
    class_names = tuple(sorted(names, key=natural_order))
    numbers = {name: label for label, name in enumerate(class_names)}
    root = path.resolve()
    beside = {classes.parent for part in folders.values() for classes in part.values()} | {path}
    others = [item for folder in sorted(beside) for item in visible(folder) if not item.is_dir()]
    listed = [_list_files(classes, numbers, root, others) for classes in folders.values()]
    files = np.concatenate([files for files, _ in listed])
    warn_of_others(others, "are no image files, in no class's folder, or links that lead out")
    shapes = _decode_all(files, checked, on_corrupt)
    readable = shapes[:, 0] > 0
    if not readable.any():
        raise ValueError(
            f"None of the files in {path} is an image in a class's folder: expected one folder of "
            "images a class, or such folders inside train and test."
        )
    shape = _common_shape(shapes[readable], size, color)
    preparation = ImagePreparation(shape, background, max_pixels)
    ends = np.cumsum([len(labels) for _, labels in listed])[:-1]
    parts = {
        name: Part(ImageFiles(found[kept], path, preparation), labels[kept])
        for name, (found, labels), kept in zip(
            folders, listed, np.split(readable, ends), strict=True
        )
    }
    validation, test = parts.get("validation"), parts.get("test")
    return Source(root.name, parts["train"], validation, test, class_names, preparation)


def _common_shape(
    shapes: np.ndarray, size: tuple[int, int] | None, color: str | None
) -> tuple[int, int, int]:
    """Give the shape that the caller names, else the commonest, and say so where files differ."""
    sizes = Counter((int(height), int(width)) for height, width, _ in shapes)
    colors = Counter("grey" if channels == 1 else "rgb" for channels in shapes[:, 2])
    chosen, chosen_color = size or sizes.most_common(1)[0][0], color or colors.most_common(1)[0][0]
    notes = []
    if size is None and len(sizes) > 1:
        notes.append(
            f"The images are of {len(sizes)} sizes, and all are resized to the commonest, that of "
            f"{sizes[chosen]} of {len(shapes)}: image_size={chosen} (height, width)."
        )
    if color is None and len(colors) > 1:
        counts = " and ".join(f"{count} {name}" for name, count in colors.items())
        notes.append(f"There are {counts} images, and all are made color={chosen_color!r}.")
    if notes:
        warnings.warn(f"{' '.join(notes)} Name what you want.", stacklevel=4)
    return *chosen, _CHANNELS[chosen_color]


def _check_size(image_size: Sequence[int]) -> tuple[int, int]:
    if not isinstance(image_size, Sequence) or len(image_size) != 2:
        raise ValueError(f"`image_size` must be (height, width), received {image_size!r}.")
    return integer("image_size[0]", image_size[0]), integer("image_size[1]", image_size[1])


def _part_folders(path: Path, same_classes: bool) -> dict[str, dict[str, Path]]:
    """Give the class folders of each part: {part: {class: folder}}."""
    root = path.resolve()
    folders = visible_folders(path, root)
    if not folders:
        raise ValueError(f"{path} has no folder inside. Expected one folder of images a class.")
    if not set(folders) <= set(_SPLITS):
        return {"train": folders}
    if not {"train", "test"} <= set(folders):
        raise ValueError(
            f"{path} is split into {', '.join(folders)}; a split folder needs train and test "
            "(and optionally validation), each with one folder of images a class."
        )
    parts = {name: visible_folders(folders[name], root) for name in _SPLITS if name in folders}
    for name, classes in parts.items():
        if same_classes and set(classes) != set(parts["train"]):
            odd = sorted(set(classes) ^ set(parts["train"]))
            raise ValueError(
                f"{path / name} and {path / 'train'} must have folders for the same classes; "
                f"only one of them has {', '.join(map(repr, odd)) or 'any'}. "
                "Mend this, or split by classes: split_by='classes'."
            )
    return parts


def _list_files(
    classes: dict[str, Path], numbers: dict[str, int], root: Path, others: list[Path]
) -> tuple[np.ndarray, np.ndarray]:
    """Give the files of a part, and their labels; what is passed over joins the others."""
    files: list[str] = []
    labels: list[int] = []
    for name, folder in classes.items():
        found = visible(folder)
        inner = [item.name for item in found if item.is_dir()]
        if inner:
            raise ValueError(
                f"{folder} is taken for the class {name!r}, so images must lie directly in "
                f"it; it holds the folder {inner[0]!r}. (Folders that split a data set must be "
                f"named {', '.join(_SPLITS)}.)"
            )
        if not found:
            raise ValueError(f"The class folder {folder} is empty. Add images, or remove it.")
        pictures, passed_over = picture_files(found, root)
        others += passed_over
        files += map(str, pictures)
        labels += [numbers[name]] * len(pictures)
    return np.array(files, dtype=object), np.array(labels, dtype=np.int64)


def _decode_all(files: np.ndarray, preparation: ImagePreparation, on_corrupt: str) -> np.ndarray:
    """Give height, width and channels of each file's image, zeros where it cannot be decoded."""

    def shape_or_problem(file: str) -> tuple[int, int, int] | str:
        try:
            image = decode(file, preparation.background, preparation.max_pixels)
        except (OSError, ValueError) as error:
            return f"{file} ({getattr(error, 'strerror', None) or error})"
        return image.height, image.width, len(image.getbands())

    console = Console(stderr=True)
    quiet = len(files) < _MANY or not console.is_terminal
    shapes = in_threads(shape_or_problem, files)
    tracked = track(
        shapes, "Checking images", len(files), console=console, transient=True, disable=quiet
    )
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
        found = list(tracked)
    problems = [problem for problem in found if isinstance(problem, str)]
    if problems:
        message = f"{len(problems)} of {len(files)} files cannot be decoded:\n  " + "\n  ".join(
            problems[:10] + [f"... and {len(problems) - 10} more"] * (len(problems) > 10)
        )
        if on_corrupt == "refuse":
            raise ValueError(f"{message}\nRepair them, or leave them out: on_corrupt='skip'.")
        warnings.warn(f"Left out: {message}", stacklevel=4)  # the caller of load_data
    sizes = [(0, 0, 0) if isinstance(shape, str) else shape for shape in found]
    return np.array(sizes, np.int64).reshape(-1, 3)
