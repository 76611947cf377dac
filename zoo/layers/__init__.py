"""Keras layers that Keras 3 lacks, or that can be faster than Keras's own."""

from zoo.layers.batch_normalization import BatchNormalization
from zoo.layers.legacy import convert_legacy_weights
from zoo.layers.legacy_files import load_legacy_model, load_legacy_weights
from zoo.layers.locally_connected import LocallyConnected1D, LocallyConnected2D
from zoo.layers.low_rank import LowRankLocallyConnected2D

__all__ = [
    "BatchNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "LowRankLocallyConnected2D",
    "convert_legacy_weights",
    "load_legacy_model",
    "load_legacy_weights",
]
