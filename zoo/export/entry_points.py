"""Models as the named entry points of an export: tensors in, named tensors out."""

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from zoo.arguments import broken_weights
from zoo.export.half_precision import HALF_DTYPES

DEFAULT_SIGNATURE = "serving_default"

_SERVED_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class EntryPoint:
    """A model as one signature: positional tensors in, a dict of named tensors out."""

    model: keras.Model
    inputs: tuple[tf.TensorSpec, ...]
    output_names: tuple[str, ...]

    def infer(self, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """Run the model in inference mode on tensors in the order of `inputs`."""
        # Layers count while they run, for the metrics of a training; what is served must not.
        with keras.StatelessScope():
            outputs = self.model(_arguments(self.model, tensors), training=False)
        if not isinstance(outputs, Mapping):
            outputs = dict(zip(self.output_names, keras.tree.flatten(outputs), strict=True))
        return {
            name: tf.cast(outputs[name], _served_dtype(outputs[name].dtype.name))
            for name in self.output_names
        }


def make_entry_points(
    model: keras.Model, signatures: Mapping[str, keras.Model]
) -> dict[str, EntryPoint]:
    """Give the entry points of `model` and of `signatures`, once all are known to be fit."""
    if signatures.get(DEFAULT_SIGNATURE, model) is not model:
        raise ValueError(
            f"signatures[{DEFAULT_SIGNATURE!r}] is another model than the one to export. "
            "Export that model itself, or give the signature another name."
        )
    entry_points = {
        name: _entry_point(name, entry)
        for name, entry in {DEFAULT_SIGNATURE: model, **signatures}.items()
    }
    if broken := broken_weights(all_weights(entry_points.values())):
        raise ValueError(
            f"weights of {model.name!r} hold NaN or infinite values: "
            f"{', '.join(broken[:5])}{f', ... ({len(broken)} in all)' if broken[5:] else ''}. "
            "The training diverged: load an earlier checkpoint, or lower the learning rate."
        )
    return entry_points


def all_weights(entry_points: Iterable[EntryPoint]) -> list[keras.Variable]:
    """Give every weight once, however many entry points use it."""
    weights = (weight for entry_point in entry_points for weight in entry_point.model.weights)
    return list({id(weight): weight for weight in weights}.values())


def all_layers(entry_points: Iterable[EntryPoint]) -> list[keras.Layer]:
    """Give every layer once, also those inside nested models and wrappers."""
    layers = (layer for entry in entry_points for layer in entry.model._flatten_layers())
    return list({id(layer): layer for layer in layers}.values())


def _entry_point(signature: str, model: keras.Model) -> EntryPoint:
    if not isinstance(model, keras.Model):
        raise TypeError(f"signature {signature!r} needs a keras.Model, received {model!r:.40}")
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so it has no weights to export: "
            "call it on a batch first, or use model.build(input_shape)"
        )
    if not (inputs := getattr(model, "inputs", None)):
        raise ValueError(
            f"model {model.name!r} names no inputs, because it is neither Functional nor a "
            "Sequential with one input. Wrap it: "
            "image = keras.Input(shape, name='image'); keras.Model(image, model(image))"
        )
    for name in (signature, *(tensor.name for tensor in inputs)):
        if not _SERVED_NAME.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(
                f"signature {signature!r} of model {model.name!r}: {name!r} cannot be served by "
                "name. Names of signatures and inputs start with a letter, hold letters, digits "
                "and underscores, and are no Python keyword."
            )
    specs = (
        tf.TensorSpec((None, *tensor.shape[1:]), _served_dtype(tensor.dtype), tensor.name)
        for tensor in inputs
    )
    return EntryPoint(model, tuple(specs), _output_names(model))


def _arguments(model: keras.Model, tensors: Sequence[Any]) -> Any:
    if isinstance(model, keras.Sequential):
        return tensors[0]
    return keras.tree.pack_sequence_as(model.input, tensors)


def _output_names(model: keras.Model) -> tuple[str, ...]:
    outputs = model.compute_output_spec(_arguments(model, model.inputs))
    if isinstance(outputs, Mapping):
        if not all(
            isinstance(key, str) and isinstance(output, keras.KerasTensor)
            for key, output in outputs.items()
        ):
            raise ValueError(
                f"model {model.name!r} returns a dict with the keys {list(outputs)}, which must be "
                "strings, each for one tensor. Name the outputs, and take them out of lists."
            )
        return tuple(outputs)
    sequential = isinstance(model, keras.Sequential)
    names = [model.layers[-1].name] if sequential else model.output_names
    if len(set(names)) < len(model.outputs):
        raise ValueError(
            f"model {model.name!r} has {len(model.outputs)} outputs under the names "
            f"{sorted(set(names))}. Give each output a layer of its own, or return a dict of them."
        )
    return tuple(names)


def _served_dtype(dtype: str) -> str:
    return "float32" if dtype in HALF_DTYPES else dtype
