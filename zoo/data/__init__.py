"""Labelled images for training, validation and test: by name, from files, from arrays."""

from zoo.data.augment import Augment
from zoo.data.dataset import Dataset
from zoo.data.feeding import feed, mapped
from zoo.data.images import ImagePreparation
from zoo.data.ink import cut_to_ink
from zoo.data.part import Part
from zoo.data.preparation import Preparation
from zoo.data.sampling import ClassBatches, PairBatches
from zoo.data.sources import load_data
from zoo.data.tables import TablePreparation
from zoo.data.views import with_rotations

__all__ = [
    "Augment",
    "ClassBatches",
    "Dataset",
    "ImagePreparation",
    "PairBatches",
    "Part",
    "Preparation",
    "TablePreparation",
    "cut_to_ink",
    "feed",
    "load_data",
    "mapped",
    "with_rotations",
]
