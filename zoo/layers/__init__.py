"""Keras layers that Keras 3 lacks, or that can be faster than Keras's own."""

from zoo.layers.batch_normalization import BatchNormalization
from zoo.layers.locally_connected import LocallyConnected1D, LocallyConnected2D

__all__ = ["BatchNormalization", "LocallyConnected1D", "LocallyConnected2D"]
