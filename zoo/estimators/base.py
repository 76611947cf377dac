"""What the estimators share: a net fitted to rows of numbers, and what it makes of other rows."""

# ruff: noqa: N803  (scikit-learn calls rows `X`)

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo import arguments as check
from zoo.data import Dataset, Part
from zoo.data.columns import single_precision
from zoo.health import History, Report
from zoo.models.autoencoder import dense_autoencoder
from zoo.registry import require_known
from zoo.tasks import ReconstructionTask
from zoo.training.fit import fit_model, own_monitors
from zoo.training.recipe import Recipe

# Rows go through a model so many at a time, the last ones filled up with zeros: how a product
# rounds depends on the number of rows, and no row's result is to depend on those beside it.
BLOCK = 256

# Of the data's standard deviation, so that float32 holds its square.
SMALLEST_SCALE, LARGEST_SCALE = 1e-18, 1e18

# Parameters of the estimators that are arguments of `dense_autoencoder`, and of `Recipe`.
OF_NET = ("latent_dim", "hidden_units", "kind", "activation", "linear")
OF_RECIPE = ("epochs", "batch_size", "learning_rate", "learning_rate_schedule", "early_stopping")
# Arguments of `dense_autoencoder` that the data decide, or that the estimators have themselves.
OWN = (*OF_NET, "input_shape", "data_range", "name")


class _RebuildingTask(ReconstructionTask):
    """Rebuild rows, judged by the loss."""

    objective = "val_loss"
    direction = "min"


@dataclass(eq=False, repr=False)  # scikit-learn has its own
class AutoencoderEstimator(BaseEstimator):
    """An estimator whose fitted models take and give rows in the units of the data."""

    latent_dim: int = 2
    _: KW_ONLY
    hidden_units: Sequence[int] = (256, 128)
    kind: str = "plain"
    activation: Any = "silu"
    linear: bool = False
    arguments: Mapping[str, Any] | None = None
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "cosine"
    early_stopping: int | None = None
    validation_fraction: float = 0.1
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Measure how far rows are from what the autoencoder makes of them."""
        x = self._rows(X)
        rebuilt = apply(self.decoder_, apply(self.encoder_, x))
        errors = np.square(x.astype(np.float64) - rebuilt)
        return errors if per_feature else errors.mean(axis=1)

    def _rows_to_learn(self, X: Any) -> np.ndarray:
        """Check rows to fit to."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        columns = enumerate(x.T)
        return np.stack([single_precision(f"The column {i}", x) for i, x in columns], axis=1)

    def _rows(self, X: Any) -> np.ndarray:
        """Check rows to apply the fitted models to."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float32, reset=False)

    def _fit_net(self, x: np.ndarray, seed: int) -> keras.Model:
        """Fit a net, and say so where its training was hopeless."""
        recipe = Recipe(optimizer="adam", seed=seed, **self._parameters(OF_RECIPE))
        mean, scale = center_and_scale(x)
        arguments = {**self._more_arguments(), **self._parameters(OF_NET)}
        state = random.getstate()
        random.seed(seed)  # which Keras takes the seeds of its own from while it builds
        try:
            net = dense_autoencoder((x.shape[1],), data_range="real", name="net", **arguments)
        finally:
            random.setstate(state)
        scaled = ((x - mean) / scale).astype(np.float32)
        everything = Part(scaled, np.zeros(len(scaled), np.int64))
        train, validation = everything, everything.subset(np.arange(0))
        if self.early_stopping:
            # Another stream than that of the epochs' orders, (seed, 0), (seed, 1), ...
            order = np.random.default_rng((seed, 0, 2)).permutation(len(x))
            fraction = check.rate("validation_fraction", self.validation_fraction)
            judged = max(1, round(fraction * len(x)))
            train, validation = everything.subset(order[judged:]), everything.subset(order[:judged])
        data = Dataset("rows", train, validation, validation, ("0",))
        # Compiled apart from the net, which is then saved without an optimizer.
        trainer = keras.Model(net.input, net.output)
        trainer.compile(recipe.make_optimizer(), "mse")
        monitors = own_monitors()
        fit_model(
            trainer, data, _RebuildingTask(), recipe, callbacks=monitors, verbose=self.verbose
        )
        self.health_ = monitors[0].report if monitors else Report.of(History())
        if self.health_.severity == "error":
            finding = self.health_.findings[0]
            warnings.warn(f"{finding}; more is in `health_`.", ConvergenceWarning, stacklevel=3)
        return _in_units(net, mean, scale)

    def _parameters(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    def _more_arguments(self) -> dict[str, Any]:
        known = inspect.signature(dense_autoencoder).parameters
        free = {name: known[name] for name in known if name not in OWN}
        more = check.mapping("arguments", self.arguments)
        if own := [name for name in more if name in OWN]:
            raise ValueError(
                f"`arguments` holds {own[0]!r}, which is a parameter of the estimator itself, or "
                "follows from the data: take it out of `arguments`."
            )
        require_known("`arguments` are for zoo.dense_autoencoder, which", more, free)
        return more

    def _seed(self) -> int:
        """Draw a seed by `random_state`; `None` leaves NumPy's global state alone."""
        if self.random_state is None:
            return int(np.random.default_rng().integers(2**31))
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _set_models(self, model: keras.Model) -> None:
        """Keep what was fitted, and its halves, which have its very layers."""
        self.model_ = model
        net = model.get_layer("net")
        encoder, decoder = net.get_layer("encoder"), net.get_layer("decoder")
        features = keras.Input(net.input.shape[1:], name="features")
        latent = keras.Input(decoder.input.shape[1:], name="latent")
        named = keras.layers.Identity(dtype="float32", name="latent")
        code = named(encoder(model.get_layer("scaling")(features)))
        rebuilt = model.get_layer("reconstruction")(decoder(latent))
        self.encoder_ = keras.Model(features, code, name="encoder")
        self.decoder_ = keras.Model(latent, rebuilt, name="decoder")

    def __getstate__(self) -> dict[str, Any]:
        # Pickled beside `model_`, the halves would come back with weights of their own.
        state = super().__getstate__()
        return {name: state[name] for name in state if name not in ("encoder_", "decoder_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self._set_models(self.model_)


def apply(model: keras.Model, x: np.ndarray) -> Any:
    """Apply a model to rows; no row's result depends on the rows beside it."""
    blocks = []
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK]
        padded = np.zeros((BLOCK, *x.shape[1:]), x.dtype)
        padded[: len(rows)] = rows
        blocks.append(tree.map_structure(ops.convert_to_numpy, model(padded, training=False)))
    return tree.map_structure(lambda *parts: np.concatenate(parts)[: len(x)], *blocks)


def center_and_scale(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Measure where rows lie, and how far they spread."""
    mean = x.mean(axis=0, dtype=np.float64)
    if (x == x[0]).all():
        return mean, 1.0
    scale = float(np.sqrt(np.mean(np.square(x - mean))))
    if not SMALLEST_SCALE < scale < LARGEST_SCALE:
        raise ValueError(
            f"The standard deviation of `X` must lie between {SMALLEST_SCALE:g} and "
            f"{LARGEST_SCALE:g}, received {scale:g}: give `X` in another unit."
        )
    return mean, scale


def _in_units(net: keras.Model, mean: np.ndarray, scale: float) -> keras.Model:
    """Put the scaling of the rows, and its inverse, around a net."""
    features = keras.Input(net.input.shape[1:], name="features")
    offset = (-mean / scale).astype(np.float32)
    scaling = keras.layers.Rescaling(1 / scale, offset, dtype="float32", name="scaling")
    inverse = keras.layers.Rescaling(
        scale, mean.astype(np.float32), dtype="float32", name="reconstruction"
    )
    return keras.Model(features, inverse(net(scaling(features))), name="autoencoder")
