"""What a compiled train step computes of its gradients and weights, on both backends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from zoo.health.tap import Tap

SAMPLE = 1024  # values of each variable that norms are taken of


def stride_of(size: int) -> int:
    """Choose a stride of a variable's values that meets all of its rows and columns."""
    stride = -(-size // SAMPLE) or 1
    while stride < size and math.gcd(stride, size) > 1:
        stride += 1
    return stride


def all_finite(gradients: Sequence[Any]) -> Any:
    """Tell whether all gradients are finite, by sums of those of one shape together.

    NaN and infinite values stay so in a sum, and a pass over the memory is all that it takes.
    """
    alike: dict[Any, list[Any]] = defaultdict(list)
    for gradient in gradients:
        alike[tuple(gradient.shape), gradient.dtype].append(gradient)
    totals = [ops.cast(ops.sum(_added(same)), "float32") for same in alike.values()]
    return ops.all(ops.isfinite(ops.stack(totals)))


def _added(tensors: Sequence[Any]) -> Any:
    if len(tensors) > 1 and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.add_n(tensors)
    return sum(tensors[1:], tensors[0])


class Inside:
    """What is read of gradients and weights before an update: one vector, in one of three branches.

    Nothing in most steps; samples of all gradients, then of all weights, in a step that is due;
    and in one that is not finite a flag for each gradient that is, then all weights (where XLA
    compiles TensorFlow's step flags, too, and zeros).

    Args:
        tap: Knows the strides of the samples.
        keep: Called with the third vector on JAX, where all branches have one shape.
    """

    def __init__(self, tap: Tap, keep: Callable[[Any], None]) -> None:
        self.tap, self.keep = tap, keep
        self._functions: list[Any] = []

    def __call__(
        self, is_due: Any, is_good: Any, gradients: Sequence[Any], weights: Sequence[Any]
    ) -> Any:
        """Give the vector."""
        branch = ops.where(is_good, ops.cast(is_due, "int32"), 2)
        if keras.backend.backend() == "jax":
            import jax

            branches = [self._nothing, self._samples, self._call]
            return jax.lax.switch(branch, branches, *gradients, *weights)
        return self._case(branch, [*gradients, *weights])

    def _case(self, branch: Any, tensors: Sequence[Any]) -> Any:
        """Do as `tf.switch_case` does, but as one operation.

        That one would make an operation of each tensor and of each step of the branches that are
        not taken, each of which takes its time.
        """
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        is_compiled = bool(self.tap.model.jit_compile)
        last = self._flags if is_compiled else self._all  # XLA wants one shape
        branches = [self._nothing if is_compiled else self._empty, self._samples, last]
        if tf.executing_eagerly():
            return branches[int(branch)](*tensors)
        if not self._functions:
            self._functions = [tf.function(one, autograph=False) for one in branches]
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
        concrete = [one.get_concrete_function(*specs) for one in self._functions]
        return tf.raw_ops.StatelessCase(
            branch_index=branch, input=tensors, Tout=[tf.float32], branches=concrete
        )[0]

    def _empty(self, *tensors: Any) -> Any:
        return ops.zeros((0,), "float32")

    def _nothing(self, *tensors: Any) -> Any:
        strides = self._strides(tensors)
        sizes = [math.prod(tensor.shape) for tensor in tensors]
        count = sum(-(-size // by) for size, by in zip(sizes, strides, strict=True))
        return ops.zeros((count,), "float32")

    def _samples(self, *tensors: Any) -> Any:
        strides = self._strides(tensors)
        return _joined([_flat(one)[::by] for one, by in zip(tensors, strides, strict=True)])

    def _strides(self, tensors: Sequence[Any]) -> list[int]:
        return [stride_of(math.prod(tensor.shape)) for tensor in tensors]

    def _all(self, *tensors: Any) -> Any:
        gradients, weights = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        return _joined([_are_finite(gradients), *map(_flat, weights)])

    def _flags(self, *tensors: Any) -> Any:
        rest = self._nothing(*tensors)[len(tensors) :]
        return _joined([_are_finite(tensors), rest])

    def _call(self, *tensors: Any) -> Any:
        import jax

        jax.debug.callback(self.keep, self._all(*tensors))
        return self._nothing(*tensors)


def _are_finite(tensors: Sequence[Any]) -> Any:
    return ops.stack([ops.all(ops.isfinite(tensor)) for tensor in tensors])


def _flat(tensor: Any) -> Any:
    return ops.reshape(tensor, (-1,))


def _joined(tensors: Sequence[Any]) -> Any:
    return ops.concatenate([ops.cast(tensor, "float32") for tensor in tensors])
