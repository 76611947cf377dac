"""The verification task: what it trains, judges, sets, refuses, and goes on with after a kill."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from verification_runs import (
    ARGUMENTS,
    HEADS,
    auc_by_hand,
    eer_by_hand,
    errors_by_hand,
    of_each_class,
    part_by_hand,
    small,
    threshold_of,
    train,
)

import zoo
from zoo.cli import main
from zoo.data import Part
from zoo.tasks import ClassificationTask, VerificationTask


@pytest.fixture(scope="module")
def data():
    """Forty images of each of six digits to train with, fifty each of two and two others."""
    return small()


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A run of each family with each head."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        (name, head): train(data, folder / f"{name}_{head}", name, head)
        for name in ARGUMENTS
        for head in HEADS
    }


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_history_metrics_and_threshold_are_those_of_the_saved_model(name, head, runs, data):
    run = runs[name, head]
    saved = zoo.load_run(run.directory)
    assert set(saved.history) == {"epoch", "learning_rate", "loss", "val_auc", "val_eer"}
    assert len(saved.history["val_auc"]) == 2
    same, distances = part_by_hand(saved.model, head, data.validation)
    eer, threshold = eer_by_hand(same, distances)
    assert saved.history["val_auc"][-1] == pytest.approx(auc_by_hand(same, distances), abs=2e-4)
    assert saved.history["val_eer"][-1] == pytest.approx(eer, abs=2e-3)
    assert threshold_of(saved.model) == threshold_of(run.model)
    far, frr = errors_by_hand(same, distances, threshold_of(saved.model))
    assert abs(far - frr) < 2e-3
    assert threshold_of(saved.model) == pytest.approx(threshold, rel=1e-3)

    same, distances = part_by_hand(saved.model, head, data.test)
    far, frr = errors_by_hand(same, distances, threshold_of(saved.model))
    expected = {
        "auc": zoo.metrics.roc_auc(same, distances),
        "eer": zoo.metrics.equal_error_rate(same, distances)[0],
        "far": far,
        "tar": 1 - frr,
    }
    assert saved.metrics == pytest.approx(expected, abs=2e-3)
    assert saved.metrics == run.metrics


def test_the_threshold_keeps_to_the_rate_that_is_asked_for(data, tmp_path):
    run = train(data, tmp_path, task=VerificationTask(target_far=0.05))
    same, distances = part_by_hand(run.model, "distance", data.validation)
    far, frr = errors_by_hand(same, distances, threshold_of(run.model) * (1 + 1e-6))
    assert 0 < far <= 0.05
    thresholds = np.sort(distances)
    every = np.array(errors_by_hand(same, distances, thresholds))
    assert frr == pytest.approx(every[1][every[0] <= 0.05].min(), abs=2e-3)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(runs, data, tmp_path):
    run = runs["siamese_cnn_tiny", "logistic"]
    again = train(data, tmp_path / "again", head="logistic")
    other = train(data, tmp_path / "other", head="logistic", seed=1)
    assert (again.history, again.metrics) == (run.history, run.metrics)
    assert threshold_of(again.model) == threshold_of(run.model)
    assert other.history["val_auc"] != run.history["val_auc"]


class Interrupt(keras.callbacks.Callback):
    """Ends a training in its second epoch, or once its epochs are over."""

    def __init__(self, at_the_end):
        super().__init__()
        self.at_the_end = at_the_end

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == 1 and not self.at_the_end:
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        if self.at_the_end:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("head", "at_the_end"), [("distance", False), ("proxies", False), ("embedding", True)]
)
def test_an_interrupted_run_is_finished_with_the_same_numbers(
    head, at_the_end, runs, data, tmp_path
):
    whole = runs["siamese_cnn_tiny", head]
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path, head=head, callbacks=[Interrupt(at_the_end)])
    assert (tmp_path / "history.csv").read_text().count("\n") == 1 + 1 + at_the_end
    assert threshold_of(zoo.training.runs.load_model(tmp_path / "model.keras", "float32")) is None
    resumed = train(data, tmp_path, head=head, resume=True)
    assert (resumed.history, resumed.metrics) == (whole.history, whole.metrics)
    assert threshold_of(zoo.load_run(tmp_path).model) == threshold_of(whole.model)


PROGRAM = """
import sys, time
from pathlib import Path
import keras
from verification_runs import small, train

class Wait(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == 3:
            Path(sys.argv[1], ".waits").touch()
            time.sleep(600)

train(small(), sys.argv[1], head="embedding", callbacks=[Wait()])
"""


def test_a_killed_process_leaves_a_run_that_resumes_to_the_same_numbers(runs, data, tmp_path):
    whole = runs["siamese_cnn_tiny", "embedding"]
    # A batch of 64 could hold 16 classes of 4, but there are 6: ten steps an epoch, not three.
    batches = VerificationTask().batches(whole.model, data.train, 64)
    assert len(batches) == 240 // (6 * 4)
    directory = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, directory], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (directory / ".waits").exists():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (directory / "history.csv").read_text().count("\n") == 1 + 1
    resumed = train(data, directory, head="embedding", resume=True)
    assert (resumed.history, resumed.metrics) == (whole.history, whole.metrics)
    assert threshold_of(resumed.model) == threshold_of(whole.model)


def test_the_threshold_belongs_to_the_weights_that_early_stopping_restores(data, tmp_path):
    # The loss falls, so the first epoch has the largest: its weights come back after the second.
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    run = train(data, tmp_path, head="embedding", epochs=6, callbacks=[stop])
    assert len(run.history["loss"]) == 2
    saved = zoo.load_run(tmp_path).model
    same, distances = part_by_hand(saved, "embedding", data.validation)
    assert run.history["val_auc"][0] == pytest.approx(auc_by_hand(same, distances), abs=2e-4)
    assert run.history["val_auc"][1] != pytest.approx(run.history["val_auc"][0], abs=1e-3)
    assert threshold_of(saved) == pytest.approx(eer_by_hand(same, distances)[1], rel=1e-3)


@pytest.mark.parametrize(
    ("head", "learning_rate", "epochs", "message"),
    [
        ("embedding", 1e12, 2, "The weight .* was not finite in epoch 1"),  # the loss stays finite
        ("logistic", 1e30, 1, "distances are NaN or infinite"),  # so do the weights of one step
    ],
)
def test_a_diverged_training_is_told_as_such(head, learning_rate, epochs, message, data, tmp_path):
    options = dict(learning_rate=learning_rate, epochs=epochs, batch_size=240)
    with pytest.raises(FloatingPointError, match=message):
        train(data, tmp_path, head=head, **options)
    assert not (tmp_path / "metrics.json").exists()


def test_without_a_validation_part_there_is_no_threshold(tmp_path):
    data = small(validation_fraction=0)
    assert len(data.validation) == 0
    run = train(data, tmp_path / "run", head="embedding", epochs=1)
    assert set(run.history) == {"epoch", "learning_rate", "loss"}
    assert set(run.metrics) == {"auc", "eer"}
    assert threshold_of(zoo.load_run(tmp_path / "run").model) is None
    assert set(VerificationTask().signatures(run.model)) == {
        *("serving_default", "embed", "similarity")
    }
    assert len(VerificationTask().draw(run.model, data, tmp_path)) == 4
    result = CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(tmp_path / "served")])
    assert result.exit_code == 0, result.output
    assert "same" not in result.output


def with_a_single(data):
    """The data with one example more to train with, the only one of its class."""
    images = np.concatenate([data.train.examples(np.arange(240)), data.test.examples([0])])
    labels = np.append(data.train.labels, data.test.labels[0])
    others = np.flatnonzero(data.test.labels != data.test.labels[0])
    # Without its class, the test part has one class only; the validation part takes its place.
    assert len(np.unique(data.test.labels[others])) == 1
    return dataclasses.replace(data, train=Part(images, labels), test=data.validation)


@pytest.mark.parametrize("head", HEADS)
def test_classes_of_one_example_matter_to_pairs_only(head, data, tmp_path):
    data = with_a_single(data)
    options = dict(head=head, epochs=1)
    if head == "proxies":
        run = train(data, tmp_path / "run", **options)
        assert run.model.output_shape == (None, 7)
        return
    with pytest.raises(ValueError, match=r"have a single example.*singles='leave_out'"):
        train(data, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    if head == "embedding":
        run = train(data, tmp_path / "run", task=VerificationTask(singles="leave_out"), **options)
        assert run.config["task_arguments"]["singles"] == "leave_out"


@pytest.mark.parametrize(
    ("message", "head", "options"),
    [
        ("`batch_size` must be even", "distance", dict(batch_size=33)),
        ("`batch_size` must be even", "logistic", dict(batch_size=33)),
        ("fewer than two classes of 4", "embedding", dict(batch_size=7)),
        ("=3 can never be reached", "distance", dict(task=VerificationTask(margin=3))),
        ("=2 can never be reached", "embedding", dict(task=VerificationTask(margin=2))),
        ("`margin` must be a number above 0", "distance", dict(task=VerificationTask(margin=0))),
        ("`margin` must be .* below 1", "proxies", dict(task=VerificationTask(margin=1))),
        ("4 classes, but data 'digits' has 6", "proxies", dict(arguments={"num_classes": 4})),
        ("takes examples of shape", "distance", dict(arguments={"input_shape": (16, 16, 1)})),
        ("does not compare, it gives probabilities", None, {}),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    message, head, options, data, tmp_path
):
    options = {"epochs": 1, "verbose": 0, "directory": tmp_path / "run", **options}
    name = "siamese_cnn_tiny" if head else "mlp_tiny"
    arguments = {**({"head": head} if head else {}), **options.pop("arguments", {})}
    options = {"task": "verification", **options}
    with pytest.raises(ValueError, match=message):
        zoo.train(name, data, arguments=arguments, **options)
    assert not (tmp_path / "run").exists()


def test_odd_batches_will_do_where_no_pairs_are_drawn(data, tmp_path):
    for head in ("embedding", "proxies"):
        train(data, tmp_path / head, head=head, batch_size=33, epochs=1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("margin", -0.1),
        ("mining", "hard"),
        ("scale", 0),
        ("examples", 1),
        ("singles", "skip"),
        ("target_far", 1.0),
        ("target_far", "ee"),
    ],
)
def test_arguments_of_the_task_are_checked(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        VerificationTask(**{argument: value})


def test_classes_that_are_trained_with_cannot_be_judged_by(digits, tmp_path):
    message = r"10 classes of the validation part of 'digits'.*such as '0': .*split_by='classes'"
    with pytest.raises(ValueError, match=message):
        train(digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_classification_refuses_to_be_judged_by_classes_that_it_never_saw(data, digits, tmp_path):
    message = "validation part of 'digits' has others: .* without split_by='classes'"
    with pytest.raises(ValueError, match=message):
        zoo.train("mlp_tiny", data, directory=tmp_path / "run", verbose=0)
    with pytest.raises(ValueError, match="the test part"):
        zoo.train("mlp_tiny", small(validation_fraction=0), directory=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
    # A class that nothing has does no harm.
    few = dataclasses.replace(
        digits,
        **{
            name: without_class_9(getattr(digits, name)) for name in ("train", "validation", "test")
        },
    )
    ClassificationTask().check(zoo.mlp((8, 8, 1)), few)


def without_class_9(part):
    return part.subset(np.flatnonzero(part.labels != 9))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """Eight images of each digit in folders."""
    path = tmp_path_factory.mktemp("folder") / "images"
    for part in (data.train, data.validation, data.test):
        few = of_each_class(part, 8)
        for index, label in enumerate(few.labels):
            (path / str(label)).mkdir(parents=True, exist_ok=True)
            keras.utils.save_img(path / str(label) / f"{index}.png", few.examples([index])[0])
    return path


def test_a_folder_of_images_is_streamed_with_the_proxies_labels(folder, tmp_path):
    data = zoo.load_data(folder, color="grey", split_by="classes")
    classes = np.unique(data.train.labels)
    assert classes.max() >= len(classes)  # so that labels must be counted anew
    run = train(data, tmp_path / "run", head="proxies", batch_size=16)
    images, labels = next(iter(VerificationTask().batches(run.model, data.train, 48)))
    np.testing.assert_array_equal(classes[labels], data.train.labels)
    np.testing.assert_array_equal(images, data.train.examples(np.arange(48)))


ON_JAX = """
import sys
import keras
import zoo
from test_verification_task import Interrupt
from verification_runs import small, threshold_of, train

assert keras.backend.backend() == "jax"
directory = sys.argv[1]
train(small(), f"{directory}/embedding", head="embedding", epochs=1)

images = zoo.load_data(sys.argv[2], color="grey", split_by="classes")
options = dict(head="proxies", batch_size=16)
whole = train(images, f"{directory}/whole", **options)
try:
    train(images, f"{directory}/cut", callbacks=[Interrupt(False)], **options)
except KeyboardInterrupt:
    pass
resumed = train(images, f"{directory}/cut", resume=True, **options)
assert (resumed.history, resumed.metrics) == (whole.history, whole.metrics)
assert threshold_of(resumed.model) == threshold_of(whole.model) is not None
"""


def test_the_jax_backend_trains_and_resumes(folder, tmp_path):
    pytest.importorskip("jax")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.path.dirname(__file__),
    }
    result = subprocess.run(
        [sys.executable, "-c", ON_JAX, tmp_path, folder],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
