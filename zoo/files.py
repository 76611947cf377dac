"""Directories that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def new_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a directory that appears at `path` complete, or never.

    The body writes into a draft that lies hidden beside the target, on the same disk. When the
    body ends, the draft is flushed to the disk and renamed to `path` in one step. When it raises,
    or is interrupted, nothing is left, not even the parents that were made for it. A process
    that is killed can leave the hidden draft (its name starts with a dot), never the target.

    Args:
        path: Where the directory will be. Nothing may exist there; missing parents are made.

    Yields:
        The draft directory, to write into.

    Raises:
        FileExistsError: Something exists at `path`, even an empty directory.
        NotADirectoryError: A parent of `path` is a file.
        OSError: The parent cannot be written; the subclass says why (`PermissionError`, ...).

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
    scratch = None
    try:
        scratch = _make_scratch(target)
        # A directory inside the scratch one has the permissions that the user's umask gives;
        # mkdtemp's own are closed to everyone else, such as the user that a server runs as.
        draft = scratch / target.name
        draft.mkdir()
        yield draft
        _flush(draft)
        _refuse_existing(target)
        draft.rename(target)
        _flush_entry(target.parent)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        for parent in missing:  # deepest first; one that holds something stays
            with contextlib.suppress(OSError):
                parent.rmdir()


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target} exists already and is never overwritten: choose another path, or delete it."
        )


def _make_scratch(target: Path) -> Path:
    existing = next(parent for parent in target.parents if parent.exists())
    if not existing.is_dir():
        raise NotADirectoryError(
            f"cannot make {target}: {existing} is a file. Choose a path inside a directory."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        # With an errno, OSError makes its own subclass: PermissionError, FileNotFoundError, ...
        message = f"cannot write in {target.parent} ({error.strerror}): choose another directory"
        raise OSError(error.errno, message) from error


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
