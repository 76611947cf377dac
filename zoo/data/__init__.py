"""Examples for training, validation and test: by name, from files, from arrays.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.augment import Augment
    from zoo.data.dataset import Dataset
    from zoo.data.feeding import feed, mapped
    from zoo.data.images import ImagePreparation
    from zoo.data.ink import cut_to_ink
    from zoo.data.part import Part
    from zoo.data.preparation import Preparation
    from zoo.data.sampling import ClassBatches, PairBatches
    from zoo.data.sequences import SequencePreparation
    from zoo.data.sources import load_data
    from zoo.data.tables import TablePreparation
    from zoo.data.texts import TextPreparation
    from zoo.data.views import with_rotations

# Where each public name is defined.
_homes = {
    "Augment": "zoo.data.augment",
    "ClassBatches": "zoo.data.sampling",
    "Dataset": "zoo.data.dataset",
    "ImagePreparation": "zoo.data.images",
    "PairBatches": "zoo.data.sampling",
    "Part": "zoo.data.part",
    "Preparation": "zoo.data.preparation",
    "SequencePreparation": "zoo.data.sequences",
    "TablePreparation": "zoo.data.tables",
    "TextPreparation": "zoo.data.texts",
    "cut_to_ink": "zoo.data.ink",
    "feed": "zoo.data.feeding",
    "load_data": "zoo.data.sources",
    "mapped": "zoo.data.feeding",
    "with_rotations": "zoo.data.views",
}

__all__ = [
    "Augment",
    "ClassBatches",
    "Dataset",
    "ImagePreparation",
    "PairBatches",
    "Part",
    "Preparation",
    "SequencePreparation",
    "TablePreparation",
    "TextPreparation",
    "cut_to_ink",
    "feed",
    "load_data",
    "mapped",
    "with_rotations",
]


def __getattr__(name: str) -> Any:
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_homes[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
