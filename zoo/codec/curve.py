"""Rate and distortion of codecs, with JPEG and WebP beside them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zoo.codec.codec import ImageCodec

QUALITIES = (0, 5, 10, 20, 40, 60, 80, 95)


@dataclass(frozen=True)
class Point:
    """What some images take, and what is left of them.

    Attributes:
        bits_per_pixel: Bits that are written, headers included, over the pixels; one pixel of
            colour counts once.
        psnr: Peak signal-to-noise ratio of each image in decibels, then the mean.
    """

    bits_per_pixel: float
    psnr: float


def rate_distortion(images: np.ndarray, codecs: Iterable[ImageCodec]) -> dict[str, list[Point]]:
    """Compress images by codecs, by JPEG and by WebP.

    Args:
        images: float32 `(images, height, width, channels)` in [0, 1], with 1 or 3 channels.
        codecs: Codecs of one kind that trade rate for quality differently.

    Returns:
        Points by name, in order of their rate: the codecs with all images in one stream and with
        a stream for each image, and JPEG and WebP with a file for each image, at qualities from
        the smallest.

    Raises:
        ValueError: If the images are not such as `ImageCodec.compress` takes.

    Example:
        >>> import zoo
        >>> curves = rate_distortion(zoo.load_data("digits").test.images(np.arange(4)), [])
        >>> [(name, len(points)) for name, points in curves.items()]
        [('together', 0), ('each alone', 0), ('JPEG', 8), ('WebP', 8)]
    """
    curves: dict[str, list[Point]] = {"together": [], "each alone": []}
    pixels = images.shape[0] * images.shape[1] * images.shape[2]
    for codec in codecs:
        stream = codec.compress(images)
        psnr = mean_psnr(images, codec.decompress(stream))
        alone = sum(len(codec.compress(images[i : i + 1])) for i in range(len(images)))
        curves["together"].append(Point(8 * len(stream) / pixels, psnr))
        curves["each alone"].append(Point(8 * alone / pixels, psnr))
    for name in ("JPEG", "WebP"):
        curves[name] = [_file_point(images, name, quality) for quality in QUALITIES]
    return {name: sorted(points, key=_rate) for name, points in curves.items()}


def mean_psnr(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Give the peak signal-to-noise ratio of each image in decibels, then the mean.

    Args:
        images: Floats `(images, height, width, channels)` in [0, 1].
        rebuilt: What is left of them.

    Returns:
        The mean; an image that is left as it was counts as 100 dB.

    Example:
        >>> round(mean_psnr(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.1)), 6)
        20.0
    """
    errors = np.square(images - rebuilt, dtype=np.float64).mean(axis=(1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(errors, 1e-10))))


def _file_point(images: np.ndarray, kind: str, quality: int) -> Point:
    size, rebuilt = 0, []
    for image in np.round(images * 255).astype(np.uint8):
        file = io.BytesIO()
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        picture.save(file, kind, quality=quality, **_SMALLEST[kind])
        size += file.tell()
        read = np.asarray(Image.open(file).convert(picture.mode), np.float32) / 255
        rebuilt.append(read.reshape(image.shape))
    pixels = images.shape[0] * images.shape[1] * images.shape[2]
    return Point(8 * size / pixels, mean_psnr(images, np.stack(rebuilt)))


# The settings that make the smallest files.
_SMALLEST: dict[str, dict[str, object]] = {
    "JPEG": {"optimize": True, "subsampling": "4:2:0"},
    "WebP": {"method": 6},
}


def _rate(point: Point) -> float:
    return point.bits_per_pixel
