"""Records: whole files, and directories that one process holds."""

import functools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

import tuning
import zoo
from zoo.files import new_directory, replacing
from zoo.records import claimed, read_json, read_record, write_json

WORK = {"model": "mlp", "recipe": {"epochs": 3, "rate": 0.1}}
claim = functools.partial(claimed, record="work.json", identity=WORK)


def names(directory):
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


HOLD = """
import sys
from zoo.records import claimed
with claimed(sys.argv[1], "work.json", {"model": "mlp"}, resume=len(sys.argv) > 2):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(directory, *more):
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD, directory, *more], **pipes)
    assert process.stdout.readline() == "held\n"
    return process


def test_one_process_holds_a_directory_and_a_killed_one_leaves_no_lock(tmp_path):
    process = hold(tmp_path / "work")
    try:
        with (
            pytest.raises(BlockingIOError, match=rf"work' is in use by process {process.pid}: "),
            claimed(tmp_path / "work", "work.json", {"model": "mlp"}, resume=True),
        ):
            pass
        with pytest.raises(BlockingIOError), claim(tmp_path / "work", overwrite=["model.keras"]):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = hold(tmp_path / "work", "resume")  # a killed holder leaves no lock
    process.communicate("")
    with claimed(tmp_path / "work", "work.json", {"model": "mlp"}, resume=True):
        pass


def test_a_process_cannot_hold_a_directory_twice_but_again(tmp_path):
    with claim(tmp_path / "a"):
        for _ in range(2):
            with (
                pytest.raises(BlockingIOError, match=f"process {os.getpid()}"),
                claim(tmp_path / "a", resume=True),
            ):
                pass
        with claim(tmp_path / "b"):
            pass
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "a", resume=True):
        raise KeyboardInterrupt
    with claim(tmp_path / "a", resume=True) as path:
        assert names(path) == ["work.json"]


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": ["model.keras"]}], ids=str)
def test_a_foreign_directory_stays_as_it_is(tmp_path, options):
    (tmp_path / "holidays.txt").write_text("mine")
    with (
        pytest.raises((FileExistsError, ValueError), match="directory"),
        claim(tmp_path, **options),
    ):
        pass
    assert os.listdir(tmp_path) == ["holidays.txt"]
    with (
        pytest.raises(FileExistsError, match="is a file"),
        claim(tmp_path / "holidays.txt", **options),
    ):
        pass


def test_hidden_files_do_not_count_as_content(tmp_path):
    (tmp_path / ".gitignore").write_text("*")
    with claim(tmp_path):
        pass
    assert (tmp_path / ".gitignore").exists()


def test_overwrite_begins_anew_where_there_is_such_work_and_only_there(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("stays")
    with claim(tmp_path / "work", overwrite=["model.keras"]) as path:  # nothing there yet
        (path / "served").mkdir()
        (path / "served" / "mine").write_text("stays")
        (path / "model.keras").write_text("blown up")
        (path / "link").symlink_to(tmp_path)
    other = {**WORK, "recipe": {"epochs": 1}}
    with claimed(tmp_path / "work", "work.json", other, overwrite=["model.keras"]) as path:
        assert names(path) == ["link", "served", "work.json"]
        assert read_json(path / "work.json")["recipe"] == {"epochs": 1}
    assert outside.read_text() == "stays"
    write_json(path / "work.json", {"model": "of another program"})
    (path / "precious").write_text("")
    with (
        pytest.raises(ValueError, match="not written by keras-zoo"),
        claim(path, overwrite=["model.keras"]),
    ):
        pass
    assert names(path) == ["link", "precious", "served", "work.json"]
    with (
        pytest.raises(ValueError, match="one of"),
        claim(path, overwrite=["model.keras"], resume=True),
    ):
        pass


def test_what_may_grow_grows_and_the_rest_stays(tmp_path):
    with claim(tmp_path / "work"):
        versions = read_json(tmp_path / "work" / "work.json")["versions"]
    growing = functools.partial(
        claimed, tmp_path / "work", "work.json", resume=True, growing=["recipe.epochs"]
    )
    with growing({**WORK, "recipe": {"epochs": 5, "rate": 0.1}}) as path:
        record = read_record(path / "work.json")
    assert record == {"model": "mlp", "recipe": {"epochs": 5, "rate": 0.1}, "versions": versions}
    for recipe, message in [
        ({"epochs": 4, "rate": 0.1}, r"epochs: 5 then, 4 now \(it can only grow\)"),
        ({"epochs": "6", "rate": 0.1}, "epochs: 5 then, '6' now"),
        ({"epochs": 6, "rate": 0.2}, "rate: 0.1 then, 0.2 now"),
        ({"epochs": 6}, "rate: 0.1 then, None now"),
    ]:
        with (
            pytest.raises(ValueError, match=rf"work.json' .*{message}"),
            growing({**WORK, "recipe": recipe}),
        ):
            pass
    assert read_record(path / "work.json") == record


def test_what_is_no_plain_value_is_refused_and_named(tmp_path):
    with (
        pytest.raises(
            ValueError, match=r"`task` must be .* work.json; received <object.* of type object"
        ),
        claimed(tmp_path / "work", "work.json", {"task": {"margin": object()}}),
    ):
        pass
    assert not (tmp_path / "work").exists()
    with claimed(tmp_path / "work", "work.json", {"rate": np.float32(0.5), "shape": (1, 2)}):
        pass
    with claimed(tmp_path / "work", "work.json", {"rate": 0.5, "shape": [1, 2]}, resume=True):
        pass


AS_NOBODY = """
import os, sys
from zoo.records import claimed, write_json
os.setgroups([]), os.setgid(65534), os.setuid(65534)
work = {"model": "mlp"}
with claimed(sys.argv[1], "work.json", work, resume=True) as path:
    try:
        write_json(path / "more.json", {})
    except PermissionError as error:
        print(error)
try:
    with claimed(sys.argv[1] + "/new", "work.json", work):
        pass
except PermissionError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_cannot_be_written_can_be_read():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        with claimed(f"{directory}/work", "work.json", {"model": "mlp"}) as path:
            pass
        ran = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, path], capture_output=True, text=True, check=True
        )
    refused = ran.stdout.splitlines()
    assert f"cannot write {path}/more.json (Permission denied)" in refused[0]
    assert f"cannot write {path}/new (Permission denied)" in refused[1]


def write_half(path, error):
    with replacing(path) as draft:
        draft.write_text("half")
        raise error


def test_a_file_is_the_old_one_or_the_new(tmp_path):
    path = tmp_path / "model [*].keras"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with replacing(path) as draft:
        model.save(draft)
    assert keras.saving.load_model(path).count_params() == 3
    before = path.read_bytes()
    for error in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(error):
            write_half(path, error)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
    with replacing(path) as one, replacing(path) as other:  # as two threads may
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    for target in (tmp_path / "none" / "a.txt", tmp_path):
        with pytest.raises(OSError, match=f"cannot write {target}"), replacing(target) as draft:
            draft.write_text("")


WRITE = """
import os, signal, sys
from zoo.files import new_directory, replacing
with replacing(sys.argv[1] + "/a.json") as one, new_directory(sys.argv[1] + "/b") as two:
    one.write_text("half")
    (two / "c").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_killed_processes_leave_is_removed_by_the_next_write(tmp_path):
    killed = subprocess.run([sys.executable, "-c", WRITE, tmp_path], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = os.listdir(tmp_path)
    assert len(left) == 2
    assert names(tmp_path) == []
    # In a container the next process may have the killed one's number.
    number = left[0].split("-")[1]
    (tmp_path / f".tmp-{os.getpid()}-0123abcd-7-a.json").write_text("half")
    living = tmp_path / f".tmp-{os.getppid()}-0123abcd-7-a.json"
    living.write_text("being written")
    assert number != str(os.getpid())
    write_json(tmp_path / "a.json", {})
    with new_directory(tmp_path / "b"):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, "a.json", "b"])


FULL = """
import resource, sys, keras
from pathlib import Path
from zoo.files import replacing
from zoo.records import write_json
model = keras.Sequential([keras.Input((200,)), keras.layers.Dense(200)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
def write_model(path):
    with replacing(path) as draft:
        model.save(draft)
for name, write in {"a.json": lambda path: write_json(path, {"a": "b" * 2000}),
                    "m.keras": write_model}.items():
    try:
        write(Path(sys.argv[1]) / name)
    except OSError as error:
        print(error)
"""


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    ran = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    assert [
        f"cannot write {tmp_path}/{name} (" in line
        for name, line in zip(("a.json", "m.keras"), lines, strict=True)
    ] == [True, True]
    assert os.listdir(tmp_path) == ["a.json"]
    assert read_json(tmp_path / "a.json") == {"old": 1}


@pytest.mark.parametrize(
    "content", [b"", b'{"a": 1', b"[1]", b"3", b"\xff\xfe", b"[" * 100_000, None], ids=repr
)
def test_damaged_and_missing_json_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json' is missing or damaged"):
        read_json(tmp_path / "a.json")


def test_a_directory_that_cannot_be_claimed_is_refused_before_anything_else(tmp_path, digits):
    with claimed(tmp_path / "a", "config.json", {}):
        for options in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(BlockingIOError, match="in use"):
                zoo.train("mlp_tiny", digits, directory=tmp_path / "a", epochs=-1, **options)
    with claimed(tmp_path / "b", "search.json", {}), pytest.raises(BlockingIOError, match="in use"):
        tuning.search("mlp_tiny", digits, directory=tmp_path / "b", resume=True, max_trials=-1)
    with pytest.raises(FileExistsError, match="is not empty"):
        zoo.train("mlp_tiny", digits, directory=tmp_path / "a", epochs=-1)
    program = Path(sys.executable).with_name("keras-zoo")
    options = ["mlp", "nowhere.csv", "--directory", str(tmp_path / "a")]
    for command in ([program, "train", *options], [f"{program}-tune", *options]):
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 1
        assert "is not empty" in result.stderr
