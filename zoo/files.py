"""Files and directories that appear whole or not at all."""

import contextlib
import errno
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_PROCESS = secrets.token_hex(4)  # in a container, a new process can have a killed one's number
_numbers = itertools.count()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file that is whole at any moment: the old one, then, in one step, the new.

    When the body, which writes a draft, raises, the old one stays. Drafts of killed processes are
    removed by the next one that writes the file.
    """
    path = Path(path)
    try:
        draft = _draft_of(path)
        try:
            yield draft
            _flush_entry(draft)
            os.replace(draft, path)
        finally:
            _remove(draft)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def new_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a directory that appears at `path` complete, in one step, or never.

    When the body, which fills a hidden draft, raises or is interrupted, nothing is left, not even
    parents that were made. A killed process's draft is removed by the next one for that path.
    """
    target = Path(path).absolute()
    _refuse_existing(target)
    missing = [parent for parent in target.parents if not parent.exists()]
    draft = None
    try:
        draft = _make_draft(target)
        yield draft
        _flush(draft)
        _refuse_existing(target)
        draft.rename(target)
        _flush_entry(target.parent)
    finally:
        if draft is not None:
            _remove(draft)
        for parent in missing:  # deepest first; one that holds something stays
            with contextlib.suppress(OSError):
                parent.rmdir()


def cannot_write(path: Path, error: OSError) -> OSError:
    """Say which path cannot be written, and why."""
    # With an errno, OSError makes its own subclass: PermissionError, FileNotFoundError, ...
    reason = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"cannot write {path} ({reason})")


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target} exists already and is never overwritten: choose another path, or delete it."
        )


def _make_draft(target: Path) -> Path:
    existing = next(parent for parent in target.parents if parent.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"cannot make {target}: {existing} is a file: choose another.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(target)
        draft.mkdir()
    except OSError as error:
        message = f"cannot write in {target.parent} ({error.strerror}): choose another directory"
        raise OSError(error.errno, message) from error
    return draft


def _draft_of(path: Path) -> Path:
    """Choose a hidden name of this process's own; remove what killed processes left."""
    pattern = re.compile(rf"\.tmp-(\d+)-([0-9a-f]{{8}})-\d+-{re.escape(path.name)}")
    for entry in path.parent.iterdir():
        found = pattern.fullmatch(entry.name)
        if found and found[2] != _PROCESS and not _is_another_process(int(found[1])):
            _remove(entry)
    return path.with_name(f".tmp-{os.getpid()}-{_PROCESS}-{next(_numbers)}-{path.name}")


def _is_another_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return number != os.getpid()


def _remove(path: Path) -> None:
    """Remove a file or directory, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _flush(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            _flush_entry(os.path.join(folder, name))
        _flush_entry(folder)


def _flush_entry(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
