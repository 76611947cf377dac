"""The recurrent family: its numbers against cells in plain NumPy, padding, exports, trainings."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

import tuning
import zoo
from zoo.layers import Steps
from zoo.models.recurrent import CELLS
from zoo.training.precision import precision_scope


def cell_step(cell, x, state, kernel, recurrent, bias):
    """One step of a cell: output and memory, of the step's values and the last of these."""
    h, c = state
    if cell == "simple":
        return np.tanh(x @ kernel + h @ recurrent + bias), c
    if cell == "gru":  # Cho et al. 2014, with the reset gate behind the product
        (xz, xr, xh), (hz, hr, hh) = (
            np.split(x @ kernel + bias[0], 3),
            np.split(h @ recurrent + bias[1], 3),
        )
        update, reset = expit(xz + hz), expit(xr + hr)
        return update * h + (1 - update) * np.tanh(xh + reset * hh), c
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


def outputs_of(cell, steps, weights):
    """The outputs of one direction of a layer after each step of one sequence."""
    state = (np.zeros(weights[1].shape[0]),) * 2
    outputs = []
    for x in steps:
        state = cell_step(cell, x, state, *weights)
        outputs.append(state[0])
    return np.array(outputs)


def expected(cell, steps, weights, *, num_layers, bidirectional, skip_connections):
    """What the model makes of one sequence that nothing pads."""
    *of_cells, kernel, bias = weights
    x, states = steps, []
    for index in range(num_layers):
        forward, backward = of_cells[6 * index :][:3], of_cells[6 * index + 3 :][:3]
        if not bidirectional:
            forward = of_cells[3 * index :][:3]
        outputs = outputs_of(cell, x, forward)
        state = outputs[-1]
        if bidirectional:
            reverse = outputs_of(cell, x[::-1], backward)
            outputs = np.concatenate([outputs, reverse[::-1]], axis=1)
            state = np.concatenate([state, reverse[-1]])
        x = x + outputs if skip_connections and index else outputs
        states.append(state)
    last = np.sum(states, axis=0) if skip_connections else state
    return softmax(last @ kernel + bias)


def sequences(count=40, longest=9, seed=0):
    """Sequences of unequal length, of two features in other units; the first is the longest."""
    rng = np.random.default_rng(seed)
    lengths = [longest, *rng.integers(2, longest, count - 1)]
    return [rng.normal((3, -200), (2, 50), (length, 2)) for length in lengths]


@pytest.fixture(scope="module")
def data():
    return zoo.load_data((sequences(), np.arange(40) % 3))


def built(data, policy="float32", **arguments):
    """A model as a training builds it, with other biases than zeros."""
    keras.utils.set_random_seed(0)
    with precision_scope(policy):
        model = zoo.tasks.ClassificationTask().build(
            "recurrent_classifier", data, {"units": 4, **arguments}
        )
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


FORMS = {
    "one layer": dict(num_layers=1, bidirectional=False, skip_connections=False),
    "three": dict(num_layers=3, bidirectional=False, skip_connections=False),
    "skip connections": dict(num_layers=3, bidirectional=False, skip_connections=True),
    "both directions": dict(num_layers=2, bidirectional=True, skip_connections=False),
    "all": dict(num_layers=3, bidirectional=True, skip_connections=True),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_batch_gives_what_each_sequence_gives_alone(cell, form, data):
    model = built(data, cell=cell, dropout=0.4, **form)
    found = model.predict(data.preparation(sequences()[:6]), verbose=0)
    prepared = data.preparation
    for steps, probabilities in zip(sequences()[:6], found, strict=True):
        steps = (steps - prepared.mean) / prepared.scale
        wanted = expected(cell, steps, model.get_weights(), **form)
        np.testing.assert_allclose(probabilities, wanted, atol=2e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_mixed_precision_keeps_the_mask_and_gives_float32(cell, data):
    model = built(data, "mixed_bfloat16", cell=cell, dropout=0.4, **FORMS["all"])
    found = model.predict(data.preparation(sequences()), verbose=0)
    assert found.dtype == np.float32
    of_padded = []
    for steps, probabilities in zip(sequences(), found, strict=True):
        steps = (steps - data.preparation.mean) / data.preparation.scale
        padded = np.pad(steps, ((0, 9 - len(steps)), (0, 0)))
        wanted, other = (
            expected(cell, x, model.get_weights(), **FORMS["all"]) for x in (steps, padded)
        )
        np.testing.assert_allclose(probabilities, wanted, atol=0.04)
        of_padded.append(np.abs(probabilities - other).max())
    assert max(of_padded) > 0.1  # without a mask


def test_the_mask_of_a_model_of_ones_own_is_heeded():
    model = zoo.recurrent_classifier((None, 2), 3, units=4, num_layers=2, skip_connections=True)
    inputs = keras.Input((None, 2), name="features")
    masked = keras.Model(inputs, model(keras.layers.Masking()(inputs)))
    x = np.random.default_rng(0).random((2, 5, 2), np.float32)
    padded = np.pad(x, ((0, 0), (0, 3), (0, 0)))
    alone = model.predict(x, verbose=0)
    np.testing.assert_allclose(masked.predict(padded, verbose=0), alone, atol=1e-6)
    assert np.abs(model.predict(padded, verbose=0) - alone).max() > 1e-3


def test_names_are_deterministic_and_readable():
    model = zoo.recurrent_classifier(
        cell="gru", num_layers=3, bidirectional=True, dropout=0.1, skip_connections=True
    )
    assert sorted(layer.name for layer in model.layers) == [
        *("block1_dropout", "block1_gru", "block1_state"),
        *("block2_add", "block2_dropout", "block2_gru", "block2_state"),
        *("block3_add", "block3_dropout", "block3_gru", "classifier", "features"),
        "probabilities",
    ]
    assert model.weights[3].path == "block1_gru/backward_gru/gru_cell/kernel"
    below = zoo.features(zoo.recurrent_classifier(num_layers=2), "block1_lstm")
    assert below.output_shape == (None, 28, 128)


BAD = [
    (dict(input_shape=(28, 28, 1)), r"\(time, features\), received \(28, 28, 1\)"),
    (dict(input_shape=(0, 3)), r"input_shape\[0\]"),
    (dict(input_shape=(5, None)), r"input_shape\[1\]"),
    (dict(cell="gur"), "Did you mean 'gru'"),
    (dict(units=0), "`units`"),
    (dict(units=(8, 8)), "`units`"),
    (dict(num_layers=0), "`num_layers`"),
    (dict(bidirectional=1), "`bidirectional` must be True or False"),
    (dict(skip_connections="yes"), "`skip_connections` must be True or False"),
    (dict(dropout=1.0), "`dropout`"),
    (dict(num_classes=-1), "`num_classes`"),
    (dict(classifier_activation="relu"), "classifier_activation"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=str)
def test_illegal_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.recurrent_classifier(**arguments)


def test_images_are_refused_with_what_reads_them_row_by_row(digits, tmp_path):
    with pytest.raises(ValueError, match="kind='sequences'"):
        zoo.train("recurrent_classifier", digits, directory=tmp_path)


CLIENT = """
import sys, numpy, tensorflow as tf
served = tf.saved_model.load(sys.argv[1] + '/model')
with numpy.load(sys.argv[1] + '/inputs.npz') as file:
    outputs = {
        key: served.signatures['serving_default'](features=file[key])['probabilities'].numpy()
        for key in file.files
    }
numpy.savez(sys.argv[1] + '/outputs.npz', **outputs)
"""


@pytest.fixture
def free():
    """A model of any length that masks, and batches of three lengths with padding."""
    keras.utils.set_random_seed(0)
    form = {**FORMS["all"], "num_layers": 2}
    model = zoo.recurrent_classifier((None, 2), 3, units=4, **form)
    inputs = keras.Input((None, 2), name="features")
    masked = keras.Model(inputs, model.call(Steps([0.5, 0.5], [0.3, 0.3])(inputs)))
    batches = np.random.default_rng(0).random((3, 3, 50, 2), np.float32)
    batches[:, 0, 1:] = 0  # padding
    return masked, {f"{n}": x[:, :n] for n, x in zip((1, 6, 50), batches, strict=True)}


def test_a_saved_model_with_a_free_time_axis_serves_any_length_in_a_fresh_process(free, tmp_path):
    model, batches = free
    exported = zoo.export_saved_model(model, tmp_path / "model")
    assert exported.signatures["serving_default"]["inputs"] == {"features": (None, None, 2)}
    np.savez(tmp_path / "inputs.npz", **batches)
    subprocess.run([sys.executable, "-c", CLIENT, tmp_path], check=True, timeout=120)
    with np.load(tmp_path / "outputs.npz") as served:
        for key, x in batches.items():
            wanted = model.predict(x, verbose=0)
            np.testing.assert_allclose(served[key], wanted, atol=1e-5)


def test_onnx_with_a_free_time_axis_gives_the_same_numbers(free, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, batches = free
    model(batches["6"])
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for x in batches.values():
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """A regression that adds the marked numbers of short sequences of unequal length."""
    x, y = zoo.data.adding_problem(8, examples=1200)
    starts = np.minimum(x[:, :, 1].argmax(axis=1), np.arange(len(x)) % 4)  # before the first marker
    data = zoo.load_data(([steps[start:] for steps, start in zip(x, starts, strict=True)], y))
    run = zoo.train(
        "recurrent_classifier",
        data,
        arguments={"cell": "gru", "units": 16},
        directory=tmp_path_factory.mktemp("sums") / "run",
        epochs=12,
        batch_size=32,
        learning_rate=0.02,
        precision="float32",
        verbose=0,
    )
    return run, data, x, starts


def test_a_regression_learns_the_sums_in_their_units(sums):
    run, data, *_ = sums
    assert {len(steps[steps.any(axis=-1)]) for steps in data.test.examples()} == {5, 6, 7, 8}
    found = run.predict(data.test.examples())["target"]
    wanted = data.test.labels[:, 0]
    assert np.square(found - wanted).mean() < 0.02 < wanted.var() / 5
    assert run.metrics["mae"] == pytest.approx(np.abs(found - wanted).mean(), rel=1e-4)
    relative = np.square(found - wanted).mean() / data.train.labels.var()
    assert run.metrics["loss"] == pytest.approx(relative, rel=1e-4)


def test_a_run_predicts_sequences_of_unequal_length_alike_alone_and_together(sums):
    run, _, x, starts = sums
    several = [steps[start:] for steps, start in zip(x[:9], starts, strict=False)]
    together = run.predict(several)["target"]
    alone = [run.predict(steps)["target"][0] for steps in several]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(together) > 0.2


def test_a_search_trains_on_sequences(data, tmp_path):
    half = dataclasses.replace(data, test=data.test.subset(np.arange(0)))
    found = tuning.search(
        "recurrent_classifier_tiny",
        half,
        max_trials=2,
        directory=tmp_path,
        epochs=1,
        fixed={"num_layers": 2},
        precision="float32",
        verbose=0,
    )
    assert {"cell", "bidirectional", "skip_connections"} <= set(found.best_arguments)
    assert found.best_arguments["units"] == 16
