"""What may vary in autoencoders: the tables of both families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.layers.corruption import NOISES
from zoo.layers.penalties import SPARSITIES
from zoo.space import ACTIVATIONS, Choice, Float, Int, Space, doubling, halving, own_arguments

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


def dense_autoencoder_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.dense_autoencoder`.

    Example:
        >>> dense_autoencoder_arguments({"depth": 2, "first_units": 256, "latent_dim": 8})
        {'latent_dim': 8, 'hidden_units': (256, 128)}
    """
    arguments = own_arguments(DENSE_AUTOENCODER, values)
    if "depth" in values:
        arguments["hidden_units"] = halving(values["first_units"], values["depth"])
    return arguments


def conv_autoencoder_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into arguments of `zoo.conv_autoencoder`.

    Example:
        >>> conv_autoencoder_arguments({"depth": 3, "first_filters": 16, "latent_dim": 8})
        {'latent_dim': 8, 'filters': (16, 32, 64)}
    """
    arguments = own_arguments(CONV_AUTOENCODER, values)
    if "depth" in values:
        arguments["filters"] = doubling(values["first_filters"], values["depth"], most=64)
    return arguments
