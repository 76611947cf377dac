"""Tables: what their columns are, what is refused, and the layer that prepares them."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from small_tables import CITIES, people

from zoo.data import load_data
from zoo.data.preparation import preparation_from_config
from zoo.layers import Tabular


def with_column(values):
    return people().assign(odd=values)


def prepared(data, x):
    return keras.ops.convert_to_numpy(data.preparation.layer()(data.preparation(x)))


def holed():
    frame = people()
    frame["age"] = frame["age"].astype(float)
    frame.loc[3, "age"] = np.nan
    frame.loc[[4, 5], "city"] = None
    return frame


# What is loaded.


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_files_hold_what_the_frame_holds(tmp_path, suffix):
    path, frame = tmp_path / f"people{suffix}", people()
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    data, expected = load_data(path, target="income"), load_data(frame, target="income")
    assert repr(data) == (
        "<Dataset people: 70 train, 10 validation, 20 test rows of 3 columns, target income>"
    )
    assert data.preparation == expected.preparation
    np.testing.assert_array_equal(data.train.examples(), expected.train.examples())
    np.testing.assert_array_equal(data.train.labels, expected.train.labels)
    assert load_data(str(path), target="city").class_names == tuple(CITIES)
    assert str(load_data(path)).endswith("rows of 4 columns, 1 classes")


def test_examples_are_numbers_codes_and_nan_and_the_layer_learned_from_training_alone():
    data = load_data(holed(), target="income", missing="impute")
    train, rows = holed().iloc[data.train.rows], data.train.examples()
    assert (rows.dtype, rows.shape, data.train.input_shape) == (np.float32, (70, 3), (3,))
    np.testing.assert_array_equal(rows[:, 0], train["age"])
    codes = train["city"].map({"Bonn": 0, "Oslo": 1, "Rome": 2})
    np.testing.assert_array_equal(rows[:, 1], codes)
    preparation = data.preparation
    assert preparation.columns == ("age", "city", "member")
    assert preparation.categories == (None, tuple(CITIES), None)
    np.testing.assert_allclose(preparation.mean[0], train["age"].mean())
    np.testing.assert_allclose(preparation.scale[0], train["age"].std(ddof=0))
    assert data.input_shape == preparation.output_shape == (5,)
    again = preparation_from_config(json.loads(json.dumps(preparation.get_config())))
    assert again == preparation
    outputs = keras.ops.convert_to_numpy(preparation.layer()(rows))
    known = train["age"].fillna(train["age"].mean())
    np.testing.assert_allclose(outputs[:, 0], (known - known.mean()) / preparation.scale[0], 1e-4)
    np.testing.assert_array_equal(outputs[:, 1:4], np.stack([codes == n for n in range(3)], 1))
    restored = preparation.restored(outputs)
    full = ~np.isnan(rows)
    np.testing.assert_allclose(restored[full], rows[full], rtol=1e-5, atol=1e-6)


def test_constant_columns_become_zero_whatever_comes_later():
    data = load_data(with_column(7.25), target="income")
    rows = people(3).assign(odd=[7.25, 8.0, 1e9])
    np.testing.assert_array_equal(prepared(data, rows)[:, -1], 0)


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        (np.arange(100, dtype="uint8"), None),
        (pd.array(np.arange(100), "Int64"), None),
        (np.arange(100).astype(object), None),
        (pd.array([True, False] * 50, "boolean"), None),
        (pd.Categorical([3, 1] * 50), ("1", "3")),
        (pd.array(["a", "b"] * 50, "string"), ("a", "b")),
    ],
)
def test_a_column_is_what_its_type_says(values, categories):
    data = load_data(with_column(values), target="income")
    assert data.preparation.categories[-1] == categories


def test_arrays_of_vectors():
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float64")
    data = load_data((x, np.arange(60) % 3))
    assert str(data) == "arrays: 42 train, 6 validation, 12 test rows of 4 columns, 3 classes"
    np.testing.assert_array_equal(data.test.examples(), x[data.test.rows].astype("float32"))
    train, test = (people(90), np.arange(90) % 2), (people(9, seed=1)[::-1], np.arange(9) % 2)
    data = load_data((train, test))
    assert (len(data.test), data.preparation.categories[1]) == (9, tuple(CITIES))
    swapped = test[0][["income", "city", "age", "member"]]
    same = load_data((train, (swapped, test[1])))
    np.testing.assert_array_equal(data.test.examples(), same.test.examples())


def test_a_csv_written_with_its_index_has_no_column_of_it(tmp_path):
    people().rename(lambda row: f"row {row}").to_csv(tmp_path / "people.csv")
    data = load_data(tmp_path / "people.csv", target="income")
    assert data.preparation.columns == ("age", "city", "member")
    assert data.preparation.names(tmp_path / "people.csv")[:2] == ["row 0", "row 1"]


# What is refused.

DATES = pd.date_range("2024-01-01", periods=100)
BAD_COLUMNS = {
    "dates": (DATES, "'odd' holds dates or times.*dt.dayofweek"),
    "spans": (DATES - DATES[0], "'odd' holds dates or times"),
    "ids": ([f"id {row}" for row in range(100)], "'odd' has another string in each of 100 rows"),
    "mixed": ([1, "a"] * 50, "'odd' holds values of the kind 'mixed-integer'"),
    "lists": ([[1]] * 100, "'odd' holds values of the kind 'mixed'"),
    "numbers and a mark": ([*map(str, range(40)), "?"] * 2 + ["1"] * 18, r"but also '\?'"),
    "infinite": ([np.inf] + [0.0] * 99, "'odd' holds 1 infinite values"),
    "missing": ([np.nan, None] + [0.0] * 98, r"missing in 1 columns, 'odd' \(2\).*impute"),
    "all missing": ([None] * 100, r"'odd' \(100\)"),
    "far off": (1e9 + np.arange(100), "'odd' has values from 1000000000 to 1000000099.*subtract"),
    "huge": (np.arange(100) * 1e300, "'odd' has values"),
    "all huge": ([1e300] * 100, "'odd' has values of 1e\\+300, too large"),
    "tiny": (np.arange(100) * 1e-300, "'odd' has values .* another unit"),
    "huge integers": ([2**60 + row for row in range(100)], "'odd' has values"),
    "complex": (np.arange(100) * 1j, "'odd' holds values of the kind 'complex'"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_odd_columns_are_refused_by_name(case):
    values, message = BAD_COLUMNS[case]
    with pytest.raises(ValueError, match=message):
        load_data(with_column(values), target="income")


def test_too_many_categories_are_refused():
    frame = people(3000).assign(odd=[f"{row // 2}x" for row in range(3000)])
    with pytest.raises(ValueError, match="'odd' has 1500 categories, above 1000"):
        load_data(frame, target="income")


def test_columns_without_values_in_the_training_part_are_refused():
    with pytest.raises(ValueError, match="without a value in the training part: 'odd'"):
        load_data(with_column([None] * 100), target="income", missing="impute")


def test_categories_that_the_training_part_lacks_are_refused_or_unknown():
    train, test = people(90), people(9).assign(city="Paris")
    pairs = [(frame.drop(columns="income"), frame["income"]) for frame in (train, test)]
    with pytest.raises(ValueError, match="'city' has 9 values in the validation or test part"):
        load_data(tuple(pairs))
    data = load_data(tuple(pairs), missing="impute")
    assert data.preparation.categories[1] == ("Bonn", "Oslo", None, "Rome")
    assert data.input_shape == (5,)
    outputs = keras.ops.convert_to_numpy(data.preparation.layer()(data.test.examples()))
    np.testing.assert_array_equal(outputs[:, 1:4], 0)
    np.testing.assert_array_equal(prepared(data, test), outputs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b\n1;2\n", "not parted by commas.*sep"),
        ("1,2\n3,4\n", "first line must name columns, but holds: 1, 2"),
        ("a,b,a\n1,2,3\n", "same name, 'a'"),
        ("a,b\n1,2,3\n4,5,6\n", "cannot be read"),
        ("", "cannot be read"),
        ("a,b\n", "not a single one"),
        ("a,b\n1,\xff\n", "cannot be read.*utf-8"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, message):
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        load_data(path, target="a")
    path.rename(tmp_path / "people.parquet")
    with pytest.raises(ValueError, match="cannot be read"):
        load_data(tmp_path / "people.parquet")
    with pytest.raises(ValueError, match="is no file"):
        load_data(path)


def test_what_a_masked_array_hides_is_missing():
    x = np.ma.masked_greater(np.arange(60).reshape(20, 3), 50)
    with pytest.raises(ValueError, match=r"'0' \(3\), '1' \(3\), '2' \(3\)"):
        load_data((x, None))


def test_categories_stay_so_where_the_parts_have_others():
    def frame(*floors):
        return pd.DataFrame({"age": np.arange(40), "floor": pd.Categorical([*floors] * 10)})

    x, y = frame(1, 2, 3, 4), np.arange(40) % 2
    for test in (frame(1, 2, 3, 3), x.astype({"floor": int})):
        data = load_data(((x, y), (test, y)))
        assert data.preparation.categories == (None, ("1", "2", "3", "4"))
        np.testing.assert_array_equal(data.test.examples()[:, 1] + 1, test["floor"].astype(int))


def test_the_target_may_be_named_by_a_number():
    frame = pd.DataFrame(np.random.default_rng(0).random((40, 3)))
    for target in (2, np.int64(2), "2", [2], frame.columns[-1:]):
        assert load_data(frame, target=target).target_names == ("2",)
    for target in (1.5, [1, 7]):
        with pytest.raises(ValueError, match="As `target`, the columns"):
            load_data(frame, target=target)


def test_illegal_arguments_are_refused():
    for targets in ([], ["age", "age"]):
        with pytest.raises(ValueError, match="`target` must name"):
            load_data(people(), target=targets)
    with pytest.raises(ValueError, match="for folders of images"):
        load_data(people(), image_size=(4, 4))
    with pytest.raises(ValueError, match="same columns; received 4 and 5"):
        load_data(((np.zeros((9, 4)), None), (np.zeros((9, 5)), None)))
    with pytest.raises(ValueError, match=r"`target`.* 'incme' .*Did you mean 'income'"):
        load_data(people(), target="incme")
    with pytest.raises(ValueError, match="`target`='income' is for tables"):
        load_data("digits", target="income")
    with pytest.raises(ValueError, match="`missing` must be one of"):
        load_data(people(), missing="drop")
    with pytest.raises(ValueError, match="`missing`='impute' is for tables"):
        load_data((np.zeros((9, 4, 4)), None), missing="impute")
    with pytest.raises(ValueError, match="no columns beside its targets"):
        load_data(people()[["age"]], target="age")
    frame = people().rename(columns={"member": "age"})
    with pytest.raises(ValueError, match="same name, 'age'"):
        load_data(frame, target="income")
    with pytest.raises(ValueError, match=r"must be numbers, .* DataFrame"):
        load_data((np.array([["1", "a"]] * 9), None))


# What is given to a trained model.


def test_the_index_that_pandas_writes_is_no_column_and_costs_no_category(tmp_path):
    frame = people()
    frame.to_csv(tmp_path / "people.csv")
    data = load_data(tmp_path / "people.csv", target="income", missing="impute")
    same = load_data(frame, target="income", missing="impute")
    np.testing.assert_array_equal(data.train.examples(), same.train.examples())
    rows = data.preparation(tmp_path / "people.csv")
    np.testing.assert_array_equal(rows, data.preparation(frame))
    assert not np.isnan(rows).any()


def test_integers_as_objects_are_the_same_targets():
    frame = people().assign(income=np.arange(100) * 1000)
    frame["income"] = frame["income"].astype(object)
    assert load_data(frame, target="income").is_regression
    with pytest.raises(ValueError, match="`target` must name"):
        load_data(frame, target={"income"})  # a set has no order


def test_what_is_no_table_is_told_how_to_become_one():
    for x in (np.zeros(9), pd.Series(np.zeros(9)), scipy.sparse.csr_matrix(np.eye(9))):
        with pytest.raises(ValueError, match=r"Tables are \(n, columns\), such as x\[:, None\]"):
            load_data((x, np.arange(9) % 2))
    with pytest.raises(ValueError, match=r"in a DataFrame, a \.csv or a \.parquet file"):
        load_data("people.tsv", target="income")


def test_an_integer_category_beside_a_missing_one_stays_what_it_is():
    frame = with_column(pd.Categorical([1, 2] * 50))
    data = load_data(frame, target="income", missing="impute")
    rows = people(2).assign(odd=[1, None])  # which pandas makes floats
    np.testing.assert_array_equal(data.preparation(rows)[:, -1], [0, np.nan])
    with pytest.raises(ValueError, match="'odd' holds categories"):
        data.preparation(np.array([30, 2, 1, 1.0]))


# The layer.


def test_the_layer_computes_in_float32_and_is_kept_by_its_configuration():
    layer = Tabular([None, [0, 2], None], [1e5, 0, 3], [2e4, 1, 0], impute=True, dtype="bfloat16")
    x = np.array([[1.2e5 + 1, 2, 9], [np.nan, np.nan, np.nan], [1e5, 1, 3]], "float32")
    expected = [[1.00005, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    for made in (layer, Tabular.from_config(layer.get_config())):
        outputs = made(x)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    assert layer.compute_output_shape((None, 3)) == (None, 4)


def test_integers_of_many_values_are_real_numbers_as_the_target_of_a_table():
    frame = pd.DataFrame(
        {"age": np.arange(300), "income": 1000 * np.arange(300), "few": [0, 1] * 150}
    )
    assert load_data(frame, target="income").is_regression
    assert load_data(frame, target="few").class_names == ("0", "1")
    strings = frame.assign(income=(frame["income"] % 30000).astype(str))
    assert load_data(strings, target="income").num_classes == 30
