"""The cascade and dense families: structure, published counts, weights of a peer, bad input."""

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import BatchNormalization


def layer_names(model):
    return [layer.name for layer in model.layers]


def test_batch_norm_stands_between_convolution_and_activation_and_replaces_the_bias():
    model = zoo.cascade_cnn((8, 8, 1), 10, filters=(4,), convs_per_block=1, dense_units=())
    assert layer_names(model) == [
        "image",
        "block1_conv1",
        "block1_conv1_bn",
        "block1_activation1",
        "block1_pool",
        "flatten",
        "classifier",
        "probabilities",
    ]
    assert not model.get_layer("block1_conv1").use_bias
    plain = zoo.cascade_cnn((8, 8, 1), 10, filters=(4,), batch_norm=False)
    assert plain.get_layer("block1_conv1").use_bias


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
def test_every_pooling_halves_the_image(pooling):
    model = zoo.cascade_cnn((16, 16, 1), 10, filters=(4, 8), pooling=pooling)
    outputs = zoo.features(model, ["block1_pool", "block2_pool"]).output
    shapes = {name: tensor.shape for name, tensor in outputs.items()}
    assert shapes == {"block1_pool": (None, 8, 8, 4), "block2_pool": (None, 4, 4, 8)}


def test_convs_per_block_takes_one_number_or_one_a_block():
    def count(convs):
        model = zoo.cascade_cnn((16, 16, 1), 10, filters=(4, 8), convs_per_block=convs)
        return sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)

    assert (count(1), count(3), count((1, 3))) == (2, 6, 4)


def test_global_heads_take_images_of_any_size():
    for head in ("global_average", "global_max"):
        model = zoo.cascade_cnn((None, None, 1), 3, filters=(4,), head=head)
        assert model(np.zeros((1, 9, 13, 1), "float32")).shape == (1, 3)


def test_a_residual_block_with_zero_weights_passes_its_input_on():
    model = zoo.cascade_cnn(
        (8, 8, 3), 2, filters=(3,), batch_norm=False, skip_connections=True, pooling="max"
    )
    for index in (1, 2):
        layer = model.get_layer(f"block1_conv{index}")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    images = np.random.default_rng(0).random((2, 8, 8, 3), dtype="float32")
    outputs = zoo.features(model, "block1_activation2")(images)
    np.testing.assert_array_equal(outputs, images)


def test_skip_connection_projects_where_shapes_differ():
    strided = zoo.cascade_cnn((16, 16, 1), 2, filters=(4,), strides=2, skip_connections=True)
    assert "block1_shortcut" in layer_names(strided)
    dense = zoo.mlp((4, 4, 1), 2, hidden_units=(8, 8), skip_connections=True)
    assert "dense1_shortcut" in layer_names(dense)
    assert "dense2_shortcut" not in layer_names(dense)


def test_dropout_stands_after_each_dense_layer_else_after_the_head():
    deep = zoo.cascade_cnn((8, 8, 1), 2, filters=(4,), dense_units=(8, 8), dropout=0.5)
    assert [n for n in layer_names(deep) if "dropout" in n] == ["dense1_dropout", "dense2_dropout"]
    flat = zoo.cascade_cnn((8, 8, 1), 2, filters=(4,), dense_units=(), dropout=0.5)
    assert [n for n in layer_names(flat) if "dropout" in n] == ["dropout"]


def test_linear_classifier_gives_logits():
    model = zoo.mlp((4, 4, 1), 3, classifier_activation="linear")
    assert model.output_names == ["logits"]


@pytest.mark.parametrize(("name", "peer"), [("vgg16", "VGG16"), ("vgg19", "VGG19")])
def test_vgg_gives_the_numbers_of_keras_applications(name, peer):
    """At 64x64 pixels, where the convolutions are the paper's and the dense layers small."""
    theirs = getattr(keras.applications, peer)(weights=None, input_shape=(64, 64, 3), classes=7)
    ours = zoo.create(name, input_shape=(64, 64, 3), num_classes=7)
    ours.set_weights(theirs.get_weights())
    images = np.random.default_rng(0).random((2, 64, 64, 3), dtype="float32")
    np.testing.assert_allclose(
        ours.predict(images, verbose=0), theirs.predict(images, verbose=0), atol=1e-6
    )


def test_transfer_weights_copies_what_fits_and_says_what_did_not():
    source = zoo.cascade_cnn((16, 16, 1), 10, filters=(4, 8), dense_units=(16,))
    target = zoo.cascade_cnn((16, 16, 1), 3, filters=(4, 8), dense_units=())
    transfer = zoo.transfer_weights(source, target)
    assert "block2_conv2" in transfer.loaded
    assert set(transfer.skipped) == {"dense1", "dense1_bn", "classifier"}
    for name in transfer.loaded:
        for old, new in zip(
            source.get_layer(name).get_weights(), target.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(old, new)


def test_transfer_between_strangers_raises():
    with pytest.raises(ValueError, match="share no layer"):
        zoo.transfer_weights(zoo.mlp((4, 4, 1), 2), zoo.mlp((5, 5, 1), 3, batch_norm=False))


def test_features_of_a_sequential_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    assert zoo.features(model, "d").output_shape == (None, 3)
    with pytest.raises(ValueError, match="`model`"):
        zoo.features(keras.Sequential([keras.layers.Dense(3, name="d")]), "d")


def test_features_of_an_unknown_layer_suggests():
    with pytest.raises(ValueError, match="Did you mean 'flatten'"):
        zoo.features(zoo.mlp((4, 4, 1), 2), "flaten")


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "momentum": 0.5}])
def test_fused_batch_normalization_is_keras_batch_normalization(dtype, options):
    import tensorflow as tf

    ours, theirs = BatchNormalization(dtype=dtype, **options), None
    theirs = keras.layers.BatchNormalization(dtype=dtype, **options)
    x = tf.constant(np.random.default_rng(0).normal(3, 2, (4, 6, 5, 8)), tf.float32)
    x = tf.cast(x, ours.compute_dtype)
    weight = tf.constant(np.random.default_rng(1).normal(size=x.shape), x.dtype)
    results = []
    for layer in (ours, theirs):
        layer.build(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * weight)
        watched = [x, *[variable.value for variable in layer.trainable_variables]]
        results.append(
            [outputs, *tape.gradient(loss, watched), *layer.non_trainable_variables, layer(x)]
        )
    exact = dtype == "float32"
    for mine, keras_own in zip(*results, strict=True):
        mine, keras_own = (np.asarray(tf.cast(value, tf.float32)) for value in (mine, keras_own))
        if exact:
            np.testing.assert_allclose(mine, keras_own, atol=2e-5)
        else:
            np.testing.assert_allclose(mine, keras_own, atol=0.03, rtol=0.03)


def test_a_frozen_fused_layer_keeps_its_statistics():
    layer = BatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    layer(np.ones((2, 4, 4, 2), "float32"), training=True)
    np.testing.assert_array_equal(layer.moving_mean, [0, 0])


def test_plain_keras_loads_a_saved_model_without_this_package(tmp_path):
    import subprocess
    import sys

    zoo.create("cascade_cnn_tiny").save(tmp_path / "model.keras")
    client = (
        "import keras, sys\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "assert 'zoo' not in sys.modules\n"
        "assert type(model.get_layer('block1_conv1_bn')) is keras.layers.BatchNormalization\n"
    )
    subprocess.run([sys.executable, "-c", client, tmp_path / "model.keras"], check=True)


@pytest.mark.parametrize("build", [zoo.cascade_cnn, zoo.mlp])
def test_hidden_kernels_begin_as_they_are_told(build):
    keras.utils.set_random_seed(0)
    model = build((16, 16, 3), 10, kernel_initializer=keras.initializers.Constant(0.25))
    hidden = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and layer.name != "classifier"
    ]
    assert len(hidden) > 1
    for layer in hidden:
        np.testing.assert_array_equal(layer.kernel, np.full(layer.kernel.shape, 0.25, "float32"))
    he = build((16, 16, 3), 10, kernel_initializer="he_normal")
    wide = next(one for one in reversed(he.layers) if one.name == "dense1")
    fan_in = wide.kernel.shape[0]
    assert np.std(wide.kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)


BAD_ARGUMENTS = [
    ("filters", dict(filters=())),
    ("filters", dict(filters=(8, 0))),
    ("filters", dict(filters=8.5)),
    ("convs_per_block", dict(filters=(8, 8), convs_per_block=(1, 2, 3))),
    ("convs_per_block", dict(convs_per_block=0)),
    ("dropout", dict(dropout=-0.1)),
    ("dropout", dict(dropout=1.0)),
    ("dropout", dict(dropout=float("nan"))),
    ("activation", dict(activation="rellu")),
    ("pooling", dict(pooling="maximum")),
    ("head", dict(head="global")),
    ("padding", dict(padding="full")),
    ("strides", dict(strides=0)),
    ("kernel_size", dict(kernel_size=-3)),
    ("input_shape", dict(input_shape=(4, 4, 1))),
    ("input_shape", dict(input_shape=(28, 28))),
    ("input_shape", dict(input_shape=(28, 28, 0))),
    ("input_shape", dict(input_shape=(None, None, 1))),
    ("input_shape", dict(padding="valid", kernel_size=13)),
    ("num_classes", dict(num_classes=-1)),
    ("num_classes", dict(num_classes=True)),
    ("dense_units", dict(dense_units=(0,))),
    ("batch_norm", dict(batch_norm="yes")),
    ("skip_connections", dict(skip_connections=True, padding="valid")),
    ("kernel_initializer", dict(kernel_initializer="he_norml")),
    ("kernel_initializer", dict(kernel_initializer=0.1)),
    ("classifier_activation", dict(classifier_activation="softmaxx")),
    ("classifier_activation", dict(classifier_activation="relu")),
    ("num_classes", dict(num_classes=1, classifier_activation=keras.activations.softmax)),
    ("activation", dict(activation=keras.layers.PReLU())),
    ("activation", dict(activation=keras.layers.ReLU)),
]


@pytest.mark.parametrize(("argument", "arguments"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(argument, arguments):
    with pytest.raises(ValueError, match=f"`{argument}"):
        zoo.cascade_cnn(**arguments)


def test_dense_layers_take_vectors_and_sequences_as_well_as_images():
    model = zoo.mlp((64,), 10, hidden_units=(64, 32))
    assert model.count_params() == zoo.mlp((8, 8, 1), 10, hidden_units=(64, 32)).count_params()
    assert (model.inputs[0].name, model.output_names) == ("features", ["probabilities"])
    assert zoo.mlp([16, 4], 0, hidden_units=(8,)).output_shape == (None, 8)
    for shape in ((), (1, 2, 3, 4), (None, 4), 5, (0,)):
        with pytest.raises(ValueError, match="`input_shape"):
            zoo.mlp(shape)
