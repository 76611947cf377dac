"""What the monitor measures is what is there; the first NaN is found.

`test_health_backends` runs this file on JAX, too.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops
from monitored import CASES, LOSS, RNG, X, Y, fitted, net

import zoo
from zoo.health.probe import first_weights

IS_JAX = keras.backend.backend() == "jax"


class Losses(keras.callbacks.Callback):
    """Weights before each step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_begin(self, batch, logs=None):
        self.weights.append([np.array(one) for one in self.model.get_weights()])


def gradients_of(weights, x, y):
    """The loss and its gradients of a dense net of ReLU and softmax, by hand."""
    kernel1, bias1, kernel2, bias2 = (weight.astype(np.float64) for weight in weights)
    before = x @ kernel1 + bias1
    hidden = np.maximum(before, 0)
    logits = hidden @ kernel2 + bias2
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    loss = -np.log(shares[np.arange(len(y)), y]).mean()
    back = (shares - np.eye(3)[y]) / len(y)
    back_hidden = (back @ kernel2.T) * (before > 0)
    parts = (x.T @ back_hidden, back_hidden.sum(axis=0), hidden.T @ back, back.sum(axis=0))
    return loss, [np.linalg.norm(part) for part in parts]


@pytest.mark.parametrize("name", ["plain", "clipping", "several steps", "scaled loss"])
def test_what_is_measured_is_what_is_there(name):
    tolerance = 2e-2 if name == "scaled loss" else 1e-4  # its gradients are of float16
    alone, monitor = Losses(), zoo.GradientHealth(every=3)
    options = dict(CASES[name])
    policy = options.pop("policy", "float32")
    optimizer = options.pop("optimizer", lambda: keras.optimizers.SGD(0.1))
    told = dict(x=X[:96], y=Y[:96], epochs=1)  # in order, of 6 batches
    first = net(policy=policy)
    keras.utils.set_random_seed(1)
    first.compile(optimizer(), LOSS)
    first.fit(
        told["x"], told["y"], batch_size=16, epochs=1, verbose=0, shuffle=False, callbacks=[alone]
    )
    second = net(policy=policy)
    second.compile(optimizer(), LOSS, **options)
    second.fit(
        told["x"], told["y"], batch_size=16, epochs=1, verbose=0, shuffle=False, callbacks=[monitor]
    )
    history = monitor.history
    batches = [(X[16 * i : 16 * i + 16], Y[16 * i : 16 * i + 16]) for i in range(6)]
    wanted = [gradients_of(w, *batch) for w, batch in zip(alone.weights, batches, strict=True)]
    np.testing.assert_allclose(history.loss, [loss for loss, _ in wanted], rtol=tolerance)
    assert history.steps.tolist() == [1, 4]
    for row, step in enumerate(history.steps):
        np.testing.assert_allclose(history.gradient_norm[row], wanted[step - 1][1], rtol=tolerance)
        before, after = alone.weights[step - 1], alone.weights[step]
        norms = [np.linalg.norm(one) for one in before]
        np.testing.assert_allclose(history.weight_norm[row], norms, rtol=1e-5)
        with np.errstate(invalid="ignore", divide="ignore"):
            changes = [np.linalg.norm(new - old) for new, old in zip(after, before, strict=True)]
            ratios = np.divide(changes, norms)
        np.testing.assert_allclose(history.update_ratio[row], ratios, rtol=1e-3)
    assert history.layers == ("first", "first", "last", "last")


def test_norms_of_large_variables_are_estimated_from_samples():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((256,)), layers.Dense(512), layers.Dense(3)])
    model.compile("sgd", "mse")
    norm = np.linalg.norm(model.get_weights()[0])
    monitor = zoo.GradientHealth()
    x = RNG.random((64, 256)).astype("float32")
    model.fit(x, x[:, :3], epochs=2, verbose=0, callbacks=[monitor])
    assert monitor.history.weight_norm[0, 0] == pytest.approx(norm, rel=0.1)


@keras.saving.register_keras_serializable("tests")
class Breaks(layers.Layer):
    """Gives NaN once its flag is set."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flag = self.add_weight(shape=(), initializer="zeros", trainable=False, name="flag")

    def call(self, inputs):
        return inputs * ops.log(2.718281828 - 3 * self.flag)


class At(keras.callbacks.Callback):
    """Does something to the model before a step."""

    def __init__(self, step, do):
        super().__init__()
        self.step, self.do, self.seen = step, do, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.step:
            self.do(self.model)


def breaking():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6,), name="table")
    for index in range(5):
        x = layers.Dense(6, "tanh", name=f"dense{index}")(x)
        x = Breaks(name="breaks")(x) if index == 2 else x
    return keras.Model(inputs, layers.Dense(3, "softmax", name="last")(x))


def spoil(model):
    kernel = model.get_layer("dense1").kernel
    value = np.array(ops.convert_to_numpy(kernel))
    value[2, 3] = np.nan
    kernel.assign(value)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("do", "what", "layer"),
    [
        (lambda model: model.get_layer("breaks").flag.assign(1.0), "output", "breaks"),
        (spoil, "weight", "dense1"),
    ],
    ids=["a layer", "a weight"],
)
def test_the_first_nan_is_found_with_its_step_layer_and_batch(do, what, layer, compiled, tmp_path):
    model = breaking()
    model.compile("adam", LOSS, jit_compile=compiled)
    monitor = zoo.GradientHealth(directory=tmp_path)
    model.fit(
        X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=[At(11, do), monitor]
    )
    found = monitor.history.non_finite
    if (compiled or IS_JAX) and what == "output":  # XLA keeps no weights
        what = "output with older weights"
    assert (found.step, found.what, found.layer) == (11, what, layer)
    np.testing.assert_array_equal(monitor.bad_batch[0], X[48:64])
    with np.load(tmp_path / "health_batch.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], X[48:64])
        np.testing.assert_array_equal(arrays["y"].ravel(), Y[48:64])
    finding = monitor.report.findings[0]
    assert (finding.name, finding.severity, finding.step) == ("non_finite", "error", 11)


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_a_weight_that_relu_hides_is_found_at_once(value):
    model = net()
    model.compile("adam", LOSS)

    def spoil_first(model):
        kernel = model.get_layer("first").kernel
        values = np.array(ops.convert_to_numpy(kernel))
        values[2, 3] = value  # of inputs above 0: the unit is 0 from now on, if infinite
        kernel.assign(values)

    monitor = zoo.GradientHealth()
    x = X + 0.1
    told = dict(batch_size=16, epochs=3, shuffle=False, verbose=0)
    model.fit(x, Y, callbacks=[At(5, spoil_first), monitor], **told)
    found = monitor.history.non_finite
    assert (found.step, found.what, found.layer) == (5, "weight", "first")
    if value == -np.inf:
        assert np.isfinite(monitor.history.loss).all()


def test_a_weight_that_a_later_relu_hides_is_found_where_clipping_spreads_it():
    model = net(layers.Dense(8, "relu", name="second"))

    def spoil_second(model):
        kernel = model.get_layer("second").kernel
        value = np.array(ops.convert_to_numpy(kernel))
        value[2, 3] = np.nan
        kernel.assign(value)

    monitor = zoo.GradientHealth()
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.1)
    fitted(model, [At(5, spoil_second), monitor], optimizer, epochs=2)
    found = monitor.history.non_finite
    # TensorFlow keeps no weights of a step whose loss is finite.
    wanted = ("weight", "second") if IS_JAX else ("gradient", "first")
    assert (found.step, found.what, found.layer) == (5, *wanted)


@pytest.mark.parametrize("steps", [1, 5])
def test_nan_in_a_batch_is_found_there(steps):
    x = X.copy()
    x[40, 2] = np.inf
    model = breaking()
    model.compile("adam", LOSS, steps_per_execution=steps)
    monitor = zoo.GradientHealth()
    model.fit(x, Y, batch_size=16, shuffle=False, verbose=0, callbacks=[monitor])
    found = monitor.history.non_finite
    assert (found.step, found.what, found.layer) == (3, "batch", "table")
    np.testing.assert_array_equal(monitor.bad_batch[0], x[32:48])


def test_units_that_are_dead_or_saturated_are_counted():
    keras.utils.set_random_seed(0)
    model = net(layers.Dense(8, "tanh", name="bounded"))
    bias = np.array([-100.0] * 6 + [0.0] * 2, "float32")
    model.get_layer("first").set_weights([model.get_layer("first").get_weights()[0], bias])
    monitor = zoo.GradientHealth()
    fitted(model, [monitor], epochs=1)
    dead = monitor.history.units["first"].dead[0]
    assert 0.75 <= dead <= 1.0
    assert monitor.history.units["first"].kind == "relu"
    assert set(monitor.history.units) == {"first", "bounded"}  # not the one that answers


def test_gradients_through_time_fade_where_the_cell_forgets():
    keras.utils.set_random_seed(0)
    x = RNG.random((64, 20, 2)).astype("float32")
    small = keras.initializers.RandomNormal(stddev=0.01)
    model = keras.Sequential(
        [keras.Input((20, 2)), layers.SimpleRNN(8, recurrent_initializer=small, name="cell")]
    )
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    monitor = zoo.GradientHealth()
    model.fit(x, x[:, 0, :1], batch_size=32, verbose=0, callbacks=[monitor])
    norms = np.array(monitor.history.time_gradients["cell"].norms[0])
    assert norms.shape == (20,)
    assert norms[-1] > 1e6 * norms[0]
    assert monitor.history.recurrent == ("cell",)


@pytest.mark.parametrize("compiled", [False, True])
def test_embeddings_get_gradients_of_some_rows(compiled):
    def worded():
        keras.utils.set_random_seed(0)
        words = [keras.Input((4,), dtype="int32"), layers.Embedding(50, 3, name="words")]
        return keras.Sequential([*words, layers.Flatten(), layers.Dense(3, "softmax")])

    class Once(layers.Layer):
        """Takes the same embedding as a product, whose gradient is of all rows."""

        def build(self, input_shape):
            self.table = self.add_weight(shape=(50, 3), name="table")

        def call(self, inputs):
            return ops.matmul(ops.one_hot(inputs, 50), self.table)

    x = RNG.integers(0, 50, (104, 4))
    monitor, dense = zoo.GradientHealth(), zoo.GradientHealth()
    model = fitted(worded(), [monitor], x=x, epochs=2, jit_compile=compiled)
    assert monitor.history.layers[0] == "words"
    assert (monitor.history.gradient_norm > 0).all()
    other = keras.Sequential([keras.Input((4,), dtype="int32"), Once(), *worded().layers[1:]])
    other.set_weights(worded().get_weights())
    fitted(other, [dense], x=x, epochs=2, jit_compile=compiled)
    first = (history.gradient_norm[0] for history in (monitor.history, dense.history))
    np.testing.assert_allclose(*first, rtol=1e-4)
    assert model.count_params() == other.count_params()


@pytest.mark.parametrize("global_clipnorm", [None, 1.0])
def test_nan_in_an_embedding_is_found(global_clipnorm):
    words = [keras.Input((4,), dtype="int32"), layers.Embedding(50, 3, name="words")]
    model = keras.Sequential([*words, layers.Flatten(), layers.Dense(3, "softmax")])

    def spoil_words(model):
        table = np.array(ops.convert_to_numpy(model.layers[0].embeddings))
        table[:, 1] = np.nan
        model.layers[0].embeddings.assign(table)

    monitor = zoo.GradientHealth()
    optimizer = keras.optimizers.Adam(global_clipnorm=global_clipnorm)
    x = RNG.integers(0, 50, (104, 4))
    fitted(model, [At(4, spoil_words), monitor], optimizer, x=x)
    found = monitor.history.non_finite
    assert (found.step, found.what, found.layer) == (4, "weight", "words")


@pytest.mark.skipif(IS_JAX, reason="its own train step is TensorFlow's")
@pytest.mark.parametrize("given", [0.5, [0.25, 0.75]], ids=["number", "vector"])
def test_a_train_step_may_tell_any_loss(given):
    class Own(keras.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            self._loss_tracker.update_state(given)
            return logs

    inner = net()
    model = Own(inner.inputs, inner.outputs)
    model.compile("adam", LOSS)
    monitor = zoo.GradientHealth()
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[monitor])
    np.testing.assert_allclose(monitor.history.loss, 0.5)


def test_weights_that_meet_the_inputs():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(3, name="one"), layers.Dense(2, name="two")

        def call(self, inputs):
            return self.two(self.one(inputs))

    own = Own()
    own(np.ones((1, 4)))
    left, right = keras.Input((4,)), keras.Input((4,))
    shared, alone = layers.Dense(3, name="shared"), layers.Dense(3, name="alone")
    joined = layers.Concatenate()([alone(left), shared(right), shared(left)])
    both = keras.Model([left, right], layers.Dense(2)(joined))
    trunk = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner"), layers.Dense(2)])
    nested = keras.Model(left, layers.Dense(1)(trunk(layers.Rescaling(2.0)(left))))
    for model, names in ((own, {"one"}), (both, {"alone", "shared"}), (nested, {"inner"})):
        assert {path.path.split("/")[-2] for path in first_weights(model)} == names


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_that_loss_scaling_leaves_out_is_no_record(compiled):
    model = net(policy="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**24
    )
    model.compile(optimizer, LOSS, jit_compile=compiled)
    monitor = zoo.GradientHealth(every=3)
    model.fit(X, Y, batch_size=16, epochs=5, verbose=0, callbacks=[monitor])
    history = monitor.history
    assert history.skipped > 0
    assert history.non_finite is None
    assert history.steps[0] > history.skipped
    np.testing.assert_allclose(history.weight_norm[0, 0], history.weight_norm[-1, 0], rtol=0.5)
    assert (history.gradient_norm[:, 0] < 10).all()
    assert (history.update_ratio[:, 0] > 0).all()
