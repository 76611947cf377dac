"""Exports of models of mixed precision: they compute in float32, and say what they are."""

import json
import subprocess
import sys
from collections import OrderedDict

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import zoo
from zoo.export import ExportError
from zoo.export.half_precision import half_operations
from zoo.training.precision import precision_scope


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """The demo's training, cut short."""
    return zoo.train(
        "cascade_cnn",
        digits,
        epochs=1,
        precision="mixed_bfloat16",
        directory=tmp_path_factory.mktemp("run") / "digits",
        verbose=0,
    )


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return run.export(tmp_path_factory.mktemp("served") / "digits")


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.examples(range(20))


@pytest.fixture(scope="module")
def expected(run, images):
    """What the same weights give in a model that never was in another precision."""
    model = zoo.create("cascade_cnn", input_shape=(8, 8, 1), num_classes=10)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    model.set_weights(run.model.get_weights())
    return model.predict(images, verbose=0)


def test_the_export_computes_in_float32_and_the_model_does_not(run, exported, images, expected):
    assert exported.precision == "float32"
    assert exported.max_difference <= 1e-5 < exported.trained_difference < 2e-2
    assert half_operations(exported.path) == []
    assert exported.weight_bytes <= 1.05 * 4 * exported.parameters
    assert "bfloat16" in {layer.compute_dtype for layer in run.model.layers}
    served = tf.saved_model.load(exported.path).signatures["serving_default"]
    outputs = served(image=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_it_becomes_onnx(exported, images, expected, tmp_path):
    file = tmp_path / "model.onnx"
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", exported.path]
    finished = subprocess.run([*command, "--output", file], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    session = onnxruntime.InferenceSession(file)
    (outputs,) = session.run(["probabilities"], {"image": images})
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_it_becomes_litert(exported, images, expected):
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(exported.path), signature_keys=["serving_default"]
    )
    serve = Interpreter(model_content=converter.convert()).get_signature_runner()
    np.testing.assert_allclose(serve(image=images)["probabilities"], expected, atol=1e-5)


def test_an_export_says_what_it_is(run, exported, digits):
    written = json.loads((exported.path / "assets.extra" / "keras_zoo.json").read_text())
    assert written["model"] == "cascade_cnn"
    assert written["task"] == "classification"
    assert tuple(written["data"]["class_names"]) == run.class_names == digits.class_names
    assert written["data"]["preparation"] == run.config["data"]["preparation"]
    assert written["data"]["preparation"]
    assert written["precision"] == "float32"
    assert written["versions"]["keras"] == keras.__version__
    assert written["signatures"] == {
        "serving_default": {
            "inputs": {"image": [None, 8, 8, 1]},
            "outputs": {"probabilities": [None, 10]},
        }
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(precision="bfloat16"), "one of 'float32', 'as_trained', received 'bfloat16'"),
        (dict(metadata=["cat"]), r"must be a dict, received \['cat'\]"),
        (dict(metadata={"versions": 1}), r"\['versions'\], which the export adds"),
        (dict(metadata={"mean": np.zeros(2)}), "ndarray is not JSON serializable"),
        (dict(metadata={"mean": float("nan")}), "finite numbers"),
    ],
)
def test_illegal_options_are_refused_before_any_work(run, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.export_saved_model(run.model, tmp_path / "model", **options)
    assert list(tmp_path.iterdir()) == []


def half():
    """The dtype of the policy under which a model is made."""
    return keras.config.dtype_policy().compute_dtype


def trunk_used_twice():
    image = keras.Input((6,), name="image", dtype=half())
    trunk = keras.Sequential([image, layers.Dense(3, name="features")], name="trunk")
    left, right = (keras.Input((6,), name=name, dtype=half()) for name in ("left", "right"))
    return keras.Model([left, right], layers.Subtract(name="scores")([trunk(left), trunk(right)]))


def recurrent():
    steps = keras.Input((6, 4), name="steps")
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(layers.Masking()(steps))
    x = layers.TimeDistributed(layers.Dense(3))(x)
    x = layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.SimpleRNNCell(2)]))(x)
    return keras.Model(steps, layers.Dense(2, "softmax", dtype="float32", name="scores")(x))


class Busy(layers.Layer):
    operations = ("a layer's own",)

    def call(self, inputs):
        return inputs


def masked_sequential():
    steps = keras.Input((6, 4), name="steps")
    return keras.Sequential([steps, layers.Masking(), layers.GRU(3), Busy(name="scores")])


def constants_and_casts():
    """Layers that keep numbers in the dtype that they were built in, and casts that name one."""
    learned = layers.Normalization()
    learned.adapt(np.random.default_rng(0).normal(3.3, 2.1, (50, 6)))
    x = numbers = keras.Input((6,), name="numbers")
    x = layers.Normalization(mean=[1.1] * 6, variance=[2.2] * 6)(learned(x))
    x = layers.Dense(4)(keras.ops.cast(x, half()))
    return keras.Model(numbers, layers.Dense(2, name="scores")(keras.ops.cast(x, half())))


def policy_by_layer():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy=keras.config.dtype_policy())
    numbers = keras.Input((6,), name="numbers")
    x = layers.Dense(4, dtype=policies)(numbers)
    return keras.Model(numbers, layers.Dense(2, dtype=policies, name="scores")(x))


MAKERS = (trunk_used_twice, recurrent, masked_sequential, constants_and_casts, policy_by_layer)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_all_of_a_model_computes_in_float32_meanwhile(make, tmp_path):
    with precision_scope("mixed_bfloat16"):
        model = make()
    reference = make()
    reference.set_weights(model.get_weights())
    random = np.random.default_rng(1)
    inputs = {x.name: random.random((5, *x.shape[1:]), "float32") for x in model.inputs}
    before = tf.cast(model(inputs), "float32")
    policies = [layer.dtype_policy for layer in model._flatten_layers()]
    dtypes = [x.dtype for x in model.inputs]
    result = zoo.export_saved_model(model, tmp_path / "model")
    assert half_operations(result.path) == []
    assert 0 < result.trained_difference < 0.1
    served = tf.saved_model.load(result.path).signatures["serving_default"]
    outputs = served(**{name: tf.constant(array) for name, array in inputs.items()})
    np.testing.assert_allclose(outputs["scores"], reference(inputs), atol=1e-5)
    assert [layer.dtype_policy for layer in model._flatten_layers()] == policies
    assert [x.dtype for x in model.inputs] == dtypes
    np.testing.assert_array_equal(tf.cast(model(inputs), "float32"), before)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_trained_precision_can_be_kept(policy, tmp_path):
    with precision_scope(policy):
        model = policy_by_layer()
    result = zoo.export_saved_model(model, tmp_path / "model", precision="as_trained")
    assert result.precision == policy.removeprefix("mixed_")
    assert result.trained_difference == 0.0
    assert half_operations(result.path)
    written = json.loads((result.path / "assets.extra" / "keras_zoo.json").read_text())
    assert written["precision"] == result.precision


def test_half_precision_that_cannot_be_taken_out_is_refused(tmp_path):
    x = numbers = keras.Input((6,), name="numbers")
    x = layers.Lambda(lambda x: keras.ops.cast(keras.ops.cast(x, "float16"), "float32"))(x)
    hidden = keras.Model(numbers, layers.Dense(2)(x))
    with pytest.raises(ExportError, match=r"operations compute in half.*Cast.*as_trained"):
        zoo.export_saved_model(hidden, tmp_path / "model")
    stored = keras.Model(numbers, layers.Dense(2, dtype="bfloat16", name="low")(numbers))
    with pytest.raises(ValueError, match="stored in half precision, such as low/kernel"):
        zoo.export_saved_model(stored, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_outputs_keep_their_keys(tmp_path):
    numbers = keras.Input((6,), name="numbers")
    outputs = OrderedDict(z=layers.Dense(2)(numbers), a=layers.Dense(2)(numbers))
    model = keras.Model(numbers, outputs)
    result = zoo.export_saved_model(model, tmp_path / "model")
    served = tf.saved_model.load(result.path).signatures["serving_default"]
    x = np.ones((3, 6), "float32")
    for name, output in served(numbers=tf.constant(x)).items():
        np.testing.assert_allclose(output, model(x)[name], atol=1e-5)


@pytest.mark.parametrize("keys", [(0, 1), ("a", "b")])
def test_outputs_that_have_no_names_are_refused(keys, tmp_path):
    numbers = keras.Input((6,), name="numbers")
    first, second = layers.Dense(2)(numbers), layers.Dense(2)(numbers)
    outputs = {keys[0]: first, keys[1]: second if keys == (0, 1) else [second, first]}
    with pytest.raises(ValueError, match="must be strings, each for one tensor"):
        zoo.export_saved_model(keras.Model(numbers, outputs), tmp_path / "model")
