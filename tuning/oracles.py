"""Keras Tuner's own oracles, with the state that a killed search needs to go on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from sklearn.exceptions import ConvergenceWarning

from zoo.records import write_json

ENDED = ("COMPLETED", "FAILED")


class SearchOracle(keras_tuner.Oracle):
    """What our oracles add to Keras Tuner's.

    Files are replaced as a whole, no trial that ended is run again, the first trial can be
    given, and failures never end a search.
    """

    trials: dict[str, Any]
    """Every trial, by its id."""
    start: Mapping[str, Any] | None = None
    """Values of the first trial, where the caller gives a starting point."""
    seconds: dict[str, float]
    """Duration of each trial that ended, by its id."""
    errors: dict[str, str]
    """What went wrong, in one line, for each trial that failed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_consecutive_failed_trials=None, **options)
        self.seconds, self.errors = {}, {}

    def _random_values(self) -> dict[str, Any] | None:
        if self.start is not None and not self.trials:
            return dict(self.start)
        return super()._random_values()

    def get_state(self) -> dict[str, Any]:
        """Give the state that is written after each trial."""
        return {**super().get_state(), "seconds": self.seconds, "errors": self.errors}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a state that was written."""
        super().set_state(state)
        self.seconds, self.errors = state["seconds"], state["errors"]

    def save(self) -> None:
        """Write the state."""
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        write_json(path, trial.get_state())

    def reload(self) -> None:
        """Read the state, which may be older than the trials' files, or newer."""
        super().reload()
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        ended = {trial_id for trial_id, trial in self.trials.items() if trial.status in ENDED}
        self.end_order = [trial_id for trial_id in self.start_order if trial_id in ended]
        self._retry_queue = [trial_id for trial_id in self.start_order if trial_id not in ended]


class RandomOracle(SearchOracle, oracles.RandomSearchOracle):
    """Random search."""


class BayesianOracle(SearchOracle, oracles.BayesianOptimizationOracle):
    """Bayesian optimization with a Gaussian process."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Draw a trial's values; the same ones in a search that was interrupted."""
        self._random_state = np.random.RandomState([self.seed, len(self.trials)])
        with warnings.catch_warnings():  # Its kernel is too short or too long for few trials.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().populate_space(trial_id)


class GridOracle(SearchOracle, oracles.GridSearchOracle):
    """Every combination in turn; the last rows vary first."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a state, and go on after the last combination: Keras Tuner would stop."""
        super().set_state(state)
        for trial_id in self.start_order:
            self._ordered_ids.insert(trial_id)
        self._populate_next = list(self.start_order)


class HyperbandOracle(SearchOracle, oracles.HyperbandOracle):
    """Hyperband, in the brackets that fit into the number of trials.

    Keras Tuner knows no number of trials here, and starts with the largest bracket: 34 trials of
    one epoch, none of which goes on if the search ends with the 20th. This one leaves out brackets
    with more trials than the search, and repeats the others until it has all its trials.
    """

    def __init__(self, *, max_trials: int, max_epochs: int, **options: Any) -> None:
        self._most_trials = max_trials
        super().__init__(max_epochs=max_epochs, hyperband_iterations=None, **options)
        self.max_trials = max_trials

    def _get_num_brackets(self) -> int:
        brackets = super()._get_num_brackets()
        while brackets > 1 and self._bracket_trials(brackets - 1) > self._most_trials:
            brackets -= 1
        return brackets

    def _bracket_trials(self, bracket: int) -> int:
        return sum(self._get_size(bracket, number) for number in range(bracket + 1))


def make_oracle(
    tuner: str, objective: keras_tuner.Objective, *, max_trials: int, max_epochs: int, seed: int
) -> SearchOracle:
    """Make the oracle that proposes a search's values.

    Args:
        tuner: "random", "bayesian", "grid" or "hyperband".
        objective: What to improve.
        max_trials: Number of trials.
        max_epochs: Epochs of Hyperband's longest trials.
        seed: Decides every draw.

    Returns:
        The oracle.

    Example:
        >>> objective = keras_tuner.Objective("val_accuracy", "max")
        >>> make_oracle("random", objective, max_trials=3, max_epochs=1, seed=0).max_trials
        3
    """
    options: dict[str, Any] = dict(
        objective=objective,
        max_trials=max_trials,
        # Keras Tuner draws with seed, seed + 1, ...: neighbouring seeds would give shifted draws.
        # It takes 0 for no seed.
        seed=int(np.random.SeedSequence(seed).generate_state(1)[0]) or 1,
    )
    if tuner == "hyperband":
        return HyperbandOracle(max_epochs=max_epochs, **options)
    if tuner == "bayesian":
        # Keras Tuner's default, three for each row, is more than most searches have trials.
        return BayesianOracle(num_initial_points=max(3, max_trials // 3), **options)
    return {"random": RandomOracle, "grid": GridOracle}[tuner](**options)
