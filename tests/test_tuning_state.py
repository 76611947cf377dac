"""A search's files: what was written is read again, and what is damaged is named."""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys

import keras_tuner
import pytest
from small_searches import QUICK

import tuning
from tuning.oracles import make_oracle
from zoo.records import write_json

OBJECTIVE = keras_tuner.Objective("score", "max")
# Trials that ended when a search is looked at, and in all: Bayesian ones take seconds to draw.
TUNERS = {"random": (6, 9), "bayesian": (3, 5), "grid": (6, 9), "hyperband": (6, 9)}


def oracle_in(directory, tuner, max_trials=9):
    """An oracle of a small space, with a condition in it, as the tuner sets it up."""
    oracle = make_oracle(tuner, OBJECTIVE, max_trials=max_trials, max_epochs=9, seed=0)
    oracle._set_project_dir(directory, "trials")
    oracle.verbose = 0
    hp = keras_tuner.HyperParameters()
    if tuner != "grid":
        hp.Float("x", 1e-3, 1.0, sampling="log")
    hp.Choice("kind", ["a", "b", "c"])
    hp.Choice("width", [1, 2, 4], parent_name="kind", parent_values=["a", "b"])
    hp.Boolean("norm")
    hp.Fixed("fixed", 3)
    oracle.update_space(hp)
    oracle.reload()
    return oracle


def run(oracle, count):
    for _ in range(count):
        trial = oracle.create_trial("tuner0")
        if trial.status == "RUNNING":
            end(oracle, trial)


def end(oracle, trial):
    """The values decide the score, and which trials fail."""
    values = trial.hyperparameters.values
    oracle.seconds[trial.trial_id] = 1.5
    if values["kind"] == "c" and values["norm"]:
        trial.status = "FAILED"
        oracle.errors[trial.trial_id] = "out of memory"
    else:
        score = values.get("x", 0.5) + values.get("width", 3)
        oracle.update_trial(trial.trial_id, {"score": score, "loss": -score})
        trial.status = "COMPLETED"
    oracle.end_trial(trial)


def seen(oracle):
    """All that a search's result is made of."""
    trials = [oracle.trials[key] for key in oracle.start_order]
    return [
        (t.trial_id, t.status, t.score, t.best_step, t.message, t.hyperparameters.values)
        for t in trials
    ] + [oracle.start_order, oracle.end_order, oracle.seconds, oracle.errors]


@pytest.fixture(scope="module", params=TUNERS)
def written(request, tmp_path_factory):
    """A search with some trials that ended, and one that began."""
    directory = tmp_path_factory.mktemp(request.param)
    oracle = oracle_in(directory, request.param)
    run(oracle, TUNERS[request.param][0])
    oracle.create_trial("tuner0")
    statuses = {trial.status for trial in oracle.trials.values()}
    assert statuses >= {"RUNNING", "COMPLETED"}
    return request.param, directory, oracle


def test_what_was_written_is_read_again_and_goes_on_alike(written, tmp_path):
    tuner, directory, oracle = written
    copy = shutil.copytree(directory, tmp_path / "copy [*] \\?{}")
    again = oracle_in(copy, tuner)
    assert seen(again) == seen(oracle)
    whole = oracle_in(tmp_path / "whole", tuner)
    ended, total = TUNERS[tuner]
    run(whole, total)
    run(again, total - ended)
    assert seen(again) == seen(whole)
    assert len(whole.trials) == total


def test_a_trial_that_the_state_does_not_know_is_drawn_again(tmp_path):
    oracle = oracle_in(tmp_path, "hyperband")
    run(oracle, 4)
    state = (tmp_path / "trials" / "oracle.json").read_bytes()
    begun = oracle.create_trial("tuner0")
    # Killed after the trial's file was written, and before the state was.
    (tmp_path / "trials" / "oracle.json").write_bytes(state)
    again = oracle_in(tmp_path, "hyperband")
    assert len(again.trials) == 4
    assert again.create_trial("tuner0").hyperparameters.values == begun.hyperparameters.values


def test_a_trial_that_was_cut_off_runs_again_from_nothing(tmp_path):
    oracle = oracle_in(tmp_path, "random")
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {"score": 100.0})  # killed before it was marked as ended
    again = oracle_in(tmp_path, "random")
    trial = again.create_trial("tuner0")
    again.update_trial(trial.trial_id, {"score": 1.0})
    trial.status = "COMPLETED"
    again.end_trial(trial)
    assert [trial.score for trial in again.trials.values()] == [1.0]


def test_why_a_trial_failed_and_its_seconds_survive_a_kill(tmp_path):
    oracle = oracle_in(tmp_path, "random")
    while not oracle.errors:
        trial = oracle.create_trial("tuner0")
        before = (tmp_path / "trials" / "oracle.json").read_bytes()
        end(oracle, trial)
    # Killed after the trial's file was written, and before the state was.
    (tmp_path / "trials" / "oracle.json").write_bytes(before)
    again = oracle_in(tmp_path, "random")
    assert seen(again) == seen(oracle)
    assert list(again.errors.values()) == ["out of memory"]
    assert set(again.seconds.values()) == {1.5}


def damaged_bytes(content, count, rng):
    for _ in range(count):
        at = rng.randrange(len(content))
        yield content[:at]
        yield content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
        yield content[:at] + content[at + 1 + rng.randrange(40) :]
    yield from (b"", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000)


def places(content, path=()):
    """Every place in nested JSON."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


OTHERS = (None, True, -1, 7, 1.5, float("nan"), "", "x", "0", [], {}, [1], {"a": 1}, 10**400)
LOST = object()


def replaced(content, place, value):
    content = json.loads(json.dumps(content))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is LOST:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


def damaged_values(content, rng):
    for place in places(content):
        for value in (LOST, *rng.sample(OTHERS, 3)):
            yield json.dumps(replaced(content, place, value)).encode()


def test_damaged_files_are_named_or_read_rightly(written, tmp_path):
    tuner, directory, oracle = written
    directory = shutil.copytree(directory, tmp_path / "search")
    rng = random.Random(0)
    trials = directory / "trials"
    last = trials / f"trial_{oracle.start_order[-1]}"
    outcomes = {"named": 0, "read": 0}
    for path in (trials / "oracle.json", trials / "trial_0" / "trial.json", last / "trial.json"):
        content = path.read_bytes()
        mutants = itertools.chain(
            damaged_bytes(content, 40, rng), damaged_values(json.loads(content), rng), [None]
        )
        for mutant in mutants:
            if mutant is None:
                path.unlink()
            else:
                path.write_bytes(mutant)
            try:
                again = oracle_in(directory, tuner)
            except ValueError as error:
                outcomes["named"] += 1
                assert f"{path}' is missing or damaged" in str(error), mutant
            else:
                outcomes["read"] += 1
                assert mutant is not None
                require_right(again, oracle)
        path.write_bytes(content)
    assert outcomes["named"] > outcomes["read"] > 0
    assert seen(oracle_in(directory, tuner)) == seen(oracle)


def require_right(again, oracle):
    """What was read must be whole, and the search must be able to go on with it."""
    assert set(oracle.end_order) <= set(again.start_order) <= set(oracle.start_order)
    for key, trial in again.trials.items():
        assert set(trial.hyperparameters.values) == set(oracle.trials[key].hyperparameters.values)
    again.get_best_trials(9)
    json.dumps([again.get_state(), *(trial.get_state() for trial in again.trials.values())])
    if not isinstance(again, keras_tuner.oracles.BayesianOptimizationOracle):  # slow
        again.populate_space("9")


def test_a_search_in_a_directory_with_any_name_goes_on(small, tmp_path):
    directory = tmp_path / "a[1] *?\\b{c}"
    options = dict(QUICK, directory=directory, tuner="hyperband")
    options["epochs"] = 2
    first = tuning.search("mlp_tiny", small, max_trials=1, **options)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    again = tuning.search("mlp_tiny", small, max_trials=1, resume=True, **options)
    assert again == first
    del before[directory / ".lock"]
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before, "opening a complete search wrote something"


def test_a_damaged_search_is_named_before_anything_runs(small, tmp_path):
    options = dict(QUICK, directory=tmp_path / "search", max_trials=1)
    tuning.search("mlp_tiny", small, **options)
    state = tmp_path / "search" / "trials" / "oracle.json"
    whole = state.read_bytes()
    state.unlink()
    with pytest.raises(ValueError, match=r"oracle\.json' is missing"):
        tuning.search("mlp_tiny", small, resume=True, **options)
    state.write_bytes(whole)
    record = json.loads((tmp_path / "search" / "search.json").read_text())
    del record["seed"]
    write_json(tmp_path / "search" / "search.json", record)
    with pytest.raises(ValueError, match=r"search\.json' is .*changed since it was written"):
        tuning.search("mlp_tiny", small, resume=True, **options)


SEARCH = """
import dataclasses, os, signal, sys
import numpy as np
import keras, tuning, zoo
digits = zoo.load_data("digits")
small = dataclasses.replace(digits, train=digits.train.subset(np.arange(320)))
class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("held", flush=True)
        sys.stdin.read()
tuning.search(
    "mlp_tiny", small, max_trials=3, directory=sys.argv[1], epochs=1, precision="float32",
    verbose=0, max_parameters=int(sys.argv[2]), resume=len(sys.argv) > 3, callbacks=[Slow()],
)
"""


def test_two_searches_at_once_are_refused(small, tmp_path):
    command = [sys.executable, "-c", SEARCH, tmp_path / "search", "100000"]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, **pipes)
    try:
        assert process.stdout.readline() == "held\n"
        second = subprocess.run(
            [*command, "resume"], capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert second.returncode == 1
    assert f"BlockingIOError: '{tmp_path / 'search'}' is in use by process" in second.stderr
    options = dict(QUICK, max_trials=3, max_parameters=100000)
    result = tuning.search("mlp_tiny", small, directory=tmp_path / "search", resume=True, **options)
    assert [trial.status for trial in result.trials] == ["COMPLETED"] * 3


def test_wrong_values_in_a_record_name_its_file(small, tmp_path):
    tuning.search("mlp_tiny", small, directory=tmp_path, max_trials=1, **QUICK)
    record = json.loads((tmp_path / "search.json").read_text())
    for place in places(record):
        for value in (LOST, None, "x", 7):
            write_json(tmp_path / "search.json", replaced(record, place, value))
            if json.loads((tmp_path / "search.json").read_text()) != record:
                with pytest.raises(ValueError, match=r"search\.json' is missing or damaged"):
                    tuning.load_search(tmp_path)
