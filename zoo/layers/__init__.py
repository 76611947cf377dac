"""Keras layers that Keras 3 lacks, or that can be faster than Keras's own."""

from zoo.layers.batch_normalization import BatchNormalization

__all__ = ["BatchNormalization"]
