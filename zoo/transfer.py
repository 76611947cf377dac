"""Reuse of trained models: copy weights by layer name, take out intermediate features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from zoo._lazy import keras
from zoo.registry import suggestion


@dataclasses.dataclass(frozen=True)
class Transfer:
    """What `transfer_weights` did: names of loaded layers, and why others were skipped."""

    loaded: tuple[str, ...]
    skipped: dict[str, str]


def transfer_weights(source: keras.Model, target: keras.Model) -> Transfer:
    """Copy the weights of every layer that two models share by name and shapes.

    For fine-tuning: build the model anew with another number of classes or another head, and keep
    what was learned below. Layers of sub-models, such as an encoder, are named `encoder/code`.

    Args:
        source: The trained model.
        target: The model whose weights are overwritten where they fit.

    Returns:
        The names of the target's layers that were loaded, and for each of the other layers that
        have weights, in either model, the reason that it was skipped.

    Raises:
        ValueError: If nothing could be loaded.

    Example:
        >>> import zoo
        >>> digits = zoo.cascade_cnn((8, 8, 1), 10, filters=(8, 16))
        >>> letters = zoo.cascade_cnn((8, 8, 1), 26, filters=(8, 16))
        >>> transfer_weights(digits, letters).skipped
        {'classifier': 'shapes differ: (128, 10), (10,) and (128, 26), (26,)'}
    """
    sources, targets = dict(_layers(source)), dict(_layers(target))
    skipped = dict.fromkeys(sources.keys() - targets.keys(), "not in the target")
    loaded = []
    for name, layer in targets.items():
        if name not in sources:
            skipped[name] = "not in the source"
        elif (old := _shapes(sources[name])) != (new := _shapes(layer)):
            skipped[name] = f"shapes differ: {old} and {new}"
        else:
            layer.set_weights(sources[name].get_weights())
            loaded.append(name)
    if not loaded:
        raise ValueError(
            f"Models {source.name!r} and {target.name!r} share no layer by name and shapes: "
            f"received layers {', '.join(sources)} and {', '.join(targets)}."
        )
    return Transfer(tuple(loaded), skipped)


def features(model: keras.Model, layer_names: str | Sequence[str]) -> keras.Model:
    """Make a model of another one's intermediate outputs; the weights are shared.

    Args:
        model: A Functional or Sequential model.
        layer_names: Name of a layer, or several; a sub-model counts as one.

    Returns:
        A model from the same inputs to the output of the named layer, or for several names to a
        dictionary from name to output.

    Raises:
        ValueError: If a layer is unknown.

    Example:
        >>> import zoo
        >>> model = zoo.cascade_cnn((28, 28, 1), 10)
        >>> features(model, "block2_pool").output_shape
        (None, 7, 7, 64)
    """
    if not getattr(model, "inputs", None):
        raise ValueError(f"`model` must be a Functional or built Sequential model, not {model!r}.")
    if not layer_names:
        raise ValueError("`layer_names` must name at least one layer, received none.")
    inputs, known = layer_outputs(model)
    names = [layer_names] if isinstance(layer_names, str) else layer_names
    for name in names:
        if name not in known:
            raise ValueError(f"{model.name!r} has no layer {name!r}. {suggestion(name, known)}")
    outputs = {name: known[name] for name in names}
    if isinstance(layer_names, str):
        outputs = outputs[layer_names]
    return keras.Model(inputs, outputs, name=f"{model.name}_features")


def layer_outputs(model: keras.Model) -> tuple[Any, dict[str, Any]]:
    """Apply a model's layers to new inputs.

    A layer's own `output` is another model's where the layer is a model itself, or is shared.
    """
    single = len(model.inputs) == 1  # a Sequential model has no `input`
    plain = keras.Model(model.inputs[0] if single else model.input, model.outputs)
    outputs = {}

    def apply(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs[layer.name] = layer(*args, **kwargs)
        return outputs[layer.name]

    clone = keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=apply)
    return clone.input, {**{tensor.name: tensor for tensor in clone.inputs}, **outputs}


def _layers(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """List the layers that have weights, those of sub-models too, by name."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            yield prefix + layer.name, layer


def _shapes(layer: keras.Layer) -> str:
    return ", ".join(str(tuple(weight.shape)) for weight in layer.weights)
