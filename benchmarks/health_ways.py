"""The ways to train, well or badly, that the corpus is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HEALTHY = "healthy"


@dataclass(frozen=True)
class Training:
    """What a net is trained with; what is not named is usual.

    Args:
        learning_rate: One, or the first step's and all others'.
        last: Last activation; `None` is the one that fits the loss.
        loss: A loss of Keras; `None` is the one that fits the data.
        loss_scale, input_scale: Factors.
        gain: Factor of the initial weights of all layers but the last.
        bias: What is added to their initial biases.
        missing: Share of the examples that have a NaN.
        shuffled: Give labels of other examples.
    """

    optimizer: str = "adam"
    learning_rate: float | tuple[float, float] = 2e-3
    options: dict[str, Any] = field(default_factory=dict)
    last: str | None = None
    loss: str | None = None
    loss_scale: float = 1.0
    input_scale: float = 1.0
    gain: float = 1.0
    bias: float = 0.0
    missing: float = 0.0
    shuffled: bool = False


@dataclass(frozen=True)
class Way:
    """A way to train, well or badly: options of the net and of the training."""

    labels: tuple[str, ...]
    net: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()


def well(net: dict[str, Any] | None = None, **training: Any) -> Way:
    return Way((HEALTHY,), net or {}, training)


SGD: dict[str, Any] = dict(optimizer="sgd", learning_rate=0.05)
MOMENTUM: dict[str, Any] = dict(
    optimizer="sgd", learning_rate=0.02, options=dict(momentum=0.9, nesterov=True)
)

WELL = {
    "adam": well(),
    "adam, 5e-4": well(learning_rate=5e-4),
    "adam, 5e-3": well(learning_rate=5e-3),
    "adam, 1e-2": well(learning_rate=1e-2),
    "adam, 3e-2": well(learning_rate=3e-2),
    "sgd": well(**SGD),
    "sgd, 0.3": well(**SGD | dict(learning_rate=0.3)),
    "momentum": well(**MOMENTUM),
    "rmsprop": well(optimizer="rmsprop", learning_rate=1e-3),
    "adamw": well(optimizer="adamw", options=dict(weight_decay=0.02)),
    "clipped": well(**MOMENTUM | dict(options=dict(momentum=0.9, clipnorm=1.0))),
    "lion": well(optimizer="lion", learning_rate=3e-4),
    "rmsprop, 5e-3": well(optimizer="rmsprop", learning_rate=5e-3),
    "loss x 1e-3": well(loss_scale=1e-3),
    "loss x 1e-3, 1e-2": well(loss_scale=1e-3, learning_rate=1e-2),
    "loss x 100": well(loss_scale=100.0),
    "sgd, loss x 1e-3": well(**SGD | dict(learning_rate=50.0), loss_scale=1e-3),
    "sgd, loss x 100": well(**SGD | dict(learning_rate=5e-4), loss_scale=100.0),
    "squared error": well(loss="mean_squared_error"),
    "logits": well(last="linear", loss="logits"),
    "absolute error": well(loss="mean_absolute_error"),
    "huber": well(loss="huber", **MOMENTUM),
    "tanh": well(dict(activation="tanh")),
    "relu": well(dict(activation="relu")),
    "elu": well(dict(activation="elu"), **MOMENTUM),
    "leaky_relu": well(dict(activation="leaky_relu")),
    "swish": well(dict(activation="swish")),
    "selu": well(dict(activation="selu", init="lecun_normal")),
    "sigmoid": well(dict(activation="sigmoid"), learning_rate=1e-2),
    "4 sigmoid layers": well(dict(activation="sigmoid", depth=4), learning_rate=1e-2),
    "weights x 2": well(gain=2.0),
    "weights x 0.5": well(gain=0.5),
    "inputs x 10": well(input_scale=10.0),
    "depth 1": well(dict(depth=1)),
    "depth 2": well(dict(depth=2)),
    "depth 12": well(dict(depth=12)),
    "depth 20": well(dict(depth=20), learning_rate=1e-3),
    "lstm cell": well(dict(cell="lstm"), learning_rate=1e-2),
    "gru cell": well(dict(cell="gru"), learning_rate=5e-3),
    "simple cell": well(dict(cell="simple")),
    "both directions": well(dict(cell="gru", bidirectional=True), learning_rate=5e-3),
    "2 layers": well(dict(cell="gru", num_layers=2, skip_connections=True), learning_rate=5e-3),
}


def sick(
    *labels: str, net: dict[str, Any] | None = None, data: tuple[str, ...] = (), **training: Any
) -> Way:
    return Way(labels, net or {}, training, data)


def stack(activation: str, depth: int) -> dict[str, Any]:
    return dict(activation=activation, depth=depth)


PLAIN = dict(batch_norm=False)
LARGE = ("exploding", "dead", "saturated", "no_traction")
BINARY = ("circles", "table")

SICK = {
    "12 sigmoid layers": sick("vanishing", net=stack("sigmoid", 12)),
    "16 sigmoid layers": sick("vanishing", net=stack("sigmoid", 16), **MOMENTUM),
    "8 sigmoid layers": sick("vanishing", net=stack("sigmoid", 8), **SGD),
    "6 sigmoid layers": sick("vanishing", net=stack("sigmoid", 6), **SGD),
    "14 tanh layers, small weights": sick("vanishing", net=stack("tanh", 14), gain=0.3, **SGD),
    "20 tanh layers, small weights": sick("vanishing", net=stack("tanh", 20), gain=0.2),
    "12 relu layers, small weights": sick("vanishing", net=stack("relu", 12), gain=0.2),
    "12 sigmoid layers, no norm": sick("vanishing", net=PLAIN | stack("sigmoid", 12)),
    "16 tanh layers, no norm, small weights": sick(
        "vanishing", net=PLAIN | stack("tanh", 16), gain=0.3
    ),
    "long sequence, sigmoid": sick(
        "vanishing", net=dict(activation="sigmoid"), data=("recall_80",)
    ),
    "long sequence, simple cell": sick(
        "vanishing", net=dict(cell="simple"), data=("recall_80",), gain=0.7
    ),
    "long sequence, small weights": sick("vanishing", data=("recall_80",), gain=0.6),
    "long sequence, small weights, sgd": sick("vanishing", data=("recall_80",), gain=0.7, **SGD),
    "exponential layers": sick("exploding", net=stack("exponential", 2), **SGD),
    "12 linear layers, large weights": sick("exploding", net=stack("linear", 12), gain=4.0, **SGD),
    "10 relu layers, large weights": sick("exploding", net=stack("relu", 10), gain=4.0, **SGD),
    "linear cell, large weights": sick("exploding", net=dict(activation="linear"), gain=2.0, **SGD),
    "relu cell, large weights": sick("exploding", net=dict(activation="relu"), gain=3.0),
    "sgd, 2": sick(*LARGE, **SGD | dict(learning_rate=2.0)),
    "sgd, 10": sick(*LARGE, **SGD | dict(learning_rate=10.0)),
    "sgd, 100": sick(*LARGE, **SGD | dict(learning_rate=100.0)),
    "momentum, 3": sick(*LARGE, **MOMENTUM | dict(learning_rate=3.0)),
    "adam, 0.1": sick(*LARGE, learning_rate=0.1),
    "adam, 1": sick(*LARGE, learning_rate=1.0),
    "rmsprop, 3": sick(*LARGE, optimizer="rmsprop", learning_rate=3.0),
    "inputs x 30, sgd": sick(*LARGE, input_scale=30.0, **SGD),
    "inputs x 255, sgd": sick(*LARGE, input_scale=255.0, **SGD),
    "inputs x 255, tanh": sick("saturated", net=dict(activation="tanh"), input_scale=255.0),
    "inputs x 1000": sick(*LARGE, input_scale=1000.0, **MOMENTUM),
    "biases of -10": sick("dead", net=dict(activation="relu"), bias=-10.0),
    "biases of -10, no norm": sick("dead", net=PLAIN, bias=-10.0),
    "biases of -2": sick("dead", net=dict(activation="relu"), bias=-2.0),
    "biases of -3, sgd": sick("dead", net=dict(activation="relu"), bias=-3.0, **SGD),
    "huge first step": sick(
        "dead", "exploding", net=dict(activation="relu"), **SGD | dict(learning_rate=(3.0, 0.02))
    ),
    "tanh, weights x 10": sick("saturated", net=dict(activation="tanh"), gain=10.0, **SGD),
    "tanh, weights x 50": sick("saturated", net=dict(activation="tanh"), gain=50.0, **SGD),
    "sigmoid, weights x 50": sick("saturated", net=dict(activation="sigmoid"), gain=50.0, **SGD),
    "tanh, weights x 50, no norm": sick(
        "saturated", net=PLAIN | dict(activation="tanh"), gain=50.0, **SGD
    ),
    "cell, weights x 50": sick("saturated", gain=50.0, **SGD),
    "relu before the loss": sick("no_traction", last="relu"),
    "one softmax unit": sick("no_traction", last="softmax", loss="mean_squared_error", data=BINARY),
    "one softmax unit, values": sick("no_traction", last="softmax", data=("values",)),
    "logits as probabilities": sick("no_traction", last="linear"),
    "linear layers": sick("no_traction", net=dict(activation="linear"), data=("circles",)),
    "shuffled labels": sick("no_traction", shuffled=True),
    "sgd, 1e-4": sick("no_traction", **SGD | dict(learning_rate=1e-4)),
    "sgd, 1e-6": sick("no_traction", **SGD | dict(learning_rate=1e-6)),
    "adam, 1e-8": sick("no_traction", learning_rate=1e-8),
    "NaN in inputs": sick("non_finite", missing=0.004),
    "NaN in inputs, sgd": sick("non_finite", missing=0.001, **SGD),
}
