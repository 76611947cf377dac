"""Augmentation of batches, against loops over single images."""

import numpy as np
import pytest

from zoo.data.augment import Augment


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).random((400, 9, 12, 3), dtype="float32")


def test_flip_mirrors_half_of_the_images(photos):
    out = Augment(flip=True)(photos, np.random.default_rng(0))
    flipped = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(out, photos, strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(out, photos, strict=True)])
    assert (flipped ^ kept).all()
    assert 0.4 < flipped.mean() < 0.6


def test_shift_moves_each_image_as_a_loop_would(photos):
    out = Augment(shift=2)(photos, np.random.default_rng(0))
    moves = []
    for image, moved in zip(photos, out, strict=True):
        candidates = {}
        for down in range(-2, 3):
            for right in range(-2, 3):
                expected = np.zeros_like(image)
                rows, columns = (
                    range(max(down, 0), min(9, 9 + down)),
                    range(max(right, 0), min(12, 12 + right)),
                )
                for row in rows:
                    expected[row, columns.start : columns.stop] = image[
                        row - down, columns.start - right : columns.stop - right
                    ]
                candidates[down, right] = expected
        moves += [move for move, expected in candidates.items() if np.array_equal(expected, moved)]
    assert len(moves) == len(photos)
    assert len(set(moves)) == 25


def test_erase_fills_one_rectangle_of_half_of_the_images(photos):
    out = Augment(erase=2)(photos, np.random.default_rng(0))
    sides, levels = set(), []
    for image, erased in zip(photos, out, strict=True):
        changed = (image != erased).any(-1)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        if len(rows):
            assert changed.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert len(np.unique(erased[changed])) == 1
            sides |= {np.ptp(rows) + 1, np.ptp(columns) + 1}
            levels.append(erased[changed].flat[0])
    assert sides == {2, 3, 4}
    assert 0.4 < len(levels) / len(photos) < 0.6
    assert len(set(levels)) == len(levels)
    assert min(levels) >= 0
    assert max(levels) <= 1


def test_augmentation_is_a_function_of_the_rng_and_leaves_its_input(photos):
    augment, before = Augment(flip=True, shift=3, erase=3), photos.copy()
    first, again, other = (augment(photos, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(photos, before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.dtype, first.shape) == (photos.dtype, photos.shape)
    np.testing.assert_array_equal(Augment()(photos, np.random.default_rng(0)), photos)


def test_erase_and_shift_larger_than_the_image_stay_legal():
    tiny = np.random.default_rng(0).random((50, 3, 2, 1), dtype="float32")
    out = Augment(shift=4, erase=5)(tiny, np.random.default_rng(0))
    assert out.shape == tiny.shape
    assert np.isfinite(out).all()


@pytest.mark.parametrize("arguments", [{"flip": 1}, {"shift": -1}, {"shift": 0.1}, {"erase": -2}])
def test_illegal_augmentations_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        Augment(**arguments)
