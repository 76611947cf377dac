"""Columns of a table made ready inside a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class Tabular(keras.layers.Layer):
    """Standardise numbers and make categories one-hot, always in float32.

    Args:
        categories: For each column the codes of its categories, or `None` for numbers.
        mean: For each column what is subtracted; not used for categories.
        scale: For each column what it is divided by; where 0, the column becomes 0.
        impute: Whether NaN becomes the mean of numbers, and zeros of categories; else it stays NaN,
            so that no answer hides it. (A code that is none of the column's gives zeros.)
        **kwargs: As `keras.layers.Layer` takes them.

    Example:
        >>> layer = Tabular([None, [0, 2]], [10.0, 0.0], [5.0, 1.0])
        >>> layer(ops.array([[20.0, 2.0], [5.0, 1.0]])).numpy().tolist()
        [[2.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        categories: Sequence[Sequence[int] | None],
        mean: Sequence[float],
        scale: Sequence[float],
        *,
        impute: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.categories = [None if codes is None else list(codes) for codes in categories]
        self.mean, self.scale, self.impute = list(mean), list(scale), impute
        # For each output: its column, and what it is compared with or centred by.
        outputs = [
            (column, codes is not None, value)
            for column, codes in enumerate(self.categories)
            for value in ([self.mean[column]] if codes is None else codes)
        ]
        columns, one_hot, values = (np.array(part) for part in zip(*outputs, strict=True))
        scales = np.array(self.scale, np.float64)[columns]
        self._columns, self._one_hot = columns.astype(np.int32), one_hot
        self._values = values.astype(np.float32)
        self._factors = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)

    def call(self, inputs: Any) -> Any:
        """Give (batch, columns) as (batch, numbers and categories)."""
        values = ops.take(inputs, self._columns, axis=1)
        numbers = (values - self._values) * self._factors.astype(np.float32)
        if self.impute:
            numbers = ops.where(ops.isnan(numbers), 0.0, numbers)
        if not self._one_hot.any():
            return numbers
        states = ops.cast(values == self._values, "float32")
        if not self.impute:
            states = ops.where(ops.isnan(values), values, states)
        return ops.where(self._one_hot, states, numbers)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the width that the categories need."""
        return (*input_shape[:-1], len(self._columns))

    def get_config(self) -> dict[str, Any]:
        """Give the arguments."""
        own = {name: getattr(self, name) for name in ("categories", "mean", "scale", "impute")}
        return {**super().get_config(), **own}
