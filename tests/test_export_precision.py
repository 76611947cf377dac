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
from sklearn.datasets import load_digits

import zoo
import zoo.tasks
from zoo.export import ExportError, export_saved_model
from zoo.export.entry_points import all_layers, make_entry_points
from zoo.export.half_precision import computing_in_float32
from zoo.precision import precision_scope

ROWS = np.random.default_rng(1).normal(20, 5, (64, 6)).astype("float32")


def images():
    pixels = load_digits().images.astype("float32")[..., None] / 16
    return pixels, load_digits().target


def half_types(graph) -> set[str]:
    text = str(graph.as_graph_def())
    return {name for name in ("DT_HALF", "DT_BFLOAT16") if name in text}


def rows(*stack):
    x = given = keras.Input((6,), name="row")
    for layer in stack:
        x = layer(x)
    return keras.Model(given, layers.Dense(3, name="out")(x))


def learned():
    scale = layers.Normalization()
    scale.adapt(ROWS)
    return rows(scale, layers.Dense(8, "relu"))


def given():
    return rows(layers.Normalization(mean=ROWS.mean(axis=0), variance=ROWS.var(axis=0)))


def lazy_sequential():
    return rows(layers.Dense(8), keras.Sequential([layers.BatchNormalization(), layers.Dense(4)]))


def policies_by_path():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy=keras.config.dtype_policy())
    return rows(layers.Dense(8, dtype=policies), layers.Dense(8, dtype="float32"))


def cast_by_hand():
    return rows(lambda x: keras.ops.cast(x, keras.config.dtype_policy().compute_dtype))


def masked():
    steps = keras.Input((None, 6), name="steps")
    x = layers.Masking(mask_value=0.0)(steps)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = keras.Sequential([layers.Masking(), layers.GRU(4)])(x)
    return keras.Model(steps, layers.Dense(3, name="out")(x))


def branches():
    trunk = zoo.create("deepid_tiny", input_shape=(32, 32, 1), num_classes=0)
    return zoo.siamese(trunk, shared_layers=4, normalize=True)


KINDS = [learned, given, lazy_sequential, policies_by_path, cast_by_hand, masked, branches]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("build", KINDS)
def test_a_model_computes_in_float32_meanwhile_and_as_before_after(build, policy):
    with precision_scope(policy):
        model = build()
    twin = build()
    twin.set_weights(model.get_weights())
    entry_point = make_entry_points(model, {})["serving_default"]
    layers_of_model = all_layers([entry_point])
    policies = [layer._dtype_policy for layer in layers_of_model]
    rng = np.random.default_rng(2)
    samples = [
        tf.constant(rng.normal(size=[size or 5 for size in spec.shape]), spec.dtype)
        for spec in entry_point.inputs
    ]
    x = samples if len(samples) > 1 else samples[0]
    before = model(x)

    with computing_in_float32(layers_of_model):
        function = tf.function(entry_point.infer, input_signature=list(entry_point.inputs))
        served = next(iter(function(*samples).values()))
        graph = function.get_concrete_function().graph

    assert not half_types(graph)
    np.testing.assert_allclose(served, twin(x), rtol=1e-5, atol=1e-5)
    assert np.abs(tf.cast(before, "float32") - served).max() > 0
    np.testing.assert_array_equal(tf.cast(before, "float32"), tf.cast(model(x), "float32"))
    for layer, had in zip(layers_of_model, policies, strict=True):
        assert layer._dtype_policy is had


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A cascade trained as `make demo` does on many processors, its export, float32 numbers."""
    x, y = images()
    arguments = dict(filters=(8, 16), dense_units=(16,), activation="leaky_relu")
    with precision_scope("mixed_bfloat16"):
        model = zoo.cascade_cnn((8, 8, 1), 10, **arguments)
    zoo.tasks.get("classification").compile(model, keras.optimizers.AdamW(3e-3))
    model.fit(x, y, batch_size=64, epochs=3, verbose=0)
    directory = tmp_path_factory.mktemp("demo") / "served"
    names = [str(digit) for digit in range(10)]
    metadata = {"classes": names, "input": {"kind": "image", "scale": [0, 1]}, "note": "Ä"}
    result = export_saved_model(model, directory, metadata=metadata)
    twin = zoo.cascade_cnn((8, 8, 1), 10, **arguments)
    twin.set_weights(model.get_weights())
    return model, result, metadata, x[:5], twin.predict(x[:5], verbose=0)


def test_the_result_tells_both_differences_apart(demo):
    model, result, *_ = demo
    assert result.precision == "float32"
    assert result.max_difference <= 1e-5 < result.trained_difference < 0.1
    assert model.layers[1].compute_dtype == "bfloat16"


def test_metadata_is_written_whole_and_what_the_export_knows_is_added(demo):
    _, result, metadata, *_ = demo
    written = json.loads((result.path / "assets.extra" / "keras_zoo.json").read_text())
    signatures = written.pop("signatures")
    assert signatures["serving_default"]["inputs"] == {"image": [None, 8, 8, 1]}
    assert written.pop("precision") == "float32"
    assert written.pop("versions")["tensorflow"] == tf.__version__
    assert written == metadata
    assert result.size_bytes == sum(
        file.stat().st_size for file in result.path.rglob("*") if file.is_file()
    )


def test_onnx_runtime_gives_the_models_float32_numbers(demo, tmp_path):
    _, result, _, x, expected = demo
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(result.path)]
    command += ["--tag", "serve", "--signature_def", "serving_default", "--opset", "17"]
    finished = subprocess.run(
        [*command, "--output", str(tmp_path / "model.onnx")], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for size in (5, 1):
        (served,) = session.run(["probabilities"], {"image": x[:size]})
        np.testing.assert_allclose(served, expected[:size], atol=1e-5)


def test_litert_gives_the_models_float32_numbers(demo):
    _, result, _, x, expected = demo
    converter = tf.lite.TFLiteConverter.from_saved_model(str(result.path))
    run = Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    for size in (5, 1):
        served = run(image=x[:size])["probabilities"]
        np.testing.assert_allclose(served, expected[:size], atol=1e-5)


def test_an_export_as_trained_keeps_half_precision(demo, tmp_path):
    model, *_ = demo
    result = export_saved_model(model, tmp_path / "served", precision="as_trained")
    assert result.precision == "bfloat16"
    assert result.trained_difference == 0.0
    assert result.max_difference <= 2e-2
    loaded = tf.saved_model.load(result.path)
    assert half_types(loaded.signatures["serving_default"].graph) == {"DT_BFLOAT16"}


def test_sub_models_that_share_tied_layers_are_stored_once_in_float32(tmp_path):
    with precision_scope("mixed_bfloat16"):
        model = zoo.conv_autoencoder((8, 8, 1), 4, filters=(4, 8), tied=True)
    signatures = zoo.tasks.get("reconstruction").signatures(model)
    result = export_saved_model(model, tmp_path / "served", signatures=signatures)
    assert set(result.signatures) == {"serving_default", "encode", "decode"}
    assert result.max_difference <= 1e-5 < result.trained_difference
    stored = tf.train.list_variables(str(result.path / "variables" / "variables"))
    stored = [shape for name, shape in stored if not name.startswith("_CHECKPOINTABLE")]
    assert sum(int(np.prod(shape)) for shape in stored) <= result.parameters + 1, stored


class CastsInside(layers.Layer):
    def call(self, inputs):
        return keras.ops.cast(keras.ops.cast(inputs, "bfloat16"), "float32")


@pytest.mark.parametrize(
    ("build", "policy", "error", "message"),
    [
        (lambda: rows(CastsInside()), "float32", ExportError, "2 operations compute in half"),
        (rows, "bfloat16", ValueError, "2 weights are stored in half precision, such as out/ker"),
    ],
)
def test_what_cannot_be_float32_is_refused_and_goes_as_trained(
    build, policy, error, message, tmp_path
):
    with precision_scope(policy):
        model = build()
    with pytest.raises(error, match=message):
        export_saved_model(model, tmp_path / "served")
    assert not list(tmp_path.iterdir())
    result = export_saved_model(model, tmp_path / "served", precision="as_trained")
    assert result.max_difference <= 2e-2


def test_an_interrupted_export_leaves_the_models_precision(tmp_path):
    class Interrupts(layers.Layer):
        def call(self, inputs):
            if self.built and self.compute_dtype == "float32":
                raise KeyboardInterrupt
            return inputs

    with precision_scope("mixed_float16"):
        model = rows(layers.Dense(8), Interrupts())
    with pytest.raises(KeyboardInterrupt):
        export_saved_model(model, tmp_path / "served")
    assert {layer.compute_dtype for layer in model.layers} == {"float16"}
    assert not list(tmp_path.iterdir())


def test_outputs_are_named_by_their_keys_in_any_order(tmp_path):
    row = keras.Input((6,), name="row")
    wide, narrow = layers.Dense(4, name="alpha")(row), layers.Dense(2, name="beta")(row)
    same = layers.Dense(4, name="gamma")(row)
    ordered = keras.Model(row, OrderedDict(z=wide, b=narrow, a=same))
    inner = keras.Sequential([keras.Input((6,), name="row"), layers.Dense(6), ordered])
    result = export_saved_model(ordered, tmp_path / "served", signatures={"inner": inner})
    loaded = tf.saved_model.load(result.path)
    for name, model in {"serving_default": ordered, "inner": inner}.items():
        served, expected = loaded.signatures[name](row=tf.constant(ROWS)), model(ROWS)
        assert served.keys() == expected.keys() == {"z", "b", "a"}
        for key in expected:
            np.testing.assert_allclose(served[key], expected[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("outputs", [lambda y: {0: y}, lambda y: {"a": {"b": y}}])
def test_outputs_without_a_name_are_refused(outputs, tmp_path):
    row = keras.Input((6,), name="row")
    model = keras.Model(row, outputs(layers.Dense(2)(row)))
    with pytest.raises(ValueError, match="strings for keys and tensors for values"):
        export_saved_model(model, tmp_path / "served")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "bfloat16"}, "'float32', 'as_trained', received 'bfloat16'"),
        ({"precision": None}, "received None"),
        ({"metadata": ["cat"]}, "must be a dict"),
        ({"metadata": {"precision": "high"}}, r"\['precision'\], which the export adds"),
        ({"metadata": {"mean": float("nan")}}, "what JSON can"),
        ({"metadata": {"mean": np.float32(1)}}, "float32 is not JSON"),
        ({"metadata": {(8, 8): "size"}}, "not tuple"),
    ],
)
def test_illegal_arguments_are_refused_before_any_work(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_saved_model(rows(), tmp_path / "served", **arguments)
    assert not list(tmp_path.iterdir())
