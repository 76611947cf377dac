"""The bottleneck of a compressing autoencoder: codes that are rounded, and charged by the bit."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.penalties import Penalty


@keras.saving.register_keras_serializable("zoo")
class EntropyBottleneck(Penalty):
    """Round codes to integers, and charge for the bits that these take; logged as `bits`.

    Each channel has a density of its own, a mixture of logistic distributions that is learned with
    the model; the quantity is the length of an example's code under it, in bits. Rounding has no
    gradient, so in training uniform noise in [-0.5, 0.5) takes its place. `zoo.ImageCodec` freezes
    the densities into the tables of integers that entropy coding needs.

    Args:
        weight: Factor of the charge in the loss.
        components: Number of logistic distributions in each mixture.
        max_symbol: The tables hold the integers from `-max_symbol` to `max_symbol`.
        seed: Of the noise; `None` draws one.
        **kwargs: As `keras.layers.Layer` takes them.

    Reference:
        Ballé, Laparra and Simoncelli, End-to-End Optimized Image Compression, 2016,
        https://arxiv.org/abs/1611.01704

    Example:
        >>> layer = EntropyBottleneck(1.0)
        >>> layer(ops.convert_to_tensor([[0.2, 1.7]]))[0].numpy().tolist()
        [0.0, 2.0]
    """

    def __init__(
        self,
        weight: float,
        *,
        components: int = 3,
        max_symbol: int = 127,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, "bits", **kwargs)
        self.components = check.integer("components", components)
        self.max_symbol = check.integer("max_symbol", max_symbol)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Create each channel's mixture, and its table, which is empty until it is frozen."""
        shape = (input_shape[-1], self.components)
        spread = keras.initializers.RandomUniform(-3, 3, seed=self.seed)
        self.logits = self.add_weight(shape=shape, initializer="zeros", name="logits")
        self.centers = self.add_weight(shape=shape, initializer=spread, name="centers")
        self.log_scales = self.add_weight(shape=shape, initializer="zeros", name="log_scales")
        self.tables = self.add_weight(
            shape=(input_shape[-1], 2 * self.max_symbol + 2),  # the last column: any other integer
            initializer="zeros",
            dtype="int32",
            trainable=False,
            name="tables",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Give the noisy codes while training, else the rounded ones."""
        if training:
            shape = ops.shape(inputs)
            codes = inputs + keras.random.uniform(
                shape, -0.5, 0.5, dtype=inputs.dtype, seed=self.seed_generator
            )
        else:
            codes = ops.round(inputs)
        nats = -ops.log(ops.maximum(self.probabilities(codes), 1e-9))
        self.charge(ops.sum(nats, axis=-1) / math.log(2))
        return codes

    def probabilities(self, codes: Any) -> Any:
        """Give the probability of each code in its channel.

        Args:
            codes: float32 (examples, channels).

        Returns:
            float32 (examples, channels), in [0, 1].
        """
        distance = ops.expand_dims(codes, -1) - self.centers  # (examples, channels, components)
        # On the side where the distribution function is small, for there it is exact.
        distance = -ops.abs(distance)
        scale = ops.exp(-self.log_scales)
        inside = ops.sigmoid((distance + 0.5) * scale) - ops.sigmoid((distance - 0.5) * scale)
        return ops.sum(ops.softmax(self.logits, axis=-1) * inside, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        own = {"components": self.components, "max_symbol": self.max_symbol, "seed": self.seed}
        return {**super().get_config(), **own}
