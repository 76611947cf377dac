"""Real numbers for each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo import losses
from zoo.data import Dataset, Part, feed
from zoo.metrics import StandardizedR2
from zoo.tasks.base import BATCH, Task, check_input, outputs_of

HEAD, OUTPUT = "targets", "values"


@dataclass(frozen=True)
class RegressionTask(Task):
    """Give each example one real number, or several, in the units of the labels.

    A headless model gets a linear layer whose outputs are brought into the labels' units inside the
    model, by the mean and the standard deviation of the training part. Trains with the squared
    error over the variance of each target, so that losses are alike in any unit.

    Example:
        >>> RegressionTask().objective, RegressionTask().direction
        ('val_r2', 'max')
    """

    name: ClassVar[str] = "regression"
    objective: ClassVar[str] = "val_r2"
    direction: ClassVar[str] = "max"

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the examples; the model is to end with its features."""
        if not data.is_regression:
            raise ValueError(
                f"Data {data.name!r} have classes as labels, or none, and regression needs real "
                "numbers: pass the labels as floats."
            )
        return {"input_shape": data.input_shape, "num_classes": 0}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's input, and that its output is a vector."""
        check_input(model, data)
        if len(model.outputs) != 1 or len(model.output_shape) != 2:
            raise ValueError(
                f"Model {model.name!r} has output shape {model.output_shape}; regression needs one "
                "vector: build it with `num_classes`=0."
            )
        if model.compiled and model.output_shape[1] != len(data.target_names):
            raise ValueError(
                f"Model {model.name!r} is compiled and gives {model.output_shape[1]} values, but "
                f"data {data.name!r} have {len(data.target_names)} targets."
            )
        if not model.compiled and any(layer.name in (HEAD, OUTPUT) for layer in model.layers):
            raise ValueError(
                f"Model {model.name!r} has a layer named {HEAD!r} or {OUTPUT!r}, as those that "
                "regression adds: rename it."
            )

    def adapt(self, model: keras.Model, data: Dataset) -> keras.Model:
        """Put the data's preparation in front, and a layer with the targets' units behind."""
        model = super().adapt(model, data)
        labels = data.train.labels.astype(np.float64)
        mean, scale = labels.mean(axis=0), labels.std(axis=0)
        scale[scale == 0] = 1
        x = keras.layers.Dense(len(mean), name=HEAD)(model.output)
        values = keras.layers.Rescaling(scale.tolist(), mean.tolist(), dtype="float32", name=OUTPUT)
        return type(model)(model.input, values(x), name=model.name)

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of examples and their values."""
        return feed(part.batches(batch_size, **options))

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile with the squared error over the variance, the mean absolute error and R2."""
        units = model.get_layer(OUTPUT)
        mean, scale = (np.atleast_1d(of).tolist() for of in (units.offset, units.scale))
        metrics = ["mae", StandardizedR2(mean, scale)]
        model.compile(optimizer, losses.RelativeSquaredError(scale), metrics=metrics)

    def predict(self, model: keras.Model, x: np.ndarray, data: Mapping[str, Any]) -> dict[str, Any]:
        """Give each target's values under its name."""
        return dict(zip(data["target_names"], outputs_of(model, x).T, strict=True))

    def remark(self, data: Dataset, metrics: Mapping[str, float]) -> str | None:
        """Compare with always giving the mean."""
        if metrics.get("r2", 1.0) > 0:
            return None
        return f"The test values are no nearer than their mean (R2 is {metrics['r2']:.3f})"

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw each target's values against those that the test part has."""
        from zoo import plots  # matplotlib is loaded only to draw

        found = model.predict(self.batches(model, data.test, BATCH), verbose=0)
        path = directory / "predicted_values.png"
        return [plots.predicted_values(data.test.labels, found, data.target_names, path)]
