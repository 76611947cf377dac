"""PSNR and SSIM, against TensorFlow's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.metrics import MAX_PSNR, PSNR, SSIM, PricedPSNR

SHAPES = [(28, 28, 1), (32, 40, 3), (11, 12, 1)]


def pair(shape, seed=0):
    generator = np.random.default_rng(seed)
    image = np.cumsum(generator.normal(0, 0.2, (6, *shape)), axis=1).clip(0, 1).astype("float32")
    return image, (image + generator.normal(0, 0.1, image.shape)).clip(0, 1).astype("float32")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [PSNR, SSIM])
def test_metrics_are_tensorflows(kind, shape):
    image, other = pair(shape)
    metric = kind()
    metric.update_state(image, other)
    theirs = {PSNR: tf.image.psnr, SSIM: tf.image.ssim}[kind]
    expected = theirs(image, other, 1.0).numpy().mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 8, 10])
def test_ssim_takes_the_largest_window_that_fits(size):
    image, other = pair((size, 16, 1))
    metric = SSIM()
    metric.update_state(image, other)
    assert -1 <= float(metric.result()) < 0.99
    if size == 8:  # of 7 pixels, in both axes of square images
        image, other = image[:, :, :8], other[:, :, :8]
        metric.reset_state()
        metric.update_state(image, other)
        expected = tf.image.ssim(image, other, 1.0, filter_size=7).numpy().mean()
        assert float(metric.result()) == pytest.approx(expected, abs=1e-4)


def test_batches_of_other_sizes_count_by_image():
    image, other = pair((28, 28, 1))
    for kind in (PSNR, SSIM):
        whole, parts = kind(), kind()
        whole.update_state(image, other)
        parts.update_state(image[:1], other[:1])
        parts.update_state(image[1:], other[1:])
        assert float(whole.result()) == pytest.approx(float(parts.result()), rel=1e-5)


def test_equal_images_and_other_ranges():
    image, other = pair((28, 28, 1))
    metric = PSNR()
    metric.update_state(image, image)
    assert float(metric.result()) == pytest.approx(MAX_PSNR)
    for kind in (PSNR, SSIM):
        unit, bytes_ = kind(), kind(max_value=255)
        unit.update_state(image, other)
        bytes_.update_state(255 * image, 255 * other)
        assert float(unit.result()) == pytest.approx(float(bytes_.result()), rel=1e-4)


def test_a_price_is_taken_off():
    image, other = pair((28, 28, 1))
    plain, priced = PSNR(), PricedPSNR(2.5)
    for metric in (plain, priced):
        metric.update_state(image, other)
    assert float(plain.result()) - float(priced.result()) == pytest.approx(2.5, rel=1e-4)


@pytest.mark.parametrize("metric", [PSNR(2.0), SSIM(2.0), PricedPSNR(1.5)])
def test_configurations_make_the_same_metric(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
