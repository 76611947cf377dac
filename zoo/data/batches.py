"""Batches whose content depends on seed, epoch and place alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from zoo.arguments import integer

if TYPE_CHECKING:
    from zoo.data.part import Part

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class SeededBatches(keras.utils.PyDataset):
    """Batches made of a part's examples, epoch by epoch."""

    def __init__(
        self,
        part: Part,
        length: int,
        seed: int | None,
        first_epoch: int,
        augment: Augmentation | None,
    ) -> None:
        super().__init__()
        if seed is None and augment is not None:
            raise ValueError("`augment` draws at random and needs a `seed`; received seed=None.")
        self._part, self._length = part, length
        self._seed = None if seed is None else integer("seed", seed, minimum=0)
        self._augment = augment
        self._epochs = itertools.count(integer("first_epoch", first_epoch, minimum=0))
        self._epoch = first_epoch
        self._turns: Iterator[int] = iter(())

    def batch(self, index: int) -> Any:
        """Make the batch at a place in the epoch."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self._length

    def on_epoch_begin(self) -> None:
        """Go on to the next epoch."""
        self._epoch = next(self._epochs)
        self._turns = iter(range(len(self)))

    def __iter__(self) -> Iterator[Any]:
        self.on_epoch_begin()
        return super().__iter__()

    def __getitem__(self, index: int) -> Any:
        # `fit` has shuffle=True by default, and asks for the batches in an order drawn from
        # Python's global random state. What is drawn here is the epoch's own, so within an epoch
        # the next batch is served, whichever is asked for.
        return self.batch(index if self._seed is None else next(self._turns, index))

    def rng(self, *key: int) -> np.random.Generator:
        """Make the source of all chance at some place of the epoch."""
        return np.random.default_rng((self._seed or 0, self._epoch, *key))

    def read(self, indices: np.ndarray, place: int) -> np.ndarray:
        """Give a part's examples, augmented by chance that depends on a place in the epoch."""
        examples = self._part.examples(indices)
        if self._augment is None:
            return examples
        # NumPy takes the seed (a, b) for (a, b, 0): counted from 0, the first batch would get the
        # numbers that made the epoch's order.
        changed = self._augment(examples, self.rng(place + 1))
        if np.shape(changed) != examples.shape:
            raise ValueError(
                f"`augment` must return examples of the shape it receives, {examples.shape}; "
                f"it returned {np.shape(changed)}."
            )
        return np.asarray(changed, examples.dtype)


class PartBatches(SeededBatches):
    """All examples of a part, in its own order or, with a seed, in a new one each epoch.

    Example:
        >>> import zoo
        >>> part = zoo.data.Part(np.zeros((4, 1)), np.arange(4))
        >>> [labels.tolist() for _, labels in PartBatches(part, 3, seed=0, first_epoch=1)]
        [[3, 0, 2], [1]]
    """

    def __init__(
        self,
        part: Part,
        batch_size: int,
        seed: int | None = None,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> None:
        self._batch_size = integer("batch_size", batch_size)
        super().__init__(part, -(-len(part) // self._batch_size), seed, first_epoch, augment)
        self._order = np.arange(len(part))

    def on_epoch_begin(self) -> None:
        """Go on to the next epoch, and draw its order."""
        super().on_epoch_begin()
        if self._seed is not None:
            self._order = self.rng().permutation(len(self._part))

    def batch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give examples and their labels."""
        chosen = self._order[index * self._batch_size :][: self._batch_size]
        return self.read(chosen, index), self._part.labels[chosen]
