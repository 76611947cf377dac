"""Metrics of verification and retrieval, against slow loops that follow their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.metrics import (
    equal_error_rate,
    mean_average_precision,
    n_way_accuracy,
    recall_at_k,
    roc_auc,
    tar_at_far,
)

# Few values, so that many are equal.
PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30).filter(
    lambda pairs: len({same for same, _ in pairs}) == 2
)


def rates(same, distances, threshold):
    accepted = distances <= threshold
    return accepted[same == 0].mean(), accepted[same == 1].mean()


def split(pairs):
    same, distances = zip(*pairs, strict=True)
    return np.array(same, int), np.array(distances, float)


@given(PAIRS)
def test_the_area_counts_pairs_of_pairs(pairs):
    same, distances = split(pairs)
    wins = [
        1.0 if a < b else 0.5 if a == b else 0.0
        for a in distances[same == 1]
        for b in distances[same == 0]
    ]
    assert roc_auc(same, distances) == pytest.approx(np.mean(wins))


@given(PAIRS)
def test_the_equal_error_rate_is_where_the_curve_crosses_the_diagonal(pairs):
    same, distances = split(pairs)
    rate, point = equal_error_rate(same, distances)
    thresholds = [-np.inf, *np.unique(distances)]
    curve = np.array([rates(same, distances, threshold) for threshold in thresholds])
    gaps = np.abs(curve[:, 0] + curve[:, 1] - 1)
    assert abs(point.far - point.frr) == pytest.approx(gaps.min())
    assert rates(same, distances, point.threshold) == pytest.approx((point.far, point.tar))
    # Walk along the curve in small steps.
    walk = np.linspace(0, len(curve) - 1, 100 * len(curve))
    far = np.interp(walk, np.arange(len(curve)), curve[:, 0])
    tar = np.interp(walk, np.arange(len(curve)), curve[:, 1])
    crossing = np.argmin(np.abs(far + tar - 1))
    assert rate == pytest.approx(far[crossing], abs=0.02)


@given(PAIRS, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.99]))
def test_the_point_at_a_false_accept_rate_accepts_most(pairs, far):
    same, distances = split(pairs)
    point = tar_at_far(same, distances, far)
    legal = [
        found
        for found in (rates(same, distances, t) for t in (-np.inf, *np.unique(distances)))
        if found[0] <= far
    ]
    assert (point.far, point.tar) == pytest.approx(max(legal, key=lambda found: found[1]))
    assert rates(same, distances, point.threshold) == pytest.approx((point.far, point.tar))


def test_perfect_and_reversed_distances():
    same, distances = np.array([1, 1, 0, 0, 0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert roc_auc(same, distances) == 1
    rate, point = equal_error_rate(same, distances)
    assert (rate, point) == (0, (0.2, 0, 1))
    assert roc_auc(same, -distances) == 0
    assert equal_error_rate(same, -distances)[0] == 1


EXAMPLES = st.integers(0, 2**32 - 1)


def embedded(seed, count=14, classes=4):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    labels[:2] = 0  # one class has two at least
    return generator.normal(size=(count, 3)).round(1), labels


def distances_of(x):
    return np.sqrt(np.square(x[:, None] - x[None]).sum(axis=2))


@given(EXAMPLES, st.sampled_from([1, 3, 13]))
@settings(max_examples=50)
def test_recall_looks_at_the_k_nearest_others(seed, k):
    x, labels = embedded(seed)
    x = x + np.random.default_rng(seed).normal(size=x.shape) * 1e-3  # no two as far
    distances = distances_of(x)
    found = []
    for i in range(len(x)):
        others = sorted((distances[i, j], labels[j]) for j in range(len(x)) if j != i)
        if (labels == labels[i]).sum() > 1:
            found.append(any(label == labels[i] for _, label in others[:k]))
    assert recall_at_k(x, labels, k) == pytest.approx(np.mean(found))


@given(EXAMPLES, st.booleans())
@settings(max_examples=50)
def test_average_precision_ranks_all_others(seed, with_ties):
    x, labels = embedded(seed)
    # Sums of squares of integers are exact; else no two distances are to be equal.
    x = x.round(0) if with_ties else x + np.random.default_rng(seed).normal(size=x.shape) * 1e-3
    distances = distances_of(x)
    found = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        precisions = []
        for j in others:
            if labels[j] == labels[i]:
                near = [n for n in others if distances[i, n] <= distances[i, j] + 1e-9]
                precisions.append(np.mean([labels[n] == labels[i] for n in near]))
        if precisions:
            found.append(np.mean(precisions))
    ours = mean_average_precision(x, labels)
    assert ours == pytest.approx(np.mean(found), rel=1e-9)


def test_n_ways_and_k_shots():
    generator = np.random.default_rng(0)
    support, queries = generator.normal(size=(15, 4)), generator.normal(size=(40, 4))
    support_labels, query_labels = np.repeat(list("abcde"), 3), generator.choice(list("abcde"), 40)
    right = 0
    for query, label in zip(queries, query_labels, strict=True):
        means = {
            way: np.mean([np.linalg.norm(query - s) for s in support[support_labels == way]])
            for way in "abcde"
        }
        right += min(means, key=means.get) == label
    accuracy = n_way_accuracy(support, support_labels, queries, query_labels)
    assert accuracy == pytest.approx(right / 40)
    constant = np.zeros((5, 4))
    assert n_way_accuracy(constant, list("abcde"), constant, list("abcde")) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("hold 1 .* both of them", lambda: roc_auc([1, 1], [0.1, 0.2])),
        ("hold 1", lambda: roc_auc([0, 2], [0.1, 0.2])),
        ("NaN among the embeddings", lambda: equal_error_rate([0, 1], [np.nan, 0.2])),
        ("one entry a pair", lambda: roc_auc([0, 1, 1], [0.1, 0.2])),
        ("one entry a pair", lambda: roc_auc([[0, 1], [1, 0]], np.ones((2, 2)))),
        ("`far`", lambda: tar_at_far([0, 1], [0.1, 0.2], far=1.0)),
        ("`k` must be at most 2", lambda: recall_at_k(np.eye(3), [0, 0, 1], k=3)),
        ("No class has two", lambda: recall_at_k(np.eye(3), [0, 1, 2])),
        ("one label", lambda: mean_average_precision(np.eye(3), [0, 1])),
        ("first at 1", lambda: recall_at_k([[1.0], [np.inf]], [0, 0])),
        (r"received \(3,\)", lambda: recall_at_k(np.ones(3), [0, 0, 1])),
        (
            "same number of examples",
            lambda: n_way_accuracy(np.eye(3), [0, 0, 1], np.eye(3), [0, 0, 1]),
        ),
        ("2 is not", lambda: n_way_accuracy(np.eye(3), [0, 1, 3], np.eye(3), [0, 2, 1])),
    ],
)
def test_bad_input_is_told(message, call):
    with pytest.raises(ValueError, match=message):
        call()
