"""Augmentation of batches, against loops over single images, and classes of turned images."""

import zlib

import numpy as np
import pytest
from scipy import ndimage

import zoo
from zoo.data import Augment, Part, with_rotations


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


def test_what_older_recipes_draw_stays(photos):
    """Figures in `benchmarks/results` were measured with these batches."""
    out = Augment(flip=True, shift=3, erase=3)(photos, np.random.default_rng(1))
    assert zlib.crc32(out.tobytes()) == 2659610855


def test_shift_can_repeat_the_edge(photos):
    out = Augment(shift=2, fill_mode="nearest")(photos, np.random.default_rng(0))
    zeros = Augment(shift=2)(photos, np.random.default_rng(0))
    for image, moved, zero in zip(photos, out, zeros, strict=True):
        candidates = [
            ndimage.shift(image, (down, right, 0), order=0, mode="nearest")
            for down in range(-2, 3)
            for right in range(-2, 3)
        ]
        assert sum(np.array_equal(moved, expected) for expected in candidates) == 1
        np.testing.assert_array_equal(moved[zero > 0], zero[zero > 0])  # the same draws


# Warps. Two channels tell a pixel's place, so that a warp can be read from the result.

HEIGHT, WIDTH = 26, 21
CENTRE = np.array([HEIGHT - 1, WIDTH - 1]) / 2
BATCH = 203  # no multiple of any block's size


@pytest.fixture(scope="module")
def maps():
    images = np.random.default_rng(0).random((BATCH, HEIGHT, WIDTH, 3), dtype="float32")
    images[..., 0], images[..., 1] = np.mgrid[:HEIGHT, :WIDTH] / 32
    return images


def warped(maps, seed=0, **arguments):
    """Give the result, and each image's matrix and offset: from a pixel to where it comes from."""
    out = Augment(**arguments)(maps, np.random.default_rng(seed))
    # These come from the inside of the image.
    inner = np.mgrid[9 : HEIGHT - 9, 7 : WIDTH - 7].reshape(2, -1).T
    equations = np.c_[inner - CENTRE, np.ones(len(inner))]
    places = out[:, inner[:, 0], inner[:, 1], :2].astype("float64") * 32 - CENTRE
    solved = np.array([np.linalg.lstsq(equations, place)[0] for place in places])  # (batch, 3, 2)
    return out, solved[:, :2].transpose(0, 2, 1), solved[:, 2]


@pytest.mark.parametrize(("fill_mode", "mode"), [("constant", "grid-constant"), ("nearest",) * 2])
def test_warps_are_those_of_scipy_about_the_centre(maps, fill_mode, mode):
    out, matrices, moves = warped(maps, turn=20, zoom=0.2, shear=15, fill_mode=fill_mode)
    np.testing.assert_allclose(moves, 0, atol=1e-4)
    for image, matrix, result in zip(maps, matrices, out, strict=True):
        for channel in range(3):
            expected = ndimage.affine_transform(
                image[..., channel], matrix, CENTRE - matrix @ CENTRE, order=1, mode=mode
            )
            np.testing.assert_allclose(result[..., channel], expected, atol=1e-3)
    assert len(np.unique(matrices.round(4), axis=0)) == BATCH


def is_spread(values, largest):
    """Whether values look drawn evenly from -largest to largest."""
    assert np.abs(values).max() <= largest * (1 + 1e-3)
    share = np.histogram(values, 4, (-largest, largest))[0] / len(values)
    assert (np.abs(share - 0.25) < 0.12).all()
    return True


def test_turns_are_rotations_within_the_angle(maps):
    _, matrices, _ = warped(maps, turn=30)
    identity = np.broadcast_to(np.eye(2), (BATCH, 2, 2))
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), identity, atol=1e-4)
    assert (np.linalg.det(matrices) > 0).all()
    assert is_spread(np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), 30)


def test_zoom_stretches_height_and_width_apart(maps):
    _, matrices, _ = warped(maps, zoom=0.5)
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=1e-4)
    tall, wide = np.log(matrices[:, 0, 0]), np.log(matrices[:, 1, 1])
    assert is_spread(tall, np.log(1.5))
    assert is_spread(wide, np.log(1.5))
    assert abs(np.corrcoef(tall, wide)[0, 1]) < 0.25


def test_shear_slants_upright_lines(maps):
    _, matrices, _ = warped(maps, shear=25)
    np.testing.assert_allclose(matrices[:, 0], np.tile([1, 0], (BATCH, 1)), atol=1e-4)
    np.testing.assert_allclose(matrices[:, 1, 1], 1, atol=1e-4)
    assert is_spread(np.rad2deg(np.arctan(matrices[:, 1, 0])), 25)


def test_an_image_is_stretched_and_sheared_before_it_is_turned(maps):
    """So what a warp undoes last is the stretch: its rows are those of a rotation, stretched."""
    _, matrices, _ = warped(maps, turn=30, zoom=0.5)
    np.testing.assert_allclose((matrices[:, 0] * matrices[:, 1]).sum(1), 0, atol=1e-3)
    _, matrices, _ = warped(maps, turn=30, shear=25)
    np.testing.assert_allclose(np.linalg.norm(matrices[:, 0], axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-3)


def test_light_changes_contrast_about_grey_and_brightness():
    greys = np.broadcast_to([0.4, 0.5, 0.6], (BATCH, 4, 4, 3)).astype("float32")
    out = Augment(light=0.4)(greys, np.random.default_rng(0))
    assert np.ptp(out, axis=(1, 2)).max() < 1e-6
    low, middle, high = out[:, 0, 0].T.astype("float64")
    assert is_spread(np.log((high - low) / 0.2), np.log(1.4))
    np.testing.assert_allclose(high + low, 2 * middle, atol=1e-6)
    assert is_spread(middle - 0.5, 0.2)


def test_values_stay_in_the_range_and_the_input_as_it_is():
    steps = np.random.default_rng(0).integers(0, 2, (300, 11, 8, 1)).astype("float32")
    before = steps.copy()
    for fill_mode in ("constant", "nearest"):
        for light in (0, 3):
            augment = Augment(True, 2, 2, 180, 1, 60, light, fill_mode)
            out, again = (augment(steps, np.random.default_rng(1)) for _ in range(2))
            assert (out.min(), out.max()) == (0, 1)
            assert (out.dtype, out.shape) == (steps.dtype, steps.shape)
            np.testing.assert_array_equal(out, again)
            np.testing.assert_array_equal(steps, before)
            ones = Augment(turn=180, zoom=1, shear=60, fill_mode=fill_mode)(
                np.ones((99, 7, 5, 1), "float32"), np.random.default_rng(0)
            )
            assert (ones.min() == 1) == (fill_mode == "nearest")
            assert ones.max() == 1


def test_tiny_images_can_be_warped():
    for shape in ((3, 1, 1, 1), (9, 1, 4, 2), (0, 5, 5, 1)):
        out = Augment(turn=90, zoom=0.5, shear=30)(np.ones(shape), np.random.default_rng(0))
        assert out.shape == shape


@pytest.mark.parametrize(
    "arguments",
    [
        {"flip": 1},
        {"shift": -1},
        {"shift": 0.1},
        {"erase": -2},
        {"turn": -1},
        {"zoom": "0.1"},
        {"shear": 90},
        {"light": float("nan")},
        {"fill_mode": "edge"},
    ],
)
def test_illegal_augmentations_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        Augment(**arguments)


# Classes of turned images.


def test_turned_images_are_new_classes(digits):
    part = digits.test
    turned = with_rotations(part)
    assert len(turned) == 4 * 359
    images, expected = turned.examples(np.arange(len(turned))), part.examples(np.arange(359))
    for turn in range(4):
        rows = slice(359 * turn, 359 * (turn + 1))
        by_hand = np.array([np.rot90(image, turn) for image in expected])
        np.testing.assert_array_equal(images[rows], by_hand)
        np.testing.assert_array_equal(turned.labels[rows], part.labels + 10 * turn)
    assert turned.labels.dtype == np.int64
    assert turned.input_shape == (8, 8, 1)


def test_turned_parts_make_subsets_and_batches_as_arrays_do(digits):
    turned = with_rotations(digits.test)
    rows = np.random.default_rng(0).permutation(len(turned))[:100]
    few = turned.subset(rows)
    np.testing.assert_array_equal(few.labels, turned.labels[rows])
    again = few.subset(np.arange(99, -1, -2))
    np.testing.assert_array_equal(again.examples([3, 0]), turned.examples(rows[[93, 99]]))
    in_memory = Part(few.examples(np.arange(100)), few.labels)
    for options in ({}, {"seed": 3, "first_epoch": 1, "augment": Augment(shift=1)}):
        batches, expected = few.batches(32, **options), in_memory.batches(32, **options)
        assert len(batches) == 4
        for (x, y), (x2, y2) in zip(batches, expected, strict=True):
            np.testing.assert_array_equal(x, x2)
            np.testing.assert_array_equal(y, y2)
    with pytest.raises(ValueError, match="`batch_size`"):
        few.batches(0)
    pairs, same = zoo.data.PairBatches(turned, 16)[0]
    assert pairs["left"].shape == (16, 8, 8, 1)
    assert same.sum() == 8


def test_an_empty_part_can_be_turned_and_oblong_images_cannot(digits):
    empty = with_rotations(digits.test.subset(np.arange(0)))
    assert len(empty) == 0
    assert empty.examples(np.arange(0)).shape == (0, 8, 8, 1)
    with pytest.raises(ValueError, match=r"square to be turned, received 6 x 5.*image_size"):
        with_rotations(Part(np.zeros((4, 6, 5, 1), "float32"), np.arange(4)))
