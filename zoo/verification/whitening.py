"""Features without what varies within classes: a linear layer in closed form."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.covariance import shrunk_covariance
from sklearn.decomposition import PCA

from zoo import arguments as check
from zoo.data import Part
from zoo.data.batches import Augmentation
from zoo.verification.gallery import checked_labels
from zoo.verification.parts import require_finite


def whiten(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    embedding_dim: int = 64,
    shrinkage: float = 0.1,
    augment: Augmentation | None = None,
    copies: int = 5,
    seed: int = 0,
    name: str = "whitened",
) -> keras.Model:
    """Put a linear layer above features that scales down what varies within the classes.

    Few classes train a network to tell just these apart, and to forget what it takes for others.
    This keeps the features' main components, and divides by the standard deviation that images of
    one class have (within-class covariance normalization). Nothing is trained.

    Args:
        model: From an image to features of any shape, such as `zoo.features(trunk, "block3_pool")`.
        images: (images, height, width, channels), floats in [0, 1] or uint8; those of the training
            will do.
        labels: What each shows, (images,): integers or strings.
        embedding_dim: Number of principal components to keep; fewer than images and copies.
        shrinkage: Share, in (0, 1], of a covariance that is alike in all directions.
        augment: Changes the copies, `(images, rng) -> images`, such as `zoo.data.Augment(...)`.
        copies: Number of changed copies of each image, where there is `augment`.
        seed: Decides the changes.
        name: The model's name.

    Returns:
        A Functional model from the image to `whitening`, (batch, embedding_dim): a trunk for
        `zoo.embedding` and `zoo.Verifier`. Its layer `features` shares the layers of `model`.

    Raises:
        ValueError: If an argument is illegal, features are not finite, or no class has two images.

    Reference:
        Hatch, Kajarekar and Stolcke, Within-Class Covariance Normalization for SVM-based Speaker
        Recognition, 2006

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits", split_by="classes")
        >>> model = zoo.features(zoo.cascade_cnn((8, 8, 1), 10, filters=(8, 16)), "block2_pool")
        >>> images = data.train.examples(np.arange(300))
        >>> trunk = whiten(model, images, data.train.labels[:300], embedding_dim=16)
        >>> trunk.output_shape, zoo.Verifier(trunk).embed(images[:5]).shape
        ((None, 16), (5, 16))
    """
    images = check.images("images", images, model.input_shape[1:])
    labels = checked_labels(labels, len(images))
    embedding_dim = check.integer("embedding_dim", embedding_dim)
    if not 0 < check.number("shrinkage", shrinkage) <= 1:
        raise ValueError(f"`shrinkage` must be above 0 and at most 1, received {shrinkage!r}.")
    numbers = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    if np.bincount(numbers).max() < 2:
        raise ValueError("No class has two images, so nothing varies within one: give more images.")
    part = Part(images, numbers)
    features, classes = _features(model, part, augment, check.integer("copies", copies), seed)
    check.integer("embedding_dim", embedding_dim, maximum=min(len(features) - 1, features.shape[1]))
    pca = PCA(embedding_dim, svd_solver="full").fit(features)
    kernel = pca.components_.T @ _whitening(pca.transform(features), classes, shrinkage)
    # A model of its own, whose layers may have any names.
    below = keras.Model(model.inputs[0], model.outputs[0], name="features")
    image = keras.Input(images.shape[1:], name=model.inputs[0].name)
    whitening = layers.Dense(embedding_dim, dtype="float32", name="whitening")
    outputs = whitening(layers.Flatten(name="flatten")(below(image)))
    whitened = keras.Model(image, outputs, name=name)
    whitening.set_weights([kernel, -pca.mean_ @ kernel])
    return whitened


def _features(
    model: keras.Model, part: Part, augment: Augmentation | None, copies: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give flat features of images, and below them of their changed copies, and the classes."""
    rows, classes = [], []
    for epoch in range(1 + (copies if augment else 0)):
        changes: Any = dict(seed=seed, first_epoch=epoch, augment=augment) if epoch else {}
        for images, labels in part.batches(256, **changes):
            rows.append(keras.ops.convert_to_numpy(model(images, training=False)))
            classes.append(labels)
    features = np.concatenate(rows).astype(np.float64)
    require_finite("images' features", features)
    return features.reshape(len(features), -1), np.concatenate(classes)


def _whitening(points: np.ndarray, classes: np.ndarray, shrinkage: float) -> np.ndarray:
    """Give the matrix that makes points of a class vary alike in all directions."""
    means = np.stack([points[classes == one].mean(axis=0) for one in range(classes.max() + 1)])
    within = np.cov(points - means[classes], rowvar=False).reshape(2 * points.shape[1:])
    return np.linalg.cholesky(np.linalg.inv(shrunk_covariance(within, shrinkage)))
