"""The low-rank layer: both ends of its spectrum, what lies between, initial values, bad input."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers import LocallyConnected2D, LowRankLocallyConnected2D

generator = np.random.default_rng(0)


def images(batch=3, height=9, width=8, channels=2, data_format="channels_last"):
    shape = (
        (height, width, channels) if data_format == "channels_last" else (channels, height, width)
    )
    return generator.standard_normal((batch, *shape)).astype("float32")


def randomize(layer):
    """Replace all weights, so that biases and mixtures matter."""
    layer.set_weights([generator.standard_normal(weight.shape) for weight in layer.weights])


def loss_and_gradients(layer, x):
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * tf.sin(tf.reshape(tf.range(tf.size(y), dtype=y.dtype), y.shape)))
    return y, tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])


settings = [
    dict(strides=strides, padding=padding, dilation_rate=dilation, data_format=data_format)
    for strides, padding, dilation, data_format in itertools.product(
        [1, (2, 3)], ["valid", "same"], [1, 2], ["channels_last", "channels_first"]
    )
    if strides == 1 or dilation == 1
]


@pytest.mark.parametrize("setting", settings, ids=str)
def test_rank_1_is_a_convolution_with_the_same_weights(setting):
    # Keras's own is asked with the channels last: the other way it has no kernel on every device.
    x = images()
    convolution = keras.layers.Conv2D(
        4, 3, activation="tanh", **{**setting, "data_format": "channels_last"}
    )
    convolution.build(x.shape)
    randomize(convolution)
    last = setting["data_format"] == "channels_last"
    back, forth = ((0, 1, 2, 3),) * 2 if last else ((0, 2, 3, 1), (0, 3, 1, 2))
    x_ours = x.transpose(forth)
    ours = LowRankLocallyConnected2D(4, 3, activation="tanh", rank=1, **setting)
    ours.build(x_ours.shape)
    ours.set_weights(convolution.get_weights())
    np.testing.assert_array_equal(ops.transpose(ours(x_ours), back), convolution(x))
    assert ours.compute_output_shape(x_ours.shape) == ours(x_ours).shape


def test_rank_1_starts_from_the_values_of_a_convolution():
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.HeNormal(seed=1))
    ours = LowRankLocallyConnected2D(
        4, 3, rank=1, kernel_initializer=keras.initializers.HeNormal(seed=1)
    )
    for layer in (convolution, ours):
        layer.build((None, 9, 8, 2))
    np.testing.assert_array_equal(ours.get_weights()[0], convolution.get_weights()[0])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_full_rank_with_free_weights_can_be_a_locally_connected_layer(data_format):
    x = images(height=5, width=6, data_format=data_format)
    setting = dict(data_format=data_format, activation="tanh")
    unshared = LocallyConnected2D(4, 3, **setting)
    unshared.build(x.shape)
    randomize(unshared)
    kernel, bias = unshared.get_weights()  # (3, 4, 18, 4) and (3, 4, 4)
    ours = LowRankLocallyConnected2D(4, 3, rank=12, combining="free", **setting)
    ours.build(x.shape)
    banks = kernel.reshape(12, 3, 3, 2, 4).transpose(1, 2, 3, 0, 4).reshape(3, 3, 2, 48)
    ours.set_weights([np.eye(12).reshape(3, 4, 12), banks, bias.reshape(48)])
    np.testing.assert_allclose(ours(x), unshared(x), atol=1e-5)


@pytest.mark.parametrize("combining", ["factored", "free"])
@pytest.mark.parametrize("setting", settings, ids=str)
def test_outputs_and_gradients_are_those_of_the_mixed_kernels(setting, combining):
    x = images(data_format=setting["data_format"])
    ours = LowRankLocallyConnected2D(4, 3, rank=3, combining=combining, **setting)
    ours.build(x.shape)
    randomize(ours)
    *factors, banks, bias = ours.get_weights()
    mixture = factors[0]
    if combining == "factored":
        mixture = np.exp(factors[0] + factors[1])
        mixture /= mixture.sum(axis=-1, keepdims=True)
    unshared = LocallyConnected2D(4, 3, **setting)
    unshared.build(x.shape)
    kernel = np.einsum("ijk,pkf->ijpf", mixture, banks.reshape(18, 3, 4))
    unshared.set_weights([kernel, np.einsum("ijk,kf->ijf", mixture, bias.reshape(3, 4))])
    expected, (wanted, by_kernel, by_bias) = loss_and_gradients(unshared, x)
    outputs, (gradient, *gradients) = loss_and_gradients(ours, x)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, wanted, atol=1e-4)
    # By the chain rule, from the gradients by position.
    by_mixture = np.einsum("ijpf,pkf->ijk", by_kernel, banks.reshape(18, 3, 4))
    by_mixture += np.einsum("ijf,kf->ijk", by_bias, bias.reshape(3, 4))
    expected_factors = [by_mixture]
    if combining == "factored":
        centred = mixture * (by_mixture - (mixture * by_mixture).sum(axis=-1, keepdims=True))
        expected_factors = [centred.sum(axis=axis, keepdims=True) for axis in (1, 0)]
    by_banks = np.einsum("ijk,ijpf->pkf", mixture, by_kernel).reshape(banks.shape)
    by_biases = np.einsum("ijk,ijf->kf", mixture, by_bias).reshape(bias.shape)
    for got, want in zip(gradients, [*expected_factors, by_banks, by_biases], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal"])
@pytest.mark.parametrize("combining", ["factored", "free"])
@pytest.mark.parametrize("rank", [1, 8])
def test_outputs_start_with_the_variance_of_a_convolution(initializer, combining, rank):
    keras.utils.set_random_seed(0)
    x = generator.standard_normal((16, 10, 10, 64)).astype("float32")
    ours = LowRankLocallyConnected2D(
        64, 3, rank=rank, combining=combining, kernel_initializer=initializer
    )
    convolution = keras.layers.Conv2D(64, 3, kernel_initializer=initializer)
    assert np.std(ours(x)) == pytest.approx(np.std(convolution(x)), rel=0.05)


@pytest.mark.parametrize("combining", ["factored", "free"])
def test_training_parts_the_banks_and_the_positions(combining):
    """Each half of the image needs another filter: a convolution cannot, rank 2 can."""
    keras.utils.set_random_seed(0)
    x = generator.standard_normal((256, 6, 8, 1)).astype("float32")
    y = np.where(np.arange(8)[:, None] < 4, x, -x)

    def error(layer):
        model = keras.Sequential([keras.Input((6, 8, 1)), layer])
        model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
        return model.fit(x, y, epochs=40, batch_size=64, verbose=0).history["loss"][-1]

    assert error(keras.layers.Conv2D(1, 1)) > 0.9
    assert error(LowRankLocallyConnected2D(1, 1, rank=2, combining=combining)) < 0.05


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_agrees_with_float32(policy, data_format):
    x = images(data_format=data_format)
    layers = [
        LowRankLocallyConnected2D(4, 3, rank=3, data_format=data_format, dtype=dtype)
        for dtype in ("float32", policy)
    ]
    for layer in layers:
        layer.build(x.shape)
    randomize(layers[0])
    layers[1].set_weights(layers[0].get_weights())
    outputs = layers[1](x)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(ops.cast(outputs, "float32"), layers[0](x), atol=0.2)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fits_any_batch_and_keeps_its_numbers_in_a_keras_file(tmp_path, jit_compile):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            LowRankLocallyConnected2D(
                4,
                (3, 2),
                (2, 1),
                "same",
                activation="gelu",
                kernel_regularizer=keras.regularizers.L2(1e-3),
                kernel_constraint="max_norm",
                bias_initializer="ones",
                rank=3,
                combining="free",
            ),
            LowRankLocallyConnected2D(4, 3, rank=2, use_bias=False),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.compile("adam", "mse", jit_compile=jit_compile)
    model.fit(np.ones((5, 8, 8, 2)), np.ones((5, 4)), batch_size=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = images(7, 8, 8)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    for layer, loaded in zip(model.layers, again.layers, strict=True):
        assert loaded.get_config() == layer.get_config()
    assert len(again.layers[0].losses) == 1


def test_the_configuration_makes_the_layer_again():
    layer = LowRankLocallyConnected2D(
        4,
        (3, 2),
        (2, 1),
        "same",
        "channels_first",
        "relu",
        False,
        "he_normal",
        rank=3,
        combining="free",
        name="mix",
    )
    config = layer.get_config()
    assert LowRankLocallyConnected2D.from_config(config).get_config() == config
    assert config["filters"] == 4
    assert config["kernel_initializer"]["class_name"] == "HeNormal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(filters=0), "`filters` must be an integer of at least 1, received 0"),
        (dict(kernel_size=(3, 0)), "`kernel_size"),
        (dict(kernel_size=9), r"`kernel_size`=\(9, 9\).*spans \(9, 9\)"),
        (dict(dilation_rate=4), r"spans \(9, 9\)"),
        (dict(strides=-1), "`strides"),
        (dict(strides=(1, 2, 3)), "`strides` must be an integer or 2 of them"),
        (dict(rank=0), "`rank` must be an integer of at least 1"),
        (dict(combining="softmax"), "`combining` must be one of 'factored', 'free'"),
        (dict(padding="causal"), "`padding` must be one of 'valid', 'same'"),
        (dict(data_format="last"), "`data_format` must be one of"),
    ],
    ids=str,
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LowRankLocallyConnected2D(**{"filters": 4, "kernel_size": 3, "rank": 2, **arguments}).build(
            (None, 8, 8, 3)
        )


@pytest.mark.parametrize("shape", [(None, 8, 3), (8, None, 3), (8, 8, None)], ids=str)
def test_unknown_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="must be known"):
        LowRankLocallyConnected2D(4, 3, rank=2)(keras.Input(shape))
