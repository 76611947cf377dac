"""Recipes: every value checked, written and read back; schedules, weights and early stopping."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo.data import Augment
from zoo.training.fingerprint import describe_function
from zoo.training.precision import _cpu_words, precision_scope, resolve_precision
from zoo.training.recipe import DEFAULTS, OPTIMIZERS, SCHEDULES, Recipe
from zoo.training.runs import load_run

QUICK = dict(precision="float32", verbose=0)
OTHERS = dict(
    epochs=3,
    batch_size=16,
    optimizer="sgd",
    learning_rate=0.1,
    learning_rate_schedule="cosine",
    warmup_epochs=0.5,
    momentum=0.5,
    weight_decay=0.01,
    global_clipnorm=1.0,
    label_smoothing=0.1,
    class_weight={"cat": 2.0},
    augment=Augment(shift=2, fill_mode="nearest"),
    early_stopping=2,
    precision="mixed_bfloat16",
    seed=7,
)


def test_what_an_augmentation_cannot_take_is_told_before_training(digits, tmp_path):
    with pytest.raises(ValueError, match=r"`augment` must take \(examples, rng\)"):
        zoo.train("mlp_tiny", digits, directory=tmp_path / "run", augment=lambda images: images)
    assert not (tmp_path / "run").exists()


def test_every_value_survives_json():
    assert set(OTHERS) == set(DEFAULTS)
    recipe = Recipe(**OTHERS)
    assert all(getattr(recipe, name) != DEFAULTS[name] for name in DEFAULTS)
    assert Recipe.from_config(json.loads(json.dumps(recipe.get_config()))) == recipe


def test_keras_objects_survive_json():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    for recipe in (
        Recipe(optimizer=keras.optimizers.Lion(1e-4)),
        Recipe(learning_rate_schedule=rate),
    ):
        again = Recipe.from_config(json.loads(json.dumps(recipe.get_config())))
        ours, theirs = recipe.make_optimizer(), again.make_optimizer()
        assert type(ours) is type(theirs)
        configs = [{**made.get_config(), "name": None} for made in (ours, theirs)]
        assert configs[0] == configs[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_takes_a_step(optimizer):
    made = Recipe(optimizer=optimizer, learning_rate=0.01, weight_decay=0.01).make_optimizer()
    assert getattr(made, "momentum", 0.9) == 0.9
    variable = keras.Variable([1.0])
    made.apply([keras.ops.array([1.0])], [variable])
    assert float(variable[0]) < 1


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "constant"])
def test_every_schedule_stays_between_zero_and_its_peak(schedule):
    recipe = Recipe(epochs=20, learning_rate=0.1, learning_rate_schedule=schedule)
    rates = [float(recipe.make_schedule(10)(step)) for step in range(200)]
    assert max(rates) == pytest.approx(0.1)
    assert min(rates) > 0
    assert rates[-1] == min(rates)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_rises_evenly_to_the_peak(schedule):
    recipe = Recipe(
        epochs=10, learning_rate=0.1, learning_rate_schedule=schedule, warmup_epochs=1.5
    )
    rates = np.array([float(recipe.make_schedule(10)(step)) for step in range(100)])
    assert rates[15] == pytest.approx(0.1) == rates.max()
    np.testing.assert_allclose(np.diff(rates[:16]), np.diff(rates[:16])[0], rtol=1e-4)
    assert rates[99] == pytest.approx(0.1 if schedule == "constant" else 0, abs=1e-3)


def test_functions_are_told_apart_by_what_they_do():
    def scaled(by):
        return lambda images, rng: images * by

    def shifted(images, rng, by):
        return images + by

    named = [scaled(1), scaled(2), lambda images, rng: images + 1, Augment(flip=True).__call__]
    named += [Augment(shift=1).__call__, functools.partial(shifted, by=1)]
    named += [functools.partial(shifted, by=2)]
    assert len({describe_function(function) for function in named}) == len(named)
    assert describe_function(scaled(1)) == describe_function(scaled(1))


class Times:
    __slots__ = ("by",)

    def __init__(self, by):
        self.by = by

    def __call__(self, images, rng):
        return self._times(images)

    def _times(self, images):
        return images * self.by


class More(Times):
    def _times(self, images):
        return images + self.by


class Round:
    def __init__(self, layer):
        self.me, self.layer = self, layer

    def __call__(self, images, rng):
        return np.asarray(self.layer(images))


def test_objects_are_told_apart_by_what_they_do():
    def plain(images, rng, *, by=1, table=None):
        return images * by

    flips = [keras.layers.RandomFlip(seed=seed) for seed in (1, 2)]
    tables = [keras.ops.ones(5000), keras.ops.arange(5000.0), np.ones((2, 3)), np.ones((3, 2))]
    named = [Times(1), Times(2), More(1), plain, functools.partial(plain, by=2), *flips]
    named += [functools.partial(plain, table=table) for table in tables]
    named += [Round(flip) for flip in flips]
    assert len({describe_function(function) for function in named}) == len(named)
    assert describe_function(Round(flips[0])) == describe_function(Round(flips[0]))
    assert describe_function(shifted_by(1)) != describe_function(shifted_by(2))


def shifted_by(number):
    def shifted(images, rng, *, by=number):
        return images + by

    return shifted


PROGRAM = """
from zoo.training.fingerprint import describe_function
FACTOR = {factor}
def helper(images):
    return images * FACTOR
def augment(images, rng, mode="nearest"):
    return helper(images) if mode in {{"constant", "nearest", "wrap", "mirror"}} else images
print(describe_function(augment))
"""


def test_a_function_has_one_description_in_all_processes():
    def described(factor, seed):
        program, hashing = PROGRAM.format(factor=factor), {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=hashing, capture_output=True, check=True).stdout

    assert described(1, "1") == described(1, "2") != described(2, "1")


def test_another_augmentation_is_not_resumed(digits, tmp_path):
    def options(by):
        return dict(epochs=1, augment=lambda images, rng: images * by, directory=tmp_path, **QUICK)

    zoo.train("mlp_tiny", digits, **options(1.0))
    with pytest.raises(ValueError, match=r"recipe\.augment"):
        zoo.train("mlp_tiny", digits, resume=True, **options(0.5))


def test_other_images_with_the_same_labels_are_not_resumed(digits, tmp_path):
    def data(images):
        return zoo.load_data((images, digits.train.labels))

    images, options = digits.train.examples(), dict(epochs=1, directory=tmp_path, **QUICK)
    zoo.train("mlp_tiny", data(images), **options)
    with pytest.raises(ValueError, match="parts"):
        zoo.train("mlp_tiny", data(1 - images), resume=True, **options)


def test_early_stopping_keeps_scores_and_resumes_by_the_best_weights(digits, tmp_path):
    options = dict(
        epochs=60, early_stopping=2, learning_rate=0.02, optimizer="sgd", batch_size=256, **QUICK
    )
    whole = zoo.train("mlp_tiny", digits, directory=tmp_path / "whole", **options)
    scores = whole.history["val_accuracy"]
    best = int(np.argmax(scores))
    assert len(scores) == best + 3 < 60
    found = whole.task.evaluate(whole.model, digits.validation)
    assert found["accuracy"] == pytest.approx(scores[best])

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 5 * (best + 1) + 2:
                raise KeyboardInterrupt

    cut = dict(options, directory=tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt) as interrupt:
        zoo.train("mlp_tiny", digits, callbacks=[Stop()], **cut)
    assert "resume=True" in interrupt.value.__notes__[0]
    resumed = zoo.train("mlp_tiny", digits, resume=True, **cut)
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("ours", [True, False])
def test_a_run_that_stopped_early_is_complete_on_resume(ours, digits, tmp_path, monkeypatch):
    def options():
        stop = keras.callbacks.EarlyStopping(patience=1, min_delta=9, restore_best_weights=True)
        told = dict(early_stopping=2) if ours else dict(callbacks=[stop])
        return dict(epochs=40, learning_rate=0.1, optimizer="sgd", directory=tmp_path, **told)

    whole = zoo.train("mlp_tiny", digits, **options(), **QUICK)
    (tmp_path / "metrics.json").unlink()  # as a kill before the evaluation leaves it
    monkeypatch.setattr("zoo.training.train.fit_model", None)  # it must not train on
    again = zoo.train("mlp_tiny", digits, resume=True, **options(), **QUICK)
    assert again.metrics == whole.metrics
    assert len(again.history["loss"]) == len(whole.history["loss"]) < 40


def test_a_finished_run_goes_on_for_more_epochs(digits, tmp_path):
    options = dict(directory=tmp_path, **QUICK)
    first = zoo.train("mlp_tiny", digits, epochs=2, **options)
    more = zoo.train("mlp_tiny", digits, epochs=4, resume=True, **options)
    whole = zoo.train("mlp_tiny", digits, epochs=4, **dict(options, directory=tmp_path / "whole"))
    assert more.history == whole.history
    assert more.metrics == whole.metrics != first.metrics
    assert load_run(tmp_path).recipe.epochs == 4
    with pytest.raises(ValueError, match="epochs"):
        zoo.train("mlp_tiny", digits, epochs=3, resume=True, **options)


def test_a_run_that_blew_up_begins_anew_in_its_directory(digits, tmp_path):
    options = dict(epochs=3, optimizer="sgd", directory=tmp_path, **QUICK)
    with pytest.raises(FloatingPointError, match="overwrite=True"):
        zoo.train("mlp_tiny", digits, learning_rate=1e30, **options)
    (options["directory"] / "notes.txt").write_text("mine")
    run = zoo.train("mlp_tiny", digits, learning_rate=0.1, overwrite=True, **options)
    assert (run.directory / "notes.txt").read_text() == "mine"
    assert run.is_complete


def test_class_weights_and_smoothing_change_what_is_learned(digits, tmp_path):
    few = np.flatnonzero((digits.train.labels != 0) | (np.arange(len(digits.train)) % 20 == 0))
    data = zoo.Dataset(
        "few", digits.train.subset(few), digits.validation, digits.test, digits.class_names
    )
    task = zoo.tasks.get("classification")
    weights = task.class_weights(data, "balanced")
    counts = np.bincount(data.train.labels)
    np.testing.assert_allclose([weights[n] * counts[n] for n in range(10)], len(few) / 10)
    assert task.class_weights(data, {"3": 5.0, 4: 0.5})[3] == 5.0
    # A weight of 0 leaves a class out: nothing is taken for it.
    options = dict(epochs=8, learning_rate=0.01, class_weight={"3": 0.0}, **QUICK)
    run = zoo.train("mlp_tiny", digits, directory=tmp_path / "none", **options)
    assert "3" not in run.predict(digits.test.examples())["class"]
    smooth = zoo.train(
        "mlp_tiny",
        digits,
        directory=tmp_path / "smooth",
        **dict(options, class_weight=None, label_smoothing=0.3),
    )
    found = smooth.predict(digits.test.examples())
    assert smooth.metrics["accuracy"] > 0.9
    assert found["probability"].mean() < 0.9


def test_own_models_and_optimizers_train(digits, tmp_path):
    def net():
        return keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
        )

    adam = keras.optimizers.Adam(0.01)
    options = dict(task="classification", epochs=6, **QUICK)
    run = zoo.train(net(), digits, optimizer=adam, directory=tmp_path / "a", **options)
    assert run.metrics["accuracy"] > 0.8
    assert not adam.built  # each training takes a copy
    compiled = net()
    compiled.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = zoo.train(compiled, digits, directory=tmp_path / "b", **options)
    assert type(run.model.optimizer) is keras.optimizers.SGD
    with pytest.raises(ValueError, match="is compiled"):
        zoo.train(compiled, digits, learning_rate=0.5, directory=tmp_path / "c", **options)
    with pytest.raises(ValueError, match="needs a `task`"):
        zoo.train(net(), digits, directory=tmp_path / "c")
    few = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="has 10 classes"):
        zoo.train(few, digits, directory=tmp_path / "c", **options)


def test_chance_and_short_trainings_are_told(digits, tmp_path):
    with pytest.warns(UserWarning, match="commonest class") as told:
        zoo.train(
            "mlp_tiny", digits, epochs=1, learning_rate=1e-9, directory=tmp_path / "a", **QUICK
        )
    words = " ".join(str(warning.message) for warning in told)
    assert "20 steps only" in words


def test_precision_scope_restores_the_policy_after_an_error():
    with pytest.raises(RuntimeError), precision_scope("mixed_bfloat16"):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"AuthenticAMD", "avx512_bf16"}, "mixed_bfloat16"),
        ({"GenuineIntel", "avx512_bf16", "amx_bf16"}, "mixed_bfloat16"),
        ({"GenuineIntel", "avx512_bf16"}, "float32"),  # one and a half times as slow in bfloat16
        ({"AuthenticAMD", "avx2"}, "float32"),
        (set(), "float32"),
    ],
)
def test_automatic_precision_is_the_faster_one(monkeypatch, processor, expected):
    monkeypatch.setattr("zoo.training.precision._cpu_words", lambda: processor)
    assert resolve_precision("auto") == expected


def test_the_processors_maker_and_features_are_read():
    try:
        told = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        pytest.skip("the operating system does not tell")
    known = {"AuthenticAMD", "GenuineIntel", "fpu", "avx512_bf16", "amx_bf16"}
    assert _cpu_words() & known == known & set(told)
