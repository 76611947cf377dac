"""One class out of several for each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo.data import Dataset, Part, feed, mapped
from zoo.tasks.base import BATCH, Task, check_input, outputs_of, preparing_layer


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Give each example one of `num_classes` classes.

    Trains with cross-entropy. The model's output are probabilities, or logits where its last layer
    is named so.

    Example:
        >>> ClassificationTask().objective
        'val_accuracy'
    """

    name: ClassVar[str] = "classification"
    objective: ClassVar[str] = "val_accuracy"
    direction: ClassVar[str] = "max"
    has_classes: ClassVar[bool] = True

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the examples and the number of classes."""
        if data.num_classes < 2:
            raise ValueError(
                f"Data {data.name!r} have no labels, a single class, or real numbers as labels: "
                "classification needs two classes. Autoencoders need none, and the task "
                "'regression' takes real numbers."
            )
        return {"input_shape": data.input_shape, "num_classes": data.num_classes}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's input and output against the examples and the classes."""
        check_input(model, data)
        if tuple(model.output_shape) != (None, data.num_classes):
            raise ValueError(
                f"Model {model.name!r} has output shape {model.output_shape}, but data "
                f"{data.name!r} has {data.num_classes} classes: build it with that `num_classes`."
            )
        _require_probabilities(model, data)
        unseen = np.setdiff1d(np.arange(data.num_classes), data.train.labels)
        for name, part in (("validation", data.validation), ("test", data.test)):
            if len(unseen) and np.isin(part.labels, unseen).any():
                raise ValueError(
                    f"Classification is judged by classes that were trained with, but the {name} "
                    f"part of {data.name!r} has others: load the data without split_by='classes'."
                )

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of examples and integer labels, one-hot where the loss wants them."""
        batches = part.batches(batch_size, **options)
        loss = _loss_of(model)
        is_sparse = loss is None or _name_of(loss).startswith("sparse")
        if (_is_of_keras(loss) and not is_sparse) or _name_of(loss).startswith("categorical"):
            rows = np.eye(model(part.examples([0])).shape[-1], dtype=np.float32)
            batches = mapped(batches, lambda examples, labels: (examples, rows[labels]))
        return feed(batches)

    def compile(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float = 0
    ) -> None:
        """Compile with cross-entropy and accuracy."""
        options: dict[str, Any] = {"from_logits": _gives_logits(model)}
        loss = keras.losses.SparseCategoricalCrossentropy
        if label_smoothing:  # which Keras has for one-hot labels only
            loss, options["label_smoothing"] = keras.losses.CategoricalCrossentropy, label_smoothing
        model.compile(optimizer, loss(**options), metrics=["accuracy"])

    def class_weights(self, data: Dataset, wanted: Any) -> dict[int, float]:
        """Give each class's weight, as `fit` takes it, from what `zoo.Recipe` takes."""
        if wanted == "balanced":
            counts = np.bincount(data.train.labels, minlength=data.num_classes)
            return dict(enumerate(len(data.train) / (data.num_classes * np.maximum(counts, 1))))
        weights = dict.fromkeys(range(data.num_classes), 1.0)
        numbers = {name: number for number, name in enumerate(data.class_names)}
        named: dict[int, float] = {}
        for key, weight in wanted.items():
            number = numbers.get(str(key), int(key) if str(key).isdigit() else -1)
            if number not in weights or number in named:
                raise ValueError(
                    f"`class_weight` names the class {key!r}, but data {data.name!r} have, once, "
                    f"{', '.join(data.class_names[:10])}{' ...' * (data.num_classes > 10)}."
                )
            weights[number] = named[number] = weight
        return weights

    def predict(self, model: keras.Model, x: np.ndarray, data: Mapping[str, Any]) -> dict[str, Any]:
        """Give the likeliest `class` of each example, its `probability`, and all probabilities."""
        scores = outputs_of(model, x)
        if _gives_logits(model):
            is_binary = _name_of(_loss_of(model)).startswith("binary")  # of each class by itself
            squash = keras.ops.sigmoid if is_binary else keras.ops.softmax
            scores = keras.ops.convert_to_numpy(squash(scores))
        names = np.asarray(data["class_names"])
        return {
            "class": names[scores.argmax(axis=-1)],
            "probability": scores.max(axis=-1),
            "probabilities": scores,
        }

    def remark(self, data: Dataset, metrics: Mapping[str, float]) -> str | None:
        """Compare the accuracy with that of always naming the commonest class."""
        share = np.bincount(data.test.labels).max() / len(data.test)
        if metrics.get("accuracy", 1.0) > share:
            return None
        return (
            f"The test accuracy of {metrics['accuracy']:.3f} is no better than naming the "
            f"commonest class each time ({share:.3f})"
        )

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw the confusion matrix of the test part."""
        from zoo import plots  # matplotlib is loaded only to draw

        scores = model.predict(self.batches(model, data.test, BATCH), verbose=0)
        found, path = scores.argmax(axis=-1), directory / "confusion_matrix.png"
        return [plots.confusion_matrix(data.test.labels, found, data.class_names, path)]


def _loss_of(model: keras.Model) -> Any:
    """Give the loss that a model was compiled with; `None` if it was not."""
    loss = next(iter(keras.tree.flatten(getattr(model, "loss", None))), None)
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def _name_of(loss: Any) -> str:
    return getattr(loss, "__name__", type(loss).__name__).lower()


def _is_of_keras(loss: Any) -> bool:
    return getattr(loss, "__module__", type(loss).__module__).startswith("keras.")


def _gives_logits(model: keras.Model) -> bool:
    """Tell logits from probabilities: by the loss, or else the last layer's name and activation."""
    loss, last = _loss_of(model), _last_layer(model)
    if _gives_probabilities(last):
        return False
    if hasattr(loss, "from_logits"):
        return bool(loss.from_logits)
    if _is_of_keras(loss) and "crossentropy" in _name_of(loss):  # a function
        return False
    is_linear = getattr(last, "activation", None) is keras.activations.linear
    return last.name == "logits" or (is_linear and bool(last.weights))


def _last_layer(model: keras.Model) -> keras.Layer:
    last = model.layers[-1]
    return _last_layer(last) if isinstance(last, keras.Model) and hasattr(last, "inputs") else last


def _gives_probabilities(layer: keras.Layer) -> bool:
    known = (keras.activations.softmax, keras.activations.sigmoid)
    return getattr(layer, "activation", None) in known or isinstance(layer, keras.layers.Softmax)


def _require_probabilities(model: keras.Model, data: Dataset) -> None:
    """Look at what a model gives, where its last layer and its loss do not tell."""
    if _gives_probabilities(_last_layer(model)) or _gives_logits(model):
        return
    x, layer = data.train.examples(range(min(8, len(data.train)))), preparing_layer(model, data)
    found = outputs_of(model, keras.ops.convert_to_numpy(layer(x)) if layer else x)
    if not np.allclose(found.sum(axis=-1), 1, atol=0.01) or found.min() < 0:
        raise ValueError(
            f"Model {model.name!r} gives values from {found.min():.3g} to {found.max():.3g}, which "
            "are no probabilities: end it with a softmax, or name its last layer 'logits'."
        )
