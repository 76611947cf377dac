"""Networks whose gradient health is judged: of the zoo, and written by hand.

Each takes the shape of an example, the number of outputs and the last activation, and options of
its own. Half of them set thresholds, the other half judges them: which is in which half was decided
before anything was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

import zoo

Shape = tuple[int, ...]


def of_zoo(name: str, **arguments: Any) -> Callable[..., keras.Model]:
    """Build a registered model; another last activation than its own ones is put on top."""

    def build(shape: Shape, outputs: int, last: str, **options: Any) -> keras.Model:
        own = (
            last
            if last in ("softmax", "sigmoid", "linear") and (last, outputs) != ("softmax", 1)
            else "linear"
        )
        model = zoo.create(
            name,
            input_shape=shape,
            num_classes=outputs,
            classifier_activation=own,
            **{**arguments, **options},
        )
        if own == last:
            return model
        return keras.Model(model.input, layers.Activation(last)(model.output), name=name)

    return build


def zoo_mlp(shape: Shape, outputs: int, last: str, *, depth: int = 3, **options: Any) -> Any:
    return of_zoo("mlp", hidden_units=(64,) * depth)(shape, outputs, last, **options)


def zoo_mlp_residual(
    shape: Shape, outputs: int, last: str, *, depth: int = 6, **options: Any
) -> Any:
    build = of_zoo("mlp_residual", hidden_units=(48,) * depth)
    return build(shape, outputs, last, **options)


def deep_dense(
    shape: Shape,
    outputs: int,
    last: str,
    *,
    depth: int = 8,
    activation: str = "relu",
    init: str = "he_normal",
) -> keras.Model:
    x = inputs = keras.Input(shape)
    x = layers.Flatten()(x)
    for _ in range(depth):
        x = layers.Dense(48, activation, kernel_initializer=init)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def small_dense(
    shape: Shape,
    outputs: int,
    last: str,
    *,
    depth: int = 2,
    activation: str = "tanh",
    init: str = "glorot_uniform",
) -> keras.Model:
    """Narrow, as in textbooks, with the activations as layers of their own."""
    model = keras.Sequential([keras.Input(shape), layers.Flatten()])
    for _ in range(depth):
        model.add(layers.Dense(16, kernel_initializer=init))
        model.add(layers.Activation(activation))
    model.add(layers.Dense(outputs))
    model.add(layers.Activation(last))
    return model


def residual_dense(
    shape: Shape, outputs: int, last: str, *, depth: int = 6, activation: str = "relu"
) -> keras.Model:
    """Two dense layers a block, without normalization."""
    x = inputs = keras.Input(shape)
    x = layers.Dense(48)(layers.Flatten()(x))
    for _ in range(depth):
        inner = layers.Dense(48, activation)(x)
        x = layers.Add()([x, layers.Dense(48)(inner)])
    x = layers.Activation(activation)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def deep_conv(
    shape: Shape,
    outputs: int,
    last: str,
    *,
    depth: int = 6,
    activation: str = "relu",
    init: str = "he_uniform",
) -> keras.Model:
    """Plain convolutions without batch normalization."""
    x = inputs = keras.Input(shape)
    if shape[0] > 16:
        x = layers.AveragePooling2D(2)(x)
    for _ in range(depth):
        x = layers.Conv2D(12, 3, padding="same", activation=activation, kernel_initializer=init)(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def conv_1d(
    shape: Shape, outputs: int, last: str, *, depth: int = 3, activation: str = "relu"
) -> keras.Model:
    x = inputs = keras.Input(shape)
    for _ in range(depth):
        x = layers.Conv1D(16, 5, padding="same", activation=activation)(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(24, activation)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def table_net(
    shape: Shape, outputs: int, last: str, *, depth: int = 3, activation: str = "gelu"
) -> keras.Model:
    """Dense layers with layer normalization and dropout."""
    x = inputs = keras.Input(shape)
    for _ in range(depth):
        x = layers.LayerNormalization()(layers.Dense(32)(x))
        x = layers.Dropout(0.1)(layers.Activation(activation)(x))
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def regression_net(
    shape: Shape,
    outputs: int,
    last: str,
    *,
    depth: int = 3,
    activation: str = "relu",
    init: str = "he_normal",
) -> keras.Model:
    """Narrowing dense layers; it is given classes, too."""
    x = inputs = keras.Input(shape)
    for layer in range(depth):
        x = layers.Dense(max(64 >> layer, 24), activation, kernel_initializer=init)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def simple_rnn(
    shape: Shape, outputs: int, last: str, *, activation: str = "tanh", depth: int = 1
) -> keras.Model:
    x = inputs = keras.Input(shape)
    for layer in range(depth):
        x = layers.SimpleRNN(32, activation, return_sequences=layer < depth - 1)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def gru(shape: Shape, outputs: int, last: str, *, activation: str = "tanh") -> keras.Model:
    x = inputs = keras.Input(shape)
    x = layers.GRU(24, activation)(x)
    x = layers.Dense(24, "relu")(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def lstm(shape: Shape, outputs: int, last: str, *, activation: str = "tanh") -> keras.Model:
    x = inputs = keras.Input(shape)
    x = layers.LSTM(24, activation, return_sequences=True)(x)
    x = layers.LSTM(24, activation)(x)
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


def attention(
    shape: Shape, outputs: int, last: str, *, depth: int = 2, activation: str = "gelu"
) -> keras.Model:
    """Blocks of self-attention and two dense layers, normalized before each."""
    x = inputs = keras.Input(shape)
    steps = keras.ops.arange(shape[0])
    x = layers.Dense(24)(x) + layers.Embedding(shape[0], 24)(steps)
    for _ in range(depth):
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 12)(normal, normal)])
        inner = layers.Dense(48, activation)(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(24)(inner)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(outputs, last)(x))


@dataclass(frozen=True)
class Architecture:
    """A builder, the half it is in, and the shape of the examples it takes."""

    build: Callable[..., keras.Model]
    half: str
    takes: str = "vectors"

    def shape(self, example: Sequence[int]) -> Shape:
        """Give an example's shape as this net takes it: images also as rows, all as vectors."""
        ranks = {"vectors": 1, "rows": 2, "images": 3}
        shape = tuple(example[:2]) if self.takes == "rows" else tuple(example)
        if self.takes == "vectors":
            size = 1
            for length in example:
                size *= length
            shape = (size,)
        if len(shape) != ranks[self.takes]:
            raise ValueError(f"Examples {example} are no {self.takes}.")
        return shape


TUNED, HELD_OUT = "tuned", "held out"

ARCHITECTURES = {
    "zoo.mlp": Architecture(zoo_mlp, TUNED),
    "zoo.cascade_cnn": Architecture(
        of_zoo("cascade_cnn", filters=(8, 16), dense_units=(32,)), TUNED, "images"
    ),
    "zoo.face_cnn_tiny": Architecture(of_zoo("face_cnn_tiny"), TUNED, "images"),
    "deep_dense": Architecture(deep_dense, TUNED),
    "residual_dense": Architecture(residual_dense, TUNED),
    "table_net": Architecture(table_net, TUNED),
    "conv_1d": Architecture(conv_1d, TUNED, "rows"),
    "simple_rnn": Architecture(simple_rnn, TUNED, "rows"),
    "gru": Architecture(gru, TUNED, "rows"),
    "zoo.mlp_residual": Architecture(zoo_mlp_residual, HELD_OUT),
    "zoo.cascade_cnn_residual": Architecture(
        of_zoo("cascade_cnn_residual", filters=(8, 16)), HELD_OUT, "images"
    ),
    "zoo.lenet5": Architecture(of_zoo("lenet5"), HELD_OUT, "images"),
    "zoo.recurrent_classifier": Architecture(
        of_zoo("recurrent_classifier", units=32), HELD_OUT, "rows"
    ),
    "deep_conv": Architecture(deep_conv, HELD_OUT, "images"),
    "small_dense": Architecture(small_dense, HELD_OUT),
    "regression_net": Architecture(regression_net, HELD_OUT),
    "lstm": Architecture(lstm, HELD_OUT, "rows"),
    "attention": Architecture(attention, HELD_OUT, "rows"),
}
