"""Noise that a denoising autoencoder learns to remove."""

from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import SameShape

NOISES = ("gaussian", "masking", "salt_and_pepper")


@keras.saving.register_keras_serializable("zoo")
class Corruption(SameShape):
    """Damage inputs while training; leave them alone otherwise.

    Args:
        noise: "gaussian" adds normal noise, "masking" sets values to 0, "salt_and_pepper" sets
            values to 0 or 1, either with even odds.
        level: Standard deviation of the Gaussian noise, above 0; else the share of values that are
            replaced, in (0, 1).
        clip: Whether noisy values are cut to [0, 1], as those of a stored image are.
        seed: Of the noise; `None` draws one.
        **kwargs: As `keras.layers.Layer` takes them.

    Raises:
        ValueError: If an argument is illegal.

    Reference:
        Vincent et al., Stacked Denoising Autoencoders, 2010,
        https://www.jmlr.org/papers/v11/vincent10a.html

    Example:
        >>> layer, x = Corruption("masking", 0.25, seed=0), ops.ones((1000, 8))
        >>> int(ops.sum(layer(x, training=True))), int(ops.sum(layer(x)))
        (5965, 8000)
    """

    def __init__(
        self,
        noise: str = "gaussian",
        level: float = 0.3,
        *,
        clip: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.noise = check.one_of("noise", noise, NOISES)
        self.level = (check.number if noise == "gaussian" else check.rate)("level", level)
        self.clip = check.flag("clip", clip)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Give the damaged inputs while training, else the inputs."""
        if not training:
            return inputs
        shape, dtype = ops.shape(inputs), inputs.dtype
        if self.noise == "gaussian":
            inputs += keras.random.normal(
                shape, stddev=self.level, dtype=dtype, seed=self.seed_generator
            )
            return ops.clip(inputs, 0, 1) if self.clip else inputs
        # One draw decides both whether a value is replaced and by what.
        draw = keras.random.uniform(shape, seed=self.seed_generator, dtype="float32")
        inputs = ops.where(draw < self.level, ops.zeros((), dtype), inputs)
        if self.noise == "salt_and_pepper":
            inputs = ops.where(draw < self.level / 2, ops.ones((), dtype), inputs)
        return inputs
