"""Studies: three files each, words that follow from the numbers, and what they refuse."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import zoo.cli
import zoo.studies
from zoo.studies.activations import values_and_slopes
from zoo.studies.depth import held as held_of_depth
from zoo.studies.images import digits as moved_digits
from zoo.studies.nets import Net, add_measure, interleaved, train_nets
from zoo.studies.study import Saying, Spread, empty_folder, judged, write_study

FEW = dict(epochs=1, seeds=1, verbose=0)
ONCE = dict(blocks=1, rounds=1)
SMALLEST = {
    "activations": dict(names=("linear", "sigmoid", "relu"), **ONCE),
    "batch_norm": dict(num_layers=2),
    "depth": dict(depths=(1, 2)),
    "optimizers": dict(names=("adam", "sgd")),
    "pooling": dict(filters=2, **ONCE),
    "recurrent": dict(lengths=(4, 6), examples=64),
    "sharing": dict(examples=(40,)),
}


@pytest.fixture
def table():
    """Two nets, whose accuracies overlap in part and whose losses do not."""
    made = pd.DataFrame({"net": ["one", "other"], "parameters": [1200, 30]}).set_index("net")
    add_measure(made, "accuracy", {"one": [0.5, 0.9], "other": [0.8, 0.85]})
    add_measure(made, "loss", {"one": [0.1, 0.2], "other": [0.3, 0.5]})
    return made


@pytest.mark.parametrize("name", zoo.studies.STUDIES)
def test_a_study_writes_a_picture_a_table_and_a_page(name, tmp_path):
    folder = tmp_path / "new" / name
    found = zoo.studies.STUDIES[name](folder, **FEW, **SMALLEST[name])
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{end}" for end in ("png", "csv", "md")
    }
    assert min(Image.open(found.picture).size) > 400
    levels = list(range(found.table.index.nlevels))
    read = pd.read_csv(folder / f"{name}.csv", index_col=levels)
    pd.testing.assert_frame_equal(read, found.table, check_dtype=False)
    assert np.isfinite(found.table.to_numpy(float)).all()
    page = found.page.read_text()
    assert found.claims
    for claim in found.claims:
        assert f"{claim.text} **" in page
        assert f"Measured: {claim.measured}." in page
    assert "{" not in page


def test_the_slopes_are_those_of_the_formula():
    x = np.linspace(-4, 4, 100, dtype="float32")
    values, slopes = values_and_slopes("sigmoid", x)
    wanted = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(values, wanted, atol=1e-6)
    np.testing.assert_allclose(slopes, wanted * (1 - wanted), atol=2e-6)


def test_gradients_fall_where_they_must(tmp_path):
    options = dict(depths=(1, 8), epochs=1, seeds=1, verbose=0)
    ratios = zoo.studies.depth(tmp_path, **options).table["first over last gradient"]
    assert ratios["sigmoid", 8] < 1e-3 < ratios["ReLU", 8]
    assert ratios["sigmoid", 1] > 1e-3


def test_a_claim_holds_where_all_runs_agree(table):
    told = judged(
        [
            Saying("Other loses more.", "loss", "other", "one"),
            Saying("One loses more.", "loss", "one", "other"),
            Saying("Other is right more often.", "accuracy", "other", "one"),
            Saying("One is right more than half of the time.", "accuracy", "one", 0.45),
            Saying("One is large.", "parameters", "one", 100.0),
            Saying("A third is right more often.", "accuracy", "third", "one"),
        ],
        table,
    )
    assert [claim.holds for claim in told] == [True, False, None, True, True]
    assert told[2].measured == "accuracy: other 82.5 % (80.0 to 85.0); one 70.0 % (50.0 to 90.0)"
    assert told[4].measured == "parameters: one 1,200; the limit 100"


@pytest.mark.parametrize(
    ("more", "than", "verdict"),
    [
        ("other", "one", "It held."),
        ("one", "other", "It did not hold."),
        ("one", 0.15, "Too close to tell."),
    ],
)
def test_the_page_says_whether_a_claim_held(more, than, verdict, table, tmp_path):
    from matplotlib.figure import Figure

    claims = judged([Saying("So it is said.", "loss", more, than)], table)
    words = ("Asked.", "Done.")
    found = write_study(tmp_path, "made", "Made up", words, table, claims, Figure())
    page = found.page.read_text()
    assert f"1. So it is said. **{verdict}**" in page
    assert "| one | 1,200 | 70.0 % (50.0 to 90.0) | 0.15 (0.1 to 0.2) |" in page
    assert str(found.claims[0]).startswith(f"So it is said. {verdict} Measured: loss: ")


def test_words_on_depth_follow_from_the_table():
    index = pd.MultiIndex.from_product(
        [["sigmoid", "ReLU", "ReLU, skips"], [1, 9]], names=["net", "layers"]
    )

    def claims(**accuracies):
        made = pd.DataFrame(index=index)
        values = {(net, layers): [0.9] for net, layers in index}
        values.update({(net, 9): [value] for net, value in accuracies.items()})
        add_measure(made, "accuracy", values)
        add_measure(made, "first over last gradient", {key: [0.5] for key in index})
        return held_of_depth(made)

    held = claims(sigmoid=0.1)[0]
    assert held.holds is True
    assert held.measured == "under 50% are right: sigmoid from 9 layers on; ReLU never"
    assert claims(sigmoid=0.1, ReLU=0.2)[0].holds is False
    assert claims()[0].holds is False
    assert [claim.holds for claim in claims(sigmoid=0.1)[1:3]] == [False, True]


def test_digits_are_moved_but_not_changed(digits):
    middle, moved = moved_digits(12), moved_digits(12, test_shift=2)
    for data in (middle, moved):
        assert data.input_shape == (12, 12, 1)
        np.testing.assert_array_equal(data.validation.labels, data.test.labels)
        ink = [part.examples().sum((1, 2, 3)) for part in (data.validation, data.test)]
        np.testing.assert_allclose(*ink, rtol=1e-5)
    np.testing.assert_array_equal(middle.validation.examples(), middle.test.examples())
    same = (moved.validation.examples() == moved.test.examples()).all((1, 2, 3)).mean()
    assert 0 < same < 0.2  # one place of 25


def test_what_diverges_is_a_result(tmp_path):
    recipe = dict(optimizer="sgd", learning_rate=1e30, epochs=2)
    arguments = dict(hidden_units=(8,), batch_norm=False, activation="linear")
    net = Net(
        labels={"net": "wild"},
        model="mlp",
        arguments=arguments,
        data=moved_digits(),
        recipe=recipe,
    )
    (run,) = train_nets([net], seeds=1, seed=0, verbose=0)
    assert run.history["loss"] == [math.inf] * 2


def test_equal_seeds_start_from_equal_weights():
    nets = [
        Net(
            labels={"net": name},
            model="mlp_tiny",
            arguments={},
            data=moved_digits(),
            recipe=dict(optimizer=name),
        )
        for name in ("sgd", "adam")
    ]
    first, second = (net.compiled(3)[0].get_weights() for net in nets)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_calls_take_turns():
    calls = []
    times = interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, blocks=2, rounds=3
    )
    assert "".join(calls) == "ab" * 7
    assert {name: len(found) for name, found in times.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize("name", zoo.studies.STUDIES)
def test_a_directory_that_cannot_be_filled_is_refused_before_work(name, tmp_path, monkeypatch):
    def no_work(*arguments, **options):
        raise AssertionError("it trained")

    monkeypatch.setattr(keras.Model, "fit", no_work)
    run = zoo.studies.STUDIES[name]
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="is not empty: choose another directory"):
        run(tmp_path)
    with pytest.raises(FileExistsError, match="is a file"):
        run(tmp_path / "mine.txt")
    with pytest.raises(OSError, match="cannot write"):
        run(tmp_path / "mine.txt" / "below")
    with pytest.raises(ValueError, match="`directory` must be a path, received None"):
        run(None)
    for wrong in ("epochs", "seeds"):
        with pytest.raises(ValueError, match=f"`{wrong}` must be an integer of at least 1"):
            run(tmp_path / "new", **{wrong: 0})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_a_study_that_failed(tmp_path):
    def fail():
        with empty_folder(tmp_path / "a" / "b") as folder:
            assert folder.is_dir()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("activations", dict(names=("rleu",)), "Did you mean 'relu'"),
        ("activations", dict(names=()), "`names` must be a list of names"),
        ("optimizers", dict(names="sgd"), "`names` must be a list of names, received 'sgd'"),
        ("optimizers", dict(names=("adamm",)), "Did you mean 'adam"),
        ("batch_norm", dict(num_layers=1), "`num_layers` must be an integer of at least 2"),
        ("depth", dict(depths=(0, 2)), "an integer of at least 1, received 0"),
        ("depth", dict(depths=(3, 3)), "`depths` must be two different integers or more"),
        ("sharing", dict(examples=(5000,)), "`examples` must be from 20 to 1258"),
        ("recurrent", dict(lengths=(1, 5)), "each at least 2, received "),
        ("pooling", dict(rounds=0), "`rounds` must be an integer of at least 1"),
        ("pooling", dict(seed=-1), "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        zoo.studies.STUDIES[name](tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_the_command_studies_lists_and_refuses(tmp_path, capsys):
    def keras_zoo(*arguments):
        with pytest.raises(SystemExit) as end:
            zoo.cli.main(["study", *arguments])
        return end.value.code, *capsys.readouterr()

    code, listed, _ = keras_zoo()
    assert code == 0
    assert [line.split()[0] for line in listed.splitlines()] == list(zoo.studies.STUDIES)
    options = ("--epochs", "1", "--seeds", "1", "--directory", str(tmp_path / "new"))
    code, shown, _ = keras_zoo("depth", "--argument", "depths=[1, 2]", *options)
    assert code == 0
    lines = shown.splitlines()
    assert lines[0].startswith("1/6  sigmoid, 1, seed 0: ")
    assert any("It held. Measured: " in line or "It did not hold." in line for line in lines)
    assert lines[-1] == f"written to {tmp_path / 'new'}"
    assert "Did you mean 'depth'" in keras_zoo("dept")[2]
    assert "has no argument 'deep'" in keras_zoo("depth", "--argument", "deep=1", *options)[2]
    assert "--directory must be a path" in keras_zoo("depth")[2]
    assert "is not empty" in keras_zoo("depth", *options)[2]


def test_spreads_are_told_as_they_are():
    assert Spread(0.5, 0.4, 0.6).told("accuracy where moved") == "50.0 % (40.0 to 60.0)"
    assert Spread(1234.5, 1234.5, 1234.5).told("ms") == "1,234"
    assert Spread(2e-9, 1e-9, 3e-9).told("ratio") == "2e-09 (1e-09 to 3e-09)"
