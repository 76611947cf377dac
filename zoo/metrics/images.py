"""How alike two images are, as Keras metrics."""

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo import arguments as check

MAX_PSNR = 100.0
"""What equal images are given, in decibels, where the formula has infinity."""


class ImageMetric(keras.metrics.MeanMetricWrapper):
    """The mean over images of how alike each is to another: high is good.

    Args:
        max_value: Range of the pixels.
        name, dtype: As `keras.metrics.Metric` takes them.

    Raises:
        ValueError: If `max_value` is not above 0.
    """

    _default_name: str

    def __init__(self, max_value: float = 1.0, name: str | None = None, dtype: Any = None) -> None:
        self.max_value = check.number("max_value", max_value)
        super().__init__(self.of_each, name=name or self._default_name, dtype=dtype)
        self._direction = "up"

    def of_each(self, y_true: Any, y_pred: Any) -> Any:
        """Compare images, (batch, height, width, channels), one with one; gives (batch,)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"max_value": self.max_value, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("zoo")
class PSNR(ImageMetric):
    """Peak signal-to-noise ratio in decibels, of each image, then the mean over the images.

    Args:
        max_value, name, dtype: As `ImageMetric` takes them.

    Example:
        >>> metric = PSNR()
        >>> metric.update_state(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.1))
        >>> round(float(metric.result()), 4)
        20.0
    """

    _default_name = "psnr"

    def of_each(self, y_true: Any, y_pred: Any) -> Any:
        """See `ImageMetric.of_each`."""
        axes = tuple(range(1, len(y_pred.shape)))
        error = ops.mean(ops.square((y_true - y_pred) / self.max_value), axis=axes)
        return -10 * ops.log10(ops.maximum(error, 10 ** (-MAX_PSNR / 10)))


@keras.saving.register_keras_serializable("zoo")
class PricedPSNR(PSNR):
    """Peak signal-to-noise ratio, less a price that is paid for every image.

    Args:
        price: In decibels.
        name, dtype: As `ImageMetric` takes them.

    Example:
        >>> metric = PricedPSNR(3.0)
        >>> metric.update_state(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.1))
        >>> round(float(metric.result()), 4)
        17.0
    """

    def __init__(self, price: float, name: str = "priced_psnr", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.price = price

    def of_each(self, y_true: Any, y_pred: Any) -> Any:
        """See `ImageMetric.of_each`."""
        return super().of_each(y_true, y_pred) - self.price

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"price": self.price, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("zoo")
class SSIM(ImageMetric):
    """Structural similarity of each image, at most 1, then the mean over the images.

    Means, variances and covariance are taken in a Gaussian window of 11x11 pixels and standard
    deviation 1.5 that lies wholly inside the image; in images too small for it, in the largest
    odd window that fits.

    Args:
        max_value, name, dtype: As `ImageMetric` takes them.

    Reference:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004.

    Example:
        >>> metric = SSIM()
        >>> image = np.random.default_rng(0).random((1, 16, 16, 3))
        >>> metric.update_state(image, image)
        >>> float(metric.result())
        1.0
    """

    _default_name = "ssim"

    def of_each(self, y_true: Any, y_pred: Any) -> Any:
        """See `ImageMetric.of_each`."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        mean_true, mean_pred = _window_means(y_true), _window_means(y_pred)
        variance_true = _window_means(y_true * y_true) - mean_true * mean_true
        variance_pred = _window_means(y_pred * y_pred) - mean_pred * mean_pred
        covariance = _window_means(y_true * y_pred) - mean_true * mean_pred
        c1, c2 = (0.01 * self.max_value) ** 2, (0.03 * self.max_value) ** 2
        luminance = (2 * mean_true * mean_pred + c1) / (mean_true**2 + mean_pred**2 + c1)
        structure = (2 * covariance + c2) / (variance_true + variance_pred + c2)
        return ops.mean(luminance * structure, axis=(1, 2, 3))


def _window_means(images: Any) -> Any:
    """Give the weighted mean of the window around each pixel: one axis, then the other."""
    for axis in (1, 2):
        size = min(11, images.shape[axis] - 1 + images.shape[axis] % 2)
        weights = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * 1.5**2))
        shape = [size, 1] if axis == 1 else [1, size]
        kernel = np.reshape(weights / weights.sum(), [*shape, 1, 1]).astype("float32")
        kernel = np.tile(kernel, (1, 1, images.shape[-1], 1))
        images = ops.depthwise_conv(images, kernel)
    return images
