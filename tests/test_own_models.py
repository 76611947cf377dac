"""Models and tasks of one's own: what is refused, and runs that go on."""

import keras
import numpy as np
import pytest
from own_models import compiled, functional, sequential

import tuning
import zoo
from zoo.tasks import ClassificationTask

QUICK = dict(task="classification", verbose=0)


@pytest.mark.parametrize("make", [sequential, functional])
@pytest.mark.parametrize("fresh", [False, True])
def test_the_same_call_goes_on_in_the_same_process(make, fresh, small_run, tmp_path):
    model = make()
    small_run(model, tmp_path, epochs=1, learning_rate=0.01)
    again = small_run(
        make() if fresh else model, tmp_path, epochs=2, learning_rate=0.01, resume=True
    )
    assert len(again.history["loss"]) == 2
    assert fresh or not model.compiled


def test_another_model_or_optimizer_is_not_resumed(small_run, tmp_path):
    small_run(functional(), tmp_path / "a", epochs=1)
    with pytest.raises(ValueError, match="layers"):
        small_run(functional("sigmoid"), tmp_path / "a", epochs=2, resume=True)
    small_run(compiled("adam"), tmp_path / "b", epochs=1)
    with pytest.raises(ValueError, match="class_name: 'Adam' then, 'SGD' now"):
        small_run(compiled("sgd"), tmp_path / "b", epochs=2, resume=True)


def test_an_optimizer_of_ones_own_goes_on_in_the_same_process(digits, tmp_path):
    for epochs in (1, 2):
        run = zoo.train(
            "mlp_tiny",
            digits,
            directory=tmp_path,
            optimizer=keras.optimizers.Adam(0.01),
            epochs=epochs,
            resume=True,
            verbose=0,
        )
    assert len(run.history["loss"]) == 2


def scaled(function):
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Lambda(function), *sequential().layers]
    )


def test_another_function_in_a_model_or_as_its_loss_is_not_resumed(small_run, tmp_path):
    small_run(scaled(lambda x: x * 2), tmp_path / "a", epochs=1)
    small_run(scaled(lambda x: x * 2), tmp_path / "a", epochs=2, resume=True)
    with pytest.raises(ValueError, match="functions"):
        small_run(scaled(lambda x: 1 - x), tmp_path / "a", epochs=3, resume=True)

    def loss(y, p):
        return keras.losses.sparse_categorical_crossentropy(y, p)

    small_run(compiled("adam", loss), tmp_path / "b", epochs=1)

    def loss(y, p):
        return 100 - keras.losses.sparse_categorical_crossentropy(y, p)

    with pytest.raises(ValueError, match="functions"):
        small_run(compiled("adam", loss), tmp_path / "b", epochs=2, resume=True)


def test_a_builder_must_return_an_uncompiled_model(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo.registry, "_entries", dict(zoo.registry._entries))
    for name, model in (("compiled_one", compiled("sgd")), ("forgotten", None)):

        def builder(input_shape, num_classes=10, *, name=None, model=model):
            return model

        builder.__name__ = name
        zoo.register(task="classification")(builder)
        with pytest.raises(ValueError, match=f"'{name}' must return an uncompiled model"):
            zoo.train(name, digits, directory=tmp_path / name, verbose=0)


def test_a_model_that_gives_a_dictionary_is_refused(small_run, tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, {"classes": functional()(image)})
    with pytest.raises(ValueError, match="must give one tensor"):
        small_run(model, tmp_path)


def test_a_shape_that_does_not_fit_is_told_by_both_shapes(small_run, tmp_path):
    model = keras.Sequential([keras.Input((28, 28, 1)), *sequential().layers])
    with pytest.raises(ValueError, match=r"takes examples of shape \(28, 28, 1\), but data"):
        small_run(model, tmp_path)


def test_a_schedule_in_the_optimizer_and_a_callback_are_refused(digits, tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    with pytest.raises(ValueError, match="LearningRateScheduler both set"):
        zoo.train(
            "mlp_tiny",
            digits,
            directory=tmp_path,
            optimizer=keras.optimizers.Adam(schedule),
            callbacks=[callback],
        )


def test_the_optimizers_state_is_loaded_also_in_half_precision(digits, tmp_path):
    options = dict(precision="mixed_float16", epochs=1, verbose=0)
    run = zoo.train("mlp_tiny", digits, directory=tmp_path, **options)
    loaded = zoo.load_run(tmp_path).model.optimizer
    assert int(loaded.iterations) == int(run.model.optimizer.iterations) > 0


def test_accumulated_gradients_count_all_steps(digits, tmp_path):
    def run(directory, epochs):
        optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)
        options = dict(directory=tmp_path / directory, resume=True, verbose=0)
        return zoo.train("mlp_tiny", digits, epochs=epochs, optimizer=optimizer, **options)

    run("parted", 2)
    parted, whole = run("parted", 4), run("whole", 4)
    assert parted.history["loss"] == pytest.approx(whole.history["loss"])
    assert parted.metrics == pytest.approx(whole.metrics)


def test_models_that_do_not_fit_the_data_are_refused(small_run, tmp_path):
    for options in (dict(activation="sigmoid", outputs=1), dict(outputs=7)):
        with pytest.raises(ValueError, match="10 classes"):
            small_run(compiled("adam", **options), tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"`precision`='mixed_bfloat16' is for models that are"):
        small_run(functional(), tmp_path, precision="mixed_bfloat16")
    for model in (5, keras.Model):
        with pytest.raises(ValueError, match="`model` must be a registered name or a Keras model"):
            small_run(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_early_stopping_goes_by_the_validation_loss_where_no_accuracy_is_logged(
    small_run, tmp_path
):
    model = functional()
    model.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy")
    run = small_run(model, tmp_path, epochs=30, early_stopping=2)
    losses = run.history["val_loss"]
    assert np.argmin(losses) == len(losses) - 3


def test_a_task_without_a_name_of_its_own_is_refused_before_training(digits, tmp_path):
    class Nameless(ClassificationTask):
        pass

    with pytest.raises(ValueError, match="Nameless needs a `name` of its own"):
        zoo.train("mlp_tiny", digits, task=Nameless(), directory=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_with_unregistered_classes_says_what_it_needs(digits, tmp_path):
    class Squared(keras.layers.Layer):
        def call(self, inputs):
            return inputs**2

    model = keras.Sequential([Squared(), *sequential().layers])
    zoo.train(model, digits, directory=tmp_path, epochs=1, **QUICK)
    with pytest.raises(ValueError, match="needs code of your own, the class 'Squared': import"):
        zoo.load_run(tmp_path)
    with keras.saving.custom_object_scope({"Squared": Squared}):
        assert zoo.load_run(tmp_path).is_complete


def test_what_cannot_be_trained_is_refused_before_the_directory_is_taken(digits, tmp_path):
    rows = np.random.default_rng(0).random((40, 3))
    table = zoo.load_data((rows, rows.sum(axis=1)))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    options = dict(directory=tmp_path / "run", verbose=0)
    with pytest.raises(ValueError, match="`class_weight` is for tasks with classes"):
        zoo.train(model, table, task="regression", class_weight={0: 2.0}, **options)
    with pytest.raises(ValueError, match=r"`warmup_epochs`=3 are more than `epochs`=2"):
        zoo.train("mlp_tiny", digits, epochs=2, warmup_epochs=3, **options)
    assert not (tmp_path / "run").exists()


def test_a_metric_of_several_values_ends_no_training(small_run, tmp_path):
    model = functional()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score()])
    with pytest.warns(UserWarning, match="'f1_score' in the logs"):
        run = small_run(model, tmp_path, epochs=1)
    assert sorted(run.metrics) == ["accuracy", "loss"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"callbacks": keras.callbacks.TerminateOnNaN()}, "`callbacks` must be a list of Keras"),
        ({"callbacks": [keras.callbacks.Callback]}, "`callbacks` must be a list of Keras"),
        ({"recipe": {"epochs": 3}}, "`recipe` must be a zoo.Recipe, received {'epochs': 3}"),
        ({"arguments": [1]}, r"`arguments` must be a dictionary, received \[1\]"),
        ({"directory": None}, "`directory` must be a path, received None"),
    ],
)
def test_arguments_of_wrong_kinds_are_refused(wrong, message, digits, tmp_path):
    for call in (zoo.train, tuning.search):
        if "recipe" in wrong and call is tuning.search:
            continue
        with pytest.raises(ValueError, match=message):
            call("mlp_tiny", digits, **{"directory": tmp_path / "none", **wrong})
    assert not (tmp_path / "none").exists()


def test_another_loss_or_learning_rate_of_a_compiled_model_is_not_resumed(small_run, tmp_path):
    small_run(compiled(keras.optimizers.SGD(0.1)), tmp_path, epochs=1)
    again = small_run(compiled(keras.optimizers.SGD(0.1)), tmp_path, epochs=2, resume=True)
    assert len(again.history["loss"]) == 2
    with pytest.raises(ValueError, match=r"learning_rate: 0.1\d* then, 0.5 now"):
        small_run(compiled(keras.optimizers.SGD(0.5)), tmp_path, epochs=3, resume=True)
    with pytest.raises(ValueError, match="loss"):
        small_run(
            compiled(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy()),
            tmp_path,
            epochs=3,
            resume=True,
        )


class Twice(keras.Model):
    """Takes two steps a batch."""

    def train_step(self, data):
        super().train_step(data)
        return super().train_step(data)


def test_epochs_are_counted_whatever_a_step_does(small_run, tmp_path):
    def twice():
        keras.utils.set_random_seed(0)
        inner = functional()
        model = Twice(inner.input, inner.output, name="twice")
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    small_run(twice(), tmp_path / "parted", epochs=1)
    parted = small_run(twice(), tmp_path / "parted", epochs=2, resume=True)
    whole = small_run(twice(), tmp_path / "whole", epochs=2)
    assert parted.history["loss"] == pytest.approx(whole.history["loss"])


def test_averaged_weights_are_not_trained_further(digits, tmp_path):
    options = dict(directory=tmp_path, optimizer=keras.optimizers.Adam(use_ema=True), verbose=0)
    zoo.train("mlp_tiny", digits, epochs=1, **options)
    assert zoo.train("mlp_tiny", digits, epochs=1, resume=True, **options).is_complete
    with pytest.raises(ValueError, match="holds averaged weights"):
        zoo.train("mlp_tiny", digits, epochs=2, resume=True, **options)


def test_a_run_with_a_lambda_says_how_it_is_loaded(small_run, tmp_path):
    model = keras.Sequential([keras.layers.Lambda(lambda x: 2 * x), *sequential().layers])
    small_run(model, tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"a lambda: if you trust it, call keras.config"):
        zoo.load_run(tmp_path)
