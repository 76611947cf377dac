"""A look inside a model on a few examples: what each layer gives, and gradients through time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

# How far from its flat ends an activation's output counts as saturated, as (low, high).
FLAT = {"sigmoid": (0.02, 0.98), "tanh": (-0.96, 0.96)}
RECTIFIED = ("relu", "relu6")


def leaf_layers(model: keras.Model) -> list[keras.Layer]:
    """Give the layers that hold no others, in order, but for inputs."""
    found = {}
    for layer in model._flatten_layers(include_self=False):
        is_recurrent = isinstance(layer, keras.layers.RNN)
        if isinstance(layer, keras.layers.InputLayer | keras.Model):
            continue
        if is_recurrent or not list(layer._flatten_layers(include_self=False)):
            found[id(layer)] = layer
    cells = {
        id(inner)
        for layer in found.values()
        if isinstance(layer, keras.layers.RNN)
        for inner in layer._flatten_layers(include_self=False)
    }
    return [layer for key, layer in found.items() if key not in cells]


def first_weights(layer: keras.Layer) -> list[Any]:
    """Give the trainable weights that meet a model's inputs, with no others before them.

    Where one of these is not finite and an activation hides it, no gradient goes back to tell.
    Embeddings, which are large and hide nothing from the weights after them, are left out.
    """
    inner = getattr(layer, "_functional", None) or layer
    if isinstance(inner, keras.layers.Embedding):
        return []
    if isinstance(inner, keras.Function):
        later: set[int] = set()  # operations that are after some weights
        found: list[Any] = []
        for operation in inner.operations:
            parents = {id(p.operation) for n in operation._inbound_nodes for p in n.parent_nodes}
            has_weights = bool(getattr(operation, "trainable_variables", None))
            if has_weights and not parents & later:
                found += first_weights(operation)
            if has_weights or parents & later:
                later.add(id(operation))
        return found
    if isinstance(inner, keras.Model):
        owners = (one for one in leaf_layers(inner) if one.trainable_variables)
        return list(next(owners, inner).trainable_variables)
    return list(inner.trainable_variables)


def recurrent_layers(model: keras.Model) -> list[keras.Layer]:
    """Give the recurrent layers, in order."""
    return [layer for layer in leaf_layers(model) if isinstance(layer, keras.layers.RNN)]


def activation_name(layer: keras.Layer) -> str:
    """Name what a layer's outputs come through, such as "relu"; "" if that has no name."""
    if isinstance(layer, keras.layers.ReLU):
        is_plain = not layer.negative_slope and not layer.threshold
        return "relu" if is_plain else ""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", "")


def activation_of(layer: keras.Layer) -> str | None:
    """Name what a layer's units are judged as: "relu", "sigmoid", "tanh", or nothing."""
    if isinstance(layer, keras.layers.RNN) and not isinstance(layer, keras.layers.SimpleRNN):
        return None  # whose output is a product
    name = activation_name(layer)
    return name if name in (*RECTIFIED, *FLAT) else None


@contextmanager
def watching_calls(
    layers: Sequence[keras.Layer], see: Callable[[keras.Layer, Any, Any], Any]
) -> Iterator[None]:
    """Let `see(layer, inputs, outputs)` look at each call of some layers; it gives the outputs."""

    def watched(layer: keras.Layer, call: Any) -> Any:
        def with_look(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            see(layer, args[0] if args else next(iter(kwargs.values()), None), outputs)
            return outputs

        return with_look

    try:
        for layer in layers:
            layer.call = watched(layer, layer.call)
        yield
    finally:
        for layer in layers:
            if "call" in vars(layer):
                del layer.call


def first_broken_layer(model: keras.Model, weights: Any, x: Any) -> str | None:
    """Name the first layer that gives NaN or infinite values of examples, as in training."""
    broken: list[str] = []

    def see(layer: keras.Layer, _: Any, outputs: Any) -> None:
        if not broken and not _all_finite(outputs):
            broken.append(layer.name)

    with watching_calls(leaf_layers(model), see):
        model.stateless_call(*weights, x, **training_argument(model, True))
    return broken[0] if broken else None


def _all_finite(outputs: Any) -> bool:
    return all(
        np.isfinite(np.asarray(ops.convert_to_numpy(tensor), np.float64)).all()
        for tensor in keras.tree.flatten(outputs)
        if tensor is not None and keras.backend.is_float_dtype(tensor.dtype)
    )


def look_at_units(model: keras.Model, weights: Any, x: Any) -> dict[str, tuple[str, float, float]]:
    """Give, by layer, the activation's name and the shares that are dead and saturated.

    The layers that give the model's outputs are left out: what they say is to be certain.
    """
    found = {}

    def see(layer: keras.Layer, _: Any, outputs: Any) -> None:
        if hasattr(outputs, "shape"):
            kind = activation_of(layer) or ""
            values = np.asarray(ops.convert_to_numpy(outputs), np.float32)
            found[layer.name] = (kind, *_shares(kind, values))

    ends = {model.layers[-1].name, *(getattr(model, "output_names", None) or ())}
    judged = [one for one in leaf_layers(model) if activation_of(one) and one.name not in ends]
    if not judged:
        return {}
    with watching_calls(judged, see):
        model.stateless_call(*weights, x, **training_argument(model, False))
    return found


def training_argument(model: keras.Model, value: bool) -> dict[str, bool]:
    """Give the argument `training` to a model whose `call` takes it."""
    return {"training": value} if model._call_has_training_arg else {}


def _shares(kind: str, values: np.ndarray) -> tuple[float, float]:
    units = values.reshape(-1, values.shape[-1])
    dead = float((units == 0).all(axis=0).mean()) if kind in RECTIFIED else 0.0
    low, high = FLAT.get(kind, (-np.inf, np.inf))
    return dead, float(((units < low) | (units > high)).mean())


def gradients_through_time(
    model: keras.Model, state: Mapping[str, Any], batch: tuple[Any, Any, Any]
) -> dict[str, list[float]]:
    """Give, by recurrent layer, the norm of the loss's gradient for each step of its input."""
    layers = recurrent_layers(model)
    found: dict[str, list[float]] = {}
    for layer in layers:
        gradient = _gradient_of_input(model, layer, state, batch)
        if gradient is not None and gradient.ndim == 3:
            norms = np.sqrt(np.square(gradient.astype(np.float64)).mean(axis=0).sum(axis=-1))
            found[layer.name] = norms[::-1].tolist() if layer.go_backwards else norms.tolist()
    return found


def _gradient_of_input(
    model: keras.Model, layer: keras.Layer, state: Mapping[str, Any], batch: tuple[Any, Any, Any]
) -> np.ndarray | None:
    x = batch[0]
    shapes: list[Any] = []
    weights = (state["trainable"], state["non_trainable"])
    with watching_calls([layer], lambda _, inputs, __: shapes.append((inputs.shape, inputs.dtype))):
        model.stateless_call(*weights, x, **training_argument(model, False))
    if len(shapes) != 1:  # called several times, as a shared layer is
        return None
    shape, dtype = shapes[0]

    def loss(nudge: Any) -> Any:
        call = layer.call

        def nudged(sequences: Any, *args: Any, **kwargs: Any) -> Any:
            return call(sequences + nudge, *args, **kwargs)

        layer.call = nudged
        try:
            outputs, _ = model.stateless_call(*weights, x, **training_argument(model, False))
        finally:
            del layer.call
        return loss_of(model, state, batch, outputs)

    nudge = ops.zeros(shape, dtype)
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(loss)(nudge))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(nudge)
        value = loss(nudge)
    gradient = tape.gradient(value, nudge)
    return None if gradient is None else gradient.numpy()


def loss_of(
    model: keras.Model, state: Mapping[str, Any], batch: tuple[Any, Any, Any], outputs: Any
) -> Any:
    """Give the loss of outputs for a batch."""
    x, y, sample_weight = batch
    value, _ = model.stateless_compute_loss(
        state["trainable"],
        state["non_trainable"],
        state["metrics"],
        x=x,
        y=y,
        y_pred=outputs,
        sample_weight=sample_weight,
        training=False,
    )
    return value
