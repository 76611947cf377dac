"""Losses of pairs and embeddings, against slow loops that follow their papers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers import CosineProxies, Distance
from zoo.losses import MININGS, Contrastive, NormalizedSoftmax, Triplet, pairwise_distances

EMBEDDINGS = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4])  # the last one is alone


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slow_triplet(x, labels, margin, mining, squared):
    distances = np.sqrt(np.square(x[:, None] - x[None]).sum(axis=2))
    distances = distances**2 if squared else distances
    costs = []
    for a in range(len(x)):
        positives = [p for p in range(len(x)) if labels[p] == labels[a] and p != a]
        negatives = [n for n in range(len(x)) if labels[n] != labels[a]]
        if mining == "batch_all":
            both = [distances[a, p] - distances[a, n] for p in positives for n in negatives]
            costs += [gap + margin for gap in both if gap + margin > 0]
        elif mining == "batch_hard" and positives:
            gap = max(distances[a, positives]) - min(distances[a, negatives])
            costs.append(max(gap + margin, 0))
        elif mining == "semi_hard":
            for p in positives:
                farther = [n for n in negatives if distances[a, n] > distances[a, p]]
                choice = min(distances[a, farther]) if farther else max(distances[a, negatives])
                costs.append(max(distances[a, p] - choice + margin, 0))
    return np.mean(costs)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("mining", MININGS)
def test_triplets_cost_what_the_papers_say(mining, normalize, squared):
    loss = Triplet(0.4, mining=mining, normalize=normalize, squared=squared)
    x = unit(EMBEDDINGS) if normalize else EMBEDDINGS
    expected = slow_triplet(x.astype("float64"), LABELS, 0.4, mining, squared)
    assert float(loss(LABELS, EMBEDDINGS)) == pytest.approx(expected, rel=1e-4)
    assert float(loss(LABELS[:, None], EMBEDDINGS)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mining", MININGS)
def test_gradients_are_finite_also_where_embeddings_are_equal(mining):
    for x in (EMBEDDINGS, np.ones_like(EMBEDDINGS), np.zeros_like(EMBEDDINGS)):
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            loss = Triplet(mining=mining)(LABELS, variable)
        gradient = tape.gradient(loss, variable)
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
    assert float(Triplet(mining=mining)(np.zeros(12), EMBEDDINGS)) == 0


def test_contrastive_pulls_the_same_and_pushes_others_to_the_margin():
    distances = np.array([[0.0], [0.5], [0.5], [2.0]], "float32")
    same = np.array([[1], [1], [0], [0]])
    values = Contrastive(1.5, reduction=None)(same, distances)
    np.testing.assert_allclose(values, [0, 0.125, 0.5, 0])
    assert float(Contrastive(1.5)(same, distances)) == pytest.approx(0.15625)


def test_a_margin_of_zero_is_the_softmax_and_larger_ones_cost_more():
    cosines = np.random.default_rng(1).uniform(-1, 1, (20, 6)).astype("float32")
    labels = np.arange(20) % 6
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, 10 * cosines)
    for kind in ("cosine", "angular"):
        found = [
            float(NormalizedSoftmax(10, margin, kind=kind)(labels, cosines))
            for margin in (0.0, 0.2, 0.5)
        ]
        assert found[0] == pytest.approx(float(plain), rel=1e-5)
        assert found == sorted(found)


def test_margins_are_of_the_cosine_or_of_the_angle():
    angle = 1.0
    cosines, right = np.array([[math.cos(angle), 0.2]], "float32"), np.array([0])
    for kind, wanted in (("cosine", math.cos(angle) - 0.3), ("angular", math.cos(angle + 0.3))):
        expected = math.log1p(math.exp(8 * 0.2 - 8 * wanted))
        loss = float(NormalizedSoftmax(8, 0.3, kind=kind)(right, cosines))
        assert loss == pytest.approx(expected, rel=1e-5)


def test_the_angular_margin_falls_on_beyond_a_half_turn():
    cosines = np.stack([np.linspace(-1, 1, 201), np.zeros(201)], axis=1).astype("float32")
    variable = tf.Variable(cosines)
    with tf.GradientTape() as tape:
        loss = NormalizedSoftmax(4, 0.5, kind="angular", reduction=None)(np.zeros(201), variable)
    assert (np.diff(loss) < 0).all()
    assert np.isfinite(tape.gradient(loss, variable)).all()


def test_pairwise_distances_are_symmetric_and_zero_at_home():
    found = np.asarray(pairwise_distances(EMBEDDINGS))
    expected = np.linalg.norm(EMBEDDINGS[:, None] - EMBEDDINGS[None], axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(np.diag(found), 0)


@pytest.mark.parametrize(
    "loss",
    [
        Contrastive(0.7),
        Triplet(0.3, mining="batch_all", squared=True),
        NormalizedSoftmax(20, 0.1, kind="angular"),
    ],
    ids=lambda loss: loss.name,
)
def test_losses_are_saved_with_a_model(loss, tmp_path):
    outputs = {"contrastive": (1,), "triplet": (4,), "normalized_softmax": (4,)}[loss.name]
    image = keras.Input((5,))
    model = keras.Model(image, keras.layers.Dense(outputs[0], activation="sigmoid")(image))
    model.compile("adam", loss)
    labels = LABELS % 2
    model.fit(EMBEDDINGS, labels, batch_size=12, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == loss.get_config()
    found = [m.evaluate(EMBEDDINGS, labels, batch_size=12, verbose=0) for m in (model, again)]
    assert found[0] == pytest.approx(found[1])


def test_each_loss_learns_digits(digits):
    images, labels = digits.train.examples(np.arange(512)), digits.train.labels[:512]
    for loss in (Triplet(mining="batch_hard"), NormalizedSoftmax(10, 0.1)):
        keras.utils.set_random_seed(0)
        model = zoo.embedding(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
        if isinstance(loss, NormalizedSoftmax):
            model = keras.Model(model.input, CosineProxies(10)(model.output))
        model.compile(keras.optimizers.Adam(1e-2), loss)
        history = model.fit(images, labels, batch_size=64, epochs=4, verbose=0).history["loss"]
        assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("`margin`", lambda: Contrastive(0)),
        ("at most 2", lambda: Contrastive(2.0, head=Distance("cosine"))),
        ("at most 1.5", lambda: Contrastive(1.6, head=Distance(largest=1.5))),
        ("`mining`", lambda: Triplet(mining="hard")),
        ("at most 2. Choose", lambda: Triplet(2.0)),
        ("at most 4. Choose", lambda: Triplet(4.0, squared=True)),
        ("`scale`", lambda: NormalizedSoftmax(0)),
        ("`margin`", lambda: NormalizedSoftmax(margin=1.0)),
        ("Did you mean 'angular'", lambda: NormalizedSoftmax(kind="angle")),
        ("`num_classes`", lambda: CosineProxies(1)),
        ("`metric`", lambda: Distance("hamming")),
    ],
)
def test_bad_arguments_are_told(message, make):
    with pytest.raises(ValueError, match=message):
        make()
    Contrastive(5.0, head=Distance("euclidean"))  # without a bound, any margin will do
    Triplet(4.0, normalize=False)
