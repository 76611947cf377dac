"""Batches on their way to `fit`: changed, and handed to TensorFlow without pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras


def feed(batches: keras.utils.PyDataset) -> Any:
    """Prepare batches for `fit`, `evaluate` and `predict`.

    On TensorFlow, Keras reads any data through a tf.data pipeline that tunes itself in a thread.
    That thread sleeps longer and longer, and the end of an epoch can wait for it to wake: short
    epochs of a PyDataset take half as long again (`benchmarks/epoch_end.py`). This makes the
    pipeline without that thread.

    Args:
        batches: A `keras.utils.PyDataset`.

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

    def epoch() -> Iterator[Any]:
        # Each time that Keras begins an epoch, it runs this anew.
        yield from batches

    def specification(array: Any) -> tf.TensorSpec:
        dtype = tf.string if array.dtype.kind in "OU" else array.dtype
        return tf.TensorSpec((None, *array.shape[1:]), dtype)

    signature = keras.tree.map_structure(specification, batches[0])
    fed = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    fed = fed.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return fed.prefetch(2).with_options(untuned)


def mapped(batches: keras.utils.PyDataset, function: Callable[..., Any]) -> keras.utils.PyDataset:
    """Change each batch on its way.

    Args:
        batches: A `keras.utils.PyDataset`.
        function: From the parts of a batch to what takes their place.

    Returns:
        Changed batches.

    Example:
        >>> import zoo
        >>> batches = zoo.load_data("digits").test.batches(100)
        >>> [len(batch) for batch in mapped(batches, lambda images, labels: (images, images))]
        [2, 2, 2, 2]
    """
    return _Mapped(batches, function)


class _Mapped(keras.utils.PyDataset):
    """Another PyDataset's batches, changed."""

    def __init__(self, batches: keras.utils.PyDataset, function: Callable[..., Any]) -> None:
        super().__init__()
        self._batches = batches
        self._function = function

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        return self._function(*self._batches[index])

    def __iter__(self) -> Iterator[Any]:
        return (self._function(*batch) for batch in self._batches)

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()
