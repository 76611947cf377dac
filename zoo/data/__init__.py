"""Labelled images for training, validation and test: by name, from files, from arrays."""

from zoo.data.arrays import ArrayPart
from zoo.data.augment import Augment
from zoo.data.dataset import Dataset, Part
from zoo.data.feeding import feed, mapped
from zoo.data.ink import cut_to_ink
from zoo.data.sampling import ClassBatches, PairBatches
from zoo.data.sources import load_data
from zoo.data.views import with_rotations

__all__ = [
    "ArrayPart",
    "Augment",
    "ClassBatches",
    "Dataset",
    "PairBatches",
    "Part",
    "cut_to_ink",
    "feed",
    "load_data",
    "mapped",
    "with_rotations",
]
