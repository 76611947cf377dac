import json
import os
import subprocess
import sys

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from local_reference import assert_same, local_example

import zoo
from zoo.layers import LocallyConnected1D, LocallyConnected2D

IMAGE_LAYERS = [
    dict(padding="same"),
    dict(strides=2, padding="same", use_bias=False),
    dict(tile=2),
    dict(region=2, padding="same"),
    dict(data_format="channels_first", dilation_rate=(1, 2), padding="same"),
]
STEP_LAYERS = [
    dict(padding="same"),
    dict(strides=2, padding="same"),
    dict(tile=2),
    dict(region=2, padding="same"),
]


@pytest.fixture(scope="module")
def sample():
    """A model with a layer of each kind, a batch of inputs, and its outputs."""
    image = x = keras.Input((11, 9, 2), name="image")
    for setting in IMAGE_LAYERS:
        x = LocallyConnected2D(4, (3, 2), activation="tanh", **setting)(x)
    x = keras.layers.Reshape((-1, 4))(x)
    for setting in STEP_LAYERS:
        x = LocallyConnected1D(4, 3, activation="tanh", **setting)(x)
    x = keras.layers.Dense(3, name="scores")(keras.layers.Flatten()(x))
    model = keras.Model(image, x)
    random = np.random.default_rng(6)
    model.set_weights([random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    x = random.normal(size=(5, 11, 9, 2)).astype("float32")
    return model, x, model.predict_on_batch(x)


def onnx_runner(file):
    session = onnxruntime.InferenceSession(file)
    (name,) = [value.name for value in session.get_inputs()]
    return lambda x: session.run(None, {name: x})[0]


def assert_served(run, x, expected):
    """Check the numbers of a served model, for batches of several sizes."""
    for size in (5, 1, 3):
        np.testing.assert_allclose(run(x[:size]), expected[:size], atol=1e-5)


def run_python(program, *arguments, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr


def test_saved_model(sample, tmp_path):
    model, x, expected = sample
    exported = zoo.export_saved_model(model, tmp_path / "model")
    assert exported.max_difference <= 1e-5
    loaded = tf.saved_model.load(exported.path)
    serve = loaded.signatures["serving_default"]
    assert_served(lambda x: serve(image=tf.constant(x))["scores"], x, expected)


def test_onnx(sample, tmp_path):
    model, x, expected = sample
    file = tmp_path / "model.onnx"
    model.export(file, format="onnx", opset_version=15, verbose=False)
    assert_served(onnx_runner(file), x, expected)


def test_litert(sample, tmp_path):
    model, x, expected = sample
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    interpreter = Interpreter(model_content=converter.convert())
    (given,) = interpreter.get_input_details()
    (returned,) = interpreter.get_output_details()

    def run(x):
        interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(returned["index"])

    assert_served(run, x, expected)


LOADER = """if True:
    import sys
    import zoo.layers
    import keras, numpy
    model = keras.saving.load_model(f"{sys.argv[1]}/model.keras")
    inputs = numpy.load(f"{sys.argv[1]}/inputs.npy")
    numpy.save(f"{sys.argv[1]}/outputs.npy", model.predict_on_batch(inputs))
"""


def test_a_fresh_process_loads_a_keras_file_after_one_import(sample, tmp_path):
    model, x, expected = sample
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "inputs.npy", x)
    run_python(LOADER, tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), expected, atol=1e-6)


EXPORTER = """if True:
    import sys
    import zoo.layers
    import keras
    folder, format = sys.argv[1:]
    model = keras.saving.load_model(f"{folder}/model.keras")
    model(keras.ops.zeros((1, *model.input_shape[1:])))
    model.export(f"{folder}/exported", format=format, verbose=False)
"""


@pytest.mark.parametrize(("backend", "kind"), [("jax", "tf_saved_model"), ("torch", "onnx")])
def test_other_backends_export(backend, kind, sample, tmp_path):
    pytest.importorskip(backend)
    model, x, expected = sample
    model.save(tmp_path / "model.keras")
    run_python(EXPORTER, tmp_path, kind, KERAS_BACKEND=backend)
    if kind == "onnx":
        run = onnx_runner(tmp_path / "exported")
    else:
        served = tf.saved_model.load(tmp_path / "exported")  # its variables live as long
        run = served.serve
    assert_served(run, x, expected)


# What a process with another backend computes: outputs and gradients of every layer, then training.
CASES = {
    "same": ((3, 7, 6, 2), dict(padding="same", data_format="channels_first", strides=(1, 2))),
    "stride over the kernel": ((2, 9, 8, 2), dict(strides=4, use_bias=False)),
    "tile": ((3, 9, 8, 2), dict(tile=2, dilation_rate=(2, 1))),
    "region": ((3, 7, 6, 2), dict(region=(2, 3), padding="same")),
    "parts": ((70, 7, 6, 2), dict()),
    "steps": ((3, 10, 2), dict(strides=2, padding="same", dilation_rate=2)),
}
BACKEND = """if True:
    import json, sys
    import keras, numpy as np
    from keras import ops
    import zoo.layers
    from zoo.layers import products

    def gradients(layer, x, upstream):
        if keras.backend.backend() == "torch":
            import torch
            x = torch.tensor(x, requires_grad=True)
            y = layer(x, training=True)
            y.backward(torch.tensor(upstream))
            return [y.detach(), x.grad, *(weight.value.grad for weight in layer.weights)]
        import jax
        def forward(weights, x):
            return layer.stateless_call(weights, [], x, training=True)[0]
        @jax.jit
        def compute(weights, x):
            y, pullback = jax.vjp(forward, weights, x)
            return y, *pullback(upstream)
        y, weights, x = compute([weight.value for weight in layer.weights], x)
        return [y, x, *weights]

    folder = sys.argv[1]
    assert keras.backend.backend() == sys.argv[2]
    usual = products.MAX_PATCHES
    for name, config in json.load(open(f"{folder}/cases.json")).items():
        products.MAX_PATCHES = 5000 if name == "parts" else usual
        given = dict(np.load(f"{folder}/{name}.npz"))
        layer = getattr(zoo.layers, config.pop("layer"))(**config)
        layer.build(given["x"].shape)
        layer.set_weights([given[key] for key in ("kernel", "bias") if key in given])
        computed = gradients(layer, given["x"], given["upstream"])
        np.savez(f"{folder}/{name}_computed.npz", *map(ops.convert_to_numpy, computed))

    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    x = random.normal(size=(32, 8, 8, 1)).astype("float32")
    y = (x[:, :4].sum((1, 2, 3)) > x[:, 4:].sum((1, 2, 3))).astype("int32")
    layers = [
        zoo.layers.LocallyConnected2D(4, 3, activation="relu"),
        zoo.layers.LocallyConnected2D(4, 3, tile=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    jit_compile = keras.backend.backend() == "jax"
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=jit_compile
    )
    losses = model.fit(x, y, batch_size=32, epochs=20, verbose=0).history["loss"]
    losses += [model.train_on_batch(x, y) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[-4] < losses[0], losses
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_the_same_numbers_and_train(backend, tmp_path):
    pytest.importorskip(backend)
    cases, examples = {}, {}
    for name, (shape, arguments) in CASES.items():
        layer = {3: LocallyConnected1D, 4: LocallyConnected2D}[len(shape)]
        config = dict(filters=3, kernel_size=3, **arguments)
        examples[name] = example = local_example(layer(**config), shape)
        cases[name] = {"layer": layer.__name__, **config}
        weights = dict(zip(("kernel", "bias"), example.weights, strict=False))
        np.savez(tmp_path / f"{name}.npz", x=example.x, upstream=example.upstream, **weights)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    # JAX compiles the same programs, in half the time.
    run_python(
        BACKEND, tmp_path, backend, KERAS_BACKEND=backend, JAX_DISABLE_MOST_OPTIMIZATIONS="1"
    )
    for name, example in examples.items():
        computed = list(np.load(tmp_path / f"{name}_computed.npz").values())
        assert_same(computed, example.expected)
