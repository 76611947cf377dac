"""What may vary in siamese networks, and in how they are trained to verify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.losses import MININGS
from zoo.models.comparing import HEADS
from zoo.space import ACTIVATIONS, Choice, Float, Int, Space, doubling, own_arguments

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
    "activation": Choice(ACTIVATIONS),
    "batch_norm": Choice((True, False)),
    "dropout": Float(0.0, 0.5),
    "skip_connections": Choice((False, True)),
}

# The paper's network is the largest: 39 million weights at its 105x105 pixels, and 2.3 million at
# 65x65, the smallest that its kernels take.
KOCH_SIAMESE: Space = {
    "head": Choice(HEADS, default="logistic"),
    "first_filters": Int(16, 64, step=2, sampling="log", default=64, argument="filters"),
    "embedding_dim": Choice((128, 512, 1024, 4096), default=4096),
    "activation": Choice(ACTIVATIONS),
}

# Of `zoo.tasks.VerificationTask`. A good margin depends on the loss, so each has a row.
VERIFICATION: Space = {
    "pair_margin": Float(0.2, 1.5, default=1.0, argument="margin", when=("head", ("distance",))),
    "triplet_margin": Float(
        0.05, 1.0, sampling="log", default=0.2, argument="margin", when=("head", ("embedding",))
    ),
    "proxy_margin": Float(0.0, 0.5, argument="margin", when=("head", ("proxies",))),
    "mining": Choice(MININGS, default="semi_hard", when=("head", ("embedding",))),
    "examples": Int(2, 8, step=2, sampling="log", default=4, when=("head", ("embedding",))),
    "scale": Float(8.0, 64.0, sampling="log", default=16.0, when=("head", ("proxies",))),
}


def siamese_cnn_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.siamese_cnn`.

    Example:
        >>> siamese_cnn_arguments({"depth": 3, "first_filters": 16, "head": "proxies"})
        {'head': 'proxies', 'filters': (16, 32, 64)}
    """
    arguments = own_arguments(SIAMESE_CNN, values)
    if "depth" in values:
        halvings = (values.get("convs_per_block", 1) > 1) + (values.get("kernel_size", 3) > 3)
        most = 256 >> halvings
        arguments["filters"] = doubling(values["first_filters"], values["depth"], most)
    return arguments


def koch_siamese_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.koch_siamese`.

    Example:
        >>> koch_siamese_arguments({"first_filters": 16, "embedding_dim": 512})
        {'embedding_dim': 512, 'filters': (16, 32, 32, 64)}
    """
    arguments = own_arguments(KOCH_SIAMESE, values)
    if "first_filters" in values:
        arguments["filters"] = tuple(values["first_filters"] * times for times in (1, 2, 2, 4))
    return arguments


def verification_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.tasks.VerificationTask`.

    Example:
        >>> verification_arguments({"triplet_margin": 0.1, "mining": "batch_hard", "depth": 3})
        {'mining': 'batch_hard', 'margin': 0.1}
    """
    drawn = {name: values[name] for name in VERIFICATION if name in values}
    arguments = own_arguments(VERIFICATION, drawn)
    margins = [drawn[name] for name in drawn if VERIFICATION[name].argument == "margin"]
    return {**arguments, **({"margin": margins[0]} if margins else {})}
