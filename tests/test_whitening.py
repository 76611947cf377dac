"""Whitening: against NumPy, in a model that is saved, and what it is worth on faces."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo.data import Augment
from zoo.metrics import roc_auc

FACES = Path(os.environ.get("ZOO_DATA_DIR", "."), "orl_faces.npz")
IMAGES = np.random.default_rng(0).random((60, 6, 5, 1), dtype="float32")
LABELS = np.arange(60) % 6


def pixels():
    image = keras.Input((6, 5, 1), name="image")
    return keras.Model(image, keras.layers.Identity()(image))


def within(points, labels):
    means = np.stack([points[labels == label].mean(axis=0) for label in labels])
    return np.cov(points - means, rowvar=False)


def test_images_of_a_class_vary_alike_in_all_directions():
    trunk = zoo.whiten(pixels(), IMAGES, LABELS, embedding_dim=8, shrinkage=1e-6)
    points = trunk.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(within(points, LABELS), np.eye(8), atol=1e-3)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-4)


def test_it_keeps_the_main_components_and_shrinks_as_numpy_does():
    trunk = zoo.whiten(pixels(), IMAGES, LABELS, embedding_dim=5, shrinkage=0.3)
    flat = IMAGES.reshape(60, -1).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:5]
    covariance = within(centred @ components.T, LABELS)
    covariance = 0.7 * covariance + 0.3 * np.trace(covariance) / 5 * np.eye(5)
    points = centred @ components.T
    expected = np.sqrt(np.einsum("ni,ij,nj->n", points, np.linalg.inv(covariance), points))
    found = np.linalg.norm(trunk.predict(IMAGES, verbose=0), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_names_of_classes_copies_and_seed_decide(tmp_path):
    options = dict(embedding_dim=6, augment=Augment(flip=True), copies=2)
    names = np.array(list("abcdef"))[LABELS]
    first, second, other = (
        zoo.whiten(pixels(), IMAGES, labels, **options, seed=seed).predict(IMAGES, verbose=0)
        for labels, seed in ((LABELS, 1), (names, 1), (LABELS, 2))
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_a_verifier_of_it_is_saved_and_loaded(tmp_path):
    images = (IMAGES[:30] * 255).astype(np.uint8)
    verifier = zoo.Verifier(zoo.whiten(pixels(), images, LABELS[:30], embedding_dim=6))
    verifier.calibrate(images, LABELS[:30])
    verifier.save(tmp_path / "verifier")
    again = zoo.Verifier.load(tmp_path / "verifier")
    np.testing.assert_allclose(again.embed(images), verifier.embed(images), atol=1e-6)
    assert again.threshold == verifier.threshold


@pytest.mark.skipif(not FACES.exists(), reason="needs orl_faces.npz in ZOO_DATA_DIR")
def test_pixels_of_faces_tell_strangers_apart_better():
    with np.load(FACES) as file:
        images, person = file["images"][:, ::4, ::4, None], file["subject"].astype(int)
    image = keras.Input(images.shape[1:], name="image")
    plain = keras.Model(image, keras.layers.Flatten()(image))
    known = person <= 20
    trunk = zoo.whiten(plain, images[known], person[known], embedding_dim=60)
    left, right = np.triu_indices(200, k=1)
    same = person[~known][left] == person[~known][right]
    areas = []
    for model in (plain, trunk):
        found = zoo.Verifier(model).embed(images[~known])
        areas.append(roc_auc(same, np.linalg.norm(found[left] - found[right], axis=1)))
    assert areas[1] > areas[0] + 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(embedding_dim=60), "embedding_dim"),
        (dict(embedding_dim=31), "embedding_dim"),
        (dict(shrinkage=0), "shrinkage"),
        (dict(shrinkage=1.5), "shrinkage"),
        (dict(labels=np.arange(60)), "No class has two images"),
        (dict(labels=LABELS[:59]), "60 in number"),
        (dict(images=IMAGES[:, :5]), r"\(images, 6, 5, 1\)"),
        (dict(images=np.full_like(IMAGES, np.nan)), r"in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    arguments = {"images": IMAGES, "labels": LABELS, "embedding_dim": 4, **changes}
    with pytest.raises(ValueError, match=message):
        zoo.whiten(pixels(), **arguments)
