"""The sequences that have a name: digits by rows, and the adding problem."""

import numpy as np
import pytest

import zoo


@pytest.mark.parametrize("length", [2, 7, 100])
def test_the_adding_problem_marks_a_step_of_each_half_and_adds_their_numbers(length):
    x, y = zoo.data.adding_problem(length, examples=5000)
    numbers, markers = x[..., 0], x[..., 1]
    assert x.dtype == y.dtype == np.float32
    assert x.shape == (5000, length, 2)
    assert set(np.unique(markers)) <= {0, 1}
    half = length // 2
    assert (markers[:, :half].sum(axis=1) == 1).all()
    assert (markers[:, half:].sum(axis=1) == 1).all()
    assert (markers.sum(axis=0) > 0).all()
    np.testing.assert_allclose(y, numbers[markers > 0].reshape(-1, 2).sum(axis=1), rtol=1e-6)
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert y.var() == pytest.approx(1 / 6, abs=0.01)
    again, _ = zoo.data.adding_problem(length, examples=5000)
    other, _ = zoo.data.adding_problem(length, examples=5000, seed=1)
    np.testing.assert_array_equal(x, again)
    assert (x != other).any()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(dict(length=1), "length"), (dict(examples=0), "examples"), (dict(seed=-1), "seed")],
    ids=str,
)
def test_an_illegal_adding_problem_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        zoo.data.adding_problem(**arguments)


def test_named_sequences(digits):
    adding, rows = zoo.load_data("adding"), zoo.load_data("digits_rows")
    assert repr(adding) == (
        "<Dataset adding: 7000 train, 1000 validation, 2000 test sequences of up to 100 steps of "
        "2, target sum>"
    )
    x, y = adding.test.examples(), adding.test.labels[:, 0]
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(axis=1), y, rtol=1e-6)
    layer = adding.preparation.layer()
    np.testing.assert_array_equal(layer(x[:5]), x[:5])  # which would make the problem easier
    assert rows.input_shape == (8, 8)
    np.testing.assert_array_equal(rows.test.examples(), digits.test.examples()[..., 0])
    np.testing.assert_array_equal(rows.test.labels, digits.test.labels)
