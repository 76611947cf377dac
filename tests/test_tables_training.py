"""Tables from a CSV file to a served model: trained, searched, loaded, exported."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tuning
import zoo

QUICK = {"epochs": 12, "batch_size": 16, "learning_rate": 0.01, "verbose": 0}


def people(count=300):
    rng = np.random.default_rng(0)
    age = rng.uniform(18, 80, count)
    city = np.array(["Bonn", "Oslo", "Rome"])[rng.integers(0, 3, count)]
    income = 1e3 * age + 3e4 * (city == "Rome")
    group = np.where(income > 7e4, "rich", "poor")
    age[:9] = np.nan
    return pd.DataFrame({"age": age, "city": city, "group": group, "income": income})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "people.csv"
    people().to_csv(path, index=False)
    people().drop(columns="group").to_csv(path.with_name("incomes.csv"), index=False)
    return path.parent


@pytest.fixture(scope="module")
def regression(files):
    data = zoo.load_data(files / "incomes.csv", target="income", missing="impute")
    run = zoo.train("mlp", data, directory=files / "regression", precision="float32", **QUICK)
    return data, run


def test_a_regression_gives_values_in_their_units(regression, files):
    data, run = regression
    assert run.task.name == "regression"
    assert run.metrics["r2"] > 0.9
    test = people().iloc[data.test.rows]
    found = zoo.load_run(run.directory).predict(test[["city", "age"]])
    expected = run.model.predict(data.test.examples(), verbose=0)[:, 0]
    np.testing.assert_allclose(found["income"], expected, rtol=1e-5)
    errors = np.abs(found["income"] - test["income"])
    np.testing.assert_allclose(errors.mean(), run.metrics["mae"], rtol=1e-3)
    one = run.predict({"age": None, "city": "Rome"})
    np.testing.assert_allclose(
        one["income"], run.predict({"age": np.nan, "city": "Rome"})["income"]
    )
    assert [path.name for path in run.task.draw(run.model, data, files)] == ["predicted_values.png"]


def test_an_export_carries_the_preparation(regression, files):
    data, run = regression
    result = zoo.export_saved_model(run.model, files / "export")
    signature = result.signatures["serving_default"]
    assert signature == {"inputs": {"features": (None, 2)}, "outputs": {"values": (None, 1)}}
    served = tf.saved_model.load(str(files / "export")).signatures["serving_default"]
    rows = data.preparation({"age": [30.0, None], "city": ["Rome", "Paris"]})
    values = served(features=tf.constant(rows))["values"].numpy()
    np.testing.assert_allclose(values, run.model.predict(rows, verbose=0), rtol=1e-5)


def test_several_targets(files):
    frame = people().drop(columns="group").dropna()
    frame["half"] = frame["income"] / 2
    data = zoo.load_data(frame, target=["income", "half"])
    run = zoo.train("mlp_tiny", data, directory=files / "two", **QUICK)
    found = run.predict(frame)
    assert list(found) == ["income", "half"]
    assert np.corrcoef(found["half"], frame["half"])[0, 1] > 0.9


def test_a_classification_gives_names(files):
    data = zoo.load_data(people().drop(columns="income").dropna(), target="group")
    run = zoo.train("mlp", data, class_weight="balanced", directory=files / "classes", **QUICK)
    assert run.task.name == "classification"
    assert run.metrics["accuracy"] > 0.85
    rows = [{"age": 79, "city": "Rome"}, {"age": 19, "city": "Bonn"}]
    assert zoo.load_run(run.directory).predict(rows)["class"].tolist() == ["rich", "poor"]
    with pytest.raises(ValueError, match="'city' has categories that are not known: 'Paris'"):
        run.predict({"age": 30, "city": "Paris"})


def test_an_autoencoder_rebuilds_rows_in_their_units(regression, files):
    data, _ = regression  # whose labels it passes over
    values = {**QUICK, "epochs": 25, "arguments": {"latent_dim": 3}}
    run = zoo.train("dense_autoencoder_tiny", data, directory=files / "code", **values)
    assert run.metrics["mse"] < 0.3
    frame = people()[9:]
    found, full = run.predict(frame)["reconstruction"], data.preparation(frame)
    assert np.abs(found[:, 0] - full[:, 0]).mean() < 8
    assert (found[:, 1] == full[:, 1]).mean() > 0.9
    codes = run.task.signatures(run.model)["encode"].predict(full, verbose=0)
    decoded = run.model.get_layer("decoder").predict(codes, verbose=0)
    np.testing.assert_allclose(decoded, run.model.predict(full, verbose=0), rtol=1e-4, atol=1e-5)
    assert [path.name for path in run.task.draw(run.model, data, files)] == ["codes.png"]


def test_a_search_of_tables(regression, files):
    data, _ = regression
    values = {"epochs": 2, "verbose": 0}
    result = tuning.search("mlp", data, max_trials=2, directory=files / "search", **values)
    assert {trial.status for trial in result.trials} == {"COMPLETED"}
    assert np.isfinite(result.best_score)


def test_precision_does_not_touch_the_preparation(files):
    frame = people().drop(columns="group").dropna()
    frame["age"] += 1e5  # in 16 bits, all the same
    data = zoo.load_data(frame, target="income")
    values = {**QUICK, "precision": "mixed_bfloat16", "directory": files / "half"}
    run = zoo.train("mlp_tiny", data, **values)
    assert run.model.get_layer("dense1").compute_dtype == "bfloat16"
    assert run.metrics["r2"] > 0.8


@pytest.mark.parametrize(("offset", "scale"), [(1e5, 1.0), (0.0, 1e25), (-3e6, 40.0)])
def test_r2_holds_where_targets_are_far_from_zero_or_huge(offset, scale, tmp_path):
    rows = np.random.default_rng(0).normal(size=(200, 2))
    y = offset + scale * rows.sum(axis=1)
    data = zoo.load_data((rows, y))
    run = zoo.train("mlp_tiny", data, directory=tmp_path, **QUICK)
    labels, found = data.test.labels.astype(float), run.predict(data.test.examples())["target"]
    errors = np.square((labels[:, 0] - found) / scale).mean()
    assert run.metrics["r2"] == pytest.approx(1 - errors / np.var(labels / scale), abs=1e-3)
    assert run.metrics["r2"] > 0.9


def net(inputs, outputs, activation=None):
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dense(outputs, activation),
        ]
    )


def test_a_compiled_model_gets_the_preparation_in_front(files):
    data = zoo.load_data(files / "people.csv", target="group", missing="impute")
    model = net(5, 2, "softmax")  # age, three cities, income
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    options = dict(task="classification", directory=files / "own", verbose=0, batch_size=16)
    run = zoo.train(model, data, epochs=20, **options)
    assert run.metrics["accuracy"] > 0.9
    again = zoo.train(
        zoo.load_run(files / "own").model, data, **{**options, "directory": files / "more"}
    )
    assert len([layer for layer in again.model.layers if layer.name == "preparation"]) == 1
    test = people().iloc[data.test.rows]
    np.testing.assert_array_equal(
        again.predict(test)["class"], zoo.load_run(files / "more").predict(test)["class"]
    )


def test_compiled_models_that_do_not_fit_a_table_are_refused(files):
    data = zoo.load_data(files / "incomes.csv", target="income", missing="impute")
    options = dict(task="regression", directory=files / "none", verbose=0)
    model = net(4, 3)
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"is compiled and gives 3 values, but .* have 1 targets"):
        zoo.train(model, data, **options)
    inputs = keras.Input((4,))
    named = keras.Model(inputs, keras.layers.Dense(1, name="values")(inputs))
    with pytest.raises(ValueError, match="rename it"):
        zoo.train(named, data, **options)

    class Own(keras.Model):
        def call(self, inputs):
            return inputs[:, :1]

    own = Own()
    own.compile("adam", "mse")
    with pytest.raises(ValueError, match="is a compiled subclass"):
        zoo.train(own, data, **options)
    with pytest.raises(ValueError, match="`augment` changes images"):
        zoo.train("mlp_tiny", data, augment=zoo.data.Augment(flip=True), directory=files / "none")
    assert not (files / "none").exists()
