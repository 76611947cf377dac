"""The monitor and models that have train steps of their own."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo

if keras.backend.backend() != "tensorflow":
    pytest.skip("train steps of one's own are of a backend", allow_module_level=True)

import tensorflow as tf

X = np.random.default_rng(0).random((640, 16)).astype("float32")


class Adversaries(keras.Model):
    """Two nets with an optimizer each; `call` takes noise, the train step takes examples."""

    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((4,)), layers.Dense(16, "sigmoid")])
        self.judge = keras.Sequential(
            [keras.Input((16,)), layers.Dense(8, "relu"), layers.Dense(1)]
        )
        self.built = True
        self.of_maker, self.of_judge = (keras.optimizers.Adam(1e-3) for _ in range(2))

    def call(self, noise):
        return self.judge(self.maker(noise))

    def step(self, optimizer, net, loss):
        with tf.GradientTape() as tape:
            value = loss()
        optimizer.apply(tape.gradient(value, net.trainable_variables), net.trainable_variables)
        return value

    def train_step(self, data):
        made = lambda: self(tf.random.normal((tf.shape(data)[0], 4)))  # noqa: E731
        real = lambda: ops.mean(ops.softplus(-self.judge(data)))  # noqa: E731
        judged = self.step(
            self.of_judge, self.judge, lambda: real() + ops.mean(ops.softplus(made()))
        )
        won = self.step(self.of_maker, self.maker, lambda: ops.mean(ops.softplus(-made())))
        return {"judged": judged, "won": won}


def test_what_cannot_be_measured_is_no_finding():
    model = Adversaries()
    model.compile()
    monitor = zoo.GradientHealth(stop_on="error")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = model.fit(X, batch_size=32, epochs=6, verbose=0, callbacks=[monitor])
    assert len(history.history["won"]) == 6  # nothing ended it
    assert monitor.report.findings == ()
    assert monitor.history.last_step == 120
    assert np.isnan(monitor.history.loss).all()
    assert "no gradients were measured" in str(monitor.report)
    told = [str(one.message) for one in said if "GradientHealth" in str(one.message)]
    assert len(told) == 2
    assert "cannot look inside this model: ValueError" in told[0]
    assert "measured no gradients" in told[1]


class Plain(keras.Model):
    """Gives its loss to the logs alone; its batches are no inputs, targets and weights."""

    def __init__(self):
        super().__init__()
        self.code, self.last = layers.Dense(4, "relu"), layers.Dense(16)

    def call(self, x):
        return self.last(self.code(x))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(self(data, training=True) - data))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


@pytest.mark.parametrize("bad", [None, 7])
def test_the_loss_may_be_in_the_logs_alone(bad):
    keras.utils.set_random_seed(0)
    x = X.copy()
    if bad is not None:
        x[32 * bad] = np.inf
    model = Plain()
    model.compile("adam")
    monitor = zoo.GradientHealth()
    model.fit(x, batch_size=32, epochs=1, shuffle=False, verbose=0, callbacks=[monitor])
    found = monitor.history.non_finite
    if bad is None:
        assert found is None
        assert monitor.history.gradient_norm.shape == (2, 4)
        assert np.isfinite(monitor.history.loss).all()
    else:
        assert (found.step, found.what) == (bad + 1, "batch")
