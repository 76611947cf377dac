"""The monitor and models that their first step builds, and the batches that build them.

`test_health_backends` runs this file on JAX, too.
"""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops
from monitored import LOSS, X, Y, fitted, net, state

import zoo


class Own(keras.Model):
    """A model that its first step builds."""

    def __init__(self):
        super().__init__()
        self.dense, self.drop = layers.Dense(8, "relu"), layers.Dropout(0.5)
        self.norm, self.out = layers.BatchNormalization(), layers.Dense(4, "softmax")

    def call(self, x, training=False):
        return self.out(self.norm(self.drop(self.dense(x), training=training), training=training))


UNBUILT = {
    "sequential": lambda: keras.Sequential(
        [layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(4, "softmax")]
    ),
    "subclass": Own,
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("make", UNBUILT.values(), ids=UNBUILT)
def test_a_model_that_its_first_step_builds(make, jit):
    found = []
    for monitor in (zoo.GradientHealth(), None, zoo.GradientHealth()):
        keras.utils.set_random_seed(0)
        callbacks = [] if monitor is None else [monitor]
        found.append(state(fitted(make(), callbacks, jit_compile=jit, metrics=["accuracy"])))
    for one, alone, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, alone)
        np.testing.assert_array_equal(other, alone)
    assert len(monitor.history.loss) == 21
    assert monitor.history.layers[0].startswith("dense")
    assert np.isfinite(monitor.history.gradient_norm).all()
    assert set(monitor.history.units) == {monitor.history.layers[0]}


def test_two_monitors_of_a_model_that_is_not_built_are_refused():
    model = UNBUILT["sequential"]()
    with pytest.raises(ValueError, match="leave one of them out"):
        fitted(model, [zoo.GradientHealth(), zoo.GradientHealth()])
    monitor = zoo.GradientHealth()
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[monitor])
    assert len(monitor.history.loss) == 7
    model.fit(X, Y, batch_size=16, verbose=0)
    assert len(monitor.history.loss) == 7


class OfSparse(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, "softmax")

    def call(self, x):
        import tensorflow as tf

        x = tf.sparse.to_dense(x) if isinstance(x, tf.SparseTensor) else x
        return self.dense(ops.reshape(x, (-1, 6)))


class OfSparseAlone(OfSparse):
    def call(self, x):
        import tensorflow as tf

        return self.dense(ops.reshape(tf.sparse.to_dense(x), (-1, 6)))


@pytest.mark.parametrize("make", [OfSparse, OfSparseAlone])
def test_sparse_batches_are_no_harm(make):
    if keras.backend.backend() == "jax":
        pytest.skip("Keras has no sparse tensors of TensorFlow on JAX")
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((tf.sparse.from_dense(X), Y)).batch(16)
    found = []
    for monitors in ([], [zoo.GradientHealth()]):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile("adam", LOSS)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(batches, verbose=0, callbacks=monitors)
        found.append(state(model))
    for alone, watched in zip(*found, strict=True):
        np.testing.assert_array_equal(alone, watched)
    told = [str(one.message) for one in said if "GradientHealth" in str(one.message)]
    # A model that takes nothing else cannot be built before its first step.
    assert len(told) == (make is OfSparseAlone)
    assert len(monitors[0].history.loss) == (0 if make is OfSparseAlone else 7)


class TrainsOnBatches(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.model.train_on_batch(X[:8], Y[:8])

    def on_epoch_end(self, epoch, logs=None):
        self.model.train_on_batch(X[:8], Y[:8])


@pytest.mark.parametrize("make", [net, UNBUILT["sequential"]], ids=["built", "not built"])
def test_batches_that_another_callback_trains_on(make):
    if keras.backend.backend() == "jax":
        pytest.skip("Keras cannot do that in a `fit` on JAX")
    found = []
    for monitors in ([], [zoo.GradientHealth()]):
        keras.utils.set_random_seed(0)
        found.append(state(fitted(make(), [*monitors, TrainsOnBatches()])))
    for alone, watched in zip(*found, strict=True):
        np.testing.assert_array_equal(alone, watched)
