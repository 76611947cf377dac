"""Which values of a variable and its gradient are looked at: some of all rows and columns."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

SAMPLE = 1024  # values of each variable that norms are taken of
LARGE = 2**15  # values of a gradient; of more, some tell whether it is finite


def stride_of(size: int) -> int:
    """Choose a stride of a variable's values that meets all of its rows and columns."""
    stride = -(-size // SAMPLE) or 1
    while stride < size and math.gcd(stride, size) > 1:
        stride += 1
    return stride


def sample_of(tensor: Any) -> Any:
    """Give a sample of a tensor's values; of a sample, all."""
    return ops.reshape(tensor, (-1,))[:: stride_of(math.prod(tensor.shape))]


def crossed(gradient: Any) -> Any:
    """Give a sample of a large gradient: a NaN that goes back fills a row or a column of it."""
    if None in tuple(gradient.shape):  # such as some rows of an embedding
        return gradient
    return sample_of(gradient) if math.prod(gradient.shape) > LARGE else gradient
