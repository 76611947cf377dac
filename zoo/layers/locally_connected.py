"""Locally connected layers: convolutions whose weights are not shared, or shared in part."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import Configured, checked_spans, with_fans
from zoo.layers.patches import Pair, Window
from zoo.layers.products import Plan, locally_connected

# The arguments that Keras writes into a configuration in a form of its own.
PARTS = {
    "activation": keras.activations,
    "kernel_initializer": keras.initializers,
    "bias_initializer": keras.initializers,
    "kernel_regularizer": keras.regularizers,
    "bias_regularizer": keras.regularizers,
    "activity_regularizer": keras.regularizers,
    "kernel_constraint": keras.constraints,
    "bias_constraint": keras.constraints,
}


class LocallyConnected(Configured, keras.layers.Layer):
    """What `LocallyConnected1D` and `LocallyConnected2D` share; not for use by itself."""

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        tile: int | Sequence[int] | None = None,
        region: int | Sequence[int] = 1,
        legacy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if implementation is not None:
            warnings.warn(
                "`implementation` is ignored: there is one, the fastest for the shape.",
                stacklevel=2,
            )
        self.filters = check.integer("filters", filters)
        self.kernel_size = self._integers("kernel_size", kernel_size)
        self.strides = self._integers("strides", strides)
        self.dilation_rate = self._integers("dilation_rate", dilation_rate)
        self.tile = None if tile is None else self._integers("tile", tile)
        self.region = self._integers("region", region)
        self.padding = check.one_of("padding", padding, ("valid", "same"))
        self.data_format = check.one_of(
            "data_format",
            data_format or keras.config.image_data_format(),
            ("channels_last", "channels_first"),
        )
        self.activation = keras.activations.get(activation)
        self.use_bias = check.flag("use_bias", use_bias)
        self.legacy_init = check.flag("legacy_init", legacy_init)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make a kernel and a bias for each position, or each group of tied positions."""
        kernels = self._kernels(self._positions(input_shape))
        channels: Any = input_shape[self._channel_axis]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*kernels, math.prod(self.kernel_size) * channels, self.filters),
            initializer=self._initial_kernel,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*kernels, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Multiply the patch at each position by the position's kernel."""
        row = self._spatial_axes[0]
        missing = 2 - self.rank  # one dimension is a height of 1
        x = ops.expand_dims(inputs, row) if missing else inputs
        kernel = ops.reshape(self.kernel, (1, *self.kernel.shape)[-4:])
        bias = None if self.bias is None else ops.reshape(self.bias, (1, *self.bias.shape)[-3:])
        plan = Plan(
            Window(_pair(self.kernel_size), _pair(self.strides), _pair(self.dilation_rate)),
            order=(row, row + 1, 0, 1 if row == 2 else 3),
            paddings=((0, 0), *self._paddings(self.input_spec.shape))[-2:],
            region=_pair(self.region),
        )
        y = locally_connected(x, kernel, bias, plan, training=bool(training))
        return self.activation(ops.squeeze(y, row) if missing else y)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of the output for a shape of the input."""
        positions = self._positions(input_shape)
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, *positions)
        return (input_shape[0], *positions, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        parts = {name: kind.serialize(getattr(self, name)) for name, kind in PARTS.items()}
        return {**super().get_config(), **parts}

    @property
    def _spatial_axes(self) -> range:
        first = 2 if self.data_format == "channels_first" else 1
        return range(first, first + self.rank)

    @property
    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else self.rank + 1

    def _integers(self, name: str, value: Any) -> tuple[int, ...]:
        return check.integers(name, value, length=self.rank)

    def _positions(self, input_shape: Sequence[int | None]) -> tuple[int, ...]:
        """Number of positions along each spatial axis."""
        sides: Any = [input_shape[axis] for axis in self._spatial_axes]
        spans = checked_spans(self, input_shape, sides)
        if self.padding == "valid":
            sides = [side - span + 1 for side, span in zip(sides, spans, strict=True)]
        return tuple(-(-side // stride) for side, stride in zip(sides, self.strides, strict=True))

    def _paddings(self, input_shape: Sequence[int]) -> list[Pair]:
        """Zeros before and after each spatial axis: as convolutions have under "same" padding."""
        if self.padding == "valid":
            return [(0, 0)] * self.rank
        paddings = []
        for index, (axis, count) in enumerate(
            zip(self._spatial_axes, self._positions(input_shape), strict=True)
        ):
            span = (self.kernel_size[index] - 1) * self.dilation_rate[index] + 1
            total = max((count - 1) * self.strides[index] + span - input_shape[axis], 0)
            paddings.append((total // 2, total - total // 2))
        return paddings

    def _kernels(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        """Number of different kernels along each spatial axis."""
        regions = tuple(-(-n // region) for n, region in zip(positions, self.region, strict=True))
        if self.tile is None:
            return regions
        if any(tile > count for tile, count in zip(self.tile, regions, strict=True)):
            raise ValueError(
                f"`tile`={self.tile} does not fit: there are {positions} positions in regions of "
                f"{self.region}, so a tile is at most {regions}; None leaves all weights unshared."
            )
        return self.tile

    def _initial_kernel(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Draw the kernel with the fans of a convolution, which counts no positions."""
        values = self.kernel_initializer(shape, dtype=dtype)
        if self.legacy_init:
            return values
        count, patch = math.prod(shape[:-2]), shape[-2]
        drawn = (count * patch, count * self.filters)  # Keras's fans of `shape`
        wanted = (patch, math.prod(self.kernel_size) * self.filters)
        return with_fans(self.kernel_initializer, values, drawn, wanted)


def _pair(values: tuple[int, ...]) -> Pair:
    """Extend one dimension to two."""
    return (1, *values)[-2:]  # type: ignore[return-value]


@keras.saving.register_keras_serializable("zoo")
class LocallyConnected1D(LocallyConnected):
    """A convolution over steps whose weights differ from position to position.

    Args, errors and references are `LocallyConnected2D`'s, with one integer where that takes two.
    Input is `(batch, steps, channels)`, output `(batch, positions, filters)`, the kernel `(rows of
    kernels, kernel_size * channels, filters)`.

    Example:
        >>> LocallyConnected1D(8, 3)(ops.ones((2, 16, 4))).shape
        TensorShape([2, 14, 8])
    """

    rank = 1


@keras.saving.register_keras_serializable("zoo")
class LocallyConnected2D(LocallyConnected):
    """A convolution over images whose weights differ from position to position.

    For aligned images, where an eye is always at the same place and its filters are of no use
    elsewhere. It multiplies a convolution's parameters by the number of positions. `tile` and
    `region` tie weights in part.

    A `.keras` file with this layer loads after `import zoo.layers`; the SavedModel, ONNX and LiteRT
    exports need nothing. Weights of Keras 2 come in by `convert_legacy_weights`.

    Args:
        filters: Number of filters at each position.
        kernel_size: Height and width of the kernels, or one integer for both.
        strides: Steps from one position to the next, at least 1; one integer or two.
        padding: "valid", or "same" as a convolution has it.
        data_format: "channels_last" for inputs `(batch, height, width, channels)`,
            "channels_first" for `(batch, channels, height, width)`; `None` is Keras's setting.
        activation: A Keras activation, or `None`.
        use_bias: Whether each position, or group of tied positions, has a bias.
        kernel_initializer: Initial kernels. One that scales with fans (glorot, he, lecun) takes
            those of a convolution.
        bias_initializer: Initial biases.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties on the kernel, on the
            bias and on the output.
        kernel_constraint, bias_constraint: Projections of kernel and bias after each update.
        implementation: Ignored with a warning: an argument of Keras 2.
        dilation_rate: Steps from one pixel of a patch to the next; one integer or two.
        tile: The kernels repeat every `tile` positions, as in a tiled convolution: 1 is an ordinary
            convolution, `None` leaves all positions unshared; one integer or two.
        region: Neighbouring positions, `region` each way, use the same kernel; one integer or two.
            Position (i, j) uses kernel (i // region % tile, j // region % tile).
        legacy_init: Count the positions into the fans, as Keras 2 did: initial values that are
            smaller by the square root of the number of positions.
        **kwargs: `name`, `dtype`, `trainable` and others of `keras.layers.Layer`.

    Attributes:
        kernel: Shape `(rows, columns, patch, filters)`, where `patch` runs over the kernel's
            height, width and channels, in this order in both data formats.
        bias: Shape `(rows, columns, filters)`, or `None`.

    Raises:
        ValueError: If an argument is illegal; when called, if the spatial size or the number of
            channels is unknown, the kernel larger than the input, or the tile larger than the
            output.

    Reference:
        Gregor and LeCun, Emergence of Complex-Like Cells in a Temporal Product Network with Local
        Receptive Fields, 2010, https://arxiv.org/abs/1006.0448;
        Le et al., Tiled Convolutional Neural Networks, 2010 (`tile`);
        Sun et al., Deep Learning Face Representation by Joint Identification-Verification, 2014,
        https://arxiv.org/abs/1406.4773 (`region`).

    Example:
        >>> layer = LocallyConnected2D(16, 3, activation="relu")
        >>> layer(ops.ones((2, 14, 14, 4))).shape
        TensorShape([2, 12, 12, 16])
        >>> layer.kernel.shape
        TensorShape([12, 12, 36, 16])
    """

    rank = 2
