"""Data of the runs that gradient health is judged by: small, quick to learn, mostly made here."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets, ensemble, metrics

import zoo


@dataclass(frozen=True)
class Data:
    """Examples of one kind: `kind` is "classes", "binary" or "values"."""

    kind: str
    x: np.ndarray
    y: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray

    @property
    def outputs(self) -> int:
        return int(self.y.max()) + 1 if self.kind == "classes" else 1

    @property
    def constant_loss(self) -> float:
        """Cross-entropy, or squared error, of the best prediction that ignores the inputs."""
        if self.kind == "values":
            return float(np.var(self.y))
        shares = np.bincount(self.y.astype(int).ravel()) / len(self.y)
        return float(-(shares * np.log(shares)).sum())

    def skill(self, predicted: np.ndarray) -> float:
        """Rate outputs for the validation examples: 0 is as good as a constant, 1 is all right."""
        predicted = np.nan_to_num(predicted, nan=0.0, posinf=1e6, neginf=-1e6)
        if self.kind == "values":
            return max(-1.0, metrics.r2_score(self.y_validation, predicted.ravel()))
        named = predicted.ravel() > 0.5 if predicted.shape[-1] == 1 else predicted.argmax(-1)
        majority = np.bincount(self.y_validation.astype(int).ravel()).max() / len(named)
        right = float(np.mean(named == self.y_validation.ravel()))
        return (right - majority) / (1 - majority)


def images(name: str, seed: int, rows: int = 4000) -> tuple[str, np.ndarray, np.ndarray]:
    part = zoo.load_data(name, seed=seed).train
    x, y = part.examples(np.arange(min(rows, len(part)))), part.labels[:rows]
    return "classes", x, y


def blobs(seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    x, y = datasets.make_blobs(2000, 10, centers=5, cluster_std=4.0, random_state=seed)
    return "classes", x / x.std(), y


def circles(seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    x, y = datasets.make_circles(2000, noise=0.1, factor=0.4, random_state=seed)
    return "binary", x * 1.4, y


def table(seed: int) -> tuple[str, np.ndarray, np.ndarray]:  # noqa: ARG001  it is the same always
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return "binary", (x - x.mean(0)) / x.std(0), y


def wine(seed: int) -> tuple[str, np.ndarray, np.ndarray]:  # noqa: ARG001
    x, y = datasets.load_wine(return_X_y=True)
    return "classes", (x - x.mean(0)) / x.std(0), y


def values(seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    x, y = datasets.make_friedman1(2000, n_features=8, noise=0.5, random_state=seed)
    return "values", 2 * x - 1, (y - y.mean()) / y.std()


def waves(seed: int, length: int = 24) -> tuple[str, np.ndarray, np.ndarray]:
    """Sine waves of three frequencies, with noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 2000)
    turns = np.arange(length) / length * (2 + 2 * y[:, None]) + rng.random((2000, 1))
    waves = np.sin(2 * math.pi * turns) + rng.normal(0, 0.3, (2000, length))
    return "classes", waves[..., None], y


def recall(seed: int, length: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Noise with a mark at the first step, which is to be named after the last."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, 2000)
    x = rng.normal(0, 0.3, (2000, length, 4))
    x[:, 0] = np.eye(4)[y]
    return "classes", x, y


SOURCES: dict[str, Callable[[int], tuple[str, np.ndarray, np.ndarray]]] = {
    "digits": functools.partial(images, "digits"),
    "fashion_mnist": functools.partial(images, "fashion_mnist"),
    "blobs": blobs,
    "circles": circles,
    "table": table,
    "wine": wine,
    "values": values,
    "waves": waves,
    "recall_10": functools.partial(recall, length=10),
    "recall_80": functools.partial(recall, length=80),
}


@functools.cache
def load(name: str, seed: int) -> Data:
    """Shuffle, and keep a quarter of the examples, at most 500, for validation."""
    kind, x, y = SOURCES[name](seed)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32"), y[order].astype("int64" if kind == "classes" else "float32")
    y = y if kind == "classes" else y[:, None]
    kept = min(500, len(x) // 4)
    return Data(kind, x[kept:], y[kept:], x[:kept], y[:kept])


@functools.cache
def reference_skill(name: str, seed: int) -> float:
    """Rate a forest of trees: what can be learned from these data."""
    data = load(name, seed)
    values = data.kind == "values"
    make: Any = ensemble.RandomForestRegressor if values else ensemble.RandomForestClassifier
    y = data.y if data.kind == "classes" else data.y[:, 0]
    forest = make(50, random_state=seed).fit(data.x.reshape(len(data.x), -1), y)
    flat = data.x_validation.reshape(len(data.x_validation), -1)
    predicted = forest.predict(flat) if values else forest.predict_proba(flat)
    return data.skill(predicted[:, -1:] if data.kind == "binary" else predicted)
