"""Whether a training has other weights with the monitor than without it: to the last bit.

python benchmarks/health_bits.py                     (an hour or more on two cores)
KERAS_BACKEND=jax python benchmarks/health_bits.py

Nets of many kinds of layers, each with three optimizers, and two of them with all, train for two
epochs without the monitor, with it, and without it again, which shows what differs by itself. On
TensorFlow each training is done with XLA, too, which JAX always has. What compilers make of a step
depends on all that is in it, so that this cannot be known but by trying.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import warnings
from typing import Any

import click
import keras
import numpy as np
from keras import layers, ops, optimizers
from measure import report
from rich.progress import track

import zoo

SHAPE = (12, 12, 2)


def stack(*more: Any) -> keras.Model:
    return keras.Sequential([keras.Input(SHAPE), *more, layers.Dense(3, "softmax")])


def flat(*more: Any) -> keras.Model:
    return stack(layers.Flatten(), *more)


def through_time(*more: Any) -> keras.Model:
    return stack(layers.Reshape((24, 12)), *more)


def normalized(*before: Any) -> list[Any]:
    return [one for layer in before for one in (layer, layers.BatchNormalization(), layers.ReLU())]


def attention() -> keras.Model:
    inputs = keras.Input(SHAPE)
    x = layers.LayerNormalization()(layers.Reshape((24, 12))(inputs))
    x = x + layers.MultiHeadAttention(2, 6)(x, x)
    x = layers.GlobalAveragePooling1D()(layers.Dense(12, "gelu")(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(3, "softmax")(x))


def shared() -> keras.Model:
    inputs = keras.Input(SHAPE)
    same = layers.Dense(16, "relu", kernel_regularizer="l2", bias_regularizer="l2")
    x = same(same(layers.Dense(16, "relu")(layers.Flatten()(inputs))))
    x = layers.BatchNormalization(gamma_regularizer="l2")(x)
    return keras.Model(inputs, layers.Dense(3, "softmax")(x))


NETS: dict[str, Any] = {
    "dense": lambda: flat(layers.Dense(32, "relu"), layers.Dense(16, "tanh")),
    "dense, batch norm": lambda: flat(*normalized(layers.Dense(32), layers.Dense(16))),
    "convolutions": lambda: stack(
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()
    ),
    "convolutions, batch norm": lambda: stack(
        *normalized(layers.Conv2D(8, 3), layers.Conv2D(8, 3, use_bias=False)),
        layers.Flatten(),
        layers.Dropout(0.2),
    ),
    "separable, group norm": lambda: stack(
        *normalized(layers.SeparableConv2D(8, 3)), layers.GroupNormalization(4), layers.Flatten()
    ),
    "layer norm, l2": lambda: flat(
        layers.Dense(32), layers.LayerNormalization(), layers.Dense(16, kernel_regularizer="l2")
    ),
    "GRU": lambda: through_time(layers.GRU(9)),
    "LSTM, both ways": lambda: through_time(layers.Bidirectional(layers.LSTM(7))),
    "attention": attention,
    "shared layer": shared,
    "zoo.cascade_cnn": lambda: zoo.cascade_cnn(SHAPE, 3, filters=(8, 16)),
    "zoo.mlp of 12 sigmoids": lambda: zoo.mlp(
        SHAPE, 3, hidden_units=(32,) * 12, activation="sigmoid", batch_norm=False
    ),
}
OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: optimizers.Adam(0.01),
    "sgd": lambda: optimizers.SGD(0.05),
    "momentum": lambda: optimizers.SGD(0.05, 0.9, nesterov=True),
    "sgd, weight decay": lambda: optimizers.SGD(0.05, 0.9, weight_decay=1e-3),
    "sgd, accumulation": lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2),
    "sgd, schedule": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.05, 10), 0.9),
    "adamw, clipnorm": lambda: optimizers.AdamW(0.01, clipnorm=1.0),
    "rmsprop, global_clipnorm": lambda: optimizers.RMSprop(0.01, global_clipnorm=1.0),
    "nadam, averages": lambda: optimizers.Nadam(0.01, use_ema=True),
    "adam, scaled loss": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)),
    "lion": lambda: optimizers.Lion(1e-3),
    "adafactor": lambda: optimizers.Adafactor(0.01),
}
FEW, ALL = list(OPTIMIZERS)[:3], ("convolutions, batch norm", "shared layer")


def trained(net: str, optimizer: str, compiled: bool, is_watched: bool) -> list[np.ndarray]:
    """Give all variables of a model and its optimizer after a training."""
    generator = np.random.default_rng(0)
    x, y = generator.random((104, *SHAPE), "float32"), generator.integers(0, 3, 104)
    keras.utils.set_random_seed(0)
    model = NETS[net]()
    loss = "sparse_categorical_crossentropy"
    model.compile(OPTIMIZERS[optimizer](), loss, jit_compile=compiled)
    callbacks = [zoo.GradientHealth(every=3)] if is_watched else []
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def differing(one: list[np.ndarray], other: list[np.ndarray]) -> int:
    pairs = zip(one, other, strict=True)
    return sum(not np.array_equal(*pair, equal_nan=True) for pair in pairs)


@click.command()
def main() -> None:
    """Train every combination, and count the variables that differ."""
    warnings.filterwarnings("error", message="GradientHealth")  # a monitor that stands aside
    backend = keras.backend.backend()
    cases = [
        (net, optimizer, compiled)
        for net in NETS
        for optimizer in (OPTIMIZERS if net in ALL else FEW)
        for compiled in ((True,) if backend == "jax" else (False, True))
    ]
    rows = []
    for net, optimizer, compiled in track(cases, "trainings"):
        alone, watched, again = (
            trained(net, optimizer, compiled, is_watched) for is_watched in (False, True, False)
        )
        rows.append(
            {
                "net": net,
                "optimizer": optimizer,
                "XLA": compiled,
                "variables": len(alone),
                "differ": differing(alone, watched),
                "differ by themselves": differing(alone, again),
            }
        )
        keras.backend.clear_session()
    summary = [{"trainings": len(rows), "the same": sum(not row["differ"] for row in rows)}]
    report(f"health_bits_{backend}", rows, summary=summary)


if __name__ == "__main__":
    main()
