import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.export import ExportError, export_saved_model
from zoo.files import new_directory

IMAGES = np.random.default_rng(1).random((5, 12, 12, 1), dtype="float32")


def classifier() -> keras.Model:
    """About a million parameters, batch statistics that differ from their start, dropout."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(860, "relu", name="features")(x)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(image, keras.layers.Dense(10, "softmax", name="probabilities")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(IMAGES, np.arange(5), epochs=2, verbose=0)
    return model


def small_model(*layers: keras.Layer) -> keras.Model:
    image = keras.Input((4, 4, 1), name="image")
    x = image
    for layer in layers:
        x = layer(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax", name="probabilities")(x))


@pytest.fixture(scope="module")
def model():
    return classifier()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export_saved_model(model, tmp_path_factory.mktemp("served") / "deep" / "digits")


def run_python(program: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_result_describes_the_export(model, exported):
    assert exported.signatures == {
        "serving_default": {
            "inputs": {"image": (None, 12, 12, 1)},
            "outputs": {"probabilities": (None, 10)},
        }
    }
    assert exported.max_difference <= 1e-5
    assert exported.parameters == model.count_params() > 1e6
    files = [file for file in exported.path.rglob("*") if file.is_file()]
    assert exported.size_bytes == sum(file.stat().st_size for file in files)
    assert exported.seconds > 0


def test_each_weight_is_stored_once(exported):
    data_files = list((exported.path / "variables").glob("variables.data-*"))
    assert exported.weight_bytes == sum(file.stat().st_size for file in data_files)
    assert 1 <= exported.weight_bytes / (4 * exported.parameters) <= 1.05


def test_other_users_may_read_the_export(exported):
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(exported.path.stat().st_mode) == 0o777 & ~umask
    assert os.listdir(exported.path.parent) == ["digits"]


def test_a_plain_client_gets_the_models_numbers(model, exported, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    client = """if True:
        import sys, numpy, tensorflow as tf
        directory, images, outputs = sys.argv[1:]
        loaded = tf.saved_model.load(directory)
        served = loaded.signatures["serving_default"](image=tf.constant(numpy.load(images)))
        numpy.save(outputs, served["probabilities"])
    """
    finished = run_python(client, exported.path, tmp_path / "images.npy", tmp_path / "outputs.npy")
    assert finished.returncode == 0, finished.stderr
    served = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(served, model.predict(IMAGES, verbose=0), atol=1e-6)


def test_saved_model_cli_runs_the_export(model, exported, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    console_script = Path(sys.executable).with_name("saved_model_cli")
    if not console_script.exists():
        pytest.skip("TensorFlow's console script saved_model_cli is not installed")
    arguments = f"run --dir {exported.path} --tag_set serve --signature_def serving_default"
    arguments += f" --inputs image={tmp_path}/images.npy --outdir {tmp_path}"
    finished = subprocess.run([console_script, *arguments.split()], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    served = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(served, model.predict(IMAGES, verbose=0), atol=1e-6)


def test_a_second_export_with_more_signatures_leaves_the_model_alone(
    model, exported, tmp_path, capfd
):
    weights = [weight.numpy() for weight in model.weights]
    optimizer_state = [variable.numpy() for variable in model.optimizer.variables]
    losses = model.evaluate(IMAGES, np.arange(5), verbose=0)
    encoder = keras.Model(model.input, model.get_layer("features").output)
    capfd.readouterr()

    result = export_saved_model(model, tmp_path / "again", signatures={"encode": encoder})

    assert capfd.readouterr() == ("", "")
    assert set(result.signatures) == {"serving_default", "encode"}
    assert result.signatures["encode"]["outputs"] == {"features": (None, 860)}
    assert result.parameters == exported.parameters
    assert result.weight_bytes <= 1.01 * exported.weight_bytes
    loaded = tf.saved_model.load(result.path)
    features = loaded.signatures["encode"](image=tf.constant(IMAGES))["features"]
    np.testing.assert_allclose(features, encoder.predict(IMAGES, verbose=0), atol=1e-5)
    for before, weight in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(before, weight.numpy())
    for before, variable in zip(optimizer_state, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())
    assert model.evaluate(IMAGES, np.arange(5), verbose=0) == losses
    model.fit(IMAGES, np.arange(5), verbose=0)  # still compiled


def test_two_inputs_in_bfloat16_are_served_by_name_in_float32(tmp_path):
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    left, right = keras.Input((None, 6), name="left"), keras.Input((6,), name="right")
    trunk = keras.layers.Dense(32, "relu", dtype=policy)
    code = trunk(right)
    pooled = keras.layers.GlobalAveragePooling1D(dtype=policy)(trunk(left))
    distance = keras.layers.Subtract(dtype=policy)([pooled, code])
    model = keras.Model({"right": right, "left": left}, {"distance": distance, "code": code})
    result = export_saved_model(model, tmp_path / "pairs")
    assert result.signatures["serving_default"] == {
        "inputs": {"left": (None, None, 6), "right": (None, 6)},
        "outputs": {"distance": (None, 32), "code": (None, 32)},
    }
    assert result.max_difference <= 2e-2
    pairs = {"left": np.ones((2, 7, 6), "float32"), "right": np.zeros((2, 6), "float32")}
    served = tf.saved_model.load(result.path).signatures["serving_default"](
        **{name: tf.constant(array) for name, array in pairs.items()}
    )
    expected = model(pairs)
    for name, output in served.items():
        assert output.dtype == tf.float32
        np.testing.assert_allclose(output, tf.cast(expected[name], "float32"), atol=2e-2)
    assert not np.any(served["code"])  # right is all zeros ...
    assert np.max(served["distance"]) > 0.1  # ... and left is not


def test_lookup_tables_travel_with_a_sequential_model(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((), dtype="string", name="text"),
            keras.layers.TextVectorization(vocabulary=["to", "be"], output_mode="multi_hot"),
            keras.layers.Dense(4, name="features"),
        ]
    )
    result = export_saved_model(model, tmp_path / "texts")
    served = tf.saved_model.load(result.path).signatures["serving_default"]
    texts = tf.constant(["to be", "Be!", "or not"])
    features = served(text=texts)["features"]
    np.testing.assert_allclose(features, model.predict(texts, verbose=0), atol=1e-6)
    assert len(np.unique(features[:, 0])) == 3


class GraphModeOffset(keras.layers.Layer):
    """Adds `offset` only where TensorFlow traces a graph, so that only an export has it."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def call(self, inputs):
        return inputs if tf.executing_eagerly() else inputs + self.offset


def test_a_different_export_is_refused_with_figures(tmp_path):
    model = small_model(GraphModeOffset(3.0))
    figures = r"batch of 3, output 'probabilities': differs by 0\.\d+, allowed 1e-05"
    with pytest.raises(ExportError, match=figures):
        export_saved_model(model, tmp_path / "made" / "here")
    assert os.listdir(tmp_path) == []


def test_a_larger_tolerance_can_be_asked_for(tmp_path):
    model = small_model(GraphModeOffset(1e-3))
    assert 1e-5 < export_saved_model(model, tmp_path / "near", tolerance=0.1).max_difference < 0.1


def test_outputs_that_are_not_finite_are_refused(tmp_path):
    model = small_model(keras.layers.Rescaling(float("inf")))
    with pytest.raises(ExportError, match=r"NaN or infinite.*serving_default/1/outputs"):
        export_saved_model(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []


class FailsWhenTraced(keras.layers.Layer):
    error: type[BaseException] | None = None

    def call(self, inputs):
        if self.error and not tf.executing_eagerly():
            raise self.error
        return inputs


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_export_leaves_nothing(tmp_path, error):
    layer = FailsWhenTraced()
    model = small_model(layer)
    layer.error = error
    with pytest.raises(error):
        export_saved_model(model, tmp_path / "new" / "model")
    assert os.listdir(tmp_path) == []


def test_an_interrupted_directory_leaves_nothing(tmp_path):
    def interrupted():
        with new_directory(tmp_path / "new" / "model") as draft:
            (draft / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_a_killed_export_leaves_no_target(tmp_path):
    program = """if True:
        import sys, keras
        from zoo.export import export_saved_model
        image = keras.Input((4,), name="image")
        model = keras.Model(image, keras.layers.Dense(2000, name="features")(image))
        export_saved_model(model, sys.argv[1])
    """
    target = tmp_path / "model"
    process = subprocess.Popen(
        [sys.executable, "-c", program, target], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not os.listdir(tmp_path):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".tmp-")
    with new_directory(target) as draft:  # the path is still free
        (draft / "file").write_text("whole")
    assert (target / "file").read_text() == "whole"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("kind", ["file", "empty directory", "dangling link"])
def test_an_existing_target_is_never_touched(tmp_path, kind):
    target = tmp_path / "model"
    if kind == "file":
        target.write_text("mine")
    elif kind == "empty directory":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="choose another path, or delete it"):
        export_saved_model(small_model(), target)
    assert os.listdir(tmp_path) == ["model"]


def test_a_target_that_appears_meanwhile_is_never_touched(tmp_path):
    with pytest.raises(FileExistsError), new_directory(tmp_path / "model"):
        (tmp_path / "model").mkdir()
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("parent", "error", "message"),
    [("a_file", NotADirectoryError, "is a file"), ("/proc/none", OSError, "choose another")],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path, parent, error, message):
    (tmp_path / "a_file").write_text("")
    with pytest.raises(error, match=message):
        export_saved_model(small_model(), tmp_path / parent / "deeper" / "model")


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def called(model: keras.Model) -> keras.Model:
    model(np.zeros((1, 4), "float32"))
    return model


def diverged() -> keras.Model:
    model = small_model()
    kernel = model.get_layer("probabilities").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    return model


def one_layer_two_outputs() -> keras.Model:
    image = keras.Input((4,), name="image")
    return keras.Model(image, keras.layers.LSTM(2, return_state=True)(image[:, None])[:2])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: "model.keras", TypeError, "needs a keras.Model, received"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), ValueError, "call it on a batch"),
        (Subclassed, ValueError, "is not built"),
        (lambda: called(Subclassed()), ValueError, "Wrap it"),
        (diverged, ValueError, "NaN or infinite values: probabilities/kernel"),
        (one_layer_two_outputs, ValueError, "Give each output a layer of its own"),
    ],
)
def test_a_model_that_cannot_be_exported_is_refused(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        export_saved_model(make(), tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_signatures_are_checked_before_any_work(tmp_path):
    model = small_model()
    for signatures, error, message in [
        ({"serving_default": small_model()}, ValueError, "another model"),
        ({"my-encoder": model}, ValueError, "'my-encoder' cannot be served by name"),
        ({"encode": "encoder"}, TypeError, "signature 'encode' needs a keras.Model"),
        ({"encode": diverged()}, ValueError, "NaN"),
    ]:
        with pytest.raises(error, match=message):
            export_saved_model(model, tmp_path / "model", signatures=signatures)
    assert os.listdir(tmp_path) == []


def test_another_backend_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")  # JAX itself is not installed
    with pytest.raises(RuntimeError, match=r"runs on 'jax'.*KERAS_BACKEND=tensorflow"):
        export_saved_model(small_model(), tmp_path / "model")
    assert os.listdir(tmp_path) == []
