"""Batches of classes and of pairs: balanced, drawn as they are needed, the same again by seed."""

import keras
import numpy as np
import pytest

import zoo
from zoo.data import ClassBatches, PairBatches, Part

# Classes of 2, 3, 5 and 40 examples; an image's pixels tell its position and its class.
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [2, 3, 5, 40]))
PIXELS = np.zeros((50, 2, 2, 1), "float32")
PIXELS[:, 0, 0, 0] = np.arange(50) / 64
PIXELS[:, 1, 1, 0] = LABELS / 4
PART = Part(PIXELS, LABELS)


def positions(images):
    return (images[:, 0, 0, 0] * 64).astype(int)


def epoch(batches):
    return [keras.tree.map_structure(np.copy, batch) for batch in batches]


def equal(a, b):
    return all(
        np.array_equal(x, y)
        for x, y in zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True)
    )


def test_class_batches_hold_k_examples_of_p_classes():
    batches = ClassBatches(PART, classes=3, examples=4, batches=50)
    assert len(batches) == 50
    seen = np.zeros(4)
    for images, labels in batches:
        classes, counts = np.unique(labels, return_counts=True)
        assert counts.tolist() == [4, 4, 4]
        np.testing.assert_array_equal(images[:, 1, 1, 0] * 4, labels)
        for label in classes:
            distinct = len(np.unique(positions(images[labels == label])))
            assert distinct == min(4, (2, 3, 5, 40)[label])
        seen[classes] += 1
    assert seen.min() > 25  # 37.5 each on average


def test_pairs_are_half_the_same_and_classes_count_alike():
    batches = PairBatches(PART, batch_size=20, batches=100)
    same_classes, others = [], []
    for pairs, same in batches:
        assert same.shape == (20, 1)
        assert same.sum() == 10
        left, right = (pairs[side][:, 1, 1, 0] * 4 for side in ("left", "right"))
        np.testing.assert_array_equal(left == right, same[:, 0] == 1)
        assert (positions(pairs["left"]) != positions(pairs["right"])).all()
        same_classes.extend(left[same[:, 0] == 1])
        others.extend(zip(left[same[:, 0] == 0], right[same[:, 0] == 0], strict=True))
    np.testing.assert_allclose(np.bincount(np.int64(same_classes)) / 1000, 0.25, atol=0.05)
    counts = np.unique(others, axis=0, return_counts=True)[1]
    np.testing.assert_allclose(counts / 1000, 1 / 12, atol=0.03)


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: ClassBatches(PART, classes=2, examples=3, **options),
        lambda **options: PairBatches(PART, 6, **options),
    ],
    ids=["classes", "pairs"],
)
def test_batches_depend_on_seed_and_epoch_alone(make):
    def shake(images, rng):
        return images * rng.random()

    first = make(seed=3, augment=shake)
    epochs = [epoch(first) for _ in range(3)]
    again = make(seed=3, augment=shake)
    assert all(equal(batches, epoch(again)) for batches in epochs)
    assert equal(epoch(make(seed=3, augment=shake, first_epoch=2)), epochs[2])
    assert not equal(epochs[0], epochs[1])
    assert not equal(epochs[0], epoch(make(seed=4, augment=shake)))
    assert not equal(epochs[0][0], epochs[0][1])


def test_both_sides_are_augmented_by_chances_of_their_own():
    factors = []

    def shake(images, rng):
        factors.append(rng.random())
        return images

    epoch(PairBatches(PART, 6, batches=3, augment=shake))
    assert len(set(factors)) == 6


def test_an_epoch_shows_about_as_many_examples_as_there_are():
    assert len(ClassBatches(PART, classes=2, examples=5)) == 5
    assert len(PairBatches(PART, 24)) == 2
    assert len(PairBatches(PART, 1000)) == 1


def test_fit_and_feed_take_them(digits):
    model = zoo.embedding(zoo.mlp((8, 8, 1), 0, hidden_units=(16,)))
    model.compile("adam", zoo.losses.Triplet())
    model.fit(ClassBatches(digits.train, classes=5, examples=4), verbose=0)
    model.fit(zoo.data.feed(ClassBatches(digits.train, classes=5, examples=4)), verbose=0)
    model = zoo.siamese(zoo.mlp((8, 8, 1), 0, hidden_units=(16,)))
    model.compile("adam", zoo.losses.Contrastive())
    model.fit(PairBatches(digits.train, 32), verbose=0)
    model.fit(zoo.data.feed(PairBatches(digits.train, 32)), verbose=0)


ALONE = Part(PIXELS[:5], np.array([0, 0, 1, 2, 2]))


def test_classes_of_one_example_can_be_left_out():
    with pytest.raises(ValueError, match=r"Classes 1 have a single example.*leave_out"):
        PairBatches(ALONE, 4)
    for _, labels in ClassBatches(ALONE, classes=2, examples=2, batches=20, singles="leave_out"):
        assert set(labels) == {0, 2}


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("`classes` must be at most 4", lambda: ClassBatches(PART, classes=5)),
        ("`classes`", lambda: ClassBatches(PART, classes=1)),
        ("`examples`", lambda: ClassBatches(PART, classes=2, examples=1)),
        ("must be even", lambda: PairBatches(PART, 7)),
        ("`batches`", lambda: PairBatches(PART, batches=0)),
        ("`seed`", lambda: PairBatches(PART, seed=None)),
        ("`singles`", lambda: PairBatches(PART, singles="skip")),
        ("two classes", lambda: PairBatches(Part(PIXELS, np.zeros(50, int)))),
    ],
)
def test_bad_arguments_are_told(message, make):
    with pytest.raises(ValueError, match=message):
        make()
