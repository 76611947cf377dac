"""Images: what they are, and how others like them become what a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zoo.data.preparation import Preparation


@dataclass(frozen=True)
class ImagePreparation(Preparation):
    """Images of one size and colour, float32 in [0, 1] inside.

    Args:
        input_shape: Height, width and channels.
    """

    kind: ClassVar[str] = "images"
    input_shape: tuple[int, int, int]

    def __call__(self, x: Any) -> np.ndarray:
        """See `Preparation`."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"images of {' x '.join(map(str, self.input_shape))}"
