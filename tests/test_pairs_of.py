"""The pairs that distances are judged by: all of them, or a fair draw of each kind."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from zoo.data.pairs import pairs_of


def ordered(left, right):
    return np.sort(np.stack([left, right]), axis=0)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, str])
def test_few_pairs_are_all_listed(kind):
    labels = np.random.default_rng(0).integers(0, 5, 40).astype(kind)
    expected = [(i, k, labels[i] == labels[k]) for i, k in itertools.combinations(range(40), 2)]
    for most in (780, 100_000):
        assert list(zip(*pairs_of(labels, most=most), strict=True)) == expected


# Classes of 1, 2, 7 and 30 examples, in no order.
LABELS = np.random.default_rng(1).permutation(np.repeat([7, 2, 5, 3], [1, 2, 7, 30]))
SAME = LABELS[:, None] == LABELS


def test_many_pairs_are_drawn_half_of_them_the_same():
    for most in (2, 3, 100, 779):
        left, right, same = pairs_of(LABELS, most=most)
        assert (len(left), same.sum()) == (most, min(most // 2, 457))
        assert (left != right).all()
        np.testing.assert_array_equal(same, SAME[left, right])


def test_same_pairs_are_all_listed_where_they_are_few():
    labels = np.arange(100) // 2  # 50 same pairs of 4950
    left, right, same = pairs_of(labels, most=1000)
    assert same.sum() == 50
    np.testing.assert_array_equal(
        ordered(left, right)[:, same == 1], np.arange(100).reshape(-1, 2).T
    )
    assert (left[same == 0] // 2 != right[same == 0] // 2).all()


def test_each_pair_of_a_kind_has_the_same_chance():
    drawn = [pairs_of(LABELS, most=778, seed=seed) for seed in range(150)]
    left, right, same = (np.concatenate(column) for column in zip(*drawn, strict=True))
    counts = np.zeros((40, 40), int)
    np.add.at(counts, tuple(ordered(left, right)), 1)
    rows = np.triu_indices(40, k=1)
    for kind in (0, 1):
        found = counts[rows][SAME[rows] == kind]
        assert found.sum() == (same == kind).sum()
        assert chisquare(found).pvalue > 0.001
    # Different pairs come in either order; where sides differ, that matters.
    assert abs((left < right)[same == 0].mean() - 0.5) < 0.01


def test_one_example_among_very_many_is_in_every_different_pair():
    labels = np.zeros(200_000, int)
    labels[1234] = 1
    left, right, same = pairs_of(labels, most=1000)
    assert same.mean() == 0.5
    different = ordered(left, right)[:, same == 0]
    assert ((different == 1234).sum(axis=0) == 1).all()
    assert len(np.unique(different)) > 490


def test_a_seed_decides_what_is_drawn():
    first, again, other = (pairs_of(LABELS, most=200, seed=seed) for seed in (3, 3, 4))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("message", "labels", "most"),
    [
        ("0 examples of 0 classes", [], 100),
        ("3 examples of 1 classes", [5, 5, 5], 100),
        ("3 examples of 3 classes", [5, 6, 7], 100),
        ("`most`", [0, 0, 1], 1),
        ("`most`", [0, 0, 1], 2.5),
    ],
)
def test_what_makes_no_pairs_of_both_kinds_is_refused(message, labels, most):
    with pytest.raises(ValueError, match=message):
        pairs_of(np.array(labels, int), most=most)
