"""Sequences of unequal length: padded, with a layer of the model that masks the padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from zoo._lazy import keras
from zoo.data.columns import as_array, mean_and_scale, require_columns, single_precision
from zoo.data.part import Part
from zoo.data.preparation import PREPARATION, Preparation

_MASKS = (0.0, *(-(10.0**power) for power in range(11)))  # float32 holds each exactly


@dataclass(frozen=True)
class SequencePreparation(Preparation):
    """Sequences of numbers, float32, padded at their end to one length.

    In an array of several sequences, and in one as long as the longest, steps at the end that equal
    the mask value are padding.

    Args:
        input_shape: Steps of the longest sequence, and features.
        mask_value: What padding holds; no real step equals it in all features.
        mean: For each feature the mean over the real steps of the training part.
        scale: For each feature the standard deviation there; 0 where it is constant.
        columns: Names of the features, where the sequences are data frames.

    Example:
        >>> import zoo
        >>> x = [np.arange(1.0, 3 + index % 3) for index in range(40)]
        >>> data = zoo.load_data((x, np.arange(40) % 2))
        >>> print(data)
        arrays: 28 train, 4 validation, 8 test sequences of up to 4 steps of 1, 2 classes
        >>> data.preparation([[5.0, 6.0], [7.0]]).shape
        (2, 4, 1)
    """

    kind: ClassVar[str] = "sequences"
    input_shape: tuple[int, int]
    mask_value: float = 0.0
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()

    def fitted(self, train: Part) -> Self:
        """Learn means and standard deviations from the real steps, if none are set."""
        if self.mean:
            return self
        values = train.examples()
        steps = values[self._real(values)].astype(np.float64)
        return dataclasses.replace(self, **mean_and_scale(steps))

    def layer(self) -> keras.Layer | None:
        """Make the layer that standardises the real steps and masks the others."""
        from zoo.layers import Steps  # which loads all of Keras

        mean, scale = self.mean, self.scale
        return Steps(mean, scale, self.mask_value, name=PREPARATION) if mean else None

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Give features in their units."""
        if not self.mean:
            return outputs
        return (outputs * np.array(self.scale) + np.array(self.mean)).astype(np.float32)

    def __call__(self, x: Any) -> np.ndarray:
        """Take a sequence, (time, features) or (time,), a list of several, or an array of such."""
        time, features = self.input_shape
        if hasattr(x, "to_list"):  # a Series, or TensorFlow's ragged tensor
            x = x.to_list()
        elif hasattr(x, "__array__") and not hasattr(x, "columns"):
            x = np.asarray(x) if x.dtype != object else list(x)
        one = _is_one(x, features)
        sequences = _as_sequences("the examples", [x] if one else x, self.columns)
        are_padded = hasattr(x, "shape") and not one
        for index, steps in enumerate(sequences):
            if steps.shape[1] != features:
                raise ValueError(
                    f"Sequences must have {features} features a step; sequence {index} has the "
                    f"shape {steps.shape}, as (time, features)."
                )
            real = self._real(steps.astype(np.float32))
            length = len(real)
            if are_padded or length >= time:
                length = int(np.flatnonzero(real).max(initial=-1)) + 1
            if length > time:
                raise ValueError(f"Sequence {index} has {length} steps, more than {time}: cut it.")
            if not real[:length].all() or not length:
                raise ValueError(
                    f"Step {int(real.argmin())} of sequence {index} equals {self.mask_value:g} in "
                    "all features, which marks padding: change it a little, such as by 1e-6."
                )
            sequences[index] = steps[:length]
        return self.padded(sequences)

    def padded(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Give sequences (time, features) as one array, float32 (n, *input_shape)."""
        array = np.full((len(sequences), *self.input_shape), self.mask_value, np.float32)
        for row, steps in zip(array, sequences, strict=True):
            row[: len(steps)] = steps
        return array

    def _real(self, values: np.ndarray) -> np.ndarray:
        return (values != self.mask_value).any(axis=-1)

    def __str__(self) -> str:
        return f"sequences of up to {self.input_shape[0]} steps of {self.input_shape[1]}"


def _is_one(x: Any, features: int) -> bool:
    """Tell a single sequence from several."""
    if isinstance(x, list | tuple) and any(hasattr(item, "shape") and item.shape for item in x):
        return False
    try:
        shape = np.shape(x)
    except ValueError:  # several of unequal length
        return False
    # Lists in a list are several sequences of one feature, an array is one of (time, 1).
    return len(shape) == 1 or (
        len(shape) == 2 and (features > 1 or (shape[1] == 1 and not isinstance(x, list)))
    )


def are_sequences(x: Any) -> bool:
    """Tell sequences of unequal length, in a list or an array of objects, from other examples."""
    if not isinstance(x, list | tuple) and not (isinstance(x, np.ndarray) and x.dtype == object):
        return False
    try:
        arrays = [np.asarray(item) for item in x]
    except ValueError:
        return False
    alike = {(array.ndim, array.shape[1:], array.dtype.kind in "biuf") for array in arrays}
    return (
        len(alike) == 1
        and all(array.dtype != np.uint8 for array in arrays)  # images
        and arrays[0].ndim in (1, 2)
        and arrays[0].dtype.kind in "biuf"
        and len({len(array) for array in arrays}) > 1
    )


def read_sequences(given: Mapping[str, Any]) -> tuple[list[np.ndarray], SequencePreparation]:
    """Pad the sequences of one or two parts."""
    first = next(iter(given.values()))
    frame = first[0] if isinstance(first, list | tuple) and first else None
    columns = tuple(map(str, getattr(frame, "columns", ())))
    parts = [_as_sequences(where, x, columns) for where, x in given.items()]
    joined = [steps for part in parts for steps in part]
    widths = sorted({steps.shape[1] for steps in joined})
    if len(widths) > 1:
        raise ValueError(
            "Sequences must all have as many features a step, (time, features); received some of "
            f"{widths[0]} and some of {widths[-1]}."
        )
    steps = np.concatenate(joined)
    for index, values in enumerate(steps.T):
        steps[:, index] = single_precision(f"The feature {index}", values)
    mask_value = next(value for value in _MASKS if not (steps == value).all(axis=1).any())
    shape = max(map(len, joined)), widths[0]
    preparation = SequencePreparation(shape, mask_value, columns=columns)
    return [preparation.padded(part) for part in parts], preparation


def _as_sequences(where: str, x: Any, columns: Sequence[str]) -> list[np.ndarray]:
    """Give sequences as arrays of numbers, (time, features); frames by the names of columns."""
    if not isinstance(x, list | tuple | np.ndarray) or not len(x):
        raise ValueError(
            f"The sequences of {where} must be a list of arrays (time, features), or an array (n, "
            f"time, features), and at least one; received {x!r:.80}."
        )
    sequences = []
    for index, item in enumerate(x):
        if columns and hasattr(item, "columns"):
            item = item.rename(columns=str)
            require_columns(item, columns, f"Of sequence {index} of {where}, the columns")
            item = item[list(columns)]
        steps = as_array(f"The steps of sequence {index} of {where}", item)
        steps = steps[:, None] if steps.ndim == 1 else steps
        if steps.ndim != 2 or 0 in steps.shape or steps.dtype.kind not in "biuf":
            raise ValueError(
                f"Sequences must be numbers, (time, features) or (time,), with a step at least; "
                f"sequence {index} of {where} is {steps.dtype} of the shape {np.shape(item)}."
            )
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(steps.astype(np.float32)).all()
        if not is_finite:
            raise ValueError(
                f"Sequence {index} of {where} holds NaN, infinite or too large values (over 3e38): "
                "fill them in, or leave these steps out."
            )
        sequences.append(steps.astype(np.float64))
    return sequences
