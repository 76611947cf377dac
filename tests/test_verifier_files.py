"""Verifiers in files, exports and fresh processes, and what they refuse."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from verifier_reference import (
    GALLERY,
    IMAGES,
    LABELS,
    QUERIES,
    classifier,
    embeddings_by_hand,
    plain_verifier,
    trunk,
    verifier_of,
)

import zoo
from zoo.layers import Distance
from zoo.verification import Verifier

SAVED = ("euclidean", "cosine", "parted logistic, length 1", "proxies", "features")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verifiers")
    np.savez(folder / "images.npz", queries=QUERIES, gallery=GALLERY)
    for name in SAVED:
        verifier_of(name).save(folder / name)
    return folder


def fresh(program, *arguments, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]


LOADING = """
import sys
faiss, folder, *names = sys.argv[1:]
if faiss == "without":
    sys.modules["faiss"] = None
import numpy as np, zoo
with np.load(f"{folder}/images.npz") as images:
    queries, gallery = images["queries"], images["gallery"]
for name in names:
    verifier = zoo.Verifier.load(f"{folder}/{name}")
    labels, distances = verifier.search(queries, 7)
    same = verifier.same(queries, gallery[:40])
    np.savez(f"{folder}/{name}.npz", labels=labels, distances=distances, same=same,
             pairs=verifier.distance(queries, gallery[:40]), threshold=verifier.threshold)
assert ("faiss" in sys.modules and sys.modules["faiss"] is not None) == (faiss == "with")
"""


def require_equal(verifier, path):
    """Check what a fresh process found."""
    labels, distances = verifier.search(QUERIES, 7)
    with np.load(path) as found:
        assert found["threshold"] == verifier.threshold
        np.testing.assert_allclose(found["distances"], distances, atol=2e-6)
        assert (found["labels"] != labels).sum() <= 2  # swapped by rounding
        pairs = verifier.distance(QUERIES, GALLERY[:40])
        np.testing.assert_allclose(found["pairs"], pairs, atol=2e-6)
        clear = np.abs(pairs - verifier.threshold) > 1e-5
        np.testing.assert_array_equal(found["same"][clear], (pairs <= verifier.threshold)[clear])


def test_a_fresh_process_without_faiss_finds_the_same(saved):
    pytest.importorskip("faiss")
    fresh(LOADING, "without", saved, *SAVED)
    for name in SAVED:
        require_equal(verifier_of(name), saved / f"{name}.npz")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_find_the_same(saved, backend):
    pytest.importorskip(backend)
    pytest.importorskip("faiss")
    names = ["cosine", "parted logistic, length 1", "proxies"]
    fresh(LOADING, "with", saved, *names, KERAS_BACKEND=backend)
    for name in names:
        require_equal(verifier_of(name), saved / f"{name}.npz")


def test_a_saved_verifier_is_complete_or_not_there(saved, tmp_path):
    with pytest.raises(FileExistsError, match="exists already"):
        verifier_of("cosine").save(saved / "cosine")
    verifier = plain_verifier()
    verifier.save(tmp_path / "empty")
    again = Verifier.load(tmp_path / "empty")
    assert again.threshold is None
    with pytest.raises(ValueError, match="gallery is empty"):
        again.search(IMAGES[:1])
    again.enrol(IMAGES[:2], ["Ann", "Bartholomew"])
    again.save(tmp_path / "deep" / "texts")
    texts = Verifier.load(tmp_path / "deep" / "texts")
    assert texts.search(IMAGES[:2])[0].tolist() == [["Ann"], ["Bartholomew"]]
    texts.enrol(IMAGES[2:3], ["Christopher the Second"])
    assert texts.search(IMAGES[2:3])[0].tolist() == [["Christopher the Second"]]
    (tmp_path / "empty" / "gallery.npz").unlink()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="holds no verifier"):
            Verifier.load(path)


KILLED = """
import os, signal, sys, keras, zoo
class Deadly(keras.layers.Layer):
    armed = False
    def call(self, inputs):
        return inputs
    def get_config(self):
        if self.armed:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().get_config()
image = keras.Input((8, 8, 1), name="image")
model = zoo.embedding(keras.Model(image, Deadly()(keras.layers.Flatten()(image))))
verifier = zoo.Verifier(model)
Deadly.armed = True
verifier.save(sys.argv[1])
"""


def test_a_killed_save_leaves_no_target(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "verifier"], capture_output=True, text=True
    )
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".tmp-")
    verifier = plain_verifier()
    verifier.save(tmp_path / "verifier")  # the path is still free
    assert os.listdir(tmp_path) == ["verifier"]  # and the draft is gone
    assert Verifier.load(tmp_path / "verifier").threshold is None


SERVED = """
import sys
sys.modules["keras"] = None
import numpy as np, tensorflow as tf
folder = sys.argv[1]
with np.load(f"{folder}/images.npz") as images:
    left, right = (tf.constant(images[side][:40]) for side in ("queries", "gallery"))
served = tf.saved_model.load(f"{folder}/served").signatures
outputs = {key: served[key](left=left, right=right)[key] for key in ("similarity", "same")}
for side in ("embed_left", "embed_right"):
    outputs[side] = served[side](image=left)["embedding"]
np.savez(f"{folder}/served.npz", **outputs)
"""


def test_a_client_without_keras_agrees_on_real_images(saved):
    verifier = verifier_of("parted logistic, length 1")
    zoo.export_saved_model(verifier.model, saved / "served", signatures=verifier.signatures())
    fresh(SERVED, saved)
    distances = verifier.distance(QUERIES, GALLERY[:40])
    clear = np.abs(distances - verifier.threshold) > 1e-5
    assert clear.sum() >= 38
    with np.load(saved / "served.npz") as served:
        assert served["same"].dtype == bool
        assert 0 < served["same"].mean() < 1
        expected = verifier.same(QUERIES, GALLERY[:40])
        np.testing.assert_array_equal(served["same"][clear, 0], expected[clear])
        np.testing.assert_allclose(served["similarity"][:, 0], 1 - distances, atol=1e-5)
        for side in ("left", "right"):
            embeddings = embeddings_by_hand(verifier.model, QUERIES, side)
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
            np.testing.assert_allclose(served[f"embed_{side}"], embeddings, atol=1e-5)


@pytest.mark.parametrize("name", ["manhattan", "embedding", "proxies", "features"])
def test_signatures_give_what_the_verifier_does(name):
    verifier = verifier_of(name)
    served = verifier.signatures()
    assert list(served) == ["similarity", "same", "embed"]
    pairs = {"left": QUERIES, "right": GALLERY[:40]}
    similarity = served["similarity"].predict(pairs, verbose=0)["similarity"]
    distances = verifier.distance(QUERIES, GALLERY[:40])
    np.testing.assert_allclose(similarity[:, 0], 1 / (1 + distances), atol=1e-5)
    same = served["same"].predict(pairs, verbose=0)["same"]
    clear = np.abs(distances - verifier.threshold) > 1e-5
    np.testing.assert_array_equal(same[clear, 0], (distances <= verifier.threshold)[clear])
    assert 0 < same.mean() < 1
    embeddings = served["embed"].predict(QUERIES, verbose=0)["embedding"]
    np.testing.assert_allclose(embeddings, verifier.embed(QUERIES), atol=1e-6)


# What is refused.


def damaged():
    """A model whose outputs are finite all the same: ReLU makes 0 of NaN."""
    model = zoo.siamese(zoo.cascade_cnn((8, 8, 1), 0, filters=(4,)))
    weights = model.get_weights()
    weights[0][0] = np.nan
    model.set_weights(weights)
    return model


def two_outputs():
    model = trunk()
    return keras.Model(model.input, [model.output, model.get_layer("lower").output])


def compared_without_a_trunk():
    inputs = [keras.Input((8,), name=side) for side in ("left", "right")]
    return keras.Model(inputs, Distance()(*inputs))


KNOWING = plain_verifier()
KNOWING.calibrate(IMAGES, LABELS)
KNOWING.enrol(IMAGES[:5], np.arange(5))
HUGE = keras.layers.Dense(6, kernel_initializer=keras.initializers.Constant(1e38))
OVERFLOWING = Verifier(
    zoo.siamese(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), HUGE]))
)


@pytest.mark.parametrize(
    ("message", "act"),
    [
        ("Functional or built", lambda: Verifier("model.keras")),
        ("Functional or built", lambda: Verifier(KNOWING)),
        ("Functional or built", lambda: Verifier(keras.Sequential([keras.layers.Dense(3)]))),
        ("must give embeddings", lambda: Verifier(zoo.conv_autoencoder((8, 8, 1)))),
        ("class probabilities", lambda: Verifier(classifier())),
        ("one input and one output", lambda: Verifier(two_outputs())),
        ("one input and one output", lambda: Verifier(compared_without_a_trunk())),
        ("NaN or infinite values, such as block1_conv1/kernel", lambda: Verifier(damaged())),
        ("call verifier.calibrate", lambda: plain_verifier().same(IMAGES[:1], IMAGES[:1])),
        ("gallery is empty", lambda: plain_verifier().search(IMAGES[:1])),
        # images
        (r"received \(8, 8, 1\). A single image", lambda: KNOWING.embed(IMAGES[0])),
        (r"of shape \(images, 8, 8, 1\)", lambda: KNOWING.enrol(None, [1])),
        (r"in \[0, 1\]", lambda: KNOWING.embed(IMAGES * 255)),
        ("values from nan to nan", lambda: KNOWING.embed(np.full((1, 8, 8, 1), np.nan))),
        ("received int64", lambda: KNOWING.embed(np.int64(IMAGES * 16))),
        ("`right` must be of shape", lambda: KNOWING.distance(IMAGES, IMAGES[:, :7])),
        ("received 3 and 2", lambda: KNOWING.distance(IMAGES[:3], IMAGES[:2])),
        ("120 of 120 images", lambda: OVERFLOWING.embed(IMAGES)),
        ("distances are NaN or infinite", lambda: OVERFLOWING.calibrate(IMAGES, LABELS)),
        ("distances are NaN or infinite", lambda: OVERFLOWING.evaluate(IMAGES, LABELS)),
        # labels
        ("received float64", lambda: KNOWING.calibrate(IMAGES, LABELS / 2)),
        ("received bool", lambda: KNOWING.calibrate(IMAGES, LABELS > 4)),
        ("received object", lambda: KNOWING.calibrate(IMAGES[:3], ["1", 1, "2"])),
        ("received object", lambda: KNOWING.calibrate(IMAGES[:3], ["1", None, "2"])),
        (r"of shape \(119,\)", lambda: KNOWING.calibrate(IMAGES, LABELS[1:])),
        ("two classes", lambda: KNOWING.calibrate(IMAGES, np.zeros(120, int))),
        ("two classes", lambda: KNOWING.evaluate(IMAGES, np.arange(120))),
        ("two classes", lambda: KNOWING.draw(IMAGES[:0], LABELS[:0], "never made")),
        ("all integers or all strings", lambda: KNOWING.enrol(IMAGES[:1], ["Ann"])),
        ("all integers or all strings", lambda: KNOWING.forget("4")),
        ("received float64", lambda: KNOWING.forget(4.0)),
        ("1 in number", lambda: KNOWING.forget([1, 2, 3, 4, 0])),
        # numbers
        ("`target_far` must be", lambda: KNOWING.calibrate(IMAGES, LABELS, target_far=1)),
        ("must be 'eer' or", lambda: KNOWING.calibrate(IMAGES, LABELS, target_far="EER")),
        ("`k` must be at most 5", lambda: KNOWING.search(IMAGES[:1], 6)),
        ("`k` must be an integer", lambda: KNOWING.search(IMAGES[:1], 0)),
    ],
)
def test_bad_input_is_told_and_changes_nothing(message, act):
    threshold = KNOWING.threshold
    with pytest.raises(ValueError, match=message):
        act()
    assert KNOWING.threshold == threshold
    assert KNOWING.search(IMAGES[:5])[0].ravel().tolist() == [0, 1, 2, 3, 4]


def test_a_verifier_of_rows_of_numbers_draws_no_mistakes(tmp_path):
    trunk = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    pictures = zoo.Verifier(trunk).draw(rows, np.arange(20) % 4, tmp_path)
    assert sorted(path.name for path in pictures) == [
        "distances.png",
        "embeddings.png",
        "roc_curve.png",
    ]
