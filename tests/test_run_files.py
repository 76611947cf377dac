"""A run's files: what is damaged or missing is named, and a disk without room loses nothing."""

import pytest

import zoo


def test_a_changed_or_missing_file_of_a_complete_run_is_named(digits, tmp_path):
    options = dict(directory=tmp_path, epochs=1, verbose=0)
    zoo.train("mlp_tiny", digits, **options)
    metrics = (tmp_path / "metrics.json").read_text()
    for text in ("{}", metrics.replace("0.", "0.9"), '{"accuracy": NaN}'):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match=r"metrics\.json. is missing or damaged"):
            zoo.load_run(tmp_path)
    (tmp_path / "metrics.json").write_text(metrics)
    history = (tmp_path / "history.csv").read_text()
    for text in (history.replace("1,0.", "1,1."), history[: history.index("\n") + 1]):
        (tmp_path / "history.csv").write_text(text)
        with pytest.raises(ValueError, match=r"history\.csv. is missing or damaged"):
            zoo.load_run(tmp_path)
    (tmp_path / "history.csv").write_text(history)
    other = zoo.train("mlp_tiny", digits, **{**options, "directory": tmp_path / ".b"}, seed=1)
    own = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes((other.directory / "model.keras").read_bytes())
    with pytest.raises(ValueError, match="or is another run's"):
        zoo.load_run(tmp_path)
    (tmp_path / "model.keras").write_bytes(own)
    assert zoo.load_run(tmp_path).is_complete
    (tmp_path / "model.keras").unlink()
    with pytest.raises(ValueError, match=r"model\.keras. is missing"):
        zoo.train("mlp_tiny", digits, resume=True, **options)


def test_what_was_not_written_is_not_counted(digits, tmp_path, no_room):
    with no_room(), pytest.raises(OSError, match="too large") as error:
        zoo.train("mlp_tiny", digits, directory=tmp_path, epochs=2, verbose=0)
    assert "holds 0 of 2 epochs" in error.value.__notes__[0]
    run = zoo.train("mlp_tiny", digits, directory=tmp_path, epochs=2, verbose=0, resume=True)
    assert run.is_complete


def test_a_damaged_run_is_refused(digits, tmp_path):
    zoo.train("mlp_tiny", digits, epochs=1, directory=tmp_path, precision="float32", verbose=0)
    (tmp_path / "metrics.json").unlink()
    options = dict(epochs=1, directory=tmp_path, precision="float32", resume=True, verbose=0)
    model = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(model[:1000])
    with pytest.raises(ValueError, match="missing or damaged"):
        zoo.train("mlp_tiny", digits, **options)
    config = (tmp_path / "config.json").read_text()
    for damaged in ('{"model": "ml', "{}", "[]", "5", config.replace('"epochs": 1', '"epochs": 2')):
        (tmp_path / "config.json").write_text(damaged)
        for open_it in (zoo.load_run, lambda _: zoo.train("mlp_tiny", digits, **options)):
            with pytest.raises(ValueError, match=r"config\.json' is missing or damaged"):
                open_it(tmp_path)
    with pytest.raises(ValueError, match="damaged"):
        zoo.train("mlp_tiny", digits, **options)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config.json is missing"):
        zoo.train("mlp_tiny", digits, **options)


def test_an_unwritable_directory_is_refused(digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="is a file"):
        zoo.train("mlp_tiny", digits, directory=tmp_path / "file")
    with pytest.raises(OSError, match="cannot write"):
        zoo.train("mlp_tiny", digits, directory=tmp_path / "file" / "below")
