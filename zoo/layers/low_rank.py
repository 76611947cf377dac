"""A layer between convolution and locally connected layer: weights mixed from a few kernels."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import checked_spans, with_fans

COMBININGS = ("factored", "free")


@keras.saving.register_keras_serializable("zoo")
class LowRankLocallyConnected2D(keras.layers.Layer):
    """Convolve with kernels that vary over the image, each a mixture of the same few.

    The kernel at a position is the sum of `rank` kernels, the banks, by weights that belong to the
    position. One bank is a convolution; as many banks as there are positions can be a
    `LocallyConnected2D`. It is computed as one convolution with `rank` times `filters` channels
    and a weighted sum of its outputs.

    All weights of the mixture start equal, so that training starts from a convolution, with its
    variance: a `VarianceScaling` initializer draws the banks with the fans of one bank, and wider
    where the softmax averages them.

    In the paper the bias is a sum of terms for row, column and channel. Here each bank has its own,
    mixed by the same weights as its kernel, so that both ends of the spectrum are exact.

    Args:
        filters, kernel_size, strides, padding, data_format, activation, use_bias, dilation_rate: As
            `LocallyConnected2D` takes them.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: As there, of banks and biases.
        rank: Number of banks.
        combining: "factored": the weights are a softmax over the banks of a term for the row plus
            one for the column; "free": any number for each position and bank.
        **kwargs: `name`, `dtype` and what else every Keras layer takes.

    Raises:
        ValueError: If an argument is illegal, or the height or width of the input is unknown or
            smaller than the kernel.

    Reference:
        Elsayed et al., Revisiting Spatial Invariance with Low-Rank Local Connectivity, 2020,
        https://arxiv.org/abs/2002.02959

    Example:
        >>> layer = LowRankLocallyConnected2D(16, 3, rank=4)
        >>> layer(keras.ops.ones((2, 8, 8, 3))).shape
        TensorShape([2, 6, 6, 16])
    """

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
        *,
        dilation_rate: int | Sequence[int] = 1,
        rank: int,
        combining: str = "factored",
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = check.integer("filters", filters)
        self.rank = check.integer("rank", rank)
        self.combining = check.one_of("combining", combining, COMBININGS)
        self.data_format = check.one_of(
            "data_format",
            data_format or keras.config.image_data_format(),
            ("channels_last", "channels_first"),
        )
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.banks = keras.layers.Conv2D(
            self.rank * self.filters,  # bank by bank
            check.integers("kernel_size", kernel_size, length=2),
            strides=check.integers("strides", strides, length=2),
            padding=check.one_of("padding", padding, ("valid", "same")),
            data_format="channels_last",  # TensorFlow has no other on every processor
            dilation_rate=check.integers("dilation_rate", dilation_rate, length=2),
            use_bias=check.flag("use_bias", use_bias),
            kernel_initializer=self._initial_kernel,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            dtype=self.dtype_policy,
            name="banks",
        )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the banks, and the weights that mix them at each position."""
        checked_spans(self.banks, input_shape, self._channels_last(input_shape)[1:3])
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))
        shape = self._channels_last(input_shape)
        self.banks.build(shape)
        _, rows, columns, _ = self.banks.compute_output_shape(shape)
        if self.combining == "free":
            # Sums of `rank` kernels: their squares add up to 1, as a convolution's variance does.
            start = keras.initializers.Constant(1 / math.sqrt(self.rank))
            self.free_weights = self._add_combining("free", (rows, columns, self.rank), start)
        elif self.rank > 1:  # The softmax over a single bank is 1, whatever the weight.
            self.row_weights = self._add_combining("rows", (rows, 1, self.rank), "zeros")
            self.column_weights = self._add_combining("columns", (1, columns, self.rank), "zeros")

    def call(self, inputs: Any) -> Any:
        """Convolve with all banks, and add up what each position takes of each bank."""
        channels_first = self.data_format == "channels_first"
        y = self.banks(ops.transpose(inputs, (0, 2, 3, 1)) if channels_first else inputs)
        if self.combining == "free" or self.rank > 1:
            weights = self.combining_weights()
            rows, columns, _ = weights.shape
            y = ops.reshape(y, (-1, rows, columns, self.rank, self.filters))
            y = ops.sum(y * ops.expand_dims(ops.cast(weights, y.dtype), -1), axis=3)
        return self.activation(ops.transpose(y, (0, 3, 1, 2)) if channels_first else y)

    def combining_weights(self) -> Any:
        """Give what each position takes of each bank.

        Returns:
            `(rows, columns, rank)`; `(1, 1, 1)` where there is a single bank of weight 1.

        Example:
            >>> layer = LowRankLocallyConnected2D(16, 3, rank=4)
            >>> layer.build((None, 8, 8, 3))
            >>> round(float(layer.combining_weights()[0, 0, 0]), 6)
            0.25
        """
        if self.combining == "free":
            return self.free_weights.value
        if self.rank == 1:
            return ops.ones((1, 1, 1))
        return ops.softmax(self.row_weights + self.column_weights, axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of the output for a shape of the input."""
        shape = self.banks.compute_output_shape(self._channels_last(input_shape))
        batch, rows, columns, _ = shape
        if self.data_format == "channels_first":
            return (batch, self.filters, rows, columns)
        return (batch, rows, columns, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        banks = self.banks.get_config()
        del banks["groups"]
        return {
            **banks,
            **super().get_config(),
            "filters": self.filters,
            "rank": self.rank,
            "combining": self.combining,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
        }

    def _channels_last(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of the images where their channels come last."""
        batch, *sides = shape
        return (batch, *sides[1:], sides[0]) if self.data_format == "channels_first" else (*shape,)

    def _add_combining(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        # Kept out of the autocast: half precision would blur the softmax, and it is small.
        return self.add_weight(
            name=f"combining_{name}", shape=shape, initializer=initializer, autocast=False
        )

    def _initial_kernel(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Draw all banks, so that their mixture has the variance of a convolution's kernel."""
        fan_in, fan_out = math.prod(shape[:3]), math.prod(shape[:2]) * self.filters  # of one bank
        drawn, wanted = (fan_in, fan_out * self.rank), (fan_in, fan_out)
        averaged = self.rank if self.combining == "factored" else 1
        values = self.kernel_initializer(shape, dtype=dtype)
        return with_fans(self.kernel_initializer, values, drawn, wanted, averaged)
