"""Losses that Keras lacks, for pairs and for embeddings. Everywhere 1 means the same.

Circle loss is Keras's own, `keras.losses.Circle`: like `Triplet` it takes integer labels and a
batch of embeddings, which must be of length 1.
"""

import math
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import Configured
from zoo.layers.embeddings import Distance, UnitLength, safe_root

MININGS = ("batch_all", "batch_hard", "semi_hard")
MARGINS = ("cosine", "angular")


@keras.saving.register_keras_serializable("zoo")
class Contrastive(Configured, keras.losses.Loss):
    """Pull same pairs together, and push different ones apart until a margin lies between them.

    A pair costs half its squared distance if it is the same (1), else half the square of what its
    distance lacks of the margin. (The paper writes 0 for the same.)

    Args:
        margin: Distance from which on different pairs cost nothing.
        head: The model's head, if the margin is to be checked against its largest distance.
        name, **kwargs: As `keras.losses.Loss` takes them.

    Raises:
        ValueError: If the margin is not above 0, or the head can never reach it.

    Reference:
        Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping, 2006.

    Example:
        >>> same, distance = ops.convert_to_tensor([1.0, 0.0]), ops.convert_to_tensor([0.4, 0.4])
        >>> round(float(Contrastive(margin=1.0)(same, distance)), 3)  # (0.16 + 0.36) / 2 / 2
        0.13
    """

    def __init__(
        self,
        margin: float = 1.0,
        *,
        head: Distance | None = None,
        name: str = "contrastive",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.margin = check.number("margin", margin)
        largest = getattr(head, "largest", None)
        if largest is not None and largest <= margin:
            raise ValueError(
                f"`margin`={margin:g} can never be reached: the head's distances are at most "
                f"{largest:g}. Choose a smaller margin, or embeddings that reach further."
            )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each pair, (batch,)."""
        distances = ops.reshape(y_pred, (-1,))
        same = ops.cast(ops.reshape(y_true, (-1,)), distances.dtype)
        lacking = ops.maximum(self.margin - distances, 0)
        return (same * ops.square(distances) + (1 - same) * ops.square(lacking)) / 2


@keras.saving.register_keras_serializable("zoo")
class Triplet(Configured, keras.losses.Loss):
    """Want each embedding nearer to those of its class than to others, by a margin.

    The triplets of an anchor, another of its class and one of another class are found in the
    batch, so a batch must hold several examples of several classes: see `zoo.data.ClassBatches`.
    Labels are integers; equal ones mean the same.

    Args:
        margin: By which the distance to the other class is to be larger.
        mining: Which triplets count. "batch_all": all that cost something. "batch_hard": for each
            anchor the farthest of its class and the nearest of another. "semi_hard": for each pair
            of a class the nearest of another class that is farther than the pair is apart, or else
            the farthest of another class.
        normalize: Whether embeddings are brought to length 1 first; then distances are at most 2.
        squared: Whether distances are squared, as in FaceNet.
        name, **kwargs: As `keras.losses.Loss` takes them.

    Raises:
        ValueError: If an argument is illegal, or the margin can never be reached.

    Reference:
        Schroff, Kalenichenko and Philbin, FaceNet, 2015, https://arxiv.org/abs/1503.03832
        (semi-hard); Hermans, Beyer and Leibe, In Defense of the Triplet Loss, 2017,
        https://arxiv.org/abs/1703.07737 (batch-all, batch-hard).

    Example:
        >>> embeddings = ops.convert_to_tensor([[0.0], [0.2], [0.3], [1.0]])
        >>> loss = Triplet(margin=0.5, mining="batch_hard", normalize=False)
        >>> round(float(loss(ops.convert_to_tensor([0, 0, 1, 1]), embeddings)), 3)
        0.625
    """

    def __init__(
        self,
        margin: float = 0.2,
        *,
        mining: str = "semi_hard",
        normalize: bool = True,
        squared: bool = False,
        name: str = "triplet",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.margin = check.number("margin", margin)
        self.mining = check.one_of("mining", mining, MININGS)
        self.normalize = check.flag("normalize", normalize)
        self.squared = check.flag("squared", squared)
        largest = 4 if squared else 2
        if normalize and margin >= largest:
            raise ValueError(
                f"`margin`={margin:g} can never be reached: distances of embeddings of length 1 "
                f"are at most {largest}. Choose a smaller margin, or normalize=False."
            )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give what each anchor costs, (batch,); their mean is the loss."""
        embeddings = UnitLength.call(self, y_pred) if self.normalize else y_pred
        distances = pairwise_distances(embeddings, squared=self.squared)
        labels = ops.reshape(y_true, (-1,))
        same = ops.equal(labels[:, None], labels[None, :])
        others = ops.logical_not(same)
        same = ops.logical_and(same, ops.logical_not(ops.cast(ops.eye(ops.shape(labels)[0]), bool)))
        costs, counted = getattr(self, f"_{self.mining}")(distances, same, others)
        share = ops.cast(ops.shape(labels)[0], costs.dtype) / ops.maximum(ops.sum(counted), 1)
        return ops.sum(costs * counted, axis=-1) * share

    def _batch_all(self, distances: Any, same: Any, others: Any) -> tuple[Any, Any]:
        # (anchors, of its class, of another)
        costs = ops.relu(distances[:, :, None] - distances[:, None, :] + self.margin)
        counted = ops.logical_and(same[:, :, None], others[:, None, :])
        counted = ops.cast(ops.logical_and(counted, costs > 0), costs.dtype)
        size = ops.shape(costs)[0]
        return ops.reshape(costs, (size, -1)), ops.reshape(counted, (size, -1))

    def _batch_hard(self, distances: Any, same: Any, others: Any) -> tuple[Any, Any]:
        farthest = ops.max(ops.where(same, distances, -math.inf), axis=1, keepdims=True)
        nearest = ops.min(ops.where(others, distances, math.inf), axis=1, keepdims=True)
        counted = ops.logical_and(ops.isfinite(farthest), ops.isfinite(nearest))
        gap = ops.where(counted, farthest, 0.0) - ops.where(counted, nearest, 0.0)
        return ops.relu(gap + self.margin), ops.cast(counted, distances.dtype)

    def _semi_hard(self, distances: Any, same: Any, others: Any) -> tuple[Any, Any]:
        farther = ops.logical_and(others[:, None, :], distances[:, None, :] > distances[:, :, None])
        nearest = ops.min(ops.where(farther, distances[:, None, :], math.inf), axis=2)
        farthest = ops.max(ops.where(others, distances, -math.inf), axis=1, keepdims=True)
        chosen = ops.where(ops.isfinite(nearest), nearest, farthest)
        counted = ops.logical_and(same, ops.isfinite(chosen))
        gap = distances - ops.where(counted, chosen, 0.0)
        return ops.relu(gap + self.margin), ops.cast(counted, distances.dtype)


@keras.saving.register_keras_serializable("zoo")
class NormalizedSoftmax(Configured, keras.losses.Loss):
    """Cross-entropy over the cosines between embeddings and a proxy of each class, with a margin.

    For models that end in `zoo.layers.CosineProxies`; labels are integers from 0.

    Args:
        scale: Factor of the cosines, the inverse of the softmax's temperature.
        margin: What the right class has to be better by, in [0, 1).
        kind: Of the margin: "cosine", as in CosFace, or "angular" (radians), as in ArcFace.
        name, **kwargs: As `keras.losses.Loss` takes them.

    Raises:
        ValueError: If an argument is illegal.

    Reference:
        Wang et al., CosFace, 2018, https://arxiv.org/abs/1801.09414; Deng et al., ArcFace, 2019,
        https://arxiv.org/abs/1801.07698

    Example:
        >>> cosines, right = ops.convert_to_tensor([[0.9, 0.1, 0.0]]), ops.convert_to_tensor([0])
        >>> losses = NormalizedSoftmax(10), NormalizedSoftmax(10, margin=0.3)
        >>> [round(float(loss(right, cosines)), 4) for loss in losses]
        [0.0005, 0.0092]
    """

    def __init__(
        self,
        scale: float = 16.0,
        margin: float = 0.0,
        *,
        kind: str = "cosine",
        name: str = "normalized_softmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.scale = check.number("scale", scale)
        self.margin = check.rate("margin", margin)
        self.kind = check.one_of("kind", kind, MARGINS)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each example, (batch,)."""
        labels = ops.reshape(y_true, (-1,))
        right = ops.one_hot(ops.cast(labels, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        wanted = y_pred - self.margin
        if self.kind == "angular":
            cosine = ops.clip(y_pred, -1 + 1e-6, 1 - 1e-6)
            sine = ops.sqrt(1 - ops.square(cosine))
            turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
            # Beyond a half turn the cosine would rise again: go on downwards in a straight line.
            beyond = y_pred - self.margin * math.sin(self.margin)
            wanted = ops.where(cosine > -math.cos(self.margin), turned, beyond)
        logits = self.scale * (right * wanted + (1 - right) * y_pred)
        return keras.losses.categorical_crossentropy(right, logits, from_logits=True)


def pairwise_distances(embeddings: Any, *, squared: bool = False) -> Any:
    """Give the Euclidean distances between all embeddings; those below a millionth are 0.

    Example:
        >>> pairwise_distances(ops.convert_to_tensor([[0.0, 3.0], [4.0, 0.0]])).numpy().tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    lengths = ops.sum(ops.square(embeddings), axis=-1)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squares = ops.maximum(lengths[:, None] + lengths[None, :] - 2 * products, 0)
    squares = squares * (1 - ops.eye(ops.shape(embeddings)[0], dtype=squares.dtype))
    return squares if squared else safe_root(squares)


@keras.saving.register_keras_serializable("zoo")
class RelativeSquaredError(Configured, keras.losses.Loss):
    """Squared error over the variance of each target.

    Args:
        scale: Standard deviation of each target.
        name, **options: As `keras.losses.Loss` takes them.

    Example:
        >>> float(RelativeSquaredError([2.0])(ops.ones((1, 1)), 5 * ops.ones((1, 1))))
        4.0
    """

    def __init__(self, scale: Any, name: str = "relative_squared_error", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the mean over the targets, (batch,)."""
        scale = ops.convert_to_tensor(self.scale, y_pred.dtype)
        error = (ops.cast(y_true, y_pred.dtype) - y_pred) / scale
        return ops.mean(ops.square(error), axis=-1)
