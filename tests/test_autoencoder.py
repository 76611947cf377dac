"""Autoencoders: shapes, halves, and that each kind does what it says, against closed forms."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy import stats

import zoo
import zoo.tasks
from zoo.bottleneck import KINDS
from zoo.layers import (
    Corruption,
    EntropyBottleneck,
    GaussianSampling,
    Sparsity,
)

IMAGES = np.random.default_rng(0).random((32, 9, 7, 1), dtype="float32")


def dense(kind="plain", **arguments):
    arguments = {"hidden_units": (16,), **arguments}
    return zoo.dense_autoencoder((9, 7, 1), 3, kind=kind, **arguments)


def conv(kind="plain", **arguments):
    arguments = {"filters": (4, 8), "convs_per_block": 1, **arguments}
    return zoo.conv_autoencoder((9, 7, 1), 3, kind=kind, **arguments)


def losses_of(model, x):
    """The sum of what the layers charge for, in a training step."""
    model(x, training=True)
    return float(sum(model.losses))


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 5), (7, 13), (31, 33)])
def test_the_output_has_the_images_size_whatever_it_is(size, pooling):
    model = zoo.conv_autoencoder(
        (*size, 2), 3, filters=(2, 3, 4), convs_per_block=(2, 1, 1), pooling=pooling
    )
    assert model.output_shape == (None, *size, 2)
    assert model(np.zeros((2, *size, 2), "float32")).shape == (2, *size, 2)


def test_the_decoder_mirrors_the_encoder():
    model = zoo.conv_autoencoder((28, 28, 1), 16, filters=(8, 16), convs_per_block=2)
    shapes = {
        half: [
            tuple(layer.kernel.shape)
            for layer in model.get_layer(half).layers
            if layer.name.startswith(("block", "decode", "output")) and hasattr(layer, "kernel")
        ]
        for half in ("encoder", "decoder")
    }
    assert shapes["encoder"] == [(3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 16), (3, 3, 16, 16)]
    assert shapes["decoder"][1:] == [(3, 3, 16, 8), (3, 3, 8, 8), (3, 3, 8, 8), (3, 3, 8, 1)]


def test_the_model_is_decoder_after_encoder():
    for model in (dense(), conv(), dense("variational"), conv("compression")):
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
        codes = encoder.predict(IMAGES, verbose=0)
        assert codes.shape == (32, 3)
        rebuilt = decoder.predict(codes, verbose=0)
        np.testing.assert_array_equal(rebuilt, model.predict(IMAGES, verbose=0))


def test_vectors_are_features():
    model = zoo.dense_autoencoder((12,), 3, hidden_units=(8,), data_range="real")
    assert [tensor.name for tensor in model.inputs] == ["features"]
    assert model.output_shape == (None, 12)


def test_a_linear_autoencoder_is_an_affine_map_of_rank_latent_dim():
    model = zoo.dense_autoencoder((12,), 3, hidden_units=(8,), linear=True)
    x = np.random.default_rng(0).normal(size=(50, 12)).astype("float32")
    outputs = model.predict(x, verbose=0)
    assert np.linalg.matrix_rank(outputs - outputs.mean(axis=0), tol=1e-3) == 3
    middle = model.predict((x[:1] + x[1:2]) / 2, verbose=0)
    np.testing.assert_allclose(middle[0], (outputs[0] + outputs[1]) / 2, atol=1e-5)


def test_weights_of_both_halves_are_transferred():
    source, target = zoo.conv_autoencoder((9, 7, 1), 3), zoo.conv_autoencoder((9, 7, 1), 5)
    transfer = zoo.transfer_weights(source, target)
    assert set(transfer.skipped) == {"encoder/code", "decoder/decode_dense"}
    name = "block2_conv1"
    kernels = [model.get_layer("encoder").get_layer(name).kernel for model in (source, target)]
    np.testing.assert_array_equal(*map(np.asarray, kernels))


def test_numpys_integers_will_do():
    two = np.int64(2)
    model = zoo.dense_autoencoder((np.int64(12),), two, hidden_units=(two,), data_range="real")
    assert model.output_shape == (None, 12)
    shape = (np.int64(9), np.int64(7), np.int64(1))
    model = zoo.conv_autoencoder(shape, two, filters=(two,), kernel_size=np.int64(3))
    assert model.output_shape == (None, 9, 7, 1)


@pytest.mark.parametrize(
    ("noise", "level", "expected"),
    [
        ("gaussian", 0.1, lambda x: (abs((x - 0.5).std() - 0.1) < 0.002, len(np.unique(x)) > 1000)),
        ("masking", 0.3, lambda x: (abs((x == 0).mean() - 0.3) < 0.01, set(x[x > 0]) == {0.5})),
        (
            "salt_and_pepper",
            0.3,
            lambda x: (abs((x == 0).mean() - 0.15) < 0.01, abs((x == 1).mean() - 0.15) < 0.01),
        ),
    ],
)
def test_noise_is_what_it_says_and_only_while_training(noise, level, expected):
    layer, x = Corruption(noise, level, seed=1), np.full((100, 200), 0.5, "float32")
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)
    damaged = np.asarray(layer(x, training=True))
    assert all(expected(damaged))
    assert np.any(damaged != np.asarray(layer(x, training=True)))


def test_gaussian_noise_is_cut_to_the_range_of_images_only():
    x = np.ones((100, 100), "float32")
    assert np.max(Corruption("gaussian", 0.3)(x, training=True)) == 1
    assert np.max(Corruption("gaussian", 0.3, clip=False)(x, training=True)) > 1.5
    real = zoo.dense_autoencoder((8,), 2, kind="denoising", data_range="real")
    assert not real.get_layer("encoder").get_layer("noise").clip


def test_denoising_learns_to_remove_noise(digits):
    keras.utils.set_random_seed(0)
    model = zoo.dense_autoencoder((8, 8, 1), 16, kind="denoising", noise_level=0.3)
    zoo.tasks.get("reconstruction").compile(model, keras.optimizers.Adam(3e-3))
    images = digits.train.examples(np.arange(len(digits.train)))
    model.fit(images, images, epochs=40, verbose=0)
    clean = digits.test.examples(np.arange(len(digits.test)))
    noise = np.random.default_rng(0).normal(0, 0.3, clean.shape)
    noisy = np.clip(clean + noise, 0, 1).astype("float32")
    rebuilt = model.predict(noisy, verbose=0)
    assert np.square(rebuilt - clean).mean() < 0.6 * np.square(noisy - clean).mean()


def test_sparsity_is_charged_as_written():
    codes = np.random.default_rng(0).uniform(0.01, 0.9, (20, 6)).astype("float32")
    assert losses_of(Sparsity(0.5), codes) == pytest.approx(0.5 * codes.sum() / 20, rel=1e-5)
    found = codes.mean(axis=0)
    divergence = stats.entropy([np.full(6, 0.05), np.full(6, 0.95)], [found, 1 - found]).sum()
    assert losses_of(Sparsity(0.5, "kl"), codes) == pytest.approx(0.5 * divergence, rel=1e-4)


def test_sparse_codes_are_less_active(digits):
    images = digits.train.examples(np.arange(400))
    active = {}
    for sparsity, weight in (("l1", 0.0), ("l1", 1.0), ("kl", 1.0)):
        keras.utils.set_random_seed(0)
        model = zoo.dense_autoencoder(
            (8, 8, 1), 32, hidden_units=(), kind="sparse", sparsity=sparsity, penalty_weight=weight
        )
        model.compile(keras.optimizers.Adam(1e-2), "mse")
        history = model.fit(images, images, epochs=40, verbose=0).history
        codes = model.get_layer("encoder").predict(images, verbose=0)
        active[sparsity, weight] = np.abs(codes).mean()
        assert history["sparsity"][-1] > 0
    assert active["l1", 1.0] < active["l1", 0.0] / 2
    assert active["kl", 1.0] < 0.2  # sigmoids, of which a twentieth is wanted


def test_the_contraction_is_the_jacobians_norm():
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = dense("contractive", penalty_weight=63.0, activation="tanh")  # 1 a pixel
    x = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        codes = model.get_layer("encoder")(x)
    jacobian = tape.batch_jacobian(codes, x).numpy()
    expected = np.square(jacobian).sum() / len(IMAGES)
    estimates = [losses_of(model, IMAGES) for _ in range(200)]
    assert np.mean(estimates) == pytest.approx(expected, rel=0.05)
    assert model(IMAGES, training=True).shape == IMAGES.shape


def test_the_kl_term_is_the_divergence_and_draws_follow_the_distribution():
    mean, log_variance = np.float32([[0.5, -1.0]]), np.float32([[-1.0, 0.5]])
    layer = GaussianSampling(1.0, seed=0)
    many = np.repeat(mean, 20_000, axis=0), np.repeat(log_variance, 20_000, axis=0)
    draws = np.asarray(layer(*many, training=True))
    deviation = np.exp(log_variance / 2)
    np.testing.assert_allclose(draws.mean(axis=0), mean[0], atol=0.03)
    np.testing.assert_allclose(draws.std(axis=0), deviation[0], rtol=0.03)
    ratio = stats.norm.logpdf(draws, mean, deviation) - stats.norm.logpdf(draws)
    assert float(layer.losses[0]) == pytest.approx(ratio.sum(axis=1).mean(), rel=0.03)
    np.testing.assert_array_equal(layer(*many), many[0])


def test_the_variational_loss_is_the_error_and_beta_times_the_kl(digits):
    images = digits.train.examples(np.arange(400))
    model = zoo.dense_autoencoder((8, 8, 1), 2, kind="variational", beta=0.3)
    zoo.tasks.get("reconstruction").compile(model, keras.optimizers.Adam(3e-3))
    history = model.fit(images, images, epochs=20, validation_split=0.2, verbose=0).history
    for part in ("", "val_"):
        loss, error, kl = (history[part + key][-1] for key in ("loss", "mse", "kl"))
        assert kl > 0.5
        assert loss == pytest.approx(error + 0.3 / 64 * kl, rel=1e-4)


def test_bits_are_those_of_logistic_mixtures():
    layer = EntropyBottleneck(1.0, seed=0)
    codes = np.random.default_rng(0).normal(0, 3, (50, 2)).astype("float32")
    rounded = np.asarray(layer(codes))
    np.testing.assert_array_equal(rounded, np.round(codes))
    weights = np.exp(layer.logits) / np.exp(layer.logits).sum(axis=1, keepdims=True)
    each = stats.logistic(loc=np.asarray(layer.centers), scale=np.exp(layer.log_scales))
    steps = rounded[..., None]
    inside = (weights * (each.cdf(steps + 0.5) - each.cdf(steps - 0.5))).sum(axis=-1)
    assert float(layer.losses[0]) == pytest.approx(-np.log2(inside).sum(axis=1).mean(), rel=1e-4)
    noise = np.asarray(layer(codes, training=True)) - codes
    assert -0.5 <= noise.min() < -0.4
    assert 0.4 < noise.max() <= 0.5


def test_half_precision_keeps_codes_and_images_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = [build(kind) for build in (dense, conv) for kind in KINDS]
    finally:
        keras.config.set_dtype_policy("float32")
    for model in models:
        assert model.get_layer("encoder").output.dtype == model.output.dtype == "float32"
        model.compile("adam", "mse")
        assert np.isfinite(model.train_on_batch(IMAGES, IMAGES)).all()


def test_an_export_serves_three_signatures_and_counts_nothing(tmp_path):
    import tensorflow as tf

    model = dense("variational")
    signatures = zoo.tasks.get("reconstruction").signatures(model)
    result = zoo.export_saved_model(model, tmp_path / "served", signatures=signatures)
    assert set(result.signatures) == {"serving_default", "encode", "decode"}
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    codes = served["encode"](image=tf.constant(IMAGES))["latent"]
    rebuilt = served["decode"](latent=codes)["reconstruction"]
    np.testing.assert_allclose(rebuilt, model.predict(IMAGES, verbose=0), atol=1e-5)
    nodes = served["encode"].graph.as_graph_def()
    names = {node.op for function in nodes.library.function for node in function.node_def}
    assert not any("Assign" in name for name in names)


BACKEND = """
import sys, keras, numpy as np, zoo, zoo.tasks
x = np.random.default_rng(0).random((16, 9, 7, 1), dtype="float32")
for kind in sys.argv[1:]:
    for model in (
        zoo.conv_autoencoder((9, 7, 1), 3, filters=(4,), convs_per_block=1, kind=kind),
        zoo.dense_autoencoder((9, 7, 1), 3, hidden_units=(8,), kind=kind, tied=True),
        zoo.conv_autoencoder((9, 7, 1), 3, filters=(4,), kind=kind, tied=True),
    ):
        zoo.tasks.get("reconstruction").compile(model, keras.optimizers.Adam(1e-3))
        history = model.fit(x, x, epochs=2, validation_split=0.5, verbose=0).history
        assert all(np.isfinite(values).all() for values in history.values()), history
        charged = history["loss"][-1] - history["mse"][-1] > 1e-6
        assert charged == (kind not in ("plain", "denoising")), (kind, history)
        print(kind, sorted(history))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_kind_trains_on_other_backends(backend):
    pytest.importorskip(backend)
    finished = subprocess.run(
        [sys.executable, "-c", BACKEND, *KINDS],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    logged = {"sparse": "sparsity", "contractive": "contraction", "variational": "kl"}
    for kind, quantity in {**logged, "compression": "bits"}.items():
        lines = [line for line in finished.stdout.splitlines() if line.startswith(kind)]
        assert [f"'val_{quantity}'" in line for line in lines] == [backend != "jax"] * 3


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"`input_shape\[0\]`", dict(input_shape=(None, 8, 1))),
        ("`input_shape`", dict(input_shape=(8, 8))),
        ("`latent_dim`", dict(latent_dim=0)),
        ("`hidden_units", dict(hidden_units=(0,))),
        ("Did you mean 'denoising'", dict(kind="denoise")),
        ("`noise`", dict(kind="denoising", noise="poisson")),
        ("`noise_level`", dict(kind="denoising", noise_level=-1)),
        ("`noise_level`", dict(kind="denoising", noise="masking", noise_level=1.5)),
        ("`activation` must be one of", dict(activation="glu")),
        ("`sparsity`", dict(kind="sparse", sparsity="l2")),
        ("`penalty_weight`", dict(kind="sparse", penalty_weight=-0.1)),
        ("`beta`", dict(kind="variational", beta=float("nan"))),
        ("`data_range`", dict(data_range="bytes")),
        ("needs a sigmoid", dict(data_range="binary", output_activation="tanh")),
        ("needs a sigmoid", dict(data_range="binary", linear=True)),
        ("no activation", dict(linear=True, batch_norm=True)),
        ("no activation", dict(linear=True, output_activation="sigmoid")),
        ("`tied`", dict(tied=1)),
    ],
)
def test_bad_arguments_are_told(message, arguments):
    with pytest.raises(ValueError, match=message):
        zoo.dense_autoencoder(**arguments)


def test_a_convolutional_one_needs_images():
    with pytest.raises(ValueError, match="height, width, channels"):
        zoo.conv_autoencoder((12,))
