"""Batches of drawn examples: some of each of some classes, or pairs."""

from __future__ import annotations

import numpy as np

from zoo import arguments as check
from zoo.data.batches import Augmentation, SeededBatches
from zoo.data.columns import listed
from zoo.data.part import Part


class DrawnBatches(SeededBatches):
    """Batches of drawn examples."""

    def __init__(
        self,
        part: Part,
        batch_size: int,
        batches: int | None,
        singles: str,
        seed: int,
        first_epoch: int,
        augment: Augmentation | None,
    ) -> None:
        length = max(len(part) // batch_size, 1)
        if batches is not None:
            length = check.integer("batches", batches)
        super().__init__(part, length, check.integer("seed", seed, minimum=0), first_epoch, augment)
        self.members = examples_by_class(part.labels, singles)


class ClassBatches(DrawnBatches):
    """Some classes a batch, and some examples of each: P x K, for losses that find their triplets.

    Args:
        part: Labelled images, such as `zoo.load_data(...).train`.
        classes: Classes a batch (P), at least 2.
        examples: Examples of each class (K), at least 2. A class with fewer shows some twice.
        batches: Number of batches an epoch; `None` takes as many as show `len(part)` examples.
        singles: What becomes of classes with a single example: "refuse" or "leave_out".
        seed: Decides what is drawn: the same seed and epoch give the same batches.
        first_epoch: Number of the first epoch to be served, counted from 0.
        augment: `(images, rng) -> images`, called on each batch; see `zoo.data.Augment`.

    Raises:
        ValueError: If an argument is illegal, there are fewer classes than a batch needs, or one
            has a single example and these are refused.

    Reference:
        Hermans, Beyer and Leibe, In Defense of the Triplet Loss, 2017,
        https://arxiv.org/abs/1703.07737

    Example:
        >>> import zoo
        >>> batches = ClassBatches(zoo.load_data("digits").train, classes=5, examples=4)
        >>> images, labels = batches[0]
        >>> images.shape, np.unique(labels, return_counts=True)[1].tolist()
        ((20, 8, 8, 1), [4, 4, 4, 4, 4])
    """

    def __init__(
        self,
        part: Part,
        *,
        classes: int = 8,
        examples: int = 4,
        batches: int | None = None,
        singles: str = "refuse",
        seed: int = 0,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> None:
        self.classes = check.integer("classes", classes, minimum=2)
        self.examples = check.integer("examples", examples, minimum=2)
        size = self.classes * self.examples
        super().__init__(part, size, batches, singles, seed, first_epoch, augment)
        check.integer("classes", classes, maximum=len(self.members))

    def batch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw images, (P * K, height, width, channels), and their labels, (P * K,)."""
        rng = self.rng(index, 1)
        chosen = rng.choice(len(self.members), self.classes, replace=False)
        shuffled = [rng.permutation(self.members[number]) for number in chosen]
        indices = np.concatenate([np.resize(members, self.examples) for members in shuffled])
        # Two places in the epoch for each batch, as pairs have two sides.
        return self.read(indices, 2 * index), self._part.labels[indices]


class PairBatches(DrawnBatches):
    """Pairs of images, half of them of one class: 1 means the same.

    A class is drawn first, each as often as any other, and its examples then, so that a large class
    has no more pairs than a small one; no list of all pairs is ever made.

    Args:
        part: Labelled images, such as `zoo.load_data(...).train`.
        batch_size: Pairs a batch, an even number.
        batches, singles, seed, first_epoch, augment: As `ClassBatches` takes them; each side of a
            batch is augmented by itself.

    Raises:
        ValueError: If an argument is illegal, there is a single class, or a class has a single
            example and these are refused.

    Example:
        >>> import zoo
        >>> pairs, same = PairBatches(zoo.load_data("digits").train, batch_size=32)[0]
        >>> pairs["left"].shape, pairs["right"].shape, float(same.mean())
        ((32, 8, 8, 1), (32, 8, 8, 1), 0.5)
    """

    def __init__(
        self,
        part: Part,
        batch_size: int = 64,
        *,
        batches: int | None = None,
        singles: str = "refuse",
        seed: int = 0,
        first_epoch: int = 0,
        augment: Augmentation | None = None,
    ) -> None:
        if check.integer("batch_size", batch_size) % 2:
            raise ValueError(f"`batch_size` must be even, half of it the same: got {batch_size}.")
        self.batch_size = int(batch_size)
        super().__init__(part, self.batch_size, batches, singles, seed, first_epoch, augment)

    def batch(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Draw `{"left": images, "right": images}`, and whether they are the same, (pairs, 1)."""
        rng = self.rng(index, 1)
        sizes = np.array([len(members) for members in self.members])
        half, count = self.batch_size // 2, len(sizes)
        # The first half are the same: one class, two places in it. The others: two classes. A step
        # of at least 1 around the circle makes each two different.
        left = rng.integers(count, size=2 * half)
        right = (left + np.repeat([0, 1], half) * rng.integers(1, count, size=2 * half)) % count
        first = rng.integers(sizes[left])
        second = rng.integers(sizes[right])
        second[:half] = (first[:half] + rng.integers(1, sizes[left[:half]])) % sizes[left[:half]]
        order = rng.permutation(2 * half)
        sides = []
        for number, (classes, places) in enumerate(((left, first), (right, second))):
            drawn = zip(classes[order], places[order], strict=True)
            indices = np.array([self.members[i][k] for i, k in drawn])
            sides.append(self.read(indices, 2 * index + number))
        pairs = dict(zip(("left", "right"), sides, strict=True))
        return pairs, (order < half).astype(np.float32)[:, None]


def examples_by_class(labels: np.ndarray, singles: str = "refuse") -> list[np.ndarray]:
    """List the examples of each class that pairs can be made of."""
    check.one_of("singles", singles, ("refuse", "leave_out"))
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.cumsum(counts)[:-1])
    if singles == "refuse" and (counts == 1).any():
        raise ValueError(
            f"Classes {listed(classes[counts == 1].tolist())} have a single example, of which no "
            "pair can be made: add examples, or leave them out by singles='leave_out'."
        )
    kept = [positions for positions in members if len(positions) > 1]
    if len(kept) < 2:
        raise ValueError(f"Pairs need two classes of two examples each; {len(kept)} have as many.")
    return kept
