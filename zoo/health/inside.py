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


def of_both(
    is_due: Any,
    is_good: Any,
    gradients: Sequence[Any],
    weights: Sequence[Any],
    keep: Callable[[Any], None],
) -> Any:
    """Give samples of gradients and weights as one vector of one shape, as compilers want it.

    Zeros in most steps; samples of all gradients, then of all weights, in a step that is due. In
    one that is not finite XLA gives TensorFlow a flag for each of them that is, and zeros; on JAX
    `keep` is called with the flags of the gradients and all weights.
    """
    branch, tensors = _branch(is_due, is_good), [*gradients, *weights]
    if keras.backend.backend() != "jax":
        return _case(branch, tensors, [_nothing, _samples, _flags])
    import jax

    def kept(*tensors: Any) -> Any:
        count = len(gradients)
        everything = [_are_finite(tensors[:count]), *map(_flat, tensors[count:])]
        jax.debug.callback(keep, _joined(everything))
        return _nothing(*tensors)

    return jax.lax.switch(branch, [_nothing, _samples, kept], *tensors)


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
    return _case(
        _branch(is_due, is_good), tensors, [_empty, of_whole(_samples), of_whole(_all_flags)]
    )


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


def _nothing(*tensors: Any) -> Any:
    sizes = [math.prod(tensor.shape) for tensor in tensors]
    return ops.zeros((sum(-(-size // stride_of(size)) for size in sizes),), "float32")


def _samples(*tensors: Any) -> Any:
    return _joined([_flat(one)[:: stride_of(math.prod(one.shape))] for one in tensors])


def _all(*tensors: Any) -> Any:
    return _joined([_flat(tensor) for tensor in tensors])


def _all_flags(*tensors: Any) -> Any:
    return ops.cast(_are_finite(tensors), "float32")


def _flags(*tensors: Any) -> Any:
    return _joined([_are_finite(tensors), _nothing(*tensors)[len(tensors) :]])


def _are_finite(tensors: Sequence[Any]) -> Any:
    return ops.stack([ops.all(ops.isfinite(tensor)) for tensor in tensors])


def _flat(tensor: Any) -> Any:
    return ops.reshape(tensor, (-1,))


def _joined(tensors: Sequence[Any]) -> Any:
    return ops.concatenate([ops.cast(tensor, "float32") for tensor in tensors])
