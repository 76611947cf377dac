"""Train a model on a data set, into a run directory that survives being killed."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from zoo import tasks
from zoo.arguments import mapping
from zoo.data.dataset import Dataset, require_dataset
from zoo.data.part import digest
from zoo.health import GradientHealth, Report
from zoo.records import CONFIG, claimed, require_free, write_record
from zoo.registry import entry
from zoo.tasks.base import check_input, preparing_layer
from zoo.training.fingerprint import describe_function
from zoo.training.fit import (
    BestWeights,
    compile_model,
    fit_model,
    monitor_in,
    own_monitors,
    require_trainable,
)
from zoo.training.precision import PRECISIONS, precision_scope, resolve_precision
from zoo.training.recipe import BROUGHT, Recipe, given_of
from zoo.training.runs import HEALTH, HISTORY, METRICS, MODEL, Run, RunKeeper, load_run

FEW_STEPS = 50


def train(
    model: str | keras.Model,
    data: Dataset,
    *,
    arguments: Mapping[str, Any] | None = None,
    task: str | tasks.Task | None = None,
    recipe: Recipe | None = None,
    directory: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **values: Any,
) -> Run:
    """Build a model, fit it, evaluate it on the test part, and keep everything in a directory.

    The directory holds `config.json` (model, task, data, recipe, versions), `model.keras` (the
    model and its optimizer after the last good epoch, replaced as a whole each epoch or, where
    epochs take less than seconds, as often as writing costs little), `history.csv`, `health.json`
    (what `zoo.GradientHealth` measured and found) and, once the training is complete,
    `metrics.json`. The same seed gives the same numbers on the same machine,
    also when the training was interrupted. One process at a time writes into it.

    Args:
        model: A registered model's name, or any Keras model, which gets the data's preparation in
            front. One that is compiled is trained by its own optimizer, loss and metrics.
        data: What `zoo.load_data` gives.
        arguments: The builder's arguments, beside those that the data decide.
        task: Name of a task, or a task, where it is not the one that the model is registered for.
            Data with real numbers as labels make a classification a regression.
        recipe: How the model is trained.
        directory: A new or empty directory, or one that holds a run.
        resume: Go on from the last good epoch of the run in `directory`; a complete run is loaded.
            The other arguments must be those that it was started with, but `epochs` may grow.
        overwrite: Delete the files of the run in `directory`, such as one whose loss was not
            finite, and begin anew.
        callbacks: More Keras callbacks for `fit`. A resumed run begins with new ones: what they
            keep in memory is not in the directory.
        verbose: As `fit` takes it; 0 is silent.
        **values: Values of the recipe, such as `epochs=20`; see `zoo.Recipe`. They win over those
            of `recipe`.

    Returns:
        The run.

    Raises:
        ValueError: If an argument is illegal, the model does not fit the data, or a resumed run
            was started with other arguments.
        FileExistsError: If the directory is not empty, and neither `resume` nor `overwrite` is set.
        FloatingPointError: If the loss or a weight is no longer finite; the last good model stays.

    Example:
        >>> import tempfile, zoo
        >>> data = zoo.load_data("digits")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     run = zoo.train("mlp_tiny", data, epochs=5, directory=directory, verbose=0)
        >>> sorted(run.metrics)
        ['accuracy', 'loss']
    """
    require_dataset(data)
    require_free(directory, CONFIG, wanted=resume or overwrite)
    if not isinstance(recipe, Recipe | None):
        raise ValueError(f"`recipe` must be a zoo.Recipe, received {recipe!r}.")
    recipe = (recipe or Recipe()).replace(**values)
    arguments = mapping("arguments", arguments)
    the_task = _task_of(model, task, data)
    require_trainable(recipe, data, the_task, callbacks)
    policy = resolve_precision(recipe.precision)
    if not isinstance(model, str):
        policy = _own_precision(model, recipe)
    keras.utils.set_random_seed(recipe.seed)
    with precision_scope(policy):
        built = _built(model, arguments, the_task, data, recipe)
    if isinstance(model, str):
        arguments = {**the_task.model_arguments(data), **arguments}
    config = {
        **_identity(model, built),
        "arguments": arguments,
        "task": the_task.label,
        "task_arguments": the_task.get_config(),
        "data": data.description(),
        "parts": [part.fingerprint() for part in (data.train, data.validation, data.test)],
        "recipe": {**recipe.get_config(), "precision": policy},
    }
    if not built.compiled:
        compile_model(built, the_task, recipe)
    built.optimizer.build(built.trainable_variables)
    steps = len(the_task.batches(built, data.train, recipe.batch_size, seed=recipe.seed))
    if monitor_in(callbacks) is None:
        callbacks = [*callbacks, *own_monitors()]
    monitor = monitor_in(callbacks)

    erased = (METRICS, HEALTH, HISTORY, MODEL) if overwrite else ()
    flags: dict[str, Any] = {"resume": resume, "overwrite": erased}
    with claimed(directory, CONFIG, config, growing=("recipe.epochs",), **flags) as path:
        keeper = RunKeeper(path)
        best = None
        if recipe.early_stopping:
            best = BestWeights(the_task.objective, the_task.direction, recipe.early_stopping)
        over = keeper.resume(built, recipe, best)
        if over and (path / METRICS).exists():
            return load_run(path)
        (path / METRICS).unlink(missing_ok=True)
        if monitor and keeper.rows and (path / HEALTH).exists():
            monitor.go_on_from(Report.load(path / HEALTH).history)
        if over:
            the_task.finish(built, data)
            keeper.end(built, recipe.epochs)
        else:
            with _kept(keeper, built, recipe.epochs):
                fit_model(
                    built,
                    data,
                    the_task,
                    recipe,
                    first_epoch=len(keeper.rows),
                    callbacks=callbacks,
                    keeper=keeper,
                    best=best,
                    verbose=verbose,
                )
        write_record(path / METRICS, the_task.evaluate(built, data.test))
        run = load_run(path, built)
    _remark(run, data, steps * len(keeper.rows), monitor)
    return run


@contextlib.contextmanager
def _kept(keeper: RunKeeper, model: keras.Model, epochs: int) -> Iterator[None]:
    """Write down what was trained, and say how to go on, where a training ends too soon."""
    where = str(keeper.directory)
    try:
        yield
    except FloatingPointError as error:
        keeper.flush(model)
        done = keeper.written
        kept = f"{where!r} holds the model after epoch {done}. " if done else ""
        raise FloatingPointError(
            f"{error} {kept}Begin anew there with other values by overwrite=True."
        ) from error
    except BaseException as error:
        keeper.flush(model)
        error.add_note(
            f"{where!r} holds {keeper.written} of {epochs} epochs: call zoo.train with "
            "the same arguments and resume=True to go on."
        )
        raise


def _task_of(model: str | keras.Model, task: str | tasks.Task | None, data: Dataset) -> tasks.Task:
    """Find what a model is trained for on data."""
    if not isinstance(model, str | keras.Model):
        raise ValueError(f"`model` must be a registered name or a Keras model, received {model!r}.")
    if task is None and not isinstance(model, str):
        raise ValueError(
            "A model of your own needs a `task`, such as 'classification', 'regression' or "
            "'reconstruction'; received none."
        )
    found = tasks.get(task or tasks.task_for(entry(str(model)).task, data))
    if found.label != found.name:
        raise ValueError(f"The task {found.label} needs a `name` of its own, to load its runs by.")
    return found


def _identity(model: str | keras.Model, built: keras.Model) -> dict[str, Any]:
    """Give what tells a model from others: its name, or its layers."""
    if isinstance(model, str):
        return {"model": entry(model).name}
    shapes = [weight.shape for weight in built.weights]  # which a subclass may leave out
    layers = json.dumps([built.get_config(), shapes], sort_keys=True, default=str)
    # Without what counts a process's layers, and the lines of a script.
    layers = re.sub(r'_\d+(?=")|"code": "[^"]*"', "", layers)
    functions = [getattr(layer, "function", None) for layer in built.layers]  # of lambdas
    own = {"functions": [describe_function(one) for one in functions if one]}
    if model.compiled:
        losses = keras.tree.flatten(model.loss)
        own["functions"] += [describe_function(one) for one in losses if inspect.isfunction(one)]
        told = json.dumps(built.get_compile_config(), default=str)
        own["compiled"] = json.loads(re.sub(r'("name": "\w+?)_\d+"', r'\1"', told))
    return {"model": re.sub(r"_\d+$", "", model.name), "layers": digest(layers.encode()), **own}


def _own_precision(model: keras.Model, recipe: Recipe) -> str:
    """Tell what a model that was built elsewhere computes in."""
    names = {layer.dtype_policy.name for layer in model.layers if layer.weights}
    policy = next((name for name in sorted(names) if name in PRECISIONS[2:]), "float32")
    if recipe.precision not in ("auto", policy):
        raise ValueError(
            f"`precision`={recipe.precision!r} is for models that are built by name; this one "
            f"computes in {policy}: leave it out, or build it under that policy."
        )
    return policy


def _built(
    model: str | keras.Model,
    arguments: Mapping[str, Any],
    task: tasks.Task,
    data: Dataset,
    recipe: Recipe,
) -> keras.Model:
    if isinstance(model, str):
        return task.build(model, data, arguments)
    if arguments:
        raise ValueError("`arguments` are for a model that is given by name: leave them out.")
    if not model.compiled:
        model = _functional(model, data)
        task.check(model, data)
        return task.adapt(model, data)
    prepare = preparing_layer(model, data)
    x = data.train.examples([0])
    model(prepare(x) if prepare else x)  # which makes the weights of one that has none yet
    seen = model
    if not hasattr(model, "inputs"):  # a subclass, whose layers are not known
        seen = _functional(model, data)
        seen.compile(loss=model.loss)
    task.check(seen, data)
    if seen is not model and prepare:
        raise ValueError(
            f"Model {model.name!r} is a compiled subclass, which {data.preparation} cannot be "
            "prepared in front of: give it uncompiled."
        )
    if told := given_of(recipe, ("optimizer", *BROUGHT["optimizer"], "label_smoothing")):
        raise ValueError(
            f"Model {model.name!r} is compiled, so that its own optimizer and loss train it: leave "
            f"out {told}, or give it uncompiled."
        )
    if prepare:
        compiled = model.get_compile_config()
        model = tasks.Task.adapt(task, model, data)
        try:
            model.compile_from_config(compiled)
        except TypeError as error:  # such as a loss that Keras does not know
            raise ValueError(f"Model {model.name!r} cannot be compiled anew: {error}") from error
    return model


def _functional(model: keras.Model, data: Dataset) -> keras.Model:
    """Make a Functional model of another's layers; it can be given again, still uncompiled."""
    if getattr(model, "inputs", None):
        check_input(model, data)
    if hasattr(model, "output_names"):
        is_plain = type(model).__module__.startswith("keras.")
        return keras.Model(model.input, model.output, name=model.name) if is_plain else model
    dtype = "string" if data.preparation.kind == "texts" else None
    inputs = keras.Input(data.input_shape, dtype=dtype)
    outputs = model.call(inputs) if isinstance(model, keras.Sequential) else model(inputs)
    return keras.Model(inputs, outputs, name=model.name)


def _remark(run: Run, data: Dataset, steps: int, monitor: GradientHealth | None) -> None:
    """Say so where a training was ill or too short, or taught no more than chance."""
    remarks = [run.task.remark(data, run.metrics)]
    findings = run.health.findings if monitor else ()
    if findings and findings[0].severity != "info":
        picture = run.health.plot(run.directory / "health.png")
        remarks.append(f"{findings[0]}; more is in run.health and {str(picture)!r}")
    if steps < FEW_STEPS:
        remarks.append(f"The training had {steps} steps only: more epochs or smaller batches help")
    for remark in filter(None, remarks):
        warnings.warn(f"{remark}.", stacklevel=3)  # the caller of train
