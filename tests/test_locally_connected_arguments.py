import math
import warnings

import keras
import numpy as np
import pytest
from test_locally_connected import LAYERS, batches, make, model_of

from zoo.layers import LocallyConnected1D, LocallyConnected2D

INITIALIZERS = ["glorot_uniform", "glorot_normal", "he_normal", "lecun_uniform"]


@pytest.mark.parametrize("sharing", [{}, dict(tile=1), dict(tile=2), dict(region=4)], ids=str)
@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_initial_values_spread_as_a_convolutions(initializer, sharing):
    keras.utils.set_random_seed(8)
    arguments = dict(filters=64, kernel_size=3, kernel_initializer=initializer)
    local, convolution = (
        LocallyConnected2D(**arguments, **sharing),
        keras.layers.Conv2D(**arguments),
    )
    shape = (None, 8, 8, 32)
    local.build(shape)
    convolution.build(shape)
    deviations = [np.std(layer.get_weights()[0]) for layer in (local, convolution)]
    # 18,432 values or more: the estimate's own deviation is at most 0.6 %.
    assert deviations[0] == pytest.approx(deviations[1], rel=0.025)


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_initial_values_over_steps_spread_as_a_convolutions(initializer):
    keras.utils.set_random_seed(8)
    arguments = dict(filters=64, kernel_size=5, kernel_initializer=initializer)
    local, convolution = LocallyConnected1D(**arguments), keras.layers.Conv1D(**arguments)
    local.build((None, 20, 48))
    convolution.build((None, 20, 48))
    deviations = [np.std(layer.get_weights()[0]) for layer in (local, convolution)]
    assert deviations[0] == pytest.approx(deviations[1], rel=0.025)


def test_other_initial_values_are_left_alone():
    layer = LocallyConnected2D(8, 3, kernel_initializer=keras.initializers.RandomNormal(0, 0.3))
    layer.build((None, 20, 20, 4))
    assert np.std(layer.kernel) == pytest.approx(0.3, rel=0.02)
    layer = LocallyConnected2D(2, 3, kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 5, 5, 1))
    assert all((weight == 1).all() for weight in layer.get_weights())


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_legacy_initial_values_spread_as_the_legacy_layers(initializer):
    import tf_keras

    keras.utils.set_random_seed(8)
    arguments = dict(filters=32, kernel_size=3, kernel_initializer=initializer)
    now, fair = LocallyConnected2D(**arguments, legacy_init=True), LocallyConnected2D(**arguments)
    then = tf_keras.layers.LocallyConnected2D(**arguments)
    for layer in (now, fair, then):
        layer.build((None, 12, 12, 8))
    now, fair, then = (np.std(layer.get_weights()[0]) for layer in (now, fair, then))
    assert now == pytest.approx(then, rel=0.01)
    assert fair > 3 * now


def test_regularizers_constraints_and_activity():
    layer = LocallyConnected2D(
        2,
        3,
        kernel_initializer="ones",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.1),
        bias_regularizer=keras.regularizers.L1(0.01),
        activity_regularizer=keras.regularizers.L1(0.5),
        kernel_constraint=keras.constraints.MaxNorm(0.5, axis=2),
        bias_constraint="non_neg",
    )
    y = layer(np.zeros((1, 5, 5, 1), "float32"))
    assert (np.array(y) == 1).all()
    kernel, bias, activity = 9 * 9 * 2 * 0.1, 9 * 2 * 0.01, 9 * 2 * 0.5
    assert float(sum(layer.losses)) == pytest.approx(kernel + bias + activity, rel=1e-6)
    layer.bias.assign(-layer.bias)
    model = model_of(layer, (5, 5, 1))
    model.train_on_batch(*batches((5, 5, 1)))
    assert np.linalg.norm(layer.kernel, axis=2).max() <= 0.5 + 1e-6
    assert np.min(layer.bias) >= 0


def test_configuration_makes_the_layer_again():
    settings = dict(
        filters=5,
        kernel_size=(3, 2),
        strides=(1, 2),
        padding="same",
        data_format="channels_first",
        activation="relu",
        use_bias=False,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l1",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
        dilation_rate=(2, 1),
        tile=(2, 3),
        region=(1, 2),
        legacy_init=True,
        name="local",
        dtype="mixed_bfloat16",
        trainable=False,
    )
    layer = LocallyConnected2D(**settings)
    config = layer.get_config()
    assert set(settings) <= set(config)
    assert "implementation" not in config
    for name in ("kernel_size", "strides", "dilation_rate", "tile", "region", "padding"):
        assert config[name] == settings[name]
    again = LocallyConnected2D.from_config(config)
    assert again.get_config() == config
    assert again.activation is keras.activations.relu
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(restored) is LocallyConnected2D
    assert restored.get_config() == config


def test_steps_keep_their_configuration():
    layer = LocallyConnected1D(5, 3, 2, "same", tile=2, region=2)
    assert LocallyConnected1D.from_config(layer.get_config()).get_config() == layer.get_config()
    assert LocallyConnected1D(5, 3).get_config()["tile"] is None


def test_data_format_defaults_to_the_one_of_keras():
    keras.config.set_image_data_format("channels_first")
    try:
        layer = LocallyConnected2D(4, 3)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert layer.compute_output_shape((None, 2, 6, 5)) == (None, 4, 4, 3)


@pytest.mark.parametrize("layer", LAYERS.values())
def test_implementation_is_ignored_with_a_warning(layer):
    with pytest.warns(UserWarning, match="`implementation` is ignored") as caught:
        layer(2, 3, implementation=2)
    assert caught[0].filename == __file__


def test_summary_is_quiet(capfd):
    unbuilt = keras.Sequential([LocallyConnected2D(4, 3), LocallyConnected2D(4, 3, tile=2)])
    built = model_of(LocallyConnected2D(4, 3), (8, 7, 1))
    lines = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (unbuilt, built):
            model.summary(print_fn=lambda line: lines.append(line))
        unbuilt.build((None, 8, 7, 1))
        unbuilt.summary(print_fn=lambda line: lines.append(line))
    assert capfd.readouterr() == ("", "")
    assert f"{30 * 9 * 4 + 30 * 4:,}" in "\n".join(lines)


BAD_ARGUMENTS = {
    "filters": [0, -1, 2.0, True, "3", None],
    "kernel_size": [0, -1, 1.5, True, (3,), (3, 0), (3, 3, 3), "3", None],
    "strides": [0, -1, 1.5, True, (1, 0), (1, 2, 3), "1", None],
    "dilation_rate": [0, -2, 1.5, False, (1, 0), (1, 1, 1), None],
    "tile": [0, -1, 2.0, True, (2, 0), (2, 2, 2), "2"],
    "region": [0, -1, 1.5, True, (1, 0), (1, 1, 1), None],
    "padding": ["full", "causal", "SAME", "", None, 1],
    "data_format": ["channels_middle", "NHWC", 3],
    "use_bias": ["no", None, 1],
    "legacy_init": ["no", None, 1],
}


@pytest.mark.parametrize("layer", LAYERS.values())
@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in BAD_ARGUMENTS.items() for value in values],
    ids=repr,
)
def test_bad_arguments_are_named(layer, name, value):
    if layer is LocallyConnected1D and value == (3,):
        value = (3, 3)
    with pytest.raises(ValueError, match=rf"`{name}(\[\d\])?`.*received") as caught:
        layer(**{"filters": 2, "kernel_size": 3, name: value})
    assert repr(value) in str(caught.value) or repr(value[-1]) in str(caught.value)


BAD_SHAPES = {
    "kernel over the input": ((None, 2, 9, 1), {}, r"`kernel_size`.*\(None, 2, 9, 1\)"),
    "dilated kernel over the input": ((None, 6, 9, 1), dict(dilation_rate=3), "`dilation_rate`"),
    "unknown height": ((None, None, 9, 1), {}, r"spatial size.*\(None, None, 9, 1\)"),
    "unknown width": ((None, 9, None, 1), dict(padding="same"), "spatial size"),
    "empty input": ((None, 0, 9, 1), dict(padding="same"), "Give larger inputs"),
    "unknown channels": ((None, 9, 9, None), {}, r"channels.*\(None, 9, 9, None\)"),
    "tile over the positions": ((None, 6, 5, 1), dict(tile=4), r"`tile`=\(4, 4\).*\(4, 3\)"),
    "tile over the regions": ((None, 6, 6, 1), dict(tile=3, region=2), r"`tile`.*at most \(2, 2\)"),
    "steps: kernel over the input": ((None, 2, 1), {}, "`kernel_size`"),
    "steps: unknown length": ((None, None, 1), {}, "spatial size"),
    "steps: tile over the positions": ((None, 6, 1), dict(tile=5), "`tile`"),
}


@pytest.mark.parametrize(("shape", "arguments", "message"), BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_bad_shapes_are_refused_before_weights_exist(shape, arguments, message):
    layer = make(shape, dict(kernel_size=3), **arguments)
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(shape[1:]))
    assert layer.weights == []


@pytest.mark.parametrize("shape", [(2, 7, 5), (2, 7, 5, 1, 1), (2, 5, 7, 1), (2, 7, 5, 3)])
def test_inputs_of_another_shape_are_refused(shape):
    layer = LocallyConnected2D(2, 3)
    layer.build((None, 7, 5, 1))
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.zeros(shape, "float32"))


def test_an_input_of_another_rank_is_refused_before_weights_exist():
    layer = LocallyConnected2D(2, 3)
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.zeros((2, 7, 5), "float32"))
    assert layer.weights == []


def test_weights_of_another_shape_are_refused():
    layer = LocallyConnected2D(2, 3)
    layer.build((None, 7, 5, 1))
    kernel, bias = layer.get_weights()
    for weights in ([kernel[:-1], bias], [kernel.reshape(15, 9, 2), bias], [kernel]):
        with pytest.raises(ValueError, match=r"shape|length"):
            layer.set_weights(weights)


def test_parameter_count_of_deepfaces_local_layers():
    sizes = {(63, 63, 16): (9, 1), (55, 55, 16): (7, 2), (25, 25, 16): (5, 1)}
    counts = []
    for shape, (kernel_size, strides) in sizes.items():
        layer = LocallyConnected2D(16, kernel_size, strides)
        positions = layer.compute_output_shape((None, *shape))[1:3]
        counts.append(math.prod(positions) * (kernel_size**2 * 16 + 1) * 16)
    assert counts == [62_774_800, 7_850_000, 2_829_456]
