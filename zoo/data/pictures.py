"""Picture files: which ones a folder holds, and how one becomes an array, as a viewer shows it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
MAX_PIXELS = 50_000_000
"""Pixels that a picture may declare, unless the caller says otherwise."""

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".gif"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif"),  # others' pictures: refused, not passed over
)
_GREY = ("1", "L", "LA", "La", "I", "I;16")
_COLORED = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_GREY_SCALES = {"1": 255, "L;2": 85, "L;4": 17}  # from a PNG's levels to 0 to 255


def natural_order(path: str | os.PathLike[str]) -> tuple[list[Any], str]:
    """Make the key that sorts names as people do, 2 before 10."""
    name = os.path.basename(path)
    pieces: list[Any] = re.split("([0-9]+)", name)
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name


def visible(folder: Path) -> list[Path]:
    """List what is in a folder, but for hidden names."""
    try:
        found = [item for item in folder.iterdir() if not item.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(found, key=natural_order)


def leads_out(path: Path, root: Path) -> bool:
    """Tell whether a path is a link to something outside a folder."""
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def visible_folders(path: Path, root: Path) -> dict[str, Path]:
    """Give the folders in a folder by their names."""
    folders = {item.name: item for item in visible(path) if item.is_dir()}
    for item in folders.values():
        if leads_out(item, root):
            raise ValueError(f"{item} is a link that leads out of {root}. Put the folder there.")
    return folders


def warn_of_others(others: Sequence[Path], reason: str, stacklevel: int = 4) -> None:
    """Tell the user's own call which files in folders are passed over."""
    if others:
        shown = ", ".join(map(str, others[:5])) + ", ..." * (len(others) > 5)
        warnings.warn(
            f"Passed over: {len(others)} files ({shown}) {reason}.", stacklevel=stacklevel
        )


def picture_files(items: Iterable[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """Tell pictures from what else lies beside them.

    A file counts as a picture by its suffix or, where that is of no picture, by its content. What
    is no regular file, or a link that leads out of the folder, is never opened.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for item in items:
        is_safe = not leads_out(item, root) and (item.is_file() or not item.exists())
        (pictures if is_safe and _is_picture(item) else others).append(item)
    return pictures, others


def pictures_in(folder: Path, warn: bool) -> list[Path]:
    """Give the pictures directly in a folder, and warn of what else is there."""
    items = [item for item in visible(folder) if not item.is_dir()]
    pictures, others = picture_files(items, folder.resolve())
    if not pictures:
        raise ValueError(f"The folder {folder} has no images directly in it.")
    if warn:
        warn_of_others(others, "are no image files, or links that lead out", stacklevel=5)
    return pictures


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in _SUFFIXES:
        return True
    try:
        with _opened(path) as file, Image.open(file, formats=FORMATS):
            return True
    except OSError:  # also Pillow's, where it knows no such format
        return False
    except Exception:  # of a known format, and damaged
        return True


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file; the others, such as a pipe, might never end, and are not opened."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is no regular file")
    return open(path, "rb")


def ends_of_file(path: str | os.PathLike[str], size: int = 4096) -> bytes:
    """Read the first and the last bytes of a file."""
    with _opened(path) as file:
        first = file.read(size)
        file.seek(max(size, os.fstat(file.fileno()).st_size - size))
        return first + file.read(size)


def decode(
    picture: str | os.PathLike[str] | Image.Image, background: str, max_pixels: int
) -> Image.Image:
    """Decode a picture file, or give Pillow's image in the same form."""
    if isinstance(picture, Image.Image):
        scale = _mark_scale(picture)
        return _flattened(picture.copy(), background, scale)
    with _opened(picture) as file:
        try:
            image = Image.open(file, formats=FORMATS)
            if image.width * image.height > max_pixels:
                raise ValueError(f"it declares {image.size} pixels, above {max_pixels=}")
            scale = _mark_scale(image)
            image.load()
        except Image.UnidentifiedImageError:
            raise ValueError("it is no JPEG, PNG, BMP, WebP or GIF file") from None
        except Exception as error:  # Pillow raises many kinds, from SyntaxError to struct.error
            raise ValueError(str(error) or type(error).__name__) from error
        return _flattened(image, background, scale)


def _mark_scale(image: Any) -> int:
    """Give what turns the transparent level that a PNG names into one of 8 bits."""
    raw = str(image.tile[0][3]) if image.format == "PNG" and image.tile else ""
    if raw == "RGB;16B" and "transparency" in image.info:
        raise ValueError("16 bits a colour with a transparent colour are not supported")
    return _GREY_SCALES.get(raw, 1)


def _flattened(image: Image.Image, background: str, scale: int) -> Image.Image:
    """Bring a picture of any mode into the form that a viewer shows."""
    mode, mark = image.mode.split(";16")[0], image.info.get("transparency")
    is_deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if not is_deep and (mode == "I" or mode not in _GREY + _COLORED):
        raise ValueError(f"mode {image.mode} is not supported: convert it to L or RGB first")
    with contextlib.suppress(Exception):  # damaged notes of the camera, which viewers overlook
        ImageOps.exif_transpose(image, in_place=True)
    if is_deep:
        levels = np.asarray(image)
        image = Image.fromarray(((levels + np.uint32(128)) // 257).astype(np.uint8))
        if mark is not None:
            image.putalpha(Image.fromarray(np.where(levels == mark, 0, 255).astype(np.uint8)))
    elif mark is not None and image.mode in ("1", "L"):
        image = image.convert("L")
        opaque = np.where(np.asarray(image) == min(mark * scale, 255), 0, 255)
        image.putalpha(Image.fromarray(opaque.astype(np.uint8)))
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
        canvas = Image.new("RGBA", image.size, background)
        canvas.alpha_composite(image if image.mode == "RGBA" else image.convert("RGBA"))
        image = canvas
    wanted = "L" if mode in _GREY else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def resized(image: Image.Image, shape: tuple[int | None, int | None, int]) -> np.ndarray:
    """Bring a picture to a size and a number of channels."""
    height, width, channels = shape
    wanted = "L" if channels == 1 else "RGB"
    if image.mode != wanted:
        image = image.convert(wanted)
    size = (width or image.width, height or image.height)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def in_threads(function: Callable[..., Any], *arguments: Iterable[Any]) -> Iterable[Any]:
    """Call a function for each of many files; Pillow decodes side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(function, *arguments)
