"""Search the hyperparameters of a registered model."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from tuning.hypermodels import ZooHyperModel, divided
from tuning.objective import Objective, make_objective
from tuning.oracles import make_oracle
from tuning.progress import Progress
from tuning.report import SearchResult, best_of
from tuning.spaces import space
from tuning.tuner import SearchTuner
from zoo import tasks
from zoo.arguments import MAX_SEED, integer, mapping, one_of
from zoo.data.dataset import Dataset, require_dataset
from zoo.records import SEARCH, claimed, read_record, require_free
from zoo.registry import entry
from zoo.space import Choice, default_values, row_from
from zoo.training.fingerprint import describe_function
from zoo.training.fit import require_trainable
from zoo.training.recipe import DEFAULTS, Recipe

TUNERS = ("random", "hyperband", "bayesian", "grid")


def search(
    name: str,
    data: Dataset,
    *,
    tuner: str = "random",
    max_trials: int = 20,
    objective: str | Callable[[keras.Model, Mapping[str, float]], float] | None = None,
    direction: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    task: str | tasks.Task | None = None,
    max_parameters: int | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str],
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **values: Any,
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
        objective: What is improved, where it is not the task's: the name of a value that trainings
            log, such as "val_loss", or a function `(model, values) -> float` of a trained model and
            of the values that its kept epoch logged. What is scored is what is kept: the last
            epoch, or with `early_stopping` the best one.
        direction: Whether the objective is to rise ("max") or to fall ("min"), where its name does
            not tell.
        arguments: Builder arguments for every trial; they win over the search space.
        fixed: Hyperparameters to fix, value by name.
        ranges: Hyperparameters to narrow or widen: a tuple `(low, high)` or a list of choices by
            name.
        start: Values of the first trial, where it is not to be drawn; what it leaves out has its
            default.
        task: What the model is trained for: name of a task, or a task, where it is not the one that
            the model is registered for.
        max_parameters: Larger models are failed trials; `None` is no limit.
        seed: Decides the draws, the initial weights of each trial and the order of examples.
        directory: Where the search is kept.
        resume: Go on with the search in `directory`, if there is one. The other arguments must be
            those that it was started with, but `max_trials` may grow.
        callbacks: More Keras callbacks for each trial, which gets copies of them.
        verbose: 0 is silent; else a line for each trial.
        **values: Values of the recipe that every trial has, such as `early_stopping=3`; see
            `zoo.Recipe`. `epochs` are those of Hyperband's longest trials.

    Returns:
        The trials and the best values.

    Raises:
        ValueError: If an argument is illegal, the model does not fit the data, or a resumed search
            was started with other arguments.
        FileExistsError: If the directory holds a search and `resume` is false.
        RuntimeError: If every trial failed; the message says why the last one did.

    Example:
        >>> import tempfile, zoo
        >>> data = zoo.load_data("digits")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     result = search("mlp_tiny", data, max_trials=1, epochs=1, directory=directory,
        ...                     verbose=0)
        >>> result.best_arguments["hidden_units"], result.best_recipe.epochs
        ((32,), 1)
    """
    require_dataset(data)
    require_free(directory, SEARCH, wanted=resume)
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
    the_task = tasks.get(task or tasks.task_for(entry(name).task, data))
    wanted = make_objective(objective, direction, the_task)
    fixed, recipe, brought = divided(values, fixed, ranges)
    arguments = {**the_task.model_arguments(data), **mapping("arguments", arguments)}
    rows = space(
        name,
        data.input_shape,
        arguments=arguments,
        fixed=fixed,
        ranges=ranges,
        start=start,
        task=the_task,
        brought=brought,
    )
    max_epochs = int(max(rows["epochs"].options))
    if tuner == "hyperband":
        del rows["epochs"]  # It decides the epochs of each trial.
    hypermodel = ZooHyperModel(
        name,
        rows,
        arguments,
        task=the_task,
        recipe=recipe.replace(seed=seed),
        max_parameters=max_parameters,
        data=data,
    )
    hypermodel.build(keras_tuner.HyperParameters())  # refuses what does not fit the data
    _require_legal(hypermodel, {"learning_rate_schedule", *(ranges or ())}, data, callbacks)
    require_trainable(hypermodel.recipe, data, the_task, callbacks)
    identity = {
        "model": name,
        "arguments": hypermodel.fixed_arguments,
        "tuner": tuner,
        "objective": [wanted.name, wanted.direction],
        "function": wanted.function and describe_function(wanted.function),
        "task": the_task.label,
        "task_arguments": the_task.get_config(),
        "data": data.description(),
        "parts": [part.fingerprint() for part in (data.train, data.validation)],
        "max_trials": max_trials,
        "max_epochs": max_epochs,
        "start": start and dict(start),
        "max_parameters": max_parameters,
        "recipe": hypermodel.recipe.get_config(),
        "seed": seed,
        "space": {key: [type(row).__name__, dataclasses.asdict(row)] for key, row in rows.items()},
    }
    growing = ("max_trials",)
    with claimed(directory, SEARCH, identity, resume=resume, growing=growing) as path:
        runner = _runner(hypermodel, identity, wanted, path, shown=verbose != 0)
        _run(runner, data, callbacks)
        return _result(runner, path)


def _require_legal(
    hypermodel: ZooHyperModel, names: set[str], data: Dataset, callbacks: Any
) -> None:
    """Refuse values of some rows that would fail each trial that draws them."""
    rows = hypermodel.rows
    shortest = {"epochs": Choice((min(rows["epochs"].options),))} if "epochs" in rows else {}
    for name, row in [(name, row) for name, row in rows.items() if name in names]:
        parent = {row.when[0]: Choice(row.when[1])} if row.when else {}
        for value in row.options if isinstance(row, Choice) else (row.low, row.high):
            some = default_values(
                {**rows, **shortest, **parent, name: Choice((value,), when=row.when)}
            )
            try:
                recipe = hypermodel.trial_recipe(some)
                require_trainable(recipe, data, hypermodel.trial_task(some), callbacks)
                if name not in DEFAULTS:
                    hypermodel.task.build(hypermodel.name, data, hypermodel.arguments(some))
            except ValueError as error:
                raise ValueError(f"{name}={value!r} cannot be searched: {error}") from error


def load_search(directory: str | os.PathLike[str]) -> SearchResult:
    """Open a search, as far as it came, without its data.

    Args:
        directory: Where `search` keeps it.

    Returns:
        The trials and the best values.

    Raises:
        FileNotFoundError: If the directory holds no search.
        ValueError: If a file is damaged; the message names it.
        RuntimeError: If no trial was completed.

    Example:
        >>> load_search("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: 'nowhere' holds no search: search.json is missing.
    """
    directory = Path(directory)
    if not (directory / SEARCH).exists():
        raise FileNotFoundError(f"{str(directory)!r} holds no search: {SEARCH} is missing.")
    record = read_record(directory / SEARCH)
    hypermodel = ZooHyperModel(
        record["model"],
        {key: row_from(kind, values) for key, (kind, values) in record["space"].items()},
        record["arguments"],
        task=type(tasks.get(record["task"]))(**record["task_arguments"]),
        recipe=Recipe.from_config(record["recipe"]),
        max_parameters=record["max_parameters"],
    )
    objective = Objective(*record["objective"])
    runner = _runner(hypermodel, record, objective, directory, shown=False)
    return _result(runner, directory)


def _runner(
    hypermodel: ZooHyperModel,
    record: Mapping[str, Any],
    objective: Objective,
    directory: Path,
    *,
    shown: bool,
) -> SearchTuner:
    """Make what runs a search's trials, with what earlier processes left."""
    oracle = make_oracle(
        record["tuner"],
        keras_tuner.Objective(objective.name, objective.direction),
        max_trials=record["max_trials"],
        max_epochs=record["max_epochs"],
        seed=record["seed"],
    )
    if record["start"]:
        oracle.start = default_values(hypermodel.rows)
    progress = Progress(
        objective.name, objective.direction, record["max_trials"], hypermodel.rows, shown=shown
    )
    return SearchTuner(
        oracle=oracle,
        hypermodel=hypermodel,
        seed=record["seed"],
        directory=str(directory),
        objective=objective,
        progress=progress,
    )


def _run(runner: SearchTuner, data: Dataset, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    # Keras Tuner collects garbage in every trial; what is there by now need not be looked at.
    gc.collect()
    gc.freeze()
    try:
        with runner.progress.show(runner.records(runner.oracle.end_order)):
            runner.search(data, callbacks=list(callbacks), verbose=0)
    finally:
        gc.unfreeze()


def _result(runner: SearchTuner, directory: Path) -> SearchResult:
    oracle, hypermodel, objective = runner.oracle, runner.hypermodel, runner.objective
    trials = tuple(runner.records(oracle.start_order))
    best = best_of(trials, objective.direction)
    if best is None:
        last = f" The last one: {trials[-1].error}" if trials else ""
        raise RuntimeError(
            f"None of {len(trials)} trials of the search in {str(directory)!r} was completed.{last}"
        )
    return SearchResult(
        name=hypermodel.name,
        objective=objective.name,
        direction=objective.direction,
        trials=trials,
        rows=hypermodel.rows,
        best_arguments=hypermodel.arguments(best.values),
        best_recipe=hypermodel.trial_recipe(best.values).replace(epochs=best.values["epochs"]),
        best_task=hypermodel.trial_task(best.values),
        model_path=runner.model_path(oracle.start_order[best.number - 1]),
        directory=directory,
    )
