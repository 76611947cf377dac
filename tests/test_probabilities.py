"""What a classifier of one's own gives: probabilities or logits, by its last layer and its loss."""

import keras
import numpy as np
import pandas as pd
import pytest
from own_models import compiled, functional

import zoo

QUICK = dict(task="classification", verbose=0)


@pytest.mark.parametrize(
    "loss",
    ["categorical_crossentropy", "categorical_focal_crossentropy", "mse", "kl_divergence"],
)
def test_losses_of_one_hot_labels_get_them(loss, small_run, tmp_path):
    run = small_run(compiled("adam", loss), tmp_path, epochs=1)
    assert run.recipe.precision == "float32"
    assert np.isfinite(run.history["loss"]).all()


class Scores(keras.Model):
    """Ends without a softmax, which its layers do not tell."""

    def __init__(self, **options):
        super().__init__(**options)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))


def test_outputs_of_unknown_layers_that_are_no_probabilities_are_refused(small_run, tmp_path):
    with pytest.raises(ValueError, match=r"values from -\S+ to \S+, which are no probabilities"):
        small_run(Scores(), tmp_path, epochs=1)
    assert not list(tmp_path.iterdir())


def test_outputs_of_unknown_layers_are_looked_at_behind_the_preparation(tmp_path):
    class Rows(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = keras.layers.Dense(2, "softmax")

        def call(self, inputs):
            return self.dense(inputs)

    table = pd.DataFrame({"a": [1.0, None, 3, 4] * 10, "b": ["x", "y", "z", None] * 10})
    data = zoo.load_data(table.assign(c=["yes", "no"] * 20), target="c", missing="impute")
    run = zoo.train(Rows(), data, directory=tmp_path, epochs=1, **QUICK)
    assert run.is_complete


def test_a_model_inside_a_model_tells_whether_it_gives_logits(small_run, tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, functional(activation=None)(image))
    run = small_run(model, tmp_path, epochs=1)
    assert run.model.loss.from_logits
    np.testing.assert_allclose(
        run.predict(np.zeros((2, 8, 8)))["probabilities"].sum(axis=1), 1, rtol=1e-5
    )


def test_a_string_as_loss_wants_probabilities_and_a_softmax_gives_them(small_run, tmp_path):
    with pytest.raises(ValueError, match="which are no probabilities"):
        small_run(compiled("adam", activation=None), tmp_path)
    for last in (
        [keras.layers.Dense(10, "softmax")],
        [keras.layers.Dense(10), keras.layers.Softmax()],
    ):
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *last])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # as Keras warns of
        model.compile("adam", loss, metrics=["accuracy"])
        run = small_run(model, tmp_path / last[-1].name, epochs=3)
        x = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")
        probabilities = run.predict(x)["probabilities"]
        np.testing.assert_allclose(probabilities, run.model.predict(x, verbose=0), rtol=1e-5)


def test_logits_of_binary_losses_are_squashed_one_by_one(small_run, tmp_path):
    model = compiled("adam", keras.losses.BinaryCrossentropy(from_logits=True), activation=None)
    run = small_run(model, tmp_path, epochs=1)
    x = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")
    logits = run.model.predict(x, verbose=0)
    np.testing.assert_allclose(
        run.predict(x)["probabilities"], 1 / (1 + np.exp(-logits)), rtol=1e-4
    )
    with pytest.raises(ValueError, match="which are no probabilities"):
        small_run(compiled("adam", "categorical_hinge", activation="tanh"), tmp_path / "hinge")


def test_a_compiled_subclass_with_one_hot_labels_trains(small_run, tmp_path):
    model = Scores()
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    assert small_run(model, tmp_path, epochs=1).is_complete


def pooled():
    """Logits that the last layer does not tell of."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(10, 3)(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def test_logits_are_told_by_the_loss_or_the_outputs(small_run, tmp_path):
    with pytest.raises(ValueError, match="which are no probabilities"):
        small_run(pooled(), tmp_path, epochs=1)
    model = pooled()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    run = small_run(model, tmp_path / "a", epochs=1)
    found = run.predict(np.zeros((1, 8, 8)))["probabilities"]
    np.testing.assert_allclose(found, keras.ops.softmax(run.model(np.zeros((1, 8, 8, 1)))), 1e-5)
    inner = functional()
    cast = keras.layers.Activation("linear", dtype="float32")(inner.output)  # after the softmax
    run = small_run(keras.Model(inner.input, cast), tmp_path / "b", epochs=1)
    found = run.predict(np.zeros((1, 8, 8)))["probabilities"]
    np.testing.assert_allclose(found, run.model(np.zeros((1, 8, 8, 1))), rtol=1e-5)


def test_a_compiled_subclass_is_checked_against_the_classes(small_run, tmp_path):
    class One(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")

        def call(self, inputs):
            return self.dense(self.flatten(inputs))

    model = One()
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"output shape \(None, 1\), but data 'digits' has 10"):
        small_run(model, tmp_path)
