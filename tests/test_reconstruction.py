"""The reconstruction task: what it trains, measures, draws, refuses, and lets a search pay for."""

import keras
import numpy as np
import pytest

import tuning
import zoo
import zoo.tasks
from zoo.data import Dataset, Part
from zoo.tasks import ReconstructionTask


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "digits"
    return zoo.train(
        "dense_autoencoder_tiny",
        digits,
        arguments={"kind": "denoising", "latent_dim": 8, "noise_level": 0.1},
        epochs=12,
        learning_rate=5e-3,
        directory=directory,
        verbose=0,
    )


def test_a_run_is_for_the_task_that_the_model_is_registered_for(run):
    assert run.config["task"] == "reconstruction"
    assert {"loss", "mse", "mae", "psnr", "ssim"} <= set(run.metrics)
    assert run.metrics["mse"] < 0.03
    assert run.metrics["ssim"] > 0.8
    assert run.history["val_psnr"][-1] > run.history["val_psnr"][0] + 2


def test_a_loaded_run_gives_the_same_images(run, digits):
    images = digits.test.examples(np.arange(20))
    again = zoo.load_run(run.directory)
    np.testing.assert_array_equal(
        run.model.predict(images, verbose=0), again.model.predict(images, verbose=0)
    )
    evaluated = ReconstructionTask().evaluate(again.model, digits.test)
    assert evaluated == pytest.approx(dict(run.metrics), rel=1e-5)


def test_a_killed_run_goes_on_to_the_same_numbers(digits, tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    arguments = {"kind": "variational", "latent_dim": 3}
    common = dict(arguments=arguments, epochs=4, verbose=0)
    name = "dense_autoencoder_tiny"
    whole = zoo.train(name, digits, directory=tmp_path / "whole", **common)
    with pytest.raises(KeyboardInterrupt):
        zoo.train(name, digits, directory=tmp_path / "killed", callbacks=[Kill()], **common)
    resumed = zoo.train(name, digits, directory=tmp_path / "killed", resume=True, **common)
    assert resumed.metrics == whole.metrics
    assert resumed.history == whole.history


def test_pictures_show_images_steps_and_codes(run, digits, tmp_path):
    pictures = ReconstructionTask().draw(run.model, digits, tmp_path)
    names = [path.name for path in pictures]
    assert names == ["reconstructions.png", "interpolations.png", "codes.png"]
    assert all(path.stat().st_size > 5000 for path in pictures)


def test_images_without_labels_will_do(digits, tmp_path):
    images = digits.train.examples(np.arange(200))
    data = zoo.load_data((images, None))
    run = zoo.train("dense_autoencoder_tiny", data, directory=tmp_path / "run", verbose=0)
    assert len(run.history["loss"]) == 10
    assert len(ReconstructionTask().draw(run.model, data, tmp_path)) == 3
    pairs = zoo.load_data(((images[:100], None), (images[100:], None)))
    np.testing.assert_array_equal(pairs.test.examples(np.arange(100)), images[100:])
    with pytest.raises(ValueError, match="have no labels, a single class"):
        zoo.train("mlp_tiny", data, directory=tmp_path / "labels", verbose=0)
    assert not (tmp_path / "labels").exists()
    for first, second in ((None, np.arange(100) % 2), (np.arange(100) % 2, None)):
        with pytest.raises(ValueError, match="give both, or neither"):
            zoo.load_data(((images[:100], first), (images[100:], second)))


def test_batches_are_the_images_twice_in_the_parts_own_order(digits):
    task = ReconstructionTask()
    options = dict(seed=3, augment=lambda images, rng: images * rng.random())
    plain = list(digits.train.batches(100, **options))
    model = zoo.create("dense_autoencoder_tiny", input_shape=digits.input_shape)
    paired = list(task.batches(model, digits.train, 100, **options))
    assert len(plain) == len(paired)
    for (images, _), (inputs, targets) in zip(plain, paired, strict=True):
        np.testing.assert_array_equal(images, inputs)
        np.testing.assert_array_equal(images, targets)


def own_autoencoder():
    parts = [keras.layers.Flatten(), keras.layers.Dense(64, "sigmoid")]
    return keras.Sequential([keras.Input((8, 8, 1)), *parts, keras.layers.Reshape((8, 8, 1))])


@pytest.mark.parametrize("is_compiled", [True, False])
def test_an_autoencoder_of_ones_own_needs_no_halves(is_compiled, digits, tmp_path):
    model = own_autoencoder()
    if is_compiled:
        model.compile("adam", "mse")
    options = dict(directory=tmp_path / "run", epochs=1, verbose=0)
    run = zoo.train(model, digits, task="reconstruction", **options)
    again = zoo.load_run(tmp_path / "run")
    assert again.predict(digits.test.examples([0]))["reconstruction"].shape == (1, 8, 8, 1)
    assert list(run.task.signatures(run.model)) == ["serving_default"]
    (picture,) = run.task.draw(run.model, digits, tmp_path)
    assert picture.name == "reconstructions.png"


def test_models_and_data_that_do_not_fit_are_refused(digits, tmp_path):
    with pytest.raises(ValueError, match=r"rebuilds examples of shape \(8, 8, 1\) as \(10,\)"):
        ReconstructionTask().check(zoo.mlp((8, 8, 1)), digits)
    with pytest.raises(ValueError, match="`latent_price` is for models with layers `encoder`"):
        ReconstructionTask(latent_price=0.1).check(own_autoencoder(), digits)
    with pytest.raises(ValueError, match=r"\(28, 28, 1\), but data 'digits'"):
        ReconstructionTask().check(zoo.dense_autoencoder(), digits)
    labels = np.arange(20) % 2
    bright = Part(np.full((20, 8, 8, 1), 255, "float32"), labels)
    data = Dataset("bright", bright, bright, bright, ("no", "yes"))
    with pytest.raises(ValueError, match=r"values in \[0, 1\]; those of 'bright' reach from 255"):
        zoo.train("dense_autoencoder_tiny", data, directory=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="`latent_price`"):
        ReconstructionTask(latent_price=-1)


def test_a_price_makes_a_search_choose_a_shorter_code(digits, tmp_path):
    common = dict(
        tuner="grid",
        max_trials=3,
        epochs=8,
        arguments={"hidden_units": (32,), "kind": "plain"},
        fixed={"learning_rate": 5e-3, "optimizer": "adam", "batch_size": 32, "dropout": 0.0},
        ranges={
            "latent_dim": [2, 8, 32],
            "activation": ["relu"],
            "batch_norm": [False],
            "tied": [False],
            "skip_connections": [False],
            "learning_rate_schedule": ["constant"],
        },
        verbose=0,
    )
    chosen = {}
    for price in (0.0, 0.3):
        task = ReconstructionTask(latent_price=price)
        result = tuning.search(
            "dense_autoencoder", digits, task=task, directory=tmp_path / str(price), **common
        )
        chosen[price] = result.best_arguments["latent_dim"]
        assert result.objective == task.objective
    assert chosen == {0.0: 32, 0.3: 8}
