"""Runs: what they write, that they can be killed and resumed, that bad input changes nothing."""

import json
import os
import platform
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import zoo
from zoo.data.augment import Augment

OPTIONS = dict(
    epochs=4,
    learning_rate=3e-3,
    learning_rate_schedule="cosine",
    arguments=dict(dropout=0.2),
    augment=Augment(shift=1),
    precision="float32",
    verbose=0,
)

RECIPE = ("epochs", "learning_rate", "learning_rate_schedule", "augment", "precision")


class Stop(keras.callbacks.Callback):
    """Ends a training as an exception in the middle of an epoch does."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 5 and int(self.model.optimizer.iterations) > self.epoch * 20:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole_run(digits, tmp_path_factory):
    return zoo.train(
        "cascade_cnn_tiny", digits, directory=tmp_path_factory.mktemp("runs") / "whole", **OPTIONS
    )


def test_a_run_writes_what_it_did(whole_run, digits):
    files = {path.name for path in whole_run.directory.glob("[!.]*")}
    assert files == {"config.json", "health.json", "history.csv", "metrics.json", "model.keras"}
    config = json.loads((whole_run.directory / "config.json").read_text())
    assert config["model"] == "cascade_cnn_tiny"
    assert config["arguments"] == {"input_shape": [8, 8, 1], "num_classes": 10, "dropout": 0.2}
    assert config["data"]["class_names"] == list("0123456789")
    assert whole_run.recipe == zoo.Recipe(**{k: OPTIONS[k] for k in RECIPE})
    assert config["versions"]["keras"] == keras.__version__
    rebuilt = zoo.create(config["model"], **config["arguments"])
    assert rebuilt.count_params() == whole_run.model.count_params()
    assert len(whole_run.history["loss"]) == 4
    assert whole_run.history["learning_rate"] == pytest.approx(
        [0.002561, 0.0015, 0.000439, 0],
        rel=1e-3,
        abs=1e-9,  # at the epochs' ends
    )
    predicted = whole_run.model.predict(digits.test.batches(64), verbose=0).argmax(axis=-1)
    assert whole_run.metrics["accuracy"] == pytest.approx((predicted == digits.test.labels).mean())


def test_load_run_gives_the_same_run(whole_run, digits):
    again = zoo.load_run(whole_run.directory)
    assert again.history == whole_run.history
    assert again.metrics == whole_run.metrics
    images = digits.test.examples(range(20))
    np.testing.assert_array_equal(
        again.model.predict(images, verbose=0), whole_run.model.predict(images, verbose=0)
    )


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(whole_run, digits, tmp_path):
    same = zoo.train("cascade_cnn_tiny", digits, directory=tmp_path / "same", **OPTIONS)
    other = zoo.train("cascade_cnn_tiny", digits, directory=tmp_path / "other", seed=1, **OPTIONS)
    assert same.history == whole_run.history
    assert same.metrics == whole_run.metrics
    assert other.history != whole_run.history


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_an_interrupted_run_resumes_to_the_same_numbers(precision, digits, tmp_path):
    options = {**OPTIONS, "precision": precision, "arguments": dict(dropout=0.2, filters=(4, 4))}
    whole = zoo.train("cascade_cnn_tiny", digits, directory=tmp_path / "whole", **options)
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        zoo.train("cascade_cnn_tiny", digits, directory=cut, callbacks=[Stop(2)], **options)
    assert (cut / "history.csv").read_text().count("\n") == 1 + 2
    assert not (cut / "metrics.json").exists()
    so_far = zoo.load_run(cut)
    assert not so_far.is_complete
    assert so_far.history == {name: values[:2] for name, values in whole.history.items()}
    resumed = zoo.train("cascade_cnn_tiny", digits, directory=cut, resume=True, **options)
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics


def test_a_killed_process_leaves_a_run_that_resumes(digits, tmp_path):
    program = (
        "import sys, zoo\nfrom zoo.data.augment import Augment\n"
        "zoo.train('cascade_cnn_tiny', zoo.load_data('digits'), directory=sys.argv[1],\n"
        "          epochs=400, learning_rate=3e-3, precision='float32', verbose=0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path])
    try:
        _wait_for(lambda: _epochs_in(tmp_path) >= 3, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = _epochs_in(tmp_path)
    seen = []
    on_begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    with pytest.raises(KeyboardInterrupt):
        zoo.train(
            "cascade_cnn_tiny",
            digits,
            directory=tmp_path,
            epochs=400,
            learning_rate=3e-3,
            precision="float32",
            verbose=0,
            resume=True,
            callbacks=[on_begin, Stop(0)],
        )
    # The history is written before the model: the model may be behind, never ahead.
    assert 0 < seen[0] <= done


def _epochs_in(directory):
    history = directory / "history.csv"
    return history.read_text().count("\n") - 1 if history.exists() else 0


def _wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_streamed_folder_trains_and_resumes_to_the_same_numbers(digits, tmp_path):
    for index in range(90):
        label = digits.train.labels[index] % 3
        folder = tmp_path / "images" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(folder / f"{index}.png", digits.train.examples([index])[0])
    data = zoo.load_data(tmp_path / "images", color="grey")
    options = dict(epochs=3, batch_size=16, precision="float32", verbose=0)

    class StopInTheSecondEpoch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 6:
                raise KeyboardInterrupt

    whole = zoo.train("mlp_tiny", data, directory=tmp_path / "whole", **options)
    options["directory"] = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        zoo.train("mlp_tiny", data, callbacks=[StopInTheSecondEpoch()], **options)
    assert zoo.train("mlp_tiny", data, resume=True, **options).history == whole.history


def test_resuming_a_complete_run_only_loads_it(whole_run, digits):
    before = (whole_run.directory / "model.keras").stat().st_mtime_ns
    again = zoo.train(
        "cascade_cnn_tiny", digits, directory=whole_run.directory, resume=True, **OPTIONS
    )
    assert again.metrics == whole_run.metrics
    assert (whole_run.directory / "model.keras").stat().st_mtime_ns == before


def test_a_directory_in_use_is_refused(whole_run, digits):
    with pytest.raises(FileExistsError, match="resume what it holds"):
        zoo.train("cascade_cnn_tiny", digits, directory=whole_run.directory, **OPTIONS)


def test_resuming_with_other_arguments_names_them(whole_run, digits):
    options = {**OPTIONS, "learning_rate": 0.5}
    with pytest.raises(ValueError, match=r"learning_rate: 0.003 then, 0.5 now"):
        zoo.train("cascade_cnn_tiny", digits, directory=whole_run.directory, resume=True, **options)


def test_a_diverging_run_keeps_its_last_good_model(digits, tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.trainable_variables[0].assign(np.nan * self.model.trainable_variables[0])

    with pytest.raises(FloatingPointError, match=r"epoch 2.*holds the model after epoch 1"):
        zoo.train("mlp_tiny", digits, epochs=3, directory=tmp_path, callbacks=[Poison()], verbose=0)
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


BAD_OPTIONS = [
    ("`data` must be", dict(data="digits")),
    ("`epochs`", dict(epochs=0)),
    ("`batch_size`", dict(batch_size=2.5)),
    ("`optimizer`", dict(optimizer="adamm")),
    ("`learning_rate`", dict(learning_rate=-1)),
    ("`learning_rate`", dict(learning_rate=float("nan"))),
    ("`momentum`", dict(momentum=1.0)),
    ("`weight_decay`", dict(weight_decay=-0.1)),
    ("`learning_rate_schedule`", dict(learning_rate_schedule="cosin")),
    ("`precision`", dict(precision="bfloat16")),
    ("`seed`", dict(seed=-1)),
    ("`seed`", dict(seed=2**40)),
    ("`augment`", dict(augment="flip")),
    ("`learning_rate`", dict(learning_rate="0.1")),
    ("`weight_decay`", dict(weight_decay=None)),
    ("`task`", dict(task="regresion")),
    ("regression needs real numbers", dict(task="regression")),
    ("no value 'learning_rat'", dict(learning_rat=0.1)),
    ("`warmup_epochs`", dict(warmup_epochs=1, learning_rate_schedule="exponential")),
    ("`class_weight` names the class 'x'", dict(class_weight={"x": 2.0})),
    ("`class_weight`", dict(class_weight="even")),
    ("`label_smoothing`", dict(label_smoothing=1.0)),
    ("`early_stopping`", dict(early_stopping=0)),
    ("brings `learning_rate`", dict(optimizer=keras.optimizers.Adam(), learning_rate=0.1)),
    ("Unknown model", dict(model="cascade")),
    ("no argument 'filter'", dict(arguments=dict(filter=(8,)))),
    ("`arguments`", dict(arguments=dict(activation=keras.ops.relu))),
    ("has 10 classes", dict(arguments=dict(num_classes=3))),
    ("has \\(8, 8, 1\\)", dict(arguments=dict(input_shape=(16, 16, 1)))),
]


@pytest.mark.parametrize(("message", "options"), BAD_OPTIONS)
def test_bad_options_are_refused_before_anything_is_written(message, options, digits, tmp_path):
    options = {"model": "cascade_cnn_tiny", "verbose": 0, **options}
    with pytest.raises(ValueError, match=message):
        zoo.train(**{"data": digits, **options}, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_early_stopping_leaves_the_model_that_was_judged(digits, tmp_path):
    stop = keras.callbacks.EarlyStopping(patience=1, min_delta=10.0, restore_best_weights=True)
    options = dict(epochs=6, learning_rate=0.5, optimizer="sgd", directory=tmp_path, verbose=0)
    run = zoo.train("mlp_tiny", digits, callbacks=[stop], **options)
    assert len(run.history["loss"]) < 6
    for ours, loaded in zip(
        run.model.get_weights(), zoo.load_run(tmp_path).model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, loaded)


def test_a_constant_rate_leaves_the_rate_to_callbacks(digits, tmp_path):
    reduce = keras.callbacks.ReduceLROnPlateau(patience=0, min_delta=100, factor=0.5)
    options = dict(epochs=3, verbose=0, callbacks=[reduce])
    run = zoo.train("mlp_tiny", digits, directory=tmp_path / "a", **options)
    assert run.history["learning_rate"] == pytest.approx([1e-3, 1e-3, 5e-4])
    with pytest.raises(ValueError, match="both set the learning rate"):
        zoo.train(
            "mlp_tiny",
            digits,
            directory=tmp_path / "b",
            learning_rate_schedule="cosine",
            **options,
        )


def test_a_callback_may_log_in_some_epochs_only(digits, tmp_path):
    class Sometimes(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch % 2:
                logs["extra"] = 7.0

    options = dict(epochs=3, directory=tmp_path, callbacks=[Sometimes()], verbose=0)
    run = zoo.train("mlp_tiny", digits, **options)
    np.testing.assert_array_equal(run.history["extra"], [np.nan, 7, np.nan])
    np.testing.assert_array_equal(zoo.load_run(tmp_path).history["extra"], [np.nan, 7, np.nan])


def test_a_run_is_resumed_on_its_own_data_only(whole_run, tmp_path):
    other = zoo.load_data("digits", seed=1)
    with pytest.raises(ValueError, match=r"parts: .* then, .* now"):
        zoo.train("cascade_cnn_tiny", other, directory=whole_run.directory, resume=True, **OPTIONS)


def test_a_run_with_a_function_as_augmentation_resumes(digits, tmp_path):
    def options():
        return dict(
            epochs=1,
            augment=lambda images, rng: images,
            arguments=dict(hidden_units=(np.int64(4),), name="mine"),
            seed=np.int64(3),
            directory=tmp_path,
            verbose=0,
        )

    run = zoo.train("mlp_tiny", digits, **options())
    assert run.model.name == "mine"
    assert zoo.train("mlp_tiny", digits, resume=True, **options()).metrics == run.metrics


def test_bfloat16_trains_and_gives_float32_probabilities(digits, tmp_path):
    run = zoo.train(
        "cascade_cnn_tiny",
        digits,
        epochs=1,
        precision="mixed_bfloat16",
        directory=tmp_path,
        verbose=0,
    )
    assert run.model.get_layer("block1_conv1").compute_dtype == "bfloat16"
    assert run.model.predict(digits.test.examples(range(3)), verbose=0).dtype == "float32"
    assert all(weight.dtype == "float32" for weight in run.model.get_weights()[:2])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is set")
@pytest.mark.parametrize(
    ("environment", "is_kept"), [({}, True), ({"MALLOC_TOP_PAD_": "0"}, False)]
)
def test_training_keeps_the_memory_that_a_step_frees(environment, is_kept):
    script = """
import resource, numpy as np, zoo.training.memory
print(zoo.training.memory.keep_freed_memory())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    blocks = [np.ones(5 * 2**18) for _ in range(3)]  # 10 MiB each, 2,560 pages
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True)
    set_now, faults = out.stdout.split()
    assert set_now == str(is_kept)
    assert (int(faults) < 10_000) == is_kept


def test_what_callbacks_log_under_the_objective_ends_no_training(digits, tmp_path):
    class Talks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update({"val_accuracy": "bad", "said": "a, b", "a\rb": 1.0})

    options = dict(epochs=2, early_stopping=1, callbacks=[Talks()], directory=tmp_path)
    with pytest.warns(UserWarning, match="left out of the history"):
        run = zoo.train("mlp_tiny", digits, verbose=2, **options)
    assert {"val_accuracy", "said", "a\rb"}.isdisjoint(run.history)
    assert len(zoo.load_run(tmp_path).history["val_loss"]) == 2
