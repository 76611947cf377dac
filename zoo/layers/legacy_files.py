"""Files of Keras 2 (`tf_keras`) models with locally connected layers, read into Keras 3.

Keras 3 reads the `.h5`, `.weights.h5` and `.keras` files of Keras 2, but not these layers: it has
none, and the ones here hold their weights in another layout. So Keras loads each file into
stand-ins, which have weights of the old shapes, and `convert_legacy_weights` does the rest.

The compilation and the optimizer's state stay behind. Keras 3 reads no SavedModels and no
TensorFlow checkpoints: load those in `tf_keras`, and save them there as `.h5`.
"""

import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

import h5py
import keras

from zoo.layers.legacy import LegacyLayer, convert_legacy_weights
from zoo.layers.locally_connected import LocallyConnected, LocallyConnected1D, LocallyConnected2D

LAYERS = {layer.__name__: layer for layer in (LocallyConnected1D, LocallyConnected2D)}


def load_legacy_model(
    path: str | os.PathLike, custom_objects: dict[str, Any] | None = None
) -> keras.Model:
    """Load a Keras 2 model that has locally connected layers.

    Args:
        path: A `.h5`, `.hdf5` or `.keras` file that `model.save` wrote, of a functional or
            sequential model. Keras 3 cannot make functional models with models inside: make such
            a model in code, and load the file with `load_legacy_weights`.
        custom_objects: Other classes and functions in the file by name, as
            `keras.models.load_model` takes them.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: If the file holds no model, or one that Keras 3 cannot make, or if a layer has
            "same" padding that is aligned otherwise here (see `convert_legacy_weights`).

    Example:
        >>> model = load_legacy_model("face.h5")  # doctest: +SKIP
        >>> model.save("face.keras")  # doctest: +SKIP
    """
    text = _read_config(path)
    others = custom_objects or {}
    source = _build(text, {**others, **_stand_ins()})
    source.load_weights(path)
    model = _build(text, {**others, **LAYERS})
    _transfer(source, model, path)
    return model


def load_legacy_weights(
    model: keras.Model, path: str | os.PathLike, *, implementation: int = 1
) -> None:
    """Load the weights of a Keras 2 model into the same model, made with the layers here.

    Args:
        model: A built functional or sequential model, with the old one's layers in its order.
        path: A `.h5`, `.hdf5`, `.weights.h5` or `.keras` file, of the weights or the model.
        implementation: 1, 2 or 3, as the old locally connected layers had it.

    Raises:
        ValueError: If the weights in the file are not those of the model.

    Example:
        >>> load_legacy_weights(model, "face_weights.h5")  # doctest: +SKIP
    """
    if implementation not in (1, 2, 3):
        raise ValueError(f"`implementation` must be 1, 2 or 3, received {implementation!r}.")
    # By the names of the classes alone: the registered ones would win over the stand-ins.
    config = json.loads(model.to_json().replace('"zoo>LocallyConnected', '"LocallyConnected'))
    config.pop("compile_config", None)
    with keras.saving.custom_object_scope(_stand_ins(implementation)):
        # The caller's own model: a lambda in it is no risk.
        source = keras.saving.deserialize_keras_object(config, safe_mode=False)
    source.load_weights(path)
    _transfer(source, model, path)


class _StandIn(LocallyConnected):
    """Gives a layer the weights that the old one had, so that Keras can load them."""

    implementation = 1

    def __init__(self, *args: Any, implementation: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.implementation = implementation or self.implementation

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make weights of the old shapes."""
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))
        legacy = LegacyLayer(self)
        if self.implementation not in legacy.kernel_shapes:
            raise ValueError(
                f"The layer {self.name!r} has padding='same', which `implementation`=1 of Keras 2 "
                "did not take: give the old layer's, 2 or 3."
            )
        self.add_weight(legacy.kernel_shapes[self.implementation], "zeros")
        if self.use_bias:
            self.add_weight(legacy.bias_shape, "zeros")


def _stand_ins(implementation: int = 1) -> dict[str, type]:
    """Derive a stand-in of each layer; Keras finds weights in a file by the name of the class."""
    return {
        name: type(name, (_StandIn, layer), {"implementation": implementation})
        for name, layer in LAYERS.items()
    }


def _read_config(path: str | os.PathLike) -> str:
    """Read the JSON text that describes the model in a file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read("config.json").decode()
    with h5py.File(path) as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ValueError(
            f"{os.fspath(path)!r} holds weights and no model. Build the model, and give both to "
            "`load_legacy_weights`."
        )
    return config.decode() if isinstance(config, bytes) else config


def _build(text: str, classes: dict[str, Any]) -> keras.Model:
    """Make the model that a JSON text describes."""
    config = json.loads(text, object_hook=_name_classes)
    kind = "Sequential" if config["class_name"] == "Sequential" else "Model"
    config = {"module": "keras", "class_name": kind, "config": config["config"]}
    with warnings.catch_warnings(), keras.saving.custom_object_scope(classes):
        warnings.simplefilter("ignore")  # of arguments in the file that are no longer used
        return keras.saving.deserialize_keras_object(config)  # refuses lambdas


def _name_classes(config: dict[str, Any]) -> Any:
    """Describe layers as `.h5` files do, whose old arguments Keras 3 knows, or nearly."""
    if config.get("class_name") == "Policy":  # of dtypes
        return config["config"]["name"]
    layers = [*config.get("layers", ())]
    if config.get("class_name") in LAYERS:
        layers.append(config)
    for layer in layers:
        layer.pop("module", None)
        layer["class_name"] = layer.pop("registered_name", None) or layer["class_name"]
        if layer["class_name"] != "InputLayer" and "batch_input_shape" in layer["config"]:
            layer["config"]["input_shape"] = layer["config"].pop("batch_input_shape")[1:]
    return config


def _transfer(source: keras.Model, target: keras.Model, path: str | os.PathLike) -> None:
    """Load a file that fitted a model of stand-ins into the model of layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all but the locally connected layers fits
        target.load_weights(path, skip_mismatch=True)
    for old, new in zip(source._flatten_layers(), target._flatten_layers(), strict=True):
        if isinstance(old, _StandIn):
            new.set_weights(convert_legacy_weights(new, old.get_weights()))
