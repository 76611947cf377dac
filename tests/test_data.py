"""Data in memory: named sets, `.npz` files, arrays; their checks, split, batches, augmentation."""

import os
import random
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import zoo
from zoo.data import Augment, Part, load_data


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.fixture(scope="module")
def fashion():
    path = Path(os.environ.get("ZOO_DATA_DIR", "."), "fashion_mnist.npz")
    if not path.is_file():
        pytest.skip("ZOO_DATA_DIR names no folder with fashion_mnist.npz")
    return load_data("fashion_mnist")


def striped(count=60, classes=3, channels=1, dtype="uint8"):
    """Images that tell their own position: image i holds the value i."""
    x = np.broadcast_to(np.arange(count)[:, None, None, None], (count, 6, 5, channels))
    return x.astype(dtype), np.arange(count) % classes


def recorder():
    """A model that notes the batches that `fit` hands it."""

    class Recorder(keras.Model):
        def train_step(self, data):
            seen.append([np.array(value) for value in data])
            return {"loss": 0.0}

    seen = []
    model = Recorder()
    model.compile(run_eagerly=True)
    return model, seen


def same(some, others):
    return len(some) == len(others) and all(
        np.array_equal(x, x2) and np.array_equal(y, y2)
        for (x, y), (x2, y2) in zip(some, others, strict=True)
    )


# Named sets.


def test_digits_parts_hold_every_image_of_scikit_learn_once(digits):
    parts = (digits.train, digits.validation, digits.test)
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows) == list(range(1797))
    raw = load_digits()
    for part in parts:
        images = part.examples(np.arange(len(part)))
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images[..., 0], raw.images[part.rows] / 16)
        np.testing.assert_array_equal(part.labels, raw.target[part.rows])
    assert digits.input_shape == (8, 8, 1)
    assert digits.class_names == tuple("0123456789")


def test_split_is_stratified(digits):
    shares = [
        np.bincount(part.labels) / len(part)
        for part in (digits.train, digits.validation, digits.test)
    ]
    np.testing.assert_allclose(shares[1], shares[0], atol=1 / len(digits.validation))
    np.testing.assert_allclose(shares[2], shares[0], atol=1 / len(digits.test))
    assert len(digits.validation) == round(0.1 * 1797)
    assert len(digits.test) == round(0.2 * 1797)


def test_split_depends_on_the_seed_alone(digits):
    again, other = load_data("digits"), load_data("digits", seed=1)
    for part in ("train", "validation", "test"):
        rows = getattr(digits, part).rows
        np.testing.assert_array_equal(getattr(again, part).rows, rows)
        assert not np.array_equal(getattr(other, part).rows, rows)


def test_fashion_mnist_keeps_its_own_test_part_as_bytes(fashion):
    assert (len(fashion.train), len(fashion.validation), len(fashion.test)) == (54000, 6000, 10000)
    assert not set(fashion.train.rows) & set(fashion.validation.rows)
    assert np.bincount(fashion.validation.labels).tolist() == [600] * 10
    assert fashion.class_names[9] == "Ankle boot"
    with np.load(Path(os.environ["ZOO_DATA_DIR"], "fashion_mnist.npz")) as raw:
        expected = raw["x_test"][:50].astype("float32")[..., None] / 255
        np.testing.assert_array_equal(fashion.test.labels, raw["y_test"])
    np.testing.assert_array_equal(fashion.test.examples(np.arange(50)), expected)
    stored = sum(part._source.array.nbytes for part in (fashion.train, fashion.test))
    assert stored == 70000 * 28 * 28
    assert fashion.train._source is fashion.validation._source


def test_orl_faces_load_as_arrays(fashion):
    path = Path(os.environ["ZOO_DATA_DIR"], "orl_faces.npz")
    with pytest.raises(ValueError, match=r"holds the arrays images, subject, pose.*Expected x and"):
        load_data(path)
    with np.load(path) as file:
        data = load_data((file["images"], file["subject"] - 1))
    assert (
        str(data) == "arrays: 280 train, 40 validation, 80 test images of 112 x 92 x 1, 40 classes"
    )
    assert set(np.bincount(data.validation.labels)) == {1}


# Files and arrays.


def test_npz_of_one_piece_with_class_names(tmp_path):
    x, y = striped()
    np.savez(tmp_path / "toys.npz", X=x, Y=y, class_names=["car", "doll", "kite"])
    data = load_data(tmp_path / "toys.npz")
    assert (data.name, data.class_names) == ("toys", ("car", "doll", "kite"))
    assert (len(data.train), len(data.validation), len(data.test)) == (42, 6, 12)
    same_data = load_data(str(tmp_path / "toys.npz"))
    np.testing.assert_array_equal(same_data.test.rows, data.test.rows)


def test_own_test_part_is_kept_in_order():
    x, y = striped(90)
    data = load_data(((x[:60], y[:60]), (x[60:], y[60:])), test_fraction=0.5)
    np.testing.assert_array_equal(data.test.examples(np.arange(30)), x[60:] / np.float32(255))
    assert (len(data.train), len(data.validation)) == (54, 6)
    assert zoo.data.load_data is zoo.load_data


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (np.full((60, 6, 5), 255, "uint8"), (6, 5, 1)),
        (np.ones((60, 6, 5, 3), "float64"), (6, 5, 3)),
        (np.ones((60, 6, 5, 1), "float16").tolist(), (6, 5, 1)),
    ],
)
def test_images_of_any_legal_kind_become_float32(x, shape):
    data = load_data((x, (np.arange(60) % 3)[:, None]), validation_fraction=0)
    images = data.train.examples(np.arange(4))
    assert (images.dtype, images.shape, images.max()) == (np.float32, (4, *shape), 1)
    assert data.train.labels.dtype == np.int64
    assert len(data.validation) == 0
    assert data.validation.input_shape == shape


GOOD_X, GOOD_Y = striped()
FLOATS = GOOD_X / 255


def with_value(value):
    x = FLOATS.copy()
    x[7, 0, 0] = value
    return x


BAD_ARRAYS = {
    "nan": (with_value(np.nan), GOOD_Y, "1 images of the data hold NaN.* index 7"),
    "infinite": (with_value(np.inf), GOOD_Y, "hold NaN or infinite.* index 7"),
    "negative": (FLOATS - 0.5, GOOD_Y, r"values from -0.5 to .*\(x \+ 1\) / 2"),
    "0 to 255": (GOOD_X.astype("float32"), GOOD_Y, "values from 0 to 59"),
    "0 and 1 in uint8": (GOOD_X % 2, GOOD_Y, "black and white"),
    "int64": (GOOD_X.astype(int), GOOD_Y, r"received int64.*astype\('uint8'\)"),
    "objects": (GOOD_X.astype(object), GOOD_Y, "received object"),
    "strings": (np.full((60, 6, 5), "a"), GOOD_Y, "received <U1"),
    "ragged": ([np.zeros((4, size)) for size in (4, 5, 4)], [0, 1, 2], "differ in shape"),
    "none": (GOOD_X[:0], GOOD_Y[:0], r"received the shape \(0, 6, 5, 1\)"),
    "lengths": (GOOD_X, GOOD_Y[:-1], "60 examples and 59 labels"),
    "single": (GOOD_X, np.r_[GOOD_Y[:-1], 3], "Class '3' has a single example"),
    "rare": (GOOD_X, np.r_[GOOD_Y[:-2], 3, 3], "Class '3' has (no|a single) example"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_malformed_arrays_are_refused(case):
    x, y, message = BAD_ARRAYS[case]
    with pytest.raises(ValueError, match=message):
        load_data((x, y))


def test_malformed_test_arrays_are_refused():
    good = (GOOD_X, GOOD_Y)
    with pytest.raises(ValueError, match="images of the test part hold NaN"):
        load_data((good, (with_value(np.nan), GOOD_Y)))
    with pytest.raises(ValueError, match=r"one shape; received \(6, 5, 1\) and \(5, 5, 1\)"):
        load_data((good, (GOOD_X[:, 1:], GOOD_Y)))
    with pytest.raises(ValueError, match=r"Class '3' has no example in the data"):
        load_data((good, (GOOD_X, GOOD_Y + 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation_fraction": 1}, "`validation_fraction` must be .* below 1, received 1"),
        ({"test_fraction": -0.1}, "`test_fraction` must be"),
        ({"test_fraction": 0}, "`test_fraction` would put 0 examples"),
        ({"validation_fraction": 0.01}, "`validation_fraction` would put 1 examples"),
        ({"test_fraction": 0.5, "validation_fraction": 0.5}, "and leave 0 of 30"),
        ({"seed": -1}, "`seed` must be"),
        ({"image_size": (4, 4)}, "for folders of images"),
        ({"on_corrupt": "skp"}, "'refuse', 'skip', received 'skp'"),
    ],
)
def test_illegal_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_data((GOOD_X, GOOD_Y), **arguments)


def test_unknown_sources_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Did you mean 'fashion_mnist'.*names are cifar10, digi"):
        load_data("fasion_mnist")
    with pytest.raises(
        ValueError, match="neither a data set's name, as a str, nor a file or folder"
    ):
        load_data("")
    with pytest.raises(
        ValueError, match="neither a data set's name, as a str, nor a file or folder"
    ):
        load_data(tmp_path / "digits")
    with pytest.raises(ValueError, match="received int"):
        load_data(3)
    with pytest.raises(ValueError, match="received ndarray"):
        load_data(GOOD_X)


def test_malformed_npz_files_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    path.write_text("not an archive")
    with pytest.raises(ValueError, match=r"is no \.npz file"):
        load_data(path)
    np.savez(path, x=GOOD_X, y=GOOD_Y)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is no \.npz file of numpy\.savez \(or is cut short\)"):
        load_data(path)
    np.savez(path, x=GOOD_X, y=GOOD_Y)
    damaged = bytearray(path.read_bytes())
    damaged[400:420] = bytes(range(200, 220))
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"cannot be read: .*CRC"):
        load_data(path)
    np.savez(path, x=GOOD_X.astype(object), y=GOOD_Y)
    with pytest.raises(ValueError, match=r"cannot be read: .*no Python objects"):
        load_data(path)
    np.savez(path, x=GOOD_X)
    assert load_data(path).num_classes == 1
    np.savez(path, x_train=GOOD_X, x_test=GOOD_X[:5])
    assert len(load_data(path).test) == 5
    np.savez(path, x_train=GOOD_X, y_train=GOOD_Y, x_test=GOOD_X[:5])
    with pytest.raises(ValueError, match="holds the arrays x_train, y_train, x_test"):
        load_data(path)
    np.savez(path, x=GOOD_X, labels=GOOD_Y)
    with pytest.raises(ValueError, match="holds the arrays x, labels"):
        load_data(path)
    np.savez(path, x=GOOD_X, y=GOOD_Y, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"Labels of 2 classes must be 0 to 1, not 2"):
        load_data(path)


# Batches.


def test_batches_without_a_seed_are_in_order_and_complete(digits):
    batches = digits.test.batches(100)
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 59]
    images = np.concatenate([images for images, _ in batches])
    np.testing.assert_array_equal(images, digits.test.examples(np.arange(359)))
    assert np.concatenate([labels for _, labels in batches]).tolist() == list(digits.test.labels)


def test_each_epoch_has_its_own_order_of_every_example():
    part = Part(*striped())
    batches = part.batches(16, seed=0)
    epochs = [np.concatenate([x[:, 0, 0, 0] for x, _ in batches]) * 255 for _ in range(3)]
    for order in epochs:
        assert sorted(order.round().astype(int)) == list(range(60))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])
    other = np.concatenate([x[:, 0, 0, 0] for x, _ in part.batches(16, seed=1)]) * 255
    assert not np.array_equal(epochs[0], other)


def test_a_resumed_fit_sees_the_batches_of_an_uninterrupted_one():
    part = Part(*striped())
    options = {"seed": 3, "augment": Augment(flip=True, shift=1, erase=1)}
    model, seen = recorder()
    random.seed(0)  # `fit` shuffles the batches that it asks for by this
    model.fit(part.batches(16, **options), epochs=3, verbose=0)
    assert len(seen) == 3 * 4
    model, resumed = recorder()
    random.seed(1)
    model.fit(part.batches(16, first_epoch=1, **options), initial_epoch=1, epochs=3, verbose=0)
    assert same(resumed, seen[4:])
    looped = part.batches(16, **options)
    assert same([batch for _ in range(3) for batch in looped], seen)
    assert not same(part.batches(16, **{**options, "seed": 4}), seen[:4])


def test_each_batch_of_each_epoch_is_augmented_by_its_own_chance():
    def fill(images, rng):
        return np.full(images.shape, rng.random())

    def draws(seed, first_epoch):
        batches = part.batches(16, seed=seed, first_epoch=first_epoch, augment=fill)
        return [images[0, 0, 0, 0] for _ in range(2) for images, _ in batches]

    part = Part(*striped())
    assert len({*draws(0, 0), *draws(0, 2), *draws(1, 0)}) == 3 * 2 * 4
    assert draws(0, 1)[:4] == draws(0, 0)[4:]


def test_validation_does_not_disturb_the_order_of_training():
    part = Part(*striped())
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plain, seen = recorder()
    plain.fit(part.batches(7, seed=0), epochs=2, verbose=0)
    kept = []

    def keep(images, rng):
        kept.append(images)
        return images

    model.fit(
        part.batches(7, seed=0, augment=keep),
        validation_data=part.batches(25),
        epochs=2,
        verbose=0,
    )
    drawn = kept[-len(seen) :]  # before them, Keras looks at the first batches' shapes
    assert all(np.array_equal(images, x) for images, (x, _) in zip(drawn, seen, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1, received 0"),
        ({"batch_size": 8, "seed": -1}, "`seed`"),
        ({"batch_size": 8, "seed": 0, "first_epoch": -1}, "`first_epoch`"),
        ({"batch_size": 8, "augment": Augment(flip=True)}, "needs a `seed`"),
    ],
)
def test_illegal_batches_are_refused(digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        digits.train.batches(**arguments)


def test_an_augmentation_that_changes_the_shape_is_refused(digits):
    batches = digits.train.batches(8, seed=0, augment=lambda images, _: images[:, 1:])
    with pytest.raises(ValueError, match=r"shape it receives, \(8, 8, 8, 1\); it returned \(8, 7"):
        batches[0]


def test_subset_keeps_the_order_it_is_given(digits):
    few = digits.train.subset(np.array([5, 2, 9])).subset(np.array([2, 0]))
    np.testing.assert_array_equal(few.examples(np.arange(2)), digits.train.examples([9, 5]))
    assert few.labels.tolist() == digits.train.labels[[9, 5]].tolist()


def test_arrays_that_are_passed_over_are_named(tmp_path):
    x, y = striped()
    np.savez(tmp_path / "toys.npz", x=x, y=y, x_val=x)
    with pytest.warns(UserWarning, match="Passed over in .*toys.npz: the arrays 'x_val'") as caught:
        load_data(tmp_path / "toys.npz")
    assert [warning.filename for warning in caught] == [__file__]
    np.savez(tmp_path / "twice.npz", x=x, X=x, y=y)
    with pytest.raises(ValueError, match="Several arrays have the same name, 'x'"):
        load_data(tmp_path / "twice.npz")


def test_a_part_needs_a_label_for_each_example():
    x, y = striped()
    with pytest.raises(ValueError, match="received 60 examples and 59 labels"):
        Part(x, y[:-1])
    with pytest.raises(ValueError, match=r"must be \(n, targets\)"):
        Part(x, y / 2)


def test_examples_are_chosen_by_positions_or_a_mask(digits):
    chosen = digits.test.labels == 3
    expected = digits.test.examples(np.flatnonzero(chosen))
    np.testing.assert_array_equal(digits.test.examples(chosen), expected)
    assert digits.test.examples([]).shape == (0, 8, 8, 1)
    with pytest.raises(TypeError, match="Cannot cast"):
        digits.test.examples([0.5])
