"""Patches of images: what a kernel sees at each position."""

import functools
from typing import Any, NamedTuple

from keras import ops

from zoo.layers.backend import compiled

Pair = tuple[int, int]


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


def unfold(x: Any, window: Window) -> Any:
    """Collect the patch that a kernel sees at each position.

    One axis after the other takes 2k slices in place of k * k.
    """
    for axis in (1, 0):
        size, stride, step = (values[axis] for values in window)
        count = window.positions(axis, int(x.shape[axis]))
        phases = _phases(x, axis, stride)
        slices = []
        for pixel in range(size):
            begin, phase = divmod(pixel * step, stride)
            slices.append(_cut(phases[phase], axis, begin, begin + count))
        x = ops.concatenate(slices, axis=-1) if size > 1 else slices[0]
    return x


def fold(patches: Any, shape: tuple[int, int, int], window: Window) -> Any:
    """Add the values of patches up where they came from: the gradient of `unfold`."""
    # Two compilations: in one, XLA would add the rows up again for each column.
    rows = compiled(_fold_axis, 0, shape[0], window)(patches)
    return compiled(_fold_axis, 1, shape[1], window)(rows)


def _fold_axis(patches: Any, axis: int, side: int, window: Window) -> Any:
    size, stride, step = (values[axis] for values in window)
    length, count, depth = -(-side // stride), patches.shape[axis], patches.shape[-1] // size
    phases: list[list[Any]] = [[] for _ in range(stride)]
    for pixel in range(size):
        begin, phase = divmod(pixel * step, stride)
        around = [(0, 0)] * 4
        around[axis] = (begin, length - begin - count)
        values = patches[..., pixel * depth : (pixel + 1) * depth]
        phases[phase].append(ops.pad(values, around))
    return _interleave(phases, axis, side)


def _phases(x: Any, axis: int, stride: int) -> list[Any]:
    """Every `stride`-th slice of an axis, for each start below `stride`."""
    if stride == 1:
        return [x]
    # TensorFlow's slices with a stride copy value by value, much slower than this.
    side = int(x.shape[axis])
    length = -(-side // stride)
    around = [(0, 0)] * 4
    around[axis] = (0, length * stride - side)
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
