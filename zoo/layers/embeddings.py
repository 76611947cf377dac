"""Layers around embeddings: on the unit sphere, between pairs, and beside a proxy of each class."""

import math
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import Configured, SameShape

DISTANCES = ("euclidean", "cosine", "manhattan")

# Squared distances below it count as zero, where the root has no gradient.
SMALLEST_SQUARE = 1e-12


class Judging(Configured, keras.layers.Layer):
    """A layer whose outputs decide what counts as the same, and which knows from where on.

    Args:
        threshold: The largest distance that counts as the same; `zoo.Verifier.calibrate` sets it.
            `None` until then. It is no weight, but saved and loaded with the layer's arguments.
        **kwargs: As `keras.layers.Layer` takes them.

    """

    def __init__(self, *, threshold: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold


@keras.saving.register_keras_serializable("zoo")
class UnitLength(SameShape, Judging):
    """Divide each embedding by its Euclidean length; an embedding of zeros stays one.

    Args:
        threshold: As `Judging` takes it; of the Euclidean distance between two embeddings.
        **kwargs: As `keras.layers.Layer` takes them.

    Example:
        >>> [round(float(x), 6) for x in UnitLength()(ops.convert_to_tensor([[3.0, 4.0]]))[0]]
        [0.6, 0.8]
    """

    def call(self, inputs: Any) -> Any:
        """Give embeddings of length 1."""
        return ops.normalize(inputs, axis=-1, epsilon=math.sqrt(SMALLEST_SQUARE))


@keras.saving.register_keras_serializable("zoo")
class Distance(Judging):
    """Measure the distance between two embeddings.

    Args:
        metric: "euclidean"; "manhattan", the sum of absolute differences; or "cosine", 1 less the
            cosine of the angle between them, in [0, 2].
        largest: The largest distance that the embeddings below can have, where that is known;
            losses check their margins against it. It is 2 for "cosine" in any case.
        threshold: As `Judging` takes it.
        **kwargs: As `keras.layers.Layer` takes them.

    Raises:
        ValueError: If the metric is unknown.

    Example:
        >>> a, b = ops.convert_to_tensor([[0.0, 3.0]]), ops.convert_to_tensor([[4.0, 0.0]])
        >>> [float(Distance(metric)(a, b)[0, 0]) for metric in ("euclidean", "manhattan", "cosine")]
        [5.0, 7.0, 1.0]
    """

    def __init__(
        self, metric: str = "euclidean", *, largest: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.metric = check.one_of("metric", metric, DISTANCES)
        self.largest = 2.0 if metric == "cosine" else largest

    def call(self, left: Any, right: Any) -> Any:
        """Give distances, (batch, 1)."""
        if self.metric == "manhattan":
            return ops.sum(ops.abs(left - right), axis=-1, keepdims=True)
        if self.metric == "cosine":
            left, right = UnitLength.call(self, left), UnitLength.call(self, right)
            return 1 - ops.sum(left * right, axis=-1, keepdims=True)
        return safe_root(ops.sum(ops.square(left - right), axis=-1, keepdims=True))

    def compute_output_shape(self, left_shape: Any, right_shape: Any) -> Any:
        """Give `(batch, 1)`."""
        return (*left_shape[:-1], 1)


@keras.saving.register_keras_serializable("zoo")
class SameProbability(SameShape, Judging):
    """Turn logits into probabilities of being the same.

    Args:
        threshold: As `Judging` takes it; the distance is the probability of being different.
        **kwargs: As `keras.layers.Layer` takes them.

    Example:
        >>> SameProbability()(ops.convert_to_tensor([[0.0]])).numpy().tolist()
        [[0.5]]
    """

    def call(self, inputs: Any) -> Any:
        """Give probabilities."""
        return ops.sigmoid(inputs)


@keras.saving.register_keras_serializable("zoo")
class CosineProxies(Configured, keras.layers.Layer):
    """Measure the cosine between each embedding and a learned proxy of each class.

    For training embeddings by `zoo.losses.NormalizedSoftmax`; afterwards the layer is left out.

    Args:
        num_classes: Number of proxies.
        **kwargs: As `keras.layers.Layer` takes them.

    Raises:
        ValueError: If `num_classes` is no integer of at least 2.

    Reference:
        Wang et al., NormFace, 2017, https://arxiv.org/abs/1704.06369

    Example:
        >>> CosineProxies(5)(ops.ones((3, 8))).shape
        TensorShape([3, 5])
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check.integer("num_classes", num_classes, minimum=2)

    def build(self, input_shape: Any) -> None:
        """Create the proxies, one a column."""
        self.proxies = self.add_weight(
            shape=(input_shape[-1], self.num_classes), initializer="random_normal", name="proxies"
        )

    def call(self, inputs: Any) -> Any:
        """Give cosines, (batch, num_classes)."""
        proxies = ops.normalize(ops.cast(self.proxies, inputs.dtype), axis=0)
        return ops.matmul(UnitLength.call(self, inputs), proxies)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give `(batch, num_classes)`."""
        return (*input_shape[:-1], self.num_classes)


def safe_root(squares: Any) -> Any:
    """Give square roots whose gradient at 0 is 0, not infinite.

    Example:
        >>> safe_root(ops.convert_to_tensor([4.0, 0.0, -1e-9])).numpy().tolist()
        [2.0, 0.0, 0.0]
    """
    near = squares <= SMALLEST_SQUARE  # not so of NaN, which stays
    return ops.where(near, 0.0, ops.sqrt(ops.where(near, 1.0, squares)))
