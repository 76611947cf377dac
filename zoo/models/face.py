"""Faces: networks whose upper layers do not share their weights over the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers, zoo_layers
from zoo.blocks import classifier_head, conv_block, dense_block
from zoo.registry import register


@register(
    task="classification",
    reference="Elsayed et al., Revisiting Spatial Invariance with Low-Rank Local Connectivity, "
    "2020, https://arxiv.org/abs/2002.02959; Taigman et al., DeepFace, 2014",
    variants={"face_cnn_tiny": dict(first_filters=8, local_filters=8, embedding_dim=16)},
)
def face_cnn(
    input_shape: Sequence[int | None] = (56, 46, 1),
    num_classes: int = 40,
    *,
    num_shared_blocks: int = 2,
    num_local_blocks: int = 1,
    first_filters: int = 32,
    local_filters: int = 64,
    sharing: str = "local",
    rank: int = 4,
    embedding_dim: int = 128,
    activation: Any = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    classifier_activation: Any = "softmax",
    name: str = "face_cnn",
) -> keras.Model:
    """Recognize faces that are aligned: what is looked for depends on where in the face it is.

    Convolutions and pooling at the bottom find edges and corners anywhere. The layers above have
    other weights at each position, mixtures of a few, or, to compare, the same everywhere.

    Args:
        input_shape: Height, width and channels of the images, float32 in [0, 1].
        num_classes: Number of people; 0 builds the headless model, whose output is the embedding.
        num_shared_blocks: Number of blocks of two 3x3 convolutions and pooling; may be 0.
        num_local_blocks: Number of 3x3 layers above them; may be 0.
        first_filters: Number of filters of the first block; each further one has twice as many.
        local_filters: Number of filters of the layers above.
        sharing: How these share their weights over the image: "local" (not at all), "low_rank" (a
            mixture of the same `rank` kernels at each position) or "shared" (a convolution).
        rank: Number of kernels that "low_rank" mixes.
        embedding_dim: Number of units of the dense layer below the classifier.
        activation, batch_norm, classifier_activation, name: As `zoo.cascade_cnn` takes them.
        dropout: Rate in [0, 1) after the embedding.

    Returns:
        An uncompiled Functional model from `image`, `(batch, height, width, channels)`, to
        `probabilities` (`logits` with a linear classifier), `(batch, num_classes)`, or to
        `features` of length 1, `(batch, embedding_dim)`.

    Raises:
        ValueError: If an argument is illegal, or the images are too small for the blocks.

    Example:
        >>> for sharing in ("local", "low_rank", "shared"):
        ...     print(sharing, face_cnn((32, 32, 1), 10, sharing=sharing).count_params())
        local 2951210
        low_rank 739434
        shared 628778
    """
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    num_shared_blocks = check.integer("num_shared_blocks", num_shared_blocks, minimum=0, maximum=16)
    num_local_blocks = check.integer("num_local_blocks", num_local_blocks, minimum=0)
    first_filters = check.integer("first_filters", first_filters)
    local_filters = check.integer("local_filters", local_filters)
    sharings = {
        "local": zoo_layers.LocallyConnected2D,
        "low_rank": zoo_layers.LowRankLocallyConnected2D,
        "shared": layers.Conv2D,
    }
    layer = sharings[check.one_of("sharing", sharing, sharings)]
    rank = check.integer("rank", rank)
    embedding_dim = check.integer("embedding_dim", embedding_dim)
    options = dict(
        activation=check.activation("activation", activation),
        batch_norm=check.flag("batch_norm", batch_norm),
    )
    dropout = check.rate("dropout", dropout)

    image = x = fixed_image(input_shape, 2**num_shared_blocks)
    for block in range(num_shared_blocks):
        x = conv_block(x, first_filters << block, name=f"shared{block + 1}", **options)
    mixture = dict(rank=rank) if sharing == "low_rank" else {}
    for block in range(num_local_blocks):
        prefix = f"local{block + 1}"
        local = layer(
            local_filters, 3, padding="same", use_bias=not batch_norm, name=prefix, **mixture
        )
        x = dense_block(x, local_filters, layer=local, name=prefix, **options)
    x = layers.Flatten(name="flatten")(x)
    x = dense_block(x, embedding_dim, dropout=dropout, name="embedding", **options)
    x = x if num_classes else _normalized(x)
    return keras.Model(image, classifier_head(x, num_classes, classifier_activation), name=name)


@register(
    task="classification",
    reference="Taigman et al., DeepFace: Closing the Gap to Human-Level Performance in Face "
    "Verification, 2014",
    variants={
        "deepface_tiny": dict(
            input_shape=(72, 72, 3), num_classes=40, filters=(8, 4, 4, 4, 4), embedding_dim=32
        )
    },
)
def deepface(
    input_shape: Sequence[int | None] = (152, 152, 3),
    num_classes: int = 4030,
    *,
    filters: Sequence[int] = (32, 16, 16, 16, 16),
    embedding_dim: int = 4096,
    activation: Any = "relu",
    dropout: float = 0.5,
    classifier_activation: Any = "softmax",
    name: str = "deepface",
) -> keras.Model:
    """Recognize frontal, aligned faces as DeepFace does: three layers without shared weights.

    The layers have the paper's names and sizes: C1 and C3 are convolutions, M2 pools, L4, L5 and L6
    are locally connected, F7 and F8 dense. Their weights are 118,923,774 by default; the paper says
    "more than 120 million".

    The paper divides each component of the F7 representation by its largest value over the
    training images before it scales the vector to length 1; `features` are only scaled to length 1.

    Args:
        input_shape: Height and width, at least 71, and channels of the images, float32 in [0, 1].
        num_classes: Number of people; 0 gives the F7 representation in their place.
        filters: Number of filters of C1, C3, L4, L5 and L6.
        embedding_dim: Number of units of F7.
        activation, dropout, classifier_activation, name: As `face_cnn` takes them.

    Returns:
        As `face_cnn` does.

    Raises:
        ValueError: If an argument is illegal, or the images are too small.

    Example:
        >>> model = deepface((72, 72, 3), 10, filters=(4,) * 5, embedding_dim=32)
        >>> [layer.name for layer in model.layers if layer.weights]
        ['C1', 'C3', 'L4', 'L5', 'L6', 'F7', 'F8']
    """
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    c1, c3, l4, l5, l6 = check.integers("filters", filters, length=5)
    embedding_dim = check.integer("embedding_dim", embedding_dim)
    activation = check.activation("activation", activation)
    dropout = check.rate("dropout", dropout)

    image = x = fixed_image(input_shape, 71)
    x = layers.Conv2D(c1, 11, activation=activation, name="C1")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="M2")(x)
    x = layers.Conv2D(c3, 9, activation=activation, name="C3")(x)
    x = zoo_layers.LocallyConnected2D(l4, 9, activation=activation, name="L4")(x)
    x = zoo_layers.LocallyConnected2D(l5, 7, strides=2, activation=activation, name="L5")(x)
    x = zoo_layers.LocallyConnected2D(l6, 5, activation=activation, name="L6")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(embedding_dim, activation=activation, name="F7")(x)
    x = layers.Dropout(dropout, name="F7_dropout")(x)
    x = x if num_classes else _normalized(x)
    x = classifier_head(x, num_classes, classifier_activation, name="F8")
    return keras.Model(image, x, name=name)


@register(
    task="classification",
    reference="Sun, Wang and Tang, Deep Learning Face Representation from Predicting 10,000 "
    "Classes, 2014; deepid2: Sun et al., Deep Learning Face Representation by Joint "
    "Identification-Verification, 2014, https://arxiv.org/abs/1406.4773",
    variants={
        "deepid2": dict(num_classes=8192, region=2),
        "deepid_tiny": dict(num_classes=40, filters=(8, 8, 8, 8), embedding_dim=16),
    },
)
def deepid(
    input_shape: Sequence[int | None] = (55, 47, 3),
    num_classes: int = 10177,
    *,
    filters: Sequence[int] = (20, 40, 60, 80),
    region: int | None = None,
    embedding_dim: int = 160,
    activation: Any = "relu",
    dropout: float = 0.0,
    classifier_activation: Any = "softmax",
    name: str = "deepid",
) -> keras.Model:
    """Recognize faces by the few features that tell thousands of people apart, as DeepID does.

    Three convolutions of 4x4, 3x3 and 3x3, each with 2x2 pooling, then a 2x2 layer without shared
    weights. The features see both this layer and the pooling below it, so that they are made of
    coarse and of finer parts.

    Args:
        input_shape: Height and width, at least 31, and channels of the images, float32 in [0, 1].
        num_classes: Number of people; 0 builds the headless model, whose output are the features.
        filters: Number of filters of the three convolutions and of the layer above them.
        region: Height and width of the neighbourhoods of positions in which the third convolution
            shares its weights: 2 in DeepID2; `None` shares them everywhere.
        embedding_dim: Number of features.
        activation, dropout, classifier_activation, name: As `face_cnn` takes them.

    Returns:
        As `face_cnn` does, but `features` are not normalized.

    Raises:
        ValueError: If an argument is illegal, or the images are too small.

    Example:
        >>> deepid(num_classes=0).output_shape
        (None, 160)
        >>> deepid(num_classes=0, region=2).get_layer("conv3").kernel.shape  # of 10x8 positions
        TensorShape([5, 4, 360, 60])
    """
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    conv1, conv2, conv3, conv4 = check.integers("filters", filters, length=4)
    region = None if region is None else check.integer("region", region)
    embedding_dim = check.integer("embedding_dim", embedding_dim)
    activation = check.activation("activation", activation)
    dropout = check.rate("dropout", dropout)

    third = layers.Conv2D(conv3, 3, activation=activation, name="conv3")
    if region is not None:
        third = zoo_layers.LocallyConnected2D(
            conv3, 3, activation=activation, region=region, name="conv3"
        )
    image = x = fixed_image(input_shape, 31)
    x = layers.Conv2D(conv1, 4, activation=activation, name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(conv2, 3, activation=activation, name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    fine = layers.MaxPooling2D(2, name="pool3")(third(x))
    coarse = zoo_layers.LocallyConnected2D(conv4, 2, activation=activation, name="conv4")(fine)
    parts = {"flatten_pool3": fine, "flatten_conv4": coarse}
    flat = [layers.Flatten(name=part_name)(part) for part_name, part in parts.items()]
    x = layers.Concatenate(name="join")(flat)
    x = layers.Dense(embedding_dim, activation=activation, name="embedding")(x)
    x = layers.Dropout(dropout, name="embedding_dropout")(x)
    return keras.Model(image, classifier_head(x, num_classes, classifier_activation), name=name)


def fixed_image(
    input_shape: Sequence[int | None], smallest: int, otherwise: str = "build another model"
) -> Any:
    """Make the input of a model whose weights depend on the position."""
    shape = check.image_shape("input_shape", input_shape)
    if any(side is None or side < smallest for side in shape[:2]):
        raise ValueError(
            f"`input_shape` must have a fixed height and width of at least {smallest} pixels, "
            f"received {shape}. Resize the images, or {otherwise}."
        )
    return keras.Input(shape, name="image")


def _normalized(x: Any) -> Any:
    return layers.UnitNormalization(dtype="float32", name="normalized")(x)  # length 1
