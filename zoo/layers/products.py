"""The product of every position's patch with that position's kernel, and its gradient."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from zoo.layers.backend import after, compiled, matmul, on_tensorflow, with_gradient
from zoo.layers.patches import Pair, Window, fold, unfold

MAX_PATCHES = 2**26
"""Most values of patches to hold at once (256 MB in float32); more are made part by part."""

USUAL_BATCH = 64  # what a batch of unknown size is taken for

MAX_FUSED_PATCH = 16
"""Patches of up to so many values (3x3 pixels of one channel) are too small for matrix products.

For training on TensorFlow the layer is then compiled, and its product is one loop.
"""


class Plan(NamedTuple):
    """How a layer goes over its inputs."""

    window: Window
    order: tuple[int, ...]  # the inputs' axes of rows, columns, examples and channels
    paddings: tuple[Pair, ...]  # of rows and columns
    region: Pair


def locally_connected(inputs: Any, kernel: Any, bias: Any, plan: Plan, *, training: bool) -> Any:
    """Multiply the patch at each position by a kernel, and add a bias."""
    if training and kernel.shape[2] <= MAX_FUSED_PATCH and on_tensorflow():
        return compiled(_layer, True, plan)(inputs, kernel, bias)
    return _layer(inputs, kernel, bias, False, plan)


def _layer(inputs: Any, kernel: Any, bias: Any, fused: bool, plan: Plan) -> Any:
    window, order, paddings, region = plan
    # Position by position the matrix products need no transposed patches.
    x = ops.transpose(inputs, order)
    if any(map(any, paddings)):
        x = ops.pad(x, (*paddings, (0, 0), (0, 0)))
    if kernel.shape[:2] == tuple(window.positions(axis, int(x.shape[axis])) for axis in (0, 1)):
        y = _add(local_product(x, kernel, window, fused), bias)
    else:
        y = tied_product(x, kernel, bias, window, region)
    return ops.transpose(y, [order.index(axis) for axis in range(4)])


def local_product(x: Any, kernel: Any, window: Window, fused: bool) -> Any:
    """Multiply the patch at each position by the position's own kernel.

    The gradient is written by hand: the automatic one of the slices is several times slower.
    """
    rows, columns, patch = map(int, kernel.shape[:3])  # PyTorch exports what is done to its sizes
    batch = x.shape[2] if isinstance(x.shape[2], int) else USUAL_BATCH  # JAX exports a symbol
    values = rows * columns * patch * batch
    step = -(-rows // -(-values // MAX_PATCHES))
    parts = [(start, min(start + step, rows)) for start in range(0, rows, step)]

    @with_gradient
    def product(x: Any, kernel: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
        outputs: list[Any] = []
        for start, stop in parts:
            part = after(x[window.pixels(0, start, stop)], outputs)
            patches = unfold(part, window)
            outputs.append((_fused_product if fused else matmul)(patches, kernel[start:stop]))
        kept = patches if len(parts) == 1 else None

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any]:
            upstream = args[-1] if upstream is None else upstream

            def in_parts(parts: list[Pair]) -> tuple[Any, Any]:
                return _gradient(x, kernel, upstream, window, parts, kept)

            if len(parts) == 1 or x.shape[2] is not None:
                return in_parts(parts)
            # A small batch needs no parts, which would have to be joined to a tensor of the
            # kernel's size.
            fits = ops.shape(x)[2] <= MAX_PATCHES // (rows * columns * patch)
            return ops.cond(fits, lambda: in_parts([(0, rows)]), lambda: in_parts(parts))

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
        patches = unfold(after(part, for_x), window) if kept is None else kept
        for_kernel.append(matmul(patches, above, transpose_a=True))
        above = after(above, for_kernel)  # the patches are freed before their gradient is made
        patches = matmul(above, kernel[start:stop], transpose_b=True)
        shape = (pixels.stop - pixels.start, x.shape[1], x.shape[3])
        folded = fold(patches, shape, window)
        around = (pixels.start, x.shape[0] - pixels.stop)
        for_x.append(ops.pad(folded, (around, (0, 0), (0, 0), (0, 0))) if any(around) else folded)
    return functools.reduce(ops.add, for_x), _concatenate(for_kernel)


def tied_product(x: Any, kernel: Any, bias: Any, window: Window, region: Pair) -> Any:
    """Multiply the patch at each position by a kernel that other positions use too; add the bias.

    The position (row, column) uses the kernel at `row // region % rows of kernels`, and so for
    columns.
    """

    @with_gradient
    def patches_of(x: Any) -> tuple[Any, Callable[..., Any]]:
        shape = (x.shape[0], x.shape[1], x.shape[3])

        def gradient(*args: Any, upstream: Any = None) -> Any:
            return fold(args[-1] if upstream is None else upstream, shape, window)

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
    y = _add(ops.matmul(ops.reshape(y, (*groups, -1, kernel.shape[2])), kernel), bias)
    y = ops.reshape(y, (*groups, tiles[1], region[1], -1))
    y = ops.transpose(y, (0, 2, 1, 3, 4))
    y = ops.reshape(y, (groups[0], full[1], tiles[0], region[0], -1))
    y = ops.transpose(y, (2, 0, 3, 1, 4))
    y = ops.reshape(y, (*full, -1, kernel.shape[3]))
    return y[: positions[0], : positions[1]]


def _add(y: Any, bias: Any) -> Any:
    # Not by `ops.add`, which can take another axis for the channels.
    return y if bias is None else y + ops.expand_dims(bias, 2)


def _fused_product(patches: Any, kernel: Any) -> Any:
    """Multiply matrices as a sum of products of each value by a row."""
    terms = [
        patches[..., value : value + 1] * kernel[:, :, None, value]
        for value in range(kernel.shape[2])
    ]
    return functools.reduce(ops.add, terms)


def _concatenate(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=0)
