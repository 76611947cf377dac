"""Scores of anomaly, and the threshold that calls some of them outliers."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class AnomalyThreshold(keras.layers.Layer):
    """Score rows by how well they were rebuilt, and call those below a threshold outliers.

    The threshold is the layer's one weight, so that it is saved and exported with a model. Rows
    that hold NaN are outliers.

    Example:
        >>> layer = AnomalyThreshold()
        >>> layer.build()
        >>> _ = layer.threshold.assign(-0.6)
        >>> rows = ops.convert_to_tensor([[0.0, 2.0], [1.0, 2.0]])
        >>> outputs = layer(rows, ops.ones((2, 2)))
        >>> outputs["score"].numpy().tolist(), outputs["outlier"].numpy().tolist()
        ([-1.0, -0.5], [True, False])
    """

    def build(self, *_: Any) -> None:
        """Create the threshold."""
        self.threshold = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="threshold"
        )

    def call(self, features: Any, reconstruction: Any) -> dict[str, Any]:
        """Give minus the mean squared error of each row, and whether it is an outlier."""
        score = -ops.mean(ops.square(features - reconstruction), axis=-1)
        # `not score >= threshold` would do, but TensorFlow's graphs simplify it to `<`.
        return {"score": score, "outlier": ops.logical_or(score < self.threshold, ops.isnan(score))}
