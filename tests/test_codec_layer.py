"""The entropy bottleneck: densities that sum to 1, learn, and charge for the farthest code."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo.layers import EntropyBottleneck


def built(channels=4, **arguments):
    layer = EntropyBottleneck(1.0, seed=0, **arguments)
    layer.build((None, channels))
    generator = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(generator.normal(0, 0.2, weight.shape))
    return layer


def test_probabilities_of_all_integers_sum_to_1():
    layer = built()
    grid = np.arange(-2000, 2001, dtype="float32")[:, None].repeat(4, axis=1)
    sums = np.exp(layer.log_probabilities(grid)).sum(axis=0, dtype="float64")
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_far_codes_are_charged_exactly_and_pulled_back():
    layer = built(1, components=1)
    center, scale = float(layer.centers[0, 0]), float(np.exp(layer.log_scales)[0, 0])
    codes = ops.convert_to_tensor([[-3e4], [-300.0], [0.0], [300.0], [3e4]])
    steps = np.abs((np.asarray(codes) - center) / scale)
    half = 0.5 / scale
    # From either side, in the tail where the distribution function is small.
    low, high = stats.logistic.logcdf(-steps - half), stats.logistic.logcdf(-steps + half)
    expected = high + np.log(-np.expm1(low - high))
    np.testing.assert_allclose(layer.log_probabilities(codes), expected, rtol=1e-5)

    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(codes)
        loss = tf.reduce_sum(layer.log_probabilities(codes))
    slopes = np.asarray(tape.gradient(loss, codes)).ravel()
    np.testing.assert_allclose(slopes[[0, 1, 3, 4]], [1 / scale, 1 / scale, -1 / scale, -1 / scale])


@pytest.mark.parametrize("center", [0.0, 5.0])
def test_densities_reach_the_entropy_of_the_codes(center):
    """Of a normal distribution, in 800 steps of the learning rate that Adam has by itself."""
    keras.utils.set_random_seed(0)
    codes = np.random.default_rng(0).normal(center, 5.0, (20000, 1)).astype("float32")
    model = keras.Sequential([keras.Input((1,)), EntropyBottleneck(1.0)])
    model.compile("adam", loss=lambda y, x: 0.0 * x)
    model.fit(codes, codes, batch_size=100, epochs=4, verbose=0)
    bits = model.evaluate(codes, codes, batch_size=20000, verbose=0, return_dict=True)["bits"]
    steps = np.arange(-100, 101)
    shares = np.diff(stats.norm.cdf(np.append(steps, 101) - 0.5, scale=5.0))
    entropy = stats.entropy(shares, base=2)  # 4.37 bits
    assert entropy - 0.02 < bits < entropy + 0.1


def test_a_channel_that_carries_nothing_costs_nothing():
    keras.utils.set_random_seed(0)
    codes = np.zeros((20000, 1), "float32")
    model = keras.Sequential([keras.Input((1,)), EntropyBottleneck(1.0)])
    model.compile(keras.optimizers.Adam(1e-2), loss=lambda y, x: 0.0 * x)
    history = model.fit(codes, codes, batch_size=100, epochs=5, verbose=0).history
    assert history["bits"][-1] < 0.1
    bits = model.evaluate(codes, codes, batch_size=20000, verbose=0, return_dict=True)["bits"]
    assert bits < 1e-3


def test_more_symbols_than_a_table_can_hold_are_refused():
    with pytest.raises(ValueError, match="`max_symbol` must be at most 32768"):
        EntropyBottleneck(1.0, max_symbol=2**24)
