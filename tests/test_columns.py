"""Tables that would be misread in silence: numbers and dates as text, gaps in an export."""

import keras
import numpy as np
import pandas as pd
import pytest

from zoo.data import load_data
from zoo.layers import Tabular

COUNT = 100
FEW = np.arange(COUNT) % 25


def table(values):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"odd": values, "age": rng.integers(18, 80, COUNT), "pay": rng.random(COUNT)}
    )


TEXTS = {
    "numbers": ([str(value) for value in FEW], "numbers as text, such as '0'.*astype"),
    "thousands": ([f"{value + 1000:,}" for value in FEW], "numbers as text, such as '1,000'"),
    "dates": ([f"2024-01-{value + 1:02}" for value in FEW], "'odd' holds dates"),
    "times": ([f"2024-01-{value + 1:02} 10:00:00" for value in FEW], "'odd' holds dates"),
    "ISO times": ([f"2024-01-{value + 1:02}T10:00:00" for value in FEW], "'odd' holds dates"),
    "a gap": ([str(value + 0.5) for value in range(COUNT - 1)] + ["?"], "numbers, but also '\\?'"),
    "german": ([f"{value + 1}.1.2024" for value in FEW], "'odd' holds dates"),
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("from_file", [False, True])
def test_numbers_and_dates_as_text_are_no_categories(case, from_file, tmp_path):
    values, message = TEXTS[case]
    source = table(values)
    if from_file and case != "numbers":  # which a file has no quotes to tell from numbers
        source.to_csv(tmp_path / "table.csv", index=False)
        source = tmp_path / "table.csv"
    with pytest.raises(ValueError, match=message):
        load_data(source, target="pay")


def test_numbers_that_are_said_to_be_categories_are_taken():
    frame = table(pd.Categorical([str(value % 3) for value in FEW]))
    assert load_data(frame, target="pay").preparation.categories[0] == ("0", "1", "2")


def test_a_file_gives_categories_that_look_like_numbers_as_they_were(tmp_path):
    frame = table(pd.Categorical(["01234", "20095"] * 50))
    frame["floor"] = pd.Categorical([1.0, None] * 50)  # which a file holds as 1.0
    frame.to_csv(tmp_path / "table.csv", index=False)
    prepare = load_data(frame, target="pay", missing="impute").preparation
    np.testing.assert_array_equal(prepare(tmp_path / "table.csv"), prepare(frame))
    assert prepare(frame)[:2, ::2].tolist()[0] == [0, 0]


def test_a_file_gives_words_that_look_like_booleans_as_they_were(tmp_path):
    frame = table(["true", "false", "maybe", "true"] * 25)
    prepare = load_data(frame, target="pay", missing="impute").preparation
    frame.iloc[[0, 3, 1]].to_csv(tmp_path / "table.csv", index=False)
    np.testing.assert_array_equal(prepare(tmp_path / "table.csv")[:, 0], [2, 2, 0])


def test_ages_as_labels_get_a_hint():
    with pytest.raises(ValueError, match=r"all 25 classes.*amounts are no classes"):
        load_data((table(FEW), FEW))


def test_a_missing_value_shows_in_the_outputs_unless_it_is_imputed():
    columns = dict(categories=[None, [0, 1, 2]], mean=[1.0, 0.0], scale=[2.0, 1.0])
    rows, nan = np.array([[3, np.nan], [np.nan, 1]], "float32"), np.nan
    outputs = keras.ops.convert_to_numpy(Tabular(**columns)(rows))
    np.testing.assert_array_equal(outputs, [[1, nan, nan, nan], [nan, 0, 1, 0]])
    outputs = keras.ops.convert_to_numpy(Tabular(**columns, impute=True)(rows))
    np.testing.assert_array_equal(outputs, [[1, 0, 0, 0], [0, 0, 1, 0]])


def test_a_category_that_pandas_takes_for_missing_is_read_back(tmp_path):
    frame = pd.DataFrame({"garage": ["None", "Attached", "NA"] * 20, "size": np.arange(60) % 7})
    prepare = load_data((frame, np.arange(60) % 2)).preparation
    frame.to_csv(tmp_path / "garages.csv", index=False)
    np.testing.assert_array_equal(prepare(tmp_path / "garages.csv"), prepare(frame))
    frame["garage"] = [None, *frame["garage"][1:]]
    frame.to_csv(tmp_path / "garages.csv", index=False)
    with pytest.raises(ValueError, match=r"Values are missing in 1 columns, 'garage' \(1\)"):
        prepare(tmp_path / "garages.csv")
