"""Sequences made ready inside a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class Steps(keras.layers.Layer):
    """Standardise the steps of sequences and mask those that only pad, always in float32.

    The padded steps become 0, and the mask makes the layers behind, such as LSTM, GRU and global
    average pooling, pass over them.

    Args:
        mean: For each feature what is subtracted.
        scale: For each feature what it is divided by; where 0, the feature becomes 0.
        mask_value: A step that equals it in all features is padding.
        **kwargs: As `keras.layers.Layer` takes them.

    Example:
        >>> layer = Steps(mean=[10.0], scale=[5.0])
        >>> inputs = ops.array([[[20.0], [5.0], [0.0]]])
        >>> layer(inputs).numpy().tolist(), layer.compute_mask(inputs).numpy().tolist()
        ([[[2.0], [-1.0], [0.0]]], [[True, True, False]])
    """

    def __init__(
        self, mean: Sequence[float], scale: Sequence[float], mask_value: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.mean, self.scale, self.mask_value = list(mean), list(scale), mask_value
        self.supports_masking = True
        scales = np.array(self.scale, float)
        factors = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
        self._mean, self._factors = np.array(mean, np.float32), factors.astype(np.float32)

    def call(self, inputs: Any) -> Any:
        """Give (batch, time, features) in the same shape."""
        steps = (inputs - self._mean) * self._factors
        return ops.where(self.compute_mask(inputs)[..., None], steps, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Tell which steps are real, (batch, time)."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Give the arguments."""
        own = {"mean": self.mean, "scale": self.scale, "mask_value": self.mask_value}
        return {**super().get_config(), **own}
