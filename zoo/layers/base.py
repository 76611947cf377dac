"""What layers share, and losses in part: configurations, fans of initial values, kernels' spans."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras


class Configured:
    """A Keras object whose configuration holds what it keeps of its arguments, by their names."""

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments, and those that it passes on."""
        kinds = [kind for kind in type(self).__mro__ if issubclass(kind, Configured)]
        inits = [vars(kind)["__init__"] for kind in kinds if "__init__" in vars(kind)]
        names = [name for init in inits for name in inspect.signature(init).parameters]
        kept = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return {**super().get_config(), **kept}  # type: ignore[misc]


class SameShape(Configured, keras.layers.Layer):
    """A layer whose output has the shape of its (first) input."""

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        """Give the (first) input's shape."""
        return input_shape


def with_fans(
    initializer: Any, values: Any, drawn: Sequence[int], wanted: Sequence[int], factor: int = 1
) -> Any:
    """Give values that scale with fans (in, out) the variance, times a factor, of other fans."""
    if not isinstance(initializer, keras.initializers.VarianceScaling):
        return values
    share_in, share_out = {"fan_in": (1, 0), "fan_out": (0, 1)}.get(initializer.mode, (0.5, 0.5))
    fan_drawn = share_in * drawn[0] + share_out * drawn[1]
    fan_wanted = share_in * wanted[0] + share_out * wanted[1]
    return values * math.sqrt(fan_drawn / fan_wanted * factor)


def checked_spans(
    layer: Any, input_shape: Sequence[int | None], sides: Sequence[Any]
) -> tuple[int, ...]:
    """Give the pixels, along each side, that a kernel spans, where weights depend on positions."""
    if None in input_shape[1:]:
        raise ValueError(
            "Every position has weights of its own, so the spatial size and the channels must be "
            f"known: received the input shape {tuple(input_shape)}. Give the model's input a full "
            "shape, or use a convolution."
        )
    kernel, dilation = layer.kernel_size, layer.dilation_rate
    spans = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
    needed = spans if layer.padding == "valid" else (1,) * len(spans)
    if any(side < least for side, least in zip(sides, needed, strict=True)):
        raise ValueError(
            f"`kernel_size`={kernel} with `dilation_rate`={dilation} spans {spans} pixels, more "
            f"than the input shape {tuple(input_shape)} has. Give larger inputs, a smaller "
            "`kernel_size`, or padding='same'."
        )
    return spans
