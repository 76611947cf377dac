"""What a search improves, what it keeps, and how it is opened again."""

import keras
import numpy as np
import pytest
from small_searches import QUICK

import tuning
import zoo
import zoo.registry
from zoo.tasks import ClassificationTask


def parameters(model, values):
    assert "val_accuracy" in values
    return model.count_params()


def test_a_function_of_the_model_is_improved(small, tmp_path):
    options = dict(max_trials=3, directory=tmp_path / "s", fixed={"batch_norm": False})
    found = tuning.search(
        "mlp_tiny", small, objective=parameters, direction="min", **options, **QUICK
    )
    assert found.objective == "parameters"
    assert found.best_score == min(trial.score for trial in found.trials)
    assert found.best_model().count_params() == found.best_score
    with pytest.raises(ValueError, match="needs a `direction`"):
        tuning.search("mlp_tiny", small, objective=parameters, directory=tmp_path / "t", **QUICK)


def test_what_is_scored_is_what_is_kept(small, tmp_path):
    options = dict(
        max_trials=2,
        objective="val_loss",
        early_stopping=2,
        fixed={"optimizer": "sgd", "learning_rate_schedule": "constant"},
        ranges={"learning_rate": (0.1, 0.3), "shift": [0, 1]},
    )
    quick = {**QUICK, "epochs": 12}
    found = tuning.search("mlp_tiny", small, directory=tmp_path / "s", **options, **quick)
    model = found.best_model()
    validation = small.validation
    loss = model.evaluate(validation.examples(), validation.labels, return_dict=True, verbose=0)
    assert loss["loss"] == pytest.approx(found.best_score, rel=1e-5)
    assert found.best_recipe.early_stopping == 2
    again = tuning.load_search(tmp_path / "s")
    assert again.trials == found.trials
    assert again.best_recipe == found.best_recipe
    assert again.best_arguments.keys() == found.best_arguments.keys()
    kept = list((tmp_path / "s").rglob("model.keras"))
    assert len(kept) == 1  # of the best trial alone


def test_augmentation_varies_where_it_is_named(small, tmp_path):
    found = tuning.search(
        "mlp_tiny",
        small,
        max_trials=4,
        ranges={"shift": [1, 2], "flip": [False]},
        directory=tmp_path / "s",
        **QUICK,
    )
    assert {trial.values["shift"] for trial in found.trials} <= {1, 2}
    assert found.best_recipe.augment.shift == found.best_values["shift"]


def test_a_subclass_of_a_task_is_no_other_ones_task(small, tmp_path):
    class Quiet(ClassificationTask):
        objective = "val_loss"
        direction = "min"

    assert type(zoo.tasks.get("classification")) is ClassificationTask
    found = tuning.search(
        "mlp_tiny", small, task=Quiet(), max_trials=1, directory=tmp_path / "s", **QUICK
    )
    assert (found.objective, found.direction) == ("val_loss", "min")
    again = tuning.search("mlp_tiny", small, max_trials=1, directory=tmp_path / "t", **QUICK)
    assert again.objective == "val_accuracy"
    with pytest.raises(ValueError, match="There is a task 'classification' already"):
        type("Other", (ClassificationTask,), {"name": "classification"})


def test_plain_keras_tuner_scales_bytes_as_the_zoo_does(digits):
    import keras_tuner

    hypermodel = tuning.hypermodel("mlp_tiny", input_shape=(8, 8, 1), num_classes=10, epochs=1)
    images, labels = digits.train.examples(np.arange(64)), digits.train.labels[:64]
    as_bytes = np.round(images * 255).astype("uint8")
    losses = []
    for x in (as_bytes, as_bytes / np.float32(255)):
        keras.utils.set_random_seed(0)
        hp = keras_tuner.HyperParameters()
        model = hypermodel.build(hp)
        history = hypermodel.fit(hp, model, x, labels, validation_data=(x, labels), verbose=0)
        losses.append(history.history["val_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_objects_of_the_recipe_are_what_all_trials_train_by(small, tmp_path):
    optimizer = keras.optimizers.SGD(0.5)
    options = dict(max_trials=2, directory=tmp_path / "s", optimizer=optimizer)
    found = tuning.search("mlp_tiny", small, **options, **QUICK)
    assert found.best_recipe.optimizer is optimizer
    assert not {"optimizer", "learning_rate", "momentum"} & set(found.best_values)
    for options in (dict(fixed={"learning_rate": 0.1}), dict(ranges={"momentum": [0.5]})):
        with pytest.raises(ValueError, match="is given, and in `fixed` or `ranges`"):
            tuning.search(
                "mlp_tiny", small, optimizer=optimizer, directory=tmp_path / "t", **options
            )
    with pytest.raises(ValueError, match="`shift` is given, and in"):
        tuning.search(
            "mlp_tiny",
            small,
            augment=zoo.data.Augment(flip=True),
            ranges={"shift": [1, 2]},
            directory=tmp_path / "t",
        )


def test_another_function_of_the_same_name_is_not_resumed(small, tmp_path):
    def giving(score):
        def scored(model, values):
            return score

        return scored

    options = dict(direction="max", directory=tmp_path / "s", **QUICK)
    tuning.search("mlp_tiny", small, objective=giving(1.0), max_trials=1, **options)
    with pytest.raises(ValueError, match="function"):
        tuning.search(
            "mlp_tiny", small, objective=giving(2.0), max_trials=2, resume=True, **options
        )


@pytest.mark.parametrize(
    "told",
    [{"early_stopping": 1}, {"augment": zoo.data.Augment(flip=True)}, {"class_weight": {0: 2}}],
)
def test_plain_keras_tuner_refuses_what_needs_a_data_set(told, digits):
    import keras_tuner

    hypermodel = tuning.hypermodel("mlp_tiny", input_shape=(8, 8, 1), num_classes=10, **told)
    hp = keras_tuner.HyperParameters()
    with pytest.raises(ValueError, match=f"`{next(iter(told))}` need a `Dataset`"):
        hypermodel.fit(hp, hypermodel.build(hp), digits.train.examples(), digits.train.labels)


@pytest.mark.parametrize("row", [("momentum", tuning.Float(0.5, 0.6)), ("units", (8, 64))])
def test_rows_that_cannot_be_searched_are_refused(row, monkeypatch):
    monkeypatch.setattr(zoo.registry, "_entries", dict(zoo.registry._entries))

    @zoo.register(task="classification", space=dict([row]))
    def odd(input_shape=(8, 8, 1), num_classes=10, *, momentum=0.9, units=8, name="odd"):
        """Never built."""

    with pytest.raises(ValueError, match=f"The row '{row[0]}' of 'odd' must be"):
        tuning.space("odd", (8, 8, 1))


def test_an_objective_that_is_never_logged_ends_the_search_with_its_first_trial(small, tmp_path):
    with pytest.raises(ValueError, match=r"'val_auc' is not logged: choose one of .*val_accuracy"):
        tuning.search("mlp_tiny", small, objective="val_auc", directory=tmp_path, **QUICK)
    assert len(list(tmp_path.glob("trials/trial_*"))) == 1


def test_a_score_that_is_not_finite_fails_its_trial(small, tmp_path):
    scores = iter((float("inf"), 1.0, float("nan")))

    def odd(model, values):
        return next(scores)

    options = dict(direction="max", max_trials=3, directory=tmp_path)
    found = tuning.search("mlp_tiny", small, objective=odd, **options, **QUICK)
    assert [trial.score for trial in found.trials] == [None, 1.0, None]
    assert found.trials[0].error == "ValueError: The objective 'odd' was inf."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"class_weight": {"eleven": 2.0}}, "names the class 'eleven'"),
        ({"callbacks": [keras.callbacks.ReduceLROnPlateau()]}, "both set the learning rate"),
        ({"augment": lambda images, rng: images[:1]}, "must return examples of the shape"),
        ({"start": [1]}, "`start` must be a dictionary"),
        ({"fixed": ["depth"]}, "`fixed` must be a dictionary"),
    ],
)
def test_what_would_fail_every_trial_is_refused_before_the_first(wrong, message, small, tmp_path):
    with pytest.raises(ValueError, match=message):
        tuning.search("mlp_tiny", small, directory=tmp_path / "s", **wrong)
    assert not (tmp_path / "s").exists()


def test_weights_that_change_after_the_last_epoch_are_scored_as_they_are_kept(small, tmp_path):
    validation = small.validation.examples(), small.validation.labels
    averaging = keras.optimizers.Adam(0.003, use_ema=True)
    found = tuning.search(
        "mlp_tiny", small, max_trials=1, optimizer=averaging, directory=tmp_path / "a", **QUICK
    )
    kept = found.best_model().evaluate(*validation, return_dict=True, verbose=0)
    assert kept["accuracy"] == pytest.approx(found.best_score)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    point = {"optimizer": "sgd", "learning_rate": 1.0, "learning_rate_schedule": "constant"}
    found = tuning.search(
        "mlp_tiny",
        small,
        max_trials=2,
        objective="val_loss",
        fixed=point,
        callbacks=[stopping],
        directory=tmp_path / "b",
        **{**QUICK, "epochs": 12},
    )
    kept = found.best_model().evaluate(*validation, return_dict=True, verbose=0)
    assert kept["loss"] == pytest.approx(found.best_score, rel=1e-5)
