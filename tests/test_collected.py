"""`tf.data.Dataset` and `keras.utils.PyDataset` as sources."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo

X = np.random.default_rng(0).random((50, 6, 5, 1)).astype("float32")
Y = np.arange(50) % 2
slices = tf.data.Dataset.from_tensor_slices


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays, size=7):
        super().__init__()
        self.arrays, self.size = arrays, size

    @property
    def num_batches(self):
        return -(-len(self.arrays[0]) // self.size) if np.ndim(self.arrays[0]) else 3

    def __getitem__(self, index):
        cut = slice(index * self.size, (index + 1) * self.size)
        batch = tuple(array[cut] if np.ndim(array) else array for array in self.arrays)
        return batch if len(batch) > 1 else batch[0]


class Endless(Batches):
    num_batches = None


class Unknown(keras.utils.PyDataset):
    def __getitem__(self, index):
        return X, Y


SAME = {
    "single": slices((X, Y)),
    "batches": slices((X, Y)).batch(7).prefetch(2),
    "whole batches": slices((X, Y)).batch(10, drop_remainder=True),
    "one-hot": slices((X, np.eye(2)[Y])).batch(7),
    "single one-hot": slices((X, np.eye(2)[Y])),
    "PyDataset": Batches(X, Y),
    "PyDataset of tensors": Batches(tf.constant(X), tf.constant(Y)),
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_the_same_data_come_as_from_arrays(source):
    data, wanted = zoo.load_data(source), zoo.load_data((X, Y))
    assert str(data) == str(wanted)
    for name in ("train", "validation", "test"):
        part, other = getattr(data, name), getattr(wanted, name)
        assert part.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    "parts",
    [
        (slices((X[:40], Y[:40])).batch(7), slices((X[40:], Y[40:])).batch(7)),
        (Batches(X[:40], Y[:40]), slices((X[40:], Y[40:]))),
        (Batches(X[:40], Y[:40]), (X[40:], Y[40:])),
    ],
    ids=["tf.data", "both", "with arrays"],
)
def test_a_pair_sets_the_test_part_aside(parts):
    data = zoo.load_data(parts)
    np.testing.assert_array_equal(data.test.examples(), X[40:])
    np.testing.assert_array_equal(data.test.labels, Y[40:])


@pytest.mark.parametrize(
    "source", [slices(X), slices(X).batch(7), Batches(X), slices((X,)).batch(7)]
)
def test_x_alone_has_no_labels(source):
    assert zoo.load_data(source).train.fingerprint() == zoo.load_data((X, None)).train.fingerprint()


def test_other_kinds():
    texts = ["Zug", "Bahn", "Gleis", "Weiche", "Ampel"] * 10
    data = zoo.load_data(slices((texts, Y)).batch(8))
    assert data.preparation.kind == "texts"
    assert set(data.train.examples()) == set(texts)
    lengths = [2 + index % 4 for index in range(50)]
    specs = (tf.TensorSpec((None, 2)), tf.TensorSpec((), "int64"))
    waves = tf.data.Dataset.from_generator(
        lambda: ((np.ones((length, 2)), length % 2) for length in lengths), output_signature=specs
    ).apply(tf.data.experimental.assert_cardinality(50))
    assert str(zoo.load_data(waves).preparation) == "sequences of up to 5 steps of 2"
    ragged = slices((tf.ragged.range([3, 5] * 20), [0, 1] * 20)).batch(8)
    assert str(zoo.load_data(ragged).preparation) == "sequences of up to 5 steps of 1"
    assert str(zoo.load_data(slices((X[:, :, 0, 0], Y))).preparation) == "rows of 6 columns"
    assert zoo.load_data(Batches(X[:, :, 0, 0], Y / 1)).is_regression
    data = zoo.load_data("digits")
    again = zoo.load_data((data.train.batches(100), data.test.batches(100)), validation_fraction=0)
    np.testing.assert_array_equal(again.test.examples(), data.test.examples())


ROWS, ONE_HOT = X[:, :, 0, 0], np.eye(10, dtype="float32")[np.arange(50) % 10]
GRID = np.random.default_rng(1).random((50, 10, 10))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (slices(ROWS).batch(10), "rows of 6 columns"),  # 50 is a whole number of batches
        (slices((ROWS, Y)).batch(10), "rows of 6 columns"),
        (slices((ROWS, Y)).batch(10, drop_remainder=True), "rows of 6 columns"),
        (slices((ROWS, Y / 1)).batch(10), "rows of 6 columns"),
        (slices((GRID, ONE_HOT)).batch(10), "images of 10 x 10 x 1"),
        (slices(GRID).batch(10), "images of 10 x 10 x 1"),
        (slices(np.array([f"a {number}" for number in range(50)])).batch(10), "texts"),
    ],
)
def test_batches_are_told_from_examples(source, what):
    data = zoo.load_data(source, validation_fraction=0)
    assert str(data.preparation) == what
    assert len(data.train) + len(data.validation) + len(data.test) == 50


class Uneven(Batches):
    """Batches whose labels are one too few, then one too many."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y[:-1] if index % 2 else np.append(y, 0)


class Late(Batches):
    """Batches of which the first has no labels."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y if index else None


BAD = {
    "labels beside their examples": (Uneven(X, Y), "as many labels as examples"),
    "labels in some batches": (Late(X, Y), "as many labels as examples"),
    "one-hot or a batch": (slices((GRID, ONE_HOT)), r"batches or examples: use \.batch"),
    "targets or a batch": (slices((GRID, GRID[:, 0])), r"batches or examples: use \.batch"),
    "infinite": (slices((X, Y)).batch(7).repeat(), "no finite length"),
    "unknown": (slices((X, Y)).filter(lambda x, y: y > 0), "no known length"),
    "infinite PyDataset": (Endless(X, Y), "The Endless of the data has no finite"),
    "unknown PyDataset": (Unknown(), "no known length.*__len__"),
    "empty": (slices((X, Y)).take(0), "is empty"),
    "weights": (slices((X, Y, Y)), r"must be \(x, y\), or x alone.*\(ndarray, .*"),
    "dictionary": (slices(({"a": X, "b": X}, Y)), r"received \(dict, "),
    "two inputs": (slices(((X, X), Y)), r"received \(tuple, "),
    "in a pair": ((Batches(X, Y), slices((X, Y)).repeat()), "the test part has no finite"),
    "no batches": (Batches(np.float32(3)), "must give batches"),
    "labels beside": ((Batches(X), Y), "Beside batches must be others"),
    "not UTF-8": (slices(([b"\xff\xfe"] * 9, Y[:9])), "A string of the data is no UTF-8"),
}


@pytest.mark.parametrize(("source", "message"), BAD.values(), ids=BAD)
def test_other_batches_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        zoo.load_data(source)


def test_sequences_without_labels_are_not_torn_apart():
    waves = tf.data.Dataset.from_generator(
        lambda: iter([np.ones((5, 2))] * 29 + [np.ones((3, 2))]),
        output_signature=tf.TensorSpec((None, 2)),
    ).apply(tf.data.experimental.assert_cardinality(30))
    with pytest.raises(ValueError, match="may give batches or examples"):
        zoo.load_data(waves, kind="sequences")
    data = zoo.load_data(waves.padded_batch(10), kind="sequences")
    assert len(data.train) + len(data.validation) + len(data.test) == 30


def test_an_empty_sequence_is_refused_by_its_place():
    waves = tf.data.Dataset.from_generator(
        lambda: ((np.ones((index, 3)), index % 2) for index in range(20)),
        output_signature=(tf.TensorSpec((None, 3)), tf.TensorSpec((), tf.int64)),
    ).apply(tf.data.experimental.assert_cardinality(20))
    with pytest.raises(ValueError, match="sequence 0 of the data"):
        zoo.load_data(waves)


def test_rows_in_batches_of_one_length_are_refused_where_they_may_be_images():
    rows = tf.data.Dataset.from_tensor_slices(np.random.rand(96, 8).astype("float32"))
    with pytest.raises(ValueError, match=r"batches or examples, of the shape \(32, 8\)"):
        zoo.load_data(rows.batch(32, drop_remainder=True))
    assert zoo.load_data(rows.batch(32)).input_shape == (8,)
