"""Contestants of locally_connected.py: the same step by each library, in each of its settings.

A library is imported in the process that runs it and in no other.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from local_shapes import Shape, channels_first, channels_last, random_data

Outputs = tuple[Any, Any, Any, Any]  # outputs; gradients of inputs, kernel, bias
Step = tuple[Callable[[], Outputs], Callable[[Outputs], Outputs]]  # and its outputs, in our layout


def keras_zoo(shape: Shape, *, jit: bool, fused: bool = True) -> Step:
    from zoo import layers
    from zoo.layers import products

    if not fused:
        products.MAX_FUSED_PATCH = 0

    kind = (layers.LocallyConnected1D, layers.LocallyConnected2D)[len(shape.sides) - 1]
    layer = kind(shape.filters, shape.kernel_size, shape.strides)
    layer.build((None, *shape.sides, shape.channels))
    inputs, kernel, bias, gradient = random_data(shape)
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    forward = partial(layer, training=True)
    return tensorflow_step(forward, [layer.kernel.value, layer.bias.value], inputs, gradient, jit)


def tf_keras(shape: Shape, *, implementation: int, jit: bool) -> Step:
    from tf_keras import layers

    kind = (layers.LocallyConnected1D, layers.LocallyConnected2D)[len(shape.sides) - 1]
    layer = kind(shape.filters, shape.kernel_size, shape.strides, implementation=implementation)
    layer.build((None, *shape.sides, shape.channels))
    inputs, kernel, bias, gradient = random_data(shape)
    kernel = kernel.reshape(math.prod(shape.positions), -1, shape.filters)
    if implementation == 1:
        layer.kernel.assign(kernel)
    if implementation == 2:
        dense = np.zeros(layer.kernel.shape, "float32")
        for one, place in zip(kernel, dense_places(shape), strict=True):
            dense[place] = one.reshape(dense[place].shape)
        layer.kernel.assign(dense)
    if implementation == 3:
        layer.kernel.assign(kernel.swapaxes(1, 2).reshape(-1))
    layer.bias.assign(bias)

    def ours(results: Outputs) -> Outputs:
        outputs, d_inputs, d_kernel, d_bias = (value.numpy() for value in results)
        if implementation == 2:
            parts = [d_kernel[place].reshape(shape.kernel[-2:]) for place in dense_places(shape)]
            d_kernel = np.stack(parts)
        if implementation == 3:
            d_kernel = d_kernel.reshape(-1, shape.filters, shape.kernel[-2]).swapaxes(1, 2)
        return outputs, d_inputs, d_kernel, d_bias

    step, _ = tensorflow_step(layer, [layer.kernel, layer.bias], inputs, gradient, jit)
    return step, ours


def dense_places(shape: Shape) -> list[tuple[Any, ...]]:
    """Where each position's kernel lies in the matrix of implementation 2."""
    size, strides, positions = shape.kernel_size, shape.strides, np.ndindex(*shape.positions)
    return [
        (*(slice(i * strides, i * strides + size) for i in at), slice(None), *at)
        for at in positions
    ]


def einsum(shape: Shape, *, jit: bool) -> Step:
    import tensorflow as tf

    inputs, kernel, bias, gradient = random_data(shape)
    variables = [tf.Variable(kernel), tf.Variable(bias)]
    places = "hw"[-len(shape.sides) :]

    def forward(x: tf.Tensor) -> tf.Tensor:
        patches = []
        for begin in itertools.product(range(shape.kernel_size), repeat=len(shape.sides)):
            spans = zip(begin, shape.positions, strict=True)
            window = (slice(b, b + (n - 1) * shape.strides + 1, shape.strides) for b, n in spans)
            patches.append(x[(slice(None), *window)])
        patch = tf.concat(patches, -1)
        return tf.einsum(f"n{places}p,{places}pf->n{places}f", patch, variables[0]) + variables[1]

    return tensorflow_step(forward, variables, inputs, gradient, jit)


def tensorflow_step(
    forward: Callable, variables: list, inputs: np.ndarray, gradient: np.ndarray, jit: bool
) -> Step:
    import tensorflow as tf

    # The size of the batch is unknown, as it is in `fit`.
    signature = [tf.TensorSpec((None, *data.shape[1:])) for data in (inputs, gradient)]

    @tf.function(input_signature=signature, jit_compile=jit)
    def differentiate(x: tf.Tensor, upstream: tf.Tensor) -> Outputs:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        return y, *tape.gradient(y, [x, *variables], output_gradients=upstream)

    x, upstream = tf.constant(inputs), tf.constant(gradient)

    def step() -> Outputs:
        results = differentiate(x, upstream)
        results[-1].numpy()  # wait
        return results

    return step, lambda results: tuple(value.numpy() for value in results)


def pytorch(
    shape: Shape,
    *,
    unfold: str,
    product: str,
    compiled: bool = False,
    huge_pages: bool = False,
) -> Step:
    os.environ["THP_MEM_ALLOC_ENABLE"] = str(int(huge_pages))  # before the first tensor

    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    rank, places = len(shape.sides), math.prod(shape.positions)
    inputs, kernel, bias, gradient = random_data(shape)
    kernel = channels_first(kernel, shape).reshape(places, -1, shape.filters)
    leaves = [np.moveaxis(inputs, -1, 1).copy(), kernel, bias.reshape(places, -1)]
    x, weights, biases = leaves = [torch.from_numpy(leaf).requires_grad_() for leaf in leaves]
    upstream = torch.from_numpy(np.moveaxis(gradient, -1, 1).copy())
    size, stride = ((1, *(n,) * rank)[-2:] for n in (shape.kernel_size, shape.strides))

    def forward(x: torch.Tensor, weights: torch.Tensor, biases: torch.Tensor) -> torch.Tensor:
        x = x if rank == 2 else x.unsqueeze(2)  # 1D is 2D of height 1
        if unfold == "F.unfold":
            patches = torch.nn.functional.unfold(x, size, stride=stride).permute(2, 0, 1)
        else:
            windows = x.unfold(2, size[0], stride[0]).unfold(3, size[1], stride[1])
            patches = windows.permute(2, 3, 0, 1, 4, 5).reshape(places, len(x), -1)
        if product == "bmm":  # (places, batch, filters)
            y = torch.bmm(patches, weights) + biases.unsqueeze(1)
        elif product == "baddbmm":
            y = torch.baddbmm(biases.unsqueeze(1), patches, weights)
        else:
            y = torch.einsum("lnp,lpf->lnf", patches, weights) + biases.unsqueeze(1)
        return y.permute(1, 2, 0).unflatten(2, shape.positions)

    forward = torch.compile(forward) if compiled else forward

    def step() -> Outputs:
        y = forward(x, weights, biases)
        return y, *torch.autograd.grad(y, leaves, upstream)

    def ours(results: Outputs) -> Outputs:
        y, d_inputs, d_kernel, d_bias = (value.detach().numpy() for value in results)
        d_kernel = channels_last(d_kernel, shape)
        return np.moveaxis(y, 1, -1), np.moveaxis(d_inputs, 1, -1), d_kernel, d_bias

    return step, ours


def jax_local(shape: Shape, *, data_format: str) -> Step:
    import jax

    inputs, kernel, bias, gradient = random_data(shape)
    places = "HW"[-len(shape.sides) :]
    last = data_format == "channels_last"
    layout = f"N{places}C" if last else f"NC{places}"
    turn = (lambda data: data) if last else (lambda data: np.moveaxis(data, -1, 1))
    turn_bias = (lambda data: data) if last else (lambda data: np.moveaxis(data, -1, 0))

    def forward(x: Any, kernel: Any, bias: Any) -> Any:
        strides, size = ((n,) * len(places) for n in (shape.strides, shape.kernel_size))
        dimensions = (layout, f"{places}IO", layout)
        convolve = jax.lax.conv_general_dilated_local
        return convolve(x, kernel, strides, "VALID", size, dimension_numbers=dimensions) + bias

    @jax.jit
    def differentiate(upstream: Any, *arguments: Any) -> Outputs:
        y, pull_back = jax.vjp(forward, *arguments)
        return y, *pull_back(upstream)

    arguments = [turn(gradient), turn(inputs), channels_first(kernel, shape), turn_bias(bias)]
    arguments = jax.block_until_ready([jax.numpy.array(argument) for argument in arguments])

    def ours(results: Outputs) -> Outputs:
        y, d_inputs, d_kernel, d_bias = (np.asarray(value) for value in results)
        if not last:
            y, d_inputs = np.moveaxis(y, 1, -1), np.moveaxis(d_inputs, 1, -1)
            d_bias = np.moveaxis(d_bias, 0, -1)
        return y, d_inputs, channels_last(d_kernel, shape), d_bias

    return lambda: jax.block_until_ready(differentiate(*arguments)), ours


def products_in_tensorflow(shape: Shape) -> Step:
    import tensorflow as tf

    @tf.function
    def multiply(patches: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        d_kernel = tf.matmul(patches, upstream, transpose_a=True)
        with tf.control_dependencies([d_kernel]):  # one after the other, as in a step
            d_patches = tf.matmul(upstream, kernel, transpose_b=True)
        with tf.control_dependencies([d_patches]):
            return [tf.matmul(patches, kernel), d_kernel, d_patches]

    factors = [tf.constant(factor) for factor in random_factors(shape)]
    return lambda: [product[0, 0, 0].numpy() for product in multiply(*factors)], tuple


def products_in_pytorch(shape: Shape) -> Step:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    patches, kernel, upstream = (torch.from_numpy(factor) for factor in random_factors(shape))

    def step() -> Any:
        turned, kernel_turned = patches.transpose(1, 2), kernel.transpose(1, 2)
        return [patches.bmm(kernel), turned.bmm(upstream), upstream.bmm(kernel_turned)]

    return step, tuple


def random_factors(shape: Shape) -> list[np.ndarray]:
    """Patches, kernel and gradient of the outputs, position by position."""
    *positions, patch, filters = shape.kernel
    places, batch = math.prod(positions), shape.batch
    normal = partial(np.random.default_rng(0).standard_normal, dtype="float32")
    return [
        normal(sides)
        for sides in ((places, batch, patch), (places, patch, filters), (places, batch, filters))
    ]


TORCH_SETTINGS = {
    "F.unfold, bmm": dict(unfold="F.unfold", product="bmm"),
    "F.unfold, baddbmm": dict(unfold="F.unfold", product="baddbmm"),
    "F.unfold, einsum": dict(unfold="F.unfold", product="einsum"),
    "Tensor.unfold, bmm": dict(unfold="Tensor.unfold", product="bmm"),
    "Tensor.unfold, bmm, compiled": dict(unfold="Tensor.unfold", product="bmm", compiled=True),
    "the same, huge pages": dict(
        unfold="Tensor.unfold", product="bmm", compiled=True, huge_pages=True
    ),
}
CONTESTANTS: dict[str, dict[str, Callable[[Shape], Step]]] = {
    "keras-zoo": {
        "plain": partial(keras_zoo, jit=False),
        "jit": partial(keras_zoo, jit=True),
        "not fused": partial(keras_zoo, jit=False, fused=False),
        "jit, not fused": partial(keras_zoo, jit=True, fused=False),
    },
    "tf_keras": {
        f"implementation {number}{', jit' * jit}": partial(tf_keras, implementation=number, jit=jit)
        for number, jit in ((1, False), (1, True), (2, False), (2, True), (3, False))
    },
    "PyTorch": {name: partial(pytorch, **how) for name, how in TORCH_SETTINGS.items()},
    "JAX": {
        data_format: partial(jax_local, data_format=data_format)
        for data_format in ("channels_last", "channels_first")
    },
    "einsum": {"plain": partial(einsum, jit=False), "jit": partial(einsum, jit=True)},
}
PRODUCTS = {"TensorFlow": products_in_tensorflow, "PyTorch": products_in_pytorch}
"""The three matrix products of a step alone, on patches that are ready."""
