"""Batch normalization that trains faster on TensorFlow."""

from typing import Any

import keras


class BatchNormalization(keras.layers.BatchNormalization):
    """Normalize each channel over the batch, in one fused kernel where TensorFlow has one.

    Arguments, weights, numbers and configuration are `keras.layers.BatchNormalization`'s. Keras
    composes the training step from elementary operations, in float32; on images TensorFlow's
    fused kernel does it in one pass each way and in the input's own dtype, with float32
    statistics. `benchmarks/step_time.py` has the figures.

    A saved model names the layer as Keras's own, so that plain Keras loads it without this
    package.

    Reference:
        Ioffe and Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167

    Example:
        >>> layer = BatchNormalization()
        >>> layer(keras.ops.ones((2, 4, 4, 3)), training=True).shape
        TensorShape([2, 4, 4, 3])
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize `inputs`; see `keras.layers.BatchNormalization.call`."""
        if not (training and self.trainable and mask is None and self._has_fused_kernel(inputs)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else tf.ones(channels),
            offset=self.beta if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the sample variance (over n - 1); Keras keeps the batch's (over n).
        count = tf.cast(tf.size(inputs) / channels, variance.dtype)
        variance *= tf.maximum(count - 1, 1) / count
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _has_fused_kernel(self, inputs: Any) -> bool:
        """Whether the fused kernel computes what this layer is configured to compute."""
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and inputs.dtype in ("float32", "float16", "bfloat16")
            and not self.renorm
            and not self.synchronized
        )


# Saved under Keras's name: the weights and the configuration are the same.
BatchNormalization.__module__ = "keras.layers"
