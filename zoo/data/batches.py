"""Batches of any part's images, made with NumPy alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import keras
import numpy as np

from zoo.data.dataset import Augmentation, Part, augmented, check_batches, epoch_order


def make_batches(
    part: Part, batch_size: int, seed: int | None, first_epoch: int, augment: Augmentation | None
) -> keras.utils.PyDataset:
    """Make the batches of any part from its images and labels.

    Args:
        part: Labelled images.
        batch_size: See `Part.batches`, as for the others.
        seed: Decides order and augmentation.
        first_epoch: Number of the first epoch to be served.
        augment: Changes a batch.

    Returns:
        See `Part.batches`.

    Raises:
        ValueError: See `Part.batches`.

    Example:
        >>> import zoo
        >>> part = zoo.load_data("digits").test
        >>> [len(labels) for _, labels in make_batches(part, 100, None, 0, None)]
        [100, 100, 100, 59]
    """
    check_batches(batch_size, seed, first_epoch, augment)
    if seed is None:
        return _Batches(part, batch_size)
    return _ShuffledBatches(part, batch_size, seed, first_epoch, augment)


class _Batches(keras.utils.PyDataset):
    """A part's batches in its own order."""

    def __init__(self, part: Part, batch_size: int) -> None:
        super().__init__()
        self._part = part
        self._batch_size = batch_size
        self._order = np.arange(len(part))

    def __len__(self) -> int:
        return -(-len(self._part) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._batch_size :][: self._batch_size]
        return self._part.images(chosen), self._part.labels[chosen]


class _ShuffledBatches(_Batches):
    """A part's batches in an order and with an augmentation that depend on seed and epoch."""

    def __init__(
        self,
        part: Part,
        batch_size: int,
        seed: int,
        first_epoch: int,
        augment: Augmentation | None,
    ) -> None:
        super().__init__(part, batch_size)
        self._seed = seed
        self._augment = augment
        self._epochs = itertools.count(first_epoch)
        self._epoch = first_epoch
        self._turns: Iterator[int] = iter(())

    def on_epoch_begin(self) -> None:
        self._epoch = next(self._epochs)
        self._order = epoch_order(len(self._part), self._seed, self._epoch)
        self._turns = iter(range(len(self)))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.on_epoch_begin()
        return super().__iter__()

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        # `fit` has shuffle=True by default, and asks for the batches in an order drawn from
        # Python's global random state. The order here is the epoch's own, so within an epoch the
        # next batch is served, whichever is asked for.
        index = next(self._turns, index)
        images, labels = super().__getitem__(index)
        if self._augment:
            images = augmented(images, self._augment, self._seed, self._epoch, index)
        return images, labels
