"""Search the hyperparameters of a registered model."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from tuning.hypermodels import ZooHyperModel
from tuning.oracles import make_oracle
from tuning.progress import Progress
from tuning.report import SearchResult, best_of, trial_record
from tuning.rows import default_values
from tuning.spaces import space, training_arguments
from tuning.tuner import HyperbandTuner, SearchTuner
from zoo import tasks
from zoo.arguments import MAX_SEED, integer, one_of
from zoo.data.dataset import Dataset, fingerprint, require_dataset
from zoo.records import claimed
from zoo.registry import entry

TUNERS = ("random", "hyperband", "bayesian", "grid")
SEARCH = "search.json"


def search(
    name: str,
    data: Dataset,
    *,
    tuner: str = "random",
    max_trials: int = 20,
    epochs: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    task: str | tasks.Task | None = None,
    max_parameters: int | None = None,
    precision: str = "auto",
    seed: int = 0,
    directory: str | os.PathLike[str],
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> SearchResult:
    """Search the hyperparameters of a registered model, and keep the search in a directory.

    Trains on the training part of the data and judges by the validation part; the test part is
    never touched. A search that was killed goes on with `resume`, without losing a trial that
    ended. The same seed gives the same trials on the same machine.

    Args:
        name: A registered name.
        data: What `zoo.load_data` gives.
        tuner: "random" draws; "bayesian" models the scores after a third of the trials; "grid"
            takes the combinations in turn, the last hyperparameter first, so give it short ranges;
            "hyperband" trains many trials shortly and goes on with the best.
        max_trials: Number of trials, failed ones included.
        epochs: Epochs of each trial, instead of the search space's; Hyperband's longest trials.
        arguments: Builder arguments for every trial; they win over the search space.
        fixed: Hyperparameters to fix, value by name.
        ranges: Hyperparameters to narrow or widen: a tuple `(low, high)` or a list of choices by
            name.
        start: Values of the first trial, where it is not to be drawn; what it leaves out has its
            default.
        task: What the model is trained for: name of a task, or a task, where it is not the one that
            the model is registered for.
        max_parameters: Larger models are failed trials; `None` is no limit.
        precision: As `zoo.train` takes it.
        seed: Decides the draws, the initial weights of each trial and the order of examples.
        directory: Where the search is kept.
        resume: Go on with the search in `directory`, if there is one. The other arguments must be
            those that it was started with, but `max_trials` may grow.
        callbacks: More Keras callbacks for each trial, which gets copies of them.
        verbose: 0 is silent; else a line for each trial.

    Returns:
        The trials and the best values.

    Raises:
        ValueError: If an argument is illegal, the model does not fit the data, or a resumed search
            was started with other arguments.
        FileExistsError: If the directory holds a search and `resume` is false.
        BlockingIOError: If another process, or this one, searches in the directory.
        RuntimeError: If every trial failed; the message says why the last one did.

    Example:
        >>> import tempfile, zoo
        >>> data = zoo.load_data("digits")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     result = search("mlp_tiny", data, max_trials=1, epochs=1, directory=directory,
        ...                     verbose=0)
        >>> result.best_arguments["hidden_units"], result.best_training["epochs"]
        ((32,), 1)
    """
    require_dataset(data)
    one_of("tuner", tuner, TUNERS)
    max_trials = integer("max_trials", max_trials)
    seed = integer("seed", seed, minimum=0, maximum=MAX_SEED)
    if max_parameters is not None:
        max_parameters = integer("max_parameters", max_parameters)
    if not len(data.validation):
        raise ValueError(
            f"A search judges trials by the validation part, which is empty in {data.name!r}: give "
            "data with a validation part."
        )
    the_task = tasks.get(task or entry(name).task)
    arguments = {**the_task.model_arguments(data), **(arguments or {})}
    fixed = _with_epochs(epochs, fixed, ranges)
    rows = space(
        name,
        data.input_shape,
        arguments=arguments,
        fixed=fixed,
        ranges=ranges,
        start=start,
        task=the_task,
    )
    max_epochs = int(max(rows["epochs"].options))
    if tuner == "hyperband":
        del rows["epochs"]  # It decides the epochs of each trial.
    hypermodel = ZooHyperModel(
        name,
        rows,
        arguments,
        task=task,
        max_parameters=max_parameters,
        precision=precision,
        seed=seed,
    )
    the_task.check(hypermodel.build(keras_tuner.HyperParameters()), data)
    identity = {
        "model": name,
        "arguments": arguments,
        "tuner": tuner,
        "task": the_task.name,
        "task_arguments": vars(the_task),
        "data": [data.name, *data.input_shape],
        "parts": fingerprint(data.train, data.validation),
        "max_epochs": max_epochs,
        "start": bool(start),
        "max_parameters": max_parameters,
        "precision": hypermodel.precision,
        "seed": seed,
        "space": {key: [type(row).__name__, dataclasses.asdict(row)] for key, row in rows.items()},
    }
    with claimed(directory, SEARCH, identity, resume=resume) as path:
        objective = keras_tuner.Objective(the_task.objective, the_task.direction)
        oracle = make_oracle(
            tuner, objective, max_trials=max_trials, max_epochs=max_epochs, seed=seed
        )
        if start is not None:
            oracle.start = default_values(rows)
        progress = Progress(
            the_task.objective, the_task.direction, max_trials, rows, shown=verbose != 0
        )
        runner = (HyperbandTuner if tuner == "hyperband" else SearchTuner)(
            oracle, hypermodel, seed=seed, directory=str(path), progress=progress
        )
        _run(runner, data, callbacks)
        return _result(name, runner, path)


def _with_epochs(
    epochs: int | None, fixed: Mapping[str, Any] | None, ranges: Mapping[str, Any] | None
) -> dict[str, Any]:
    if epochs is None:
        return dict(fixed or {})
    if "epochs" in {*(fixed or {}), *(ranges or {})}:
        raise ValueError("`epochs` is given, and in `fixed` or `ranges`: leave one of them out.")
    return {**(fixed or {}), "epochs": integer("epochs", epochs)}


def _run(runner: SearchTuner, data: Dataset, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    oracle = runner.oracle
    ended = [
        trial_record(oracle.trials[key], oracle, runner.hypermodel) for key in oracle.end_order
    ]
    # Keras Tuner collects garbage in every trial; what is there by now need not be looked at.
    gc.collect()
    gc.freeze()
    try:
        with runner.progress.show(ended):
            runner.search(data, callbacks=list(callbacks), verbose=0)
    finally:
        gc.unfreeze()


def _result(name: str, runner: SearchTuner, directory: Path) -> SearchResult:
    oracle, hypermodel = runner.oracle, runner.hypermodel
    trials = tuple(
        trial_record(oracle.trials[key], oracle, hypermodel) for key in oracle.start_order
    )
    best = best_of(trials, hypermodel.task.direction)
    if best is None:
        raise RuntimeError(
            f"All {len(trials)} trials of the search in {str(directory)!r} failed. The last one: "
            f"{trials[-1].error}"
        )
    return SearchResult(
        name=name,
        objective=hypermodel.task.objective,
        direction=hypermodel.task.direction,
        trials=trials,
        rows=hypermodel.rows,
        best_arguments=hypermodel.arguments(best.values),
        best_training=training_arguments(best.values),
        best_task=vars(hypermodel.trial_task(best.values)),
        directory=directory,
    )
