"""Verifiers: distances, galleries and thresholds, against NumPy."""

import os

import keras
import numpy as np
import pytest
from verifier_reference import (
    DIGITS,
    GALLERY,
    IMAGES,
    LABELS,
    MODELS,
    QUERIES,
    distances_by_hand,
    embeddings_by_hand,
    plain_verifier,
    trunk,
    verifier_of,
)

import zoo
from zoo.data import Part
from zoo.layers import UnitLength
from zoo.verification import Verifier, gallery, judge

SAME = LABELS[:, None] == LABELS
PAIRS = np.triu_indices(120, k=1)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.mark.parametrize("name", MODELS)
def test_distances_are_those_of_numpy(name):
    verifier = verifier_of(name)
    expected = distances_by_hand(verifier.model, *MODELS[name][1:], IMAGES, IMAGES)
    found = verifier.distance(IMAGES[PAIRS[0]], IMAGES[PAIRS[1]])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[PAIRS], rtol=1e-4, atol=1e-6)
    near = np.abs(expected[PAIRS] - verifier.threshold) < 1e-5
    same = verifier.same(IMAGES[PAIRS[0]], IMAGES[PAIRS[1]])
    np.testing.assert_array_equal(same[~near], (expected[PAIRS] <= verifier.threshold)[~near])
    assert near.sum() < 5


@pytest.mark.parametrize("name", ["euclidean", "cosine", "logistic", "parted"])
def test_distances_are_those_that_the_model_gives(name):
    verifier = verifier_of(name)
    left, right = IMAGES[:30], IMAGES[30:60]
    outputs = verifier.model.predict({"left": left, "right": right}, verbose=0)[:, 0]
    expected = 1 - outputs if name == "logistic" else outputs
    np.testing.assert_allclose(verifier.distance(left, right), expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_embeddings_are_those_of_numpy(name):
    verifier = verifier_of(name)
    expected = embeddings_by_hand(verifier.model, IMAGES, "left")
    if MODELS[name][2] and name != "cosine":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = verifier.embed(IMAGES)
    assert (found.shape, found.dtype) == ((120, 6), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_search_finds_what_brute_force_finds(name):
    verifier = verifier_of(name)
    expected = distances_by_hand(verifier.model, *MODELS[name][1:], QUERIES, GALLERY)
    for k in (1, 7, 90):
        labels, distances = verifier.search(QUERIES, k)
        nearest = np.sort(expected, axis=1)[:, :k]
        np.testing.assert_allclose(distances, nearest, rtol=1e-4, atol=1e-6)
        by_label = np.take_along_axis(expected, labels, axis=1)
        np.testing.assert_allclose(by_label, nearest, rtol=1e-4, atol=1e-6)
        assert all(len(set(row)) == k for row in labels)


def test_a_logistic_search_in_steps_finds_the_same(monkeypatch):
    labels, distances = verifier_of("logistic").search(QUERIES, 5)
    monkeypatch.setattr(gallery, "PAIRS", 200)  # two queries at a time
    found, others = verifier_of("logistic").search(QUERIES, 5)
    np.testing.assert_allclose(others, distances, atol=1e-6)
    assert (found != labels).sum() <= 2  # swapped by rounding


# Galleries.


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_of_equally_near_ones_the_first_enrolled_comes_first(metric):
    verifier = plain_verifier(metric=metric)
    verifier.enrol(np.concatenate([IMAGES[[5, 3, 5, 5, 4]], IMAGES[[3]]]), list("abcdef"))
    labels, distances = verifier.search(IMAGES[[5]], 3)
    assert labels.tolist() == [["a", "c", "d"]]
    np.testing.assert_allclose(distances, 0, atol=1e-6)
    labels, _ = verifier.search(IMAGES[[3]], 6)
    assert labels[0, :2].tolist() == ["b", "f"]
    assert [label for label in labels[0] if label in "acd"] == ["a", "c", "d"]


def test_by_cosines_an_embedding_of_zeros_is_at_distance_1():
    verifier = plain_verifier(metric="cosine")
    sparse = np.zeros((17, 8, 8, 1), "float32")  # the last is black
    sparse[np.arange(16), 2 + np.arange(16) // 4, 2 + np.arange(16) % 4] = 1
    verifier.enrol(sparse, np.arange(17))
    query = np.zeros((1, 8, 8, 1), "float32")
    query[0, 2, 2:6, 0] = 0.1, 0.2, 0.3, 0.9
    labels, distances = verifier.search(query, 17)
    cosines = np.array([0.9, 0.3, 0.2, 0.1]) / np.sqrt(0.01 + 0.04 + 0.09 + 0.81)
    np.testing.assert_allclose(distances[0, :4], 1 - cosines, rtol=1e-5)
    np.testing.assert_allclose(distances[0, 4:], 1)
    assert labels[0].tolist() == [3, 2, 1, 0, *range(4, 17)]
    assert verifier.search(query, 4)[0].tolist() == [[3, 2, 1, 0]]


def test_faiss_finds_the_nearest_of_embeddings_that_are_far_from_0():
    faiss = pytest.importorskip("faiss")
    model = trunk(units=16, bias_initializer=keras.initializers.Constant(100.0))
    verifier = Verifier(zoo.siamese(model))
    verifier.enrol(GALLERY, np.arange(90))
    # As FAISS does with many queries, and did with twenty: it expands the square of the difference.
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 20
    try:
        _, found = verifier.search(QUERIES, 5)
    finally:
        faiss.cvar.distance_compute_blas_threshold = before
    a, b = (np.float64(verifier.embed(images)) for images in (QUERIES, GALLERY))
    expected = np.sort(np.sqrt(((a[:, None] - b) ** 2).sum(-1)), axis=1)[:, :5]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_classes_are_enrolled_and_forgotten_without_training():
    verifier = plain_verifier()
    weights = verifier.model.get_weights()
    verifier.enrol(IMAGES[:20], [f"digit {label}" for label in LABELS[:20]])
    verifier.enrol(IMAGES[20:21], np.array([["newcomer"]], dtype=object))
    labels, distances = verifier.search(IMAGES[20:21])
    assert labels.tolist() == [["newcomer"]]
    assert distances[0, 0] == 0
    assert verifier.forget("newcomer") == 1
    assert verifier.forget("newcomer") == 0
    assert verifier.search(IMAGES[20:21])[0][0, 0].startswith("digit")
    count = int((LABELS[:20] == LABELS[0]).sum())
    assert verifier.forget(f"digit {LABELS[0]}") == count
    labels, _ = verifier.search(IMAGES[:2], 20 - count)
    assert f"digit {LABELS[0]}" not in labels
    for label in set(LABELS[:20]) - {LABELS[0]}:
        verifier.forget(f"digit {label}")
    with pytest.raises(ValueError, match="gallery is empty"):
        verifier.search(IMAGES[:1])
    verifier.enrol(IMAGES[:2], [7, 8])  # of another kind, since there are none
    assert verifier.search(IMAGES[:2])[0].tolist() == [[7], [8]]
    assert all(map(np.array_equal, weights, verifier.model.get_weights()))


def test_integers_of_all_sizes_are_one_kind_of_label():
    verifier = plain_verifier()
    verifier.enrol(IMAGES[:2], np.array([1, 2], "uint8"))
    verifier.enrol(IMAGES[2:4], [-3, 2**40])
    verifier.enrol(IMAGES[4:5], np.array([5], "uint64"))
    assert verifier.search(IMAGES[:5])[0].ravel().tolist() == [1, 2, -3, 2**40, 5]
    assert verifier.forget(np.uint8(2)) == 1


# Thresholds.


def points(distances, same):
    """Threshold, false accept and true accept rate of every point of the ROC curve."""
    thresholds = [-np.inf, *np.unique(distances)]
    accepted = [distances <= threshold for threshold in thresholds]
    return [
        (threshold, kept[~same].mean(), kept[same].mean())
        for threshold, kept in zip(thresholds, accepted, strict=True)
    ]


@pytest.mark.parametrize("name", ["cosine", "logistic", "parted"])
@pytest.mark.parametrize("target", [0, 0.01, 0.3, "eer"])
def test_calibration_sets_the_threshold_by_its_definition(name, target):
    verifier = Verifier(verifier_of(name).model)
    before = verifier.threshold
    same = SAME[PAIRS]
    judged = judge(zoo.sides(verifier.model), Part(IMAGES, LABELS))
    np.testing.assert_array_equal(judged.same, same)
    found = points(np.float64(judged.distances), same)
    if target == "eer":
        expected = min(found, key=lambda point: abs(point[1] - (1 - point[2])))
    else:
        expected = max((p for p in found if p[1] <= target), key=lambda p: (p[2], -p[0]))
    point = verifier.calibrate(IMAGES, LABELS, target_far=target)
    assert tuple(point) == pytest.approx(expected, abs=1e-12)
    assert verifier.threshold == point.threshold
    rates = verifier.evaluate(IMAGES, LABELS)
    assert (rates["far"], rates["tar"]) == (point.far, point.tar)
    verifier._parts.judging.threshold = before


def test_evaluation_counts_pairs():
    verifier = verifier_of("euclidean")
    images, labels = IMAGES[:60], LABELS[:60]
    distances = distances_by_hand(verifier.model, "euclidean", False, images, images)
    left, right = np.triu_indices(60, k=1)
    same, distances = SAME[left, right], distances[left, right]
    nearer = distances[same][:, None] < distances[~same]
    rates = verifier.evaluate(images, labels)
    assert rates["auc"] == pytest.approx(nearer.mean(), abs=1e-4)
    assert rates["far"] == pytest.approx((distances[~same] <= verifier.threshold).mean(), abs=1e-3)
    assert rates["tar"] == pytest.approx((distances[same] <= verifier.threshold).mean(), abs=1e-2)
    verifier = plain_verifier()
    assert set(verifier.evaluate(images, labels)) == {"auc", "eer"}


def test_of_many_images_some_pairs_are_judged():
    pixels = zoo.load_data("digits").train
    everything = Part(pixels.examples(np.arange(1200)), pixels.labels[:1200])
    judged = judge(plain_verifier()._parts, everything)
    assert len(judged.distances) == 100_000
    assert judged.same.mean() == 0.5


def test_a_threshold_that_accepts_nothing_is_saved_and_exported(tmp_path):
    """Two classes share an image, so that no threshold keeps to a rate of 0."""
    verifier = plain_verifier()
    images, labels = IMAGES[[0, 0, 1, 2]], [0, 1, 0, 1]
    point = verifier.calibrate(images, labels, target_far=0)
    assert tuple(point) == (-np.inf, 0, 0)
    assert not verifier.same(IMAGES[:2], IMAGES[:2]).any()
    assert len(verifier.draw(IMAGES, LABELS, tmp_path / "pictures")) == 4
    verifier.save(tmp_path / "verifier")
    again = Verifier.load(tmp_path / "verifier")
    assert again.threshold == -np.inf
    outputs = again.signatures()["same"].predict([IMAGES[:2], IMAGES[:2]], verbose=0)
    assert not outputs["same"].any()


def test_a_pair_at_the_threshold_is_accepted():
    verifier = plain_verifier()
    assert tuple(verifier.calibrate(IMAGES[[0, 0, 1, 1]], [0, 0, 1, 1], target_far=0)) == (0, 0, 1)
    pair = [IMAGES[:2], IMAGES[[0, 2]]]
    assert verifier.same(*pair).tolist() == [True, False]
    outputs = verifier.signatures()["same"].predict(pair, verbose=0)
    assert outputs["same"].tolist() == [[True], [False]]


def test_the_threshold_goes_with_the_model(tmp_path):
    for name in ("euclidean", "logistic", "embedding", "proxies"):
        model = verifier_of(name).model
        model.save(tmp_path / "model.keras")
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        for other in (clone, keras.saving.load_model(tmp_path / "model.keras")):
            verifier = Verifier(other)
            assert verifier.threshold == verifier_of(name).threshold is not None
            expected = verifier_of(name).distance(QUERIES, GALLERY[:40])
            np.testing.assert_array_equal(verifier.distance(QUERIES, GALLERY[:40]), expected)


def test_a_verifier_follows_its_model_when_that_is_trained_further():
    model = zoo.siamese(trunk())
    verifier = Verifier(model)
    verifier.calibrate(IMAGES, LABELS)
    before, threshold = verifier.distance(QUERIES, GALLERY[:40]), verifier.threshold
    model.compile("adam", zoo.losses.Contrastive())
    model.fit(zoo.data.PairBatches(DIGITS, 32), verbose=0)
    after = verifier.distance(QUERIES, GALLERY[:40])
    outputs = model.predict({"left": QUERIES, "right": GALLERY[:40]}, verbose=0)[:, 0]
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, outputs, atol=1e-5)
    assert verifier.threshold == threshold  # until it is calibrated again


# Kinds of images, of numbers and of models.


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_models_of_half_precision_give_float32(policy, tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Dense(6, dtype=policy)(keras.layers.Flatten()(image))
    model = zoo.siamese(keras.Model(image, x))
    assert model.get_layer("trunk").output.dtype == policy.removeprefix("mixed_")
    verifier = Verifier(model)
    verifier.calibrate(IMAGES, LABELS)
    verifier.enrol(GALLERY, np.arange(90))
    assert verifier.embed(QUERIES).dtype == np.float32
    labels, distances = verifier.search(QUERIES, 90)
    outputs = model.predict({"left": QUERIES, "right": GALLERY[labels[:, 5]]}, verbose=0)
    np.testing.assert_allclose(distances[:, 5], outputs[:, 0], rtol=1e-2)
    verifier.draw(IMAGES, LABELS, tmp_path / "pictures")
    verifier.save(tmp_path / "verifier")
    again = Verifier.load(tmp_path / "verifier")
    np.testing.assert_array_equal(again.search(QUERIES, 90)[1], distances)


def test_images_may_be_of_other_types():
    verifier = verifier_of("cosine")
    bytes_ = np.round(IMAGES * 255).astype("uint8")
    expected = verifier.embed(bytes_ / np.float32(255))
    for images in (bytes_, bytes_ / 255.0, (bytes_ / 255.0).tolist()):
        np.testing.assert_allclose(verifier.embed(images), expected, atol=1e-5)
    half = IMAGES.astype("float16")  # sixteenths are exact
    np.testing.assert_allclose(verifier.embed(half), verifier.embed(IMAGES), atol=1e-5)


def test_labels_may_be_of_other_types():
    verifier = plain_verifier()
    expected = verifier.calibrate(IMAGES, LABELS)
    texts = [str(label) for label in LABELS]
    for labels in (LABELS.tolist(), LABELS[:, None], texts, np.array(texts, object)):
        assert verifier.calibrate(IMAGES, labels) == expected


@pytest.mark.parametrize("name", ["euclidean", "logistic", "parted"])
def test_no_images_are_no_answers(name):
    verifier = verifier_of(name)
    assert verifier.embed(IMAGES[:0]).shape == (0, 6)
    assert verifier.distance(IMAGES[:0], IMAGES[:0]).shape == (0,)
    assert verifier.same(IMAGES[:0], IMAGES[:0]).shape == (0,)
    labels, distances = verifier.search(IMAGES[:0], 3)
    assert labels.shape == distances.shape == (0, 3)
    verifier.enrol(IMAGES[:0], np.zeros(0, int))
    assert verifier.search(IMAGES[:1], 90)[0].shape == (1, 90)


def test_other_models_count_as_trunks():
    below = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
    sequential = keras.Sequential(below)
    named = keras.Sequential([*below, UnitLength(name="embedding")])
    twice = zoo.embedding(zoo.embedding(trunk()))
    for model in (sequential, named, twice):
        verifier = Verifier(model)
        np.testing.assert_allclose(np.linalg.norm(verifier.embed(IMAGES), axis=1), 1, rtol=1e-5)
        assert verifier.calibrate(IMAGES, LABELS).threshold == verifier.threshold
        assert set(verifier.signatures()) == {"embed", "similarity", "same"}


def test_all_pictures_are_drawn(tmp_path):
    names = ["distances.png", "embeddings.png", "mistakes.png", "roc_curve.png"]
    for name in ("proxies", "parted logistic, length 1"):
        texts = [f"digit {label}" for label in LABELS]
        paths = verifier_of(name).draw(IMAGES, texts, tmp_path / "new" / name)
        assert sorted(path.name for path in paths) == names
        assert sorted(os.listdir(tmp_path / "new" / name)) == names


def test_the_worst_mistakes_are_shown_first():
    judged = judge(plain_verifier()._parts, Part(IMAGES, LABELS))
    for threshold in (np.median(judged.distances), -np.inf):
        for kind in (0, 1):
            rows = judged._hardest(kind, threshold)
            wrong = judged.distances[
                (judged.same == kind) & ((judged.distances <= threshold) != kind)
            ]
            expected = np.sort(wrong)[::-1] if kind else np.sort(wrong)
            assert (judged.same[rows] == kind).all()
            np.testing.assert_array_equal(judged.distances[rows], expected[:8])


def test_people_that_were_never_trained_with_are_known_again(data_directory):
    """Faces: trained with ten people, calibrated by ten others, asked about ten more."""
    with np.load(data_directory / "orl_faces.npz") as file:
        images, people = file["images"][:, ::4, ::4, None], file["subject"]
    trained, strangers, others = (np.isin(people, range(i, i + 10)) for i in (0, 10, 20))
    keras.utils.set_random_seed(0)
    model = zoo.siamese_cnn(images.shape[1:], 10, head="proxies", filters=(16, 32))
    model.compile(keras.optimizers.Adam(0.01), zoo.losses.NormalizedSoftmax())
    model.fit(images[trained] / np.float32(255), people[trained], epochs=15, verbose=0)
    verifier = Verifier(model)
    verifier.calibrate(images[strangers], people[strangers], target_far=0.05)
    rates = verifier.evaluate(images[others], people[others])
    assert rates["auc"] > 0.85
    assert rates["far"] < 0.15
    assert rates["tar"] > 0.35
    first = np.flatnonzero(others)[::10]
    verifier.enrol(images[first], people[first])
    rest = np.setdiff1d(np.flatnonzero(others), first)
    labels, _ = verifier.search(images[rest])
    assert (labels[:, 0] == people[rest]).mean() > 0.5  # by chance 0.1
