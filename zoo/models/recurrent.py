"""Recurrent networks: layers that read a sequence step by step and remember."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers
from zoo.blocks import classifier_head
from zoo.registry import register

# By the name of a cell, the layer of Keras that runs it over the steps.
CELLS = {"lstm": "LSTM", "gru": "GRU", "simple": "SimpleRNN"}

RECURRENT: dict[str, dict[str, Any]] = {
    "recurrent_classifier_tiny": dict(units=16),
    "gru_classifier": dict(cell="gru"),
    "elman_classifier": dict(cell="simple"),
    "bidirectional_classifier": dict(units=64, bidirectional=True),
}


@register(
    task="classification",
    reference="Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997 "
    "(cell 'lstm'); Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for "
    "Statistical Machine Translation, 2014, https://arxiv.org/abs/1406.1078 ('gru'); Elman, "
    "Finding Structure in Time, Cognitive Science 14(2), 1990 ('simple'); "
    "bidirectional_classifier: Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997",
    variants=RECURRENT,
)
def recurrent_classifier(
    input_shape: Sequence[int | None] = (28, 28),
    num_classes: int = 10,
    *,
    cell: str = "lstm",
    units: int = 128,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    skip_connections: bool = False,
    classifier_activation: Any = "softmax",
    name: str = "recurrent_classifier",
) -> keras.Model:
    """Classify sequences by recurrent layers, from the state after the last step.

    Steps that a mask marks as padding change no state, so the output is that of the sequence alone.
    `zoo.train` puts a layer in front that makes the mask (see `zoo.data.SequencePreparation`); in
    a model of your own `keras.layers.Masking` does.

    A simple cell forgets: its gradients shrink, or grow, with every step back. The gates of "gru"
    and "lstm" let them pass over long distances.

    Args:
        input_shape: Steps and features of the sequences. Steps may be `None`, for any length.
        num_classes: Number of classes; 0 builds the headless model.
        cell: "lstm", "gru", or "simple", a dense layer of the step and the last state with tanh.
        units: Number of units of each layer, in each direction.
        num_layers: Number of recurrent layers; each reads the outputs of the one below.
        bidirectional: Read each sequence also from its end, and join what both directions give.
        dropout: Rate in [0, 1) after each recurrent layer.
        skip_connections: Make the layers from the second one on residual (Wu et al., 2016,
            https://arxiv.org/abs/1609.08144): each adds its outputs to those of the layers below.
        classifier_activation: Of the last layer: "softmax", "sigmoid", or "linear" for logits.
        name: The model's name.

    Returns:
        An uncompiled Functional model from `features`, `(batch, time, features)`, to
        `probabilities` (`logits` with a linear classifier), `(batch, num_classes)`, or, headless,
        to `hidden`, `(batch, size)`.

    Raises:
        ValueError: If an argument is illegal.

    Example:
        >>> model = recurrent_classifier((None, 8), 10, cell="gru", num_layers=2)
        >>> [layer.name for layer in model.layers]
        ['features', 'block1_gru', 'block2_gru', 'classifier', 'probabilities']
    """
    input_shape = _sequence_shape(input_shape)
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    check.one_of("cell", cell, CELLS)
    units = check.integer("units", units)
    num_layers = check.integer("num_layers", num_layers)
    bidirectional = check.flag("bidirectional", bidirectional)
    dropout = check.rate("dropout", dropout)
    skip_connections = check.flag("skip_connections", skip_connections)

    inputs = x = keras.Input(input_shape, name="features")
    states = []  # what each layer gives after the last step
    for index in range(1, num_layers):
        block = f"block{index}"
        layer = _layer(cell, units, bidirectional, block, steps=True, states=skip_connections)
        steps = layer(x)
        if skip_connections:
            steps, *last = steps
            states.append(_state(cell, last, block))
        steps = _dropped(steps, dropout, block)
        x = layers.Add(name=f"{block}_add")([x, steps]) if skip_connections and index > 1 else steps
    block = f"block{num_layers}"
    x = _layer(cell, units, bidirectional, block)(x)
    x = layers.Add(name=f"{block}_add")([*states, x]) if states else x
    x = _dropped(x, dropout, block)
    outputs = classifier_head(x, num_classes, classifier_activation, features="hidden")
    return keras.Model(inputs, outputs, name=name)


def _layer(
    cell: str,
    units: int,
    bidirectional: bool,
    block: str,
    steps: bool = False,
    states: bool = False,
) -> Any:
    """Make a layer that gives its output after the last step, or after all, or its states too."""
    make, name = getattr(layers, CELLS[cell]), f"{block}_{cell}"
    options = dict(return_sequences=steps, return_state=states)
    if not bidirectional:
        return make(units, name=name, **options)
    return layers.Bidirectional(make(units, name=cell, **options), name=name)


def _state(cell: str, states: Sequence[Any], block: str) -> Any:
    """Give the output after the last step, of both directions, out of a layer's states."""
    outputs = states[:: 2 if cell == "lstm" else 1]  # an LSTM's other states are its memories
    return layers.Concatenate(name=f"{block}_state")(outputs) if len(outputs) > 1 else outputs[0]


def _dropped(x: Any, dropout: float, block: str) -> Any:
    return layers.Dropout(dropout, name=f"{block}_dropout")(x) if dropout else x


def _sequence_shape(value: Any) -> tuple[int | None, int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(
            f"`input_shape` must be (time, features), received {value!r}. Images are read row by "
            "row where they are loaded so: zoo.load_data((images[..., 0], y), kind='sequences')."
        )
    time, features = value
    time = time if time is None else check.integer("input_shape[0]", time)
    return time, check.integer("input_shape[1]", features)
