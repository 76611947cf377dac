"""What is charged for a code: layers that add a term to the loss, and log it under its own name."""

from typing import Any

import keras
from keras import ops

from zoo import arguments as check
from zoo.layers.base import SameShape

SPARSITIES = ("l1", "kl")


class Penalty(SameShape):
    """A layer that adds `weight` times a quantity to the loss, and logs the quantity.

    On JAX the quantity is in the loss alone: there Keras keeps no count for a layer that trains.

    Args:
        weight: Factor of the quantity in the loss, at least 0.
        quantity: Name of the metric that shows the quantity.
        **kwargs: As `keras.layers.Layer` takes them.

    Raises:
        ValueError: If the weight is no number of at least 0.
    """

    def __init__(self, weight: float, quantity: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = check.number("weight", weight, or_zero=True)
        on_jax = keras.backend.backend() == "jax"
        self.meter = None if on_jax else keras.metrics.Mean(name=quantity)

    def charge(self, values: Any) -> None:
        """Add the mean of values, one for each example, to the loss and to the log."""
        self.add_loss(self.weight * ops.mean(values))
        if self.meter is not None:
            self.meter.update_state(values)


@keras.saving.register_keras_serializable("zoo")
class Sparsity(Penalty):
    """Charge for units that are active; logged as `sparsity`.

    Args:
        weight: Factor of the charge in the loss.
        penalty: "l1" charges the sum of the absolute values of each example; "kl" charges the
            divergence of each unit's mean activity over the batch, which must lie in (0, 1), from
            `target`, summed over the units.
        target: The mean activity that "kl" wants, in (0, 1).
        **kwargs: As `keras.layers.Layer` takes them.

    Raises:
        ValueError: If an argument is illegal.

    Reference:
        Ng, Sparse Autoencoder, 2011, CS294A lecture notes.

    Example:
        >>> layer = Sparsity(0.5)
        >>> _ = layer(ops.convert_to_tensor([[1.0, -2.0], [0.0, 3.0]]))
        >>> float(layer.losses[0]), float(layer.meter.result())
        (1.5, 3.0)
    """

    def __init__(
        self, weight: float, penalty: str = "l1", *, target: float = 0.05, **kwargs: Any
    ) -> None:
        super().__init__(weight, "sparsity", **kwargs)
        self.penalty = check.one_of("penalty", penalty, SPARSITIES)
        self.target = check.rate("target", target)

    def call(self, inputs: Any) -> Any:
        """Give the inputs back."""
        if self.penalty == "l1":
            self.charge(ops.sum(ops.abs(inputs), axis=-1))
            return inputs
        wanted = self.target
        found = ops.clip(ops.mean(inputs, axis=0), 1e-6, 1 - 1e-6)
        divergence = wanted * ops.log(wanted / found)
        divergence += (1 - wanted) * ops.log((1 - wanted) / (1 - found))
        self.charge(ops.broadcast_to(ops.sum(divergence), ops.shape(inputs)[:1]))
        return inputs


@keras.saving.register_keras_serializable("zoo")
class Perturbation(SameShape):
    """While training, append to the batch a copy of it that is moved a little, at random.

    `Contraction`, further up, takes the copy off again.

    Args:
        step: Standard deviation of the movement of each value.
        seed: Of the movement; `None` draws one.
        **kwargs: As `keras.layers.Layer` takes them.

    Example:
        >>> layer = Perturbation(1e-3)
        >>> layer(ops.ones((4, 8)), training=True).shape, layer(ops.ones((4, 8))).shape
        (TensorShape([8, 8]), TensorShape([4, 8]))
    """

    def __init__(self, step: float = 1e-3, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = check.number("step", step)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Give a batch twice as large while training, else the inputs."""
        if not training:
            return inputs
        moves = keras.random.normal(
            ops.shape(inputs), stddev=self.step, dtype=inputs.dtype, seed=self.seed_generator
        )
        return ops.concatenate([inputs, inputs + moves], axis=0)


@keras.saving.register_keras_serializable("zoo")
class Contraction(Penalty):
    """Charge for codes that move when their inputs do; logged as `contraction`.

    The quantity is the squared Frobenius norm of the Jacobian of codes by inputs, estimated along
    one random direction an example: `Perturbation`, at the model's bottom, moves the inputs. Only
    charged while training.

    Args:
        weight: Factor of the charge in the loss.
        step: `Perturbation`'s step.
        **kwargs: As `keras.layers.Layer` takes them.

    Reference:
        Rifai et al., Contractive Auto-Encoders, 2011.

    Example:
        >>> layer = Contraction(1.0, step=0.5)
        >>> codes = ops.convert_to_tensor([[1.0, 1.0], [1.0, 2.0]])  # one code, and where it moved
        >>> layer(codes, training=True).shape, float(layer.meter.result())
        (TensorShape([1, 2]), 4.0)
    """

    def __init__(self, weight: float, *, step: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(weight, "contraction", **kwargs)
        self.step = check.number("step", step)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Give the codes of the batch, without those of its copy."""
        if not training:
            return inputs
        codes, moved = ops.split(inputs, 2, axis=0)
        self.charge(ops.sum(ops.square((moved - codes) / self.step), axis=-1))
        return codes


@keras.saving.register_keras_serializable("zoo")
class GaussianSampling(Penalty):
    """Draw codes from normal distributions, and charge for what these tell; logged as `kl`.

    The quantity is the divergence of each example's distribution from the standard normal, in
    nats. Outside training the code is the mean; the charge is the same.

    Args:
        weight: Factor of the charge in the loss.
        seed: Of the draws; `None` draws one.
        **kwargs: As `keras.layers.Layer` takes them.

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013,
        https://arxiv.org/abs/1312.6114; Higgins et al., beta-VAE, 2017 (the weight).

    Example:
        >>> layer = GaussianSampling(1.0)
        >>> mean, log_variance = ops.ones((4, 2)), ops.zeros((4, 2))
        >>> layer(mean, log_variance).shape, float(layer.meter.result())
        (TensorShape([4, 2]), 1.0)
    """

    def __init__(self, weight: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(weight, "kl", **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mean: Any, log_variance: Any, training: bool | None = None) -> Any:
        """Give a draw from each distribution while training, else the mean."""
        squares = ops.square(mean) + ops.exp(log_variance)
        self.charge(ops.sum(squares - 1 - log_variance, axis=-1) / 2)
        if not training:
            return mean
        draws = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(log_variance / 2) * draws
