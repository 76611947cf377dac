"""How well nearest neighbours among embeddings are of the same class."""

from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances, pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from zoo import arguments as check


def recall_at_k(embeddings: Any, labels: Any, k: int = 1, *, metric: str = "euclidean") -> float:
    """Give the share, in [0, 1], of examples with one of their class among their k nearest others.

    Args:
        embeddings: (examples, embedding_dim).
        labels: Class of each example, (examples,). Examples that are alone in their class count as
            neighbours of others only.
        k: Number of neighbours.
        metric: Name of a distance that scikit-learn's `NearestNeighbors` knows.

    Raises:
        ValueError: If shapes do not fit, an embedding is not finite, no class has two examples, or
            `k` is not below the number of examples.

    Example:
        >>> recall_at_k([[0.0], [0.1], [1.0], [1.2], [0.4]], ["a", "a", "b", "b", "a"])
        1.0
    """
    embeddings, classes, asked = _check(embeddings, labels)
    check.integer("k", k, maximum=len(embeddings) - 1)
    # Without arguments, no example is its own neighbour.
    neighbours = NearestNeighbors(n_neighbors=k, metric=metric).fit(embeddings)
    found = classes[neighbours.kneighbors(return_distance=False)[asked]]
    return float((found == classes[asked, None]).any(axis=1).mean())


def mean_average_precision(embeddings: Any, labels: Any, *, metric: str = "euclidean") -> float:
    """Rank all other examples by their distance to each one, and rate the ranking.

    An example's average precision is the mean, over the others of its class, of the share of its
    class among all that are as near as they are; equal distances count together.

    Args:
        embeddings: (examples, embedding_dim).
        labels: Class of each example, (examples,). Those alone in their class are only ranked.
        metric: Name of a distance that scikit-learn's `pairwise_distances` knows.

    Returns:
        The mean of the average precisions, in (0, 1].

    Raises:
        ValueError: If shapes do not fit, an embedding is not finite, or no class has two examples.

    Example:
        >>> mean_average_precision([[0.0], [1.0], [3.0]], [0, 1, 0])
        0.5
    """
    embeddings, classes, asked = _check(embeddings, labels)
    total, start = 0.0, 0
    for distances in pairwise_distances_chunked(embeddings, metric=metric):
        rows = np.arange(start, start + len(distances))
        for row, own in zip(rows[asked[rows]], distances[asked[rows]], strict=True):
            same = classes == classes[row]
            total += _average_precision(np.delete(own, row), np.delete(same, row))
        start += len(distances)
    return total / int(asked.sum())


def n_way_accuracy(
    support: Any, support_labels: Any, queries: Any, query_labels: Any, *, metric: str = "euclidean"
) -> float:
    """Give queries the class whose examples are nearest on average; tell how often that is right.

    The classes of the support set are the ways, its examples of a class the shots. With one shot
    this is the nearest neighbour.

    Args:
        support: Embeddings of the classes' examples, (ways x shots, embedding_dim).
        support_labels: Their classes; each class has as many examples.
        queries: Embeddings, (queries, embedding_dim).
        query_labels: Their classes, which are among the support's.
        metric: Name of a distance that scikit-learn's `pairwise_distances` knows.

    Returns:
        The accuracy, in [0, 1]. A query that is as near to several classes is a share of right.

    Raises:
        ValueError: If shapes do not fit, an embedding is not finite, classes have different numbers
            of examples, or a query's class is not among them.

    Example:
        >>> n_way_accuracy([[0.0], [1.0]], ["a", "b"], [[0.2], [0.9], [0.8]], ["a", "b", "a"])
        0.6666666666666666
    """
    support, support_labels = check_embeddings(support, support_labels)
    queries, query_labels = check_embeddings(queries, query_labels)
    ways, classes, shots = np.unique(support_labels, return_inverse=True, return_counts=True)
    if len(set(shots)) > 1:
        raise ValueError(
            "Every class of the support set must have the same number of examples; received from "
            f"{shots.min()} to {shots.max()}."
        )
    strangers = np.setdiff1d(query_labels, ways)
    if len(strangers):
        raise ValueError(f"The queries' class {strangers[0]} is not in the support set.")
    distances = pairwise_distances(queries, support, metric=metric)
    of_class = np.stack([distances[:, classes == way].mean(axis=1) for way in range(len(ways))])
    nearest = of_class == of_class.min(axis=0)  # (ways, queries)
    right = nearest & (ways[:, None] == query_labels)
    return float((right.any(axis=0) / nearest.sum(axis=0)).mean())


def check_embeddings(embeddings: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check embeddings and their labels."""
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise ValueError(f"Embeddings must be (n, dim), not empty; received {embeddings.shape}.")
    if labels.shape not in ((len(embeddings),), (len(embeddings), 1)):
        raise ValueError(
            f"Each embedding needs one label: received {len(embeddings)} embeddings, and labels of "
            f"shape {labels.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{len(bad)} embeddings are NaN or infinite, the first at {bad[0]}: did training fail?"
        )
    return embeddings, labels.ravel()


def _check(embeddings: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give embeddings, classes as integers, and which examples are not alone in their class."""
    embeddings, labels = check_embeddings(embeddings, labels)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    asked = counts[classes] > 1
    if not asked.any():
        raise ValueError("No class has two examples, so there is nothing to find: give more.")
    return embeddings, classes, asked


def _average_precision(distances: np.ndarray, same: np.ndarray) -> float:
    order = np.argsort(distances, kind="stable")
    distances, hits = distances[order], np.cumsum(same[order])
    # Up to the last of those that are as far.
    last = np.searchsorted(distances, distances[same[order]], side="right")
    return float((hits[last - 1] / last).mean())
