"""What the monitor says of outputs beside their targets.

`test_health_backends` runs this file on JAX, too.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops
from monitored import LOSS, X, Y, net

import zoo
from zoo.health.history import History


def monitor_of(model, x=X, y=Y, loss=LOSS, steps=101):
    """What a monitor saw of a training of so many steps, at a rate that changes nothing."""
    monitor = zoo.GradientHealth()
    model.compile(keras.optimizers.SGD(0.0), loss)
    x = np.resize(x, (16 * steps, *x.shape[1:]))
    y = np.resize(y, (16 * steps, *y.shape[1:]))
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0, callbacks=[monitor])
    return monitor


def test_the_loss_is_set_beside_that_of_one_output_for_all():
    model = net()
    found = monitor_of(model).history.one_output
    outputs = np.array(ops.convert_to_numpy(model(X[:16])))
    own = -np.log(outputs[np.arange(16), Y[:16]]).mean()
    of_mean = -np.log(outputs.mean(axis=0)[Y[:16]]).mean()
    others = np.bincount(Y[:16], minlength=3)[Y[:16]] - 1
    of_labels = -np.log((others + 1) / (15 + 3)).mean()
    assert found.steps == [101]
    assert found.loss == pytest.approx([own], rel=1e-4)
    assert found.of_mean == pytest.approx([min(of_mean, of_labels, np.log(3))], rel=1e-4)
    assert len({round(cost, 3) for cost in (own, of_mean, of_labels)}) == 3


def test_a_dead_net_costs_what_one_output_does():
    model = net()
    model.get_layer("first").set_weights([np.zeros((6, 8)), np.full(8, -1.0)])
    found = monitor_of(model).history.one_output
    assert found.steps == [101]
    assert found.loss == pytest.approx(found.of_mean)


class OfWeights(keras.Model):
    """Has a loss that does not come from its outputs."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(ops.square(self.layers[1].kernel))


def test_a_loss_is_set_beside_none_where_that_tells_nothing():
    inner = net()
    for monitor in (
        monitor_of(net(), steps=100),  # too early
        monitor_of(net(), y=np.zeros_like(Y)),  # any output may do for all
        monitor_of(OfWeights(inner.inputs, inner.outputs)),
    ):
        assert monitor.history.one_output.steps == []


def ends_in(*last):
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), *last])


REAL = np.random.default_rng(1).normal(size=(len(X), 2)).astype("float32")
SIGNS = np.where(REAL[:, :1] > 0, 1, -1)
ZERO_ONE = (SIGNS + 1) // 2


@pytest.mark.parametrize(
    ("last", "y", "loss", "share"),
    [
        (lambda: [layers.Dense(2, "sigmoid")], REAL, "mse", 0.5),
        (lambda: [layers.Dense(2), layers.Activation("tanh")], REAL, "mae", 0.3),
        (lambda: [layers.Dense(2), layers.ReLU()], REAL, "huber", 0.5),
        (lambda: [layers.Dense(2), layers.Softmax()], REAL, "mse", 0.5),
        (lambda: [layers.Dense(1, "sigmoid")], SIGNS, "binary_crossentropy", 0.5),
        (lambda: [layers.Dense(1, "sigmoid")], SIGNS[:, 0], "hinge", 0.5),
        (lambda: [layers.Dense(1, "sigmoid")], Y, "binary_crossentropy", 0.4),  # three classes
        (lambda: [layers.Dense(2, "sigmoid")], 255 * abs(REAL), "mse", 1.0),
    ],
)
def test_targets_that_the_last_activation_cannot_give(last, y, loss, share):
    model = ends_in(*last())
    monitor = monitor_of(model, X, y, loss, steps=3)
    found = monitor.history.out_of_reach
    assert found.share == pytest.approx(share, abs=0.15)
    assert found.layer == model.layers[-1].name
    assert (found.least, found.most) == (y[:16].min(), y[:16].max())
    (finding,) = [one for one in monitor.report.findings if one.name == "saturated_units"]
    assert (finding.severity, finding.layer, finding.step) == ("warning", found.layer, 1)
    assert f"beyond what {found.activation} can give" in finding.evidence
    again = History.from_config(monitor.history.get_config())
    assert again.out_of_reach == found


@pytest.mark.parametrize(
    ("last", "y", "loss"),
    [
        (lambda: [layers.Dense(2)], REAL, "mse"),
        (lambda: [layers.Dense(2, "sigmoid")], 1 / (1 + np.exp(-REAL)), "mse"),
        (lambda: [layers.Dense(2, "relu")], abs(REAL), "mse"),
        (lambda: [layers.Dense(1, "sigmoid")], ZERO_ONE, "binary_crossentropy"),
        (lambda: [layers.Dense(1, "sigmoid")], ZERO_ONE[:, 0], "mse"),
        (lambda: [layers.Dense(1, "tanh")], SIGNS, "hinge"),
        (lambda: [layers.Dense(3, "softmax")], Y, LOSS),
        (lambda: [layers.Dense(3, "softmax")], np.eye(3)[Y], "categorical_crossentropy"),
        (lambda: [layers.Dense(2, "sigmoid")], REAL, lambda y, outputs: ops.square(outputs)),
    ],
)
def test_targets_that_it_can_give(last, y, loss):
    assert monitor_of(ends_in(*last()), X, y, loss, steps=3).history.out_of_reach is None


def test_of_several_outputs_the_one_that_cannot_is_named():
    inputs = keras.Input((6,))
    outputs = [
        layers.Dense(2, "relu", name="amount")(inputs),
        layers.Dense(1, name="level")(inputs),
    ]
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), ["mse", "mse"])
    monitor = zoo.GradientHealth()
    model.fit(X, [REAL, REAL[:, 0]], batch_size=16, verbose=0, callbacks=[monitor])
    assert monitor.history.out_of_reach.layer == "amount"


@pytest.mark.parametrize(
    ("y", "units", "loss"),
    [
        (Y, 3, LOSS),
        (np.eye(3)[Y], 3, "categorical_crossentropy"),
        (ZERO_ONE, 1, "binary_crossentropy"),
        (ZERO_ONE, 1, keras.losses.BinaryCrossentropy(from_logits=True)),
        (REAL, 2, "mse"),
    ],
)
def test_a_loss_above_that_of_the_usual_target_gives_no_traction(y, units, loss):
    """As where the last activation is missing; the mean of the outputs costs much, too."""
    bias = keras.initializers.Constant(np.array([3.0, 0.0, 0.0][:units]))
    model = ends_in(layers.Dense(units, kernel_initializer="zeros", bias_initializer=bias))
    monitor = monitor_of(model, X, y, loss)
    found = monitor.history.one_output
    assert found.loss[0] > 1.2 * found.of_mean[0]
    rows = {1: ZERO_ONE, 2: REAL, 3: np.eye(3)[Y]}[units][:16]
    others = (rows.sum(axis=0) - rows + rows.mean() * units) / (15 + units)
    least, most = (
        {
            1: lambda of: -np.log(np.where(rows, of, 1 - of)).mean(),
            2: lambda of: np.square(rows - of).mean(),
            3: lambda of: -np.log(of[rows > 0]).mean(),
        }[units](np.broadcast_to(of, rows.shape))
        for of in (rows.mean(axis=0), others)
    )
    assert 0.999 * least <= found.of_mean[0] <= 1.001 * most
    assert {one.name for one in monitor.report.findings} >= {"no_traction"}


def test_a_loss_that_compares_examples_with_each_other():
    """Of which what the other targets make of each would tell the classes."""
    model = ends_in(layers.Dense(3))
    found = monitor_of(model, X, Y, zoo.losses.Triplet(margin=0.2)).history.one_output
    assert found.of_mean == pytest.approx([0.2])
