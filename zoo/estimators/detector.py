"""Anomaly detection: a scikit-learn detector of rows that an autoencoder cannot rebuild."""

# ruff: noqa: N803  (scikit-learn calls rows `X`)

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo import arguments as check
from zoo.data import Part
from zoo.data.columns import is_category
from zoo.data.preparation import PREPARATION
from zoo.data.tables import TablePreparation, read_frames
from zoo.estimators.base import AutoencoderEstimator, apply
from zoo.layers import AnomalyThreshold


@dataclass(eq=False, repr=False)
class AutoencoderDetector(OutlierMixin, AutoencoderEstimator):
    """Find the rows that an autoencoder of mostly normal rows cannot rebuild.

    A part of the rows is held out of the fitting, and the threshold is the score that ranks
    `floor(contamination * (held out + 1))` from below among theirs. So an unseen row like them is
    called an outlier with a probability of at most `contamination`, and (where no scores are equal)
    less than `1 / (held out + 1)` below it, whatever the data and however few they are.

    Rows may be a DataFrame with columns of strings, which are categories. The layer `preparation`
    of `model_` then standardises numbers and makes categories one-hot, errors are measured after
    it, and `model_` takes categories as codes: their places in `table_.categories`.

    Args:
        latent_dim: Number of values in a code; fewer than the features.
        contamination: Share of rows like those fitted that are to be called outliers, above 0 and
            at most 0.5.
        calibration_fraction: Share of the rows that is held out, in [0, 1).
        validation_fraction: As in `AutoencoderTransformer`; a share of the rows that are fitted.
        random_state: As there; it also decides which rows are held out.
        hidden_units, kind, activation, linear, arguments, epochs, batch_size, learning_rate,
            learning_rate_schedule, early_stopping, verbose: As there.

    Attributes:
        model_: Keras model from `features`, as they are in `X`, to `{"score": ..., "outlier":
            ...}`: what `score_samples` gives, and whether that is below the threshold, which is a
            weight of its layer `threshold`. Saved or exported, it detects anomalies by itself.
        encoder_, decoder_, health_, n_features_in_, feature_names_in_: As in
            `AutoencoderTransformer`.
        offset_: The threshold.
        table_: The columns of a DataFrame with categories; `None` for rows of numbers.

    Reference:
        Japkowicz, Myers and Gluck, A Novelty Detection Approach to Classification, 1995; Vovk,
        Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (the threshold: split
        conformal prediction).

    Example:
        >>> from sklearn.datasets import load_digits
        >>> x = load_digits().data
        >>> detector = AutoencoderDetector(8, contamination=0.1, epochs=5, random_state=0).fit(x)
        >>> round(float(np.mean(detector.predict(x) == -1)), 1)
        0.1
        >>> detector.predict(16 - x[:3])  # paper for ink
        array([-1, -1, -1])
    """

    _: KW_ONLY
    contamination: float = 0.1
    calibration_fraction: float = 0.25

    def fit(self, X: Any, y: Any = None) -> AutoencoderDetector:
        """Fit the autoencoder to a part of the rows, and the threshold to the others.

        Args:
            X: Rows, (n, features), finite, or a DataFrame without missing values; most of them
                normal.
            y: Ignored.

        Returns:
            The detector.

        Raises:
            ValueError: If `X` or a parameter is illegal, or the rows held out are too few.
            FloatingPointError: If the loss is no longer finite.
        """
        x, table = self._learn_columns(X)
        fraction = check.rate("calibration_fraction", self.calibration_fraction)
        held_out = min(round(fraction * len(x)), len(x) - 1)
        rank = conformal_rank(self.contamination, held_out)
        seed = self._seed()
        # Another stream than that of the epochs' orders, (seed, 0), (seed, 1), ...
        order = np.random.default_rng((seed, 0, 1)).permutation(len(x))
        rows = x[order[held_out:]]
        prepare = table and table.fitted(Part(rows, np.zeros(len(rows), np.int64))).layer()
        if prepare:
            rows = keras.ops.convert_to_numpy(prepare(rows))
        net = self._fit_net(rows, seed)
        features = prepared = keras.Input(x.shape[1:], name="features")
        if prepare:
            prepared = prepare(features)
        layer = AnomalyThreshold(dtype="float32", name="threshold")
        model = keras.Model(features, layer(prepared, net.call(prepared)), name="detector")
        scores = apply(model, x[order[:held_out]])["score"]
        threshold = np.sort(scores)[rank - 1]
        layer.threshold.assign(threshold)
        self.table_, self.offset_ = table, float(threshold)
        self._set_models(model)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Give minus the mean squared error of each row's reconstruction: high is normal.

        Args:
            X: Rows, (n, n_features_in_).

        Returns:
            Scores, at most 0, in the square of `X`'s unit, float64 (n,).

        Raises:
            ValueError: If `X` is malformed, or (a `NotFittedError`) `fit` was not called.
        """
        x = self._features(X)  # which tells whether there is a `model_`
        return apply(self.model_, x)["score"].astype(np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """Give `score_samples(X) - offset_`, float64 (n,): those of outliers are negative.

        Args:
            X: Rows, (n, n_features_in_).

        Raises:
            ValueError: As `score_samples` does.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Give -1 for outliers and 1 for normal rows, (n,).

        Args:
            X: Rows, (n, n_features_in_).

        Raises:
            ValueError: As `score_samples` does.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _learn_columns(self, X: Any) -> tuple[np.ndarray, TablePreparation | None]:
        """Check rows to fit to; of categories give codes, and what these are."""
        is_frame = isinstance(X, pd.DataFrame)
        if not is_frame or not any(is_category(str(name), column) for name, column in X.items()):
            return self._rows_to_learn(X), None
        (x,), table = read_frames([X], "refuse")
        validate_data(self, X, skip_check_array=True)  # which keeps the columns' names
        return x, table

    def _features(self, X: Any) -> np.ndarray:
        """Check rows for `model_`."""
        check_is_fitted(self)
        return self.table_(X) if self.table_ else super()._rows(X)

    def _rows(self, X: Any) -> np.ndarray:
        """Check rows, and prepare them as `model_` does."""
        x = self._features(X)
        if not self.table_:
            return x
        return keras.ops.convert_to_numpy(self.model_.get_layer(PREPARATION)(x))


def conformal_rank(contamination: float, held_out: int) -> int:
    """Tell which of some held-out scores is a threshold that the right share of others is below.

    If all scores come from one distribution, another one ranks anywhere among them with the same
    probability, and so is below the one of rank k with a probability of k / (held out + 1).
    """
    if check.number("contamination", contamination) > 0.5:
        raise ValueError(f"`contamination` must be at most 0.5, received {contamination!r}.")
    # Rounded, for 0.29 * 100 is a little less than 29 in binary.
    rank = math.floor(round(contamination * (held_out + 1), 9))
    if rank < 1:
        raise ValueError(
            f"`contamination`={contamination!r} needs at least {math.ceil(1 / contamination) - 1} "
            f"rows to be held out, and {held_out} are: give more rows, a larger "
            "`calibration_fraction`, or a larger `contamination`."
        )
    return rank
