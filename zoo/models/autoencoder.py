"""Autoencoders: an encoder down to a code, a decoder back to what it came from."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers, zoo_layers
from zoo.blocks import POOLINGS, conv_block, dense_block, doubled
from zoo.bottleneck import Bottleneck
from zoo.registry import register

DENSE: dict[str, dict[str, Any]] = {
    "dense_autoencoder_tiny": dict(latent_dim=4, hidden_units=(32,)),
    # The paper's logistic units learn only after its pretraining, layer by layer.
    "hinton_autoencoder": dict(
        latent_dim=30, hidden_units=(1000, 500, 250), activation="gelu", data_range="binary"
    ),
    "variational_autoencoder": dict(
        latent_dim=20,
        hidden_units=(500,),
        kind="variational",
        activation="tanh",
        data_range="binary",
    ),
}

CONV: dict[str, dict[str, Any]] = {
    "conv_autoencoder_tiny": dict(latent_dim=4, filters=(8,), convs_per_block=1),
    "conv_autoencoder_32": dict(input_shape=(32, 32, 3), latent_dim=128, filters=(32, 64, 128)),
}


@register(
    task="reconstruction",
    reference="Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, "
    "2006; variational_autoencoder: Kingma and Welling, Auto-Encoding Variational Bayes, 2013, "
    "https://arxiv.org/abs/1312.6114",
    variants=DENSE,
)
def dense_autoencoder(
    input_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 32,
    *,
    hidden_units: Sequence[int] = (256, 128),
    kind: str = "plain",
    noise: str = "gaussian",
    noise_level: float = 0.3,
    sparsity: str = "l1",
    penalty_weight: float = 0.1,
    beta: float = 1.0,
    tied: bool = False,
    activation: Any = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    skip_connections: bool = False,
    data_range: str = "unit",
    output_activation: str | None = None,
    linear: bool = False,
    name: str = "dense_autoencoder",
) -> keras.Model:
    """Squeeze images or vectors through a narrow code, and rebuild them, by dense layers.

    Fit it with `(x, x)`. What the kinds charge for is added to the loss by layers of the model,
    over the number of values, as Keras takes the mean of the squared error over them; so
    `penalty_weight` is in units of one example's summed squared error.

    Args:
        input_shape: Height, width and channels of images, or `(size,)` of vectors; float32.
        latent_dim: Number of values in a code.
        hidden_units: Units of each layer between input and code, in reverse between code and
            output. May be empty.
        kind: "plain"; "denoising" (inputs are damaged in training only); "sparse" (units of the
            code are charged for being active); "contractive" (codes are charged for moving with
            the inputs); "variational" (codes are drawn from distributions, which are charged for
            what they tell; logged as `kl`, in nats); "compression" (codes are rounded to integers,
            which are charged for their length; logged as `bits`).
        noise: Of the kind "denoising": "gaussian", "masking" or "salt_and_pepper".
        noise_level: Standard deviation of the Gaussian noise, or share of replaced values.
        sparsity: Of the kind "sparse": "l1", the sum of absolute values, or "kl", which wants
            sigmoid codes to be active a twentieth of the time.
        penalty_weight: Of the kinds "sparse", "contractive" and "compression": what a unit of
            their quantity (a bit) costs.
        beta: Of the kind "variational": what a nat costs. With squared error, `beta` is twice the
            variance of the pixels' noise; with `data_range="binary"`, 1 is the evidence bound.
        tied: The decoder's kernels are the encoder's, transposed. Save such a model itself: Keras
            writes `.keras` files of other models made of both its halves, but does not load them.
        activation: Name of a Keras activation, or a callable.
        batch_norm: Normalize before each hidden activation; the biases there go.
        dropout: Rate in [0, 1) after each hidden layer.
        skip_connections: Make the hidden layers residual; nothing bypasses the code.
        data_range: "unit", values in [0, 1]; "real", any values; "binary", values in [0, 1] that
            are probabilities of being 1, for which the loss is binary cross-entropy.
        output_activation: `None` follows `data_range`: sigmoid, or linear for "real".
        linear: Leave every activation out: the code then spans what principal components span.
        name: The model's name.

    Returns:
        An uncompiled Functional model from `image`, `(batch, height, width, channels)`, or
        `features`, `(batch, size)`, to `reconstruction` (`probabilities` if binary), of the same
        shape. Its layers `encoder` (to `latent`, `(batch, latent_dim)`, float32) and `decoder` are
        models of their own; `zoo.features(model, ["encoder", "decoder"])` gives both outputs.

    Raises:
        ValueError: If an argument is illegal.

    Reference:
        Hinton and Salakhutdinov, 2006; Vincent et al., 2010 (denoising, tied); Rifai et al., 2011
        (contractive); Kingma and Welling, 2013 (variational); Ballé et al., 2016 (compression).

    Example:
        >>> model = dense_autoencoder((28, 28, 1), 30, hidden_units=(1000, 500, 250))
        >>> [layer.name for layer in model.layers]
        ['image', 'encoder', 'decoder', 'reconstruction']
        >>> model.get_layer("encoder").output_shape, model.count_params()
        ((None, 30), 2837314)
    """
    hidden_units = check.integers("hidden_units", hidden_units, empty=True)
    tied = check.flag("tied", tied)
    block: dict[str, Any] = dict(
        activation=check.activation("activation", activation),
        batch_norm=check.flag("batch_norm", batch_norm),
        dropout=check.rate("dropout", dropout),
        skip_connection=check.flag("skip_connections", skip_connections),
    )
    if check.flag("linear", linear):
        if batch_norm or output_activation not in (None, "linear"):
            raise ValueError(
                "`linear` models have no activation and no batch normalization: received "
                f"batch_norm={batch_norm}, output_activation={output_activation!r}."
            )
        block["activation"] = output_activation = "linear"
    ends = Bottleneck(
        *(input_shape, latent_dim, kind, noise, noise_level, sparsity, penalty_weight, beta),
        *(data_range, output_activation),
    )

    inputs = ends.inputs()
    x = ends.prepared(inputs)
    x = layers.Flatten(name="flatten")(x) if len(inputs.shape) > 2 else x
    forth = _dense_layers(hidden_units, ends.latent_dim, batch_norm, tied)
    for layer, units in zip(forth, hidden_units, strict=False):
        x = dense_block(x, units, layer=layer, name=layer.name, **block)
    encoder = keras.Model(inputs, ends.latent(x, forth[-1]), name="encoder")

    codes = x = ends.codes()
    back = _transposed(forth if tied else [])
    for index in range(len(hidden_units), 0, -1):
        layer = next(back, None)
        x = dense_block(x, hidden_units[index - 1], layer=layer, name=f"decode{index}", **block)
    x = next(back, layers.Dense(ends.size, name="output"))(x)
    if len(inputs.shape) > 2:
        x = layers.Reshape(inputs.shape[1:], name="image_shape")(x)
    return ends.join(encoder, codes, x, name=name, tied=tied)


@register(
    task="reconstruction",
    reference="Masci et al., Stacked Convolutional Auto-Encoders for Hierarchical Feature "
    "Extraction, 2011",
    variants=CONV,
)
def conv_autoencoder(
    input_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 32,
    *,
    filters: Sequence[int] = (32, 64),
    convs_per_block: int | Sequence[int] = 2,
    kernel_size: int = 3,
    pooling: str = "max",
    kind: str = "plain",
    noise: str = "gaussian",
    noise_level: float = 0.3,
    sparsity: str = "l1",
    penalty_weight: float = 0.1,
    beta: float = 1.0,
    tied: bool = False,
    activation: Any = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    skip_connections: bool = False,
    data_range: str = "unit",
    output_activation: str | None = None,
    name: str = "conv_autoencoder",
) -> keras.Model:
    """Squeeze images through a narrow code, and rebuild them, by a cascade down and one up.

    Each block of the encoder halves the image (rounded up); the decoder doubles it and cuts off
    what is too much, so that images of any size come out as large as they went in.

    Args:
        input_shape: Height, width and channels of the images; float32.
        latent_dim: Number of values in a code.
        filters: Number of filters, one entry a block; the decoder has the same blocks in reverse.
        convs_per_block: Number of convolutions, for all blocks or one entry a block.
        kernel_size: Side of the kernels, in pixels.
        pooling: What halves the images: "max" or "average" over 2x2 pixels, or "stride", a
            convolution of stride 2.
        kind, noise, noise_level, sparsity, penalty_weight, beta, tied, activation, batch_norm,
            skip_connections, data_range, output_activation, name: As `dense_autoencoder` takes
            them; where `tied`, strided pooling has kernels of its own.
        dropout: Rate in [0, 1), below the code.

    Returns:
        An uncompiled Functional model from `image`, `(batch, height, width, channels)`, with the
        outputs and the halves that `dense_autoencoder`'s has.

    Raises:
        ValueError: If an argument is illegal.

    Example:
        >>> model = conv_autoencoder((29, 31, 3), 16, filters=(8, 16, 32))
        >>> model.output_shape, model.get_layer("encoder").output_shape
        ((None, 29, 31, 3), (None, 16))
    """
    filters = check.integers("filters", filters)
    convs = check.integers("convs_per_block", convs_per_block, length=len(filters))
    dropout = check.rate("dropout", dropout)
    kernel_size = check.integer("kernel_size", kernel_size)
    block: dict[str, Any] = dict(
        kernel_size=kernel_size,
        activation=check.activation("activation", activation),
        batch_norm=check.flag("batch_norm", batch_norm),
        skip_connection=check.flag("skip_connections", skip_connections),
    )
    tied = check.flag("tied", tied)
    check.one_of("pooling", pooling, POOLINGS)
    check.image_shape("input_shape", input_shape)
    ends = Bottleneck(
        *(input_shape, latent_dim, kind, noise, noise_level, sparsity, penalty_weight, beta),
        *(data_range, output_activation),
    )

    image = ends.inputs()
    x = ends.prepared(image)
    kernels = _tied_convs(filters, convs, kernel_size, batch_norm) if tied else []
    forth, back = iter(kernels), _transposed(kernels)
    down: dict[str, Any] = dict(pooling=pooling, pool_padding="same", conv_layers=forth)
    up: dict[str, Any] = dict(pooling=None, conv_layers=back)
    sizes = []
    for index, (width, count) in enumerate(zip(filters, convs, strict=True), start=1):
        sizes.append(x.shape[1:3])
        x = conv_block(x, width, convs=count, name=f"block{index}", **block, **down)
    smallest = x.shape[1:]
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x) if dropout else x
    code: Any = layers.Dense(ends.latent_dim, name="code")
    if tied:
        code = zoo_layers.TiedDense(
            ends.latent_dim, use_transposed_bias=not batch_norm, name="code"
        )
    encoder = keras.Model(image, ends.latent(x, code), name="encoder")

    codes = ends.codes()
    x = dense_block(
        codes,
        math.prod(smallest),
        activation=block["activation"],
        batch_norm=batch_norm,
        layer=functools.partial(code, transposed=True) if tied else None,
        name="decode_dense",
    )
    x = layers.Reshape(smallest, name="decode_shape")(x)
    for index in range(len(filters), 0, -1):
        x = doubled(x, sizes[index - 1], name=f"decode{index}")
        # The last convolution of the last block is the output's.
        width, count = filters[max(index - 2, 0)], convs[index - 1] - (index == 1)
        if count:
            x = conv_block(x, width, convs=count, name=f"decode{index}", **block, **up)
    last = layers.Conv2D(image.shape[-1], kernel_size, padding="same", name="output")
    x = next(back, last)(x)
    return ends.join(encoder, codes, x, name=name, tied=tied)


def _dense_layers(
    hidden_units: Sequence[int], latent_dim: int, batch_norm: bool, tied: bool
) -> list[keras.Layer]:
    """Make the encoder's dense layers, the code's last; batch normalization replaces biases."""
    made = []
    for index, units in enumerate((*hidden_units, latent_dim), start=1):
        is_code = index > len(hidden_units)
        name = "code" if is_code else f"dense{index}"
        # The first one's way back makes the output.
        back = dict(use_transposed_bias=index == 1 or not batch_norm) if tied else {}
        layer = zoo_layers.TiedDense if tied else layers.Dense
        made.append(layer(units, use_bias=is_code or not batch_norm, name=name, **back))
    return made


def _tied_convs(
    filters: Sequence[int], convs: Sequence[int], kernel_size: int, batch_norm: bool
) -> list[keras.Layer]:
    """Make the encoder's convolutions; batch normalization replaces biases."""
    made: list[keras.Layer] = []
    for block, (width, count) in enumerate(zip(filters, convs, strict=True), start=1):
        for index in range(1, count + 1):
            # The first one's way back makes the output.
            biases = dict(use_bias=not batch_norm, use_transposed_bias=not (batch_norm and made))
            name = f"block{block}_conv{index}"
            made.append(zoo_layers.TiedConv2D(width, kernel_size, name=name, **biases))
    return made


def _transposed(forth: Sequence[keras.Layer]) -> Iterator[Any]:
    """Give the ways back of layers, the last one's first."""
    return iter([functools.partial(layer, transposed=True) for layer in reversed(forth)])
