"""The product of every position's patch with that position's kernel, and its gradient."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

Pair = tuple[int, int]

MAX_PATCHES = 2**26
"""Most values of patches to hold at once (256 MB in float32); more are made part by part."""

USUAL_BATCH = 64
"""What a batch of unknown size is taken for."""


class Window(NamedTuple):
    """What a kernel sees at a position: `size` pixels, and the steps to the next position."""

    size: Pair
    strides: Pair
    dilation: Pair

    def span(self, axis: int) -> int:
        """Number of pixels from the first that the kernel sees to the last."""
        return (self.size[axis] - 1) * self.dilation[axis] + 1

    def positions(self, axis: int, side: int) -> int:
        """Number of positions on a side."""
        return (side - self.span(axis)) // self.strides[axis] + 1

    def pixels(self, axis: int, start: int, stop: int) -> slice:
        """The pixels that the positions from `start` to `stop` see."""
        stride = self.strides[axis]
        return slice(start * stride, (stop - 1) * stride + self.span(axis))


def local_product(x: Any, kernel: Any, window: Window) -> Any:
    """Multiply the patch at each position by the position's own kernel.

    The gradient is written by hand: the automatic one of the slices is several times slower.

    Args:
        x: Tensor of shape `(height, width, batch, channels)`.
        kernel: Tensor of shape `(rows, columns, patch, filters)`, where `patch` is kernel height *
            kernel width * channels.
        window: Size, strides and dilation of the kernels.

    Returns:
        Tensor of shape `(rows, columns, batch, filters)`.
    """
    rows, columns, patch, _ = kernel.shape
    values = rows * columns * patch * (x.shape[2] or USUAL_BATCH)
    step = -(-rows // -(-values // MAX_PATCHES))
    parts = [(start, min(start + step, rows)) for start in range(0, rows, step)]

    @ops.custom_gradient
    def product(x: Any, kernel: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
        outputs: list[Any] = []
        for start, stop in parts:
            part = _after(x[window.pixels(0, start, stop)], outputs)
            patches = unfold(part, window)
            outputs.append(_matmul(patches, kernel[start:stop]))
        kept = patches if len(parts) == 1 else None

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any]:
            upstream = args[-1] if upstream is None else upstream
            return _gradient(x, kernel, upstream, window, parts, kept)

        return _concatenate(outputs), gradient

    return product(x, kernel)


def _gradient(
    x: Any, kernel: Any, upstream: Any, window: Window, parts: list[Pair], kept: Any
) -> tuple[Any, Any]:
    """Gradient of `local_product` with respect to `x` and `kernel`, part by part."""
    for_x: list[Any] = []
    for_kernel: list[Any] = []
    for start, stop in parts:
        pixels = window.pixels(0, start, stop)
        part, above = x[pixels], upstream[start:stop]
        patches = unfold(_after(part, for_x), window) if kept is None else kept
        for_kernel.append(_matmul(patches, above, transpose_a=True))
        above = _after(above, for_kernel)  # the patches are freed before their gradient is made
        patches = _matmul(above, kernel[start:stop], transpose_b=True)
        shape = (pixels.stop - pixels.start, x.shape[1], x.shape[3])
        folded = _compiled(fold, shape, window)(patches)
        around = (pixels.start, x.shape[0] - pixels.stop)
        for_x.append(ops.pad(folded, (around, (0, 0), (0, 0), (0, 0))) if any(around) else folded)
    return functools.reduce(ops.add, for_x), _concatenate(for_kernel)


def unfold(x: Any, window: Window) -> Any:
    """Collect the patch that a kernel sees at each position.

    One axis after the other takes 2k slices in place of k * k.

    Args:
        x: Tensor of shape `(height, width, batch, channels)`.
        window: Size, strides and dilation of the kernels.

    Returns:
        Tensor of shape `(rows, columns, batch, kernel height * kernel width * channels)`.
    """
    for axis in (1, 0):
        size, stride, step = (values[axis] for values in window)
        count = window.positions(axis, x.shape[axis])
        phases = _phases(x, axis, stride)
        slices = []
        for pixel in range(size):
            begin, phase = divmod(pixel * step, stride)
            slices.append(_cut(phases[phase], axis, begin, begin + count))
        x = ops.concatenate(slices, axis=-1) if size > 1 else slices[0]
    return x


def fold(patches: Any, shape: tuple[int, int, int], window: Window) -> Any:
    """Add the values of patches up where they came from: the gradient of `unfold`.

    Args:
        patches: Tensor of shape `(rows, columns, batch, patch)`.
        shape: Height, width and channels of the images.
        window: Size, strides and dilation of the kernels.

    Returns:
        Tensor of shape `(height, width, batch, channels)`.
    """
    for axis, depth in ((0, window.size[1] * shape[2]), (1, shape[2])):
        size, stride, step = (values[axis] for values in window)
        side, count = shape[axis], patches.shape[axis]
        phases: list[list[Any]] = [[] for _ in range(stride)]
        length = -(-side // stride)
        for pixel in range(size):
            begin, phase = divmod(pixel * step, stride)
            values = patches[..., pixel * depth : (pixel + 1) * depth]
            around = [(0, 0)] * 4
            around[axis] = (begin, length - begin - count)
            phases[phase].append(ops.pad(values, around))
        patches = _interleave(phases, axis, side)
    return patches


def tied_product(x: Any, kernel: Any, window: Window, region: Pair) -> Any:
    """Multiply the patch at each position by a kernel that other positions use too.

    The position (row, column) uses the kernel at `row // region % rows of kernels`, and so for
    columns.

    Args:
        x: Tensor of shape `(height, width, batch, channels)`.
        kernel: Tensor of shape `(kernel rows, kernel columns, patch, filters)`.
        window: Size, strides and dilation of the kernels.
        region: Number of neighbouring positions, each way, that use the same kernel.

    Returns:
        Tensor of shape `(rows, columns, batch, filters)`.
    """

    @ops.custom_gradient
    def patches_of(x: Any) -> tuple[Any, Callable[..., Any]]:
        shape = (x.shape[0], x.shape[1], x.shape[3])

        def gradient(*args: Any, upstream: Any = None) -> Any:
            return _compiled(fold, shape, window)(args[-1] if upstream is None else upstream)

        return unfold(x, window), gradient

    patches = patches_of(x)
    positions, groups = tuple(patches.shape[:2]), tuple(kernel.shape[:2])
    # How often, each way, the kernels repeat; the last time perhaps not in full.
    tiles = [math.ceil(n / (g * r)) for n, g, r in zip(positions, groups, region, strict=True)]
    full = [t * g * r for t, g, r in zip(tiles, groups, region, strict=True)]
    # The positions that share a kernel come together, as if they were more of the batch. One axis
    # after the other keeps within the five dimensions that LiteRT can transpose.
    missing = [(0, f - n) for f, n in zip(full, positions, strict=True)]
    y = ops.pad(patches, (*missing, (0, 0), (0, 0)))
    y = ops.reshape(y, (tiles[0], groups[0], region[0], full[1], -1))
    y = ops.transpose(y, (1, 3, 0, 2, 4))  # (groups, columns, tiles, region, batch * patch)
    y = ops.reshape(y, (groups[0], tiles[1], groups[1], region[1], -1))
    y = ops.transpose(y, (0, 2, 1, 3, 4))  # (groups, groups, tiles, region, the rest)
    y = ops.matmul(ops.reshape(y, (*groups, -1, kernel.shape[2])), kernel)
    y = ops.reshape(y, (*groups, tiles[1], region[1], -1))
    y = ops.transpose(y, (0, 2, 1, 3, 4))
    y = ops.reshape(y, (groups[0], full[1], tiles[0], region[0], -1))
    y = ops.transpose(y, (2, 0, 3, 1, 4))
    y = ops.reshape(y, (*full, -1, kernel.shape[3]))
    return y[: positions[0], : positions[1]]


def _phases(x: Any, axis: int, stride: int) -> list[Any]:
    """Every `stride`-th slice of an axis, for each start below `stride`."""
    if stride == 1:
        return [x]
    # TensorFlow's strided slices are some ten times slower than this.
    length = -(-x.shape[axis] // stride)
    around = [(0, 0)] * 4
    around[axis] = (0, length * stride - x.shape[axis])
    shape = [*x.shape[:2], -1, x.shape[3]]
    shape[axis : axis + 1] = [length, stride]
    return ops.unstack(ops.reshape(ops.pad(x, around), shape), axis=axis + 1)


def _interleave(phases: list[list[Any]], axis: int, side: int) -> Any:
    """Undo `_phases` for slices of which each phase has several, to be added, or none."""
    first = next(slices[0] for slices in phases if slices)
    sums = [
        functools.reduce(ops.add, slices) if slices else ops.zeros_like(first) for slices in phases
    ]
    if len(sums) == 1:
        return sums[0]
    shape = [*first.shape[:2], -1, first.shape[3]]
    shape[axis] *= len(sums)
    return _cut(ops.reshape(ops.stack(sums, axis=axis + 1), shape), axis, 0, side)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[:, start:stop] if axis else x[start:stop]


def _concatenate(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=0)


# What TensorFlow needs told; other backends find out themselves.


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """Multiply matrices; TensorFlow would copy a transposed one in memory."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _after(x: Any, made: list[Any]) -> Any:
    """Return `x` once the last of `made` is made: TensorFlow would begin all parts at once."""
    if keras.backend.backend() != "tensorflow" or not made:
        return x
    import tensorflow as tf

    with tf.control_dependencies(made[-1:]):
        return tf.identity(x)


@functools.cache
def _compiled(function: Callable[..., Any], *arguments: Any) -> Callable[[Any], Any]:
    """Bind all arguments but the first; on TensorFlow, compile into one pass over memory."""

    def bound(x: Any) -> Any:
        return function(x, *arguments)

    if keras.backend.backend() != "tensorflow":
        return bound
    import tensorflow as tf

    return tf.function(bound, jit_compile=True)
