"""Siamese networks: shared weights, one pass, partial sharing, and what they refuse."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.losses import Contrastive

LEFT, RIGHT = np.random.default_rng(0).random((2, 6, 12, 10, 1), dtype="float32")


def trunk(**arguments):
    return zoo.cascade_cnn(
        (12, 10, 1), 0, filters=(4, 8), convs_per_block=1, dense_units=(16,), **arguments
    )


def predict(model, left=LEFT, right=RIGHT):
    return model.predict({"left": left, "right": right}, verbose=0)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_the_distance_is_that_of_the_trunks_embeddings(metric, normalize):
    below = trunk()
    a, b = (below.predict(images, verbose=0) for images in (LEFT, RIGHT))
    if normalize or metric == "cosine":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    expected = {
        "euclidean": np.linalg.norm(a - b, axis=1),
        "manhattan": np.abs(a - b).sum(axis=1),
        "cosine": 1 - (a * b).sum(axis=1),
    }[metric]
    model = zoo.siamese(below, metric=metric, normalize=normalize)
    np.testing.assert_allclose(predict(model)[:, 0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(predict(model, LEFT, LEFT), 0, atol=1e-6)
    np.testing.assert_allclose(predict(model, RIGHT, LEFT), predict(model), rtol=1e-4)


def test_weights_are_the_trunks_own_and_counted_once():
    below = trunk()
    model = zoo.siamese(below, head="logistic")
    assert model.count_params() == below.count_params() + 17
    shared = model.get_layer("trunk")
    assert shared.get_layer("block1_conv1") is below.get_layer("block1_conv1")
    model.compile("adam", "binary_crossentropy")
    before = below.predict(LEFT, verbose=0)
    model.fit({"left": LEFT, "right": RIGHT}, np.arange(6) % 2, verbose=0)
    after = below.predict(LEFT, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(shared.predict(LEFT, verbose=0), after)


def test_normalization_sees_both_images():
    model = zoo.siamese(trunk(batch_norm=True))
    batch_norm = model.get_layer("trunk").get_layer("block1_conv1_bn")
    conv = model.get_layer("trunk").get_layer("block1_conv1")
    model({"left": LEFT, "right": RIGHT}, training=True)
    mean = np.asarray(conv(np.concatenate([LEFT, RIGHT]))).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(batch_norm.moving_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_upper_layers_can_be_each_sides_own(count, tmp_path):
    below = trunk(batch_norm=False)
    model = zoo.siamese(below, shared_layers=count)
    whole = zoo.siamese(below)
    np.testing.assert_allclose(predict(model), predict(whole), rtol=1e-5, atol=1e-6)
    left, right = model.get_layer("left_branch"), model.get_layer("right_branch")
    assert len(model.get_layer("trunk").layers) == count + 1
    shared = model.get_layer("trunk").count_params()
    assert model.count_params() == shared + left.count_params() + right.count_params()
    assert shared + left.count_params() == below.count_params()
    model.compile(keras.optimizers.Adam(0.01), Contrastive())
    model.fit({"left": LEFT, "right": RIGHT}, np.arange(6) % 2, epochs=2, verbose=0)
    assert any(
        np.abs(a - b).max() > 1e-4
        for a, b in zip(left.get_weights(), right.get_weights(), strict=True)
    )
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predict(again), predict(model))
    assert again.count_params() == model.count_params()


def test_sharing_all_layers_by_number_is_sharing_all():
    below = trunk()
    count = len(below.layers) - 1
    assert "left_branch" not in [layer.name for layer in zoo.siamese(below).layers]
    names = [layer.name for layer in zoo.siamese(below, shared_layers=count).layers]
    assert names == [layer.name for layer in zoo.siamese(below).layers]


def test_any_keras_model_will_do():
    sequential = keras.Sequential([keras.Input((7,)), keras.layers.Dense(3, activation="tanh")])
    model = zoo.siamese(sequential)
    assert model.get_layer("distance").largest == pytest.approx(2 * np.sqrt(3))
    assert [tensor.shape for tensor in model.inputs] == [(None, 7), (None, 7)]
    with pytest.raises(ValueError, match="can never be reached"):
        Contrastive(4.0, head=model.get_layer("distance"))


def test_siamese_models_are_built_alike_and_come_back(tmp_path):
    for arguments in ({}, {"head": "logistic"}, {"shared_layers": 2}):
        models = [zoo.siamese(trunk(), **arguments) for _ in range(2)]
        assert models[0].get_config() == models[1].get_config()
        models[0].save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(predict(again), predict(models[0]))
        clone = keras.models.clone_model(models[0])
        clone.set_weights(models[0].get_weights())
        np.testing.assert_array_equal(predict(clone), predict(models[0]))


def test_exports_serve_pairs_of_any_number(tmp_path):
    model = zoo.siamese(trunk(), normalize=True)
    zoo.export_saved_model(model, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    found = served(left=tf.constant(LEFT[:5]), right=tf.constant(RIGHT[:5]))["distance"]
    np.testing.assert_allclose(found, predict(model)[:5], atol=1e-5)


def test_embeddings_are_of_length_one():
    model = zoo.embedding(trunk())
    lengths = np.linalg.norm(model.predict(LEFT, verbose=0), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    assert model.output_names == ["embedding"]
    assert [layer.name for layer in model.layers] == ["image", "trunk", "embedding"]


BACKEND = """
import sys, keras, numpy as np, zoo
left, right = np.random.default_rng(0).random((2, 8, 12, 10, 1), dtype="float32")
trunk = zoo.cascade_cnn((12, 10, 1), 0, filters=(4,), convs_per_block=1)
for arguments in ({}, {"head": "logistic"}, {"shared_layers": 3, "metric": "cosine"}):
    model = zoo.siamese(trunk, **arguments)
    loss = "binary_crossentropy" if "head" in arguments else zoo.losses.Contrastive(0.9)
    model.compile("adam", loss)
    pairs = {"left": left, "right": right}
    history = model.fit(pairs, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
for mining in zoo.losses.MININGS:
    model = zoo.embedding(trunk)
    model.compile("adam", zoo.losses.Triplet(mining=mining))
    assert np.isfinite(model.fit(left, np.arange(8) % 2, verbose=0).history["loss"]).all()
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train(backend):
    pytest.importorskip(backend)
    finished = subprocess.run(
        [sys.executable, "-c", BACKEND],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("Functional or built", lambda: zoo.siamese("vgg16")),
        ("Functional or built", lambda: zoo.siamese(keras.Sequential([keras.layers.Dense(3)]))),
        ("num_classes=0", lambda: zoo.siamese(zoo.mlp((8, 8, 1), 10))),
        ("must give embeddings", lambda: zoo.siamese(zoo.features(trunk(), "block1_pool"))),
        ("one input and one output", lambda: zoo.siamese(zoo.siamese(trunk()))),
        ("`shared_layers` must be at most", lambda: zoo.siamese(trunk(), shared_layers=99)),
        ("`shared_layers`", lambda: zoo.siamese(trunk(), shared_layers=0)),
        ("`head`", lambda: zoo.siamese(trunk(), head="l2")),
        ("`metric`", lambda: zoo.siamese(trunk(), metric="l2")),
        ("`normalize`", lambda: zoo.siamese(trunk(), normalize=1)),
        (
            "another path leads around",
            lambda: zoo.siamese(
                zoo.mlp((8, 8, 1), 0, hidden_units=(8, 8), skip_connections=True), shared_layers=2
            ),
        ),
        ("must have the same size", lambda: zoo.siamese(trunk())([LEFT[:5], RIGHT])),
    ],
)
def test_bad_input_is_told(message, make):
    with pytest.raises(ValueError, match=message):
        make()
