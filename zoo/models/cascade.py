"""Cascades: convolutions of 3x3 closed by pooling, and their dense counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers
from zoo.blocks import POOLINGS, classifier_head, conv_block, dense_block
from zoo.registry import register

# What makes a vector of the last block: a layer of Keras.
HEADS = {
    "flatten": "Flatten",
    "global_average": "GlobalAveragePooling2D",
    "global_max": "GlobalMaxPooling2D",
}

VGG: dict[str, Any] = dict(
    input_shape=(224, 224, 3),
    num_classes=1000,
    filters=(64, 128, 256, 512, 512),
    dense_units=(4096, 4096),
    batch_norm=False,
    dropout=0.5,
)

CASCADES: dict[str, dict[str, Any]] = {
    "cascade_cnn_tiny": dict(
        filters=(8, 16), convs_per_block=1, head="global_average", dense_units=()
    ),
    "cascade_cnn_residual": dict(skip_connections=True, head="global_average", dense_units=()),
    "lenet5": dict(
        input_shape=(32, 32, 1),
        filters=(6, 16),
        convs_per_block=1,
        kernel_size=5,
        padding="valid",
        pooling="average",
        dense_units=(120, 84),
        activation="tanh",
        batch_norm=False,
    ),
    "vgg16": dict(**VGG, convs_per_block=(2, 2, 3, 3, 3)),
    "vgg19": dict(**VGG, convs_per_block=(2, 2, 4, 4, 4)),
}

MLPS: dict[str, dict[str, Any]] = {
    "mlp_tiny": dict(hidden_units=(32,)),
    "mlp_residual": dict(hidden_units=(128,) * 4, skip_connections=True),
}


@register(
    task="classification",
    reference="Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition, 2014, https://arxiv.org/abs/1409.1556; lenet5: LeCun et al., Gradient-Based "
    "Learning Applied to Document Recognition, 1998",
    variants=CASCADES,
)
def cascade_cnn(
    input_shape: Sequence[int | None] = (28, 28, 1),
    num_classes: int = 10,
    *,
    filters: Sequence[int] = (32, 64, 128),
    convs_per_block: int | Sequence[int] = 2,
    kernel_size: int = 3,
    strides: int = 1,
    padding: str = "same",
    pooling: str = "max",
    head: str = "flatten",
    dense_units: Sequence[int] = (128,),
    activation: Any = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    skip_connections: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    classifier_activation: Any = "softmax",
    name: str = "cascade_cnn",
) -> keras.Model:
    """Classify images by a cascade of small convolutions, closed block by block by pooling.

    Two 3x3 convolutions see 5x5 pixels, three see 7x7, with fewer weights than one large kernel
    and an activation after each: the images shrink while the filters grow.

    Args:
        input_shape: Height, width and channels of the images, float32 in [0, 1]. Height and width
            may be `None` with a global head.
        num_classes: Number of classes; 0 builds the headless model, whose output are features.
        filters: Number of filters, one entry a block.
        convs_per_block: Number of convolutions, for all blocks or one entry a block.
        kernel_size: Side of the kernels, in pixels.
        strides: Stride of each block's first convolution.
        padding: "same" or "valid".
        pooling: What closes a block: "max" or "average" over 2x2 pixels, or "stride", a
            convolution of stride 2 (Springenberg et al., 2014, https://arxiv.org/abs/1412.6806).
        head: What makes a vector of the last block: "flatten", "global_average" or "global_max".
        dense_units: Number of units, one entry a dense layer; may be empty.
        activation: Name of a Keras activation, or a callable.
        batch_norm: Normalize before each hidden activation; the biases there go.
        dropout: Rate in [0, 1) after each dense layer, or after the head where there is none.
        skip_connections: Make the blocks residual (He et al., 2015,
            https://arxiv.org/abs/1512.03385); needs "same" padding.
        kernel_initializer: How the hidden kernels begin: name of a Keras initializer, such as
            "he_normal" for ReLU in deep nets (He et al., 2015, https://arxiv.org/abs/1502.01852),
            or an initializer.
        classifier_activation: Of the last layer: "softmax", "sigmoid", or "linear" for logits.
        name: The model's name.

    Returns:
        An uncompiled Functional model from `image`, `(batch, height, width, channels)`, to
        `probabilities` (`logits` with a linear classifier), `(batch, num_classes)`, or to
        `features`, `(batch, size)`.

    Raises:
        ValueError: If an argument is illegal, or the images are too small for the blocks.

    Example:
        >>> model = cascade_cnn((28, 28, 1), 10, filters=(32, 64))
        >>> [layer.name for layer in model.layers][:4]
        ['image', 'block1_conv1', 'block1_conv1_bn', 'block1_activation1']
    """
    input_shape = check.image_shape("input_shape", input_shape)
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    filters = check.integers("filters", filters)
    convs = check.integers("convs_per_block", convs_per_block, length=len(filters))
    dense_units = check.integers("dense_units", dense_units, empty=True)
    block = dict(
        kernel_size=check.integer("kernel_size", kernel_size),
        strides=check.integer("strides", strides),
        padding=check.one_of("padding", padding, ("same", "valid")),
        pooling=check.one_of("pooling", pooling, POOLINGS),
        activation=check.activation("activation", activation),
        batch_norm=check.flag("batch_norm", batch_norm),
        skip_connection=check.flag("skip_connections", skip_connections),
        kernel_initializer=check.initializer("kernel_initializer", kernel_initializer),
    )
    check.one_of("head", head, HEADS)
    if skip_connections and padding == "valid":
        raise ValueError(
            "`skip_connections` add a block's input to its output, so the sizes must agree: "
            "received padding='valid', expected padding='same'."
        )
    if head == "flatten" and None in input_shape:
        raise ValueError(
            f"`head`='flatten' needs a fixed `input_shape`, received {tuple(input_shape)}. Give "
            "height and width, or use head='global_average' or 'global_max'."
        )

    image = x = keras.Input(input_shape, name="image")
    for index, (size, count) in enumerate(zip(filters, convs, strict=True), start=1):
        x = conv_block(x, size, convs=count, name=f"block{index}", **block)
    x = getattr(layers, HEADS[head])(name=head)(x)
    shared = {key: block[key] for key in ("activation", "batch_norm", "kernel_initializer")}
    x = _dense_layers(x, dense_units, dropout, **shared)
    return keras.Model(image, classifier_head(x, num_classes, classifier_activation), name=name)


@register(
    task="classification",
    reference="Rumelhart, Hinton and Williams, Learning Representations by Back-Propagating "
    "Errors, 1986",
    variants=MLPS,
)
def mlp(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden_units: Sequence[int] = (256, 128),
    activation: Any = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    skip_connections: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    classifier_activation: Any = "softmax",
    name: str = "mlp",
) -> keras.Model:
    """Classify examples, taken as plain vectors, by a stack of dense layers.

    Args:
        input_shape: Height, width and channels of images, float32 in [0, 1]; `(features,)` of
            vectors; or `(time, features)`.
        num_classes, activation, batch_norm, kernel_initializer, classifier_activation, name: As
            `cascade_cnn` takes them.
        hidden_units: Number of units, one entry a hidden layer.
        dropout: Rate in [0, 1) after each hidden layer.
        skip_connections: Add each hidden layer's input, projected where the widths differ, before
            its activation.

    Returns:
        An uncompiled Functional model from `image` or `features`, `(batch, *input_shape)`, to
        `probabilities` (`logits` with a linear classifier), `(batch, num_classes)`, or, headless,
        to `features` (of images) or `hidden`, `(batch, size)`.

    Raises:
        ValueError: If an argument is illegal.

    Example:
        >>> mlp((8, 8, 1), 10, hidden_units=(64, 32)).count_params()
        6858
    """
    input_shape = check.integers("input_shape", input_shape)
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    hidden_units = check.integers("hidden_units", hidden_units)
    block = dict(
        activation=check.activation("activation", activation),
        batch_norm=check.flag("batch_norm", batch_norm),
        skip_connection=check.flag("skip_connections", skip_connections),
        kernel_initializer=check.initializer("kernel_initializer", kernel_initializer),
    )
    if len(input_shape) > 3:
        raise ValueError(f"`input_shape` must have 1 to 3 sizes, received {input_shape}.")

    inputs = keras.Input(input_shape, name="image" if len(input_shape) == 3 else "features")
    x = layers.Flatten(name="flatten")(inputs)
    x = _dense_layers(x, hidden_units, dropout, **block)
    names = {} if len(input_shape) == 3 else {"features": "hidden"}  # the input has the name
    outputs = classifier_head(x, num_classes, classifier_activation, **names)
    return keras.Model(inputs, outputs, name=name)


def _dense_layers(x: Any, units: Sequence[int], dropout: float, **block: Any) -> Any:
    dropout = check.rate("dropout", dropout)
    for index, size in enumerate(units, start=1):
        x = dense_block(x, size, dropout=dropout, name=f"dense{index}", **block)
    return layers.Dropout(dropout, name="dropout")(x) if dropout and not units else x
