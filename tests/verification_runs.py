"""Small runs of the verification task, and NumPy's word on what they find."""

import dataclasses

import keras
import numpy as np

import zoo

HEADS = ("distance", "logistic", "embedding", "proxies")
ARGUMENTS = {
    "siamese_cnn_tiny": {"dropout": 0.1},
    "koch_siamese_tiny": {"kernel_sizes": (1,) * 4, "activation": "tanh"},
    "siamese_face_tiny": {},
}
OPTIONS = dict(epochs=2, learning_rate=3e-3, precision="float32", verbose=0)


def of_each_class(part, count):
    """The first examples of each class of a part."""
    kept = [np.flatnonzero(part.labels == label)[:count] for label in np.unique(part.labels)]
    return part.subset(np.concatenate(kept or [np.arange(0)]))


def small(**options):
    data = zoo.load_data("digits", split_by="classes", **options)
    train, validation, test = (
        of_each_class(part, count)
        for part, count in ((data.train, 40), (data.validation, 50), (data.test, 50))
    )
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def train(data, directory, name="siamese_cnn_tiny", head="distance", **options):
    arguments = {**ARGUMENTS[name], "head": head, **options.pop("arguments", {})}
    return zoo.train(name, data, arguments=arguments, directory=directory, **OPTIONS | options)


# An independent reference: embeddings from the saved model's layers, all else in NumPy.


def distances_by_hand(model, head, images):
    """The distances of all pairs of images."""
    if head in ("embedding", "proxies"):
        embeddings = keras.Model(model.input, model.get_layer("embedding").output)(images)
    else:
        embeddings = model.get_layer("trunk")(images, training=False)
    embeddings = np.float64(embeddings)
    if "unit_length" in [layer.name for layer in model.layers]:
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    left, right = np.triu_indices(len(images), k=1)
    if head == "logistic":
        kernel, bias = model.get_layer("logistic").get_weights()
        logits = np.abs(embeddings[left] - embeddings[right]) @ kernel[:, 0] + bias[0]
        return 1 / (1 + np.exp(logits))  # the probability of being different
    return np.linalg.norm(embeddings[left] - embeddings[right], axis=1)


def same_by_hand(labels):
    left, right = np.triu_indices(len(labels), k=1)
    return labels[left] == labels[right]


def auc_by_hand(same, distances):
    """Count the pairs of pairs that are in the right order, and half of those that tie."""
    others = np.sort(distances[~same])
    wrong = [np.searchsorted(others, distances[same], side=side) for side in ("left", "right")]
    return 1 - np.mean(wrong) / len(others)


def errors_by_hand(same, distances, thresholds):
    """False accepts and false rejects, as shares, at each threshold."""
    others, own = np.sort(distances[~same]), np.sort(distances[same])
    far = np.searchsorted(others, thresholds, side="right") / len(others)
    return far, 1 - np.searchsorted(own, thresholds, side="right") / len(own)


def eer_by_hand(same, distances):
    """The equal error rate, and the threshold where both rates are nearest."""
    thresholds = np.concatenate([[-np.inf], np.sort(distances)])
    far, frr = errors_by_hand(same, distances, thresholds)
    return np.interp(0, far - frr, far), thresholds[np.abs(far - frr).argmin()]


def part_by_hand(model, head, part):
    images = part.examples(np.arange(len(part)))
    return same_by_hand(part.labels), distances_by_hand(model, head, images)


def threshold_of(model):
    return zoo.sides(model).judging.threshold
