"""Autoencoders as scikit-learn estimators: contract, numbers, files, and what they are for."""

import os
import pickle
import random
import subprocess
import sys

import joblib
import keras
import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import zoo
from zoo.estimators import AutoencoderDetector, AutoencoderTransformer
from zoo.estimators.detector import conformal_rank

SMALL = dict(hidden_units=(16,), epochs=2, random_state=0)
TINY = dict(latent_dim=1, hidden_units=(), epochs=1)  # scikit-learn's checks fit a hundred times

HELD_OUT = (
    "wants a share of exactly `contamination` of the very rows that were fitted, and the threshold "
    "is calibrated on rows that were held out"
)
NOT_MET = {"check_outliers_train": HELD_OUT, "check_outliers_fit_predict": HELD_OUT}


@parametrize_with_checks(
    [
        AutoencoderTransformer(**TINY),
        AutoencoderDetector(**TINY, contamination=0.4, calibration_fraction=0.5),
    ],
    expected_failed_checks=lambda estimator: (
        NOT_MET if isinstance(estimator, AutoencoderDetector) else {}
    ),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    """Digits as rows of 64 values from 0 to 16, (training, test)."""
    x, y = load_digits(return_X_y=True)
    return train_test_split(x, test_size=0.2, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def transformer(rows):
    return AutoencoderTransformer(4, **SMALL).fit(rows[0])


@pytest.fixture(scope="module")
def detector(rows):
    return AutoencoderDetector(4, **SMALL).fit(rows[0])


def gaussians(seed=0):
    """2000 x 32: four strong directions in weak noise, around a distant point."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(32, 32)))
    return rng.normal(size=(2000, 32)) * [4, 3.5, 3, 2.5, *[0.5] * 28] @ axes.T + 10


def run_python(program, *arguments, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_a_linear_autoencoder_is_pca():
    x = gaussians()
    pca = PCA(4).fit(x)
    best = np.square(pca.inverse_transform(pca.transform(x)) - x).mean()
    transformer = AutoencoderTransformer(
        4, linear=True, hidden_units=(), epochs=30, learning_rate=5e-3, random_state=0
    ).fit(x)
    assert best <= -transformer.score(x) <= 1.005 * best
    corners = transformer.inverse_transform(np.vstack([np.zeros(4), np.eye(4)]))
    spanned = (corners[1:] - corners[0]).T.astype("float64")
    assert np.degrees(subspace_angles(spanned, pca.components_.T).max()) <= 1


def test_curves_beat_planes_on_unseen_digits(rows):
    train, test = rows
    pca = PCA(2).fit(train)
    flat = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
    transformer = AutoencoderTransformer(2, epochs=25, random_state=0).fit(train)
    assert -transformer.score(test) <= 0.7 * flat


def test_scores_and_errors_are_squared_differences(transformer, rows):
    test = rows[1]
    difference = test - transformer.inverse_transform(transformer.transform(test))
    errors = transformer.reconstruction_error(test, per_feature=True)
    np.testing.assert_allclose(errors, difference**2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(transformer.reconstruction_error(test), errors.mean(axis=1))
    assert transformer.score(test) == pytest.approx(-(difference**2).mean(), rel=1e-5)


def test_fitted_models_take_and_give_the_datas_units(transformer, rows):
    test = rows[1].astype("float32")
    codes = transformer.encoder_.predict(test, verbose=0)
    np.testing.assert_allclose(codes, transformer.transform(test), rtol=1e-4, atol=1e-5)
    rebuilt = transformer.decoder_.predict(codes, verbose=0)
    np.testing.assert_allclose(rebuilt, transformer.model_.predict(test, verbose=0), atol=1e-4)
    assert np.square(rebuilt - test).mean() < np.square(test - rows[0].mean(axis=0)).mean()


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_the_data_does_not_matter(transformer, rows, unit):
    train, test = rows
    other = AutoencoderTransformer(4, **SMALL).fit(train * unit)
    np.testing.assert_allclose(other.transform(test * unit), transformer.transform(test), atol=1e-3)
    assert other.score(test * unit) == pytest.approx(transformer.score(test) * unit**2, rel=1e-3)


def test_errors_weigh_features_as_they_come():
    """A feature of a hundredfold spread takes the one value of the code, as with PCA."""
    x = np.random.default_rng(0).normal(size=(300, 4)) * [1, 1, 100, 1]
    settings = dict(linear=True, hidden_units=(), epochs=60, random_state=0, learning_rate=1e-2)
    plain = AutoencoderTransformer(1, **settings).fit(x).reconstruction_error(x, per_feature=True)
    assert plain.mean(axis=0)[2] < 1
    np.testing.assert_allclose(plain.mean(axis=0)[[0, 1, 3]], x.var(axis=0)[[0, 1, 3]], rtol=0.1)


def test_no_row_depends_on_the_rows_beside_it(detector, rows):
    test = rows[1]
    one_by_one = np.concatenate([detector.score_samples(row[None]) for row in test[:20]])
    np.testing.assert_array_equal(detector.score_samples(test)[:20], one_by_one)


def draws():
    return random.random(), np.random.rand(), keras.ops.convert_to_numpy(keras.random.normal((2,)))


@pytest.mark.parametrize("random_state", [0, None])
def test_fitting_leaves_global_random_states_alone(rows, random_state):
    settings = {**SMALL, "random_state": random_state, "arguments": {"dropout": 0.1}}
    keras.utils.set_random_seed(5)
    expected = draws()
    keras.utils.set_random_seed(5)
    AutoencoderDetector(2, **settings).fit(rows[0]).predict(rows[1])
    np.testing.assert_equal(draws(), expected)


def test_random_state_decides_everything(rows):
    # Noise and dropout also draw while training.
    settings = {**SMALL, "kind": "denoising", "arguments": {"dropout": 0.1}}
    first = AutoencoderDetector(2, **settings).fit(rows[0])
    keras.random.normal((3,)), random.random(), np.random.rand()
    again = clone(first).fit(rows[0])
    np.testing.assert_array_equal(first.score_samples(rows[1]), again.score_samples(rows[1]))
    assert first.offset_ == again.offset_
    other = clone(first).set_params(random_state=1).fit(rows[0])
    assert other.offset_ != first.offset_
    unseeded = [clone(first).set_params(random_state=None).fit(rows[0]).offset_ for _ in range(2)]
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize(
    "settings",
    [
        dict(kind="variational", arguments={"beta": 0.01}),
        dict(kind="contractive"),
        dict(arguments={"tied": True, "batch_norm": True}),
    ],
    ids=str,
)
def test_every_kind_fits_and_pickles(rows, settings):
    fitted = AutoencoderTransformer(3, **SMALL, **settings).fit(rows[0])
    loaded = pickle.loads(pickle.dumps(fitted))
    codes = fitted.transform(rows[1])
    np.testing.assert_array_equal(loaded.transform(rows[1]), codes)
    np.testing.assert_array_equal(loaded.inverse_transform(codes), fitted.inverse_transform(codes))
    assert len(loaded.model_.weights) == len(fitted.model_.weights)
    halves = {
        id(weight) for half in ("encoder_", "decoder_") for weight in getattr(loaded, half).weights
    }
    assert halves <= {id(weight) for weight in loaded.model_.weights}


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_loads_what_joblib_wrote(transformer, detector, rows, backend, tmp_path):
    joblib.dump((transformer, detector, rows[1]), tmp_path / "fitted.joblib")
    program = """
import sys, joblib, numpy as np
transformer, detector, x = joblib.load(sys.argv[1])
np.savez(sys.argv[2], codes=transformer.transform(x), score=detector.score_samples(x))
"""
    run_python(program, tmp_path / "fitted.joblib", tmp_path / "out.npz", KERAS_BACKEND=backend)
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(found["codes"], transformer.transform(rows[1]), atol=1e-4)
    np.testing.assert_allclose(found["score"], detector.score_samples(rows[1]), rtol=1e-4)


def test_grid_search_through_a_pipeline(rows):
    pipeline = make_pipeline(StandardScaler(), AutoencoderTransformer(**SMALL))
    pipeline.set_params(autoencodertransformer__epochs=10)
    grid = {"autoencodertransformer__latent_dim": [1, 8]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(rows[0])
    assert search.best_params_ == {"autoencodertransformer__latent_dim": 8}
    assert search.score(rows[1]) > search.cv_results_["mean_test_score"][0]
    names = [f"autoencodertransformer{index}" for index in range(8)]
    assert search.best_estimator_.get_feature_names_out().tolist() == names


# The detector


def test_false_positives_on_unseen_digits(rows):
    """Fitted until it knows its own rows far better than others, which the threshold ignores."""
    x = np.vstack(rows)
    rates, naive = [], []
    for seed in range(3):
        train, test = train_test_split(x, test_size=0.3, random_state=seed)
        detector = AutoencoderDetector(
            8, contamination=0.1, calibration_fraction=0.3, epochs=20, random_state=seed
        ).fit(train)
        scores = detector.score_samples(test)
        assert (detector.predict(test) == -1).mean() == (scores < detector.offset_).mean()
        rates.append((scores < detector.offset_).mean())
        naive.append((scores < np.quantile(detector.score_samples(train), 0.1)).mean())
    assert abs(np.mean(rates) - 0.1) <= 0.03
    assert np.mean(naive) > 0.13  # so a threshold by all the rows would fail here


def test_false_positives_of_one_calibration_on_mnist(data_directory):
    with np.load(data_directory / "mnist.npz") as arrays:
        x = arrays["x_train"].reshape(-1, 784)
    x = x[np.random.default_rng(0).permutation(len(x))]  # the file's own order is no random one
    for contamination in (0.02, 0.25):
        detector = AutoencoderDetector(
            8,
            contamination=contamination,
            calibration_fraction=0.8,
            hidden_units=(32,),
            epochs=2,
            random_state=0,
        ).fit(x[:5000])
        rate = (detector.predict(x[5000:15000]) == -1).mean()
        assert abs(rate - contamination) <= min(0.03, contamination / 2)


@pytest.mark.parametrize(("contamination", "held_out"), [(0.1, 9), (0.1, 12), (0.29, 99), (0.5, 1)])
def test_the_rank_is_the_largest_that_keeps_the_share(contamination, held_out):
    rank = conformal_rank(contamination, held_out)
    scores = np.random.default_rng(0).random((200_000, held_out + 1))
    share = (scores[:, 0] < np.sort(scores[:, 1:], axis=1)[:, rank - 1]).mean()
    assert contamination - 1 / (held_out + 1) < share + 0.003
    assert share <= contamination + 0.003


def test_the_threshold_is_a_held_out_score_of_the_right_rank(rows):
    """With one seed, rows are held out alike, so the contamination alone moves the threshold."""
    x, few = rows[0][:36], {**SMALL, "epochs": 1}
    offsets = []
    for contamination in (0.1, 0.199, 0.2, 0.3):
        detector = AutoencoderDetector(2, contamination=contamination, **few).fit(x)  # 9 held out
        offsets.append(detector.offset_)
    assert offsets[0] == offsets[1]
    assert (np.diff(offsets[1:]) > 0).all()
    scores = detector.score_samples(x).tolist()
    ranks = [sorted(scores).index(offset) for offset in offsets[1:]]
    assert ranks == sorted(ranks)


def test_one_digit_against_the_others():
    x, y = load_digits(return_X_y=True)
    x, test, y, test_y = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    detector = AutoencoderDetector(16, random_state=0).fit(x[y == 3])
    assert roc_auc_score(test_y == 3, detector.decision_function(test)) >= 0.98
    assert set(detector.predict(test)) == {1, -1}


def test_an_export_detects_by_itself(detector, rows, tmp_path):
    """In a process that can import neither Keras nor this package."""
    result = zoo.export_saved_model(
        detector.model_,
        tmp_path / "served",
        signatures={"encode": detector.encoder_, "decode": detector.decoder_},
    )
    assert result.signatures["serving_default"]["outputs"] == {"outlier": (None,), "score": (None,)}
    x = rows[1].astype("float32")
    x[0, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    program = """
import sys
for name in ("keras", "zoo", "sklearn"):
    sys.modules[name] = None
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1] + "/served")
outputs = loaded.signatures["serving_default"](features=np.load(sys.argv[1] + "/x.npy"))
np.savez(sys.argv[1] + "/out.npz", **{name: value.numpy() for name, value in outputs.items()})
"""
    run_python(program, tmp_path)
    found = np.load(tmp_path / "out.npz")
    assert found["outlier"][0]  # nobody knows what a row with NaN is
    np.testing.assert_allclose(found["score"][1:], detector.score_samples(rows[1])[1:], rtol=1e-5)
    np.testing.assert_array_equal(found["outlier"][1:], detector.predict(rows[1])[1:] == -1)
    assert 0 < found["outlier"].mean() < 0.5


def test_a_keras_file_holds_the_threshold(detector, rows, tmp_path):
    detector.model_.save(tmp_path / "detector.keras")
    loaded = keras.saving.load_model(tmp_path / "detector.keras")
    assert loaded.get_layer("threshold").threshold.numpy() == detector.offset_ < 0
    outlier = loaded.predict(rows[1].astype("float32"), verbose=0)["outlier"]
    np.testing.assert_array_equal(outlier, detector.predict(rows[1]) == -1)


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(latent_dim=0), "`latent_dim` must be an integer of at least 1"),
        (dict(kind="denoise"), "Did you mean 'denoising'"),
        (dict(epochs=0), "`epochs`"),
        (dict(batch_size=0), "`batch_size`"),
        (dict(learning_rate=0), "`learning_rate` must be a number above 0"),
        (dict(arguments={"latent_dim": 3}), "'latent_dim', which is a parameter"),
        (dict(arguments={"data_range": "unit"}), "'data_range', which"),
        (dict(arguments=[1]), "must be a dictionary"),
        (dict(arguments={"dropuot": 0.1}), "Did you mean 'dropout'"),
        (dict(contamination=0.6), "`contamination` must be at most 0.5"),
        (dict(contamination=0), "`contamination` must be a number above 0"),
        (dict(contamination=0.01), "needs at least 99 rows to be held out, and 25 are"),
        (dict(calibration_fraction=1), "`calibration_fraction`"),
    ],
)
def test_illegal_parameters_are_refused(rows, settings, message):
    with pytest.raises(ValueError, match=message):
        AutoencoderDetector(**{**SMALL, **settings}).fit(rows[0][:100])


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "reconstruction_error"])
def test_the_unfitted_say_so(rows, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(AutoencoderTransformer(), method)(rows[1])


def test_illegal_rows_are_refused(transformer, rows):
    with pytest.raises(ValueError, match="in another unit"):
        AutoencoderTransformer(**SMALL).fit(rows[0] * 1e300)
    with pytest.raises(ValueError, match="which 32 bits cannot tell apart"):
        AutoencoderDetector(**SMALL).fit(1.7e9 + np.random.default_rng(0).normal(size=(90, 3)))
    with pytest.raises(ValueError, match="in another unit"):
        AutoencoderTransformer(**SMALL).fit(rows[0] * 1e25)
    with pytest.raises(ValueError, match="codes of 4 values"):
        transformer.inverse_transform(rows[1])
    with pytest.raises(FloatingPointError, match="Lower `learning_rate`"):
        AutoencoderTransformer(**{**SMALL, "learning_rate": 1e30}).fit(rows[0])


def test_a_hopeless_fitting_warns_and_its_health_stays_with_the_estimator(tmp_path):
    x = load_digits().data
    options = dict(hidden_units=(16,) * 16, activation="sigmoid", epochs=4, random_state=0)
    with pytest.warns(ConvergenceWarning, match="vanishing_gradients in 'dense1'"):
        sick = AutoencoderTransformer(2, **options).fit(x)
    assert sick.health_.findings[0].name == "vanishing_gradients"
    joblib.dump(sick, tmp_path / "sick.joblib")
    again = joblib.load(tmp_path / "sick.joblib")
    assert again.health_.findings == sick.health_.findings
    well = AutoencoderTransformer(2, hidden_units=(16,), epochs=4, random_state=0).fit(x)
    assert well.health_.findings == ()
