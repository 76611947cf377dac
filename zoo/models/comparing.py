"""Siamese families: a cascade, Koch's network and a face network under both images of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers
from zoo.models.cascade import HEADS as TRUNK_HEADS
from zoo.models.cascade import cascade_cnn
from zoo.models.face import face_cnn, fixed_image
from zoo.models.siamese import embedding, siamese
from zoo.registry import register

HEADS = ("distance", "logistic", "embedding", "proxies")


@register(
    task="verification",
    reference="Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant "
    "Mapping, 2006; Vinyals et al., Matching Networks, 2016, https://arxiv.org/abs/1606.04080 "
    "(the trunk)",
    variants={"siamese_cnn_tiny": dict(filters=(8, 16), embedding_dim=16)},
)
def siamese_cnn(
    input_shape: Sequence[int | None] = (28, 28, 1),
    num_classes: int = 0,
    *,
    head: str = "distance",
    metric: str = "euclidean",
    normalize: bool = True,
    shared_layers: int | None = None,
    filters: Sequence[int] = (32, 64, 128, 256),
    convs_per_block: int | Sequence[int] = 1,
    kernel_size: int = 3,
    pooling: str = "max",
    trunk_head: str = "global_average",
    embedding_dim: int = 0,
    activation: Any = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    skip_connections: bool = False,
    name: str = "siamese_cnn",
) -> keras.Model:
    """Tell whether two images show the same, by a cascade of small convolutions under both.

    Args:
        input_shape: Height, width and channels of the images, float32 in [0, 1].
        num_classes: Number of classes to train with, which the head "proxies" alone needs.
        head: What the model gives, and with it what `zoo.tasks.VerificationTask` trains it by:
            "distance" (contrastive loss on pairs), "logistic" (cross-entropy on pairs), "embedding"
            (triplets of a batch of some classes) or "proxies" (normalized softmax).
        metric: Of the head "distance": "euclidean", "manhattan" or "cosine".
        normalize: Bring embeddings to length 1; the heads "embedding" and "proxies" always do.
        shared_layers: As `zoo.siamese` takes it, for the heads "distance" and "logistic".
        filters, convs_per_block, kernel_size, pooling, activation, batch_norm, dropout,
            skip_connections: As `zoo.cascade_cnn` takes them.
        trunk_head: Makes a vector of the last block: "flatten", "global_average" or "global_max".
        embedding_dim: Number of units of a linear layer above; 0 takes the vector as it is.
        name: The model's name.

    Returns:
        An uncompiled Functional model: from `left` and `right` to `distance` or `probabilities`,
        (batch, 1); or from `image` to `embedding`, (batch, embedding_dim), or `cosines`, (batch,
        num_classes). `zoo.sides` takes each apart.

    Raises:
        ValueError: If an argument is illegal, or the images are too small for the blocks.

    Example:
        >>> siamese_cnn((32, 32, 3), head="logistic").output_names
        ['probabilities']
        >>> siamese_cnn((32, 32, 3), 100, head="proxies").output_shape
        (None, 100)
    """
    check.one_of("trunk_head", trunk_head, TRUNK_HEADS)
    trunk = cascade_cnn(
        input_shape,
        0,
        filters=filters,
        convs_per_block=convs_per_block,
        kernel_size=kernel_size,
        pooling=pooling,
        head=trunk_head,
        dense_units=(),
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        skip_connections=skip_connections,
        name="trunk",
    )
    if check.integer("embedding_dim", embedding_dim, minimum=0):
        outputs = layers.Dense(embedding_dim, name="projection")(trunk.output)
        trunk = keras.Model(trunk.input, outputs, name="trunk")
    return _headed(trunk, num_classes, head, metric, normalize, shared_layers, name)


@register(
    task="verification",
    reference="Koch, Zemel and Salakhutdinov, Siamese Neural Networks for One-shot Image "
    "Recognition, 2015",
    variants={
        "koch_siamese_tiny": dict(
            input_shape=(28, 28, 1), filters=(8,) * 4, kernel_sizes=(4, 3, 2, 2), embedding_dim=32
        )
    },
)
def koch_siamese(
    input_shape: Sequence[int | None] = (105, 105, 1),
    num_classes: int = 0,
    *,
    head: str = "logistic",
    normalize: bool = False,
    filters: Sequence[int] = (64, 128, 128, 256),
    kernel_sizes: Sequence[int] = (10, 7, 4, 4),
    embedding_dim: int = 4096,
    activation: Any = "relu",
    embedding_activation: Any = "sigmoid",
    name: str = "koch_siamese",
) -> keras.Model:
    """Tell whether two drawings are of one character, as Koch's network does.

    Four convolutions without padding, the first three with 2x2 pooling, then a layer of sigmoids; a
    weighted sum of the absolute differences of both sides gives the probability. The weights, by
    default the paper's 38,951,745, begin as Keras's do, not by the paper's normal distributions.

    Args:
        input_shape: Height, width and channels of the images, float32 in [0, 1].
        num_classes, head, normalize, name: As `siamese_cnn` takes them.
        filters, kernel_sizes: Number of filters, and side of the kernels, of each convolution.
        embedding_dim: Number of units of the layer above.
        activation: Of the convolutions: name of a Keras activation, or a callable.
        embedding_activation: Of the layer above.

    Returns:
        As `siamese_cnn` does.

    Raises:
        ValueError: If an argument is illegal, or the images are too small.

    Example:
        >>> koch_siamese().count_params()
        38951745
    """
    filters = check.integers("filters", filters, length=4)
    kernel_sizes = check.integers("kernel_sizes", kernel_sizes, length=4)
    embedding_dim = check.integer("embedding_dim", embedding_dim)
    activation = check.activation("activation", activation)
    embedding_activation = check.activation("embedding_activation", embedding_activation)
    image = x = fixed_image(input_shape, _smallest_side(kernel_sizes), "choose smaller kernels")
    for number, (count, size) in enumerate(zip(filters, kernel_sizes, strict=True), start=1):
        x = layers.Conv2D(count, size, activation=activation, name=f"conv{number}")(x)
        if number < 4:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(embedding_dim, activation=embedding_activation, name="units")(x)
    trunk = keras.Model(image, x, name="trunk")
    return _headed(trunk, num_classes, head, "euclidean", normalize, None, name)


@register(
    task="verification",
    reference="Chopra, Hadsell and LeCun, Learning a Similarity Metric Discriminatively, with "
    "Application to Face Verification, 2005; Taigman et al., DeepFace, 2014 (the siamese network)",
    variants={"siamese_face_tiny": dict(first_filters=8, local_filters=8, embedding_dim=16)},
)
def siamese_face(
    input_shape: Sequence[int | None] = (56, 46, 1),
    num_classes: int = 0,
    *,
    head: str = "distance",
    metric: str = "euclidean",
    shared_layers: int | None = None,
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
    name: str = "siamese_face",
) -> keras.Model:
    """Tell whether two aligned faces are of one person, by a `face_cnn` under both.

    Args:
        input_shape: Height, width and channels of the images, float32 in [0, 1].
        num_classes, head, metric, shared_layers, name: As `siamese_cnn` takes them.
        num_shared_blocks, num_local_blocks, first_filters, local_filters, sharing, rank,
            embedding_dim, activation, batch_norm, dropout: As `zoo.face_cnn` takes them.

    Returns:
        As `siamese_cnn` does.

    Raises:
        ValueError: If an argument is illegal, or the images are too small.

    Example:
        >>> siamese_face((32, 32, 1), head="embedding").output_shape
        (None, 128)
    """
    trunk = face_cnn(
        input_shape,
        0,
        num_shared_blocks=num_shared_blocks,
        num_local_blocks=num_local_blocks,
        first_filters=first_filters,
        local_filters=local_filters,
        sharing=sharing,
        rank=rank,
        embedding_dim=embedding_dim,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        name="trunk",
    )
    return _headed(trunk, num_classes, head, metric, True, shared_layers, name)


def _headed(
    trunk: keras.Model,
    num_classes: int,
    head: str,
    metric: str,
    normalize: bool,
    shared_layers: int | None,
    name: str,
) -> keras.Model:
    """Put a head on a trunk."""
    if check.one_of("head", head, HEADS) in ("embedding", "proxies"):
        if shared_layers is not None:
            raise ValueError(
                f"`shared_layers`={shared_layers!r} is for the heads 'distance' and 'logistic', "
                f"which have two sides; received head={head!r}."
            )
        classes = 0 if head == "embedding" else check.integer("num_classes", num_classes, minimum=2)
        return embedding(trunk, num_classes=classes, name=name)
    return siamese(
        trunk, head=head, metric=metric, normalize=normalize, shared_layers=shared_layers, name=name
    )


def _smallest_side(kernel_sizes: Sequence[int]) -> int:
    """Give the side that leaves one pixel above convolutions with 2x2 pooling between."""
    *lower, side = kernel_sizes
    for size in reversed(lower):
        side = 2 * side + size - 1
    return side
