"""What the kinds of autoencoders do to inputs, codes and outputs, whatever lies between these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from zoo import arguments as check
from zoo._lazy import keras, layers, zoo_layers

KINDS = ("plain", "denoising", "sparse", "contractive", "variational", "compression")

# What is known of the data, and the activation of the last layer that follows.
DATA_RANGES = {"unit": "sigmoid", "real": "linear", "binary": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class Bottleneck:
    """The ends of an autoencoder's halves; see `zoo.dense_autoencoder` for the arguments."""

    input_shape: Sequence[int | None]
    latent_dim: int
    kind: str = "plain"
    noise: str = "gaussian"
    noise_level: float = 0.3
    sparsity: str = "l1"
    penalty_weight: float = 0.1
    beta: float = 1.0
    data_range: str = "unit"
    output_activation: Any = None

    def __post_init__(self) -> None:
        """Check every argument before a layer is made; NumPy's numbers become Python's."""
        shape = self.input_shape
        if not (isinstance(shape, Sequence) and len(shape) == 1):
            check.image_shape("input_shape", shape)
        check.one_of("kind", self.kind, KINDS)
        check.one_of("noise", self.noise, zoo_layers.corruption.NOISES)
        check.one_of("sparsity", self.sparsity, zoo_layers.penalties.SPARSITIES)
        check.one_of("data_range", self.data_range, DATA_RANGES)
        if self.output_activation is not None:
            check.activation("output_activation", self.output_activation)
        level = check.number if self.noise == "gaussian" else check.rate
        checked = {
            "input_shape": check.integers("input_shape", shape),
            "latent_dim": check.integer("latent_dim", self.latent_dim),
            "noise_level": level("noise_level", self.noise_level),
            "penalty_weight": check.number("penalty_weight", self.penalty_weight, or_zero=True),
            "beta": check.number("beta", self.beta, or_zero=True),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.data_range == "binary" and self.output_activation not in (None, "sigmoid"):
            raise ValueError(
                "`data_range`='binary' needs a sigmoid output, which gives probabilities; "
                f"received output_activation={self.output_activation!r}."
            )

    @property
    def size(self) -> int:
        """Number of values in an input, over which Keras takes the mean of the squared error."""
        return math.prod(self.input_shape)  # type: ignore[arg-type]

    def inputs(self) -> Any:
        """Open the encoder."""
        name = "image" if len(self.input_shape) == 3 else "features"
        return keras.Input(tuple(self.input_shape), name=name)

    def prepared(self, x: Any) -> Any:
        """Apply what the kind does to inputs while training."""
        if self.kind == "denoising":
            clip = self.data_range != "real"
            return zoo_layers.Corruption(self.noise, self.noise_level, clip=clip, name="noise")(x)
        if self.kind == "contractive":
            return zoo_layers.Perturbation(_perturbation_step(), name="perturbation")(x)
        return x

    def latent(self, x: Any, code: keras.Layer) -> Any:
        """Close the encoder: a layer for the code, then what the kind asks for, in float32."""
        weight = self.penalty_weight / self.size
        last: dict[str, Any] = dict(name="latent", dtype="float32")
        if self.kind == "variational":
            # From zeros, every variance begins at 1; others take long to become alike.
            spread = layers.Dense(self.latent_dim, kernel_initializer="zeros", name="log_variance")
            return zoo_layers.GaussianSampling(self.beta / self.size, **last)(code(x), spread(x))
        x = code(x)
        if self.kind == "sparse":
            if self.sparsity == "kl":
                x = layers.Activation("sigmoid", name="code_activation")(x)
            return zoo_layers.Sparsity(weight, self.sparsity, **last)(x)
        if self.kind == "contractive":
            return zoo_layers.Contraction(weight, step=_perturbation_step(), **last)(x)
        if self.kind == "compression":
            return zoo_layers.EntropyBottleneck(weight, **last)(x)
        return layers.Activation("linear", **last)(x)

    def codes(self) -> Any:
        """Open the decoder."""
        return keras.Input((self.latent_dim,), name="latent")

    def join(
        self, encoder: keras.Model, codes: Any, outputs: Any, *, name: str, tied: bool = False
    ) -> keras.Model:
        """Close the decoder, and put both halves together."""
        last = "probabilities" if self.data_range == "binary" else "reconstruction"
        activation = self.output_activation or DATA_RANGES[self.data_range]
        outputs = layers.Activation(activation, dtype="float32", name=last)(outputs)
        decoder = keras.Model(codes, outputs, name="decoder")
        named = layers.Identity(dtype="float32", name=last)  # Keras names outputs by the last layer
        inputs = self.inputs()  # were it the encoder's, the encoder's own output would hang on it
        model = zoo_layers.TiedModel if tied else keras.Model
        return model(inputs, named(decoder(encoder(inputs))), name=name)


def _perturbation_step() -> float:
    """Give a step that is small, but not lost in the rounding of half precision."""
    return 1e-3 if keras.config.dtype_policy().compute_dtype == "float32" else 0.1
