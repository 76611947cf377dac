"""Batches handed to TensorFlow without the pauses that its automatic tuning makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def feed(batches: Any) -> Any:
    """Prepare batches for `fit`, `evaluate` and `predict`.

    On TensorFlow, Keras reads any data through a tf.data pipeline that tunes itself in a thread.
    That thread sleeps longer and longer, and the end of an epoch can wait for it to wake: short
    epochs of a PyDataset take half as long again (`benchmarks/epoch_end.py`). This makes the
    pipeline without that thread.

    Args:
        batches: A `keras.utils.PyDataset`, or a `tf.data.Dataset`.

    Returns:
        A `tf.data.Dataset` of the same batches; where Keras runs on another backend, `batches`.

    Example:
        >>> import zoo
        >>> batches = feed(zoo.load_data("digits").test.batches(100))
        >>> [len(labels) for images, labels in batches]
        [100, 100, 100, 59]
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    untuned = tf.data.Options()
    untuned.autotune.enabled = False
    if isinstance(batches, tf.data.Dataset):
        return batches.with_options(untuned)

    def epoch() -> Iterator[Any]:
        # Each time that Keras begins an epoch, it runs this anew.
        yield from batches

    signature = keras.tree.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), batches[0]
    )
    fed = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    fed = fed.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return fed.prefetch(2).with_options(untuned)
