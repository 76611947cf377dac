"""Layers that an encoder and its decoder share, the decoder with transposed weights."""

from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import Configured


class Tied(Configured, keras.layers.Layer):
    """A layer that also runs backwards, with the transpose of its kernel.

    Subclasses tell the `kernel_shape`, (..., size, outputs), for inputs of `size` channels, and go
    `forth` by the kernel and `back` by its transpose.
    """

    def __init__(
        self, use_bias: bool, use_transposed_bias: bool, input_dim: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim = input_dim if input_dim is None else check.integer("input_dim", input_dim)
        self.use_bias = check.flag("use_bias", use_bias)
        self.use_transposed_bias = check.flag("use_transposed_bias", use_transposed_bias)

    def build(self, input_shape: Any) -> None:
        """Create the kernel, by the shape that the way forth takes."""
        self.input_dim = self.input_dim or input_shape[-1]  # saved: a decoder alone needs it
        self.kernel = self.add_weight(shape=self.kernel_shape(self.input_dim), name="kernel")
        size, outputs = self.kernel.shape[-2:]
        self.bias = self.transposed_bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias")
        if self.use_transposed_bias:
            self.transposed_bias = self.add_weight(
                shape=(size,), initializer="zeros", name="transposed_bias"
            )

    def call(self, inputs: Any, transposed: bool = False) -> Any:
        """Apply the layer, or its way back."""
        outputs = self.back(inputs) if transposed else self.forth(inputs)
        bias = self.transposed_bias if transposed else self.bias
        return outputs if bias is None else outputs + bias

    def compute_output_spec(self, inputs: Any, transposed: bool = False) -> Any:
        """Give the shape and the type of the outputs."""
        size = self.kernel.shape[-2 if transposed else -1]
        return keras.KerasTensor((*inputs.shape[:-1], size), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable("zoo")
class TiedDense(Tied):
    """A dense layer that also runs backwards, with the transpose of its kernel.

    Args:
        units: Number of outputs.
        use_bias, use_transposed_bias: Whether the way forth, and the way back, has a bias.
        input_dim: Size of the inputs' last axis; `None` takes the first ones', which go forth.
        **kwargs: As `keras.layers.Layer` takes them.

    Reference:
        Vincent et al., Stacked Denoising Autoencoders, 2010,
        https://www.jmlr.org/papers/v11/vincent10a.html

    Example:
        >>> layer = TiedDense(2)
        >>> codes = layer(ops.ones((4, 8)))
        >>> codes.shape, layer(codes, transposed=True).shape
        (TensorShape([4, 2]), TensorShape([4, 8]))
    """

    def __init__(
        self, units: int, *, use_bias: bool = True, use_transposed_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(use_bias, use_transposed_bias, **kwargs)
        self.units = check.integer("units", units)

    def kernel_shape(self, size: int) -> tuple[int, ...]:
        """Give `(size, units)`."""
        return size, self.units

    def forth(self, inputs: Any) -> Any:
        """Multiply by the kernel."""
        return ops.matmul(inputs, self.kernel)

    def back(self, inputs: Any) -> Any:
        """Multiply by the kernel's transpose."""
        return ops.matmul(inputs, ops.transpose(self.kernel))


@keras.saving.register_keras_serializable("zoo")
class TiedConv2D(Tied):
    """A convolution of stride 1, padded to the same size, that also runs backwards.

    Backwards it is the transposed convolution: one by the kernel with its sides flipped, from its
    filters to its channels.

    Args:
        filters: Number of outputs.
        kernel_size: Side of the kernel.
        use_bias, use_transposed_bias: Whether the way forth, and the way back, has a bias.
        input_dim: Size of the inputs' last axis; `None` takes the first ones', which go forth.
        **kwargs: As `keras.layers.Layer` takes them.

    Reference:
        Masci et al., Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction, 2011.

    Example:
        >>> layer = TiedConv2D(2)
        >>> maps = layer(ops.ones((4, 5, 5, 1)))
        >>> maps.shape, layer(maps, transposed=True).shape
        (TensorShape([4, 5, 5, 2]), TensorShape([4, 5, 5, 1]))
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        use_bias: bool = True,
        use_transposed_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(use_bias, use_transposed_bias, **kwargs)
        self.filters = check.integer("filters", filters)
        self.kernel_size = check.integer("kernel_size", kernel_size)

    def kernel_shape(self, size: int) -> tuple[int, ...]:
        """Give `(kernel_size, kernel_size, size, filters)`."""
        return self.kernel_size, self.kernel_size, size, self.filters

    def forth(self, inputs: Any) -> Any:
        """Convolve by the kernel."""
        return ops.conv(inputs, self.kernel, padding="same")

    def back(self, inputs: Any) -> Any:
        """Convolve by the kernel's transpose."""
        return ops.conv_transpose(inputs, self.kernel, strides=1, padding="same")


@keras.saving.register_keras_serializable("zoo")
class TiedModel(keras.Model):
    """A Functional model whose sub-models `encoder` and `decoder` share their tied layers.

    Keras loads and clones a layer that two sub-models share as two layers; this shares them again.

    Args:
        inputs: As `keras.Model` takes them.
        outputs: What the decoder makes of what the encoder makes of the inputs, and one more layer.
        name: The model's name.
        **kwargs: As `keras.Model` takes them.

    Example:
        >>> import zoo
        >>> model = zoo.dense_autoencoder((8, 8, 1), 4, hidden_units=(32,), tied=True)
        >>> again = keras.models.clone_model(model)
        >>> encoder, decoder = again.get_layer("encoder"), again.get_layer("decoder")
        >>> encoder.get_layer("code") is decoder.get_layer("code")
        True
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs, _shared(inputs, outputs), name=name, **kwargs)


def _shared(inputs: Any, outputs: Any) -> Any:
    """Give the outputs that a decoder with the encoder's tied layers makes."""
    model = keras.Model(inputs, outputs)
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")

    def of_encoder(layer: keras.Layer) -> keras.Layer:
        return encoder.get_layer(layer.name) if isinstance(layer, Tied) else layer

    if all(of_encoder(layer) is layer for layer in decoder.layers):
        return outputs
    decoder = keras.models.clone_model(decoder, clone_function=of_encoder)
    return model.layers[-1](decoder(encoder(inputs)))
