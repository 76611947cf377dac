"""Parts made of other parts, whose images are asked for when they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.arguments import integer
from zoo.data.part import Part, digest


def joined(parts: Sequence[Part]) -> Part:
    """Give a part of the examples of several, in their order."""
    return Part(_Joined(parts), np.concatenate([part.labels for part in parts]))


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
        >>> len(part), part.labels.max(), part.examples(np.arange(2)).shape
        (5032, np.int64(39), (2, 8, 8, 1))
    """
    height, width, _ = part.input_shape
    if height != width:
        raise ValueError(
            f"Images must be square to be turned, received {height} x {width}: cut or resize them "
            "(for folders, zoo.load_data has `image_size`)."
        )
    least = int(part.labels.max(initial=-1)) + 1  # 0 where the part is empty
    step = least if num_classes is None else integer("num_classes", num_classes, minimum=least)
    turns = np.repeat(np.arange(4), len(part))
    return Part(_Rotated(part), np.tile(part.labels, 4) + turns * step)


class _Joined:
    def __init__(self, parts: Sequence[Part]) -> None:
        self.input_shape = parts[0].input_shape
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def read(self, rows: np.ndarray) -> np.ndarray:
        ends = np.cumsum([len(part) for part in self._parts])
        of_part = np.searchsorted(ends, rows, side="right")
        found = np.empty((len(rows), *self.input_shape), self._parts[0].examples([]).dtype)
        for number, part in enumerate(self._parts):
            chosen = of_part == number
            found[chosen] = part.examples(rows[chosen] - (ends[number] - len(part)))
        return found

    def fingerprint(self) -> str:
        return digest(*(part.fingerprint().encode() for part in self._parts))


class _Rotated:
    def __init__(self, part: Part) -> None:
        self.input_shape = part.input_shape
        self._part = part

    def __len__(self) -> int:
        return 4 * len(self._part)

    def read(self, rows: np.ndarray) -> np.ndarray:
        turns, places = np.divmod(rows, len(self._part))
        images = self._part.examples(places)
        for turn in (1, 2, 3):
            chosen = turns == turn
            images[chosen] = np.rot90(images[chosen], turn, axes=(1, 2))
        return images

    def fingerprint(self) -> str:
        return digest(b"rotated", self._part.fingerprint().encode())
