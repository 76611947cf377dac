"""Whether two images show the same, such as one person, judged by classes never trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo import arguments as check
from zoo import losses
from zoo.data import Dataset, Part, feed
from zoo.data.pairs import pairs_of
from zoo.data.sampling import ClassBatches, PairBatches, examples_by_class
from zoo.layers import CosineProxies, Judging
from zoo.tasks.base import BATCH, Task, check_input, outputs_of
from zoo.verification import Judged, Sides, judge, sides
from zoo.verification.judging import checked_target

# What models are trained by, and the margin of its loss; cross-entropy has none.
_MARGINS = {"distance": 1.0, "probabilities": 0.0, "embedding": 0.2, "cosines": 0.0}


@dataclass(frozen=True, kw_only=True)
class VerificationTask(Task):
    """Tell whether two images show the same.

    The model's output says what it is trained by: `distance` by the contrastive loss and
    `probabilities` by cross-entropy, both on drawn pairs, half of them the same; `embedding` by
    triplets found in batches of some classes and some examples of each (P x K); `cosines` by the
    normalized softmax, on batches of any examples. 1 means the same throughout.

    Every model is judged by the pairs of a part whose classes were not trained with: area under the
    ROC curve (`auc`), equal error rate (`eer`), and the false and true accept rates (`far`, `tar`)
    at the model's threshold. After training, the threshold is set by the validation part.

    Args:
        margin: Of the loss; `None` is 1 for distances, 0.2 for embeddings, and 0 for cosines.
            Cross-entropy has none.
        mining: Of the triplets: "batch_all", "batch_hard" or "semi_hard".
        scale: Factor of the cosines in the softmax.
        examples: Examples of each class in a batch for triplets (K); there are then `batch_size //
            examples` classes in it (P), or all there are.
        singles: What becomes of training classes with a single example, where pairs are needed:
            "refuse" or "leave_out".
        target_far: What the threshold is set by: "eer", where both kinds of errors are equally
            frequent, or the false accept rate to keep to, in [0, 1).

    Raises:
        ValueError: If an argument is illegal.

    Example:
        >>> VerificationTask(mining="batch_hard").objective
        'val_auc'
    """

    name: ClassVar[str] = "verification"
    objective: ClassVar[str] = "val_auc"
    direction: ClassVar[str] = "max"
    split_by: ClassVar[str] = "classes"

    margin: float | None = None
    mining: str = "semi_hard"
    scale: float = 16.0
    examples: int = 4
    singles: str = "refuse"
    target_far: float | str = "eer"

    def __post_init__(self) -> None:
        margin = self.margin
        checked = {
            "margin": None if margin is None else check.number("margin", margin, or_zero=True),
            "mining": check.one_of("mining", self.mining, losses.MININGS),
            "scale": check.number("scale", self.scale),
            "examples": check.integer("examples", self.examples, minimum=2),
            "singles": check.one_of("singles", self.singles, ("refuse", "leave_out")),
            "target_far": checked_target(self.target_far),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the images and the number of classes to train with."""
        return {"input_shape": data.input_shape, "num_classes": len(np.unique(data.train.labels))}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's inputs and its head, and that judged classes are not trained with."""
        output = _trained_output(model)
        check_input(model, data)
        trained = np.unique(data.train.labels)
        if output == "cosines" and model.output_shape[1] != len(trained):
            raise ValueError(
                f"Model {model.name!r} has proxies of {model.output_shape[1]} classes, but data "
                f"{data.name!r} has {len(trained)} to train with: build it with that `num_classes`."
            )
        if output != "cosines":
            examples_by_class(data.train.labels, self.singles)
        for name, part in (("validation", data.validation), ("test", data.test)):
            shared = np.intersect1d(trained, part.labels)
            if len(shared):
                raise ValueError(
                    f"Verification is judged by classes that were not trained with, but "
                    f"{len(shared)} classes of the {name} part of {data.name!r} are trained with, "
                    f"such as {data.class_names[shared[0]]!r}: load the data with "
                    "zoo.load_data(..., split_by='classes')."
                )
            if len(part):
                pairs_of(part.labels, most=2)

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of what the model's head is trained by: pairs, P x K, or any examples."""
        output = _trained_output(model)
        if output == "cosines":
            # Labels count the part's own classes, as the proxies do.
            numbers = np.unique(part.labels, return_inverse=True)[1].astype(np.int64)
            return feed(part.relabelled(numbers).batches(batch_size, **options))
        options["singles"] = self.singles
        if output != "embedding":
            return feed(PairBatches(part, batch_size, **options))
        given = len(examples_by_class(part.labels, self.singles))
        classes = min(batch_size // self.examples, given)
        if classes < 2:
            raise ValueError(
                f"A batch of {batch_size} holds fewer than two classes of {self.examples} "
                "examples: give a larger `batch_size`, or the task fewer `examples`."
            )
        return feed(ClassBatches(part, classes=classes, examples=self.examples, **options))

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile with the loss of the model's head."""
        output = _trained_output(model)
        margin = _MARGINS[output] if self.margin is None else self.margin
        loss: keras.losses.Loss = keras.losses.BinaryCrossentropy()
        if output == "distance":
            loss = losses.Contrastive(margin, head=model.layers[-1])
        elif output == "embedding":
            loss = losses.Triplet(margin, mining=self.mining)
        elif output == "cosines":
            loss = losses.NormalizedSoftmax(self.scale, margin)
        model.compile(optimizer, loss)

    def validation(self, model: keras.Model, part: Part) -> dict[str, Any]:
        """Judge the pairs of a part after each epoch."""
        return {"callbacks": [_Judge(part)]} if len(part) else {}

    def finish(self, model: keras.Model, data: Dataset) -> None:
        """Set the threshold by the validation part, where there is one."""
        if len(data.validation):
            parts = sides(model)
            point = _judged(parts, data.validation).point(self.target_far)
            parts.judging.threshold = point.threshold

    def evaluate(
        self, model: keras.Model, part: Part, *, batch_size: int = BATCH
    ) -> dict[str, float]:
        """Judge the pairs of a part: `auc`, `eer`, and `far` and `tar` at the threshold."""
        parts = sides(model)
        return _judged(parts, part, batch_size).summary(parts.judging.threshold)

    def predict(self, model: keras.Model, x: np.ndarray, data: Mapping[str, Any]) -> dict[str, Any]:
        """Give `distance` and, by the threshold, `same` of pairs, (2, n, ...); else `embedding`."""
        parts = sides(model)
        if x.ndim == len(parts.left.input_shape):
            part = Part(x, np.zeros(len(x), np.int64))
            return {"embedding": parts.embed(feed(part.batches(BATCH)))[0]}
        left, right = (outputs_of(side, half) for side, half in zip(parts[1:3], x, strict=True))
        rows = np.arange(len(left))
        distances = parts.distances(left, right, rows, rows)
        if parts.judging.threshold is None:
            return {"distance": distances}
        return {"distance": distances, "same": distances <= parts.judging.threshold}

    def remark(self, data: Dataset, metrics: Mapping[str, float]) -> str | None:
        """Compare the area under the ROC curve with that of chance."""
        if metrics.get("auc", 1.0) > 0.5:
            return None
        return f"The area under the ROC curve of {metrics['auc']:.3f} is no better than chance"

    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Serve the whole model, `embed`, `similarity`, and, once there is a threshold, `same`."""
        return {"serving_default": model, **sides(model).signatures()}

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw the ROC curve, the distances, the hardest mistakes and the embeddings."""
        parts = sides(model)
        threshold = parts.judging.threshold
        return judge(parts, data.test).draw(data.test, threshold, data.class_names, directory)


def _trained_output(model: keras.Model) -> str:
    """Give the name of the output that says how a model is trained."""
    last = model.layers[-1]  # whose name alone does not tell: a classifier gives probabilities, too
    compares = isinstance(last, Judging | CosineProxies) and model.output_names == [last.name]
    if not compares or last.name not in _MARGINS:
        raise ValueError(
            f"Model {model.name!r} does not compare, it gives {last.name}: "
            "verification trains what zoo.siamese and zoo.embedding give, such as zoo.siamese_cnn."
        )
    return last.name


def _judged(parts: Sides, part: Part, batch_size: int = 256) -> Judged:
    """Judge the pairs of a part by a model that was trained, if its training did not fail."""
    judged = judge(parts, part, batch_size=batch_size)
    try:
        judged.require_finite()
    except ValueError as error:  # as `zoo.train` raises it
        raise FloatingPointError(str(error)) from error
    return judged


class _Judge(keras.callbacks.Callback):
    """Adds `val_auc` and `val_eer` to what each epoch logs."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.sides = sides(self.model)  # once: each new `predict` is traced anew

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        rates = judge(self.sides, self.part).rates()
        if logs is not None:
            logs.update({f"val_{name}": rate for name, rate in rates.items()})
