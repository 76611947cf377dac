"""Batches that others made, `tf.data.Dataset` and `keras.utils.PyDataset`, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from zoo.data.labels import is_one_hot


def are_batches(source: Any) -> bool:
    """Tell a `tf.data.Dataset` or a `keras.utils.PyDataset` from other sources."""
    return isinstance(source, keras.utils.PyDataset) or _is_tf(source)


def _is_tf(source: Any) -> bool:
    # Its own module is loaded where there is one; asking TensorFlow would load it.
    return any(
        base.__module__.startswith("tensorflow.python.data.") and base.__name__ == "DatasetV2"
        for base in type(source).__mro__
    )


def collected(where: str, source: Any, kind: str | None) -> tuple[Any, Any]:
    """Take all examples, of a kind that may be told, and labels out of a data set of others."""
    what = f"The {type(source).__name__} of {where}"
    elements = [_pair(where, element) for element in _elements(what, source)]
    if not elements:
        raise ValueError(f"{what} is empty.")
    xs, ys = (list(column) for column in zip(*elements, strict=True))
    if not _is_tf(source) or _are_batched(what, source, elements, kind):
        if not all(_is_batch(x, y) and (y is None) == (ys[0] is None) for x, y in elements):
            raise ValueError(f"{what} must give batches, all with as many labels as examples.")
        xs = [example for batch in xs for example in batch]
        ys = [None] if ys[0] is None else [label for batch in ys for label in batch]
    return _joined(where, xs), None if ys[0] is None else _joined(where, ys)


def _elements(what: str, source: Any) -> Iterator[Any]:
    try:
        size = int(source.cardinality()) if _is_tf(source) else source.num_batches
    except NotImplementedError:  # a PyDataset without one
        size = -2
    if size is None or size < 0:
        raise ValueError(
            f"{what} has no {'known' if size == -2 else 'finite'} length: leave out .repeat(), use "
            ".take(count), or tell the length by .apply(tf.data.experimental.assert_cardinality("
            "count)); a PyDataset needs `__len__`."
        )
    return source.as_numpy_iterator() if _is_tf(source) else map(source.__getitem__, range(size))


def _pair(where: str, element: Any) -> tuple[Any, Any]:
    halves = element if isinstance(element, tuple | list) else (element,)
    # No dictionary of inputs, nor a tuple of them.
    plain = [half is None or np.isscalar(half) or hasattr(half, "__array__") for half in halves]
    if not all(plain) or len(halves) not in (1, 2) or halves[0] is None:
        kinds = ", ".join(type(half).__name__ for half in halves)
        raise ValueError(
            f"The elements of {where} must be (x, y), or x alone, each a plain array; received "
            f"({kinds}). Change them by .map(...)."
        )
    arrays = [None if half is None else np.asarray(half) for half in halves]
    return arrays[0], arrays[1] if len(arrays) == 2 else None


def _is_batch(x: np.ndarray, y: np.ndarray | None) -> bool:
    return x.ndim > 0 and (y is None or x.shape[:1] == y.shape[:1])


def _are_batched(what: str, source: Any, elements: list[Any], kind: str | None) -> bool:
    """Tell batches from single examples; after `.batch`, TensorFlow leaves their length open."""
    spec = source.element_spec
    specs = spec if isinstance(spec, tuple | list) else (spec,)
    is_open = all(one.shape.rank is None or list(one.shape[:1]) == [None] for one in specs)
    if not all(_is_batch(x, y) for x, y in elements):
        return False
    *others, (last, y) = elements
    if y is None and last.ndim == 2 and (not is_open or kind == "sequences"):
        raise ValueError(
            f"{what} may give batches or examples, of the shape {last.shape}: give it with labels, "
            "or use .batch() without drop_remainder (of sequences .padded_batch())."
        )
    if y is None:  # sequences leave their length open, too
        lengths = {len(x) for x, _ in others} or {len(last)}
        return last.ndim == 4 or (is_open and len(lengths) == 1 and len(last) <= min(lengths))
    several = y.dtype.kind == "f" and last.ndim < 4
    if not is_open and (several or all(is_one_hot(y[None]) for _, y in elements)):
        raise ValueError(f"{what} may be batches or examples: use .batch() without drop_remainder.")
    return True


def _joined(where: str, values: list[Any]) -> Any:
    """Give an array of all, or their list where shapes differ, with bytes decoded."""
    if isinstance(next(iter(np.ravel(values[0])), None), bytes):
        try:  # in an array, where none is taken for a path
            return np.array([np.asarray(value).item().decode() for value in values], object)
        except UnicodeDecodeError as error:
            raise ValueError(f"A string of {where} is no UTF-8: {error}.") from error
    return np.stack(values) if len({np.shape(value) for value in values}) == 1 else values
