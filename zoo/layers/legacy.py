"""Weights of the locally connected layers of Keras 2 (`tf_keras`), for the layers here.

The old layers kept their kernels in one of three layouts, by `implementation`, in another order
of features under "channels_first", and with another alignment of "same" padding.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.layers.locally_connected import LocallyConnected


def convert_legacy_weights(
    layer: LocallyConnected, weights: Sequence[Any], *, zero_padding: Sequence[Any] | None = None
) -> list[np.ndarray]:
    """Bring the weights of a Keras 2 locally connected layer into this package's layout.

    The number of dimensions of the kernel shows which `implementation` made it: 3 for 1, 4 or 6 for
    2, one for 3. What 2 keeps outside of its mask is dropped.

    The old layers aligned "same" padding in a way of their own, `kernel_size // 2` zeros first.
    The layers here agree with it only where kernels are odd and the stride is 1 (or divides the
    side with a remainder of 1). For the others make a layer with padding "valid", put
    `ZeroPadding1D` or `ZeroPadding2D` before it, and give its `padding` here too.

    The bias is what the old layer added: under "channels_first" it read the memory of a bias of
    shape `(rows, columns, filters)` as `(filters, rows, columns)`.

    Args:
        layer: A built layer of the same arguments: unshared, not dilated.
        weights: What `get_weights()` of the old layer returns: the kernel and, with a bias, the
            bias of shape `(*positions, filters)`.
        zero_padding: Where a padding layer does the padding of the old one: zeros before and after
            each spatial axis, `((top, bottom), (left, right))`, or `(left, right)` in 1D.

    Returns:
        The kernel and, with a bias, the bias, for `layer.set_weights`.

    Raises:
        ValueError: If the layer is not built, shares weights, is dilated or pads in another way, or
            if the number or a shape of the weights does not fit it.

    Example:
        >>> from zoo.layers import LocallyConnected2D
        >>> layer = LocallyConnected2D(filters=8, kernel_size=3)
        >>> layer.build((None, 6, 6, 2))
        >>> legacy = [np.ones((16, 18, 8)), np.zeros((4, 4, 8))]  # as implementation 1 has them
        >>> layer.set_weights(convert_legacy_weights(layer, legacy))
        >>> layer.kernel.shape
        TensorShape([4, 4, 18, 8])
    """
    _check_layer(layer)
    legacy = LegacyLayer(layer, zero_padding)
    arrays = [np.asarray(weight) for weight in weights]
    received = [array.shape for array in arrays]
    biases = [legacy.bias_shape] * layer.use_bias
    for implementation, shape in legacy.kernel_shapes.items():
        if received == [shape, *biases]:
            kernel = legacy.read_kernel(implementation, arrays[0])
            return [kernel.reshape(tuple(layer.kernel.shape)), *map(legacy.read_bias, arrays[1:])]
    kernels = " or ".join(f"{shape} ({number})" for number, shape in legacy.kernel_shapes.items())
    raise ValueError(
        f"`weights` do not fit the layer {layer.name!r}: received the shapes {received}, expected "
        f"a kernel of {kernels}, by implementation, and "
        + (f"a bias of {legacy.bias_shape}. " if layer.use_bias else "no bias. ")
        + "Give the layer the old one's arguments and input shape, and the weights as the old "
        "layer's `get_weights()` returns them."
    )


def _check_layer(layer: Any) -> None:
    """Check that a layer can hold what an old one held."""
    if not isinstance(layer, LocallyConnected) or not layer.built:
        raise ValueError(
            "`layer` must be a built LocallyConnected1D or LocallyConnected2D, received "
            f"{layer!r}. Call it on data, or its `build` on the input shape, first."
        )
    positions = layer._positions(layer.input_spec.shape)
    if max(layer.dilation_rate) > 1 or tuple(layer.kernel.shape[:-2]) != positions:
        raise ValueError(
            f"The layer {layer.name!r} has `tile`={layer.tile}, `region`={layer.region} and "
            f"`dilation_rate`={layer.dilation_rate}, which Keras 2 had not: convert the weights "
            "into a layer with `tile`=None, `region`=1 and `dilation_rate`=1."
        )


class LegacyLayer:
    """The Keras 2 layer that a layer stands for: shapes and layouts of its weights."""

    def __init__(self, layer: LocallyConnected, zero_padding: Any = None) -> None:
        shape = layer.input_spec.shape
        self.rank = layer.rank
        self.channels = shape[layer._channel_axis]
        self.filters = layer.filters
        self.kernel_size = layer.kernel_size
        self.positions = layer._positions(shape)
        self.bias_shape = (*self.positions, self.filters)
        self.channels_first = layer.data_format == "channels_first"
        self.pads = zero_padding is not None or layer.padding == "same"
        zeros = _pairs(zero_padding, self.rank)
        self.sides = tuple(
            int(shape[axis] - sum(pair))
            for axis, pair in zip(layer._spatial_axes, zeros, strict=True)
        )
        if layer.padding == "same":
            zeros = zeros + np.array(layer._paddings(shape))
        if self.pads:
            self._check_padding(layer, zeros[:, 0])
        # For each axis, the input that each element sees at each position, (positions, size);
        # what is below 0 or beyond the side was padding, and had no weight.
        self.seen = [
            np.arange(count)[:, None] * stride + np.arange(size) - before
            for count, stride, size, before in zip(
                self.positions, layer.strides, self.kernel_size, zeros[:, 0], strict=True
            )
        ]
        self.inside = np.array(True)  # (*positions, *size)
        for axis, (seen, side) in enumerate(zip(self.seen, self.sides, strict=True)):
            self.inside = self.inside & self._spread((seen >= 0) & (seen < side), axis)

    @property
    def kernel_shapes(self) -> dict[int, tuple[int, ...]]:
        """Shape of the kernel by implementation."""
        channels, filters = self.channels, self.filters
        loop = (math.prod(self.positions), math.prod(self.kernel_size) * channels, filters)
        masked = (*self.sides, channels, *self.positions, filters)
        if self.channels_first:
            masked = (channels, *self.sides, filters, *self.positions)
        sparse = (int(self.inside.sum()) * channels * filters,)
        # Implementation 1 took no padding but "valid".
        return {2: masked, 3: sparse} if self.pads else {1: loop, 2: masked, 3: sparse}

    def read_bias(self, bias: np.ndarray) -> np.ndarray:
        """Order a bias as `(*positions, filters)`."""
        if not self.channels_first:
            return bias
        return np.moveaxis(bias.reshape(self.filters, *self.positions), 0, -1)

    def read_kernel(self, implementation: int, kernel: np.ndarray) -> np.ndarray:
        """Order a kernel as `(*positions, *size, channels, filters)`."""
        rank = self.rank
        if implementation == 1:
            if not self.channels_first:
                return kernel
            kernel = kernel.reshape(*self.positions, -1, *self.kernel_size, self.filters)
            return np.moveaxis(kernel, rank, -2)
        # Where the channels of the side that comes first, and of the second, stand.
        first, second = (0, rank + 1) if self.channels_first else (rank, 2 * rank + 1)
        if implementation == 2:  # (sides and channels, positions and filters)
            kernel = np.moveaxis(kernel, (first, second), (-2, -1))
            inputs = [
                self._spread(seen.clip(0, side - 1), axis)
                for axis, (seen, side) in enumerate(zip(self.seen, self.sides, strict=True))
            ]
            outputs = [
                self._spread(np.arange(count)[:, None], axis)
                for axis, count in enumerate(self.positions)
            ]
            return np.where(self.inside[..., None, None], kernel[*inputs, *outputs], 0)
        # The connections by output, then by input: (positions and filters, size and channels).
        connected = np.expand_dims(self.inside, (first, second))
        shape = list(connected.shape)
        shape[first], shape[second] = self.filters, self.channels
        dense = np.zeros(shape, kernel.dtype)
        dense[np.broadcast_to(connected, shape)] = kernel
        return np.moveaxis(dense, (second, first), (-2, -1))

    def _spread(self, array: np.ndarray, axis: int) -> np.ndarray:
        """Place `(positions, size)` of one axis among `(*positions, *size)`."""
        others = set(range(2 * self.rank)) - {axis, self.rank + axis}
        return np.expand_dims(array, tuple(others))

    def _check_padding(self, layer: LocallyConnected, before: np.ndarray) -> None:
        """Check that the padding is where the old layer had it."""
        needed, counts = [], []
        for side, size, stride in zip(self.sides, self.kernel_size, layer.strides, strict=True):
            counts.append(-(-side // stride))
            beyond = (counts[-1] - 1) * stride + size - size // 2 - side
            needed.append((size // 2, max(beyond, 0)))
        if tuple(before) != tuple(pair[0] for pair in needed) or self.positions != tuple(counts):
            padding = needed[0] if self.rank == 1 else tuple(needed)
            raise ValueError(
                f"The layer {layer.name!r} has {before.tolist()} zeros before each spatial axis "
                f"and {self.positions} positions, where 'same' padding in Keras 2 had "
                f"{[size // 2 for size in self.kernel_size]} and {tuple(counts)}. Make a layer "
                f"with padding='valid' after ZeroPadding{self.rank}D({padding}), and give "
                f"`zero_padding`={padding}."
            )


def _pairs(zero_padding: Any, rank: int) -> np.ndarray:
    """Zeros before and after each spatial axis, of shape (rank, 2)."""
    if zero_padding is None:
        return np.zeros((rank, 2), int)
    expected = (2,) if rank == 1 else (rank, 2)
    if np.shape(zero_padding) != expected:
        form = "(left, right)" if rank == 1 else "((top, bottom), (left, right))"
        raise ValueError(f"`zero_padding` must be {form}, received {zero_padding!r}.")
    return np.reshape(zero_padding, (rank, 2))
