"""Metrics of verification that count as batches go by, against those on arrays."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.metrics import VerificationAUC, VerificationEER, equal_error_rate, roc_auc

KINDS = (VerificationAUC, VerificationEER)
# Few values, so that many are equal; each in the middle of one of ten bins.
PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=30).filter(
    lambda pairs: len({same for same, _ in pairs}) == 2
)


def exact(kind, same, distances):
    return (
        roc_auc(same, distances)
        if kind is VerificationAUC
        else equal_error_rate(same, distances)[0]
    )


def fed(metric, *batches, **options):
    for batch in batches:
        metric.update_state(*batch, **options)
    return float(metric.result())


def random_pairs(seed, count=3000):
    generator = np.random.default_rng(seed)
    same = generator.integers(0, 2, count)
    return same, (generator.gamma(9 - 4 * same) / 8).astype("float32")


@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_pairs_in_one_bin_are_as_if_equal(pairs):
    same, values = (np.array(column) for column in zip(*pairs, strict=True))
    distances = (values + 0.5) / 5
    for kind in KINDS:
        found = fed(kind(bins=10), (same[:, None], distances[:, None]))
        assert found == pytest.approx(exact(kind, same, values), abs=1e-6)


@pytest.mark.parametrize("bins", [10, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_lost_but_the_width_of_a_bin(bins, seed):
    same, distances = random_pairs(seed)
    largest = float(distances.max()) * 1.0001
    counts = [np.histogram(distances[same == i], bins, (0, largest))[0] for i in (0, 1)]
    far, tar = (count / count.sum() for count in counts)
    # Each pair of pairs in a bin can be wrong by half; the crossing stays in its bin.
    bounds = {VerificationAUC: (far * tar).sum() / 2, VerificationEER: np.minimum(far, tar).max()}
    for kind, bound in bounds.items():
        assert bins == 10 or bound < 0.01
        metric = kind(bins=bins, largest=largest)
        assert abs(fed(metric, (same, distances)) - exact(kind, same, distances)) <= bound + 1e-6


def test_distances_beyond_the_largest_are_in_the_last_bin():
    same, distances = random_pairs(0)
    distances[:3] = np.inf, 1e30, -1e-7  # rounding makes cosine distances that are below 0
    assert 0.05 < (distances > 1.5).mean() < 0.5
    for kind in KINDS:
        found = fed(kind(bins=3000, largest=1.5), (same, distances))
        expected = exact(kind, same, np.clip(distances, 0, 1.4999))
        assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_add_up_exactly(kind):
    same, distances = random_pairs(3, 1000)
    metric = kind(bins=50)
    whole = fed(metric, (same[:, None], distances[:, None]))
    counts = np.asarray(metric.counts)
    assert counts.sum() == 1000
    metric.reset_state()
    assert np.isnan(metric.result())
    parts = [(same[i : i + 7], distances[i : i + 7]) for i in range(0, 1000, 7)]
    assert fed(metric, *parts) == whole
    np.testing.assert_array_equal(metric.counts, counts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_two_is_the_pair_twice(kind):
    same, distances = random_pairs(4, 200)
    weights = np.random.default_rng(0).integers(0, 3, (200, 1))
    twice = np.repeat(same, weights[:, 0]), np.repeat(distances, weights[:, 0])
    assert fed(kind(), (same, distances), sample_weight=weights) == fed(kind(), twice)


@pytest.mark.parametrize("kind", KINDS)
def test_all_pairs_of_each_batch_count_once(kind):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 8)
    batches = [
        (labels, generator.normal(size=(32, 5)).astype("float32") + labels[:, None] / 2)
        for _ in range(4)
    ]
    metric = kind("embeddings", bins=20000, largest=10.0)
    found = fed(metric, *((labels[:, None], x) for labels, x in batches))
    first, second = np.triu_indices(32, 1)
    distances = [sklearn.metrics.pairwise_distances(x)[first, second] for _, x in batches]
    same = np.tile(labels[first] == labels[second], 4)
    assert float(np.sum(metric.counts)) == 4 * 32 * 31 / 2
    assert found == pytest.approx(exact(kind, same, np.concatenate(distances)), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("of", "batch"),
    [
        ("distances", ([1, 0, 0], [0.1, np.nan, 0.5])),
        ("distances", ([1, 1, 0], [0.1, np.nan, 0.5])),
        ("distances", ([1, 2, 0], [0.1, 0.2, 0.5])),
        ("embeddings", ([1, 1, 0], [[0.0, 0.1], [0.2, 0.3], [np.nan, 0.4]])),
    ],
)
def test_nan_stays(kind, of, batch):
    good = ([1, 1, 0], [[0.1], [0.2], [0.3]])
    metric = kind(of)
    assert np.isfinite(fed(metric, good))
    assert np.isnan(fed(metric, batch, good))
    metric.reset_state()
    assert np.isfinite(fed(metric, good))


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_pairs_alone_has_no_result(kind):
    metric = kind()
    assert np.isnan(metric.result())
    assert np.isnan(fed(metric, ([1, 1], [0.1, 0.2])))
    assert fed(metric, ([0], [0.3])) == (1 if kind is VerificationAUC else 0)
    assert fed(metric, ([0], [0.0])) == pytest.approx(0.5)


def test_siamese_models_fit_and_evaluate(digits, tmp_path):
    keras.utils.set_random_seed(0)
    model = zoo.siamese(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)), normalize=True)
    metrics = [kind(bins=20000) for kind in KINDS]
    model.compile(keras.optimizers.Adam(1e-2), zoo.losses.Contrastive(), metrics=metrics)
    stopping = keras.callbacks.EarlyStopping("val_verification_eer")
    pairs, same = zoo.data.PairBatches(digits.test, 300)[0]
    history = model.fit(
        zoo.data.PairBatches(digits.train, 64),
        epochs=2,
        validation_data=(pairs, same),
        callbacks=[stopping],
        verbose=0,
    ).history
    assert history["verification_auc"][1] > history["verification_auc"][0] > 0.6
    assert stopping.monitor_op.__name__ == "less"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    distances = model.predict(pairs, verbose=0)
    for each in (model, again):
        found = each.evaluate(pairs, same, batch_size=64, verbose=0, return_dict=True)
        for kind in KINDS:
            name = kind().name
            assert found[name] == pytest.approx(exact(kind, same, distances), abs=1e-3)
        assert found["verification_eer"] == pytest.approx(history["val_verification_eer"][-1])


def test_embeddings_fit_on_batches_of_classes(digits):
    keras.utils.set_random_seed(0)
    model = zoo.embedding(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
    metrics = [kind("embeddings") for kind in KINDS]
    model.compile(keras.optimizers.Adam(1e-2), zoo.losses.Triplet(), metrics=metrics)
    batches = zoo.data.ClassBatches(digits.train, classes=8, examples=4)
    history = model.fit(batches, epochs=2, verbose=0).history
    assert history["verification_auc"][1] > history["verification_auc"][0] > 0.6
    assert history["verification_eer"][1] < history["verification_eer"][0] < 0.4
    images, labels = digits.test.examples(range(100)), digits.test.labels[:100]
    found = model.evaluate(images, labels, batch_size=100, verbose=0, return_dict=True)
    first, second = np.triu_indices(100, 1)
    distances = sklearn.metrics.pairwise_distances(model.predict(images, verbose=0))[first, second]
    for kind in KINDS:
        expected = exact(kind, labels[first] == labels[second], distances)
        assert found[kind().name] == pytest.approx(expected, abs=1e-3)


def test_fit_goes_on_without_a_result():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="relu")])
    model.compile("sgd", "mse", metrics=[kind() for kind in KINDS])
    x = np.random.default_rng(0).random((8, 3))
    stopping = [keras.callbacks.TerminateOnNaN(), keras.callbacks.EarlyStopping("verification_auc")]
    history = model.fit(x, np.ones(8), epochs=2, callbacks=stopping, verbose=0).history
    assert np.isnan(history["verification_auc"]).all()
    assert np.isfinite(history["loss"]).all()


COMPILED = """
import keras, numpy as np, zoo
from zoo.metrics import VerificationAUC, VerificationEER, equal_error_rate, roc_auc

images = np.random.default_rng(0).random((64, 6), dtype="float32")
classes = np.arange(64) % 4
images[:, 0] += classes
order = np.random.default_rng(1).permutation(64)
pairs = {"left": images, "right": images[order]}
same = (classes == classes[order])[:, None]
trunk = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="tanh")])

def check(model, loss, of, x, y, batch_size):
    metrics = [kind(of, bins=100_000, largest=5.0) for kind in (VerificationAUC, VerificationEER)]
    jit_compile = keras.backend.backend() != "torch"
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=metrics, jit_compile=jit_compile)
    history = model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0).history
    found = model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)
    outputs = model.predict(x, verbose=0)
    if of == "embeddings":
        i, j = np.triu_indices(64, 1)
        y, outputs = y[i] == y[j], np.linalg.norm(outputs[i] - outputs[j], axis=1)
    rates = {
        "verification_auc": roc_auc(y, outputs), "verification_eer": equal_error_rate(y, outputs)[0]
    }
    for name, expected in rates.items():
        assert abs(history[name][0] - expected) < 2e-3, (name, history, expected)
        assert abs(found[name] - expected) < 2e-3, (name, found, expected)
    return model

check(zoo.siamese(trunk), zoo.losses.Contrastive(), "distances", pairs, same, 24)
model = check(zoo.embedding(trunk), zoo.losses.Triplet(), "embeddings", images, classes, 64)
images[5] = np.nan
found = model.evaluate(images, classes, batch_size=16, verbose=0, return_dict=True)
assert np.isnan([found["verification_auc"], found["verification_eer"]]).all()
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_compiled_steps_on_each_backend(backend):
    pytest.importorskip(backend)
    finished = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_configurations_come_back(kind):
    metric = kind("embeddings", bins=7, largest=3.0, name="mine")
    assert metric.get_config() == {"of": "embeddings", "bins": 7, "largest": 3.0, "name": "mine"}
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is kind
    assert again.get_config() == metric.get_config()


def test_low_precision_does_not_stop_the_count():
    keras.config.set_floatx("bfloat16")
    try:
        metric = VerificationAUC()
        distances = np.float32([0.1] * 1000 + [0.5])
        fed(metric, *[(np.float32([1] * 1000 + [0]), distances)] * 2)
        assert float(np.sum(metric.counts)) == 2002
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("Did you mean 'distances'", lambda: VerificationAUC("distance")),
        ("`bins`", lambda: VerificationAUC(bins=1)),
        ("`largest`", lambda: VerificationEER(largest=0)),
        ("`y_pred` must be of shape", lambda: fed(VerificationAUC(), ([1, 0], np.eye(2)))),
        ("one-hot", lambda: fed(VerificationAUC("embeddings"), (np.eye(2), np.eye(2)))),
        (
            "must be .batch, embedding_dim",
            lambda: fed(VerificationEER("embeddings"), ([1, 0], [0.1, 0.2])),
        ),
        (
            "`weighted_metrics`",
            lambda: fed(VerificationEER("embeddings"), ([1, 0], np.eye(2)), sample_weight=[1, 1]),
        ),
        (
            "`sample_weight` must be of shape",
            lambda: fed(VerificationEER(), ([1, 0], [0.1, 0.2]), sample_weight=np.eye(2)),
        ),
    ],
)
def test_bad_input_is_told(message, call):
    with pytest.raises(ValueError, match=message):
        call()
