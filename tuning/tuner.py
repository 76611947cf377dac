"""The trial runner: Keras Tuner's, with seeds, progress and state that survives a kill."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.errors import FailedTrialError, FatalError
from keras_tuner.src.engine.tuner_utils import TunerCallback

from tuning.hypermodels import ZooHyperModel
from tuning.objective import Objective
from tuning.oracles import HyperbandOracle, SearchOracle
from tuning.progress import Progress
from tuning.report import TrialRecord, best_of
from zoo.data import Dataset
from zoo.training.fit import BestWeights
from zoo.training.runs import MODEL, RunKeeper, averages_at_the_end, load_state


class SearchTuner(keras_tuner.Tuner):
    """Runs the trials that an oracle proposes."""

    hypermodel: ZooHyperModel
    oracle: SearchOracle

    def __init__(
        self, *, seed: int, objective: Objective, progress: Progress, **options: Any
    ) -> None:
        self.seed, self.objective, self.progress = seed, objective, progress
        super().__init__(project_name="trials", **options)

    def _populate_initial_space(self) -> None:
        """Declare the space, and read the state. Keras Tuner would build models to find it."""
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)
        self.oracle.reload()

    def save(self) -> None:
        """Write nothing: the oracle has all the state, and writes it as trials begin and end."""

    def on_search_begin(self) -> None:
        """Write the state, so that a search killed in its first trial goes on, too."""
        if not self.oracle.trials:
            self.oracle.save()

    def on_trial_begin(self, trial: Any) -> None:
        """Start the clock, and seed what the trial draws."""
        number = int(trial.trial_id)
        seed = np.random.SeedSequence((self.seed, number)).generate_state(1)[0]
        keras.utils.set_random_seed(int(seed))
        self.began = time.perf_counter()
        record = self.record(trial)
        self.progress.begin_trial(record.number, record.values["epochs"])

    def _try_run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        """Run a trial; an error fails it, quietly. Keras Tuner would print the traceback."""
        try:
            self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = "COMPLETED"
        except (FatalError, OSError):  # such as a full disk: the trial is run again by `resume`
            raise
        except Exception as error:
            trial.status, trial.message = "FAILED", traceback.format_exc()
            self.oracle.errors[trial.trial_id] = _one_line(error)

    def record(self, trial: Any) -> TrialRecord:
        """Make a record of Keras Tuner's trial."""
        key, drawn = trial.trial_id, trial.hyperparameters
        values = self.hypermodel.values(drawn)
        if "tuner/epochs" in drawn.values:  # Hyperband decides the epochs.
            values["epochs"] = drawn.values["tuner/epochs"]
        return TrialRecord(
            number=int(key) + 1,
            status=trial.status,
            score=float(trial.score) if trial.status == "COMPLETED" else None,
            values=values,
            seconds=self.oracle.seconds.get(key, 0.0),
            error=self.oracle.errors.get(key) if trial.status == "FAILED" else None,
        )

    def records(self, trial_ids: Sequence[str]) -> list[TrialRecord]:
        """Make records of trials."""
        return [self.record(self.oracle.trials[key]) for key in trial_ids]

    def model_path(self, trial_id: str) -> Path:
        """Give where a trial's model is kept."""
        return Path(self.get_trial_dir(trial_id)) / MODEL

    def run_trial(
        self, trial: Any, data: Dataset, *, callbacks: Sequence[keras.callbacks.Callback], **_: Any
    ) -> dict[str, float]:
        """Train a trial as `zoo.train` would, keep what it gave, and score what is kept."""
        drawn = trial.hyperparameters.values
        model = self._try_build(trial.hyperparameters)
        if "tuner/trial_id" in drawn:  # Hyperband goes on with an earlier one
            load_state(model, self.model_path(drawn["tuner/trial_id"]))
        keeper = RunKeeper(Path(self.get_trial_dir(trial.trial_id)), every_epoch=False)
        best = None
        recipe = self.hypermodel.trial_recipe(self.hypermodel.values(trial.hyperparameters))
        if recipe.early_stopping:
            objective = self.objective
            best = BestWeights(objective.name, objective.direction, recipe.early_stopping)
        self.hypermodel.fit_trial(
            trial.hyperparameters,
            model,
            data,
            epochs=drawn.get("tuner/epochs"),
            initial_epoch=drawn.get("tuner/initial_epoch", 0),
            callbacks=[*self._deepcopy_callbacks(callbacks), TunerCallback(self, trial)],
            keeper=keeper,
            best=best,
        )
        epochs = [int(row["epoch"]) - 1 for row in keeper.rows]
        kept = keeper.rows[epochs.index(best.epoch) if best and best.epoch is not None else -1]
        if callbacks or averages_at_the_end(model):  # which may change weights after the last epoch
            judged = self.hypermodel.task.evaluate(model, data.validation)
            kept = {**kept, **{f"val_{name}": value for name, value in judged.items()}}
        return {self.objective.name: self.objective.score(model, kept)}

    def on_epoch_end(
        self, trial: Any, model: keras.Model, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Show the epoch."""
        self.progress.end_epoch(epoch + 1, logs or {})

    def on_trial_end(self, trial: Any) -> None:
        """Stop the clock, write the trial down, and show it."""
        self.oracle.seconds[trial.trial_id] = round(time.perf_counter() - self.began, 3)
        super().on_trial_end(trial)
        self.progress.end_trial(self.record(self.oracle.get_trial(trial.trial_id)))
        self._keep_best_model()

    def _keep_best_model(self) -> None:
        """Delete the models that nobody will ask for; Hyperband can go on with any."""
        if isinstance(self.oracle, HyperbandOracle):
            return
        records = self.records(self.oracle.end_order)
        best = best_of(records, self.objective.direction)
        for key, record in zip(self.oracle.end_order, records, strict=True):
            if record is not best:
                self.model_path(key).unlink(missing_ok=True)


def _one_line(error: Exception) -> str:
    # Keras colours some of its messages.
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
    if len(text) > 500:
        text = text[:500] + " ..."
    return text if isinstance(error, FailedTrialError) else f"{type(error).__name__}: {text}"
