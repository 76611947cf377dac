"""Weights and files of the real Keras 2 layers, loaded into the layers here."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest

import zoo.layers
from zoo.layers.legacy import convert_legacy_weights
from zoo.layers.legacy_files import load_legacy_model, load_legacy_weights

tf_keras = pytest.importorskip("tf_keras")
SIDES = (7, 6)
RNG = np.random.default_rng(0)


def old_layer(rank, implementation, **arguments):
    """A built Keras 2 layer with random kernel and bias, its input and its output."""
    channels_first = arguments.get("data_format") == "channels_first"
    sides = SIDES[:rank]
    x = RNG.normal(size=(4, 3, *sides) if channels_first else (4, *sides, 3)).astype("float32")
    kind = getattr(tf_keras.layers, f"LocallyConnected{rank}D")
    layer = kind(filters=4, implementation=implementation, **arguments)
    layer.build(x.shape)
    layer.set_weights([RNG.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
    return layer, x, np.array(layer(x))


def new_layer(rank, x, **arguments):
    layer = getattr(zoo.layers, f"LocallyConnected{rank}D")(filters=4, **arguments)
    layer.build(x.shape)
    return layer


def output(layer, x):
    return keras.ops.convert_to_numpy(layer(x))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2])
def test_valid_padding_gives_the_old_output(rank, implementation, data_format, strides):
    arguments = dict(kernel_size=(2, 3)[:rank], strides=strides, data_format=data_format)
    old, x, expected = old_layer(rank, implementation, **arguments)
    new = new_layer(rank, x, **arguments)
    new.set_weights(convert_legacy_weights(new, old.get_weights()))
    np.testing.assert_allclose(output(new, x), expected, atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("implementation", [2, 3])
@pytest.mark.parametrize("rank", [1, 2])
def test_same_padding_gives_the_old_output(rank, implementation, data_format):
    arguments = dict(
        kernel_size=(3, 5)[:rank], padding="same", data_format=data_format, use_bias=False
    )
    old, x, expected = old_layer(rank, implementation, **arguments)
    new = new_layer(rank, x, **arguments)
    new.set_weights(convert_legacy_weights(new, old.get_weights()))
    np.testing.assert_allclose(output(new, x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("rank", "kernel_size", "strides", "zero_padding"),
    [
        (1, 2, 1, (1, 0)),
        (1, 4, 3, (2, 1)),
        (2, (2, 3), 1, ((1, 0), (1, 1))),
        (2, 3, 2, ((1, 1), (1, 0))),
    ],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("implementation", [2, 3])
def test_same_padding_aligned_otherwise_needs_a_padding_layer(
    rank, kernel_size, strides, zero_padding, data_format, implementation
):
    arguments = dict(kernel_size=kernel_size, strides=strides, data_format=data_format)
    old, x, expected = old_layer(rank, implementation, padding="same", **arguments)
    with pytest.raises(ValueError, match="zeros before each") as error:
        convert_legacy_weights(new_layer(rank, x, padding="same", **arguments), old.get_weights())
    assert f"`zero_padding`={zero_padding}." in str(error.value)
    padding = getattr(keras.layers, f"ZeroPadding{rank}D")(zero_padding, data_format=data_format)
    padded = padding(x)
    new = new_layer(rank, padded, **arguments)
    new.set_weights(convert_legacy_weights(new, old.get_weights(), zero_padding=zero_padding))
    np.testing.assert_allclose(output(new, padded), expected, atol=1e-5)


def test_weights_outside_the_mask_are_left_behind():
    old, x, expected = old_layer(2, 2, kernel_size=3)
    kernel, bias = old.get_weights()
    masked = kernel * np.array(old.kernel_mask)
    assert (kernel != masked).any()
    new = new_layer(2, x, kernel_size=3)
    new.set_weights(convert_legacy_weights(new, [masked, bias]))
    np.testing.assert_allclose(output(new, x), expected, atol=1e-5)


def test_the_channels_first_bias_is_read_as_the_old_layer_read_it():
    new = new_layer(2, np.zeros((1, 1, 3, 2)), kernel_size=1, data_format="channels_first")
    bias = np.arange(24.0).reshape(3, 2, 4)
    _, converted = convert_legacy_weights(new, [np.zeros((6, 1, 4)), bias])
    np.testing.assert_array_equal(converted[0, 0], [0, 6, 12, 18])
    np.testing.assert_array_equal(converted[..., 0].ravel(), np.arange(6))


def bad(match, make_layer, shapes, **options):
    return pytest.param(make_layer, shapes, options, match, id=match)


def built(**arguments):
    return lambda: new_layer(2, np.zeros((1, 7, 6, 3)), **{"kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    ("make_layer", "shapes", "options", "match"),
    [
        bad("must be a built", lambda: keras.layers.Dense(2), []),
        bad("Call it on data", lambda: zoo.layers.LocallyConnected2D(4, 3), []),
        bad("`tile`=None", built(tile=2), [(4, 27, 4), (2, 2, 4)]),
        bad("`region`=1", built(region=2), [(20, 27, 4), (5, 4, 4)]),
        bad("`dilation_rate`=1", built(dilation_rate=2), [(6, 27, 4), (3, 2, 4)]),
        bad(r"\[\], expected", built(), []),
        bad(r"expected a kernel of \(20, 27, 4\) \(1\)", built(), [(20, 26, 4), (5, 4, 4)]),
        bad(r"or \(2160,\) \(3\)", built(), [(2159,), (5, 4, 4)]),
        bad(r"received the shapes \[\(20, 27, 4\)\]", built(), [(20, 27, 4)]),
        bad(r"a bias of \(5, 4, 4\)", built(), [(20, 27, 4), (4, 5, 4)]),
        bad("no bias", built(use_bias=False), [(20, 27, 4), (5, 4, 4)]),
        bad(r"expected a kernel of \(7, 6, 3, 7", built(padding="same"), [(42, 27, 4), (7, 6, 4)]),
        bad(r"\(top, bottom\)", built(), [(20, 27, 4), (5, 4, 4)], zero_padding=(1, 1)),
    ],
)
def test_what_does_not_fit_is_refused(make_layer, shapes, options, match):
    layer = make_layer()
    with pytest.raises(ValueError, match=match):
        convert_legacy_weights(layer, [np.zeros(shape) for shape in shapes], **options)


def old_model(implementation):
    """A Keras 2 model with what files tell apart: order, axes, state, wrapped layers, biases."""
    layers = tf_keras.layers
    local = dict(implementation=implementation, bias_initializer="normal")
    model = tf_keras.Sequential(
        [
            layers.LocallyConnected2D(3, 3, activation="relu", input_shape=(9, 8, 2), **local),
            layers.BatchNormalization(),
            layers.LocallyConnected2D(4, 3, strides=2, name="second", **local),
            layers.TimeDistributed(layers.LocallyConnected1D(2, 2, **local)),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    model.compile("adam", "mse")
    x = RNG.normal(size=(4, 9, 8, 2)).astype("float32")
    model.set_weights([RNG.random(w.shape) for w in model.get_weights()])
    if implementation == 1:  # with an optimizer's state
        model.train_on_batch(x, np.zeros((4, 5)))
    return model, x, model(x).numpy()


@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        (1, "model.h5"),
        (1, "model.keras"),
        (2, "model.keras"),
        (2, "w.h5"),
        (3, "model.h5"),
        (3, "w.weights.h5"),
    ],
)
def test_files_of_a_sequential_model(tmp_path, implementation, name):
    old, x, expected = old_model(implementation)
    path = tmp_path / name
    old.save(path) if name.startswith("model") else old.save_weights(path)
    if name.startswith("model"):
        np.testing.assert_allclose(
            output(load_legacy_model(path), x), expected, rtol=1e-5, atol=1e-5
        )
    layers = keras.layers
    new = keras.Sequential(
        [
            layers.Input((9, 8, 2)),
            zoo.layers.LocallyConnected2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            zoo.layers.LocallyConnected2D(4, 3, strides=2),
            layers.TimeDistributed(zoo.layers.LocallyConnected1D(2, 2)),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    load_legacy_weights(new, path, implementation=implementation)
    np.testing.assert_allclose(output(new, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_files_of_a_functional_model_become_a_model_of_keras_3(tmp_path, name):
    layers = tf_keras.layers
    image = layers.Input((2, 9, 8), name="image")
    x = layers.LocallyConnected2D(
        3, 3, data_format="channels_first", padding="same", implementation=3
    )(image)
    left = layers.LocallyConnected2D(
        4, 3, data_format="channels_first", implementation=2, bias_initializer="normal"
    )(x)
    right = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    outputs = layers.Concatenate()([layers.Flatten()(left), right])
    old = tf_keras.Model(image, outputs, name="face")
    old.save(tmp_path / name)
    data = RNG.normal(size=(4, 2, 9, 8)).astype("float32")
    new = load_legacy_model(tmp_path / name)
    np.testing.assert_allclose(output(new, data), old(data).numpy(), atol=1e-5)
    assert new.name == "face"
    new.save(tmp_path / "new.keras")
    again = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(output(again, data), output(new, data))


def test_a_file_as_early_keras_2_wrote_it(tmp_path):
    old, x, expected = old_model(1)
    path = tmp_path / "model.h5"
    old.save(path)
    later = ("module", "registered_name", "build_config")
    with h5py.File(path, "r+") as file:
        config = json.loads(
            file.attrs["model_config"],
            object_hook=lambda item: {
                key: value for key, value in item.items() if key not in later
            },
        )
        config["config"]["layers"] = [
            layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"
        ]
        file.attrs["model_config"] = json.dumps(config).encode()
    np.testing.assert_allclose(output(load_legacy_model(path), x), expected, rtol=1e-5, atol=1e-5)


def test_a_model_in_mixed_precision(tmp_path):
    old = tf_keras.Sequential(
        [tf_keras.layers.LocallyConnected1D(2, 3, dtype="mixed_float16", input_shape=(5, 2))]
    )
    old.save(tmp_path / "model.h5")
    new = load_legacy_model(tmp_path / "model.h5")
    assert new.layers[0].dtype_policy.name == "mixed_float16"


def test_a_model_inside_a_model_loads_into_one_made_in_code(tmp_path):
    def nest(package, local):
        inner = package.Sequential([local(4, 3, bias_initializer="normal"), package.layers.ReLU()])
        image = package.layers.Input((6, 6, 2))
        return package.Model(image, package.layers.Flatten()(inner(image)))

    old = nest(tf_keras, tf_keras.layers.LocallyConnected2D)
    new = nest(keras, zoo.layers.LocallyConnected2D)
    old.save(tmp_path / "model.h5")
    load_legacy_weights(new, tmp_path / "model.h5")
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(output(new, x), old(x).numpy(), atol=1e-5)


def test_a_lambda_is_taken_from_the_caller_and_not_from_a_file(tmp_path):
    def make(package, local):
        lambda_layer = package.layers.Lambda(lambda x: 2 * x, output_shape=(5, 3))
        return package.Sequential([package.layers.Input((7, 2)), local(3, 3), lambda_layer])

    old = make(tf_keras, tf_keras.layers.LocallyConnected1D)
    new = make(keras, zoo.layers.LocallyConnected1D)
    old.save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="lambda"):
        load_legacy_model(tmp_path / "model.h5")
    load_legacy_weights(new, tmp_path / "model.h5")
    x = RNG.normal(size=(2, 7, 2)).astype("float32")
    np.testing.assert_allclose(output(new, x), old(x).numpy(), atol=1e-5)


def test_files_that_do_not_fit_are_refused(tmp_path):
    old, *_ = old_model(3)
    old.save_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match="weights and no model"):
        load_legacy_model(tmp_path / "w.h5")
    new = keras.Sequential([keras.layers.Input((9, 8, 2)), zoo.layers.LocallyConnected2D(3, 3)])
    with pytest.raises(ValueError, match="must be 1, 2 or 3"):
        load_legacy_weights(new, tmp_path / "w.h5", implementation=4)
    with pytest.raises(ValueError, match="expected 1 layers"):
        load_legacy_weights(new, tmp_path / "w.h5", implementation=3)
    same = keras.Sequential(
        [keras.layers.Input((9, 9, 2)), zoo.layers.LocallyConnected2D(3, 3, padding="same")]
    )
    with pytest.raises(ValueError, match="give the old layer's, 2 or 3"):
        load_legacy_weights(same, tmp_path / "w.h5")
