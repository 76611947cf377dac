"""What a data set is: three parts of examples of one kind, prepared in one way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from zoo.data.part import Part
from zoo.data.preparation import Preparation, preparation_for


@dataclass(frozen=True)
class Dataset:
    """Examples in three parts; `zoo.load_data` makes one.

    Args:
        name: What the data are called in reports.
        train: The part that models learn from.
        validation: The part that choices are made by; it may be empty.
        test: The part that is used once, to judge the final model.
        class_names: Name of class 0, 1, ...; empty where labels are real numbers.
        preparation: What an example is, and how others like it are prepared; `None` follows from
            the examples' shape.
        target_names: Names of the values, where labels are real numbers.

    Example:
        >>> import zoo
        >>> zoo.load_data("digits")
        <Dataset digits: 1258 train, 180 validation, 359 test images of 8 x 8 x 1, 10 classes>
    """

    name: str
    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    preparation: Preparation = None  # type: ignore[assignment]
    target_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.preparation:
            object.__setattr__(self, "preparation", preparation_for(self.train.input_shape))

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of an example as a builder takes it, after the preparation inside the model."""
        return self.preparation.output_shape

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where labels are real numbers."""
        return len(self.class_names)

    @property
    def is_regression(self) -> bool:
        """Whether labels are real numbers."""
        return self.train.labels.dtype.kind == "f"

    def description(self) -> dict[str, Any]:
        """Describe the data as a run does: names of all, classes and targets, and preparation."""
        return {
            "name": self.name,
            "class_names": self.class_names,
            "target_names": self.target_names,
            "preparation": self.preparation.get_config(),
        }

    def __repr__(self) -> str:
        return f"<Dataset {self}>"

    def __str__(self) -> str:
        parts = {name: part for name, part in vars(self).items() if isinstance(part, Part)}
        sizes = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
        labels = f"{self.num_classes} classes"
        if self.is_regression:
            labels = f"target {', '.join(self.target_names)}"
        elif not self.class_names:
            labels = "texts as targets"
        return f"{self.name}: {sizes} {self.preparation}, {labels}"


def require_dataset(data: Any) -> None:
    """Check that an argument `data` is a data set."""
    if not isinstance(data, Dataset):
        shown = repr(data) if isinstance(data, str | os.PathLike) else type(data).__name__
        raise ValueError(f"`data` must be a zoo.Dataset, received {shown}. Use zoo.load_data.")


@dataclass(frozen=True)
class Source:
    """What a source holds before it is split: `None` for a part that it does not set aside."""

    name: str
    train: Part
    validation: Part | None
    test: Part | None
    class_names: tuple[str, ...]
    preparation: Preparation | None = None
    target_names: tuple[str, ...] = ()
