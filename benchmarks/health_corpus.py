"""The corpus: what is trained, and what each run is by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from health_ways import SICK, WELL, Training

STEPS, BATCH, EPOCHS = 200, 32, 4

IMAGES, VECTORS, ROWS = (
    ("digits", "fashion_mnist"),
    ("digits", "blobs", "table"),
    ("digits", "waves"),
)

# Of each architecture the data, which go round, the good ways and the bad ones.
PLAN: dict[str, tuple[tuple[str, ...], str, str]] = {
    "zoo.mlp": (
        (*VECTORS, "fashion_mnist"),
        "adam; sgd; loss x 100; tanh; sgd, loss x 1e-3; squared error; adam, 3e-2",
        "12 sigmoid layers, no norm; 16 tanh layers, no norm, small weights; sgd, 100; "
        "biases of -10, no norm; shuffled labels; sgd, 1e-6; NaN in inputs; one softmax unit; "
        "tanh, weights x 50, no norm",
    ),
    "zoo.cascade_cnn": (
        IMAGES,
        "adam; momentum; loss x 1e-3; elu; adam, 5e-4",
        "sgd, 100; biases of -10; biases of -10, no norm; NaN in inputs, sgd; adam, 1e-8; "
        "adam, 0.1",
    ),
    "zoo.face_cnn_tiny": (
        IMAGES,
        "adam; sgd; loss x 100; adamw",
        "sgd, 100; biases of -10; adam, 1; sgd, 1e-6",
    ),
    "deep_dense": (
        (*VECTORS, "circles", "wine"),
        "adam; sgd; depth 12; tanh; selu; loss x 1e-3; sgd, loss x 100; depth 20; "
        "4 sigmoid layers; inputs x 10; weights x 2",
        "12 sigmoid layers; 16 sigmoid layers; 6 sigmoid layers; 14 tanh layers, small weights; "
        "12 relu layers, small weights; exponential layers; "
        "12 linear layers, large weights; 10 relu layers, large weights; sgd, 10; adam, 1; "
        "sgd, 2; inputs x 30, sgd; biases of -2; huge first step; tanh, weights x 50; "
        "tanh, weights x 10; linear layers; one softmax unit; "
        "logits as probabilities; NaN in inputs",
    ),
    "residual_dense": (
        VECTORS,
        "adam; adam, 5e-4; loss x 100; depth 12; tanh; weights x 0.5",
        "sgd, 10; 10 relu layers, large weights; inputs x 1000; adam, 1; huge first step; "
        "adam, 1e-8; shuffled labels",
    ),
    "table_net": (
        ("table", "values", "wine", "circles"),
        "adam; momentum; relu; logits; adam, 1e-2; sgd, loss x 1e-3",
        "sgd, 100; one softmax unit; one softmax unit, values; sgd, 1e-6; adam, 1; NaN in inputs; "
        "logits as probabilities",
    ),
    "conv_1d": (
        ("waves", "digits"),
        "adam; rmsprop; tanh; loss x 1e-3; swish",
        "12 sigmoid layers; 14 tanh layers, small weights; sgd, 10; inputs x 1000; biases of -10; "
        "tanh, weights x 50; NaN in inputs",
    ),
    "simple_rnn": (
        ("digits", "waves", "recall_10"),
        "adam; clipped; loss x 100; rmsprop; depth 2",
        "long sequence, sigmoid; long sequence, small weights; "
        "long sequence, small weights, sgd; linear cell, large weights; relu cell, large weights; "
        "cell, weights x 50; sgd, 10; adam, 1",
    ),
    "gru": (
        ("digits", "waves", "recall_10"),
        "adam, 1e-2; adam; adam, 5e-3; loss x 1e-3, 1e-2; rmsprop, 5e-3",
        "sgd, 100; adam, 0.1; long sequence, small weights; NaN in inputs; sgd, 1e-6",
    ),
    "zoo.mlp_residual": (
        (*VECTORS, "fashion_mnist"),
        "adam; momentum; loss x 1e-3; tanh; adam, 3e-2; depth 12",
        "sgd, 100; biases of -10, no norm; adam, 1; relu before the loss; sgd, 1e-6; "
        "NaN in inputs; inputs x 1000",
    ),
    "zoo.cascade_cnn_residual": (
        IMAGES,
        "adam; sgd; loss x 100; adamw",
        "sgd, 100; adam, 1; biases of -10; NaN in inputs; adam, 1e-8",
    ),
    "zoo.lenet5": (
        ("fashion_mnist",),
        "adam; momentum; relu; loss x 1e-3; adam, 1e-2",
        "sgd, 10; adam, 1; inputs x 255, tanh; tanh, weights x 50; sigmoid, weights x 50; "
        "biases of -10; NaN in inputs, sgd; huge first step",
    ),
    "zoo.recurrent_classifier": (
        ("digits", "waves", "recall_10"),
        "simple cell; gru cell; lstm cell; both directions; 2 layers; loss x 100",
        "long sequence, simple cell; sgd, 100; adam, 1; cell, weights x 50; NaN in inputs",
    ),
    "deep_conv": (
        IMAGES,
        "adam; momentum; leaky_relu; tanh; sgd, loss x 100; depth 12; weights x 0.5; adam, 5e-4",
        "12 sigmoid layers; 8 sigmoid layers; 6 sigmoid layers; 20 tanh layers, small weights; "
        "12 relu layers, small weights; 12 linear layers, large weights; "
        "10 relu layers, large weights; exponential layers; sgd, 10; inputs x 255, sgd; "
        "biases of -2; huge first step; tanh, weights x 50; relu before the loss; sgd, 1e-4; "
        "sgd, 2; inputs x 30, sgd",
    ),
    "small_dense": (
        ("circles", "blobs", "digits", "table"),
        "adam, 1e-2; sgd, 0.3; relu; sigmoid; elu; logits; 4 sigmoid layers; weights x 2; "
        "inputs x 10",
        "12 sigmoid layers; 14 tanh layers, small weights; 12 linear layers, large weights; "
        "exponential layers; sgd, 100; inputs x 255, tanh; tanh, weights x 50; "
        "tanh, weights x 10; sigmoid, weights x 50; one softmax unit; biases of -10; adam, 1e-8; "
        "linear layers; sgd, 1e-4",
    ),
    "regression_net": (
        ("values",),
        "adam; sgd; absolute error; huber; loss x 100; sgd, loss x 1e-3; depth 12; tanh; "
        "weights x 2",
        "12 sigmoid layers; 14 tanh layers, small weights; 12 linear layers, large weights; "
        "sgd, 10; sgd, 100; adam, 1; inputs x 1000; biases of -10; one softmax unit, values; "
        "sgd, 1e-6; NaN in inputs; sigmoid, weights x 50; shuffled labels; adam, 0.1",
    ),
    "lstm": (
        ("waves", "digits"),
        "adam, 1e-2; adam, 5e-3; loss x 100; rmsprop, 5e-3",
        "sgd, 100; adam, 1; long sequence, small weights; NaN in inputs; adam, 1e-8",
    ),
    "attention": (
        ("digits", "recall_10"),
        "adam; adamw; loss x 1e-3; lion; relu; depth 1",
        "sgd, 10; adam, 1; rmsprop, 3; NaN in inputs; sgd, 1e-6; momentum, 3; adam, 0.1; "
        "shuffled labels",
    ),
}


@dataclass(frozen=True)
class Run:
    """A training of the corpus; `labels` are what it may be by construction."""

    architecture: str
    data: str
    way: str
    labels: tuple[str, ...]
    net: dict[str, Any]
    training: Training
    jit: bool  # compile by XLA, as Keras does by itself

    @property
    def key(self) -> str:
        return f"{self.architecture}, {self.data}, {self.way}"


def runs() -> list[Run]:
    """List the corpus; every fourth run of an architecture is compiled by XLA."""
    found = []
    for architecture, (data, good, bad) in PLAN.items():
        ways = [(turn, WELL[name], name) for turn, name in enumerate(good.split("; "))]
        ways += [(turn, SICK[name], name) for turn, name in enumerate(bad.split("; "))]
        for place, (turn, way, name) in enumerate(ways):
            sets = way.data or data
            found.append(
                Run(
                    architecture,
                    sets[turn % len(sets)],
                    name,
                    way.labels,
                    way.net,
                    Training(**way.training),
                    jit=place % 4 == 0,
                )
            )
    return found
