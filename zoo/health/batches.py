"""The batches that a monitor sees, as `fit` gives them to the train step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PROBED = 32  # examples that units are looked at with


def _leaves(batch: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]


def _without_optionals(batch: Any) -> Any:
    """Give a batch with `None` in place of what TensorFlow wraps it in."""

    def plain(leaf: Any) -> Any:
        if not hasattr(leaf, "has_value"):
            return leaf
        return leaf.get_value() if leaf.has_value() else None

    return keras.tree.map_structure(plain, batch)


def _unpacked(batch: Any) -> tuple[Any, Any, Any]:
    found = keras.utils.unpack_x_y_sample_weight(_without_optionals(batch))
    return found[0], found[1], found[2]


def _is_of_arrays(batch: Any) -> bool:
    """Tell whether a batch has arrays alone: no sparse or ragged tensors, nor parts on devices."""
    return all(hasattr(leaf, "__array__") for leaf in _leaves(_without_optionals(batch)))


def first_examples(batch: Any) -> tuple[Any, Any, Any] | None:
    """Give the first examples of a batch as x, y and sample weights."""
    if not _is_of_arrays(batch):
        return None
    x, y, weights = keras.tree.map_structure(
        lambda leaf: None if leaf is None else ops.convert_to_tensor(leaf[:PROBED]),
        _unpacked(batch),
    )
    return x, y, weights


def size_of(batch: Any) -> int:
    """Count the examples of a batch."""
    leaves = [leaf for leaf in _leaves(_without_optionals(batch)) if hasattr(leaf, "shape")]
    return int(leaves[0].shape[0]) if leaves and leaves[0].shape else 0


def as_arrays(batch: Any) -> tuple[Any, Any, Any] | None:
    """Give a batch in memory, as x, y and sample weights."""
    if not _is_of_arrays(batch):
        return None
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.array(leaf), _unpacked(batch)
    )


def floats_of(tree: Any) -> list[np.ndarray]:
    """Give the arrays of floats."""
    return [leaf for leaf in _leaves(tree) if np.asarray(leaf).dtype.kind == "f"]
