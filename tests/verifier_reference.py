"""Models that compare, with weights far from where training begins, and NumPy's word on them."""

import functools

import keras
import numpy as np

import zoo

DIGITS = zoo.load_data("digits").test
IMAGES, LABELS = DIGITS.examples(np.arange(120)), DIGITS.labels[:120]
QUERIES, GALLERY = IMAGES[:40], IMAGES[30:]  # ten images are in both


def trunk(units=6, **options):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(image)
    x = keras.layers.Dense(12, activation="tanh", name="lower")(x)
    return keras.Model(image, keras.layers.Dense(units, name="upper", **options)(x))


def classifier():
    below = trunk()
    outputs = keras.layers.Dense(10, "softmax", name="probabilities")(below.output)
    return keras.Model(below.input, outputs)


# Each with its metric, and whether embeddings are brought to length 1.
MODELS = {
    "euclidean": (lambda: zoo.siamese(trunk()), "euclidean", False),
    "euclidean, length 1": (lambda: zoo.siamese(trunk(), normalize=True), "euclidean", True),
    "manhattan": (lambda: zoo.siamese(trunk(), metric="manhattan"), "manhattan", False),
    "manhattan, length 1": (
        lambda: zoo.siamese(trunk(), metric="manhattan", normalize=True),
        "manhattan",
        True,
    ),
    "cosine": (lambda: zoo.siamese(trunk(), metric="cosine"), "cosine", True),
    "logistic": (lambda: zoo.siamese(trunk(), head="logistic"), "logistic", False),
    "logistic, length 1": (
        lambda: zoo.siamese(trunk(), head="logistic", normalize=True),
        "logistic",
        True,
    ),
    "embedding": (lambda: zoo.embedding(trunk()), "euclidean", True),
    "proxies": (lambda: zoo.embedding(trunk(), num_classes=4), "euclidean", True),
    "parted": (lambda: zoo.siamese(trunk(), shared_layers=2), "euclidean", False),
    "parted logistic, length 1": (
        lambda: zoo.siamese(trunk(), head="logistic", shared_layers=2, normalize=True),
        "logistic",
        True,
    ),
    "plain": (trunk, "euclidean", True),
    "features": (lambda: zoo.features(classifier(), "upper"), "euclidean", True),
}


@functools.cache
def verifier_of(name):
    """Make a calibrated verifier that knows 90 images by their numbers."""
    make, _, _ = MODELS[name]
    model, rng = make(), np.random.default_rng(0)
    for weight in model.weights:  # so that no two sides are alike, and no bias is 0
        weight.assign(rng.normal(0, 0.3, weight.shape))
    verifier = zoo.Verifier(model)
    verifier.calibrate(IMAGES, LABELS, target_far=0.2)
    verifier.enrol(GALLERY, np.arange(90))
    return verifier


def plain_verifier(**options):
    """Compare the sixteen pixels in the middle of two images."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.Cropping2D(2)(image))
    return zoo.Verifier(zoo.siamese(keras.Model(image, x), **options))


def embeddings_by_hand(model, images, side):
    """Embed by the weights that a model has by name, in float64."""
    weights = {tuple(weight.path.split("/")[-2:]): np.float64(weight) for weight in model.weights}
    x = images.reshape(len(images), 64) @ weights["lower", "kernel"] + weights["lower", "bias"]
    upper = weights["upper", "kernel"], weights["upper", "bias"]
    if "left_branch" in [layer.name for layer in model.layers]:
        upper = model.get_layer(f"{side}_branch").get_weights()
    return np.tanh(x) @ upper[0] + upper[1]


def distances_by_hand(model, metric, normalize, left, right):
    """Measure all distances between left images and right ones, in float64."""
    a, b = embeddings_by_hand(model, left, "left"), embeddings_by_hand(model, right, "right")
    if normalize:
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    gap = np.abs(a[:, None] - b)
    if metric == "logistic":
        kernel, bias = model.get_layer("logistic").get_weights()
        return 1 / (1 + np.exp((gap @ kernel + bias)[..., 0]))
    return {
        "euclidean": np.sqrt((gap**2).sum(-1)),
        "manhattan": gap.sum(-1),
        "cosine": (gap**2).sum(-1) / 2,  # of embeddings of length 1
    }[metric]
