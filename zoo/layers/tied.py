"""Layers that an encoder and its decoder share, the decoder with transposed weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo import arguments as check


@keras.saving.register_keras_serializable("zoo")
class TiedDense(keras.layers.Layer):
    """A dense layer that also runs backwards, with the transpose of its kernel.

    Args:
        units: Number of outputs.
        use_bias: Whether the way forth has a bias.
        use_transposed_bias: Whether the way back has one.
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
        super().__init__(**kwargs)
        self.units = check.integer("units", units)
        self.use_bias = check.flag("use_bias", use_bias)
        self.use_transposed_bias = check.flag("use_transposed_bias", use_transposed_bias)

    def build(self, input_shape: Any) -> None:
        """Create the kernel, by the shape that the way forth takes."""
        size = input_shape[-1]
        self.kernel = self.add_weight(shape=(size, self.units), name="kernel")
        self.bias = self.transposed_bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        if self.use_transposed_bias:
            self.transposed_bias = self.add_weight(
                shape=(size,), initializer="zeros", name="transposed_bias"
            )

    def call(self, inputs: Any, transposed: bool = False) -> Any:
        """Apply the layer, or its way back."""
        kernel = ops.transpose(self.kernel) if transposed else self.kernel
        outputs = ops.matmul(inputs, kernel)
        bias = self.transposed_bias if transposed else self.bias
        return outputs if bias is None else outputs + bias

    def compute_output_spec(self, inputs: Any, transposed: bool = False) -> Any:
        """Give the shape and the type of the outputs."""
        size = self.kernel.shape[0] if transposed else self.units
        return keras.KerasTensor((*inputs.shape[:-1], size), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        own = {
            "units": self.units,
            "use_bias": self.use_bias,
            "use_transposed_bias": self.use_transposed_bias,
        }
        return {**super().get_config(), **own}

    def get_build_config(self) -> dict[str, Any]:
        """Give the shape that the way forth takes, for a decoder that is loaded alone."""
        return {"input_shape": (None, self.kernel.shape[0])}


@keras.saving.register_keras_serializable("zoo")
class TiedModel(keras.Model):
    """A Functional model whose sub-models `encoder` and `decoder` share their `TiedDense` layers.

    Keras loads a layer that two sub-models share as two layers; this shares them again.

    Example:
        >>> import zoo
        >>> model = zoo.dense_autoencoder((8, 8, 1), 4, hidden_units=(32,), tied=True)
        >>> again = TiedModel.from_config(model.get_config())
        >>> encoder, decoder = again.get_layer("encoder"), again.get_layer("decoder")
        >>> encoder.get_layer("code") is decoder.get_layer("code")
        True
    """

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        """Make the model of its configuration."""
        model = super().from_config(config, custom_objects)
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")

        def shared(layer: keras.Layer) -> keras.Layer:
            return encoder.get_layer(layer.name) if isinstance(layer, TiedDense) else layer

        decoder = keras.models.clone_model(decoder, clone_function=shared)
        outputs = model.layers[-1](decoder(encoder(model.input)))
        return cls(model.input, outputs, name=model.name)
