"""What one of Keras's backends needs told; the others find out themselves."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def on_tensorflow() -> bool:
    """Whether Keras computes with TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """Multiply matrices; TensorFlow would copy a transposed one in memory."""
    if on_tensorflow():
        import tensorflow as tf

        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def after(x: Any, made: list[Any]) -> Any:
    """Return `x` once the last of `made` is made: TensorFlow would begin all parts at once."""
    if not made or not on_tensorflow():
        return x
    import tensorflow as tf

    with tf.control_dependencies(made[-1:]):
        return tf.identity(x)


def with_gradient(function: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """Make a function of one that returns its value and its gradient."""
    if keras.backend.backend() == "torch":
        import torch

        if torch.jit.is_tracing():  # for ONNX, which has no word for a gradient
            return lambda *tensors: function(*tensors)[0]
    return ops.custom_gradient(function)


@functools.cache
def compiled(function: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """Bind a function's last arguments; on TensorFlow, compile it into one pass over memory."""

    def bound(*tensors: Any) -> Any:
        return function(*tensors, *static)

    if not on_tensorflow():
        return bound
    import tensorflow as tf

    return tf.function(bound, jit_compile=True, autograph=False)
