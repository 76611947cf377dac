"""The pairs of some labelled images, judged by a model: how often it is right, and where wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo import arguments as check
from zoo.data import Part, feed
from zoo.data.pairs import pairs_of
from zoo.metrics import OperatingPoint, equal_error_rate, roc_auc, tar_at_far
from zoo.verification.parts import Sides

SHOWN = 8  # pairs in a row of a picture


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pairs of examples and the distances that a model gives them.

    Attributes:
        left: Position of each pair's left example, (pairs,).
        right: Position of the right one.
        same: 1 for pairs of one class, 0 for others, (pairs,).
        distances: (pairs,).
        embeddings: Of each example as a left one, (examples, embedding_dim).
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    distances: np.ndarray
    embeddings: np.ndarray

    def rates(self) -> dict[str, float]:
        """Give the area under the ROC curve, `auc`, and the equal error rate, `eer`.

        Returns:
            Both, in [0, 1]; NaN where distances are not finite.
        """
        if not np.isfinite(self.distances).all():
            return {"auc": math.nan, "eer": math.nan}
        rate, _ = equal_error_rate(self.same, self.distances)
        return {"auc": roc_auc(self.same, self.distances), "eer": rate}

    def summary(self, threshold: float | None) -> dict[str, float]:
        """Give the rates, and those at a threshold.

        Args:
            threshold: The largest distance that counts as the same, if there is one.

        Returns:
            `auc` and `eer`, and with a threshold `far` and `tar`, the shares of different and of
            same pairs that count as the same.

        Raises:
            ValueError: If a distance is not finite.
        """
        self.require_finite()
        if threshold is None:
            return self.rates()
        point = self.at(threshold)
        return {**self.rates(), "far": point.far, "tar": point.tar}

    def require_finite(self) -> None:
        """Refuse distances of broken embeddings.

        Raises:
            ValueError: If a distance is not finite.
        """
        bad = int((~np.isfinite(self.distances)).sum())
        if bad:
            raise ValueError(
                f"{bad} of {len(self.distances)} distances are NaN or infinite: the model's "
                "weights are damaged, or its training failed. Train it with a lower learning rate."
            )

    def point(self, target_far: float | str) -> OperatingPoint:
        """Find a threshold.

        Args:
            target_far: "eer", where both kinds of errors are equally frequent, or the largest
                false accept rate, in [0, 1).

        Returns:
            The threshold with its rates.

        Raises:
            ValueError: If `target_far` is illegal, or a distance is not finite.
        """
        target_far = checked_target(target_far)
        if isinstance(target_far, str):
            return equal_error_rate(self.same, self.distances)[1]
        return tar_at_far(self.same, self.distances, target_far)

    def at(self, threshold: float) -> OperatingPoint:
        """Give the rates at a threshold.

        Args:
            threshold: The largest distance that counts as the same.

        Returns:
            The threshold with its rates.
        """
        accepted = self.distances <= threshold
        far, tar = (float(accepted[self.same == kind].mean()) for kind in (0, 1))
        return OperatingPoint(threshold, far, tar)

    def draw(
        self, part: Part, threshold: float | None, class_names: Sequence[str], directory: Path
    ) -> list[Path]:
        """Draw the ROC curve, the distances, the hardest mistakes and the embeddings.

        Args:
            part: What was judged.
            threshold: The model's; `None` marks where both kinds of errors are equally frequent.
            class_names: Name of class 0, 1, ...
            directory: Where to write the pictures.

        Returns:
            The pictures' paths; the mistakes are drawn of images only.
        """
        from zoo import plots  # matplotlib is loaded only to draw

        point = self.point("eer") if threshold is None else self.at(threshold)
        pictures = [
            plots.roc_curve(self.same, self.distances, directory / "roc_curve.png", point=point),
            plots.distance_histogram(
                self.same, self.distances, directory / "distances.png", threshold=point.threshold
            ),
            plots.latent_scatter(
                self.embeddings, part.labels, class_names, directory / "embeddings.png"
            ),
        ]
        if part.examples(self.left[:1]).ndim != 4:  # rows of numbers
            return pictures
        wrong = {
            "different, taken for the same": self._hardest(0, point.threshold),
            "the same, told apart": self._hardest(1, point.threshold),
        }
        pairs = {
            title: (
                part.examples(self.left[rows]),
                part.examples(self.right[rows]),
                self.distances[rows],
            )
            for title, rows in wrong.items()
        }
        return [*pictures, plots.image_pairs(pairs, directory / "mistakes.png")]

    def _hardest(self, kind: int, threshold: float) -> np.ndarray:
        """Give the positions of the worst mistakes among the pairs of one kind."""
        wrong = np.flatnonzero((self.same == kind) & ((self.distances <= threshold) != kind))
        distances = self.distances[wrong]
        return wrong[np.argsort(-distances if kind else distances, kind="stable")][:SHOWN]


def checked_target(target_far: float | str) -> float | str:
    """Check what a threshold is to be set by.

    Example:
        >>> checked_target("eer"), checked_target(0)
        ('eer', 0.0)
    """
    if not isinstance(target_far, str):
        return check.rate("target_far", target_far)
    if target_far != "eer":
        raise ValueError(
            f"`target_far` must be 'eer' or a number of at least 0 and below 1, received "
            f"{target_far!r}."
        )
    return target_far


def judge(parts: Sides, part: Part, *, batch_size: int = 256, most: int = 100_000) -> Judged:
    """Let a model judge the pairs of labelled images.

    Args:
        parts: The model, taken apart; see `zoo.sides`.
        part: The images, such as `zoo.load_data(..., split_by="classes").test`.
        batch_size: Images that are embedded at a time.
        most: As `zoo.data.pairs.pairs_of` takes it.

    Returns:
        The pairs and their distances.

    Raises:
        ValueError: If there are not both same and different pairs.

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits", split_by="classes")
        >>> trunk = zoo.mlp((8, 8, 1), 0, hidden_units=(32,))
        >>> sorted(judge(zoo.sides(zoo.siamese(trunk)), data.test).rates())
        ['auc', 'eer']
    """
    left, right, same = pairs_of(part.labels, most=most)
    embeddings, others = parts.embed(feed(part.batches(batch_size)))
    distances = parts.distances(embeddings, others, left, right)
    return Judged(left, right, same, distances, embeddings)
