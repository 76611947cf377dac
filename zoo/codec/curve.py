"""Rate and distortion of codecs, with JPEG and WebP beside them."""

from __future__ import annotations

import io
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zoo.codec.codec import ImageCodec
from zoo.metrics import PSNR

QUALITIES = (0, 5, 10, 20, 40, 60, 80, 95)
# The settings that make the smallest files.
_SMALLEST: dict[str, dict[str, object]] = {
    "JPEG": {"optimize": True, "subsampling": "4:2:0"},
    "WebP": {"method": 6},
}


@dataclass(frozen=True)
class Point:
    """What some images take, and what is left of them."""

    bits_per_pixel: float  # headers included; one pixel of colour counts once
    psnr: float  # the images' mean, in decibels


def rate_distortion(images: np.ndarray, codecs: Iterable[ImageCodec]) -> dict[str, list[Point]]:
    """Compress images by codecs, by JPEG and by WebP.

    Args:
        images: float32 `(images, height, width, channels)` in [0, 1], with 1 or 3 channels.
        codecs: Codecs of one kind that trade rate for quality differently.

    Returns:
        Points by name, in order of their rate: each way with all images together, in one stream
        or tiled into one file, and with each image alone.

    Raises:
        ValueError: If the images are of another shape or type.

    Example:
        >>> import zoo
        >>> curves = rate_distortion(zoo.load_data("digits").test.examples(np.arange(4)), [])
        >>> [(name, len(points)) for name, points in curves.items()]
        [('ours, together', 0), ('ours, each alone', 0), ('JPEG, together', 8),
         ('JPEG, each alone', 8), ('WebP, together', 8), ('WebP, each alone', 8)]
    """
    if images.dtype.kind != "f" or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "`images` must be floats of shape (images, height, width, 1 or 3), received "
            f"{images.dtype} of shape {images.shape}."
        )
    curves: dict[str, list[Point]] = {"ours, together": [], "ours, each alone": []}
    pixels = math.prod(images.shape[:3])
    for codec in codecs:
        stream = codec.compress(images)
        psnr = mean_psnr(images, codec.decompress(stream))
        alone = sum(len(codec.compress(images[i : i + 1])) for i in range(len(images)))
        curves["ours, together"].append(Point(8 * len(stream) / pixels, psnr))
        curves["ours, each alone"].append(Point(8 * alone / pixels, psnr))
    for kind in ("JPEG", "WebP"):
        curves[f"{kind}, together"] = file_points(images, kind, sheet=True)
        curves[f"{kind}, each alone"] = file_points(images, kind, sheet=False)
    by_rate = operator.attrgetter("bits_per_pixel")
    return {name: sorted(points, key=by_rate) for name, points in curves.items()}


def mean_psnr(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Give the peak signal-to-noise ratio of each image in decibels, then the mean."""
    metric = PSNR()
    metric.update_state(images, rebuilt)
    return float(metric.result())


def file_points(images: np.ndarray, kind: str, *, sheet: bool) -> list[Point]:
    """Compress images by a file format, at qualities from the smallest.

    Example:
        >>> images = np.zeros((4, 8, 8, 1), "float32")
        >>> alone, sheet = (file_points(images, "WebP", sheet=sheet)[0] for sheet in (False, True))
        >>> alone.bits_per_pixel > sheet.bits_per_pixel
        True
    """
    height, width, channels = images.shape[1:]
    files = np.round(images * 255).astype(np.uint8)
    if sheet:
        side = math.ceil(math.sqrt(len(images)))
        tiles = np.zeros((side * side, height, width, channels), np.uint8)
        tiles[: len(images)] = files
        tiles = tiles.reshape(side, side, height, width, channels).swapaxes(1, 2)
        files = tiles.reshape(1, side * height, side * width, channels)
    points = []
    for quality in QUALITIES:
        size, read = 0, []
        for file in files:
            written = io.BytesIO()
            picture = Image.fromarray(file[..., 0] if channels == 1 else file)
            picture.save(written, kind, quality=quality, **_SMALLEST[kind])
            size += written.tell()
            read.append(np.asarray(Image.open(written).convert(picture.mode), np.float32) / 255)
        rebuilt = np.stack(read).reshape(files.shape)
        if sheet:
            rebuilt = rebuilt.reshape(side, height, side, width, channels).swapaxes(1, 2)
            rebuilt = rebuilt.reshape(-1, height, width, channels)[: len(images)]
        pixels = len(images) * height * width
        points.append(Point(8 * size / pixels, mean_psnr(images, rebuilt)))
    return points
