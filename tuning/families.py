"""What may vary in each family of models: a table of rows, and how they become arguments."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.autoencoders import (
    CONV_AUTOENCODER,
    DENSE_AUTOENCODER,
    conv_autoencoder_arguments,
    dense_autoencoder_arguments,
)
from tuning.verification import (
    HEAD,
    KOCH_SIAMESE,
    SIAMESE_CNN,
    koch_siamese_arguments,
    siamese_cnn_arguments,
)
from zoo.arguments import image_shape
from zoo.registry import entry
from zoo.space import ACTIVATIONS, Choice, Float, Int, Space, doubling, halving, own_arguments

MAX_PARAMETERS = 3_000_000
"""No draw from the tables below is larger, for images of up to 32x32x3 and 10 classes."""

# The defaults are the builder's own. `depth` is narrowed to what the images' size allows.
CASCADE_CNN: Space = {
    "depth": Int(1, 4, default=3, argument="filters"),
    "first_filters": Int(8, 32, step=2, sampling="log", default=32, argument="filters"),
    "convs_per_block": Int(1, 2, default=2),
    "kernel_size": Choice((3, 5)),
    "pooling": Choice(("max", "average", "stride")),
    "head": Choice(("flatten", "global_average", "global_max")),
    "dense_units": Choice((0, 64, 128, 256), default=128),
    "activation": Choice(ACTIVATIONS),
    "batch_norm": Choice((True, False)),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True)),
}

MLP: Space = {
    "depth": Int(1, 4, default=2, argument="hidden_units"),
    "first_units": Int(32, 256, step=2, sampling="log", default=256, argument="hidden_units"),
    "activation": Choice(ACTIVATIONS),
    "batch_norm": Choice((True, False)),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True)),
}

FACE_CNN: Space = {
    "depth": Int(1, 4, default=2, argument="num_shared_blocks"),
    "first_filters": Int(8, 32, step=2, sampling="log", default=32),
    "num_local_blocks": Int(1, 2),
    "local_filters": Int(16, 64, step=2, sampling="log", default=64),
    "sharing": Choice(("local", "low_rank", "shared")),
    "rank": Int(2, 8, step=2, sampling="log", default=4, when=("sharing", ("low_rank",))),
    "embedding_dim": Choice((32, 64, 128), default=128),
    "activation": Choice(ACTIVATIONS),
    "batch_norm": Choice((True, False)),
    "dropout": Float(0.0, 0.5),
}

SIAMESE_FACE: Space = {**HEAD, **FACE_CNN}

DEEPID: Space = {
    "first_filters": Int(10, 40, step=2, sampling="log", default=20, argument="filters"),
    "region": Choice((0, 1, 2)),
    "embedding_dim": Choice((80, 160, 320), default=160),
    "activation": Choice(ACTIVATIONS),
    "dropout": Float(0.0, 0.5),
}

DEEPFACE: Space = {
    "first_filters": Int(8, 32, step=2, sampling="log", default=32, argument="filters"),
    "embedding_dim": Choice((512, 1024, 2048, 4096), default=4096),
    "activation": Choice(ACTIVATIONS),
    "dropout": Float(0.0, 0.7, default=0.5),
}


def cascade_cnn_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.cascade_cnn`.

    Example:
        >>> cascade_cnn_arguments({"depth": 3, "first_filters": 16, "dense_units": 0})
        {'dense_units': (), 'filters': (16, 32, 64)}
    """
    arguments = own_arguments(CASCADE_CNN, values)
    if "dense_units" in arguments:
        arguments["dense_units"] = (arguments["dense_units"],) if arguments["dense_units"] else ()
    if "depth" in values:
        arguments["filters"] = doubling(values["first_filters"], values["depth"], most=128)
    return arguments


def mlp_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.mlp`.

    Example:
        >>> mlp_arguments({"depth": 2, "first_units": 256, "batch_norm": False})
        {'batch_norm': False, 'hidden_units': (256, 128)}
    """
    arguments = own_arguments(MLP, values)
    if "depth" in values:
        arguments["hidden_units"] = halving(values["first_units"], values["depth"])
    return arguments


def face_cnn_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.face_cnn`, or of `zoo.siamese_face`.

    Example:
        >>> face_cnn_arguments({"depth": 3, "num_local_blocks": 2, "local_filters": 64})
        {'num_local_blocks': 2, 'local_filters': 32, 'num_shared_blocks': 3}
    """
    arguments = own_arguments(SIAMESE_FACE, values)
    if "local_filters" in arguments:
        arguments["local_filters"] //= arguments.get("num_local_blocks", 1)
    if "depth" in values:
        arguments["num_shared_blocks"] = values["depth"]
    return arguments


def deepid_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.deepid`.

    Example:
        >>> deepid_arguments({"first_filters": 10, "region": 0})
        {'region': None, 'filters': (10, 20, 30, 40)}
    """
    arguments = own_arguments(DEEPID, values)
    if "region" in arguments:
        arguments["region"] = arguments["region"] or None
    if "first_filters" in values:
        arguments["filters"] = tuple(values["first_filters"] * layer for layer in (1, 2, 3, 4))
    return arguments


def deepface_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.deepface`.

    Example:
        >>> deepface_arguments({"first_filters": 8, "dropout": 0.5})
        {'dropout': 0.5, 'filters': (8, 4, 4, 4, 4)}
    """
    arguments = own_arguments(DEEPFACE, values)
    if "first_filters" in values:
        first = values["first_filters"]
        arguments["filters"] = (first, *(max(first // 2, 1),) * 4)
    return arguments


def cascade_depths(input_shape: Sequence[int | None]) -> tuple[int, int, int]:
    """Say how often images can be halved, and how often they should be.

    Example:
        >>> cascade_depths((8, 8, 1)), cascade_depths((28, 28, 1)), cascade_depths((224, 224, 3))
        ((1, 3, 3), (2, 4, 4), (5, 6, 7))
    """
    height, width, _ = image_shape("input_shape", input_shape)
    if height is None or width is None or min(height, width) < 2:
        raise ValueError(
            f"`input_shape` is {tuple(input_shape)}: pooling needs images of at least 2x2 pixels, "
            "and a search needs to know their size. Use 'mlp' for smaller ones."
        )
    deepest = int(math.log2(min(height, width)))
    shallow = max(1, math.ceil(math.log2(max(height, width) / 8)))
    return min(shallow, deepest), min(max(4, shallow + 1), deepest), deepest


@dataclasses.dataclass(frozen=True)
class Family:
    """The space of a family of models.

    Attributes:
        rows: What may vary.
        arguments: Turns the rows' values into builder arguments.
        depths: From the images' shape to the limits of the row `depth`; see `cascade_depths`.
    """

    rows: Space
    arguments: Callable[[Mapping[str, Any]], dict[str, Any]]
    depths: Callable[[Sequence[int | None]], tuple[int, int, int]] | None = None


FAMILIES = {
    "cascade_cnn": Family(CASCADE_CNN, cascade_cnn_arguments, cascade_depths),
    "conv_autoencoder": Family(CONV_AUTOENCODER, conv_autoencoder_arguments, cascade_depths),
    "deepface": Family(DEEPFACE, deepface_arguments),
    "deepid": Family(DEEPID, deepid_arguments),
    "dense_autoencoder": Family(DENSE_AUTOENCODER, dense_autoencoder_arguments),
    "face_cnn": Family(FACE_CNN, face_cnn_arguments, cascade_depths),
    "koch_siamese": Family(KOCH_SIAMESE, koch_siamese_arguments),
    "mlp": Family(MLP, mlp_arguments),
    "siamese_cnn": Family(SIAMESE_CNN, siamese_cnn_arguments, cascade_depths),
    "siamese_face": Family(SIAMESE_FACE, face_cnn_arguments, cascade_depths),
}


def family_of(name: str) -> Family:
    """Find the space of a registered model's family.

    Example:
        >>> family_of("mlp_tiny").rows is MLP
        True
    """
    found = entry(name)
    if found.space is not None:
        return Family(found.space, functools.partial(own_arguments, found.space))
    if found.family not in FAMILIES:
        raise ValueError(
            f"{name!r} cannot be searched: its family {found.family!r} was registered without a "
            "`space`."
        )
    return FAMILIES[found.family]
