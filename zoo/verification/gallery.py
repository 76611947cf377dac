"""Embeddings of known examples, and the nearest of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from zoo import arguments as check
from zoo.verification.parts import Sides

PAIRS = 2_000_000  # of queries and enrolled examples that are looked at at a time


class Gallery:
    """Enrolled embeddings with their labels, and the search among them.

    FAISS searches where it is installed and knows the model's distance, else scikit-learn; for a
    logistic head, which is no distance between points, each query is judged with every example.
    """

    def __init__(self, parts: Sides) -> None:
        self._parts = parts
        self.embeddings = np.zeros((0, parts.right.output_shape[1]), np.float32)
        self.labels = np.zeros(0, np.int64)
        self._index: Any = None

    def checked(self, labels: Any, count: int) -> np.ndarray:
        """Check labels that are to be looked for or added."""
        found = checked_labels(labels, count)
        if len(self.labels) and found.dtype.kind != self.labels.dtype.kind:
            raise ValueError(
                f"Labels must be all integers or all strings: those enrolled are such as "
                f"{self.labels[0].item()!r}, received {found[:1].tolist()}."
            )
        return found

    def add(self, embeddings: np.ndarray, labels: np.ndarray) -> None:
        """Enrol embeddings."""
        self.labels = np.concatenate([self.labels, labels]) if len(self.labels) else labels
        self.embeddings = np.concatenate([self.embeddings, embeddings])
        self._index = None

    def remove(self, label: np.ndarray) -> int:
        """Take the examples of a label out."""
        kept = self.labels != label
        self.embeddings, self.labels = self.embeddings[kept], self.labels[kept]
        self._index = None
        return int((~kept).sum())

    def require(self, k: Any) -> None:
        """Check that there are as many examples as are asked for."""
        if not len(self.labels):
            raise ValueError("The gallery is empty: enrol examples first, verifier.enrol(...).")
        check.integer("k", k, maximum=len(self.labels))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest examples."""
        if self._index is None:
            self._index = _make_index(self._parts, self.embeddings)
        positions = np.zeros((len(queries), k), np.int64)
        distances = np.zeros((len(queries), k), np.float32)
        step = max(1, PAIRS // len(self.labels))
        for i in range(0, len(queries), step):
            here = slice(i, i + step)
            positions[here], distances[here] = self._nearest(queries[here], k)
        return self.labels[positions], distances

    def _nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        # In the order of enrolment, which equally near ones keep.
        found = np.sort(self._index(queries, k), axis=1)
        rows = np.repeat(np.arange(len(queries)), found.shape[1])
        distances = self._parts.distances(queries, self.embeddings, rows, found.ravel())
        distances = distances.reshape(found.shape)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        found, distances = (np.take_along_axis(x, order, axis=1) for x in (found, distances))
        return found, distances


def checked_labels(labels: Any, count: int) -> np.ndarray:
    """Check labels."""
    found = np.asarray(labels)
    if found.dtype.kind in "OTU":
        # NumPy makes strings of the numbers of a mixed list, and objects of a table's strings.
        entries = np.asarray(labels, object)
        is_text = all(isinstance(entry, str) for entry in entries.flat)
        found = entries.astype(str) if is_text else entries
    if found.shape not in ((count,), (count, 1)) or found.dtype.kind not in "iuU":
        raise ValueError(
            f"`labels` must be {count} in number, one an image, all integers or all strings; "
            f"received {found.dtype} of shape {found.shape}."
        )
    return found.ravel() if found.dtype.kind == "U" else found.ravel().astype(np.int64)


def _make_index(parts: Sides, embeddings: np.ndarray) -> Any:
    """Make what gives the positions of candidates, at least `k` a query, in any order."""
    metric = getattr(parts.judge.layers[-1], "metric", None)
    if metric is None:
        everything = np.arange(len(embeddings))
        return lambda queries, k: np.tile(everything, (len(queries), 1))
    if metric != "manhattan" and (index := _faiss_index(embeddings, metric)) is not None:
        return index
    neighbours = NearestNeighbors(metric=metric).fit(embeddings)
    return lambda queries, k: neighbours.kneighbors(queries, k, return_distance=False)


def _faiss_index(embeddings: np.ndarray, metric: str) -> Any:
    try:
        import faiss
    except ImportError:
        return None
    # Centred, embeddings are as short as can be. FAISS may expand (a - b)^2, and then rounds by
    # their lengths, not by their distance.
    centre = embeddings.mean(axis=0)
    prepare = normalize if metric == "cosine" else lambda points: points - centre
    make = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    index = make(embeddings.shape[1])
    index.add(prepare(embeddings))
    return lambda queries, k: index.search(prepare(queries), k)[1]
