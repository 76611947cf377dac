"""Parts made of other parts, whose images are asked for when they are needed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from zoo.arguments import integer
from zoo.data.batches import make_batches
from zoo.data.dataset import Augmentation, Part


def joined(parts: Sequence[Part]) -> Part:
    """Give a part of the examples of several, in their order.

    Args:
        parts: Parts of images of one shape.

    Returns:
        The part. It copies no images.

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits")
        >>> len(joined([data.train, data.test]))
        1617
    """
    return _JoinedPart(parts)


def with_rotations(part: Part, num_classes: int | None = None) -> Part:
    """Give a part with four times the classes: those that are there, and those of turned images.

    Images turned by 90, 180 and 270 degrees count as new classes, as is usual for letters of many
    alphabets (Omniglot). Where data are split by classes, turn the training part after the split.

    Args:
        part: Labelled square images.
        num_classes: Number of classes of the data set that it is a part of, so that the new ones
            are none of the other parts'; `None` is `part.labels.max() + 1`.

    Returns:
        Its examples, then those turned by 90, by 180 and by 270 degrees to the left, whose labels
        are larger by once, twice and three times `num_classes`. It copies no images.

    Raises:
        ValueError: If the images are not square, or a label is not below `num_classes`.

    Reference:
        Vinyals et al., Matching Networks for One Shot Learning, 2016,
        https://arxiv.org/abs/1606.04080; Santoro et al., One-shot Learning with Memory-Augmented
        Neural Networks, 2016, https://arxiv.org/abs/1605.06065

    Example:
        >>> import zoo
        >>> part = with_rotations(zoo.load_data("digits").train)
        >>> len(part), part.labels.max(), part.images(np.arange(2)).shape
        (5032, np.int64(39), (2, 8, 8, 1))
    """
    height, width, _ = part.input_shape
    if height != width:
        raise ValueError(
            f"Images must be square to be turned, received {height} x {width}: cut or resize them "
            "(for folders, zoo.load_data has `image_size`)."
        )
    least = int(part.labels.max(initial=-1)) + 1  # 0 where the part is empty
    if num_classes is None:
        num_classes = least
    return _RotatedPart(part, integer("num_classes", num_classes, minimum=least))


class _View:
    """What these parts share; a `Part`."""

    def __init__(self, labels: np.ndarray, input_shape: tuple[int, int, int]) -> None:
        self.labels = labels
        self.input_shape = input_shape
        self._rows = np.arange(len(labels))  # which of all examples make up the part

    def __len__(self) -> int:
        return len(self._rows)

    def images(self, indices: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def subset(self, indices: np.ndarray) -> Self:
        smaller = copy.copy(self)
        smaller.labels, smaller._rows = self.labels[indices], self._rows[indices]
        return smaller

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> Any:
        return make_batches(self, batch_size, seed, first_epoch, augment)


class _JoinedPart(_View):
    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(np.concatenate([part.labels for part in parts]), parts[0].input_shape)
        self._parts = parts

    def images(self, indices: np.ndarray) -> np.ndarray:
        rows = self._rows[indices]
        images = np.empty((len(rows), *self.input_shape), np.float32)
        for part in self._parts:
            inside = (rows >= 0) & (rows < len(part))
            images[inside] = part.images(rows[inside])
            rows = rows - len(part)
        return images


class _RotatedPart(_View):
    def __init__(self, part: Part, num_classes: int) -> None:
        turns = np.repeat(np.arange(4), len(part))
        super().__init__(np.tile(part.labels, 4) + turns * num_classes, part.input_shape)
        self._part = part

    def images(self, indices: np.ndarray) -> np.ndarray:
        turns, rows = np.divmod(self._rows[indices], len(self._part))
        images = self._part.images(rows)
        for turn in (1, 2, 3):
            chosen = turns == turn
            images[chosen] = np.rot90(images[chosen], turn, axes=(1, 2))
        return images
