"""Labels: classes in any form become numbers, floats are real numbers, others are refused."""

import numpy as np
import pandas as pd
import pytest

import zoo.tasks
from zoo.data import load_data

COUNT = 60
THREE = np.arange(COUNT) % 3
X = np.random.default_rng(0).random((COUNT, 6, 5))
FEATURES = X[:, 0]


def labels_of(y):
    """Load labels, and give them in the order of the examples."""
    data = load_data((FEATURES, y))
    parts = (data.train, data.validation, data.test)
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    return data, np.concatenate([part.labels for part in parts])[order]


@pytest.mark.parametrize(
    ("y", "names", "expected"),
    [
        (THREE, "012", THREE),
        (THREE.tolist(), "012", THREE),
        (THREE[:, None], "012", THREE),
        (THREE.astype("uint8"), "012", THREE),
        (THREE.astype(object), "012", THREE),
        (pd.Series(THREE, index=np.arange(COUNT) + 7), "012", THREE),
        (pd.array(THREE, "Int64"), "012", THREE),
        (THREE + 1, "123", THREE),
        (THREE * 2, "024", THREE),
        (-THREE, ("-2", "-1", "0"), 2 - THREE),
        (np.where(THREE == 2, 20_000_000, THREE), ("0", "1", "20000000"), THREE),
        (np.array(["b", "c", "a"])[THREE], "abc", (THREE + 1) % 3),
        (np.array(["b", "c", "a"])[THREE][:, None], "abc", (THREE + 1) % 3),
        (np.array(["b", "c", "a"], object)[THREE].tolist(), "abc", (THREE + 1) % 3),
        (pd.Categorical(np.array(["b", "c", "a"])[THREE]), "abc", (THREE + 1) % 3),
        (
            np.array([0, 2**63, 2**64 - 1], "uint64")[THREE],
            ("0", str(2**63), str(2**64 - 1)),
            THREE,
        ),
        (THREE == 1, ("False", "True"), THREE == 1),
        (np.eye(3)[THREE], "012", THREE),
        (np.eye(3, dtype=bool)[THREE], "012", THREE),
        (np.eye(3, dtype=int)[THREE].tolist(), "012", THREE),
        (pd.DataFrame(np.eye(3)[THREE], columns=["x", "y", "z"]), "xyz", THREE),
    ],
)
def test_classes_in_any_form_become_numbers_from_zero(y, names, expected):
    data, labels = labels_of(y)
    assert data.class_names == tuple(names)
    assert (data.train.labels.dtype, data.is_regression) == (np.int64, False)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (THREE / 2, ("target",)),
        (THREE.astype("float32"), ("target",)),
        (THREE.astype(float)[:, None], ("target",)),
        (pd.Series(THREE / 2, name="income"), ("income",)),
        (np.stack([THREE / 2, THREE * 9], 1), ("0", "1")),
        (pd.DataFrame({"a": THREE / 2, "b": THREE}), ("a", "b")),
    ],
)
def test_floats_are_real_numbers_even_where_all_are_whole(y, names):
    data, labels = labels_of(y)
    assert (data.class_names, data.target_names, data.num_classes) == ((), names, 0)
    assert data.is_regression
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.asarray(y, "float32").reshape(COUNT, -1))
    assert str(data).endswith(f"target {', '.join(names)}")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [42, 6, 12]


BAD_LABELS = {
    "incomes": (np.arange(COUNT) * 100, "60 different values in 60 .*floats for regression"),
    "ids": ([f"id {row}" for row in range(COUNT)], "too many to be classes"),
    "nan": (np.where(THREE == 1, np.nan, 0), "missing in 20 of 60 examples"),
    "none": ([None, *"ab" * 29, "a"], "missing in 1 of 60 examples"),
    "infinite": (np.where(THREE == 1, np.inf, 0), "infinite"),
    "mixed": ([1, "a"] * 30, "all of one kind; received mixed-integer"),
    "dates": (pd.date_range("2024-01-01", periods=COUNT), "received datetime64"),
    "complex": (THREE * 1j, "received complex"),
    "multi-label": (np.stack([THREE > 0, THREE > 1], 1) * 1, "neither one-hot nor real numbers"),
    "cube": (np.zeros((COUNT, 2, 2)), r"shape \(60, 2, 2\)"),
    "number": (3, r"must be"),
    "far off": (1e9 + THREE / 10, "'target' has values from 1000000000"),
    "lengths": (THREE[:-1], "60 examples and 59 labels"),
    "single": (np.r_[THREE[:-1], 7], "Class '7' has a single example"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_malformed_labels_are_refused(case):
    y, message = BAD_LABELS[case]
    with pytest.raises(ValueError, match=message):
        load_data((FEATURES, y))


def test_both_parts_number_their_classes_alike():
    words = np.array(["b", "c", "a"])[THREE]
    data = load_data(((X, words), (X[:2], ["c", "a"])))
    assert data.test.labels.tolist() == [2, 0]
    assert set(data.train.labels) == {0, 1, 2}
    with pytest.raises(ValueError, match="Class 'd' has no example in the data"):
        load_data(((X, words), (X[:1], ["d"])))
    with pytest.raises(ValueError, match="must be alike"):
        load_data(((X, words), (X[:2], [0, 1])))
    with pytest.raises(ValueError, match="must be alike"):
        load_data(((X, np.eye(3)[THREE]), (X[:2], [0, 1])))


def test_names_in_a_file_are_those_of_the_numbers(tmp_path):
    np.savez(tmp_path / "toys.npz", x=X, y=THREE, class_names=["car", "ball", "kite"])
    data = load_data(tmp_path / "toys.npz")
    assert data.class_names == ("car", "ball", "kite")
    np.testing.assert_array_equal(data.train.labels, THREE[data.train.rows])
    np.savez(tmp_path / "toys.npz", x=X, y=THREE - 1, class_names=["car", "ball", "kite"])
    with pytest.raises(ValueError, match="must be 0 to 2, not -1"):
        load_data(tmp_path / "toys.npz")


def test_real_numbers_are_split_at_random_and_never_by_classes():
    y = np.arange(COUNT) / 7
    data, other = load_data((X, y)), load_data((X, y), seed=1)
    assert not np.array_equal(data.test.rows, other.test.rows)
    np.testing.assert_array_equal(data.test.labels[:, 0], y[data.test.rows].astype("float32"))
    with pytest.raises(ValueError, match="not real numbers"):
        load_data((X, y), split_by="classes")
    with pytest.raises(ValueError, match="would put 0 examples into the test part"):
        load_data((X, y), test_fraction=0.001)
    assert len(load_data((X, y), validation_fraction=0).validation) == 0


def test_both_parts_have_their_targets_by_name():
    values = pd.DataFrame({"a": np.arange(COUNT) / 2, "b": np.arange(COUNT) * 10.0})
    data = load_data(((FEATURES, values), (FEATURES, values[["b", "a"]])))
    np.testing.assert_array_equal(data.test.labels, values.to_numpy("float32"))
    one_hot = pd.DataFrame(np.eye(3)[THREE], columns=list("abc"))
    data = load_data(((FEATURES, one_hot), (FEATURES, one_hot[["c", "b", "a"]])))
    np.testing.assert_array_equal(data.test.labels, THREE)
    with pytest.raises(ValueError, match="columns 'b' are missing"):
        load_data(((FEATURES, values), (FEATURES, values.rename(columns={"b": "c"}))))


@pytest.mark.parametrize("names", [("a", "a"), (1, "1")])
def test_targets_of_one_name_are_refused(names):
    values = pd.DataFrame(np.ones((COUNT, 2)), columns=list(names))
    with pytest.raises(ValueError, match="Several columns have the same name"):
        load_data((FEATURES, values))


def test_real_numbers_in_the_test_part_alone_are_refused():
    with pytest.raises(ValueError, match="must be alike; received int64"):
        load_data(((FEATURES, THREE), (FEATURES, THREE + 0.5)))
    assert load_data(((FEATURES, THREE + 0.5), (FEATURES, THREE))).is_regression


def test_masked_labels_are_missing():
    for y in (THREE, THREE + 0.5):
        with pytest.raises(ValueError, match="missing in 20 of 60 examples"):
            load_data((FEATURES, np.ma.masked_array(y, mask=THREE == 1)))


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        (np.array(["b", "c", "a"])[THREE], ["a", "b"], "label 'c' is none of the class names"),
        (THREE == 1, ["no", "yes"], "label 'False' is none of the class names"),
        (THREE, ["x", "x", "y"], "Several classes have the same name, 'x'"),
    ],
)
def test_names_in_a_file_that_fit_no_label_are_refused(tmp_path, y, names, message):
    np.savez(tmp_path / "set.npz", x=FEATURES, y=y, class_names=names)
    with pytest.raises(ValueError, match=message):
        load_data(tmp_path / "set.npz")


def test_weights_are_of_the_labels_and_not_of_their_places():
    weights = zoo.tasks.get("classification").class_weights
    assert weights(load_data((FEATURES, THREE + 1)), {1: 9.0}) == {0: 9.0, 1: 1.0, 2: 1.0}
    assert weights(load_data((FEATURES, THREE)), {1: 9.0}) == {0: 1.0, 1: 9.0, 2: 1.0}
    assert weights(load_data((FEATURES, np.array(list("bca"))[THREE])), {1: 9.0})[1] == 9.0


@pytest.mark.parametrize("texts", [["0,5", "1,5", "2"], ["1.5", "-2", "3"]])
def test_real_numbers_as_text_are_no_classes(texts):
    rows = np.random.default_rng(0).random((60, 2))
    with pytest.raises(ValueError, match=r"are numbers as text, such as '.*decimal=','"):
        zoo.load_data((rows, texts * 20))
    assert zoo.load_data((rows, ["1", "2", "10"] * 20)).class_names == ("1", "10", "2")
