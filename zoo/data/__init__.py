"""Examples for training, validation and test: by name, from files, from arrays.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo._lazy import lazy_names

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

__all__ = ["Augment", "ClassBatches", "Dataset", "ImagePreparation", "PairBatches", "Part"]
__all__ += ["Preparation", "SequencePreparation", "TablePreparation", "TextPreparation"]
__all__ += ["cut_to_ink", "feed", "load_data", "mapped", "with_rotations"]

# Where each public name is defined.
_homes = {
    "zoo.data.augment": ["Augment"],
    "zoo.data.dataset": ["Dataset"],
    "zoo.data.feeding": ["feed", "mapped"],
    "zoo.data.images": ["ImagePreparation"],
    "zoo.data.ink": ["cut_to_ink"],
    "zoo.data.part": ["Part"],
    "zoo.data.preparation": ["Preparation"],
    "zoo.data.sampling": ["ClassBatches", "PairBatches"],
    "zoo.data.sequences": ["SequencePreparation"],
    "zoo.data.sources": ["load_data"],
    "zoo.data.tables": ["TablePreparation"],
    "zoo.data.texts": ["TextPreparation"],
    "zoo.data.views": ["with_rotations"],
}
__getattr__, __dir__ = lazy_names(__name__, __all__, _homes)
