"""Keras Tuner's own oracles, with the state that a killed search needs to go on."""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from keras_tuner.engine.hyperparameters import Float
from keras_tuner.engine.trial import Trial
from sklearn.exceptions import ConvergenceWarning

from zoo.records import read_json, refusing_damage, write_json

ENDED = ("COMPLETED", "FAILED")


class SearchOracle(keras_tuner.Oracle):
    """What our oracles add to Keras Tuner's.

    Files are replaced as a whole, and what is read is checked. A trial's file says all about the
    trial; `oracle.json` says which trials there are, and what the next draws depend on. No trial
    that ended is run again, the first trial can be given, and failures never end a search.
    """

    trials: dict[str, Any]
    """Every trial, by its id."""
    start: Mapping[str, Any] | None = None
    """Values of the first trial, where the caller gives a starting point."""
    seconds: dict[str, float]
    """Duration of each trial that ended, by its id."""
    errors: dict[str, str]
    """What went wrong, in one line, for each trial that failed."""
    own_values: tuple[str, ...] = ()
    """Numbers that the oracle adds to the values of each trial, by name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_consecutive_failed_trials=None, **options)
        self.seconds, self.errors = {}, {}

    def _random_values(self) -> dict[str, Any] | None:
        if self.start is not None and not self.trials:
            return dict(self.start)
        return super()._random_values()

    def get_state(self) -> dict[str, Any]:
        """Give the state that is written beside the trials' own files."""
        return {"start_order": self.start_order, "seed_state": self._seed_state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a state that was written; the trials are there already."""
        self._seed_state = operator.index(state["seed_state"])
        self.start_order = list(self.trials)
        ended = {trial_id for trial_id, trial in self.trials.items() if trial.status in ENDED}
        self.end_order = [trial_id for trial_id in self.start_order if trial_id in ended]
        self._retry_queue = [trial_id for trial_id in self.start_order if trial_id not in ended]
        for trial in self.trials.values():
            self._record_values(trial)

    def save(self) -> None:
        """Write the state."""
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        key = trial.trial_id
        more = {"seconds": self.seconds.get(key), "error": self.errors.get(key)}
        write_json(self._trial_path(key), {**trial.get_state(), **more})

    def _trial_path(self, trial_id: str) -> Path:
        return Path(self._get_trial_dir(trial_id)) / "trial.json"

    def reload(self) -> None:
        """Read the state, if there is one. It may be older than the trials' files, or newer."""
        path = Path(self._get_oracle_fname())
        written = {found.parent.name for found in path.parent.glob("trial_*/trial.json")}
        if not path.exists() and not written:
            return
        state = read_json(path)
        with refusing_damage(path):
            order = state["start_order"]
            if not all(isinstance(key, str) and int(key) == n for n, key in enumerate(order)):
                raise ValueError(f"its start_order is {order}")
        self.trials = {}
        for key in order:
            self.trials[key] = self._read_trial(key)
        # A trial that was written, but not told to the state before a kill, will be drawn again.
        unknown = {name.removeprefix("trial_") for name in written} - set(order)
        lost = [key for key in sorted(unknown) if self._read_trial(key).status in ENDED]
        with refusing_damage(path):
            if lost:
                raise ValueError(f"its start_order lacks {lost}")
            self.set_state(state)

    def _read_trial(self, trial_id: str) -> Trial:
        """Read a trial. One that did not end keeps its values only, for it runs again."""
        path = self._trial_path(trial_id)
        state = read_json(path)
        with refusing_damage(path):
            trial = Trial.from_state(state)
            drawn = trial.hyperparameters.values
            trial.hyperparameters = self.hyperparameters.copy()
            trial.hyperparameters.values = drawn
            self._require_drawn(trial.hyperparameters)
            if trial.trial_id != trial_id or trial.status not in ("RUNNING", *ENDED):
                raise ValueError(f"it holds trial {trial.trial_id!r}, {trial.status!r}")
            if trial.status == "RUNNING":
                return Trial(trial.hyperparameters, trial_id)
            if trial.status == "COMPLETED":
                self.score_trial(trial)
                if not isinstance(state["score"], float) or state["score"] != trial.score:
                    raise ValueError(
                        f"its score is {state['score']!r}, of its metrics {trial.score}"
                    )
            if state["seconds"] is not None:
                self.seconds[trial_id] = float(state["seconds"])
            if state["error"] is not None:
                self.errors[trial_id] = str(state["error"])
        return trial

    def _require_drawn(self, hyperparameters: Any) -> None:
        """Refuse values that this search cannot have drawn."""
        values = hyperparameters.values
        rows = {row.name: row for row in hyperparameters.space if hyperparameters.is_active(row)}
        if set(values) - {"tuner/trial_id"} != {*rows, *self.own_values}:
            raise ValueError(f"its values are of {sorted(values)}")
        for name, row in rows.items():
            if isinstance(row, Float):
                # Draws by "log" can end beside their range by a rounding.
                inside = min(max(values[name], row.min_value), row.max_value)
                legal = math.isclose(values[name], inside)
            else:
                legal = values[name] in row.values
            if not legal:
                raise ValueError(f"its value of {name} is {values[name]!r}")


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

    own_values = ("tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")

    def __init__(self, *, max_trials: int, max_epochs: int, **options: Any) -> None:
        self._most_trials = max_trials
        super().__init__(max_epochs=max_epochs, hyperband_iterations=None, **options)
        self.max_trials = max_trials

    def get_state(self) -> dict[str, Any]:
        """Give the state, with the brackets."""
        brackets = {
            "brackets": self._brackets,
            "current_bracket": self._current_bracket,
            "current_iteration": self._current_iteration,
        }
        return {**super().get_state(), **brackets}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a state that was written."""
        super().set_state(state)
        for bracket in state["brackets"]:
            rounds, number = bracket["rounds"], bracket["bracket_num"]
            ids = [info[key] for info in itertools.chain(*rounds) for key in ("id", "past_id")]
            if len(rounds) != self._bracket(number) + 1 or not {*ids} <= {None, *self.trials}:
                raise ValueError(f"bracket {number!r} has the rounds {rounds}")
        self._brackets = state["brackets"]
        self._current_bracket = self._bracket(state["current_bracket"])
        self._current_iteration = operator.index(state["current_iteration"])

    def _bracket(self, number: Any) -> int:
        if operator.index(number) not in range(self._get_num_brackets()):
            raise ValueError(f"there is no bracket {number}")
        return number

    def _require_drawn(self, hyperparameters: Any) -> None:
        super()._require_drawn(hyperparameters)
        values = hyperparameters.values
        for name in self.own_values:
            if operator.index(values[name]) not in range(self.max_epochs + 1):
                raise ValueError(f"its value of {name} is {values[name]!r}")
        if values.get("tuner/trial_id") not in {None, *self.trials}:
            raise ValueError(f"it goes on with trial {values['tuner/trial_id']!r}")

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
