"""What TensorFlow made a gradient of: to take this, and not the gradient, leaves the update alone.

Embeddings have gradients of some rows, which would take time to make whole. And where only the
update uses a product, TensorFlow multiplies both in one order that takes least: what used the
product, too, would keep it from that, and round the update in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from zoo.health.samples import crossed


class Parts:
    """The tensors that a gradient is made of.

    Args:
        gradient: A gradient of TensorFlow's, a tensor or some rows of one.
        shape: Its shape, which TensorFlow does not always know.

    Attributes:
        tensors: The parts.
        floats: Those whose values tell whether the gradient is finite.
    """

    def __init__(self, gradient: Any, shape: Sequence[int]) -> None:
        import tensorflow as tf

        self._shape = shape
        self._make: Callable[..., Any] = _product
        if isinstance(gradient, tf.IndexedSlices):
            self._make = self._of_rows
            self.tensors, self.floats = [gradient.values, gradient.indices], [gradient.values]
            return
        self.tensors = [gradient] if tf.executing_eagerly() else _factors(gradient)
        if len(self.tensors) == 1 or any(one.shape.rank is None for one in self.tensors):
            # A large one is let go, so that its memory serves the update, as it else does.
            self.tensors = [crossed(dense(gradient, shape))]
            self._shape = self.tensors[0].shape
        self.floats = [crossed(tensor) for tensor in self.tensors]

    def whole(self, *tensors: Any) -> Any:
        """Make the gradient of its parts; of a large one, a sample."""
        import tensorflow as tf

        return tf.ensure_shape(self._make(*tensors), self._shape)

    def _of_rows(self, values: Any, rows: Any) -> Any:
        import tensorflow as tf

        return tf.math.unsorted_segment_sum(values, rows, self._shape[0])


def dense(gradient: Any, shape: Sequence[int]) -> Any:
    """Give a gradient as one tensor with its shape, which TensorFlow does not always know."""
    tensor = ops.convert_to_tensor(gradient)
    if getattr(tensor.shape, "is_fully_defined", lambda: True)():
        return tensor
    import tensorflow as tf

    return tf.ensure_shape(tensor, shape)


def of_whole(gradients: Sequence[Parts], do: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of gradients take the tensors of all their parts."""

    def with_whole(*tensors: Any) -> Any:
        left = iter(tensors)
        return do(*(one.whole(*(next(left) for _ in one.tensors)) for one in gradients))

    return with_whole


def _factors(tensor: Any) -> list[Any]:
    if tensor.op.type != "Mul":
        return [tensor]
    return [factor for part in tensor.op.inputs for factor in _factors(part)]


def _product(*factors: Any) -> Any:
    return functools.reduce(lambda one, other: one * other, factors)
