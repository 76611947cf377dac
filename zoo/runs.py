"""Run directories: what a training writes, whole at any moment, and how it is read again."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

import zoo.losses
import zoo.metrics  # noqa: F401
from zoo.arguments import broken_weights
from zoo.files import replacing
from zoo.history import numbers_of, read_table, write_table
from zoo.layers import BatchNormalization
from zoo.records import read_json, write_json

CONFIG, MODEL, HISTORY, METRICS = "config.json", "model.keras", "history.csv", "metrics.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """A training and what came of it.

    Attributes:
        directory: Where its files are.
        config: Builder name and arguments, training values, seed and versions.
        model: The trained model, compiled.
        history: Loss and metrics by name, one entry an epoch, and the learning rate.
        metrics: Loss and metrics on the test part.
    """

    directory: Path
    config: Mapping[str, Any]
    model: keras.Model
    history: Mapping[str, list[float]]
    metrics: Mapping[str, float]


def load_run(directory: str | os.PathLike[str]) -> Run:
    """Load a run that `train` completed.

    Args:
        directory: The run's directory.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If the directory holds no complete run.

    Example:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: 'nowhere' holds no complete run: metrics.json is missing. ...
    """
    directory = Path(directory)
    if not (directory / METRICS).exists():
        raise FileNotFoundError(
            f"{str(directory)!r} holds no complete run: {METRICS} is missing. Give a directory "
            "that zoo.train has written, or finish it with zoo.train(..., resume=True)."
        )
    return Run(
        directory,
        read_json(directory / CONFIG),
        load_model(directory / MODEL),
        _columns(_read_rows(directory)),
        read_json(directory / METRICS),
    )


def load_model(path: Path) -> keras.Model:
    """Load a model of ours, with the layers that train faster than Keras's own.

    Args:
        path: A `.keras` file.

    Returns:
        The model, compiled as it was saved.

    Raises:
        ValueError: If the file is missing or damaged.

    Example:
        >>> load_model(Path("nowhere.keras"))
        Traceback (most recent call last):
        ValueError: Cannot load 'nowhere.keras': ...
    """
    layers = {"BatchNormalization": BatchNormalization}
    with _refusing_damage(path):
        return keras.saving.load_model(path, custom_objects=layers)


def load_state(model: keras.Model, path: Path) -> None:
    """Load the weights and the optimizer's state into a compiled model.

    Keras's own `load_model` makes another optimizer under mixed_float16, and leaves its state out.

    Args:
        model: The model as it was built and compiled when the file was saved.
        path: A `.keras` file.

    Raises:
        ValueError: If the file is missing or damaged.
    """
    model.optimizer.build(model.trainable_variables)
    with _refusing_damage(path):
        model.load_weights(path)


@contextlib.contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Keras raises whatever the damaged part makes it raise.
        raise ValueError(
            f"Cannot load {str(path)!r}: it is missing or damaged ({error}). Delete the run's "
            "directory and train anew."
        ) from error


class RunKeeper(keras.callbacks.Callback):
    """Keeps the model and the history after each epoch; each file is whole at any moment."""

    def __init__(self, directory: Path, done: int) -> None:
        super().__init__()
        self.directory = directory
        self.rows = _read_rows(directory)[:done]
        self.diverged = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the epoch down, unless its loss or a weight is not finite."""
        logs = logs or {}
        # The loss does not always tell: a ReLU turns what a weight of NaN gives it into zeros.
        broken = broken_weights(self.model.weights)
        self.diverged = bool(broken) or not math.isfinite(logs.get("loss", 0.0))
        if self.diverged:
            self.model.stop_training = True
            return
        logs = {"learning_rate": self.model.optimizer.learning_rate, **logs}
        self.rows.append({"epoch": epoch + 1, **numbers_of(logs)})
        write_table(self.directory / HISTORY, self.rows)
        self._save()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Keep the model as the other callbacks leave it: EarlyStopping can restore weights."""
        if self.rows and not self.diverged:
            self._save()

    def _save(self) -> None:
        with replacing(self.directory / MODEL) as draft:
            self.model.save(draft)

    def require_finite(self) -> None:
        """Raise if the training was stopped because its loss or a weight was not finite."""
        if self.diverged:
            done = len(self.rows)
            kept = f"{str(self.directory)!r} holds the model after epoch {done}. " if done else ""
            raise FloatingPointError(
                f"The loss or a weight was not finite in epoch {done + 1}. {kept}Lower "
                "`learning_rate`, use `batch_norm`, or precision='float32'."
            )

    def close(self, metrics: Mapping[str, float]) -> Run:
        """Mark the run as complete, with its metrics on the test part."""
        write_json(self.directory / METRICS, metrics)
        config = read_json(self.directory / CONFIG)
        return Run(self.directory, config, self.model, _columns(self.rows), metrics)


def _read_rows(directory: Path) -> list[dict[str, float]]:
    return read_table(directory / HISTORY) if (directory / HISTORY).exists() else []


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    # A callback may log a value in some epochs only.
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key, math.nan) for row in rows] for key in keys}
