"""Keras Tuner's own oracles, with the state that a killed search needs to go on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial
from sklearn.exceptions import ConvergenceWarning

from zoo.records import read_record, refusing_damage, write_record

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

    def save(self) -> None:
        """Write the state."""
        write_record(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        path = self._trial_path(trial.trial_id)
        path.parent.mkdir(exist_ok=True)
        seconds, error = (of.get(trial.trial_id) for of in (self.seconds, self.errors))
        write_record(path, {**trial.get_state(), "seconds": seconds, "error": error})

    def _trial_path(self, trial_id: str) -> Path:
        return Path(self._get_oracle_fname()).with_name(f"trial_{trial_id}") / "trial.json"

    def reload(self) -> None:
        """Read the state, if there is one. It may be older than the trials' files, or newer."""
        path = Path(self._get_oracle_fname())
        written = {found.parent.name for found in path.parent.glob("trial_*/trial.json")}
        if not path.exists() and not written:
            return
        state = read_record(path)
        self._seed_state, order = state["seed_state"], state["start_order"]
        self.trials = {key: self._read_trial(key) for key in order}
        # A trial that was written, but not told to the state before a kill, will be drawn again.
        unknown = {name.removeprefix("trial_") for name in written} - set(order)
        lost = [key for key in sorted(unknown) if self._read_trial(key).status in ENDED]
        with refusing_damage(path):
            if lost:
                raise ValueError(f"its start_order lacks {lost}")
        self._take_up()

    def _take_up(self) -> None:
        """Go on after the trials that were read."""
        self.start_order = list(self.trials)
        ended = {trial_id for trial_id, trial in self.trials.items() if trial.status in ENDED}
        self.end_order = [trial_id for trial_id in self.start_order if trial_id in ended]
        self._retry_queue = [trial_id for trial_id in self.start_order if trial_id not in ended]
        for trial in self.trials.values():
            self._record_values(trial)

    def _read_trial(self, trial_id: str) -> Trial:
        """Read a trial. One that did not end keeps its values only, for it runs again."""
        path = self._trial_path(trial_id)
        state = read_record(path)
        trial = Trial.from_state(state)
        drawn = trial.hyperparameters.values
        trial.hyperparameters = self.hyperparameters.copy()
        trial.hyperparameters.values = drawn
        with refusing_damage(path):
            if trial.trial_id != trial_id:
                raise ValueError(f"it holds trial {trial.trial_id!r}")
        if trial.status == "RUNNING":
            return Trial(trial.hyperparameters, trial_id)
        if trial.status == "COMPLETED":
            self.score_trial(trial)
        if state["seconds"] is not None:
            self.seconds[trial_id] = state["seconds"]
        if state["error"] is not None:
            self.errors[trial_id] = state["error"]
        return trial


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

    def _take_up(self) -> None:
        """Go on after the last combination: Keras Tuner would stop."""
        super()._take_up()
        for trial_id in self.start_order:
            self._ordered_ids.insert(trial_id)
        self._populate_next = list(self.start_order)


class HyperbandOracle(SearchOracle, oracles.HyperbandOracle):
    """Hyperband, in the brackets that fit into the number of trials.

    Keras Tuner knows no number of trials here, and starts with the largest bracket: 34 trials of
    one epoch, none of which goes on if the search ends with the 20th. This one leaves out brackets
    with more trials than the search, and repeats the others until it has all its trials.
    """

    _brackets: list[dict[str, Any]]
    own_values = ("tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")

    def __init__(self, *, max_trials: int, max_epochs: int, **options: Any) -> None:
        self._most_trials = max_trials
        super().__init__(max_epochs=max_epochs, hyperband_iterations=None, **options)
        self.max_trials = max_trials

    def _take_up(self) -> None:
        """Put the trials back into the brackets that they were drawn for."""
        super()._take_up()
        if self.trials:
            self._brackets = []
        brackets: dict[str | None, Any] = {}
        for trial_id, trial in self.trials.items():
            values = trial.hyperparameters.values
            with refusing_damage(self._trial_path(trial_id)):
                # A longer trial is in the bracket of the one that it goes on with.
                bracket = brackets.get(values.get("tuner/trial_id")) or self._newest(values)
                self._put_back(trial_id, values, bracket)
                brackets[trial_id] = bracket

    def _newest(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the bracket of a trial that goes on with no other."""
        last = self._brackets[-1] if self._brackets else None
        if not last or len(last["rounds"][0]) == self._get_size(last["bracket_num"], 0):
            # The number of brackets can grow with the number of trials.
            self._current_bracket = range(super()._get_num_brackets())[values["tuner/bracket"]]
            self._start_new_bracket()
        return self._brackets[-1]

    def _put_back(self, trial_id: str, values: Mapping[str, Any], bracket: dict[str, Any]) -> None:
        index, rounds, number = bracket["bracket_num"], bracket["rounds"], values["tuner/round"]
        before = self._get_epochs(index, number - 1) if number else 0
        expected = (self._get_epochs(index, number), before, self._current_bracket, number)
        parent = values.get("tuner/trial_id")
        parents = {entry["id"] for entry in rounds[number - 1]} if number else {None}
        if parent not in parents or tuple(values[name] for name in self.own_values) != expected:
            raise ValueError(f"it is no trial of bracket {index}")
        rounds[number].append({"past_id": parent, "id": trial_id})

    def _get_num_brackets(self) -> int:
        brackets = super()._get_num_brackets()
        trials = [sum(self._get_size(b, n) for n in range(b + 1)) for b in range(brackets)]
        return max(1, sum(count <= self._most_trials for count in trials))


def make_oracle(
    tuner: str, objective: keras_tuner.Objective, *, max_trials: int, max_epochs: int, seed: int
) -> SearchOracle:
    """Make the oracle that proposes a search's values."""
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
