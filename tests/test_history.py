"""Tables of what a training logs: kept as they were, or refused; what is no number is left out."""

import itertools
import random
import warnings

import keras
import numpy as np
import pytest

from zoo.history import numbers_of, read_table, write_table

ROWS = [
    {"epoch": 1, "loss": 0.1 + 0.2, 'a,"b"\nc\r': 1.0},
    {"epoch": 2, "loss": float("inf"), "": -5e-324},
    {"epoch": 3, "late": 1e300},
]


def test_a_table_holds_what_was_logged(tmp_path):
    path = tmp_path / "history.csv"
    write_table(path, ROWS)
    assert read_table(path) == ROWS
    write_table(path, read_table(path))
    assert read_table(path) == ROWS
    write_table(path, [])
    assert read_table(path) == []
    write_table(path, [{"loss": float("nan"), "\udcff": 1.0}])
    assert np.isnan(read_table(path)[0]["loss"])


def mutants(content, count, seed=0):
    """Files as a crash or a bad disk leaves them: cut, with flipped, lost and doubled bytes."""
    rng = random.Random(seed)
    for _ in range(count):
        at = rng.randrange(len(content))
        yield content[:at]
        yield content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
        yield content[:at] + content[at + 1 + rng.randrange(9) :]
        yield content[:at] + content[max(0, at - rng.randrange(9)) :]


def test_a_damaged_table_is_named_or_still_a_table(tmp_path):
    path = tmp_path / "history.csv"
    rows = [{"loss": 1.5 / n, "val_loss": 2.5 / n, "accuracy": n / 30} for n in range(1, 21)]
    write_table(path, rows)
    whole, refused = path.read_bytes(), 0
    for content in itertools.chain(mutants(whole, 150), [b"epoch,loss,loss\n", b"loss\n1\n"]):
        path.write_bytes(content)
        try:
            table = read_table(path)
        except ValueError as error:
            refused += 1
            assert "history.csv' is missing or damaged" in str(error)
        else:
            assert [row["epoch"] for row in table] == [*range(1, len(table) + 1)]
            assert all(isinstance(value, float | int) for row in table for value in row.values())
    assert refused > 300  # the others are numbers, too
    path.unlink()
    with pytest.raises(ValueError, match=r"history\.csv"):
        read_table(path)


class Odd:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("no")


def test_what_is_no_number_in_logs_is_left_out_with_a_warning():
    logs = {
        "loss": np.float32(0.5),
        "steps": 3,
        "rate": keras.Variable(0.25),
        "nan": float("nan"),
        "half": keras.ops.cast(2.0, "bfloat16"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        kept = numbers_of(logs)
        assert numbers_of(None) == {}
    assert {**kept, "nan": 0} == {"loss": 0.5, "steps": 3, "rate": 0.25, "nan": 0, "half": 2}
    assert all(type(value) is float for value in kept.values())
    bad = {
        "text": "3.5",
        "none": None,
        "matrix": np.eye(2),
        "one": [1.0],
        "complex": np.complex64(1j),
        "huge": 10**400,
        "odd": Odd(),
        "epoch": 7,
        3: 1.0,
    }
    for name, value in bad.items():
        with pytest.warns(UserWarning, match=rf"{name!r} in the logs"):
            assert numbers_of({name: value, "loss": 1}) == {"loss": 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            numbers_of({"text": "a", "none": None})
    assert len(caught) == 2
