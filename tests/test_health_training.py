"""Trainings carry the monitor: what a run keeps, what ends it, and how it is mended."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import tuning
import zoo
from zoo.cli import main
from zoo.training.runs import HEALTH

DEEP = {"hidden_units": (32,) * 20, "activation": "sigmoid", "batch_norm": False}
FLAT = {"hidden_units": (32,), "batch_norm": False}


@pytest.fixture(scope="module")
def ill(digits, tmp_path_factory):
    """A deep net of sigmoids, which learns nothing."""
    directory = tmp_path_factory.mktemp("ill") / "run"
    with pytest.warns(UserWarning, match="vanishing_gradients in 'dense1'"):
        return zoo.train("mlp", digits, arguments=DEEP, epochs=6, directory=directory, verbose=0)


def test_a_run_tells_why_it_learned_nothing(ill):
    finding = ill.health.findings[0]
    assert (finding.name, finding.severity, finding.layer) == (
        "vanishing_gradients",
        "error",
        "dense1",
    )
    assert ill.health.history.last_step == 120
    assert zoo.load_run(ill.directory).health.findings == ill.health.findings
    assert (ill.directory / "health.png").stat().st_size > 10_000


def test_a_healthy_run_has_a_report_and_no_picture(digits, tmp_path):
    run = zoo.train("mlp_tiny", digits, epochs=5, directory=tmp_path / "run", verbose=0)
    assert run.health.findings == ()
    assert len(run.health.history.steps) == 10
    assert not (run.directory / "health.png").exists()


class Interrupt(keras.callbacks.Callback):
    """Stops a training as Ctrl-C does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_resumed_run_goes_on_with_its_report(digits, tmp_path):
    told = dict(epochs=4, verbose=0)
    whole = zoo.train("mlp_tiny", digits, directory=tmp_path / "whole", **told)
    with pytest.raises(KeyboardInterrupt):
        zoo.train("mlp_tiny", digits, directory=tmp_path / "cut", callbacks=[Interrupt()], **told)
    cut = zoo.train("mlp_tiny", digits, directory=tmp_path / "cut", resume=True, **told)
    assert cut.history == whole.history
    for name in ("loss", "steps", "gradient_norm", "weight_norm"):
        wanted = getattr(whole.health.history, name)
        np.testing.assert_allclose(getattr(cut.health.history, name), wanted, rtol=1e-3)


def test_what_blew_up_is_told_and_kept(digits, tmp_path):
    with pytest.raises(FloatingPointError, match="non_finite"):
        zoo.train(
            "mlp",
            digits,
            arguments=FLAT,
            optimizer="sgd",
            learning_rate=1e25,
            precision="float32",
            directory=tmp_path / "run",
            verbose=0,
        )
    content = json.loads((tmp_path / "run" / HEALTH).read_text())
    assert content["findings"][0]["name"] == "non_finite"
    again = zoo.train(
        "mlp",
        digits,
        arguments=FLAT,
        epochs=1,
        directory=tmp_path / "run",
        overwrite=True,
        verbose=0,
    )
    assert again.health.history.non_finite is None


def test_a_hopeless_training_is_ended(digits, tmp_path):
    with pytest.raises(FloatingPointError, match=r"ended: error: vanishing_gradients.*overwrite"):
        zoo.train(
            "mlp",
            digits,
            arguments=DEEP,
            epochs=50,
            directory=tmp_path / "run",
            callbacks=[zoo.GradientHealth(stop_on="error")],
            verbose=0,
        )
    report = zoo.health.Report.load(tmp_path / "run" / HEALTH)
    assert report.history.last_step < 200


def test_in_a_search_that_fails_the_trial(digits, tmp_path):
    with pytest.raises(RuntimeError, match="Training was ended: error: vanishing_gradients"):
        tuning.search(
            "mlp",
            digits,
            max_trials=1,
            arguments=DEEP,
            epochs=20,
            batch_size=32,
            optimizer="adam",
            learning_rate=1e-3,
            directory=tmp_path / "search",
            callbacks=[zoo.GradientHealth(stop_on="error")],
            verbose=0,
        )
    with pytest.raises(RuntimeError):
        tuning.load_search(tmp_path / "search").best_values  # noqa: B018


def test_a_run_is_mended(ill, digits, tmp_path):
    mended = zoo.mend(ill, digits, directory=tmp_path / "mended", verbose=0)
    first = mended.attempts[0]
    assert (first.remedy.call, first.against, first.kept) == (
        "activation='relu'",
        "vanishing_gradients",
        True,
    )
    assert mended.is_healthy
    assert mended.plan.arguments["activation"] == "relu"
    assert mended.run.history["val_accuracy"][-1] > ill.history["val_accuracy"][-1] + 0.2
    assert "kept" in str(mended)


def test_a_training_that_failed_is_mended_from_its_directory(digits, tmp_path):
    told = dict(arguments=FLAT, optimizer="sgd", precision="float32", epochs=3)
    with pytest.raises(FloatingPointError):
        zoo.train("mlp", digits, learning_rate=1e25, directory=tmp_path / "run", verbose=0, **told)
    mended = zoo.mend(
        tmp_path / "run", digits, directory=tmp_path / "mended", max_attempts=4, verbose=0
    )
    assert mended.before is None
    assert all(attempt.against for attempt in mended.attempts)
    assert len(mended.attempts) <= 4


def test_what_does_not_help_is_not_kept(ill, digits, tmp_path):
    kept = [
        one for one in zoo.health.remedies.REMEDIES["vanishing_gradients"] if "LSTM" in one.words
    ]
    assert kept  # a remedy for recurrent nets, which an mlp has no argument for
    told = {"model": "mlp_tiny", "epochs": 6, "learning_rate": 1e-7}
    mended = zoo.mend(told, digits, directory=tmp_path / "mended", max_attempts=1, verbose=0)
    higher = mended.attempts[0]
    assert higher.against == "no_traction"
    assert higher.remedy.factors == {"learning_rate": 10.0}  # as the updates ask for
    assert not higher.kept  # as these ask for still more
    assert mended.run is None
    assert not mended.is_healthy


def test_mending_refuses_what_it_cannot_change(digits, small_run, tmp_path):
    own = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    own.add(keras.layers.Softmax())
    run = small_run(own, tmp_path / "own", epochs=1)
    where = dict(directory=tmp_path / "mended")
    with pytest.raises(ValueError, match="model of your own"):
        zoo.mend(run, digits, **where)
    with pytest.raises(ValueError, match="must have a 'model'"):
        zoo.mend({"epochs": 3}, digits, **where)
    with pytest.raises(ValueError, match="must be a run, its directory or a dictionary"):
        zoo.mend(3, digits, **where)
    bare = zoo.load_data("digits", validation_fraction=0.0)
    with pytest.raises(ValueError, match="validation part"):
        zoo.mend({"model": "mlp_tiny"}, bare, **where)
    assert not (tmp_path / "mended").exists()


def test_health_in_a_terminal(ill, tmp_path):
    runner = CliRunner()
    shown = runner.invoke(main, ["health", str(ill.directory)])
    assert shown.exit_code == 0
    assert "error: vanishing_gradients in 'dense1'" in shown.output
    found = runner.invoke(main, ["health", str(ill.directory), "--json"])
    assert json.loads(found.output)[0]["name"] == "vanishing_gradients"
    half = runner.invoke(main, ["health", str(ill.directory), "--mend", "digits"])
    assert half.exit_code == 1
    assert "needs both" in half.output
    missing = runner.invoke(main, ["health", str(tmp_path)])
    assert missing.exit_code == 1
    assert "health.json" in missing.output
