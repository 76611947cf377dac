"""What may vary in each family of models: a table of rows, and how they become arguments."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.arguments import image_shape
from zoo.layers.corruption import NOISES
from zoo.layers.penalties import SPARSITIES
from zoo.models.comparing import HEADS
from zoo.models.recurrent import CELLS
from zoo.registry import entry
from zoo.space import ACTIVATIONS, Choice, Float, Int, Space, doubling, halving, own_arguments

MAX_PARAMETERS = 3_000_000
"""No draw from the tables below but Koch's is larger, for images of 32x32x3, or sequences of 96
features, and 10 classes."""

# What the hidden layers of several families have.
HIDDEN: Space = {
    "activation": Choice(ACTIVATIONS),
    "batch_norm": Choice((True, False)),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True)),
}

# The defaults are the builder's own. `depth` is narrowed to what the images' size allows.
CASCADE_CNN: Space = {
    "depth": Int(1, 4, default=3, argument="filters"),
    "first_filters": Int(8, 32, step=2, sampling="log", default=32, argument="filters"),
    "convs_per_block": Int(1, 2, default=2),
    "kernel_size": Choice((3, 5)),
    "pooling": Choice(("max", "average", "stride")),
    "head": Choice(("flatten", "global_average", "global_max")),
    "dense_units": Choice((0, 64, 128, 256), default=128),
    **HIDDEN,
}

MLP: Space = {
    "depth": Int(1, 4, default=2, argument="hidden_units"),
    "first_units": Int(32, 256, step=2, sampling="log", default=256, argument="hidden_units"),
    **HIDDEN,
}

RECURRENT_CLASSIFIER: Space = {
    "cell": Choice(tuple(CELLS)),
    "units": Int(16, 256, step=2, sampling="log", default=128),
    "num_layers": Int(1, 2),
    "bidirectional": Choice((False, True)),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True), when=("num_layers", (2, 3, 4))),
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

# What both autoencoders have. `compression` is left out: its quality has a price of its own.
CODE: Space = {
    "latent_dim": Int(2, 128, step=2, sampling="log", default=32),
    "kind": Choice(("plain", "denoising", "sparse", "contractive", "variational")),
    "noise": Choice(NOISES, when=("kind", ("denoising",))),
    "noise_level": Float(0.05, 0.5, default=0.3, when=("kind", ("denoising",))),
    "sparsity": Choice(SPARSITIES, when=("kind", ("sparse",))),
    "penalty_weight": Float(
        1e-3, 1.0, sampling="log", default=0.1, when=("kind", ("sparse", "contractive"))
    ),
    "beta": Float(1e-3, 4.0, sampling="log", default=1.0, when=("kind", ("variational",))),
    "tied": Choice((False, True)),
    "activation": Choice(ACTIVATIONS),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True)),
}

DENSE_AUTOENCODER: Space = {
    "depth": Int(1, 3, default=2, argument="hidden_units"),
    "first_units": Int(64, 256, step=2, sampling="log", default=256, argument="hidden_units"),
    "batch_norm": Choice((False, True)),
    **CODE,
}

CONV_AUTOENCODER: Space = {
    "depth": Int(1, 4, default=2, argument="filters"),
    "first_filters": Int(8, 32, step=2, sampling="log", default=32, argument="filters"),
    "convs_per_block": Int(1, 2, default=2),
    "kernel_size": Choice((3, 5)),
    "pooling": Choice(("max", "average", "stride")),
    "batch_norm": Choice((True, False)),
    **CODE,
}

# Whichever way it is trained, a model is judged alike, so the heads can be compared.
HEAD: Space = {
    "head": Choice(HEADS),
    "metric": Choice(("euclidean", "cosine"), when=("head", ("distance",))),
}

SIAMESE_CNN: Space = {
    **HEAD,
    "depth": Int(1, 4, default=4, argument="filters"),
    "first_filters": Int(8, 64, step=2, sampling="log", default=32, argument="filters"),
    "convs_per_block": Int(1, 2, default=1),
    "kernel_size": Choice((3, 5)),
    "pooling": Choice(("max", "average", "stride")),
    "trunk_head": Choice(("global_average", "global_max", "flatten")),
    "embedding_dim": Choice((0, 32, 64, 128)),
    **HIDDEN,
}

# The paper's network is the largest: 39 million weights at its 105x105 pixels, and 2.3 million at
# 65x65, the smallest that its kernels take.
KOCH_SIAMESE: Space = {
    "head": Choice(HEADS, default="logistic"),
    "first_filters": Int(16, 64, step=2, sampling="log", default=64, argument="filters"),
    "embedding_dim": Choice((128, 512, 1024, 4096), default=4096),
    "activation": Choice(ACTIVATIONS),
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

Values = Mapping[str, Any]


def _units(values: Values) -> dict[str, Any]:
    if "depth" not in values:
        return {}
    return {"hidden_units": halving(values["first_units"], values["depth"])}


def _filters(values: Values, *, most: int) -> dict[str, Any]:
    if "depth" not in values:
        return {}
    return {"filters": doubling(values["first_filters"], values["depth"], most)}


def _multiples(values: Values, *, times: Sequence[int]) -> dict[str, Any]:
    if "first_filters" not in values:
        return {}
    return {"filters": tuple(values["first_filters"] * factor for factor in times)}


def _cascade_cnn(values: Values) -> dict[str, Any]:
    arguments = _filters(values, most=128)
    if "dense_units" in values:
        arguments["dense_units"] = (values["dense_units"],) if values["dense_units"] else ()
    return arguments


def _siamese_cnn(values: Values) -> dict[str, Any]:
    halvings = (values.get("convs_per_block", 1) > 1) + (values.get("kernel_size", 3) > 3)
    return _filters(values, most=256 >> halvings)


def _face_cnn(values: Values) -> dict[str, Any]:
    arguments = {}
    if "local_filters" in values:
        arguments["local_filters"] = values["local_filters"] // values.get("num_local_blocks", 1)
    if "depth" in values:
        arguments["num_shared_blocks"] = values["depth"]
    return arguments


def _deepid(values: Values) -> dict[str, Any]:
    arguments = _multiples(values, times=(1, 2, 3, 4))
    return {**arguments, "region": values["region"] or None} if "region" in values else arguments


def _deepface(values: Values) -> dict[str, Any]:
    if "first_filters" not in values:
        return {}
    first = values["first_filters"]
    return {"filters": (first, *(max(first // 2, 1),) * 4)}


def cascade_depths(input_shape: Sequence[int | None]) -> tuple[int, int, int]:
    """Say how often images should be halved, at least and at most, and how often they can be."""
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
    """The space of a family of models."""

    rows: Space
    # Makes builder arguments of the values that are none by themselves.
    derived: Callable[[Values], dict[str, Any]] | None = None
    # From the images' shape to the limits of the row `depth`; see `cascade_depths`.
    depths: Callable[[Sequence[int | None]], tuple[int, int, int]] | None = None

    def arguments(self, values: Values) -> dict[str, Any]:
        """Turn values of rows into builder arguments.

        Example:
            >>> FAMILIES["face_cnn"].arguments({"num_local_blocks": 2, "local_filters": 64})
            {'num_local_blocks': 2, 'local_filters': 32}
        """
        derived = self.derived(values) if self.derived else {}
        return {**own_arguments(self.rows, values), **derived}


FAMILIES = {
    "cascade_cnn": Family(CASCADE_CNN, _cascade_cnn, cascade_depths),
    "conv_autoencoder": Family(
        CONV_AUTOENCODER, functools.partial(_filters, most=64), cascade_depths
    ),
    "deepface": Family(DEEPFACE, _deepface),
    "deepid": Family(DEEPID, _deepid),
    "dense_autoencoder": Family(DENSE_AUTOENCODER, _units),
    "face_cnn": Family(FACE_CNN, _face_cnn, cascade_depths),
    "koch_siamese": Family(KOCH_SIAMESE, functools.partial(_multiples, times=(1, 2, 2, 4))),
    "mlp": Family(MLP, _units),
    "recurrent_classifier": Family(RECURRENT_CLASSIFIER),
    "siamese_cnn": Family(SIAMESE_CNN, _siamese_cnn, cascade_depths),
    "siamese_face": Family(SIAMESE_FACE, _face_cnn, cascade_depths),
}


def family_of(name: str) -> Family:
    """Find the space of a registered model's family."""
    found = entry(name)
    if found.space is not None:
        return Family(found.space)
    if found.family not in FAMILIES:
        raise ValueError(f"{name!r} cannot be searched: {found.family!r} has no `space`.")
    return FAMILIES[found.family]
