"""Images: what they are, and how others like them become what a model takes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageColor

from zoo.arguments import integer
from zoo.data.arrays import DIVIDED_TWICE, how_to_scale
from zoo.data.columns import as_array
from zoo.data.pictures import MAX_PIXELS, decode, in_threads, pictures_in, resized
from zoo.data.preparation import Preparation


@dataclass(frozen=True)
class ImagePreparation(Preparation):
    """Images of one size and colour, float32 in [0, 1] inside.

    A file is shown as a viewer shows it: upright by its orientation tag, over a background where
    it is transparent, of several frames the first. It is then resized with Pillow's bilinear
    filter, which averages where it makes smaller (antialiasing). Colour profiles are not applied.

    Args:
        input_shape: Height, width and channels; `None` allows any size.
        background: Colour under transparent places, a name or "#rrggbb".
        max_pixels: Pixels that a file may declare; larger ones are refused undecoded.

    Example:
        >>> prepare = ImagePreparation((2, 2, 1))
        >>> prepare(np.full((2, 2), 51, "uint8"))[..., 0]
        array([[[0.2, 0.2],
                [0.2, 0.2]]], dtype=float32)
        >>> prepare.names(np.zeros((2, 2, 2)))
        ['0', '1']
    """

    kind: ClassVar[str] = "images"
    input_shape: tuple[int | None, int | None, int]
    background: str = "white"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        most = Image.MAX_IMAGE_PIXELS and 2 * Image.MAX_IMAGE_PIXELS  # Pillow refuses more
        integer("max_pixels", self.max_pixels, maximum=most)
        try:
            if ImageColor.getrgb(self.background)[3:] not in ((), (255,)):
                raise ValueError("it is transparent")
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                '`background` must be a colour such as "white" or "#ff8000", received '
                f"{self.background!r}."
            ) from error

    def __call__(self, x: Any) -> np.ndarray:
        """Make images ready for the model.

        Args:
            x: One image or several: arrays (uint8; floats in [0, 1]; other numbers from 0 to 255,
                which are scaled with a warning), (height, width), (height, width, channels) or
                several of them; Pillow's images; a path; a list of paths; or a folder, whose
                images are taken in natural order.

        Returns:
            (n, height, width, channels), float32 in [0, 1].

        Raises:
            ValueError: If they are no images, of another size or scale, or a file is damaged.
            OSError: If a file cannot be opened.
        """
        found = _pictures(x, warn=True)
        if isinstance(x, list | tuple) and len({getattr(item, "dtype", None) for item in x}) > 1:
            return np.concatenate([self(item) for item in x])  # each has a scale of its own
        if found is None:
            return self._scaled(self._arranged(x))
        images = list(in_threads(self.pixels, found))
        if len({image.shape for image in images}) > 1:
            raise ValueError("The images differ in size: pass those of one size.")
        return np.divide(np.stack(images), np.float32(255), dtype=np.float32)

    def names(self, x: Any) -> list[str]:
        """See `Preparation.names`."""
        found = _pictures(x)
        return [
            os.fspath(item) if isinstance(item, str | os.PathLike) else str(index)
            for index, item in enumerate(self._arranged(x) if found is None else found)
        ]

    def pixels(self, picture: str | os.PathLike[str] | Image.Image) -> np.ndarray:
        """Make one file or Pillow image ready, but for the scale: (height, width, channels), uint8.

        Args:
            picture: A path, or an image.

        Raises:
            ValueError: If it cannot be decoded.
            OSError: If the file cannot be opened.
        """
        if self.input_shape[2] not in (1, 3):
            raise ValueError(f"Pictures do not have {self.input_shape[2]} channels: pass arrays.")
        try:
            image = decode(picture, self.background, self.max_pixels)
        except ValueError as error:
            raise ValueError(f"{picture} cannot be decoded: {error}.") from error
        return resized(image, self.input_shape)

    def _arranged(self, x: Any) -> np.ndarray:
        """Give arrays as (n, height, width, channels)."""
        array = as_array("The images", x)
        forms = [array, array[None]]
        if self.input_shape[2] == 1:
            forms += [array[..., None], array[None, ..., None]]
        fitting = [form for form in forms if _fits(form.shape[1:], self.input_shape)]
        if len(fitting) == 1 and array.size:
            return fitting[0]
        shape = ", ".join("any" if size is None else str(size) for size in self.input_shape)
        if len(fitting) > 1 and array.size:
            raise ValueError(f"{array.shape} is one image or several: pass images as (n, {shape}).")
        mend = "Files and Pillow's images are resized as in training: pass those."
        if array.ndim in (3, 4) and _fits((*array.shape[-2:], array.shape[-3]), self.input_shape):
            mend = "The channels are to come last: pass np.moveaxis(x, -3, -1)."
        raise ValueError(
            f"Images must be of shape (n, {shape}), or one of ({shape}); received an array of "
            f"{array.dtype} of shape {array.shape}. {mend}"
        )

    def _scaled(self, images: np.ndarray) -> np.ndarray:
        """Give images as float32 in [0, 1]."""
        if images.dtype.kind not in "buif":
            raise ValueError(f"Images must be numbers; received {images.dtype}.")
        low, high = images.min(), images.max()  # NaN if any value is
        if images.dtype.kind in "bf" and low >= 0 and high <= 1 and not 0 < high <= DIVIDED_TWICE:
            return images.astype(np.float32)
        # A picture of 0 to 255 has brighter places than 2.
        if not (low >= 0 and (high > 2 or high == 0) and high <= 255):
            raise ValueError(
                "Images must be uint8, or floats in [0, 1]; received "
                f"{images.dtype} from {low:g} to {high:g}. {how_to_scale(low, high)}"
            )
        if images.dtype != np.uint8:
            warnings.warn(
                f"Images of {images.dtype} from {low:g} to {high:g} are taken as 0 to 255, and "
                "divided by 255. Pass uint8, or floats in [0, 1].",
                stacklevel=3,
            )
        return np.divide(images, np.float32(255), dtype=np.float32)

    def __str__(self) -> str:
        return f"images of {' x '.join(str(size or 'any') for size in self.input_shape)}"


def _fits(sizes: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(sizes) == len(wanted) and all(
        b in (a, None) for a, b in zip(sizes, wanted, strict=True)
    )


def _pictures(x: Any, warn: bool = False) -> Sequence[Any] | None:
    """Give files and Pillow's images one by one; `None` where there are only arrays."""
    if isinstance(x, str | os.PathLike) and os.path.isdir(x):
        return pictures_in(Path(x), warn)
    if isinstance(x, str | os.PathLike | Image.Image):
        return [x]
    if isinstance(x, np.ndarray) and x.dtype.kind in "OU":
        x = x.tolist()
    is_list = isinstance(x, list | tuple) and len(x) > 0
    if is_list and all(isinstance(item, str | os.PathLike | Image.Image) for item in x):
        return x
    return None
