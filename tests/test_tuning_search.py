"""Searches on real digits: reproducible, resumable, honest, and blind to the test part."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import keras_tuner
import numpy as np
import pytest
from click.testing import CliRunner
from small_searches import POINT, QUICK, without

import tuning
import zoo
from tuning.cli import main
from tuning.report import TrialRecord
from zoo.records import read_record, write_record


@pytest.fixture(scope="module")
def found(small, tmp_path_factory):
    """A random search of four trials."""
    directory = tmp_path_factory.mktemp("found") / "search"
    return tuning.search("mlp", small, max_trials=4, directory=directory, **QUICK)


def scores(result):
    return [(trial.score, dict(trial.values)) for trial in result.trials]


def test_a_full_disk_ends_the_search_and_fails_no_trial(small, tmp_path, no_room):
    options = dict(directory=tmp_path, max_trials=2, **QUICK)
    with no_room(), pytest.raises(OSError, match="too large"):
        tuning.search("mlp_tiny", small, **options)
    result = tuning.search("mlp_tiny", small, resume=True, **options)
    assert [trial.status for trial in result.trials] == ["COMPLETED"] * 2


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"activation": ["relu", "rellu"]}, "activation='rellu' cannot be searched"),
        ({"optimizer": ["sgd", "adm"]}, "optimizer='adm' cannot be searched"),
        ({"momentum": (0.5, 1.5)}, "momentum=1.5 cannot be searched"),
        ({"dropout": (0.5, 1.5)}, "dropout=1.5 cannot be searched"),
        ({"label_smoothing": [0.1, 2.0]}, "label_smoothing=2.0 cannot be searched"),
        ({"warmup_epochs": (0.0, 3.0)}, "more than `epochs`"),
    ],
)
def test_values_that_would_fail_their_trials_are_refused(ranges, message, small, tmp_path):
    options = dict(directory=tmp_path, max_trials=2, epochs=1, verbose=0)
    with pytest.raises(ValueError, match=message):
        tuning.search("mlp_tiny", small, ranges=ranges, **options)
    assert not list(tmp_path.iterdir())


def test_result_holds_the_best_trial_ready_to_build_and_train(found, digits, tmp_path):
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4]
    assert {trial.status for trial in found.trials} == {"COMPLETED"}
    assert found.best_score == max(trial.score for trial in found.trials)
    assert all(trial.seconds > 0 for trial in found.trials)
    model = zoo.create("mlp", **found.best_arguments)
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    run = zoo.train(
        "mlp",
        digits,
        arguments=found.best_arguments,
        recipe=found.best_recipe,
        directory=tmp_path / "run",
        verbose=0,
    )
    assert run.recipe.optimizer == found.best_values["optimizer"]


def test_first_trial_is_a_draw_like_the_others(found):
    rates = [trial.values["learning_rate"] for trial in found.trials]
    assert len(set(rates)) == 4
    assert 0.001 not in rates  # the row's default


def test_pictures_and_tables(found, tmp_path):
    failed = TrialRecord(5, "FAILED", None, dict(found.trials[0].values), 0.1, "loss was nan")
    result = dataclasses.replace(found, trials=(*found.trials, failed))
    picture = result.plot(tmp_path / "report.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    one = dataclasses.replace(found, trials=(found.best,))
    assert one.plot(tmp_path / "one.png").stat().st_size > 5000
    cells = list(result.table().columns[1].cells)
    assert cells[0] == f"{found.best_score:.4f}"
    assert cells[-1] == "failed"


def test_a_data_frame_has_every_trial_and_value(found):
    frame = found.to_dataframe()
    assert list(frame["score"]) == [trial.score for trial in found.trials]
    assert list(frame.index) == [trial.number for trial in found.trials]
    values = {name for trial in found.trials for name in trial.values}
    assert {*frame.columns} == {"status", "score", "seconds", "error", *values}


SEARCH = """
import dataclasses, sys
import numpy as np
import tuning, zoo
digits = zoo.load_data("digits")
small = dataclasses.replace(digits, train=digits.train.subset(np.arange(320)))
tuning.search(
    "mlp", small, max_trials=4, directory=sys.argv[1], epochs=1, precision="float32", verbose=0
)
"""


def test_a_killed_search_goes_on_and_equals_an_uninterrupted_one(found, small, tmp_path):
    directory = tmp_path / "search"
    process = subprocess.Popen([sys.executable, "-c", SEARCH, directory])
    try:
        wait_for_trials(directory, 2, process)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    ended = ended_trials(directory)
    assert 2 <= len(ended) < 4
    before = {path: path.stat().st_mtime_ns for path in ended}
    with pytest.raises(FileExistsError, match="resume what it holds"):
        tuning.search("mlp", small, max_trials=4, directory=directory, **QUICK)
    result = tuning.search("mlp", small, max_trials=4, directory=directory, resume=True, **QUICK)
    assert {path: path.stat().st_mtime_ns for path in ended} == before, "a trial was run again"
    assert scores(result) == scores(found)


def test_a_kill_between_two_writes_loses_no_trial(found, small, tmp_path):
    directory = shutil.copytree(found.directory, tmp_path / "search")
    trials = directory / "trials"
    # Trial 4 was begun and is written, but the oracle's file does not know it.
    shutil.copytree(trials / "trial_3", trials / "trial_4")
    begun = read_record(trials / "trial_3" / "trial.json")
    begun |= {"trial_id": "4", "status": "RUNNING"}
    write_record(trials / "trial_4" / "trial.json", begun)
    result = tuning.search("mlp", small, max_trials=4, directory=directory, resume=True, **QUICK)
    assert result.trials == found.trials


def ended_trials(directory):
    paths = sorted(directory.glob("trials/trial_*/trial.json"))
    return [path for path in paths if json.loads(path.read_text())["status"] == "COMPLETED"]


def wait_for_trials(directory, count, process):
    deadline = time.monotonic() + 120
    while len(ended_trials(directory)) < count:
        assert time.monotonic() < deadline, "no trials"
        assert process.poll() is None, "the search ended before it could be killed"
        time.sleep(0.01)


def test_a_finished_search_is_loaded_and_can_grow(found, small, tmp_path):
    options = dict(QUICK, fixed={"depth": 1}, directory=tmp_path / "search")
    first = tuning.search("mlp", small, max_trials=1, **options)
    again = tuning.search("mlp", small, max_trials=1, resume=True, **options)
    assert again == first  # the seconds, too: nothing ran again
    grown = tuning.search("mlp", small, max_trials=2, resume=True, **options)
    assert scores(grown)[:1] == scores(first)
    assert len(grown.trials) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed: 0 then, 1 now"),
        ({"name": "mlp_tiny"}, "model: 'mlp' then, 'mlp_tiny' now"),
        ({"tuner": "grid"}, "tuner: 'random' then, 'grid' now"),
        ({"epochs": 2}, "space.epochs"),
        ({"ranges": {"dropout": (0.0, 0.4)}}, "space.dropout"),
        ({"start": {"depth": 1}}, "start"),
    ],
    ids=str,
)
def test_a_resumed_search_must_be_the_same(found, small, changes, message):
    options = dict(QUICK, name="mlp", directory=found.directory, resume=True, max_trials=4)
    with pytest.raises(ValueError, match=message):
        tuning.search(data=small, **{**options, **changes})


def test_a_search_of_other_data_is_not_resumed(found, digits):
    with pytest.raises(ValueError, match=r"parts: \[.*\] then, \[.*\] now"):
        tuning.search("mlp", digits, directory=found.directory, resume=True, **QUICK)


def test_the_starting_point_is_the_first_trial(small, tmp_path):
    start = {"optimizer": "sgd", "learning_rate": 0.1, "first_units": 64}
    result = tuning.search(
        "mlp", small, max_trials=2, start=start, directory=tmp_path / "search", **QUICK
    )
    first, second = (trial.values for trial in result.trials)
    assert {key: first[key] for key in start} == pytest.approx(start)
    assert first["momentum"] == 0.9
    assert second["learning_rate"] != pytest.approx(0.1)


def test_a_loss_that_is_not_finite_fails_the_trial_and_not_the_search(small, tmp_path, capfd):
    result = tuning.search(
        "mlp",
        small,
        tuner="grid",
        max_trials=2,
        fixed=without(POINT, "learning_rate"),
        ranges={"learning_rate": [1e-3, 1e30]},
        directory=tmp_path / "search",
        **QUICK,
    )
    assert [trial.status for trial in result.trials] == ["COMPLETED", "FAILED"]
    assert result.trials[1].score is None
    assert "not finite in epoch 1" in result.trials[1].error
    assert "learning_rate=1e+30" in result.trials[1].error
    assert result.best.number == 1
    assert "Traceback" not in "".join(capfd.readouterr())


def test_every_trial_failing_says_why(small, tmp_path):
    with pytest.raises(
        RuntimeError, match=r"None of 4 trials .* more than `max_parameters`=10, with"
    ):
        tuning.search(
            "mlp", small, max_trials=4, max_parameters=10, directory=tmp_path / "search", **QUICK
        )


@pytest.mark.parametrize("name", ["RandomSearch", "BayesianOptimization", "GridSearch"])
def test_hypermodel_works_in_plain_keras_tuner(digits, tmp_path, name):
    model = tuning.hypermodel(
        "mlp_tiny", input_shape=(8, 8, 1), num_classes=10, fixed={"epochs": 2}
    )
    tuner = getattr(keras_tuner, name)(
        model, objective="val_accuracy", max_trials=1, directory=tmp_path, project_name=name
    )
    names = {hp.name for hp in tuner.oracle.get_space().space}
    assert {"batch_size", "epochs", "momentum", "weight_decay"} <= names
    images = digits.train.examples(np.arange(64))
    labels = digits.train.labels[:64]
    tuner.search(images, labels, validation_data=(images, labels), verbose=0)
    trial = tuner.oracle.get_best_trials()[0]
    assert trial.status == "COMPLETED"
    assert trial.best_step in (0, 1)
    assert tuner.get_best_models()[0].output_shape == (None, 10)


def test_callbacks_see_each_trial_with_its_epochs_and_learning_rate(small, tmp_path):
    path = tmp_path / "rates"
    tuning.search(
        "mlp_tiny",
        small,
        max_trials=1,
        fixed={"learning_rate_schedule": "cosine", "learning_rate": 0.5, "optimizer": "sgd"},
        callbacks=[RateWriter(str(path))],
        **dict(QUICK, epochs=2),
        directory=tmp_path / "search",
    )
    rates = [float(line) for line in path.read_text().split()]
    assert rates == pytest.approx([0.25, 0.0], abs=1e-6)  # at the epochs' ends


class RateWriter(keras.callbacks.Callback):
    """Writes the learning rate of each epoch to a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        with open(self.path, "a") as file:
            file.write(f"{float(self.model.optimizer.learning_rate)}\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "vgg16"}, "too small"),
        ({"name": "mpl"}, "Did you mean 'mlp'"),
        ({"tuner": "randm"}, "Did you mean 'random'"),
        ({"max_trials": 0}, "max_trials"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2, "ranges": {"epochs": (1, 2)}}, "leave one out"),
        ({"seed": -1}, "seed"),
        ({"task": "classify"}, "classification"),
        ({"precision": "float8"}, "precision"),
        ({"arguments": {"filtres": (8,)}}, "filters"),
        ({"arguments": {"num_classes": 3}}, "10 classes"),
        ({"fixed": {"activation": "rely"}}, "Did you mean 'relu'"),
        ({"fixed": {"dropout": 1.5}}, "dropout"),
        ({"fixed": {"momentum": 1.0, "optimizer": "sgd"}}, "momentum"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_written(digits, tmp_path, changes, message):
    directory = tmp_path / "search"
    options = {"name": "cascade_cnn", "max_trials": 1, "directory": directory, **changes}
    with pytest.raises(ValueError, match=message):
        tuning.search(data=digits, **options)
    assert not directory.exists()


def test_data_without_validation_and_directories_that_are_files_are_refused(digits, tmp_path):
    empty = dataclasses.replace(digits, validation=digits.validation.subset(np.arange(0)))
    with pytest.raises(ValueError, match="validation part"):
        tuning.search("mlp_tiny", empty, directory=tmp_path / "search")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="choose another directory"):
        tuning.search("mlp_tiny", digits, directory=tmp_path / "file", **QUICK)


def test_the_command_searches_shows_every_trial_and_draws(tmp_path):
    directory = str(tmp_path / "search")
    arguments = [
        *("mlp_tiny", "digits", "--max-trials", "2", "--epochs", "1", "--directory", directory),
        *("--fix", "optimizer=adam", "--range", "learning_rate=0.001:0.01"),
        *("--range", "activation=relu,tanh", "--precision", "float32"),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("trial")]
    assert [line[:9] for line in lines] == ["trial 1/2", "trial 2/2"]
    assert all("best 0." in line and "learning_rate=0.00" in line for line in lines)
    assert "mlp_tiny: 2 trials" in result.output
    assert (tmp_path / "search" / "report.png").exists()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "resume what it holds" in again.output
    assert CliRunner().invoke(main, [*arguments, "--resume"]).exit_code == 0


@pytest.mark.parametrize("option", [["--fix", "optimizer"], ["--range", "=1:2"]], ids=str)
def test_the_command_explains_malformed_options(tmp_path, option):
    arguments = ["mlp_tiny", "digits", "--directory", str(tmp_path / "search"), *option]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (1, 2)
    assert "Expected KEY=" in result.output
