import keras
import numpy as np
import pytest
import tensorflow as tf
from local_reference import assert_same, local_example

from zoo.layers import LocallyConnected1D, LocallyConnected2D, products

LAYERS = {1: LocallyConnected1D, 2: LocallyConnected2D}
FORMATS = ("channels_last", "channels_first")
SHARING = {
    "unshared": {},
    "tile 1": dict(tile=1),
    "tile 2": dict(tile=2),
    "tile 3x2": dict(tile=(3, 2)),
    "region 2": dict(region=2),
    "region 2x3": dict(region=(2, 3)),
    "regions in tiles": dict(region=(2, 1), tile=(2, 1)),
    "one region": dict(region=99),
}
# name: (input shape, arguments); the last three are the layers of DeepFace in small.
SHAPES = {
    "batch of one": ((1, 6, 5, 2), dict(kernel_size=3)),
    "one position": ((3, 4, 3, 2), dict(kernel_size=(4, 3))),
    "one pixel": ((2, 1, 1, 3), dict(kernel_size=3, padding="same")),
    "1x1 kernel": ((2, 4, 5, 3), dict(kernel_size=1)),
    "1x1 kernel, strides": ((2, 7, 6, 3), dict(kernel_size=1, strides=(3, 2), padding="same")),
    "kernel larger than the input": ((2, 3, 2, 2), dict(kernel_size=5, padding="same")),
    "one filter": ((4, 6, 3, 2), dict(kernel_size=3, filters=1)),
    "one filter, row": ((4, 3, 6, 2), dict(kernel_size=3, filters=1)),
    "row": ((2, 1, 9, 2), dict(kernel_size=(1, 4), strides=(1, 2))),
    "even kernel, same": ((2, 6, 7, 2), dict(kernel_size=4, strides=2, padding="same")),
    "no bias": ((2, 6, 5, 2), dict(kernel_size=2, use_bias=False)),
    "no bias, tiles": ((2, 6, 5, 2), dict(kernel_size=2, use_bias=False, tile=2)),
    "one channel, large batch": ((128, 28, 28, 1), dict(kernel_size=3, filters=8)),
    "many channels": ((8, 7, 7, 64), dict(kernel_size=3, filters=64)),
    "many channels, same": ((8, 7, 7, 32), dict(kernel_size=3, filters=32, padding="same")),
    "9x9 kernel": ((4, 21, 22, 8), dict(kernel_size=9, filters=8)),
    "7x7 kernel, strides": ((3, 25, 24, 8), dict(kernel_size=7, strides=2, filters=8)),
    "large batch": ((300, 12, 11, 8), dict(kernel_size=5, filters=4)),
}
STEPS = {
    "steps": ((3, 11, 2), dict(kernel_size=3)),
    "steps, same": ((3, 11, 2), dict(kernel_size=4, padding="same")),
    "steps, strides": ((3, 11, 2), dict(kernel_size=3, strides=2, padding="same")),
    "steps, strides over the kernel": ((3, 11, 2), dict(kernel_size=2, strides=3)),
    "steps, dilation and strides": ((3, 13, 2), dict(kernel_size=3, dilation_rate=2, strides=2)),
    "steps, tile": ((3, 11, 2), dict(kernel_size=3, tile=4)),
    "steps, region and tile": ((3, 12, 2), dict(kernel_size=3, region=2, tile=2, padding="same")),
    # Keras's `add` on TensorFlow can take a bias of one filter for one along another axis.
    "steps, one filter": ((4, 6, 2), dict(kernel_size=3, filters=1)),
    "steps, no bias": ((1, 9, 3), dict(kernel_size=3, use_bias=False)),
}


def make(shape, arguments, **more):
    return LAYERS[len(shape) - 2](**{"filters": 3, **arguments, **more})


def with_gradients(layer, x, upstream, jit_compile=False):
    """Outputs, and the gradients of the input and of every weight."""

    def compute(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return [y, *tape.gradient(y, [x, *(w.value for w in layer.weights)], upstream)]

    if jit_compile:
        compute = tf.function(compute, jit_compile=True)
    return compute(tf.convert_to_tensor(x), tf.convert_to_tensor(upstream))


def check(shape, layer, jit_compile=False):
    example = local_example(layer, shape)
    layer.set_weights(example.weights)
    actual = with_gradients(layer, example.x, example.upstream, jit_compile)
    assert_same(actual, example.expected)
    assert_same([layer(example.x)], example.expected[:1])


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("dilation_rate", [1, (2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, (1, 2), 3])
def test_numbers_equal_a_loop(strides, padding, dilation_rate, sharing):
    layer = LocallyConnected2D(4, (3, 2), strides, padding, dilation_rate=dilation_rate, **sharing)
    check((2, 11, 9, 3), layer)


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_numbers_equal_a_loop_with_channels_first(padding, sharing):
    layer = LocallyConnected2D(
        4, (3, 2), (1, 2), padding, "channels_first", dilation_rate=(2, 1), **sharing
    )
    check((2, 11, 9, 3), layer)


@pytest.mark.parametrize(("shape", "arguments"), SHAPES.values(), ids=SHAPES)
def test_numbers_equal_a_loop_whatever_the_shape(shape, arguments):
    check(shape, make(shape, arguments))


@pytest.mark.parametrize(("shape", "arguments"), STEPS.values(), ids=STEPS)
def test_numbers_equal_a_loop_over_steps(shape, arguments):
    check(shape, make(shape, arguments))


@pytest.mark.parametrize("tile", [None, 2])
def test_numbers_equal_a_loop_over_steps_with_channels_first(tile):
    check((3, 11, 6), LocallyConnected1D(4, 3, 2, "same", "channels_first", tile=tile))


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
def test_numbers_equal_a_loop_for_patches_of_few_values(sharing):
    arguments = dict(strides=(1, 2), dilation_rate=(2, 1), use_bias="tile" not in sharing)
    layer = LocallyConnected2D(4, (3, 2), padding="same", **arguments, **sharing)
    assert 6 * 2 <= products.MAX_FUSED_PATCH < 6 * 3  # the other tests have three channels
    check((2, 11, 9, 2), layer)


def test_numbers_equal_a_loop_over_steps_under_xla():
    check((3, 13, 2), LocallyConnected1D(4, 3, 2, "same", dilation_rate=2), jit_compile=True)


@pytest.mark.parametrize("shape", ["one channel, large batch", "7x7 kernel, strides"])
def test_numbers_equal_a_loop_under_xla_whatever_the_shape(shape):
    shape, arguments = SHAPES[shape]
    check(shape, make(shape, arguments), jit_compile=True)


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
def test_numbers_equal_a_loop_under_xla(sharing):
    layer = LocallyConnected2D(4, (3, 2), (1, 2), "same", dilation_rate=(2, 1), **sharing)
    check((2, 11, 9, 3), layer, jit_compile=True)


@pytest.mark.parametrize("sharing", [dict(tile=1), dict(region=99)], ids=["tile", "region"])
@pytest.mark.parametrize(
    "spacing", [{}, dict(strides=2), dict(strides=(1, 3)), dict(dilation_rate=(2, 1))], ids=str
)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", FORMATS)
def test_one_kernel_is_a_convolution(data_format, padding, spacing, sharing):
    # TensorFlow convolves channels first on some processors only, so the reference has them last.
    arguments = dict(padding=padding, **spacing)
    convolution = keras.layers.Conv2D(5, (3, 2), bias_initializer="random_normal", **arguments)
    arguments |= dict(data_format=data_format, activation="softmax")
    local = LocallyConnected2D(5, (3, 2), **sharing, **arguments)
    x = np.random.default_rng(1).normal(size=(2, 9, 8, 3)).astype("float32")
    expected = convolution(x).numpy()
    if data_format == "channels_first":
        x, expected = x.transpose(0, 3, 1, 2), expected.transpose(0, 3, 1, 2)
    local.build(x.shape)
    kernel, bias = convolution.get_weights()
    local.set_weights([kernel.reshape(1, 1, -1, 5), bias.reshape(1, 1, 5)])
    np.testing.assert_allclose(local(x), keras.ops.softmax(expected), atol=1e-6)
    assert local.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", FORMATS)
def test_one_kernel_is_a_convolution_over_steps(data_format, padding):
    arguments = dict(padding=padding, strides=2)
    convolution = keras.layers.Conv1D(6, 3, bias_initializer="random_normal", **arguments)
    arguments |= dict(data_format=data_format, activation="softmax")
    local = LocallyConnected1D(6, 3, tile=1, **arguments)
    x = np.random.default_rng(1).normal(size=(2, 10, 10)).astype("float32")
    expected = convolution(x).numpy()
    if data_format == "channels_first":
        x, expected = x.transpose(0, 2, 1), expected.transpose(0, 2, 1)
    local.build(x.shape)
    kernel, bias = convolution.get_weights()
    local.set_weights([kernel.reshape(1, -1, 6), bias.reshape(1, 6)])
    np.testing.assert_allclose(local(x), keras.ops.softmax(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "kernels"),
    [
        ({}, (9, 7)),
        (dict(tile=1), (1, 1)),
        (dict(tile=(9, 7)), (9, 7)),
        (dict(tile=(4, 2)), (4, 2)),
        (dict(region=2), (5, 4)),
        (dict(region=(4, 1)), (3, 7)),
        (dict(region=2, tile=(5, 3)), (5, 3)),
        (dict(strides=2), (5, 4)),
        (dict(padding="same"), (11, 8)),
        (dict(dilation_rate=(2, 3)), (7, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("data_format", FORMATS)
def test_weights_count_the_different_kernels(data_format, arguments, kernels):
    layer = LocallyConnected2D(6, (3, 2), data_format=data_format, **arguments)
    layer.build((None, 11, 8, 5) if data_format == "channels_last" else (None, 5, 11, 8))
    assert layer.kernel.shape == (*kernels, 30, 6)
    assert layer.bias.shape == (*kernels, 6)


def model_of(layer, shape, **compile_arguments):
    """A small classifier with one layer of interest."""
    image = keras.Input(shape, name="image")
    x = keras.layers.Flatten()(layer(image))
    model = keras.Model(image, keras.layers.Dense(3, "softmax", dtype="float32")(x))
    model.compile(
        keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy", **compile_arguments
    )
    return model


def batches(shape, size=16):
    random = np.random.default_rng(2)
    return random.normal(size=(size, *shape)).astype("float32"), random.integers(0, 3, size)


def test_fit_gives_the_same_numbers_with_and_without_xla():
    x, y = batches((8, 7, 2))
    fitted = []
    for jit_compile in (True, False):
        keras.utils.set_random_seed(5)
        layers = [
            LocallyConnected2D(4, 3, activation="relu"),
            LocallyConnected2D(4, 3, padding="same", tile=2, activation="relu"),
            LocallyConnected2D(4, 3, strides=(1, 2), region=2),
        ]
        model = model_of(keras.Sequential(layers), (8, 7, 2), jit_compile=jit_compile)
        history = model.fit(x, y, batch_size=8, epochs=4, shuffle=False, verbose=0)
        assert history.history["loss"][-1] < history.history["loss"][0]
        fitted.append(model.get_weights())
    for one, other in zip(*fitted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "tolerance", "jit_compile"),
    [
        ("mixed_float16", 4e-3, False),
        ("mixed_bfloat16", 3e-2, False),
        ("mixed_bfloat16", 3e-2, True),
    ],
)
def test_mixed_precision(policy, tolerance, jit_compile):
    shape = (4, 9, 7, 3)
    for arguments in ({}, dict(tile=2, padding="same")):
        layer = LocallyConnected2D(4, 3, strides=2, dtype=policy, **arguments)
        example = local_example(layer, shape)
        layer.set_weights(example.weights)
        dtype = policy.removeprefix("mixed_")
        assert layer(example.x).dtype == dtype
        assert all(weight.dtype == "float32" for weight in layer.weights)
        upstream = tf.cast(example.upstream, dtype)
        actual = with_gradients(layer, example.x, upstream, jit_compile)
        assert [a.dtype.name for a in actual] == [dtype, "float32", "float32", "float32"]
        assert_same([tf.cast(a, "float32") for a in actual], example.expected, tolerance)

    model = model_of(layer, shape[1:], jit_compile=jit_compile)
    before = [weight.copy() for weight in layer.get_weights()]
    model.train_on_batch(*batches(shape[1:]))
    for old, new in zip(before, layer.get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert (old != new).any(axis=-1).all()


@pytest.mark.parametrize(
    ("arguments", "jit_compile"),
    [({}, True), ({}, False), (dict(filters=2, kernel_size=1), False), (dict(region=2), False)],
    ids=str,
)
@pytest.mark.parametrize("most_patches", [products.MAX_PATCHES, 2000])
def test_one_graph_takes_every_batch_size(arguments, jit_compile, most_patches, monkeypatch):
    monkeypatch.setattr(products, "MAX_PATCHES", most_patches)  # 2000 are those of three images
    layer = make((1, 7, 5, 2), dict(kernel_size=3, padding="same"), **arguments)
    layer.build((None, 7, 5, 2))
    traces = []

    def compute(x, upstream):
        traces.append(x.shape)
        return with_gradients(layer, x, upstream)

    signature = [tf.TensorSpec((None, 7, 5, size)) for size in (2, layer.filters)]
    graph = tf.function(compute, input_signature=signature, jit_compile=jit_compile)
    for size in (1, 3, 20):
        example = local_example(layer, (size, 7, 5, 2))
        layer.set_weights(example.weights)
        assert_same(graph(example.x, example.upstream), example.expected)
    assert traces == [(None, 7, 5, 2)]


def test_a_frozen_layer_stays_as_it_is():
    layer = LocallyConnected2D(4, 3)
    model = model_of(layer, (6, 6, 1))
    layer.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [w.copy() for w in layer.get_weights()]
    model.train_on_batch(*batches((6, 6, 1)))
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_layer_can_be_called_twice():
    layer = LocallyConnected2D(2, 3, padding="same")
    example = local_example(layer, (3, 5, 4, 2))
    layer.set_weights(example.weights)
    image = keras.Input((5, 4, 2))
    model = keras.Model(image, layer(layer(image)))
    np.testing.assert_allclose(model(example.x), layer(example.expected[0]), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "jit_compile"),
    [({}, True), ({}, False), (dict(padding="same", strides=2), False), (dict(tile=2), False)],
    ids=str,
)
def test_patches_made_in_parts_give_the_same_numbers(arguments, jit_compile, monkeypatch):
    shape = (4, 13, 8, 3)
    monkeypatch.setattr(products, "MAX_PATCHES", 1000)  # two rows of positions or fewer
    check(shape, LocallyConnected2D(5, (3, 2), dilation_rate=(2, 1), **arguments), jit_compile)


@pytest.mark.parametrize(
    "arguments",
    [
        dict(kernel_size=3),
        dict(kernel_size=3, strides=2),
        dict(kernel_size=3, tile=2),
        dict(kernel_size=2),
    ],
    ids=str,
)
def test_gradients_have_gradients(arguments):
    layer = LocallyConnected2D(3, activation="tanh", dtype="float64", **arguments)
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 6, 5, 2)))
    layer.build(x.shape)

    def penalty(kernel):
        layer.kernel.assign(kernel)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x, training=True) ** 2)
            value = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return value, outer.gradient(value, layer.kernel.value)

    kernel = layer.get_weights()[0]
    direction = np.random.default_rng(4).normal(size=kernel.shape)
    gradient = np.sum(penalty(kernel)[1] * direction)
    ahead, behind = (penalty(kernel + step * direction)[0] for step in (1e-5, -1e-5))
    assert gradient == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-6)
