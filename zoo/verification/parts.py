"""What a model of pairs consists of: its two sides, and how it judges them."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from zoo.data import Part, feed
from zoo.layers import CosineProxies, Distance, Judging, SameProbability, UnitLength
from zoo.models.siamese import embedding
from zoo.transfer import layer_outputs

CHUNK = 4096  # pairs that are judged at a time


class Sides(NamedTuple):
    """The parts of a model that compares; they share its weights.

    Attributes:
        model: The model itself.
        left: From an image to its embedding, float32 (batch, embedding_dim).
        right: The same for the right image; `left` itself, unless each side has layers of its own.
        judge: From embeddings `left` and `right` to their distance, (batch, 1). Of the head
            "logistic" that is the probability of being different.
        judging: The layer that has the threshold.
    """

    model: keras.Model
    left: keras.Model
    right: keras.Model
    judge: keras.Model
    judging: Judging

    def embed(self, batches: Any) -> tuple[np.ndarray, np.ndarray]:
        """Embed images, given as `predict` takes them, as left and as right ones.

        Returns:
            Embeddings of both sides, float32 (examples, embedding_dim).
        """
        left = self.left.predict(batches, verbose=0)
        return left, left if self.right is self.left else self.right.predict(batches, verbose=0)

    def distances(
        self, left: np.ndarray, right: np.ndarray, rows: np.ndarray, others: np.ndarray
    ) -> np.ndarray:
        """Judge pairs of embeddings: give their distances, float32 (pairs,).

        Args:
            left: Embeddings of the left side, (examples, embedding_dim).
            right: Embeddings of the right side, (other examples, embedding_dim).
            rows: Position of each pair's left one, (pairs,).
            others: Position of each pair's right one, (pairs,).
        """
        found = np.empty(len(rows), np.float32)
        for i in range(0, len(rows), CHUNK):
            pair = [left[rows[i : i + CHUNK]], right[others[i : i + CHUNK]]]
            found[i : i + CHUNK] = ops.convert_to_numpy(self.judge(pair))[:, 0]
        return found

    def signatures(self) -> dict[str, keras.Model]:
        """Name what an export serves beside the model.

        Returns:
            `embed`, from `image` to `embedding` (`embed_left` and `embed_right` where the sides
            differ); `similarity`, from `left` and `right` to `similarity`, (batch, 1), larger for
            what is nearer: the probability of being the same, or 1 / (1 + distance); and, where
            there is a threshold, `same`, from both to booleans `same`, (batch, 1).
        """
        left, right = _inputs(self.left.input.shape[1:], self.left.input.dtype)
        distance = self.judge([self.left(left), self.right(right)])
        logistic = isinstance(self.judging, SameProbability)
        similarity = 1 - distance if logistic else 1 / (1 + distance)
        found = {"similarity": keras.Model([left, right], {"similarity": similarity})}
        if self.judging.threshold is not None:
            same = distance <= self.judging.threshold
            found["same"] = keras.Model([left, right], {"same": same})
        alone = {"embed": self.left}
        if self.right is not self.left:
            alone = {"embed_left": self.left, "embed_right": self.right}
        for name, side in alone.items():
            found[name] = keras.Model(side.input, {"embedding": side.output})
        return found


def sides(model: keras.Model) -> Sides:
    """Take a model that compares apart.

    Embeddings that are trained by themselves are judged by their Euclidean distance.

    Args:
        model: What `zoo.siamese` or `zoo.embedding` gives, or a model such as they take as trunk,
            whose embeddings are then brought to length 1.

    Raises:
        ValueError: If the model is none of these.

    Example:
        >>> import zoo
        >>> twins = zoo.siamese(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
        >>> parts = sides(twins)
        >>> parts.left.output_shape, parts.left is parts.right, parts.judge.output_names
        ((None, 32), True, ['distance'])
    """
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    last = next(reversed(layers.values()), None)
    if "trunk" in layers and isinstance(last, Distance | SameProbability):
        return _of_pairs(model, last)
    if {"trunk", "embedding"} <= layers.keys() and isinstance(last, UnitLength | CosineProxies):
        return _of_embedding(model, layers["embedding"])
    return sides(embedding(model))


def _of_embedding(model: keras.Model, judging: UnitLength) -> Sides:
    image, outputs = layer_outputs(model)
    side = keras.Model(image, outputs["embedding"], name="embedding")
    pair = _inputs(side.output_shape[1:])
    distance = Distance(largest=2.0, dtype="float32", name="distance")(*pair)
    return Sides(model, side, side, keras.Model(pair, distance, name="judge"), judging)


def _of_pairs(model: keras.Model, judging: Judging) -> Sides:
    names = [layer.name for layer in model.layers]
    trunk = model.get_layer("trunk")
    both = []
    for side in ("left_", "right_") if "left_branch" in names else ("",):
        image = keras.Input(trunk.input.shape[1:], name=trunk.input.name, dtype=trunk.input.dtype)
        x = trunk(image)
        for name in (f"{side}branch", "unit_length"):
            x = model.get_layer(name)(x) if name in names else x
        x = ops.cast(x, "float32")  # trunks may compute in half precision
        both.append(keras.Model(image, x, name=f"{side}embedding"))
    pair = _inputs(both[0].output_shape[1:])
    if "logistic" in names:
        x = model.get_layer("logistic")(model.get_layer("difference")(*pair))
        # As exact near 0 as the probability itself; 1 less that would be rounded to steps of 6e-8.
        distance = keras.layers.Activation("sigmoid", dtype="float32", name="distance")(-x)
    else:
        distance = judging(*pair)
    return Sides(model, both[0], both[-1], keras.Model(pair, distance, name="judge"), judging)


def _inputs(shape: tuple[int | None, ...], dtype: str = "float32") -> list[Any]:
    return [keras.Input(shape, name=side, dtype=dtype) for side in ("left", "right")]


def require_finite(what: str, values: np.ndarray) -> None:
    """Refuse what a broken model gives, a row or a number for each of `what`."""
    bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {len(bad)} {what} are NaN or infinite: the model's weights are "
            "damaged, or its training failed. Train it with a lower learning rate."
        )


def embeddings_of(side: keras.Model, images: np.ndarray) -> np.ndarray:
    """Embed images by one side of a model."""
    if not len(images):
        return np.zeros((0, side.output_shape[1]), np.float32)
    part = Part(images, np.zeros(len(images), np.int64))
    embeddings = side.predict(feed(part.batches(256)), verbose=0)
    require_finite("images' embeddings", embeddings)
    return embeddings
