"""Tables: columns of numbers and categories, as vectors that a layer of the model prepares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zoo.data.preparation import Preparation


@dataclass(frozen=True)
class TablePreparation(Preparation):
    """Rows of numbers.

    Args:
        input_shape: Number of columns, as `(columns,)`.
    """

    kind: ClassVar[str] = "tables"
    input_shape: tuple[int]

    def __call__(self, x: Any) -> np.ndarray:
        """See `Preparation`."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"rows of {self.input_shape[0]} columns"
