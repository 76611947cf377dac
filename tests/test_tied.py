"""Tied weights: an encoder's kernels, and their transposes in its decoder, also when loaded."""

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import TiedConv2D, TiedModel
from zoo.layers.tied import Tied

IMAGES = np.random.default_rng(0).random((32, 9, 7, 1), dtype="float32")


TIED = [
    lambda: zoo.dense_autoencoder((9, 7, 1), 3, hidden_units=(8,), kind="variational", tied=True),
    lambda: zoo.conv_autoencoder((9, 7, 1), 3, filters=(4,), tied=True),
]

UNTIED = [
    lambda: zoo.dense_autoencoder((9, 7, 1), 3, hidden_units=(8,), kind="variational"),
    lambda: zoo.conv_autoencoder((9, 7, 1), 3, filters=(4,), kind="sparse"),
]


def trained_and_loaded(model, directory):
    """Train a model a little, and give it as its file does."""
    model.compile("adam", "mse")
    model.fit(IMAGES, IMAGES, epochs=2, verbose=0)
    model.save(directory / "tied.keras")
    again = keras.saving.load_model(directory / "tied.keras")
    np.testing.assert_array_equal(
        model.predict(IMAGES, verbose=0), again.predict(IMAGES, verbose=0)
    )
    return again


@pytest.mark.parametrize("batch_norm", [False, True])
def test_tied_weights_are_transposes_also_after_loading(tmp_path, batch_norm):
    model = zoo.dense_autoencoder(
        (9, 7, 1), 3, hidden_units=(16, 8), tied=True, batch_norm=batch_norm
    )
    again = trained_and_loaded(model, tmp_path)
    again.fit(IMAGES, IMAGES, epochs=2, verbose=0)
    assert isinstance(again, TiedModel)
    encoder, decoder = again.get_layer("encoder"), again.get_layer("decoder")
    for name in ("dense1", "dense2", "code"):
        assert encoder.get_layer(name) is decoder.get_layer(name)
    untied = zoo.dense_autoencoder((9, 7, 1), 3, hidden_units=(16, 8), batch_norm=batch_norm)
    kernels = 63 * 16 + 16 * 8 + 8 * 3
    assert model.count_params() == again.count_params() == untied.count_params() - kernels


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_tied_convolutions_are_transposes_also_after_loading(tmp_path, batch_norm, pooling):
    arguments = dict(filters=(4,), pooling=pooling, batch_norm=batch_norm)
    model = zoo.conv_autoencoder((9, 7, 1), 3, tied=True, skip_connections=True, **arguments)
    again = trained_and_loaded(model, tmp_path)
    encoder, decoder = again.get_layer("encoder"), again.get_layer("decoder")
    for name in ("block1_conv1", "block1_conv2", "code"):
        assert encoder.get_layer(name) is decoder.get_layer(name)
    untied = zoo.conv_autoencoder((9, 7, 1), 3, skip_connections=True, **arguments)
    kernels = 9 * (1 * 4 + 4 * 4) + 5 * 4 * 4 * 3
    assert model.count_params() == again.count_params() == untied.count_params() - kernels


@pytest.mark.parametrize("build", TIED)
def test_clones_of_tied_models_are_tied(build, tmp_path):
    model = build()
    clone = keras.models.clone_model(model)
    assert clone.count_params() == model.count_params()
    clone.set_weights(model.get_weights())
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(clone.predict(IMAGES, verbose=0), expected)
    clone.compile("adam", "mse")
    clone.fit(IMAGES, IMAGES, verbose=0)
    clone.trainable = False
    clone.save(tmp_path / "clone.keras")
    again = keras.saving.load_model(tmp_path / "clone.keras")
    assert not again.trainable
    np.testing.assert_array_equal(
        again.predict(IMAGES, verbose=0), clone.predict(IMAGES, verbose=0)
    )


@pytest.mark.parametrize("build", TIED)
def test_a_tied_decoder_can_be_cloned_and_looked_into(build):
    decoder = build().get_layer("decoder")
    clone = keras.models.clone_model(decoder)
    clone.set_weights(decoder.get_weights())
    codes = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        clone.predict(codes, verbose=0), decoder.predict(codes, verbose=0)
    )
    code = decoder.get_layer("code")
    found = zoo.features(decoder, "code").predict(codes, verbose=0)
    np.testing.assert_allclose(found, code(codes, transposed=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("filters", "convs"), [((4, 8, 16), (1, 2, 3)), ((8, 4), (2, 1))])
def test_tied_cascades_mirror_their_blocks(filters, convs):
    model = zoo.conv_autoencoder((29, 31, 3), 5, filters=filters, convs_per_block=convs, tied=True)
    assert model.output_shape == (None, 29, 31, 3)
    shared = [layer for layer in model.get_layer("encoder").layers if isinstance(layer, Tied)]
    assert len(shared) == sum(convs) + 1
    decoder = model.get_layer("decoder").layers
    assert [layer for layer in decoder if isinstance(layer, Tied)] == shared[::-1]
    assert not any(type(layer) in (keras.layers.Conv2D, keras.layers.Dense) for layer in decoder)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_a_transposed_convolution_is_the_adjoint(kernel_size):
    generator = np.random.default_rng(0)
    layer = TiedConv2D(3, kernel_size, use_bias=False, use_transposed_bias=False)
    x = generator.normal(size=(2, 9, 7, 2)).astype("float32")
    y = generator.normal(size=(2, 9, 7, 3)).astype("float32")
    forth = np.sum(np.asarray(layer(x)) * y)
    back = np.sum(x * np.asarray(layer(y, transposed=True)))
    np.testing.assert_allclose(forth, back, rtol=1e-4)


def test_a_tied_decoder_computes_with_the_transposed_kernel(tmp_path):
    model = zoo.dense_autoencoder((12,), 3, hidden_units=(), tied=True, data_range="real")
    kernel = model.get_layer("encoder").get_layer("code").kernel.numpy()
    codes = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    model.get_layer("decoder").save(tmp_path / "decoder.keras")
    for decoder in (
        model.get_layer("decoder"),
        keras.saving.load_model(tmp_path / "decoder.keras"),
    ):
        np.testing.assert_allclose(decoder.predict(codes, verbose=0), codes @ kernel.T, atol=1e-5)


@pytest.mark.parametrize("build", [*TIED, *UNTIED])
def test_features_of_both_halves_come_from_one_pass(build, tmp_path):
    model = build()
    both = zoo.features(model, ["encoder", "decoder"])
    found = both.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(found["decoder"], model.predict(IMAGES, verbose=0))
    encoder = model.get_layer("encoder")
    np.testing.assert_array_equal(found["encoder"], encoder.predict(IMAGES, verbose=0))
    both(IMAGES, training=True)
    model(IMAGES, training=True)
    assert len(both.losses) == len(model.losses)
    with pytest.raises(ValueError, match="used 2 times"):
        keras.Model(model.input, [encoder.output, model.output])
    if not isinstance(model, TiedModel):
        both.save(tmp_path / "both.keras")
        again = keras.saving.load_model(tmp_path / "both.keras").predict(IMAGES, verbose=0)
        np.testing.assert_array_equal(again["encoder"], encoder.predict(IMAGES, verbose=0))
