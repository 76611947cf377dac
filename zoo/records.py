"""Records of what was done: JSON that is whole at any moment, and the directories it claims."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from zoo.files import cannot_write, replacing

LOCK = ".lock"
CONFIG, SEARCH = "config.json", "search.json"  # the records of a run and of a search


@contextlib.contextmanager
def claimed(
    directory: str | os.PathLike[str],
    record: str,
    identity: Mapping[str, Any],
    *,
    resume: bool = False,
    overwrite: Sequence[str] = (),
    growing: Sequence[str] = (),
) -> Iterator[Path]:
    """Hold a directory for new work, or for going on with the very work that it holds.

    No other process, nor another block of this one, can hold it meanwhile; a killed process leaves
    no lock. Hidden files are no content. On a read-only disk work can be resumed, to be read. To
    begin anew, the files to `overwrite` are deleted, and others stay.
    """
    directory, plain = Path(directory), _plain(identity, record)
    if resume and overwrite:
        raise ValueError("Work is resumed or begun anew: give one of `resume` and `overwrite`.")
    wanted = resume or bool(overwrite)
    # Looked at twice: a foreign directory gets no lock file, and what another process did before
    # the lock was taken counts.
    found = _holds(directory, record, wanted)
    with _lock(directory, reading=found and resume):
        found = _holds(directory, record, wanted)
        if found and resume:
            _go_on(directory / record, plain, growing)
        else:
            if found:
                _clear(directory, record, overwrite)
            write_record(directory / record, {**plain, "versions": versions()})
        yield directory


def read_record(path: Path) -> dict[str, Any]:
    """Read what describes the work in a directory, and refuse it if it was changed since."""
    content = read_json(path)
    with refusing_damage(path):
        if content.pop("checksum") != checksum(content):
            raise ValueError("it was changed since it was written")
    return content


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record with a checksum, by which `read_record` knows it."""
    write_json(path, {**content, "checksum": checksum(content)})


def checksum(content: Any) -> str:
    """Sum up what JSON can hold."""
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def require_free(directory: str | os.PathLike[str], record: str, *, wanted: bool) -> None:
    """Refuse a directory that cannot be claimed now, before what is to be kept there is made."""
    if not isinstance(directory, str | os.PathLike):
        raise ValueError(f"`directory` must be a path, received {directory!r}.")
    _holds(Path(directory), record, wanted)
    if (Path(directory) / LOCK).exists():
        with _lock(Path(directory), reading=True):
            pass


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that is whole at any moment."""
    text = json.dumps(content, indent=2) + "\n"
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    with refusing_damage(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"it holds {type(content).__name__}, expected an object")
        return content


@contextlib.contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names the file."""
    try:
        yield
    except Exception as error:  # what is damaged decides what is raised
        raise ValueError(
            f"{str(path)!r} is missing or damaged ({type(error).__name__}: {error}). Restore it, "
            "or delete its directory and start anew."
        ) from error


def versions() -> dict[str, str]:
    """Tell what is at work."""
    packages = ("keras-zoo", "keras", "tensorflow", "keras-tuner", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def _plain(identity: Mapping[str, Any], record: str) -> dict[str, Any]:
    plain = {}
    for key, value in identity.items():
        try:
            plain[key] = json.loads(json.dumps(value, default=_as_python))
        except TypeError as error:
            raise ValueError(
                f"`{key}` must be plain numbers, strings, booleans, lists and tuples, to be kept "
                f"in {record}; received {error}."
            ) from error
    return plain


def _as_python(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r}, which is of type {type(value).__name__}")


def _holds(directory: Path, record: str, wanted: bool) -> bool:
    """Whether there is work in the directory; refuse one that cannot be used."""
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(f"{str(directory)!r} is a file: choose another directory.")
    if not directory.exists() or all(path.name.startswith(".") for path in directory.iterdir()):
        return False
    if not wanted:
        raise FileExistsError(
            f"{str(directory)!r} is not empty. Choose another directory, delete it, or resume what "
            "it holds (`resume=True`)."
        )
    if not (directory / record).exists():
        raise ValueError(
            f"{str(directory)!r} holds nothing to go on with: {record} is missing. Choose another."
        )
    return True


def _lock(directory: Path, *, reading: bool) -> contextlib.AbstractContextManager[Any]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / LOCK).acquire(timeout=0)
    except filelock.Timeout as error:
        raise BlockingIOError(
            f"{str(directory)!r} is in use{_holder(directory)}: wait until that has ended, or "
            "choose another directory."
        ) from error
    except OSError as error:
        # Nobody can write there, so there is nobody to keep out.
        if reading and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return contextlib.nullcontext()
        raise cannot_write(directory, error) from error
    with contextlib.suppress(OSError):
        # Where the disk knows no locks, filelock keeps more in the file, which must stay.
        if (directory / LOCK).read_text().isdecimal() or not (directory / LOCK).stat().st_size:
            (directory / LOCK).write_text(str(os.getpid()))
    return lock


def _holder(directory: Path) -> str:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return f" by process {int((directory / LOCK).read_text().split()[0])}"
    return ""


def _clear(directory: Path, record: str, files: Sequence[str]) -> None:
    """Delete files of the work; the record stays, so that a kill leaves nothing foreign."""
    written_by = read_json(directory / record).get("versions")
    if not isinstance(written_by, dict) or "keras-zoo" not in written_by:
        raise ValueError(
            f"{str(directory / record)!r} was not written by keras-zoo, so its directory is not "
            "overwritten. Choose another directory, or delete it."
        )
    for name in files:
        (directory / name).unlink(missing_ok=True)


def _go_on(path: Path, new: dict[str, Any], growing: Sequence[str]) -> None:
    """Refuse other work than the record's; let the record take what has grown."""
    old = read_record(path)
    then, now = (_flat({**content, "versions": None}) for content in (old, new))
    differences = []
    for key in {**then, **now}:
        before: Any = then.get(key)
        after: Any = now.get(key)
        are_numbers = {type(before), type(after)} <= {int, float}
        if before == after or (key in growing and are_numbers and after > before):
            continue
        hint = " (it can only grow)" if key in growing else ""
        differences.append(f"{key}: {before!r} then, {after!r} now{hint}")
    if differences:
        raise ValueError(
            f"What {str(path)!r} describes was started with other values: "
            f"{'; '.join(differences)}. Give the same ones, or choose another directory."
        )
    if then != now:
        write_record(path, {**old, **new})


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
