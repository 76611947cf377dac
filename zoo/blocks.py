"""The blocks that models are made of: a tensor and a few arguments in, a tensor out.

Arguments come checked (see `zoo.arguments`); only what depends on the tensor's size is checked
here. Every layer's name begins with the block's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import layers, zoo_layers

POOLINGS = ("max", "average", "stride")

# Of the moving statistics. Keras's default of 0.99 needs some 500 steps before a model predicts as
# well as it trains: more than a short training, or a trial of a search, has.
MOMENTUM = 0.9


def dense_block(
    x: Any,
    units: int,
    *,
    activation: Any = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    skip_connection: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    layer: Any = None,
    name: str,
) -> Any:
    """Apply a dense layer, or another one, batch normalization, the activation and dropout."""
    shortcut, options = x, {"kernel_initializer": kernel_initializer, "use_bias": not batch_norm}
    x = (layer or layers.Dense(units, name=name, **options))(x)
    x = _batch_norm(x, name) if batch_norm else x
    if skip_connection:
        if shortcut.shape[-1] != units:
            shortcut = layers.Dense(units, use_bias=False, name=f"{name}_shortcut")(shortcut)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = layers.Activation(activation, name=f"{name}_activation")(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x


def classifier_head(
    x: Any,
    num_classes: int,
    activation: Any,
    *,
    name: str = "classifier",
    features: str = "features",
) -> Any:
    """Close a model; its output is float32 whatever the layers below compute in."""
    activation = getattr(activation, "__name__", activation)
    check.one_of("classifier_activation", activation, ("softmax", "sigmoid", "linear"))
    if num_classes == 0:
        return layers.Activation("linear", dtype="float32", name=features)(x)
    if num_classes == 1 and activation == "softmax":
        raise ValueError(
            "`num_classes`=1 with softmax always gives 1: give at least 2 classes, or "
            "classifier_activation='sigmoid', or num_classes=0 for features."
        )
    x = layers.Dense(num_classes, name=name)(x)
    output = "logits" if activation == "linear" else "probabilities"
    return layers.Activation(activation, dtype="float32", name=output)(x)


def conv_block(
    x: Any,
    filters: int,
    *,
    convs: int = 2,
    kernel_size: int = 3,
    strides: int = 1,
    padding: str = "same",
    pooling: str | None = "max",
    pool_padding: str = "valid",
    activation: Any = "relu",
    batch_norm: bool = True,
    skip_connection: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    conv_layers: Iterator[Any] | None = None,
    name: str,
) -> Any:
    """Apply some convolutions, each with batch normalization and activation, then pool."""
    shortcut = x
    for index in range(1, convs + 1):
        stride = strides if index == 1 else 1
        layer = next(conv_layers, None) if conv_layers else None
        x = _convolution(
            x,
            filters,
            kernel_size,
            stride,
            padding,
            batch_norm,
            f"{name}_conv{index}",
            layer,
            kernel_initializer,
        )
        if index == convs and skip_connection:
            if strides > 1 or shortcut.shape[-1] != filters:
                shortcut = _convolution(
                    shortcut, filters, 1, strides, "same", batch_norm, f"{name}_shortcut"
                )
            x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.Activation(activation, name=f"{name}_activation{index}")(x)
    if pooling and pool_padding == "valid":
        _require_size(x, 2, f"the pooling that closes {name}")
    if pooling == "stride":
        x = _convolution(x, filters, kernel_size, 2, "same", batch_norm, f"{name}_pool")
        return layers.Activation(activation, name=f"{name}_pool_activation")(x)
    if pooling:
        layer = layers.MaxPooling2D if pooling == "max" else layers.AveragePooling2D
        x = layer(2, padding=pool_padding, name=f"{name}_pool")(x)
    return x


def doubled(x: Any, size: Sequence[int], *, name: str) -> Any:
    """Double the height and width of images, and cut off what exceeds a size."""
    x = layers.UpSampling2D(2, name=f"{name}_up")(x)
    excess = [have - want for have, want in zip(x.shape[1:3], size, strict=True)]
    if any(excess):
        x = layers.Cropping2D([(0, rows) for rows in excess], name=f"{name}_crop")(x)
    return x


def _convolution(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    padding: str,
    batch_norm: bool,
    name: str,
    layer: Any = None,
    kernel_initializer: Any = "glorot_uniform",
) -> Any:
    if padding == "valid":
        _require_size(x, kernel_size, f"a {kernel_size}x{kernel_size} kernel with valid padding")
    layer = layer or layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=not batch_norm,
        kernel_initializer=kernel_initializer,
        name=name,
    )
    return _batch_norm(layer(x), name) if batch_norm else layer(x)


def _batch_norm(x: Any, name: str) -> Any:
    return zoo_layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn")(x)


def _require_size(x: Any, size: int, what: str) -> None:
    if any(side is not None and side < size for side in x.shape[1:3]):
        raise ValueError(
            f"`input_shape` is too small: {x.shape[1]}x{x.shape[2]} pixels are left for {what}, "
            f"which needs {size}x{size}. Give larger images, fewer `filters` entries, or smaller "
            "`strides` or `kernel_size`."
        )
