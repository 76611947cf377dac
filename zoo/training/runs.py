"""Run directories: what a training writes, whole at any moment, and how it is read again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import zoo.losses
import zoo.metrics  # noqa: F401
from zoo import tasks
from zoo.data.preparation import Preparation, preparation_from_config
from zoo.files import replacing
from zoo.health import GradientHealth, History, Report
from zoo.history import read_table, write_table
from zoo.layers import BatchNormalization
from zoo.records import CONFIG, checksum, read_record, refusing_damage
from zoo.training.fit import BestWeights
from zoo.training.precision import precision_scope
from zoo.training.recipe import Recipe

MODEL, BEST = "model.keras", ".best-"
HISTORY, METRICS, HEALTH = "history.csv", "metrics.json", "health.json"
STATE = "training.json"  # in the model's file
WRITING_SHARE = 0.05  # of the time; what short epochs gave is kept in memory until it is due


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A training and what came of it.

    Attributes:
        directory: Where its files are.
        config: Builder name and arguments, task, data, recipe and versions.
        model: The trained model, compiled; of a training that was stopped, as far as it came.
        history: Loss and metrics by name, one entry an epoch, and the learning rate.
        metrics: Loss and metrics on the test part; empty until the training is complete.
    """

    directory: Path
    config: Mapping[str, Any]
    model: keras.Model
    history: Mapping[str, list[float]]
    metrics: Mapping[str, float]

    @property
    def is_complete(self) -> bool:
        """Whether the training came to its end."""
        return bool(self.metrics)

    @property
    def recipe(self) -> Recipe:
        """What the training was told."""
        return Recipe.from_config(self.config["recipe"])

    @property
    def task(self) -> tasks.Task:
        """What the model was trained for."""
        return type(tasks.get(self.config["task"]))(**self.config["task_arguments"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of class 0, 1, ...; empty where labels are real numbers."""
        return tuple(self.config["data"]["class_names"])

    @property
    def preparation(self) -> Preparation:
        """What an example is, and how others like it are prepared."""
        return preparation_from_config(self.config["data"]["preparation"])

    @property
    def health(self) -> Report:
        """What the monitor of gradients, weights and units found; see `zoo.GradientHealth`."""
        path = self.directory / HEALTH
        return Report.load(path) if path.exists() else Report.of(History())

    def predict(self, x: Any) -> dict[str, Any]:
        """Tell what the model makes of examples, which are prepared exactly as in training.

        Args:
            x: Examples as people have them: of images arrays, one image, paths or a folder; of
                tables data frames, dictionaries, arrays or a CSV file; of texts a `str`, a list,
                or such files; of pairs `(left, right)`.

        Returns:
            Arrays by name, one entry an example. A classifier gives `class` (names), `probability`
            and `probabilities`; a regression its targets; an autoencoder `reconstruction` and
            `error`; a model of pairs `distance` and `same`, or of single images `embedding`.

        Raises:
            ValueError: If they are no such examples, or would be taken for others in silence.

        Example:
            >>> import tempfile, zoo
            >>> data = zoo.load_data("digits")
            >>> with tempfile.TemporaryDirectory() as directory:
            ...     run = zoo.train("mlp_tiny", data, epochs=5, directory=directory, verbose=0)
            >>> found = run.predict(data.test.examples([0, 1, 2]))
            >>> found["class"].shape, found["probabilities"].shape
            ((3,), (3, 10))
        """
        prepare = self.preparation
        if self.task.split_by == "classes" and isinstance(x, tuple) and len(x) == 2:
            halves = [prepare(half) for half in x]
            if halves[0].shape != halves[1].shape:
                shapes = " and ".join(str(half.shape) for half in halves)
                raise ValueError(f"Left and right images must be as many; received {shapes}.")
            prepared = np.stack(halves)
        else:
            prepared = prepare(x)
        return self.task.predict(self.model, prepared, self.config["data"])

    def export(self, path: str | os.PathLike[str], **options: Any) -> Any:
        """Export the model with its task's signatures, class names and preparation.

        Args:
            path: Directory to write; nothing may exist there.
            **options: As `zoo.export_saved_model` takes them; see there for errors, too.

        Returns:
            The `zoo.ExportResult`.
        """
        from zoo.export import export_saved_model

        metadata = {name: self.config[name] for name in ("model", "task", "data")}
        signatures = self.task.signatures(self.model)
        return export_saved_model(
            self.model, path, signatures=signatures, metadata=metadata, **options
        )

    def __repr__(self) -> str:
        epochs = len(self.history.get("loss", ()))
        metrics = ", ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())
        return (
            f"<Run {self.config['model']} on {self.config['data']['name']}: {epochs} epochs, "
            f"{metrics or 'not complete'}, in {str(self.directory)!r}>"
        )


def load_run(directory: str | os.PathLike[str], model: keras.Model | None = None) -> Run:
    """Load a run, as far as it came.

    Args:
        directory: The run's directory.
        model: Its model, where it is in memory already.

    Returns:
        The run; `is_complete` tells whether its training ended.

    Raises:
        FileNotFoundError: If the directory holds no run, or one without a complete epoch.
        ValueError: If a file is damaged; the message names it.

    Example:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: 'nowhere' holds no run with a complete epoch: config.json is missing. ...
    """
    directory = Path(directory)
    for name in (CONFIG, MODEL):
        if not (directory / name).exists():
            raise FileNotFoundError(
                f"{str(directory)!r} holds no run with a complete epoch: {name} is missing. Give "
                "a directory that zoo.train has written."
            )
    config = read_record(directory / CONFIG)
    metrics = read_record(directory / METRICS) if (directory / METRICS).exists() else {}
    history = columns(kept_rows(directory)[0])
    model = model or load_model(directory / MODEL, config["recipe"]["precision"])
    return Run(directory, config, model, history, metrics)


def load_model(path: Path, precision: str) -> keras.Model:
    """Load a model of ours, with the layers that train faster than Keras's own."""
    with refusing_damage(path), precision_scope(precision):  # under which Keras scales the loss
        try:
            return keras.saving.load_model(path, {"BatchNormalization": BatchNormalization})
        except (TypeError, ValueError) as error:
            needed = re.search(r"Could not locate (\w+ '.*?')|[Uu]nsafe", str(error))
            if not needed:
                raise
    mend = "a lambda: if you trust it, call keras.config.enable_unsafe_deserialization() first"
    if needed[1]:
        mend = f"the {needed[1]}: import what registers it with Keras first"
    raise ValueError(f"{str(path)!r} needs code of your own, {mend}.")


def load_state(model: keras.Model, path: Path) -> None:
    """Load the weights and the optimizer's state into a compiled model.

    Keras's own `load_model` makes another optimizer under mixed_float16, and leaves its state out.
    """
    with refusing_damage(path):
        model.load_weights(path)


def kept_rows(directory: Path) -> tuple[list[dict[str, float]], int | None]:
    """Read the epochs that a directory's model has seen, and how many its training ended with."""
    with refusing_damage(directory / MODEL), zipfile.ZipFile(directory / MODEL) as archive:
        state = json.loads(archive.read(STATE))
        done, ended, known = (state[name] for name in ("done", "ended", "history"))
    rows = read_table(directory / HISTORY)[:done]
    with refusing_damage(directory / HISTORY):
        if checksum(rows) != known:
            raise ValueError("it was changed since it was written, or is another run's")
    return rows, ended


class RunKeeper:
    """Writes a training down; each file is whole at any moment."""

    def __init__(self, directory: Path, *, every_epoch: bool = True) -> None:
        self.directory, self.every_epoch = directory, every_epoch
        self.rows: list[dict[str, float]] = []  # what each epoch logged
        self.written = 0  # epochs that the model's file has
        self.best: BestWeights | None = None  # knows the best weights, which are kept, too
        self.monitor: GradientHealth | None = None
        self._due = 0.0  # when the next writing is worth its time
        self._unwritten: list[np.ndarray] = []

    def resume(self, model: keras.Model, recipe: Recipe, best: BestWeights | None) -> bool:
        """Load what an earlier process kept."""
        if not (self.directory / MODEL).exists():
            if (self.directory / METRICS).exists():
                raise ValueError(f"{str(self.directory / MODEL)!r} is missing: begin anew.")
            return False
        load_state(model, self.directory / MODEL)
        self.rows, ended = kept_rows(self.directory)
        self.written = len(self.rows)
        if ended == recipe.epochs:
            return True
        if ended and averages_at_the_end(model):
            raise ValueError(
                f"{str(self.directory)!r} holds averaged weights (`use_ema`), from which training "
                f"cannot go on beyond its {self.written} epochs: begin anew with more."
            )
        return best is not None and self._resume_best(model, best)

    def _resume_best(self, model: keras.Model, best: BestWeights) -> bool:
        for epoch, row in enumerate(self.rows):
            best.is_better(epoch, row)
        path = self.directory / f"{BEST}{best.epoch}.npz"
        best.weights = model.get_weights()  # of a training that had ended
        if path.exists():
            with refusing_damage(path), np.load(path) as arrays:
                best.weights = [arrays[f"arr_{number}"] for number in range(len(arrays))]
        if over := best.is_over(len(self.rows) - 1):
            model.set_weights(best.weights)
        return over

    def keep(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep an epoch: on disk, or where epochs are short for now in memory."""
        self.rows.append({"epoch": epoch + 1, **logs})
        if self.every_epoch and time.monotonic() >= self._due:
            self._write(model)
        elif self.every_epoch:
            self._unwritten = [ops.convert_to_numpy(v).copy() for v in _state(model)]

    def flush(self, model: keras.Model) -> None:
        """Write what is only in memory, after whatever ended the training."""
        self._write_health()
        if self._unwritten:
            for variable, value in zip(_state(model), self._unwritten, strict=True):
                variable.assign(value)
            self._write(model)

    def end(self, model: keras.Model, epochs: int) -> None:
        """Keep the model as the training leaves it: with the best weights, and what is settled."""
        if self.rows:
            self._write(model, ended=epochs)
            for path in self.directory.glob(f"{BEST}*"):
                path.unlink()

    def _write_health(self) -> None:
        if self.monitor and self.every_epoch:
            self.monitor.report.save(self.directory / HEALTH)

    def _write(self, model: keras.Model, ended: int | None = None) -> None:
        began = time.monotonic()
        older = list(self.directory.glob(f"{BEST}*"))
        if self.best and self.best.epoch is not None and self.every_epoch:
            path = self.directory / f"{BEST}{self.best.epoch}.npz"
            if path in older:
                older.remove(path)
            else:
                with replacing(path) as draft:
                    np.savez(draft, *self.best.weights)
        write_table(self.directory / HISTORY, self.rows)
        known = checksum(read_table(self.directory / HISTORY))
        state = {"done": len(self.rows), "ended": ended, "history": known}
        self._write_health()
        with replacing(self.directory / MODEL) as draft:
            model.save(draft)
            with zipfile.ZipFile(draft, "a") as archive:  # the history may be ahead of the model
                archive.writestr(STATE, json.dumps(state))
        for path in older:  # only now: a kill before leaves the model that they belong to
            path.unlink()
        self._unwritten, self.written = [], len(self.rows)
        now = time.monotonic()
        self._due = now + (now - began) / WRITING_SHARE


def averages_at_the_end(model: keras.Model) -> bool:
    """Tell whether an optimizer puts averages in place of the weights when training ends."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return bool(inner.use_ema and not inner.ema_overwrite_frequency)


def _state(model: keras.Model) -> list[keras.Variable]:
    """Give all that a training changes, but for its metrics."""
    return [*model.variables, *model.optimizer.variables]


def columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Turn rows into columns; a callback may log a value in some epochs only."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, math.nan) for row in rows] for name in names}
