"""Sequences of unequal length: padded, standardised and masked inside the model."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import zoo
from zoo.data.preparation import PREPARATION, preparation_from_config


def sines(count=100, longest=20):
    """Slow and fast waves beside a feature in other units; the first is the longest."""
    rng = np.random.default_rng(0)
    lengths = [longest, *rng.integers(4, longest, count - 1)]
    labels = np.arange(count) % 2
    turns = [
        np.arange(1, length + 1) * (0.3 + 0.5 * c)
        for length, c in zip(lengths, labels, strict=True)
    ]
    return [np.stack([np.sin(turn), 500 + 20 * np.cos(turn)], axis=1) for turn in turns], labels


@pytest.fixture(scope="module")
def data():
    return zoo.load_data(sines())


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The user's own recurrent network, trained."""
    model = keras.Sequential(
        [keras.Input((20, 2)), keras.layers.GRU(8), keras.layers.Dense(2, "softmax")]
    )
    directory = tmp_path_factory.mktemp("run") / "gru"
    return zoo.train(
        model, data, task="classification", epochs=6, batch_size=8, learning_rate=0.05,
        directory=directory, verbose=0,
    )  # fmt: skip


def test_several_sequences_in_any_form_are_the_same(data, run):
    several, _ = sines(4)
    rows = data.preparation(several)
    objects = np.empty(4, object)
    objects[:] = several
    ragged = tf.ragged.constant([steps.tolist() for steps in several], ragged_rank=1)
    for x in (objects, pd.Series(several), ragged, tf.constant(rows), tuple(several)):
        np.testing.assert_allclose(data.preparation(x), rows, rtol=1e-6)
    assert len(run.predict(ragged)["class"]) == 4


def test_padded_steps_hold_the_mask_value_and_real_ones_are_kept(data):
    assert repr(data) == (
        "<Dataset arrays: 70 train, 10 validation, 20 test sequences of up to 20 steps of 2, "
        "2 classes>"
    )
    x, _ = sines()
    for part in (data.train, data.validation, data.test):
        for row, values in zip(part.rows, part.examples(), strict=True):
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values[: len(x[row])], np.float32(x[row]))
            assert not values[len(x[row]) :].any()


def test_the_preparation_learns_from_the_real_steps_of_the_training_part_alone(data):
    x, _ = sines()
    steps = np.concatenate([x[row] for row in data.train.rows])
    np.testing.assert_allclose(data.preparation.mean, steps.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.preparation.scale, steps.std(axis=0), rtol=1e-5)
    config = json.loads(json.dumps(data.preparation.get_config()))
    assert preparation_from_config(config) == data.preparation


def test_outputs_do_not_depend_on_the_padding(run, data, tmp_path):
    x, _ = sines()
    assert run.metrics["accuracy"] > 0.9
    found = run.predict(x[:5])["probabilities"]
    gru, dense = run.model.layers[-2:]
    prepared = data.preparation
    for steps, probabilities in zip(x[:5], found, strict=True):
        alone = ((steps - prepared.mean) / prepared.scale)[None].astype(np.float32)
        np.testing.assert_allclose(dense(gru(alone))[0], probabilities, atol=2e-6)
    # A saved model carries the layer, an exported one too.
    (file,) = Path(run.directory).rglob("*.keras")
    padded = prepared(x[:5])
    loaded = keras.saving.load_model(file)
    np.testing.assert_allclose(loaded.predict(padded, verbose=0), found, atol=1e-6)
    loaded.export(tmp_path / "export", verbose=False)
    served = keras.layers.TFSMLayer(tmp_path / "export", call_endpoint="serve")
    np.testing.assert_allclose(served(padded), found, atol=1e-6)


def test_mixed_precision_keeps_the_mask_and_float32(data):
    layer = data.preparation.layer()
    with_policy = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    padded = data.preparation(np.full((3, 2), 500.0))
    mean = keras.layers.GlobalAveragePooling1D(dtype="mixed_bfloat16")
    outputs = with_policy(padded)
    assert with_policy.name == PREPARATION
    assert "float32" in str(outputs.dtype)
    np.testing.assert_allclose(
        np.float32(mean(outputs)[0]), np.float32(outputs[0, 0]), rtol=0.01, atol=0.01
    )


def test_the_mask_value_is_none_of_the_real_steps():
    bits = [np.arange(3 + index % 4) % 2 for index in range(40)]
    preparation = zoo.load_data((bits, np.arange(40) % 2)).preparation
    assert preparation.mask_value == -1.0
    layer = preparation.layer()
    mask = layer.compute_mask(keras.ops.convert_to_tensor(preparation([0, 0, 1, 0])))
    assert np.array(mask).tolist() == [[True, True, True, True, False, False]]
    signs = [bit - 1 for bit in bits] + [np.array([0, 0, 0])] * 5
    assert zoo.load_data((signs, np.arange(45) % 2)).preparation.mask_value == -10.0


@pytest.mark.parametrize(
    "x",
    [
        [[1, 2, 3, 4], [5, 6]],
        [np.array([1, 2, 3, 4]), np.array([5, 6])],
        [np.array([[1], [2], [3], [4]]), np.array([[5], [6]])],
        np.array([[[1], [2], [3], [4], [0]], [[5], [6], [0], [0], [0]]]),
        np.array([[1, 2, 3, 4, 0], [5, 6, 0, 0, 0]]),
    ],
    ids=["lists", "vectors", "columns", "padded", "padded rows"],
)
def test_sequences_of_one_feature_come_in_any_form(x):
    columns = [np.arange(1, 4 + index % 5) for index in range(40)]
    preparation = zoo.load_data((columns, np.arange(40) % 2)).preparation
    wanted = [[1, 2, 3, 4, 0, 0, 0], [5, 6, 0, 0, 0, 0, 0]]
    assert preparation(x)[:, :, 0].tolist() == wanted
    for one in ([1, 2, 3, 4], np.array([[1], [2], [3], [4]])):
        assert preparation(one)[:, :, 0].tolist() == wanted[:1]


def test_arrays_are_images_unless_the_kind_says_otherwise():
    x, y = np.random.default_rng(0).random((30, 12, 5)), np.arange(30) % 2
    assert zoo.load_data((x, y)).preparation.kind == "images"
    assert zoo.load_data((x, y), kind="sequences").input_shape == (12, 5)
    assert zoo.load_data((list(x), y / 1), kind="sequences").is_regression
    with pytest.raises(ValueError, match=r"`kind` is 'tables', but .* images of 12 x 5 x 1"):
        zoo.load_data((x, y), kind="tables")


def test_one_feature_and_several_sequences_are_told_apart():
    x = [np.arange(50.0, 53 + index % 3) for index in range(40)]
    prepare = zoo.load_data((x, np.arange(40) % 2)).preparation
    assert len(prepare([[50.0], [51.0]])) == len(prepare([[50.0, 51.0], [50.0, 51.0]])) == 2
    assert len(prepare(np.array([[50.0], [51.0]]))) == 1  # (time, features)
    with pytest.raises(ValueError, match="Step 2 of sequence 0 equals 0"):
        prepare([50.0, 51.0, 0.0])  # shorter than the longest, so it is no padding
    np.testing.assert_array_equal(prepare([50.0, 51.0, 0, 0, 0]), prepare([50.0, 51.0]))


def test_masked_steps_are_refused():
    steps = np.ma.masked_array([1.0, 2.0, 999.0], mask=[0, 0, 1])
    with pytest.raises(ValueError, match="masked in part"):
        zoo.load_data(([steps[: 2 + index % 2] for index in range(40)], np.arange(40) % 2))


def test_data_frames_go_by_the_names_of_their_columns():
    frames = [pd.DataFrame(np.random.default_rng(n).random((n % 4 + 2, 2))) for n in range(60)]
    for frame in frames:
        frame.columns = ["a", "b"]
    mixed = [frame[["b", "a"]] if n % 3 else frame for n, frame in enumerate(frames)]
    y = np.arange(60) % 2
    data, other = zoo.load_data((frames, y)), zoo.load_data((mixed, y))
    np.testing.assert_array_equal(data.train.examples(), other.train.examples())
    np.testing.assert_array_equal(data.preparation(frames[:5]), data.preparation(mixed[:5]))
    with pytest.raises(ValueError, match=r"the columns 'b' are missing"):
        data.preparation([frames[0][["a"]]])


def test_a_constant_feature_becomes_zero():
    x = [np.full((2 + index % 3, 1), 7.0) for index in range(40)]
    layer = zoo.load_data((x, np.arange(40) % 2)).preparation.layer()
    assert not np.array(layer(np.full((1, 4, 1), 7.0, np.float32))).any()


BAD = {
    "features": ([np.ones((4, 2)), np.ones((5, 3))], "some of 2 and some of 3"),
    "no steps": ([np.ones((4, 2)), np.ones((0, 2))], r"sequence 1 .* \(0, 2\)"),
    "NaN": ([np.ones((4, 2)), np.full((5, 2), np.nan)], "Sequence 1 of the data holds NaN"),
    "strings": ([["a", "b"], ["c"]], "must be numbers.*sequence 0"),
    "rank": ([np.ones((4, 2, 2)), np.ones((5, 2, 2))], r"sequence 0 .* \(4, 2, 2\)"),
    "too exact": ([1e9 + np.arange(4), 1e9 + np.arange(5)], "32 bits cannot tell apart"),
    "none": ([], "at least one"),
}


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
def test_bad_sequences_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        zoo.load_data((x, np.zeros(len(x), int)), kind="sequences")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((21, 2)), "Sequence 0 has 21 steps, more than 20"),
        ([np.ones((3, 2)), np.ones((3, 4))], r"2 features a step; sequence 1 .* \(3, 4\)"),
        (np.array([[1, 2], [np.nan, 2]]), "holds NaN"),
        (np.full((2, 2), 1e300), "too large"),
        (np.array([[1, 2], [0, 0], [1, 2]]), "Step 1 of sequence 0 equals 0"),
        (np.zeros((3, 2)), "Step 0 of sequence 0 equals 0"),
        ("a.csv", "received 'a.csv'"),
    ],
    ids=["long", "features", "NaN", "large", "mask", "all mask", "path"],
)
def test_examples_that_would_be_misread_are_refused(data, x, message):
    with pytest.raises(ValueError, match=message):
        data.preparation(x)
