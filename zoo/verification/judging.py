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
from zoo.verification.parts import Sides, require_finite

SHOWN = 8  # pairs in a row of a picture


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pairs of examples and the distances that a model gives them."""

    left: np.ndarray  # positions of the examples, (pairs,)
    right: np.ndarray
    same: np.ndarray  # 1 for pairs of one class, 0 for others
    distances: np.ndarray
    embeddings: np.ndarray  # of each example as a left one, (examples, embedding_dim)

    def rates(self) -> dict[str, float]:
        """Give the area under the ROC curve and the equal error rate; NaN of other distances."""
        if not np.isfinite(self.distances).all():
            return {"auc": math.nan, "eer": math.nan}
        rate, _ = equal_error_rate(self.same, self.distances)
        return {"auc": roc_auc(self.same, self.distances), "eer": rate}

    def summary(self, threshold: float | None) -> dict[str, float]:
        """Give the rates, and at a threshold the shares of different and same pairs accepted."""
        self.require_finite()
        if threshold is None:
            return self.rates()
        point = self.at(threshold)
        return {**self.rates(), "far": point.far, "tar": point.tar}

    def require_finite(self) -> None:
        """Raise a ValueError if a distance is not finite."""
        require_finite("distances", self.distances)

    def point(self, target_far: float | str) -> OperatingPoint:
        """Find a threshold, as `Verifier.calibrate` does, with its rates."""
        target_far = checked_target(target_far)
        if isinstance(target_far, str):
            return equal_error_rate(self.same, self.distances)[1]
        return tar_at_far(self.same, self.distances, target_far)

    def at(self, threshold: float) -> OperatingPoint:
        """Give a threshold, the largest distance that counts as the same, with its rates."""
        accepted = self.distances <= threshold
        far, tar = (float(accepted[self.same == kind].mean()) for kind in (0, 1))
        return OperatingPoint(threshold, far, tar)

    def draw(
        self, part: Part, threshold: float | None, class_names: Sequence[str], directory: Path
    ) -> list[Path]:
        """Draw the ROC curve, the distances, the hardest mistakes and the embeddings."""
        from zoo import plots  # matplotlib is loaded only to draw

        point = self.point("eer") if threshold is None else self.at(threshold)
        judged = self.same, self.distances
        pictures = [
            plots.roc_curve(*judged, directory / "roc_curve.png", point=point),
            plots.distance_histogram(
                *judged, directory / "distances.png", threshold=point.threshold
            ),
            plots.latent_scatter(
                self.embeddings, part.labels, class_names, directory / "embeddings.png"
            ),
        ]
        if part.examples(self.left[:1]).ndim != 4:  # rows of numbers
            return pictures
        pairs = {}
        for kind, title in enumerate(("different, taken for the same", "the same, told apart")):
            rows = self._hardest(kind, point.threshold)
            left, right = part.examples(self.left[rows]), part.examples(self.right[rows])
            pairs[title] = (left, right, self.distances[rows])
        return [*pictures, plots.image_pairs(pairs, directory / "mistakes.png")]

    def _hardest(self, kind: int, threshold: float) -> np.ndarray:
        """Give the positions of the worst mistakes among the pairs of one kind."""
        wrong = np.flatnonzero((self.same == kind) & ((self.distances <= threshold) != kind))
        distances = self.distances[wrong]
        return wrong[np.argsort(-distances if kind else distances, kind="stable")][:SHOWN]


def checked_target(target_far: float | str) -> float | str:
    """Check what a threshold is to be set by."""
    if not isinstance(target_far, str):
        return check.rate("target_far", target_far)
    if target_far != "eer":
        raise ValueError(f"`target_far` must be 'eer' or from 0 to below 1, not {target_far!r}.")
    return target_far


def judge(parts: Sides, part: Part, *, batch_size: int = 256, most: int = 100_000) -> Judged:
    """Let a model judge the pairs of labelled images, at most so many.

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits", split_by="classes")
        >>> twins = zoo.siamese(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
        >>> sorted(judge(zoo.sides(twins), data.test).rates())
        ['auc', 'eer']
    """
    left, right, same = pairs_of(part.labels, most=most)
    embeddings, others = parts.embed(feed(part.batches(batch_size)))
    distances = parts.distances(embeddings, others, left, right)
    return Judged(left, right, same, distances, embeddings)
