"""The bottleneck of a compressing autoencoder: codes that are rounded, and charged by the bit."""

import math
from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.penalties import Penalty

# Adam moves a weight by about its learning rate a step, but the densities must follow codes that
# are sums of many moving weights: theirs are kept in units of 10, to be learned 10 times as fast.
SPEED = 10.0

# Without it, the densities of channels that carry nothing would narrow until a step aside costs a
# fortune.
MIN_SCALE = 0.01

MAX_SYMBOL = 2**15  # more than enough for a table that sums to 2**24


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
        max_symbol: The tables hold the integers from `-max_symbol` to it; at most 32768.
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
        self.max_symbol = check.integer("max_symbol", max_symbol, maximum=MAX_SYMBOL)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Create each channel's mixture, and its table, which is empty until it is frozen."""
        shape = (input_shape[-1], self.components)
        spread = keras.initializers.RandomUniform(-3 / SPEED, 3 / SPEED, seed=self.seed)
        self._logits = self.add_weight(shape=shape, initializer="zeros", name="logits")
        self._centers = self.add_weight(shape=shape, initializer=spread, name="centers")
        self._log_scales = self.add_weight(shape=shape, initializer="zeros", name="log_scales")
        self.tables = self.add_weight(
            shape=(input_shape[-1], 2 * self.max_symbol + 2),  # the last column: any other integer
            initializer="zeros",
            dtype="int32",
            trainable=False,
            name="tables",
        )

    @property
    def logits(self) -> Any:
        """Logarithms of the shares of the mixtures, not normalized, (channels, components)."""
        return SPEED * self._logits

    @property
    def centers(self) -> Any:
        """Means of the logistic distributions, (channels, components)."""
        return SPEED * self._centers

    @property
    def log_scales(self) -> Any:
        """Logarithms of the scales of the logistic distributions, (channels, components)."""
        return ops.logaddexp(SPEED * self._log_scales, math.log(MIN_SCALE))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Give the noisy codes while training, else the rounded ones."""
        if training:
            shape = ops.shape(inputs)
            codes = inputs + keras.random.uniform(
                shape, -0.5, 0.5, dtype=inputs.dtype, seed=self.seed_generator
            )
        else:
            codes = ops.round(inputs)
        self.charge(-ops.sum(self.log_probabilities(codes), axis=-1) / math.log(2))
        return codes

    def log_probabilities(self, codes: Any) -> Any:
        """Give the natural logarithm, at most 0, of the probability of each code in its channel.

        Args:
            codes: float32 (examples, channels); so is what is returned.
        """
        distance = ops.expand_dims(codes, -1) - self.centers  # (examples, channels, components)
        steepness = ops.exp(-self.log_scales)
        # sigmoid(a) - sigmoid(b) is sigmoid(a) sigmoid(-b) (1 - exp(b - a)), of which the logarithm
        # is exact, and has a gradient, however far the code lies from the center.
        inside = (
            ops.log_sigmoid((0.5 + distance) * steepness)
            + ops.log_sigmoid((0.5 - distance) * steepness)
            + ops.log(-ops.expm1(-steepness))
        )
        return ops.logsumexp(ops.log_softmax(self.logits, axis=-1) + inside, axis=-1)
