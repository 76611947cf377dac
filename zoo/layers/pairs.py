"""Two batches as one, so that a shared trunk runs once, and what is between them."""

from typing import Any

import keras
from keras import ops

from zoo.layers.base import SameShape


@keras.saving.register_keras_serializable("zoo")
class Stack(keras.layers.Layer):
    """Put two batches of the same size one after the other.

    Example:
        >>> Stack()(ops.zeros((4, 8)), ops.ones((4, 8))).shape
        TensorShape([8, 8])
    """

    def call(self, left: Any, right: Any) -> Any:
        """Give the left batch and below it the right one."""
        if left.shape[0] != right.shape[0]:
            raise ValueError(
                f"Left and right batches must have the same size, received {left.shape[0]} and "
                f"{right.shape[0]} examples."
            )
        return ops.concatenate([left, right], axis=0)

    def compute_output_shape(self, left_shape: Any, right_shape: Any) -> Any:
        """Give the shape of the stack."""
        return (None if left_shape[0] is None else 2 * left_shape[0], *left_shape[1:])


@keras.saving.register_keras_serializable("zoo")
class Unstack(keras.layers.Layer):
    """Take the two batches apart that `Stack` put together.

    Example:
        >>> left, right = Unstack()(Stack()(ops.zeros((4, 8)), ops.ones((4, 8))))
        >>> left.shape, float(right[0, 0])
        (TensorShape([4, 8]), 1.0)
    """

    def call(self, inputs: Any) -> Any:
        """Give the left batch and the right one."""
        # Sliced, not split: in graphs, TensorFlow 2.21's arithmetic optimizer makes both parts of a
        # split the first one, where the same activation and then a pooling follow on both.
        half = ops.shape(inputs)[0] // 2
        return inputs[:half], inputs[half:]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shapes of both."""
        half = (None if input_shape[0] is None else input_shape[0] // 2, *input_shape[1:])
        return half, half


@keras.saving.register_keras_serializable("zoo")
class AbsoluteDifference(SameShape):
    """Give the absolute differences between two embeddings.

    Example:
        >>> float(AbsoluteDifference()(ops.ones((1, 1)), 3 * ops.ones((1, 1)))[0, 0])
        2.0
    """

    def call(self, left: Any, right: Any) -> Any:
        """Give differences of the inputs' shape."""
        return ops.abs(left - right)
