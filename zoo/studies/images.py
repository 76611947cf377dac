"""The images of the studies: the digits, in the middle of a canvas or moved about."""

from __future__ import annotations

import dataclasses

import numpy as np

import zoo

JUDGED = """\
The data are the 8x8 digits of scikit-learn: 1258 images to learn from, and 539 others, by which
nets are judged.
"""


def digits(size: int = 8, shift: int = 0, test_shift: int = 0) -> zoo.Dataset:
    """Load the digits on a black canvas, up to `shift` pixels away from its middle.

    The same images are the validation part, by which nets are judged after each epoch, and the
    test part, there up to `test_shift` pixels away.
    """
    found = zoo.load_data("digits", test_fraction=0.3, validation_fraction=0.0)
    (x, y), (held, labels) = ((part.examples(), part.labels) for part in (found.train, found.test))
    parts = (_moved(x, size, shift, 0), y), (_moved(held, size, shift, 1), labels)
    data = zoo.load_data(parts, validation_fraction=0.0)
    test = zoo.data.Part(_moved(held, size, test_shift, 2), labels)
    return dataclasses.replace(data, name="digits", validation=data.test, test=test)


def _moved(images: np.ndarray, size: int, most: int, seed: int) -> np.ndarray:
    side = images.shape[1]
    canvas = np.zeros((len(images), size, size, 1), np.float32)
    rng = np.random.default_rng(seed)
    corners = (size - side) // 2 + rng.integers(-most, most + 1, (len(images), 2))
    for target, image, (top, left) in zip(canvas, images, corners, strict=True):
        target[top : top + side, left : left + side] = image
    return canvas
