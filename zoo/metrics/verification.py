"""How well distances tell pairs of the same class from pairs of different ones.

Everywhere 1 means the same, and a small distance speaks for it. A pair is accepted, that is, called
the same, where its distance is at most a threshold.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from zoo import arguments as check


class OperatingPoint(NamedTuple):
    """A threshold, and what follows from it.

    Attributes:
        threshold: The largest distance that is accepted; minus infinity accepts nothing.
        far: False accept rate: share of the different pairs that are accepted.
        tar: True accept rate: share of the same pairs that are.
    """

    threshold: float
    far: float
    tar: float

    @property
    def frr(self) -> float:
        """False reject rate: share of the same pairs that are not accepted."""
        return 1 - self.tar


def roc_auc(same: Any, distances: Any) -> float:
    """Give the probability that a same pair is nearer than a different one, ties counted half.

    Args:
        same: 1 for pairs of the same class, 0 for others, (pairs,) or (pairs, 1).
        distances: Of the pairs, (pairs,) or (pairs, 1).

    Returns:
        Area under the ROC curve, in [0, 1].

    Raises:
        ValueError: If lengths differ, a distance is not finite, a label is not 0 or 1, or one of
            the two is missing.

    Example:
        >>> roc_auc([True, True, False, False], [[0.1], [0.4], [0.3], [0.9]])
        0.75
    """
    same, distances = check_pairs(same, distances)
    return float(roc_auc_score(same, -distances))


def equal_error_rate(same: Any, distances: Any) -> tuple[float, OperatingPoint]:
    """Give the error rate at which as many different pairs are accepted as same ones are rejected.

    Args:
        same, distances: As `roc_auc` takes them.

    Returns:
        The rate, in [0, 1], where the straight lines between the points of the ROC curve cross the
        diagonal; and the point of the curve whose two rates are nearest to each other.

    Raises:
        ValueError: As `roc_auc` does.

    Example:
        >>> equal_error_rate([1, 1, 0, 0], [0.1, 0.4, 0.3, 0.9])
        (0.5, OperatingPoint(threshold=0.3, far=0.5, tar=0.5))
    """
    far, tar, thresholds = _curve(same, distances)
    gap = far - (1 - tar)  # grows from -1 to 1
    nearest = int(np.argmin(np.abs(gap)))
    after = int(np.argmax(gap >= 0))
    share = gap[after] / (gap[after] - gap[after - 1])
    rate = far[after] + share * (far[after - 1] - far[after])
    return float(rate), _point(far, tar, thresholds, nearest)


def tar_at_far(same: Any, distances: Any, far: float) -> OperatingPoint:
    """Give the point of the ROC curve that accepts most same pairs, and at most `far` others.

    Args:
        same, distances: As `roc_auc` takes them.
        far: False accept rate, in [0, 1). Fewer than `1 / far` different pairs cannot tell rates so
            low: then the point accepts none of them.

    Returns:
        The point; of those with as high a true accept rate, the one with the smallest threshold.

    Raises:
        ValueError: As `roc_auc` does, or if `far` is illegal.

    Example:
        >>> tar_at_far([1, 1, 0, 0], [0.1, 0.4, 0.3, 0.9], far=0.1)
        OperatingPoint(threshold=0.1, far=0.0, tar=0.5)
    """
    check.rate("far", far)
    found, tar, thresholds = _curve(same, distances)
    return _point(found, tar, thresholds, int(np.argmax(np.where(found <= far, tar, -1))))


def check_pairs(same: Any, distances: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check labels and distances of pairs; give integers and floats, (pairs,)."""
    same, distances = np.asarray(same), np.asarray(distances, np.float64)
    if same.size != distances.size or max(same.shape, default=0) != same.size:
        raise ValueError(
            "`same` and `distances` must have one entry a pair, received the shapes "
            f"{same.shape} and {distances.shape}."
        )
    same, distances = same.ravel(), distances.ravel()
    if not np.isfinite(distances).all():
        raise ValueError(
            f"`distances` must be finite, received {(~np.isfinite(distances)).sum()} that are not: "
            "are there NaN among the embeddings?"
        )
    if set(np.unique(same)) != {0, 1}:
        raise ValueError(
            "`same` must hold 1 (the same class) and 0 (different classes), both of them; received "
            f"{np.unique(same)[:5].tolist()}."
        )
    return same.astype(np.int64), distances


def _curve(same: Any, distances: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give false and true accept rates from none accepted to all, and the thresholds."""
    same, distances = check_pairs(same, distances)
    far, tar, scores = roc_curve(same, -distances, drop_intermediate=False)
    return far, tar, -scores


def _point(far: np.ndarray, tar: np.ndarray, thresholds: np.ndarray, at: int) -> OperatingPoint:
    return OperatingPoint(float(thresholds[at]), float(far[at]), float(tar[at]))
