"""How near values are to real numbers, as a Keras metric."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from zoo.layers.base import Configured


@keras.saving.register_keras_serializable("zoo")
class StandardizedR2(Configured, keras.metrics.R2Score):
    """Keras's R2 of standardised values: in float32, that of values far from zero is lost.

    Args:
        mean: About where each target lies, such as its mean in the training part.
        scale: About how far each target spreads, above 0.
        name, **options: As `keras.metrics.R2Score` takes them.

    Example:
        >>> import numpy as np
        >>> values = np.array([[1e6], [1e6 + 1], [1e6 + 2]], "float32")
        >>> metric = StandardizedR2([1e6], [1.0])
        >>> metric.update_state(values, values + 0.5)
        >>> float(metric.result())
        0.625
    """

    def __init__(
        self, mean: Sequence[float], scale: Sequence[float], name: str = "r2", **options: Any
    ) -> None:
        super().__init__(name=name, **options)
        self.mean, self.scale = mean, scale

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take a batch into account, (batch, targets)."""
        standard = [self._standard(values) for values in (y_true, y_pred)]
        return super().update_state(*standard, sample_weight=sample_weight)

    def _standard(self, values: Any) -> Any:
        mean, scale = (ops.convert_to_tensor(of, self.dtype) for of in (self.mean, self.scale))
        return (ops.cast(values, self.dtype) - mean) / scale
