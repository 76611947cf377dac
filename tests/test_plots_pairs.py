"""Pictures of verifications: what is where in them, read from their pixels."""

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from zoo import plots
from zoo.metrics import OperatingPoint, tar_at_far

RED, BLACK = (214, 39, 40), (0, 0, 0)  # of matplotlib's "tab:red"
BLUE, ORANGE = (165, 201, 225), (255, 204, 159)  # tab:blue and tab:orange, 0.4 on white


@pytest.fixture(scope="module")
def pairs(digits):
    """Distances of real images' pixels."""
    images, labels = digits.test.examples(range(80)), digits.test.labels[:80]
    first, second = np.triu_indices(80, 1)
    distances = sklearn.metrics.pairwise_distances(images.reshape(80, -1))[first, second]
    return (labels[first] == labels[second]).astype(int), distances


def places(path, colour):
    """Rows and columns of the pixels of about a colour."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.nonzero(np.abs(pixels - colour).max(axis=2) <= 4)


def marker(path):
    """The middle of the operating point; the legend below shows another."""
    rows, columns = places(path, RED)
    above = rows < 470
    return rows[above].mean(), columns[above].mean()


def test_the_operating_point_is_where_its_rates_are(pairs, tmp_path):
    path = tmp_path / "roc.png"
    found = []
    for far, tar in ((0.001, 0.2), (0.01, 0.5), (0.1, 0.8), (0.0, 0.5), (0.5 / 2e9, 0.5)):
        point = OperatingPoint(1.0, far, tar)
        assert plots.roc_curve(*pairs, path, point=point) == path
        found.append(marker(path))
    rows, columns = np.transpose(found)
    np.testing.assert_allclose(np.diff(columns[:3]), columns[1] - columns[0], atol=1)
    np.testing.assert_allclose(np.diff(rows[:3]), rows[1] - rows[0], atol=1)
    assert columns[3] == columns[4] < columns[0] - 10  # 0, and what cannot be told from it
    assert rows[2] < rows[1]


@pytest.mark.parametrize("far", [0.01, 0.05, 0.3])
def test_the_operating_point_is_on_the_curve(far, pairs, tmp_path):
    path = plots.roc_curve(*pairs, tmp_path / "roc.png", point=tar_at_far(*pairs, far))
    row, column = marker(path)
    rows, columns = places(path, (31, 119, 180))
    for side in (columns < column, columns > column):  # the point hides 6 pixels around it
        assert np.hypot(rows[side] - row, columns[side] - column).min() < 9
    plots.roc_curve(*pairs, path)
    assert len(places(path, RED)[0]) == 0


def test_both_kinds_of_pairs_have_the_same_area(tmp_path):
    generator = np.random.default_rng(0)
    same = np.repeat([1, 0], [100, 2000])
    distances = np.where(same, 0, 2) + generator.random(2100)
    path = plots.distance_histogram(same, distances, tmp_path / "distances.png")
    blue, orange = (places(path, colour) for colour in (BLUE, ORANGE))
    above = [np.sum(rows < 450) for rows, _ in (blue, orange)]
    assert above[0] == pytest.approx(above[1], rel=0.1)
    assert above[0] > 10_000
    assert np.median(blue[1]) < np.median(orange[1]) - 200


def test_the_threshold_is_a_line(pairs, tmp_path):
    path, columns = tmp_path / "distances.png", []
    low, high = pairs[1].min(), pairs[1].max()
    for share in (0.25, 0.5, 0.75):
        plots.distance_histogram(*pairs, path, threshold=low + share * (high - low))
        rows, across = places(path, BLACK)
        inside = (rows > 20) & (rows < 400) & (across > 120) & (across < 930)
        assert inside.sum() > 100
        assert np.ptp(across[inside]) <= 3
        columns.append(across[inside].mean())
    assert columns[2] - columns[1] == pytest.approx(columns[1] - columns[0], abs=1)


def test_nothing_accepted_and_all_alike_can_be_drawn(tmp_path):
    same, distances = np.array([1, 0, 0]), np.full(3, 0.5)
    nothing = tar_at_far(same, distances, 0.1)
    assert nothing.threshold == -np.inf
    plots.roc_curve(same, distances, tmp_path / "roc.png", point=nothing)
    plots.distance_histogram(same, distances, tmp_path / "d.png", threshold=nothing.threshold)
    plots.distance_histogram(same, distances, tmp_path / "e.png", threshold=100.0)


def test_images_stand_side_by_side_in_order(tmp_path):
    colours = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0]])
    red, green, blue, yellow = np.broadcast_to(colours[:, None, None] / 255, (4, 12, 10, 3))
    rows = {"above": ([red, blue], [green, blue], [0.1, 0.2]), "below": ([yellow], [red], [1.0])}
    path = plots.image_pairs(rows, tmp_path / "pairs.png")
    middles = {name: np.mean(places(path, colours[i]), axis=1) for i, name in ((1, "g"), (3, "y"))}
    red_rows, red_columns = places(path, colours[0])
    top = red_rows < middles["y"][0] - 60
    assert red_columns[top].max() < middles["g"][1] < places(path, colours[2])[1].min()
    assert red_columns[~top].min() > middles["y"][1]
    areas = [top.sum(), (~top).sum(), len(places(path, colours[1])[0])]
    np.testing.assert_allclose(areas, areas[0], rtol=0.03)
    assert len(places(path, colours[2])[0]) == pytest.approx(2 * areas[0], rel=0.03)


def test_rows_without_pairs_say_so(digits, tmp_path):
    images = digits.test.examples(range(6))
    full, none = (images[:3], images[3:], [0.1, 0.2, 0.3]), (images[:0], images[:0], [])
    sizes = []
    for rows in ((full, full), (full, none), (none, none)):
        titles = ("taken for the same", "told apart")
        path = plots.image_pairs(dict(zip(titles, rows, strict=True)), tmp_path / "pairs.png")
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels[-len(pixels) // 2 :].min() < 100  # there are words, or images
        sizes.append(pixels.shape)
    heights, widths = np.transpose(sizes)
    assert len(set(widths)) == 1
    np.testing.assert_allclose(np.diff(heights), heights[1] - heights[0], atol=2)
    assert heights[2] < heights[0] / 2


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("hold 1", lambda path: plots.roc_curve(np.ones(3), np.ones(3), path)),
        ("be finite", lambda path: plots.distance_histogram([0, 1], [0.1, np.nan], path)),
        ("'apart' has 2 and 2 and 1", lambda path: plots.image_pairs(
            {"apart": (np.ones((2, 4, 4, 1)), np.ones((2, 4, 4, 1)), [0.1])}, path
        )),
    ],
)  # fmt: skip
def test_bad_input_is_told(message, call, tmp_path):
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())
