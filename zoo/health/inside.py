"""What a compiled train step computes of its gradients and weights, on both backends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

SAMPLE = 1024  # values of each variable that norms are taken of
LARGE = 2**15  # values of a gradient; of more, some tell whether it is finite


def stride_of(size: int) -> int:
    """Choose a stride of a variable's values that meets all of its rows and columns."""
    stride = -(-size // SAMPLE) or 1
    while stride < size and math.gcd(stride, size) > 1:
        stride += 1
    return stride


def all_finite(tensors: Sequence[Any]) -> Any:
    """Tell whether all tensors are finite, by sums of those of one shape together.

    NaN and infinite values stay so in a sum, and a pass over the memory is all that it takes.
    """
    alike: dict[Any, list[Any]] = defaultdict(list)
    for number, tensor in enumerate(tensors):
        shape = tuple(tensor.shape)
        alike[number if None in shape else shape, tensor.dtype].append(tensor)
    totals = [ops.cast(ops.sum(_added(same)), "float32") for same in alike.values()]
    return ops.all(ops.isfinite(ops.stack(totals)))


def of_shape(gradient: Any, shape: Sequence[int]) -> Any:
    """Give a gradient with its shape, which TensorFlow does not always know."""
    is_known = getattr(gradient.shape, "is_fully_defined", lambda: True)
    if hasattr(gradient, "indices") or is_known():
        return gradient
    import tensorflow as tf

    return tf.ensure_shape(gradient, shape)


def crossed(gradient: Any) -> Any:
    """Give of a large gradient values of all rows and columns: a NaN that goes back fills one."""
    if hasattr(gradient, "indices"):  # of some rows, as embeddings have
        return gradient.values
    size = math.prod(gradient.shape)
    return _flat(gradient)[:: stride_of(size)] if size > LARGE else gradient


def _added(tensors: Sequence[Any]) -> Any:
    if len(tensors) > 1 and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.add_n(tensors)
    return sum(tensors[1:], tensors[0])


def of_compiled(
    has_weights: Any,
    gradients: Sequence[Any],
    weights: Sequence[Any],
    keep: Callable[[Any], None],
) -> tuple[Any, Any, Any, Any]:
    """Give norms of gradients, samples of weights, whether all is finite, and what is.

    This is for compilers. It is only sums and maxima that it makes of gradients, and in every step:
    XLA computes them within the update, which it would round another way if they had to be there as
    they are, in a result or for a branch.

    Args:
        has_weights: Whether what is known beside the gradients is finite.
        gradients: The gradients.
        weights: The values of the weights.
        keep: Called on JAX, in a step that is not finite, with what is of the gradients, and all
            weights.

    Returns:
        The norms of the gradients' samples; samples of the weights; whether all is finite; whether
        each gradient is, and then each of the weights if not all is.
    """
    sums = ops.stack([ops.cast(ops.sum(crossed(one)), "float32") for one in gradients])
    good = ops.isfinite(sums)
    is_good = ops.logical_and(ops.all(good), has_weights)
    norms, flags = ops.stack([_norm(one) for one in gradients]), ops.cast(good, "float32")
    values = norms, _samples(*weights), is_good
    if keras.backend.backend() == "jax":
        import jax

        def kept(*tensors: Any) -> None:
            jax.debug.callback(keep, _all(*tensors))

        jax.lax.cond(is_good, lambda *_: None, kept, flags, *weights)
        return *values, flags
    of_weights = _case(ops.cast(is_good, "int32"), weights, [_flags, _ones])
    return *values, ops.concatenate([flags, of_weights])


def of_gradients(
    is_due: Any, is_good: Any, gradients: Sequence[Any], shapes: Sequence[Sequence[int]]
) -> Any:
    """Give nothing, samples or flags of TensorFlow's gradients.

    Those of embeddings hold some rows alone, and are made whole only where they are wanted.
    """
    import tensorflow as tf

    parts = [
        (one.values, one.indices) if isinstance(one, tf.IndexedSlices) else (one,)
        for one in gradients
    ]

    def whole(shape: Sequence[int], values: Any, indices: Any = None) -> Any:
        if indices is None:
            return values
        return tf.ensure_shape(tf.math.unsorted_segment_sum(values, indices, shape[0]), shape)

    def of_whole(do: Callable[..., Any]) -> Callable[..., Any]:
        def with_whole(*tensors: Any) -> Any:
            left = iter(tensors)
            own = [[next(left) for _ in part] for part in parts]
            return do(*(whole(shape, *one) for shape, one in zip(shapes, own, strict=True)))

        return with_whole

    tensors = [tensor for part in parts for tensor in part]
    return _case(_branch(is_due, is_good), tensors, [_empty, of_whole(_samples), of_whole(_flags)])


def of_weights(is_due: Any, is_good: Any, variables: Sequence[Any]) -> Any:
    """Give nothing, samples or all values of TensorFlow's variables.

    Only the branch that is taken reads them: to read them in each step takes its time, and a value
    that is held would be copied by its update. Each input of a branch takes its time, too, so that
    on a CPU they go in as one tensor of handles. TensorFlow then does not know that they are read:
    the update is to wait for what this gives.
    """
    import tensorflow as tf

    variables = [getattr(variable, "_value", variable) for variable in variables]
    handles = [variable.handle for variable in variables]
    are_packed = all("CPU" in variable.device for variable in variables)
    if are_packed:
        with tf.init_scope():
            handles = [tf.stack(handles)]

    def reading(do: Callable[..., Any]) -> Callable[..., Any]:
        def with_values(*handles: Any) -> Any:
            own = tf.unstack(handles[0], len(variables)) if are_packed else handles
            return do(*map(_read, own, variables))

        return with_values

    branches = [_empty, reading(_samples), reading(_all)]
    return _case(_branch(is_due, is_good), handles, branches, tf.raw_ops.Case)


def _read(handle: Any, variable: Any) -> Any:
    import tensorflow as tf

    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.dtype)
    return tf.ensure_shape(value, variable.shape)


def _branch(is_due: Any, is_good: Any) -> Any:
    return ops.where(is_good, ops.cast(is_due, "int32"), 2)


def _case(
    branch: Any,
    tensors: Sequence[Any],
    branches: Sequence[Callable[..., Any]],
    operation: Any = None,
) -> Any:
    """Do as `tf.switch_case` does, but as one operation.

    That one would make an operation of each tensor and of each step of the branches that are not
    taken, each of which takes its time.
    """
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    if tf.executing_eagerly():
        return branches[int(branch)](*tensors)
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
    return (operation or tf.raw_ops.StatelessCase)(
        branch_index=branch,
        input=tensors,
        Tout=[tf.float32],
        branches=[
            tf.function(one, autograph=False).get_concrete_function(*specs) for one in branches
        ],
    )[0]


def _empty(*tensors: Any) -> Any:
    del tensors  # TensorFlow names the inputs by theirs, and warns of `_`
    return ops.zeros((0,), "float32")


def _ones(*tensors: Any) -> Any:
    return ops.ones((len(tensors),), "float32")


def _sample(tensor: Any) -> Any:
    return _flat(tensor)[:: stride_of(math.prod(tensor.shape))]


def _samples(*tensors: Any) -> Any:
    return _joined([_sample(tensor) for tensor in tensors])


def _norm(tensor: Any) -> Any:
    """Give the norm of a tensor's sample, of which no square is too large."""
    sizes = ops.abs(ops.cast(_sample(tensor), "float32"))
    largest = ops.max(sizes, initial=0.0)
    return largest * ops.sqrt(ops.sum(ops.square(sizes / ops.where(largest > 0, largest, 1.0))))


def _all(*tensors: Any) -> Any:
    return _joined([_flat(tensor) for tensor in tensors])


def _flags(*tensors: Any) -> Any:
    return ops.stack([ops.cast(ops.all(ops.isfinite(tensor)), "float32") for tensor in tensors])


def _flat(tensor: Any) -> Any:
    return ops.reshape(tensor, (-1,))


def _joined(tensors: Sequence[Any]) -> Any:
    return ops.concatenate([ops.cast(tensor, "float32") for tensor in tensors])
