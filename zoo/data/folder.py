"""Labelled images in files, read when they are needed, with tf.data."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from zoo.arguments import integer, one_of
from zoo.data.dataset import Source
from zoo.data.part import Part, digest

_SPLITS = ("train", "validation", "test")
_CHANNELS = {"grey": 1, "rgb": 3}
_MANY = 1000  # files, from which on a progress bar is worth its line


@dataclass(frozen=True)
class _Decoder:
    """File name to image, (height, width, channels), values 0 to 255, as a TensorFlow graph.

    It is uint8, or float32 where images are resized.
    """

    shape: tuple[int, int, int]
    resize: bool
    recolor: bool

    def __call__(self, path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), expand_animations=False)  # uint8
        if self.recolor:
            image = self._recolor(image)
        if self.resize:
            image = tf.image.resize(image, self.shape[:2], antialias=True)
            image = tf.clip_by_value(image, 0, 255)  # rounding may pass the ends
        return tf.ensure_shape(image, self.shape)

    def _recolor(self, image: tf.Tensor) -> tf.Tensor:
        colors = (tf.shape(image)[-1] + 1) // 2 * 2 - 1  # 1, 1, 3, 3 of 1 to 4: alpha goes
        image = image[..., :colors]
        if self.shape[2] == 3:
            return tf.repeat(image, 3 // colors, axis=-1)
        return tf.cond(colors == 3, lambda: tf.image.rgb_to_grayscale(image), lambda: image)


class ImageFiles:
    """Images in files, read and decoded when they are asked for; an `Examples`."""

    def __init__(self, files: np.ndarray, decode: _Decoder) -> None:
        self.files = files
        self.input_shape = decode.shape
        self._decode = decode

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See `Examples.read`."""
        decoded = _each(_file_names(self.files[rows])).map(
            self._decode, num_parallel_calls=tf.data.AUTOTUNE
        )
        images = np.empty((len(rows), *self.input_shape), np.float32)
        for index, image in enumerate(decoded.as_numpy_iterator()):
            images[index] = image
        return np.divide(images, 255, out=images)

    def fingerprint(self) -> str:
        """See `Examples.fingerprint`."""
        return digest(*(os.fsencode(file) for file in self.files))


_each = tf.data.Dataset.from_tensor_slices


def _file_names(files: np.ndarray) -> tf.Tensor:
    # File names are bytes, not always of a valid text.
    return tf.constant([os.fsencode(file) for file in files], tf.string, shape=(len(files),))


def read_folder(
    path: Path,
    image_size: Sequence[int] | None,
    color: str | None,
    on_corrupt: str,
    same_classes: bool = True,
) -> Source:
    """Find a folder's images and classes, and decode every file once to see that it can be read.

    Args:
        path: A folder of class folders, or of `train`, `test` and perhaps `validation` with those.
        image_size: Height and width to resize to; `None` takes the first image's.
        color: "grey", "rgb", or `None`, which takes the first image's.
        on_corrupt: "refuse" or "skip" files that cannot be decoded.
        same_classes: Whether `train`, `test` and `validation` must have the same classes.

    Returns:
        What the folder holds. Classes are numbered in the order of their folders' names.

    Raises:
        ValueError: If the folder holds no classes, a class no images, or a file cannot be decoded.
    """
    size = None if image_size is None else _check_size(image_size)
    if color is not None:
        one_of("color", color, tuple(_CHANNELS))
    folders = _part_folders(path, same_classes)
    class_names = tuple(sorted({name for classes in folders.values() for name in classes}))
    numbers = {name: label for label, name in enumerate(class_names)}
    listed = {name: _list_files(classes, numbers) for name, classes in folders.items()}
    files = np.concatenate([files for files, _ in listed.values()])
    shapes = _decode_all(files, on_corrupt)
    readable = shapes[:, 0] > 0
    if not readable.any():
        raise ValueError(f"None of the {len(files)} files in {path} is an image.")
    first = shapes[readable][0]
    height, width = size or (int(first[0]), int(first[1]))
    channels = _CHANNELS[color] if color else (1 if first[2] < 3 else 3)
    decode = _Decoder(
        (height, width, channels),
        resize=bool((shapes[readable, :2] != (height, width)).any()),
        recolor=bool((shapes[readable, 2] != channels).any()),
    )
    parts: dict[str, Part | None] = dict.fromkeys(_SPLITS)
    start = 0
    for name, (names, labels) in listed.items():
        kept = readable[start : start + len(names)]
        parts[name] = Part(ImageFiles(names[kept], decode), labels[kept])
        start += len(names)
    return Source(path.resolve().name, class_names=class_names, **parts)  # type: ignore[arg-type]


def _check_size(image_size: Sequence[int]) -> tuple[int, int]:
    if not isinstance(image_size, Sequence) or len(image_size) != 2:
        raise ValueError(f"`image_size` must be (height, width), received {image_size!r}.")
    return integer("image_size[0]", image_size[0]), integer("image_size[1]", image_size[1])


def _part_folders(path: Path, same_classes: bool) -> dict[str, dict[str, Path]]:
    """Give the class folders of each part: {part: {class: folder}}."""
    folders = _visible_folders(path)
    if not folders:
        raise ValueError(
            f"{path} has no folder inside. Expected one folder of images a class, named after it."
        )
    if not set(folders) <= set(_SPLITS):
        return {"train": folders}
    if not {"train", "test"} <= set(folders):
        raise ValueError(
            f"{path} is split into {', '.join(folders)}; a split folder needs train and test "
            "(and optionally validation), each with one folder of images a class."
        )
    parts = {name: _visible_folders(folders[name]) for name in _SPLITS if name in folders}
    for name, classes in parts.items():
        if same_classes and set(classes) != set(parts["train"]):
            odd = sorted(set(classes) ^ set(parts["train"]))
            raise ValueError(
                f"{path / name} and {path / 'train'} must have folders for the same classes; "
                f"only one of them has {', '.join(map(repr, odd)) or 'any'}. "
                "Mend this, or split by classes: split_by='classes'."
            )
    return parts


def _visible_folders(path: Path) -> dict[str, Path]:
    return {item.name: item for item in _visible(path) if item.is_dir()}


def _visible(path: Path) -> list[Path]:
    try:
        return sorted(item for item in path.iterdir() if not item.name.startswith("."))
    except OSError as error:
        raise ValueError(f"The folder {path} cannot be read: {error.strerror}.") from error


def _list_files(classes: dict[str, Path], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the files of a part, and their labels."""
    files: list[str] = []
    labels: list[int] = []
    for name, folder in classes.items():
        found = _visible(folder)
        inner = [item.name for item in found if item.is_dir()]
        if inner:
            raise ValueError(
                f"{folder} is taken for the class {name!r}, so images must lie directly in "
                f"it; it holds the folder {inner[0]!r}. (Folders that split a data set must be "
                f"named {', '.join(_SPLITS)}.)"
            )
        if not found:
            raise ValueError(f"The class folder {folder} is empty. Add images, or remove it.")
        files += map(str, found)
        labels += [numbers[name]] * len(found)
    return np.array(files, dtype=object), np.array(labels, dtype=np.int64)


def _decode_all(files: np.ndarray, on_corrupt: str) -> np.ndarray:
    """Give height, width and channels of each file's image, zeros where it cannot be decoded."""
    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:
        results = track(
            pool.map(_decoded_shape, files),
            description="Checking images",
            total=len(files),
            console=console,
            transient=True,
            disable=len(files) < _MANY or not console.is_terminal,
        )
        found = list(results)
    problems = [
        f"{file} ({shape})" for file, shape in zip(files, found, strict=True) if type(shape) is str
    ]
    if problems:
        message = f"{len(problems)} of {len(files)} files cannot be decoded:\n  " + "\n  ".join(
            problems[:10] + [f"... and {len(problems) - 10} more"] * (len(problems) > 10)
        )
        if on_corrupt == "refuse":
            raise ValueError(
                f"{message}\nRemove or repair them, or leave them out with on_corrupt='skip'."
            )
        warnings.warn(f"Left out: {message}", stacklevel=4)  # the caller of load_data
    return np.array([(0, 0, 0) if type(shape) is str else shape for shape in found])


def _decoded_shape(file: str) -> tuple[int, ...] | str:
    """Give the shape of a file's image, or what is wrong with the file."""
    try:
        with tf.device("CPU"):
            image = tf.io.decode_image(tf.io.read_file(os.fsencode(file)), expand_animations=False)
    except tf.errors.OpError as error:
        # "{{function_node ...}} Invalid PNG data, size 52 [Op:DecodeImage] name: "
        return re.sub(r"^{{.*?}} | \[Op:.*$", "", error.message)
    return tuple(image.shape)
