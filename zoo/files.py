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
    """Write a file that is whole at any moment: the old one, then the new.

    The body writes a hidden file beside the target. When the body ends, that file is flushed to
    the disk and takes the target's name in one step. When it raises, the target stays as it was.
    What killed processes left of such files is removed by the next one that writes the target.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(path) as draft:
        ...     size = draft.write_text("whole")
        >>> path.read_text()
        'whole'
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
    """Fill a directory that appears at `path` complete, or never.

    The body writes into a draft that lies hidden beside the target, on the same disk. When the
    body ends, the draft is flushed to the disk and renamed to `path` in one step. When it raises,
    or is interrupted, nothing is left, not even the parents that were made for it. A process
    that is killed can leave the hidden draft, never the target; the next one that makes the target
    removes that draft.

    Example:
        >>> import tempfile, zoo.files
        >>> target = tempfile.mkdtemp() + "/results"
        >>> with zoo.files.new_directory(target) as draft:
        ...     size = (draft / "table.csv").write_text("a,b")
        >>> os.listdir(target)
        ['table.csv']
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
    """Say which path cannot be written, and why.

    Example:
        >>> cannot_write(Path("a.txt"), OSError(errno.ENOSPC, "No space left on device"))
        OSError(28, 'cannot write a.txt (No space left on device)')
    """
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
        raise NotADirectoryError(
            f"cannot make {target}: {existing} is a file. Choose a path inside a directory."
        )
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
