"""The tuners: grid, Bayesian, Hyperband; what they try, in which order, and for how long."""

import keras_tuner
import numpy as np
import pytest
from small_searches import POINT, QUICK, without

import tuning
from tuning.oracles import make_oracle


def test_grid_takes_combinations_in_turn_also_when_resumed(small, tmp_path):
    options = dict(
        QUICK,
        tuner="grid",
        fixed=without(POINT, "activation", "skip_connections"),
        ranges={"activation": ["relu", "tanh"], "skip_connections": [False, True]},
        directory=tmp_path / "search",
    )
    tuning.search("mlp", small, max_trials=2, **options)
    result = tuning.search("mlp", small, max_trials=9, resume=True, **options)
    pairs = [(t.values["activation"], t.values["skip_connections"]) for t in result.trials]
    assert pairs == [("relu", False), ("relu", True), ("tanh", False), ("tanh", True)]


def test_bayesian_runs_and_draws_anew_each_time(small, tmp_path):
    result = tuning.search(
        "mlp",
        small,
        tuner="bayesian",
        max_trials=4,
        fixed=without(POINT, "learning_rate"),
        ranges={"learning_rate": (1e-3, 0.3)},
        directory=tmp_path / "search",
        **QUICK,
    )
    assert len({trial.values["learning_rate"] for trial in result.trials}) == 4


def simulate(tmp_path, tuner, max_trials, max_epochs, score):
    """Let an oracle search one hyperparameter, x in [0, 1], of a function instead of a model."""
    objective = keras_tuner.Objective("score", "max")
    oracle = make_oracle(tuner, objective, max_trials=max_trials, max_epochs=max_epochs, seed=0)
    oracle._set_project_dir(tmp_path, f"{tuner}{max_trials}-{max_epochs}")
    oracle.verbose = 0
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    oracle.update_space(hp)
    trials = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        oracle.update_trial(trial.trial_id, {"score": score(trial.hyperparameters.values["x"])})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        trials.append(trial.hyperparameters.values)
    return trials


def test_bayesian_closes_in_on_the_best_after_a_third_of_the_trials(tmp_path):
    trials = simulate(tmp_path, "bayesian", 12, 1, lambda x: -((x - 0.7) ** 2))
    drawn, modelled = (np.array([t["x"] for t in part]) for part in (trials[:4], trials[-4:]))
    assert abs(modelled - 0.7).max() < abs(drawn - 0.7).min()


@pytest.mark.parametrize(
    ("max_trials", "max_epochs", "epochs"),
    [
        (3, 9, [9, 9, 9]),
        (8, 9, [3, 3, 3, 3, 3, 9, 9, 9]),
        (13, 9, [1] * 9 + [3] * 3 + [9]),
        (2, 1, [1, 1]),
    ],
)
def test_hyperband_leaves_out_brackets_that_the_search_would_not_finish(
    tmp_path, max_trials, max_epochs, epochs
):
    trials = simulate(tmp_path, "hyperband", max_trials, max_epochs, lambda x: x)
    assert [trial["tuner/epochs"] for trial in trials] == epochs
    if max_trials == 13:
        assert trials[-1]["x"] == max(trial["x"] for trial in trials)


def test_hyperband_decides_the_epochs_and_goes_on_with_the_best(small, tmp_path):
    result = tuning.search(
        "mlp_tiny",
        small,
        tuner="hyperband",
        max_trials=5,
        **dict(QUICK, epochs=3),
        directory=tmp_path / "search",
    )
    assert [trial.values["epochs"] for trial in result.trials] == [1, 1, 1, 3, 3]
    short, promoted = result.trials[:3], result.trials[3]
    parent = max(short, key=lambda trial: trial.score)
    assert {**promoted.values, "epochs": 1} == parent.values
    assert result.best_recipe.epochs == result.best_values["epochs"]


def test_hyperband_restores_the_optimizer_with_the_weights(digits, tmp_path):
    model = tuning.hypermodel("mlp_tiny", input_shape=(8, 8, 1), num_classes=10)
    tuner = keras_tuner.Hyperband(
        model, objective="val_accuracy", max_epochs=2, factor=2, directory=tmp_path
    )
    tuner.oracle.max_trials = 3  # two short ones and the better one's longer one
    images = digits.train.examples(np.arange(64))
    labels = digits.train.labels[:64]
    tuner.search(images, labels, validation_data=(images, labels), verbose=0)
    promoted = next(
        trial
        for trial in tuner.oracle.trials.values()
        if trial.hyperparameters.values.get("tuner/trial_id")
    )
    trained = tuner._build_hypermodel(promoted.hyperparameters)
    batches = -(-64 // promoted.hyperparameters.values["batch_size"])
    assert int(trained.optimizer.iterations) == batches
