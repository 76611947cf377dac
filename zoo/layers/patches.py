"""The product of every position's patch with that position's kernel."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Pair = tuple[int, int]


def local_product(
    x: Any,
    kernel: Any,
    bias: Any,
    *,
    kernel_size: Pair,
    strides: Pair,
    dilation: Pair,
    region: Pair,
) -> Any:
    """Multiply the patch at each position by the kernel of the position.

    The position (row, column) uses the kernel at `row // region % rows of kernels`, and so for
    columns.

    Args:
        x: Tensor of shape `(height, width, batch, channels)`.
        kernel: Tensor of shape `(kernel rows, kernel columns, patch, filters)`, where `patch` is
            kernel height * kernel width * channels.
        bias: Tensor of shape `(kernel rows, kernel columns, filters)`, or `None`.
        kernel_size: Height and width of the kernels.
        strides: Steps from one position to the next.
        dilation: Steps from one pixel of a patch to the next.
        region: Number of neighbouring positions, each way, that use the same kernel.

    Returns:
        Tensor of shape `(rows, columns, batch, filters)`.
    """
    patches = unfold(x, kernel_size, strides, dilation)
    rows, columns = patches.shape[:2]
    groups = kernel.shape[:2]
    grouped = _group(patches, groups, region)
    y = ops.matmul(grouped, kernel)
    if bias is not None:
        y = y + ops.expand_dims(bias, 2)
    return _ungroup(y, (rows, columns), groups, region)


def unfold(x: Any, kernel_size: Pair, strides: Pair, dilation: Pair) -> Any:
    """Collect the patch that a kernel sees at each position.

    Args:
        x: Tensor of shape `(height, width, batch, channels)`.
        kernel_size: Height and width of the kernel.
        strides: Steps from one position to the next.
        dilation: Steps from one pixel of a patch to the next.

    Returns:
        Tensor of shape `(rows, columns, batch, kernel height * kernel width * channels)`.
    """
    for axis in (1, 0):
        size, stride, step = kernel_size[axis], strides[axis], dilation[axis]
        count = (x.shape[axis] - (size - 1) * step - 1) // stride + 1
        slices = []
        for pixel in range(size):
            begin = pixel * step
            window = slice(begin, begin + (count - 1) * stride + 1, stride)
            slices.append(x[:, window] if axis else x[window])
        x = ops.concatenate(slices, axis=-1)
    return x


def _group(patches: Any, groups: Pair, region: Pair) -> Any:
    """Bring the positions that share a kernel together, as if they were more of the batch."""
    rows, columns, _, size = patches.shape
    if (rows, columns) == groups:
        return patches
    (row_tiles, columns_tiles) = _tiles((rows, columns), groups, region)
    padding = (
        (0, row_tiles * groups[0] * region[0] - rows),
        (0, columns_tiles * groups[1] * region[1] - columns),
    )
    x = ops.pad(patches, (*padding, (0, 0), (0, 0)))
    # One axis after the other keeps within five dimensions, which LiteRT's kernels end at.
    x = ops.reshape(x, (row_tiles, groups[0], region[0], x.shape[1], -1))
    x = ops.transpose(x, (1, 3, 0, 2, 4))  # (kernel rows, columns, tiles, region, batch * patch)
    x = ops.reshape(x, (groups[0], columns_tiles, groups[1], region[1], -1))
    x = ops.transpose(x, (0, 2, 1, 3, 4))
    return ops.reshape(x, (*groups, -1, size))


def _ungroup(y: Any, positions: Pair, groups: Pair, region: Pair) -> Any:
    """Undo `_group`."""
    if positions == groups:
        return y
    (row_tiles, column_tiles) = _tiles(positions, groups, region)
    filters = y.shape[-1]
    y = ops.reshape(y, (*groups, column_tiles, region[1], -1))
    y = ops.transpose(y, (0, 2, 1, 3, 4))
    y = ops.reshape(y, (groups[0], column_tiles * groups[1] * region[1], row_tiles, region[0], -1))
    y = ops.transpose(y, (2, 0, 3, 1, 4))
    y = ops.reshape(
        y,
        (row_tiles * groups[0] * region[0], column_tiles * groups[1] * region[1], -1, filters),
    )
    return y[: positions[0], : positions[1]]


def _tiles(positions: Pair, groups: Pair, region: Pair) -> Pair:
    """How often, each way, the kernels repeat; the last time perhaps not in full."""
    return tuple(  # type: ignore[return-value]
        math.ceil(count / (group * side))
        for count, group, side in zip(positions, groups, region, strict=True)
    )
