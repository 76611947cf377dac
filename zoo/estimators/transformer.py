"""Nonlinear principal components: a scikit-learn transformer."""

# ruff: noqa: N803  (scikit-learn calls rows `X`)

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from zoo.estimators.base import AutoencoderEstimator, apply


class AutoencoderTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, AutoencoderEstimator
):
    """Give each row a short code that it can be rebuilt from: PCA along curved surfaces.

    A `zoo.dense_autoencoder` is fitted with Adam to the mean squared error. Rows are centred and
    divided by one number, so that errors keep the proportions of the features, as PCA's do; where
    features have different units, put a `StandardScaler` before. Everything computes in float32.

    Args:
        latent_dim: Number of values in a code.
        hidden_units: Number of units, one entry a layer between input and code; the decoder has
            the same layers in reverse. May be empty.
        kind: As `zoo.dense_autoencoder` takes it. "denoising" rebuilds unseen rows better where
            rows are few and features many.
        activation: Name of a Keras activation, or a callable that can be pickled.
        linear: Leave every activation out. With `hidden_units=()`, codes span what the first
            principal components span.
        arguments: More arguments of `zoo.dense_autoencoder`, by name, such as
            `{"noise_level": 0.5}`; what they measure in values is in the data's standard deviation.
        epochs, batch_size, learning_rate, learning_rate_schedule, early_stopping: As `zoo.Recipe`
            takes them; the objective is the loss of held-out rows.
        validation_fraction: Share of the rows that `early_stopping` holds out, in [0, 1).
        random_state: Decides initial weights, the order of the rows and what a kind draws; an
            integer gives the same numbers again on the same machine.
        verbose: As Keras's `fit` takes it; 0 is silent.

    Attributes:
        encoder_: Keras model from `features`, as they are in `X`, to `latent`.
        decoder_: Keras model from `latent` to `reconstruction`, in `X`'s units.
        model_: Keras model from `features` to `reconstruction`. The three have the same weights.
        health_: What `zoo.GradientHealth` found in the fitting, a `zoo.health.Report`. Where that
            was hopeless, `fit` warns (a `ConvergenceWarning`).
        n_features_in_: Number of features.
        feature_names_in_: Their names, where `X` has such.

    Reference:
        Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006;
        Kramer, Nonlinear Principal Component Analysis Using Autoassociative Neural Networks, 1991.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> x = load_digits().data
        >>> transformer = AutoencoderTransformer(2, epochs=2, random_state=0).fit(x)
        >>> transformer.transform(x).shape, transformer.reconstruction_error(x).shape
        ((1797, 2), (1797,))
    """

    def fit(self, X: Any, y: Any = None) -> AutoencoderTransformer:
        """Fit the autoencoder.

        Args:
            X: Rows, (n, features), finite, n at least 2.
            y: Ignored.

        Returns:
            The transformer.

        Raises:
            ValueError: If `X` or a parameter is illegal.
            FloatingPointError: If the loss is no longer finite.
        """
        self._set_models(self._fit_net(self._rows_to_learn(X), self._seed()))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Give the codes of rows, float32 (n, latent_dim).

        Args:
            X: Rows, (n, n_features_in_).

        Raises:
            ValueError: If `X` is malformed, or (a `NotFittedError`) `fit` was not called.
        """
        x = self._rows(X)  # which tells whether there is an `encoder_`
        return apply(self.encoder_, x)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rebuild rows, float32 (n, n_features_in_), from codes.

        Args:
            X: Codes, (n, latent_dim).

        Raises:
            ValueError: As `transform` does.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"`X` must be codes of {self._n_features_out} values, as `transform` gives them; "
                f"received the shape {codes.shape}."
            )
        return apply(self.decoder_, codes)

    def score(self, X: Any, y: Any = None) -> float:
        """Give minus the mean squared error, in the square of `X`'s unit: higher is better.

        Args:
            X: Rows, (n, n_features_in_).
            y: Ignored.

        Raises:
            ValueError: As `transform` does.
        """
        return -float(self.reconstruction_error(X).mean())

    @property
    def _n_features_out(self) -> int:
        return self.decoder_.input.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
