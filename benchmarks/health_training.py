"""Train a run of the corpus, and measure it from outside, apart from what the monitor sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from health_corpus import BATCH, EPOCHS, STEPS, Run
from health_data import load
from health_nets import ARCHITECTURES
from health_ways import Training

LOSSES = {
    "classes": "sparse_categorical_crossentropy",
    "binary": "binary_crossentropy",
    "values": "mean_squared_error",
}
LAST = {"classes": "softmax", "binary": "sigmoid", "values": "linear"}
MEASURED = 128  # validation examples whose gradients are measured
FULL = {"tanh": (-0.99, 0.99), "sigmoid": (0.01, 0.99)}  # what is outside is saturated


class Trained:
    """A run that is ready: the model, compiled, and its arrays."""

    def __init__(self, run: Run, seed: int, loss_scale: float = 1.0):
        keras.utils.set_random_seed(seed)
        self.run, self.data = run, load(run.data, seed)
        training, architecture = run.training, ARCHITECTURES[run.architecture]
        self.shape = architecture.shape(self.data.x.shape[1:])
        last = training.last or LAST[self.data.kind]
        self.model = architecture.build(self.shape, self.data.outputs, last, **run.net)
        self.x, self.y = self._drawn(np.random.default_rng(seed))
        spoil(self.model, training)
        self.loss = loss_of(training, self.data.kind, loss_scale)
        optimizer = optimizer_of(training, loss_scale)
        self.model.compile(optimizer, self.loss, jit_compile="auto" if run.jit else False)
        self.losses: list[float] = []

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw the examples of an epoch."""
        rows = np.concatenate([rng.permutation(len(self.data.x)) for _ in range(50)])
        rows = rows[: BATCH * STEPS // EPOCHS]
        of_labels = rng.permutation(rows) if self.run.training.shuffled else rows
        x, y = self.taken(self.data.x[rows]), self.targets(self.data.y[of_labels])
        missing = rng.permutation(len(x))[: round(self.run.training.missing * len(x))]
        x.reshape(len(x), -1)[missing, 0] = np.nan
        return x, y

    def taken(self, examples: np.ndarray) -> np.ndarray:
        return examples.reshape(-1, *self.shape) * np.float32(self.run.training.input_scale)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        by_one = self.run.training.loss == "mean_squared_error" and self.data.kind == "classes"
        return np.eye(self.data.outputs, dtype="float32")[labels] if by_one else labels

    def fit(self, *callbacks: keras.callbacks.Callback) -> None:
        """Train 200 steps in four epochs."""
        watch = StepLosses(self.losses)
        self.model.fit(
            self.x,
            self.y,
            batch_size=BATCH,
            epochs=EPOCHS,
            verbose=0,
            callbacks=[watch, *callbacks],
        )

    def measure(self) -> dict[str, Any]:
        """Measure skill, gradients by layer and by step, and units, on validation examples."""
        x = self.taken(self.data.x_validation)
        predicted = np.asarray(self.model(x, training=False))
        return {
            "skill": self.data.skill(predicted),
            "finite": bool(np.isfinite(predicted).all() and self._finite_weights()),
            "weights": [norm(weight.numpy()) for weight in self.model.trainable_weights],
            **self._gradients(x[:MEASURED], self.targets(self.data.y_validation[:MEASURED])),
            **self._units(x),
        }

    def _finite_weights(self) -> bool:
        return all(np.isfinite(weight.numpy()).all() for weight in self.model.trainable_weights)

    def _gradients(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """Root mean squares of the loss's gradients, by layer and by the step of a sequence."""
        weights = [weight.value for weight in self.model.trainable_weights]
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch([inputs, *weights])
            loss = tf.reduce_mean(self.loss(tf.constant(y), self.model(inputs, training=False)))
        *of_weights, of_inputs = tape.gradient(loss, [*weights, inputs])
        sizes = iter([root_mean_square(tf.convert_to_tensor(found)) for found in of_weights])
        layers = [layer.trainable_weights for layer in self.model.layers]
        measured: dict[str, Any] = {
            "loss": float(loss),
            "gradients": [max(next(sizes) for _ in own) for own in layers if own],
        }
        if x.ndim == 3:
            measured["by step"] = root_mean_square(of_inputs, (0, 2))
        return measured

    def _units(self, x: np.ndarray) -> dict[str, Any]:
        """Share of units that never fire, and of outputs at an end of their range, by layer."""
        found: dict[str, dict[str, float]] = {"dead": {}, "saturated": {}}
        *inner, _ = [layer for layer in self.model.layers if activation(layer)]
        inner = [layer for layer in inner if activation(layer) in ("relu", *FULL)]
        if not inner:
            return found
        outputs = keras.Model(self.model.inputs, [layer.output for layer in inner])([x])
        for layer, output in zip(inner, tf.nest.flatten(outputs), strict=True):
            values = np.asarray(output).reshape(-1, output.shape[-1])
            if activation(layer) == "relu":
                found["dead"][layer.name] = float(np.mean(values.max(0) <= 0))
            else:
                low, high = FULL[activation(layer)]
                found["saturated"][layer.name] = float(np.mean((values < low) | (values > high)))
        return found


class StepLosses(keras.callbacks.Callback):
    """Collect the loss of each step; Keras logs the mean over the epoch so far."""

    def __init__(self, losses: list[float]):
        super().__init__()
        self.losses = losses

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.total = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = (batch + 1) * logs["loss"]
        self.losses.append(total - self.total)
        self.total = total


def activation(layer: keras.Layer) -> str:
    if isinstance(layer, keras.layers.ReLU):
        return "relu"
    if isinstance(layer, keras.layers.GRU | keras.layers.LSTM):
        return ""
    return getattr(getattr(layer, "activation", None), "__name__", "")


def spoil(model: keras.Model, training: Training) -> None:
    """Make initial weights larger or smaller, and move biases, of all layers but the last."""
    *inner, _ = [layer for layer in model.layers if layer.trainable_weights]
    for layer in inner:
        for weight in layer.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(weight * training.gain)
            elif weight.name in ("bias", "beta"):
                weight.assign(weight + training.bias)


def loss_of(training: Training, kind: str, scale: float) -> Callable[[Any, Any], Any]:
    name, options = training.loss or LOSSES[kind], {}
    if name == "logits":
        name, options = LOSSES[kind], {"from_logits": True}
    loss, scale = keras.losses.get(name), scale * training.loss_scale
    if isinstance(loss, keras.losses.Loss):
        loss = loss.call
    return lambda y, predicted: scale * loss(y, predicted, **options)


def optimizer_of(training: Training, loss_scale: float = 1.0) -> keras.optimizers.Optimizer:
    """Make the optimizer; plain gradient descent's rate undoes a factor of the loss."""
    optimizer = keras.optimizers.get(
        {"class_name": training.optimizer, "config": dict(training.options)}
    )
    rates: Any = training.learning_rate
    undo = loss_scale if training.optimizer == "sgd" else 1.0
    if isinstance(rates, Sequence):
        rates = [rate / undo for rate in rates]
        optimizer.learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay([0], rates)
    else:
        optimizer.learning_rate = rates / undo
    return optimizer


def norm(values: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(values, dtype="float64"))))


def root_mean_square(values: Any, axes: Iterable[int] | None = None) -> Any:
    squares = np.square(np.asarray(values), dtype="float64")
    return np.sqrt(squares.mean(None if axes is None else tuple(axes))).tolist()
