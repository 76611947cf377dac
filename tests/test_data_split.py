"""Splits by classes: no class in two parts, for models judged by classes they have never seen."""

import itertools

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from zoo.data import Augment, Part, load_data


def parts(data):
    return data.train, data.validation, data.test


def classes(data):
    return [set(part.labels.tolist()) for part in parts(data)]


def everything(part):
    return part.examples(np.arange(len(part)))


def arrays(labels, dtype="uint8"):
    """Images that tell their own position and class."""
    labels = np.array(labels)
    x = np.zeros((len(labels), 4, 3, 1), dtype)
    x[:, 0, 0, 0], x[:, 1, 1, 0] = np.arange(len(labels)), labels + 2
    return (x / 255 if dtype != "uint8" else x), labels


def test_each_digit_is_whole_in_one_part():
    data = load_data("digits", split_by="classes", test_fraction=0.3, validation_fraction=0.2)
    assert [len(found) for found in classes(data)] == [5, 2, 3]
    assert set.union(*classes(data)) == set(range(10))
    assert all(not a & b for a, b in itertools.combinations(classes(data), 2))
    raw = load_digits()
    assert sorted(np.concatenate([part.rows for part in parts(data)])) == list(range(1797))
    for part in parts(data):
        np.testing.assert_array_equal(part.labels, raw.target[part.rows])
        np.testing.assert_array_equal(everything(part)[..., 0], raw.images[part.rows] / 16)
    assert data.class_names == tuple("0123456789")


def test_the_seed_decides_the_classes():
    def test_classes(**arguments):
        return classes(load_data("digits", split_by="classes", **arguments))[2]

    assert test_classes(seed=3) == test_classes(seed=3)
    assert test_classes(seed=3) == test_classes(seed=3, validation_fraction=0.4)
    drawn = [test_classes(seed=seed) for seed in range(20)]
    assert set.union(*drawn) == set(range(10))


def test_faces_of_other_people(data_directory):
    with np.load(data_directory / "orl_faces.npz") as file:
        source = file["images"], file["subject"] - 1
    data = load_data(source, split_by="classes", validation_fraction=0.25, test_fraction=0.25)
    assert [len(found) for found in classes(data)] == [20, 10, 10]
    assert [len(part) for part in parts(data)] == [200, 100, 100]


@pytest.mark.parametrize(
    ("validation", "test", "counts"),
    [(0.1, 0.2, [6, 2, 2]), (0, 0.2, [8, 0, 2]), (0.01, 0.01, [6, 2, 2]), (0.4, 0.4, [2, 4, 4])],
)
def test_each_part_has_two_classes_or_none(validation, test, counts):
    data = load_data(
        "digits", split_by="classes", validation_fraction=validation, test_fraction=test
    )
    assert [len(found) for found in classes(data)] == counts


def test_parts_of_the_same_classes_are_joined():
    train, test = arrays(np.arange(60) % 6), arrays(np.arange(18) % 6, "float64")
    data = load_data((train, test), split_by="classes", test_fraction=0.34)
    assert [len(part) for part in parts(data)] == [26, 26, 26]
    assert set.union(*classes(data)) == set(range(6))
    images = np.concatenate([everything(part) for part in parts(data)])
    labels = np.concatenate([part.labels for part in parts(data)])
    np.testing.assert_allclose(images[:, 1, 1, 0] * 255, labels + 2, rtol=1e-6)
    places = (images[:, 0, 0, 0] * 255).round().astype(int)
    assert sorted(places) == sorted([*range(60), *range(18)])


def test_joined_parts_make_batches_as_arrays_do():
    source = arrays(np.arange(60) % 6), arrays(np.arange(18) % 6)
    part = load_data(source, split_by="classes").train.subset(np.arange(20)[::-1])
    in_memory = Part(everything(part), part.labels)
    for options in ({}, {"seed": 1, "first_epoch": 2, "augment": Augment(shift=1, turn=9)}):
        batches, expected = part.batches(8, **options), in_memory.batches(8, **options)
        for (x, y), (x2, y2) in zip(batches, expected, strict=True):
            np.testing.assert_array_equal(x, x2)
            np.testing.assert_array_equal(y, y2)
            assert x.dtype == np.float32


def test_fashion_mnist_is_joined(data_directory):
    if not (data_directory / "fashion_mnist.npz").is_file():
        pytest.skip("ZOO_DATA_DIR has no fashion_mnist.npz")
    data = load_data("fashion_mnist", split_by="classes")
    assert [len(part) for part in parts(data)] == [42000, 14000, 14000]
    assert data.class_names[9] == "Ankle boot"
    with np.load(data_directory / "fashion_mnist.npz") as raw:
        for label in classes(data)[2]:
            rows = np.flatnonzero(data.test.labels == label)
            assert len(rows) == 7000
            first, last = data.test.examples(rows[[0, -1]])[..., 0] * 255
            np.testing.assert_allclose(first, raw["x_train"][raw["y_train"] == label][0], atol=1e-4)
            np.testing.assert_allclose(last, raw["x_test"][raw["y_test"] == label][-1], atol=1e-4)


def test_parts_of_other_classes_are_kept():
    train, test = arrays(np.arange(60) % 6), arrays(6 + np.arange(9) % 3)
    data = load_data((train, test), split_by="classes", test_fraction=0.9)
    assert [len(found) for found in classes(data)] == [4, 2, 3]
    np.testing.assert_array_equal(everything(data.test), test[0] / np.float32(255))
    np.testing.assert_array_equal(data.test.labels, test[1])
    kept = load_data((train, test), split_by="classes", validation_fraction=0)
    np.testing.assert_array_equal(everything(kept.train), train[0] / np.float32(255))
    assert len(kept.validation) == 0
    assert load_data((train, test), split_by="classes", test_fraction=0).test


# Folders.


def save(folder, names, count=3):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for copy in range(count):
            pixels = np.full((5, 4), 40 * number + copy, "uint8")
            Image.fromarray(pixels).save(folder / name / f"{copy}.png")


def files(part):
    return part._source.files[part.rows].tolist()


def test_a_folder_is_split_by_its_class_folders(tmp_path):
    save(tmp_path, "abcdef")
    data = load_data(tmp_path, split_by="classes")
    assert [len(found) for found in classes(data)] == [2, 2, 2]
    levels = np.concatenate([everything(part)[:, 0, 0, 0] * 255 for part in parts(data)]).round()
    assert sorted(levels) == [40 * number + copy for number in range(6) for copy in range(3)]
    assert (levels // 40 == np.concatenate([part.labels for part in parts(data)])).all()


def test_train_and_test_folders_of_other_classes_are_kept(tmp_path):
    save(tmp_path / "train", "acegik")
    save(tmp_path / "test", "bd")
    data = load_data(tmp_path, split_by="classes")
    assert data.class_names == tuple("abcdegik")
    assert classes(data)[2] == {1, 3}
    assert [len(part) for part in parts(data)] == [12, 6, 6]
    assert (everything(data.test)[:, 0, 0, 0] * 255 < 43).all()
    with pytest.raises(ValueError, match=r"only one of them has 'a', 'b'.*split_by"):
        load_data(tmp_path)
    save(tmp_path / "validation", "fh")
    data = load_data(tmp_path, split_by="classes")
    assert [len(part) for part in parts(data)] == [18, 6, 6]
    assert set(data.validation.labels) == {5, 7}


def test_train_and_test_folders_of_common_classes_are_joined(tmp_path):
    save(tmp_path / "train", "abcde", count=4)
    save(tmp_path / "test", "bcdef", count=2)
    data = load_data(tmp_path, split_by="classes")
    assert sum(len(part) for part in parts(data)) == 30
    assert all(not a & b for a, b in itertools.combinations(classes(data), 2))
    for part in parts(data):
        images, labels = next(iter(part.batches(100, seed=0)))
        assert sorted(labels) == sorted(part.labels)
        for image, label in zip(images, labels, strict=True):
            level = image[0, 0, 0] * 255
            assert min(abs(level - 40 * label), abs(level - 40 * (label - 1))) < 3.5


# What is refused.


@pytest.mark.parametrize(
    ("count", "arguments", "message"),
    [
        (5, {}, "two classes into each part at least, and needs 6 here; received 5"),
        (3, {"validation_fraction": 0}, "needs 4 here; received 3"),
        (1, {"validation_fraction": 0}, "needs 4 here; received 1"),
        (9, {"test_fraction": 0}, "`test_fraction` must be above 0"),
        (
            9,
            {"test_fraction": 0.5, "validation_fraction": 0.5},
            "would put 4 and 4 of 9 classes into their parts and leave 1",
        ),
        (9, {"split_by": "class"}, "`split_by` must be one of 'examples', 'classes'.*Did you"),
    ],
)
def test_impossible_splits_are_refused(count, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_data(arrays(np.arange(90) % count), **{"split_by": "classes", **arguments})


def test_impossible_splits_of_given_parts_are_refused():
    train = arrays(np.arange(60) % 6)
    with pytest.raises(ValueError, match=r"has a single class.*received 6, 1 classes"):
        load_data((train, arrays([6, 6])), split_by="classes")
    with pytest.raises(ValueError, match="needs 4 here; received 3"):
        load_data((arrays(np.arange(9) % 3), arrays([3, 4, 3, 4])), split_by="classes")
    with pytest.raises(ValueError, match="needs classes, not real numbers"):
        load_data((train[0], train[1] / 2), split_by="classes")
