"""Rows as people give them to a model of a table: every form, and what is refused."""

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from small_tables import people

from zoo.data import load_data


@pytest.mark.parametrize("form", [lambda x: x, list, lambda x: x[0]], ids=["2D", "list", "1D"])
def test_what_a_masked_array_hides_is_missing_in_predictions(form):
    data = load_data((np.arange(60.0).reshape(20, 3), None), missing="impute")
    hidden = np.ma.masked_array([[50.0, -999.0, 60.0]], mask=[[False, True, False]])
    np.testing.assert_array_equal(data.preparation(form(hidden)), [[50, np.nan, 60]])


@pytest.fixture(scope="module")
def data():
    return load_data(people(), target="income")


ROW = {"age": 30, "city": "Rome", "member": True}


@pytest.mark.parametrize(
    "x",
    [
        ROW,
        [ROW],
        {"city": ["Rome"], "member": [1], "more": ["x"], "age": [30.0]},
        pd.DataFrame([{"city": "Rome", **ROW, "more": 3}]),
        pd.Series(ROW),
        [30, "Rome", True],
        [[30, "Rome", True]],
        np.array([30, "Rome", True], dtype=object),
        np.array([30, 2, 1], "float32"),
        np.array([[30, 2, 1]]),
        [[30, 2, 1]],
        pd.Series([30, "Rome", True]),
        pd.DataFrame([ROW])[["member", "city", "age"]].to_records(index=False),
        keras.ops.array([[30, 2, 1]]),
        [pd.Series(ROW)[["member", "city", "age"]]],
        next(pd.DataFrame([ROW])[["member", "city", "age"]].itertuples()),
        list(pd.DataFrame([ROW])[["member", "city", "age"]].itertuples()),
        {
            name: pd.Series([value], index=[place])
            for place, (name, value) in enumerate(ROW.items())
        },
        {name: np.array(value) for name, value in ROW.items()},
    ],
)
def test_rows_in_any_form_become_the_same_vector(data, x):
    rows = data.preparation(x)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[30, 2, 1]])


def test_examples_and_files_are_taken_as_they_were_loaded(data, tmp_path):
    rows = data.test.examples()
    np.testing.assert_array_equal(data.preparation(rows), rows)
    frame = people().iloc[data.test.rows]
    frame.to_csv(tmp_path / "new.csv", index=False)
    np.testing.assert_array_equal(data.preparation(tmp_path / "new.csv"), rows)
    assert data.preparation.names(frame) == [str(row) for row in data.test.rows]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"age": 30, "member": True}, "'city' are missing"),
        ({**ROW, "city": "Paris"}, "'city' has categories that are not known: 'Paris'. Known"),
        ({**ROW, "age": None}, r"'age' \(1\)"),
        ({**ROW, "age": "old"}, "'age' must hold numbers, received 'old'"),
        ({**ROW, "age": np.inf}, "'age' holds 1 infinite"),
        ({**ROW, "age": 1e300}, "too large for 32 bits in the columns 'age'"),
        (pd.concat([people(), people()], axis=1), "same name, 'age', 'city'"),
        ([30, "Rome"], "expected 3 columns, received 2"),
        (np.zeros((2, 4)), "expected 3 columns, received 4"),
        (np.array([30, 3, 1.0]), "'city' holds categories: give their names"),
        (np.array([30, 0.5, 1.0]), "'city' holds categories: give their names"),
        ([], "no rows of a table"),
        (3, "no rows of a table"),
        (None, "no rows of a table"),
        ({"age": [1, 2], "city": ["Rome"], "member": [1]}, "no rows of a table"),
        (np.zeros((1, 3, 1)), "no rows of a table"),
        ("nowhere.csv", "is no file"),
        ({name: np.array([[value]]) for name, value in ROW.items()}, "'age' has the shape"),
        (pd.Series([30, "Rome"]), "expected 3 columns, received 2"),  # a column, not a row
        ([[30, "Rome", True], [30]], "they differ in length"),
        (scipy.sparse.csr_matrix(np.eye(3)), "csr_matrix .*toarray"),
    ],
)
def test_rows_that_would_be_taken_for_others_are_refused(data, x, message):
    with pytest.raises(ValueError, match=message):
        data.preparation(x)
