"""Metrics of verification for `compile`: they count pairs as batches go by, and keep none."""

import math
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.losses import pairwise_distances

SOURCES = ("distances", "embeddings")


class VerificationMetric(keras.metrics.Metric):
    """Counts of the distances of same and of different pairs, and what follows from them.

    Distances are counted in equal bins over [0, `largest`]: the memory does not grow with the
    pairs, batches add up exactly, and the result is what `zoo.metrics` gives for distances rounded
    to the bins. It is NaN until both kinds of pairs have been seen (0 would be read as a result),
    and after a distance that is NaN, or a pair that is called neither 0 nor 1. `fit` goes on with
    NaN, and callbacks never take it for the best value.

    Args:
        of: "distances": the model gives distances, (batch, 1), and labels are 1 for pairs of the
            same class, 0 for others, (batch, 1), as with `zoo.siamese`. "embeddings": it gives
            embeddings, (batch, embedding_dim), labels are integer classes, and all pairs of a batch
            count by their Euclidean distance, as with `zoo.embedding`. (For probabilities of being
            the same take `keras.metrics.AUC`.)
        bins: Number of bins.
        largest: The largest distance to tell from others: those beyond are counted in the last bin.
            The default is right for embeddings of length 1 and for cosine distances. For others
            take what the model's head knows, `model.get_layer("distance").largest`, or, where that
            is `None`, more than the loss's margin.
        name: The metric's name; `None` is that of its class.

    Raises:
        ValueError: If an argument is illegal.
    """

    _default_name: str

    def __init__(
        self,
        of: str = "distances",
        *,
        bins: int = 1000,
        largest: float = 2.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or self._default_name)
        self.of = check.one_of("of", of, SOURCES)
        self.bins = check.integer("bins", bins, minimum=2)
        self.largest = check.number("largest", largest)
        # Different pairs, and same ones. In float32 whatever the policy, which counts up to 16
        # million pairs a bin exactly.
        self.counts = self.add_weight(
            shape=(2, bins), initializer="zeros", dtype="float32", name="counts"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the pairs of a batch; weights, (batch,) or (batch, 1), are for distances only."""
        labels = _column("y_true", ops.convert_to_tensor(y_true))
        y_pred = ops.cast(y_pred, "float32")
        if self.of == "embeddings":
            if sample_weight is not None:
                raise ValueError(
                    "`sample_weight` has no meaning for pairs that are made of examples: pass the "
                    "metric in `metrics`, not in `weighted_metrics`."
                )
            pairs = _pairs(labels, y_pred)
        else:
            weights = ops.ones_like(labels) if sample_weight is None else sample_weight
            weights = _column("sample_weight", ops.convert_to_tensor(weights))
            pairs = (labels, _column("y_pred", y_pred), weights)
        self.counts.assign_add(self._counted(*(ops.cast(entry, "float32") for entry in pairs)))

    def _counted(self, same: Any, distances: Any, weights: Any) -> Any:
        """Give the weight of different and of same pairs, (pairs,), in each bin, (2, bins)."""
        legal = ops.logical_or(ops.equal(same, 0), ops.equal(same, 1))
        usable = ops.logical_and(legal, ops.logical_not(ops.isnan(distances)))
        # What has no bin spoils the first one, and so the result.
        weights = ops.where(usable, weights, math.nan)
        place = ops.clip(distances * (self.bins / self.largest), 0, self.bins - 1)
        place = ops.where(usable, ops.floor(place) + self.bins * same, 0)
        counts = ops.segment_sum(weights, ops.cast(place, "int32"), num_segments=2 * self.bins)
        return ops.reshape(counts, (2, self.bins))

    def result(self) -> Any:
        """Give the metric over all pairs so far, a scalar; NaN where there is none."""
        totals = ops.sum(self.counts, axis=1, keepdims=True)
        far, tar = ops.unstack(ops.divide_no_nan(self.counts, totals), 2)
        return ops.where(ops.all(totals > 0), self.of_shares(far, tar), math.nan)

    def of_shares(self, far: Any, tar: Any) -> Any:
        """Give the metric, a scalar, of the shares of pairs that each bin holds.

        Args:
            far: Of the different pairs, from near to far, (bins,): what accepting the bin adds to
                the false accept rate.
            tar: Of the same pairs: what it adds to the true accept rate.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {name: getattr(self, name) for name in ("of", "bins", "largest", "name")}


@keras.saving.register_keras_serializable("zoo")
class VerificationAUC(VerificationMetric):
    """The probability that a same pair is nearer than a different one, ties counted half.

    It differs from `zoo.metrics.roc_auc` by as much as distances in one bin, which count as equal.
    For NaN see `VerificationMetric`.

    Args:
        of, bins, largest, name: As `VerificationMetric` takes them.

    Example:
        >>> metric = VerificationAUC()
        >>> metric.update_state([[1], [1], [0], [0]], [[0.1], [0.4], [0.3], [0.9]])
        >>> float(metric.result())
        0.75
    """

    _default_name, _direction = "verification_auc", "up"

    def of_shares(self, far: Any, tar: Any) -> Any:
        """See `VerificationMetric.of_shares`."""
        farther = ops.flip(ops.cumsum(ops.flip(far))) - far / 2
        return ops.sum(tar * farther)


@keras.saving.register_keras_serializable("zoo")
class VerificationEER(VerificationMetric):
    """The error rate at which as many different pairs are accepted as same ones are rejected.

    As in `zoo.metrics.equal_error_rate`, straight lines join the points of the ROC curve, here one
    a bin. For NaN see `VerificationMetric`.

    Args:
        of, bins, largest, name: As `VerificationMetric` takes them.

    Example:
        >>> import zoo
        >>> model = zoo.embedding(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
        >>> metrics = [VerificationAUC("embeddings"), VerificationEER("embeddings")]
        >>> model.compile("adam", zoo.losses.Triplet(), metrics=metrics)
        >>> data = zoo.load_data("digits")
        >>> history = model.fit(zoo.data.ClassBatches(data.train, batches=5), verbose=0).history
        >>> 0 < history["verification_eer"][0] < 0.5
        True
    """

    _default_name, _direction = "verification_eer", "down"

    def of_shares(self, far: Any, tar: Any) -> Any:
        """See `VerificationMetric.of_shares`."""
        steps = far + tar
        gap = ops.cumsum(steps) - steps - 1  # before each bin; it grows from -1 to 1
        # All of the bins before the crossing are accepted, of the crossed one a share.
        return ops.sum(far * ops.clip(ops.divide_no_nan(-gap, steps), 0, 1))


def _pairs(labels: Any, embeddings: Any) -> tuple[Any, Any, Any]:
    """Give all pairs of a batch: whether they are the same, distances and weights, (batch**2,)."""
    if len(embeddings.shape) != 2:
        raise ValueError(f"`y_pred` must be (batch, embedding_dim), not {tuple(embeddings.shape)}.")
    same = ops.equal(labels[:, None], labels[None, :])
    # Not the root that the losses take: for the sake of its gradient it makes 0 of NaN.
    distances = ops.sqrt(pairwise_distances(embeddings, squared=True))
    order = ops.arange(ops.shape(labels)[0])
    first = order[:, None] < order[None, :]  # each pair once
    distances = ops.where(first, distances, 0.0)
    return tuple(ops.reshape(x, (-1,)) for x in (same, distances, first))


def _column(name: str, values: Any) -> Any:
    """Give (batch,) for (batch,) or (batch, 1)."""
    shape = tuple(values.shape)
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,), (None,)):
        raise ValueError(
            f"`{name}` must be of shape (batch,) or (batch, 1), received {shape}: is the metric's "
            "`of` what the model gives, and are labels no one-hot vectors?"
        )
    return ops.reshape(values, (-1,))
