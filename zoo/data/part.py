"""A part of a data set: some of the examples that are kept somewhere, and their labels."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Protocol

import numpy as np

from zoo.data.batches import Augmentation, PartBatches


class Examples(Protocol):
    """Where examples are kept: in memory, in files, or in other parts."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of an example, as models are given it."""

    def __len__(self) -> int:
        """Count the examples."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Give the examples at some positions, as models are given them."""

    def fingerprint(self) -> str:
        """Tell these examples from others."""


class ArrayExamples:
    """Examples in memory.

    Images of 8 bits stay so, at a quarter of the memory, and become float32 when they are read.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.input_shape = array.shape[1:]

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See `Examples.read`."""
        chosen = self.array[rows]
        if chosen.dtype != np.uint8:
            return chosen
        return np.divide(chosen, np.float32(255), dtype=np.float32)

    def fingerprint(self) -> str:
        """Hash the whole content."""
        return digest(str(self.array.dtype).encode(), _content(self.array))


class Part:
    """Labelled examples that models train on or are judged by.

    Args:
        examples: Where the examples are kept; an array, as `ArrayExamples` takes it, in memory.
        labels: One for each of `examples`: a class, int64 (n,); values, float32 (n, targets);
            or a text, object (n,).
        rows: Which of `examples` make up the part, and in which order; `None` takes all.

    Attributes:
        rows: Which examples of its source make up the part, in order.
        labels: Label of each example of the part.
        input_shape: Shape of an example, without the batch.

    Example:
        >>> part = Part(np.full((4, 8, 8, 1), 255, "uint8"), np.array([0, 1, 0, 1]))
        >>> images, labels = part.batches(2)[0]
        >>> images.max(), labels
        (np.float32(1.0), array([0, 1]))
    """

    def __init__(
        self, examples: Examples | np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None
    ) -> None:
        self._source = ArrayExamples(examples) if isinstance(examples, np.ndarray) else examples
        labels = np.asarray(labels)
        if labels.dtype.kind == "f" and labels.ndim == 1:
            raise ValueError("Labels that are real numbers must be (n, targets): pass y[:, None].")
        if len(self._source) != len(labels):
            counts = f"{len(self._source)} examples and {len(labels)} labels"
            raise ValueError(f"Each example needs one label; received {counts}.")
        self.rows = np.arange(len(labels)) if rows is None else np.asarray(rows)
        self.labels = labels[self.rows]
        self.input_shape = self._source.input_shape

    def __len__(self) -> int:
        return len(self.rows)

    def examples(self, indices: Any = None) -> np.ndarray:
        """Give the examples at some positions, as models are given them.

        Args:
            indices: Positions, integers (count,), or a mask, booleans (n,); `None` gives all.

        Returns:
            (count, *input_shape): images float32 in [0, 1], vectors and sequences float32, texts
            `str`.
        """
        if indices is None:
            return self._source.read(self.rows)
        chosen = np.asarray(indices)
        if chosen.dtype != bool:
            chosen = chosen.astype(np.int64, casting="same_kind" if chosen.size else "unsafe")
        return self._source.read(self.rows[chosen])

    def subset(self, indices: np.ndarray) -> Part:
        """Give a part of only the examples at some positions, without copying them.

        Args:
            indices: Positions, integers (count,), in the order that the part is to have.
        """
        smaller = copy.copy(self)
        smaller.rows, smaller.labels = self.rows[indices], self.labels[indices]
        return smaller

    def relabelled(self, labels: np.ndarray) -> Part:
        """Give a part with the same examples and other labels.

        Args:
            labels: One for each example of the part.
        """
        other = copy.copy(self)
        other.labels = labels
        return other

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> PartBatches:
        """Make batches that `model.fit`, `model.evaluate` and a `for` loop take.

        With a seed, each epoch (each loop) has a new order, which with the augmentation is a
        function of seed and epoch number alone. So a training that stopped before epoch 5 goes on,
        with `first_epoch=5`, exactly as it would have gone. (Where Keras draws one batch to build
        a model before it trains, as on JAX and PyTorch, that draw counts as an epoch.)

        Args:
            batch_size: Examples a batch; the last may be smaller.
            seed: Decides order and augmentation; `None` gives the part's own order.
            first_epoch: Number of the first epoch to be served, counted from 0.
            augment: `(examples, rng) -> examples`, called on each batch; it needs a seed.

        Returns:
            A `keras.utils.PyDataset` of (examples, labels).

        Raises:
            ValueError: If `batch_size` is no positive integer, `seed` or `first_epoch` is negative,
                or `augment` comes without a seed.
        """
        return PartBatches(self, batch_size, seed, first_epoch, augment)

    def fingerprint(self) -> str:
        """Hash the examples, their labels and their order, to 32 hexadecimal digits.

        Examples in files count by names, sizes, times and a sample of their contents.

        Example:
            >>> import zoo
            >>> data, other = zoo.load_data("digits"), zoo.load_data("digits", seed=1)
            >>> data.test.fingerprint() == other.test.fingerprint()
            False
        """
        contents = _content(self.rows), _content(self.labels)
        return digest(self._source.fingerprint().encode(), *contents)


def _content(array: np.ndarray) -> Any:
    """Give what `digest` takes of an array."""
    if array.dtype.kind in "OU":
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).data


def digest(*contents: Any) -> str:
    """Hash some contents."""
    hashed = hashlib.blake2b(digest_size=16)
    for content in contents:
        hashed.update(content)
    return hashed.hexdigest()
