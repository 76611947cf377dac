"""Siamese networks: one trunk, shared by both images of a pair."""

from __future__ import annotations

import math
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers, zoo_layers
from zoo.transfer import layer_outputs

HEADS = ("distance", "logistic")

# How far apart two values of an activation can be.
SPANS = {"sigmoid": 1.0, "hard_sigmoid": 1.0, "tanh": 2.0, "softsign": 2.0}


def siamese(
    trunk: keras.Model,
    *,
    head: str = "distance",
    metric: str = "euclidean",
    normalize: bool = False,
    shared_layers: int | None = None,
    name: str = "siamese",
) -> keras.Model:
    """Compare two images, or any two things, by one trunk that both go through.

    Both batches go through the trunk as one, so that it runs once and its batch normalization sees
    both. Its weights are those of the model that is given, which goes on to have them.

    Args:
        trunk: A Functional or built Sequential model from one input to embeddings, `(batch,
            embedding_dim)`, such as a model of this package with `num_classes=0`.
        head: "distance", which `zoo.losses.Contrastive` trains; or "logistic", a weighted sum of
            the absolute differences through a sigmoid, which binary cross-entropy trains.
        metric: Of the head "distance": "euclidean", "manhattan" or "cosine".
        normalize: Bring embeddings to length 1 first.
        shared_layers: How many of the trunk's layers, from the bottom and the input not counted,
            both images share; `None` shares all. The layers above, which may not reach back below
            the last shared one, are each side's own, the right ones a copy with the same weights.
        name: The model's name.

    Returns:
        An uncompiled Functional model from `left` and `right` to `distance`, `(batch, 1)`, or to
        `probabilities` of being the same, `(batch, 1)`; float32. The shared layers are its layer
        `trunk`, a model of its own; those that are not are `left_branch` and `right_branch`.

    Raises:
        ValueError: If an argument is illegal, the trunk is of another form or ends in class
            probabilities, or the layers cannot be parted there.

    Reference:
        Bromley et al., Signature Verification using a "Siamese" Time Delay Neural Network, 1993;
        Hadsell, Chopra and LeCun, 2006 (distance); Koch, Zemel and Salakhutdinov, Siamese Neural
        Networks for One-shot Image Recognition, 2015 (logistic).

    Example:
        >>> import zoo
        >>> trunk = zoo.cascade_cnn((28, 28, 1), num_classes=0, head="global_average")
        >>> model = siamese(trunk, normalize=True)
        >>> [tensor.name for tensor in model.inputs], model.output_names
        (['left', 'right'], ['distance'])
    """
    check.one_of("head", head, HEADS)
    check.one_of("metric", metric, zoo_layers.embeddings.DISTANCES)
    check.flag("normalize", normalize)
    check_trunk(trunk)
    shared, branch = _parted(trunk, shared_layers)
    shape, dtype = shared.input.shape[1:], shared.input.dtype
    left, right = (keras.Input(shape, name=side, dtype=dtype) for side in ("left", "right"))
    pair = zoo_layers.Unstack(name="unstack")(shared(zoo_layers.Stack(name="stack")(left, right)))
    if branch is not None:
        copy = keras.models.clone_model(branch)
        copy.set_weights(branch.get_weights())
        pair = (_named(branch, "left_branch")(pair[0]), _named(copy, "right_branch")(pair[1]))
    if normalize:
        unit = zoo_layers.UnitLength(dtype="float32", name="unit_length")
        pair = tuple(unit(half) for half in pair)
    if head == "logistic":
        x = zoo_layers.AbsoluteDifference(dtype="float32", name="difference")(*pair)
        x = layers.Dense(1, dtype="float32", name="logistic")(x)
        outputs = zoo_layers.SameProbability(dtype="float32", name="probabilities")(x)
    else:
        largest = largest_distance(trunk, metric, normalize)
        measure = zoo_layers.Distance(metric, largest=largest, dtype="float32", name="distance")
        outputs = measure(*pair)
    return keras.Model([left, right], outputs, name=name)


def embedding(trunk: keras.Model, *, num_classes: int = 0, name: str = "embedding") -> keras.Model:
    """Bring a trunk's embeddings to length 1, for losses on batches, such as `zoo.losses.Triplet`.

    Args:
        trunk: As `siamese` takes it.
        num_classes: Number of classes to train with by `zoo.losses.NormalizedSoftmax`, which wants
            the cosines to a proxy of each class; 0 gives the embeddings alone.
        name: The model's name.

    Returns:
        An uncompiled Functional model from the trunk's input to `embedding`, `(batch,
        embedding_dim)`, or to `cosines`, `(batch, num_classes)`; float32. The trunk is its layer
        `trunk`; `zoo.sides(model).left` goes to the embeddings in either case.

    Raises:
        ValueError: If the trunk is of another form, or `num_classes` is illegal.

    Reference:
        Schroff, Kalenichenko and Philbin, FaceNet, 2015, https://arxiv.org/abs/1503.03832; Wang et
        al., NormFace, 2017, https://arxiv.org/abs/1704.06369 (proxies)

    Example:
        >>> import zoo
        >>> trunk = zoo.mlp((8, 8, 1), 0, hidden_units=(32,))
        >>> model = embedding(trunk)
        >>> model.compile("adam", zoo.losses.Triplet(mining="batch_hard"))
        >>> model.output_shape, embedding(trunk, num_classes=10).output_shape
        ((None, 32), (None, 10))
    """
    num_classes = check.integer("num_classes", num_classes, minimum=0)
    check_trunk(trunk)
    shared, _ = _parted(trunk, None)
    image = keras.Input(shared.input.shape[1:], name=shared.input.name, dtype=shared.input.dtype)
    x = zoo_layers.UnitLength(dtype="float32", name="embedding")(shared(image))
    if num_classes:
        x = zoo_layers.CosineProxies(num_classes, dtype="float32", name="cosines")(x)
    return keras.Model(image, x, name=name)


def check_trunk(trunk: Any) -> None:
    """Check that a model gives embeddings."""
    if not isinstance(trunk, keras.Model) or not getattr(trunk, "inputs", None):
        raise ValueError(f"`trunk` must be a Functional or built Sequential model, not {trunk!r}.")
    counts = len(trunk.inputs), len(trunk.outputs)
    if counts != (1, 1):
        raise ValueError(f"`trunk` must have one input and one output, not {counts}.")
    shape = trunk.outputs[0].shape
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            "`trunk` must give embeddings, (batch, embedding_dim), received the output shape "
            f"{shape}: end it with a pooling or a dense layer."
        )
    ends_in = trunk.layers[-1].name
    if ends_in in ("probabilities", "logits") or _last_activation(trunk) == "softmax":
        raise ValueError(
            f"`trunk` {trunk.name!r} ends in class probabilities: build it with num_classes=0, or "
            "take zoo.features(trunk, ...) of a lower layer."
        )


def largest_distance(trunk: keras.Model, metric: str, normalize: bool) -> float | None:
    """Give the largest distance that embeddings of a trunk can have.

    Example:
        >>> trunk = keras.Sequential([keras.Input((8,)), layers.Dense(4, activation="sigmoid")])
        >>> [largest_distance(trunk, metric, False) for metric in ("euclidean", "manhattan")]
        [2.0, 4.0]
    """
    size = trunk.outputs[0].shape[1]
    if normalize:
        return 2.0 * (math.sqrt(size) if metric == "manhattan" else 1)
    span = SPANS.get(_last_activation(trunk) or "")
    return span and span * (size if metric == "manhattan" else math.sqrt(size))


def _last_activation(trunk: keras.Model) -> str | None:
    """Give the name of the activation that a trunk's embeddings come from."""
    for layer in reversed(trunk.layers):
        if isinstance(layer, layers.Activation) and layer.activation is keras.activations.linear:
            continue
        return getattr(getattr(layer, "activation", None), "__name__", None)
    return None


def _parted(
    trunk: keras.Model, shared_layers: int | None
) -> tuple[keras.Model, keras.Model | None]:
    """Give a trunk's lower layers, called `trunk`, and its upper ones."""
    names = [layer.name for layer in trunk.layers if not isinstance(layer, layers.InputLayer)]
    count = len(names)
    if shared_layers is not None:
        count = check.integer("shared_layers", shared_layers, maximum=count)
    image, known = layer_outputs(trunk)
    shared = keras.Model(image, known[names[count - 1]], name="trunk")
    if count == len(names):
        return shared, None
    cut = keras.Input(shared.output.shape[1:], name="shared", dtype=shared.output.dtype)
    try:
        upper = keras.Model(shared.output, known[names[-1]])
    except ValueError as error:
        raise ValueError(
            f"`shared_layers`={count} parts the trunk at {names[count - 1]!r}, and another path "
            "leads around that layer. Choose another number, such as that of a whole block."
        ) from error
    return shared, keras.models.clone_model(upper, cut, clone_function=lambda layer: layer)


def _named(model: keras.Model, name: str) -> keras.Model:
    return keras.Model(model.input, model.output, name=name)
