"""Embeddings of known examples, and the nearest of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from zoo import arguments as check
from zoo.layers import Distance
from zoo.verification.parts import Sides


class Gallery:
    """Enrolled embeddings with their labels, and the search among them.

    FAISS searches where it is installed and knows the model's distance, else scikit-learn; for a
    logistic head, which is no distance between points, each query is judged with every example.

    Args:
        parts: The model, taken apart.

    Example:
        >>> import zoo
        >>> parts = zoo.sides(zoo.siamese(zoo.mlp((8, 8, 1), 0, hidden_units=(2,))))
        >>> gallery = Gallery(parts)
        >>> gallery.add(np.eye(2, dtype="float32"), np.array(["a", "b"]))
        >>> labels, distances = gallery.search(np.array([[0.9, 0.0]], "float32"), 2)
        >>> labels.tolist(), distances.round(2).tolist()
        ([['a', 'b']], [[0.1, 1.35]])
    """

    def __init__(self, parts: Sides) -> None:
        self._parts = parts
        self.embeddings = np.zeros((0, parts.right.output_shape[1]), np.float32)
        self.labels = np.zeros(0, np.int64)
        self._index: Any = None

    def add(self, embeddings: np.ndarray, labels: np.ndarray) -> None:
        """Enrol embeddings.

        Args:
            embeddings: Of the right side, float32 (examples, embedding_dim).
            labels: (examples,), all integers or all strings.

        Raises:
            ValueError: If the labels are of another kind than those that there are.
        """
        if len(self.labels) and labels.dtype.kind != self.labels.dtype.kind:
            raise ValueError(
                f"Labels must be of one kind: enrolled are {self.labels.dtype}, received "
                f"{labels.dtype}."
            )
        self.labels = np.concatenate([self.labels, labels]) if len(self.labels) else labels
        self.embeddings = np.concatenate([self.embeddings, embeddings])
        self._index = None

    def remove(self, label: Any) -> int:
        """Take the examples of a label out.

        Args:
            label: The label.

        Returns:
            How many there were.
        """
        kept = self.labels != label
        self.embeddings, self.labels = self.embeddings[kept], self.labels[kept]
        self._index = None
        return int((~kept).sum())

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest examples.

        Args:
            queries: Embeddings of the left side, float32 (queries, embedding_dim).
            k: Number of examples for each.

        Returns:
            Their labels and distances, (queries, k), the nearest first.

        Raises:
            ValueError: If the gallery is empty, or `k` is no integer of 1 to its size.
        """
        if not len(self.labels):
            raise ValueError("The gallery is empty: enrol examples first, verifier.enrol(...).")
        check.integer("k", k, maximum=len(self.labels))
        if self._index is None:
            self._index = self._make_index()
        nearest = np.reshape(self._index(queries, k), (len(queries), -1))
        rows = np.repeat(np.arange(len(queries)), nearest.shape[1])
        distances = self._parts.distances(queries, self.embeddings, rows, nearest.ravel())
        distances = distances.reshape(nearest.shape)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(nearest, order, axis=1)
        return self.labels[found], np.take_along_axis(distances, order, axis=1)

    def _make_index(self) -> Any:
        """Make what gives positions of candidates, at least `k` a query, in any order."""
        judging = self._parts.judge.layers[-1]
        if not isinstance(judging, Distance):
            everything = np.arange(len(self.labels))
            return lambda queries, k: np.tile(everything, (len(queries), 1))
        index = _faiss_index(self.embeddings, judging.metric)
        if index is not None:
            return index
        neighbours = NearestNeighbors(metric=judging.metric).fit(self.embeddings)
        return lambda queries, k: neighbours.kneighbors(queries, k, return_distance=False)


def _faiss_index(embeddings: np.ndarray, metric: str) -> Any:
    try:
        import faiss
    except ImportError:
        return None
    if metric == "manhattan":
        return None
    points = _unit(embeddings) if metric == "cosine" else embeddings
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(np.ascontiguousarray(points))
    prepare = _unit if metric == "cosine" else np.ascontiguousarray
    return lambda queries, k: index.search(prepare(queries), k)[1]


def _unit(embeddings: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.ascontiguousarray(embeddings / np.maximum(lengths, 1e-12))
