"""One label out of several for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo import plots
from zoo.data import Dataset, Part, feed
from zoo.tasks.base import Task


class ClassificationTask(Task):
    """Give each image one of `num_classes` labels.

    Trains with cross-entropy on integer labels. The model's output are probabilities, or logits
    where its last layer is named so.

    Example:
        >>> ClassificationTask.objective
        'val_accuracy'
    """

    name: ClassVar[str] = "classification"
    objective = "val_accuracy"
    direction = "max"

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the images and the number of classes."""
        if data.num_classes < 2:
            raise ValueError(
                f"Data {data.name!r} have a single class, or no labels: classification needs two "
                "classes. Autoencoders need none."
            )
        return {"input_shape": data.input_shape, "num_classes": data.num_classes}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's input and output against the images and the classes."""
        if tuple(model.input_shape[1:]) not in (
            data.input_shape,
            (None, None, *data.input_shape[2:]),
        ):
            raise ValueError(
                f"Model {model.name!r} takes images of shape {model.input_shape[1:]}, but data "
                f"{data.name!r} has {data.input_shape}: build it with that `input_shape`."
            )
        if tuple(model.output_shape) != (None, data.num_classes):
            raise ValueError(
                f"Model {model.name!r} has output shape {model.output_shape}, but data "
                f"{data.name!r} has {data.num_classes} classes: build it with that `num_classes`."
            )
        unseen = np.setdiff1d(np.arange(data.num_classes), data.train.labels)
        for name, part in (("validation", data.validation), ("test", data.test)):
            if len(unseen) and np.isin(part.labels, unseen).any():
                raise ValueError(
                    f"Classification is judged by classes that were trained with, but the {name} "
                    f"part of {data.name!r} has others: load the data without split_by='classes'."
                )

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of images and integer labels."""
        return feed(part.batches(batch_size, **options))

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile with cross-entropy and accuracy."""
        from_logits = model.output_names == ["logits"]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        model.compile(optimizer, loss, metrics=["accuracy"])

    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Serve the model as it is: `image` to `probabilities`."""
        return {"serving_default": model}

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw the confusion matrix of the test part."""
        scores = model.predict(self.batches(model, data.test, 256), verbose=0)
        return [
            plots.confusion_matrix(
                data.test.labels,
                scores.argmax(axis=-1),
                data.class_names,
                directory / "confusion_matrix.png",
            )
        ]
