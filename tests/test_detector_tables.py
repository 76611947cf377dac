"""The detector on tables with categories: what it learns, what it calls odd, what it refuses."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest

import zoo

CITIES = {"Rome": "warm", "Oslo": "cold", "Bonn": "mild", "Lima": "warm"}


def people(count, seed):
    """Rows whose climate follows from the city, and whose pay follows from the age."""
    random = np.random.default_rng(seed)
    city = random.choice(list(CITIES), count)
    age = random.integers(18, 80, count)
    climate = [CITIES[name] for name in city]
    pay = 1000.0 * age + random.normal(0, 500, count)
    return pd.DataFrame({"city": city, "climate": climate, "age": age, "pay": pay})


@pytest.fixture(scope="module")
def detector():
    detector = zoo.AutoencoderDetector(
        3, hidden_units=(32,), contamination=0.05, learning_rate=1e-2, epochs=60, random_state=0
    )
    return detector.fit(people(600, seed=0))


def test_normal_rows_are_normal_and_impossible_ones_are_not(detector):
    normal = people(400, seed=1)
    odd = normal.assign(climate=normal["city"].map(CITIES).map({"warm": "cold"}).fillna("warm"))
    assert (detector.predict(normal) == -1).mean() < 0.1
    assert (detector.predict(odd) == -1).mean() > 0.9
    assert (detector.predict(normal.assign(pay=normal["pay"][::-1].to_numpy())) == -1).mean() > 0.5


def test_columns_count_by_name(detector):
    rows = people(20, seed=2)
    shuffled = rows.assign(more=1)[["pay", "more", "city", "age", "climate"]]
    np.testing.assert_array_equal(detector.score_samples(shuffled), detector.score_samples(rows))
    assert detector.feature_names_in_.tolist() == list(rows.columns)
    assert detector.n_features_in_ == 4


def test_errors_are_those_of_the_scores(detector):
    rows = people(20, seed=2)
    each = detector.reconstruction_error(rows, per_feature=True)
    assert each.shape == (20, 4 + 3 + 2)  # cities, climates, numbers
    np.testing.assert_allclose(detector.score_samples(rows), -each.mean(axis=1), rtol=1e-4)


def test_the_model_takes_numbers_and_codes(detector):
    rows = people(5, seed=3)
    codes = rows.assign(
        city=pd.Categorical(rows["city"], sorted(CITIES)).codes,
        climate=pd.Categorical(rows["climate"], ["cold", "mild", "warm"]).codes,
    )
    outputs = detector.model_(codes.to_numpy("float32"))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(outputs["score"]), detector.score_samples(rows), rtol=1e-4
    )


def test_it_survives_pickling(detector):
    rows = people(20, seed=4)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score_samples(rows), detector.score_samples(rows))


def test_numbers_after_categories_are_learned_anew(detector):
    numbers = people(200, seed=5)[["age", "pay"]]
    again = pickle.loads(pickle.dumps(detector)).set_params(epochs=1, latent_dim=1).fit(numbers)
    assert again.predict(numbers.to_numpy()[:3]).shape == (3,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(city="Paris"), "categories that are not known: 'Paris'"),
        (dict(city=None), "Values are missing"),
        (dict(age=np.nan), "Values are missing"),
        (dict(age="old"), "'age' must hold numbers"),
    ],
    ids=str,
)
def test_what_it_cannot_know_is_refused(detector, change, message):
    with pytest.raises(ValueError, match=message):
        detector.predict(people(5, seed=6).assign(**change))
    with pytest.raises(ValueError, match="'pay' are missing"):
        detector.predict(people(5, seed=6).drop(columns="pay"))
    with pytest.raises(ValueError, match="Values are missing"):
        detector.fit(
            people(50, seed=6).assign(city=lambda rows: rows["city"].where(rows["age"] > 30))
        )
