"""What a data set is: three parts of labelled images, each of which makes batches."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zoo.arguments import integer

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Part(Protocol):
    """Labelled images that models train on or are judged by."""

    labels: np.ndarray
    """Class of each example: int64, (examples,)."""
    input_shape: tuple[int, int, int]
    """Height, width and channels of every image."""

    def __len__(self) -> int:
        """Count the examples."""

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Give the images at some positions.

        Args:
            indices: Positions, integers (count,).

        Returns:
            float32 (count, height, width, channels), values in [0, 1].
        """

    def subset(self, indices: np.ndarray) -> Part:
        """Give a part of only the examples at some positions, without copying images.

        Args:
            indices: Positions, integers (count,).

        Returns:
            The smaller part, in the order of the positions.
        """

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> Any:
        """Make batches that `model.fit`, `model.evaluate` and a `for` loop take.

        With a seed, each epoch (each loop) has a new order, which with the augmentation is a
        function of seed and epoch number alone. So a training that stopped before epoch 5 goes on,
        with `first_epoch=5`, exactly as it would have gone. (Where Keras draws one batch to build
        a model before it trains, as on JAX and PyTorch, that draw counts as an epoch.)

        Args:
            batch_size: Examples a batch; the last may be smaller.
            seed: Decides order and augmentation; `None` gives the part's own order.
            first_epoch: Number of the first epoch to be served, counted from 0.
            augment: `(images, rng) -> images`, called on each batch; it needs a seed.

        Returns:
            An iterable of (images, labels), float32 (batch, height, width, channels) in [0, 1] and
            int64 (batch,).

        Raises:
            ValueError: If `batch_size` is no positive integer, `seed` or `first_epoch` is negative,
                or `augment` comes without a seed.
        """


@dataclass(frozen=True)
class Dataset:
    """Labelled images in three parts; `zoo.load_data` makes one.

    Args:
        name: What the data are called in reports.
        train: The part that models learn from.
        validation: The part that choices are made by; it may be empty.
        test: The part that is used once, to judge the final model.
        class_names: Name of class 0, 1, ...

    Example:
        >>> import zoo
        >>> print(zoo.load_data("digits"))
        digits: 1258 train, 180 validation, 359 test images of 8 x 8 x 1, 10 classes
    """

    name: str
    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train.input_shape

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.train)} train, {len(self.validation)} validation, "
            f"{len(self.test)} test images of {' x '.join(map(str, self.input_shape))}, "
            f"{self.num_classes} classes"
        )


def fingerprint(*parts: Part) -> list[list[int]]:
    """Tell parts of data from others, by number of examples and order of labels.

    Args:
        *parts: Parts of a data set.

    Returns:
        For each part its length and a checksum of its labels.

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits")
        >>> fingerprint(data.test) == fingerprint(zoo.load_data("digits", seed=1).test)
        False
    """
    return [[len(part), zlib.crc32(part.labels.tobytes())] for part in parts]


def require_dataset(data: Any) -> None:
    """Check that an argument `data` is a data set.

    Args:
        data: What the caller gave.

    Raises:
        ValueError: If it is something else.

    Example:
        >>> require_dataset("digits")
        Traceback (most recent call last):
        ValueError: `data` must be a zoo.Dataset, received 'digits'. Make one: zoo.load_data(...).
    """
    if not isinstance(data, Dataset):
        shown = repr(data) if isinstance(data, str | os.PathLike) else type(data).__name__
        raise ValueError(
            f"`data` must be a zoo.Dataset, received {shown}. Make one: zoo.load_data(...)."
        )


@dataclass(frozen=True)
class Source:
    """What a source holds before it is split: `None` for a part that it does not set aside."""

    name: str
    train: Part
    validation: Part | None
    test: Part | None
    class_names: tuple[str, ...]


def epoch_order(examples: int, seed: int, epoch: int) -> np.ndarray:
    """Draw the order of the examples in an epoch.

    Args:
        examples: Number of examples.
        seed: The training's seed.
        epoch: The epoch's number.

    Returns:
        The positions 0 to `examples - 1` in random order, int64.

    Example:
        >>> epoch_order(4, seed=0, epoch=1)
        array([3, 0, 2, 1])
    """
    return np.random.default_rng((seed, epoch)).permutation(examples)


def augmented(
    images: np.ndarray, augment: Augmentation, seed: int, epoch: int, index: int
) -> np.ndarray:
    """Augment one batch by chance that depends on seed, epoch and place of the batch alone.

    Args:
        images: float32 (batch, height, width, channels).
        augment: `(images, rng) -> images`.
        seed: The training's seed.
        epoch: The epoch's number.
        index: The batch's place in the epoch, from 0.

    Returns:
        The changed images, of the same shape, float32.

    Raises:
        ValueError: If `augment` returns another shape.

    Example:
        >>> augmented(np.ones((1, 2, 2, 1)), lambda images, rng: images / 2, 0, 0, 0).max()
        np.float32(0.5)
    """
    # NumPy takes the seed (a, b) for (a, b, 0): counted from 0, the first batch would get the
    # numbers that made the epoch's order.
    changed = augment(images, np.random.default_rng((seed, epoch, index + 1)))
    if np.shape(changed) != images.shape:
        raise ValueError(
            f"`augment` must return images of the shape it receives, {images.shape}; "
            f"it returned {np.shape(changed)}."
        )
    return np.asarray(changed, np.float32)


def check_batches(
    batch_size: int, seed: int | None, first_epoch: int, augment: Augmentation | None
) -> None:
    """Check the arguments of `Part.batches`.

    Args:
        batch_size: See `Part.batches`.
        seed: See `Part.batches`.
        first_epoch: See `Part.batches`.
        augment: See `Part.batches`.

    Raises:
        ValueError: See `Part.batches`.

    Example:
        >>> check_batches(32, None, 0, None)
    """
    integer("batch_size", batch_size)
    integer("first_epoch", first_epoch, minimum=0)
    if seed is not None:
        integer("seed", seed, minimum=0)
    elif augment is not None:
        raise ValueError("`augment` draws at random and needs a `seed`; received seed=None.")
