"""Locally connected layers as NumPy loops in float64: what the tests compare the layers with."""

import itertools
import math
from types import SimpleNamespace

import keras
import numpy as np


def positions(size, *, kernel_size, stride, padding, dilation):
    """Positions along one axis, and the zeros before its first pixel."""
    span = (kernel_size - 1) * dilation + 1
    if padding == "valid":
        return (size - span) // stride + 1, 0
    count = math.ceil(size / stride)
    return count, max((count - 1) * stride + span - size, 0) // 2


def local_reference(x, kernel, bias, upstream, config):
    """Outputs, and the gradients of their product with `upstream`, of channels-last images.

    `config` is a layer's configuration with every setting as a pair; `x` is (batch, height, width,
    channels), `kernel` (kernel rows, kernel columns, patch, filters).
    """
    batch, height, width, channels = x.shape
    (rows, top), (columns, left) = (
        positions(
            size,
            kernel_size=config["kernel_size"][axis],
            stride=config["strides"][axis],
            padding=config["padding"],
            dilation=config["dilation_rate"][axis],
        )
        for axis, size in enumerate((height, width))
    )
    y = np.zeros((batch, rows, columns, kernel.shape[-1]))
    dx, dkernel, dbias = np.zeros(x.shape), np.zeros(kernel.shape), np.zeros(bias.shape)
    for row, column in itertools.product(range(rows), range(columns)):
        own = (
            row // config["region"][0] % kernel.shape[0],
            column // config["region"][1] % kernel.shape[1],
        )
        weights = kernel[own].reshape(*config["kernel_size"], channels, -1)
        above = upstream[:, row, column]
        y[:, row, column] = bias[own]
        dbias[own] += above.sum(0)
        dweights = dkernel[own].reshape(weights.shape)  # a view
        for pixel in np.ndindex(*config["kernel_size"]):
            i = row * config["strides"][0] + pixel[0] * config["dilation_rate"][0] - top
            j = column * config["strides"][1] + pixel[1] * config["dilation_rate"][1] - left
            if 0 <= i < height and 0 <= j < width:
                y[:, row, column] += x[:, i, j] @ weights[pixel]
                dx[:, i, j] += above @ weights[pixel].T
                dweights[pixel] += x[:, i, j].T @ above
    return y, dx, dkernel, dbias


def local_example(layer, shape):
    """Random input, weights and upstream gradient for `layer`, and what it must give for them.

    `shape` is (batch, height, width, channels), or (batch, steps, channels); `layer` gets built.
    """
    rank = len(shape) - 2
    first = layer.data_format == "channels_first"
    moved = (0, rank + 1, *range(1, rank + 1)) if first else tuple(range(rank + 2))
    if not layer.built:
        layer.build(tuple(shape[axis] for axis in moved))
    random = np.random.default_rng(7)
    patch = math.prod(layer.kernel_size) * shape[-1]
    x = random.normal(size=shape)
    kernel = random.normal(size=layer.kernel.shape) / math.sqrt(patch)
    bias = random.normal(size=(*kernel.shape[:-2], layer.filters)) * layer.use_bias
    pairs = {
        name: (1, *getattr(layer, name))[-2:]
        for name in ("kernel_size", "strides", "dilation_rate", "region")
    }
    config = {"padding": layer.padding, **pairs}
    counts = [
        positions(
            size,
            kernel_size=layer.kernel_size[axis],
            stride=layer.strides[axis],
            padding=layer.padding,
            dilation=layer.dilation_rate[axis],
        )[0]
        for axis, size in enumerate(shape[1:-1])
    ]
    upstream = random.normal(size=(shape[0], *counts, layer.filters))
    arrays = x, kernel, bias, upstream
    if rank == 1:  # a height of 1
        axes = (1, 0, 0, 1)
        arrays = tuple(
            np.expand_dims(array, axis) for array, axis in zip(arrays, axes, strict=True)
        )
    y, dx, dkernel, dbias = local_reference(*arrays, config)
    if rank == 1:
        y, dx, dkernel, dbias = y[:, 0], dx[:, 0], dkernel[0], dbias[0]
    weights, dweights = [kernel, bias], [dkernel, dbias]
    return SimpleNamespace(
        x=np.float32(x.transpose(moved)),
        weights=[np.float32(weight) for weight in weights[: 1 + layer.use_bias]],
        upstream=np.float32(upstream.transpose(moved)),
        expected=[
            y.transpose(moved),
            dx.transpose(moved),
            *dweights[: 1 + layer.use_bias],
        ],
    )


def assert_same(actual, expected, tolerance=1e-5):
    """Outputs, then gradients of the input, the kernel and the bias."""
    names = ("outputs", "input gradient", "kernel gradient", "bias gradient")
    assert len(actual) == len(expected)
    for name, one, other in zip(names, actual, expected, strict=False):
        one = keras.ops.convert_to_numpy(one)
        assert one.shape == other.shape, name
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=name)
