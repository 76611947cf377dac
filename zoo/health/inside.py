"""What a compiled train step computes of its gradients and weights, on both backends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from zoo.health.parts import Parts, of_whole
from zoo.health.samples import crossed, sample_of


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


def _added(tensors: Sequence[Any]) -> Any:
    if len(tensors) > 1 and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.add_n(tensors)
    return sum(tensors[1:], tensors[0])


def of_compiled(
    has_weights: Any, gradients: Sequence[Any], weights: Sequence[Any]
) -> tuple[Any, Any, Any, Any]:
    """Give norms of gradients, samples of weights, whether all is finite, and what is.

    This is for XLA, which rounds an update in another way where its gradient has to be there as it
    is, in a result or for a branch, or is added up as it is. So that each is made into something
    first, which is reduced then, in every step. (A call of Python by JAX has that effect, too.)

    Args:
        has_weights: Whether what is known beside the gradients is finite.
        gradients: The gradients.
        weights: The values of the weights.

    Returns:
        The norms of the gradients' samples; samples of the weights; whether all is finite; whether
        each gradient is, and then each of the weights if not all is.
    """
    flags = _flags(*map(crossed, gradients))
    is_good = ops.logical_and(ops.all(flags > 0), has_weights)
    branches = [_flags, _ones]
    if keras.backend.backend() == "jax":
        import jax

        of_weights = jax.lax.switch(ops.cast(is_good, "int32"), branches, *weights)
    else:
        of_weights = _case(ops.cast(is_good, "int32"), weights, branches)
    norms = ops.stack([_norm(one) for one in gradients])
    return norms, _samples(*weights), is_good, ops.concatenate([flags, of_weights])


def of_gradients(is_due: Any, is_good: Any, gradients: Sequence[Parts]) -> Any:
    """Give nothing, samples or flags of TensorFlow's gradients."""
    tensors = [tensor for gradient in gradients for tensor in gradient.tensors]
    branches = [_empty, of_whole(gradients, _samples), of_whole(gradients, _flags)]
    return _case(_branch(is_due, is_good), tensors, branches)


def of_weights(is_due: Any, is_good: Any, variables: Sequence[Any]) -> Any:
    """Give nothing, samples or all values of TensorFlow's variables.

    Only the branch that is taken reads them: to read them in each step takes its time, and a value
    that is held would be copied by its update. That update waits for it, as TensorFlow knows that
    the branch has the variables.
    """
    import tensorflow as tf

    variables = [getattr(variable, "_value", variable) for variable in variables]

    def reading(do: Callable[..., Any]) -> Callable[..., Any]:
        def with_values(*handles: Any) -> Any:
            pairs = zip(handles, variables, strict=True)
            read = [tf.raw_ops.ReadVariableOp(resource=h, dtype=v.dtype) for h, v in pairs]
            return do(*(tf.ensure_shape(r, v.shape) for r, v in zip(read, variables, strict=True)))

        return with_values

    handles = [variable.handle for variable in variables]
    branches = [_empty, reading(_samples), reading(_all)]
    return _case(_branch(is_due, is_good), handles, branches, tf.raw_ops.Case)


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


def _samples(*tensors: Any) -> Any:
    return _joined([sample_of(tensor) for tensor in tensors])


def _norm(tensor: Any) -> Any:
    """Give the norm of a tensor's sample, of which no square is too large."""
    sizes = ops.abs(ops.cast(sample_of(tensor), "float32"))
    largest = ops.max(sizes, initial=0.0)
    return largest * ops.sqrt(ops.sum(ops.square(sizes / ops.where(largest > 0, largest, 1.0))))


def _all(*tensors: Any) -> Any:
    return _joined([ops.reshape(tensor, (-1,)) for tensor in tensors])


def _flags(*tensors: Any) -> Any:
    return ops.stack([ops.cast(ops.all(ops.isfinite(tensor)), "float32") for tensor in tensors])


def _joined(tensors: Sequence[Any]) -> Any:
    return ops.concatenate([ops.cast(tensor, "float32") for tensor in tensors])
