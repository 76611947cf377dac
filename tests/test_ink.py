"""Drawings brought to one size."""

import numpy as np
import pytest

from zoo.data import cut_to_ink


def drawn(top=0, left=0, times=1, side=60):
    """Draw an F, 5 high and 3 wide at `times=1`."""
    letter = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], "float32")
    letter = letter.repeat(times, axis=0).repeat(times, axis=1)
    page = np.zeros((1, side, side), "float32")
    page[0, top : top + 5 * times, left : left + 3 * times] = letter
    return page


@pytest.mark.parametrize(
    ("top", "left", "times"), [(0, 0, 1), (55, 57, 1), (7, 11, 2), (0, 24, 12)]
)
def test_place_and_size_do_not_matter(top, left, times):
    found = cut_to_ink(drawn(top, left, times), 20, border=5)
    # 10 of 20 pixels high, 6 wide, in the middle: an F twice as large as the smallest.
    expected = drawn(5, 7, 2, side=20)[..., None]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_wide_drawings_of_oblong_images_keep_their_shape():
    page = np.zeros((1, 30, 90, 1), "float32")
    page[0, 20:30, 10:90] = 1
    found = cut_to_ink(page, 16)[0, :, :, 0]
    assert found.sum() == pytest.approx(2 * 16)
    np.testing.assert_array_equal(found[7:9], 1)


@pytest.mark.parametrize(("size", "border"), [(28, 13), (9, 4), (3, 1), (1, 0)])
def test_any_border_that_leaves_room(size, border):
    found = cut_to_ink(drawn(55, 57, 1), size, border=border)[0, :, :, 0]
    assert found.shape == (size, size)
    inside = found[border : size - border, border : size - border]
    assert found.sum() == pytest.approx(inside.sum())
    assert inside.max() > 0


def test_floats_are_as_bytes():
    page = drawn(3, 4, 3)
    as_bytes = np.rint(page * 255).astype("uint8")
    np.testing.assert_array_equal(cut_to_ink(page, 14), cut_to_ink(as_bytes, 14))


def test_faint_paper_is_no_ink():
    page = drawn(9, 30, 4)
    dirty = page.copy()
    dirty[dirty == 0] = 0.1
    found = cut_to_ink(dirty, 20, border=5)
    np.testing.assert_array_equal(found > 0.5, cut_to_ink(page, 20, border=5) > 0.5)


def test_no_images():
    assert cut_to_ink(np.zeros((0, 9, 9), "float32"), 5).shape == (0, 5, 5, 1)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.concatenate([drawn(), 0 * drawn()]), {}, "1 images are blank, the first at 1"),
        (drawn().astype("int64"), {}, "floats in .0, 1. or uint8"),
        (drawn() * 255, {}, "values from 0 to 255"),
        (drawn() * np.nan, {}, "values from nan"),
        (drawn()[0], {}, "single image"),
        (np.ones((1, 9, 9, 3), "float32"), {}, r"\(images, None, None, 1\)"),
        (drawn(), {"border": 10}, "`border` must be at most 9"),
        (drawn(), {"border": -1}, "`border`"),
        (drawn(), {"size": 0}, "`size`"),
    ],
)
def test_what_is_no_drawing_is_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        cut_to_ink(images, **{"size": 20, **options})
