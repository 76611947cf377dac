"""Records of what was done: JSON that is whole at any moment, and the directories it claims."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def claim_directory(
    directory: str | os.PathLike[str], record: str, identity: Mapping[str, Any], *, resume: bool
) -> Path:
    """Make a directory for some work, or check that it holds the very work that is to go on.

    Args:
        directory: Where the work is kept.
        record: Name of the JSON file that says what the work is.
        identity: What makes the work this work: plain numbers, strings, booleans, lists and
            dictionaries. The versions of what does it are written beside it.
        resume: Whether the directory may hold the work already.

    Returns:
        The directory.

    Raises:
        FileExistsError: If something is in the directory and `resume` is false, or a file is in
            its place.
        ValueError: If the directory holds something else, cannot be written, or `identity` is not
            plain.

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> path = claim_directory(directory, "work.json", {"epochs": 3}, resume=False)
        >>> claim_directory(directory, "work.json", {"epochs": 4}, resume=True)
        Traceback (most recent call last):
        ValueError: ... was started with other arguments: epochs: 3 then, 4 now. ...
    """
    directory = Path(directory)
    try:
        plain = json.loads(json.dumps(identity, default=_as_python))
    except TypeError as error:
        raise ValueError(
            "`arguments` must be plain numbers, strings, booleans and tuples, to be kept in "
            f"{record}; received {identity.get('arguments')!r} ({error})."
        ) from error
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(f"{str(directory)!r} is a file: choose another `directory`.")
    found = directory.exists() and any(
        not path.name.startswith(".") for path in directory.iterdir()
    )
    if not found:
        _begin(directory, record, plain)
        return directory
    if not resume:
        raise FileExistsError(
            f"{str(directory)!r} is not empty. Choose another `directory`, delete it, or pass "
            "resume=True to go on with what it holds."
        )
    if not (directory / record).exists():
        raise ValueError(
            f"{str(directory)!r} holds nothing to resume: {record} is missing. Choose another "
            "`directory`."
        )
    _require_same(read_json(directory / record), plain, directory)
    return directory


def write_text(path: Path, text: str) -> None:
    """Write a file that is whole at any moment: the old one, then the new.

    Args:
        path: Where; an existing file is replaced.
        text: What.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_text(path, "whole")
        >>> path.read_text()
        'whole'
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that is whole at any moment.

    Args:
        path: Where; an existing file is replaced.
        content: What.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> write_json(path, {"depth": 3})
        >>> read_json(path)
        {'depth': 3}
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        ValueError: If it is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> _ = path.write_text('{"half')
        >>> read_json(path)
        Traceback (most recent call last):
        ValueError: ... is damaged ...
    """
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{str(path)!r} is damaged ({error}): delete its directory and start anew."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} is damaged: delete its directory and start anew.")
    return content


def _as_python(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain")


def _begin(directory: Path, record: str, identity: dict[str, Any]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / record, {**identity, "versions": _versions()})
    except OSError as error:
        raise ValueError(
            f"Cannot write to {str(directory)!r} ({error.strerror}): choose another `directory`."
        ) from error


def _require_same(old: dict[str, Any], new: dict[str, Any], directory: Path) -> None:
    then, now = _flat(old), _flat(new)
    then = {key: value for key, value in then.items() if not key.startswith("versions")}
    differences = [
        f"{key}: {then.get(key)!r} then, {now.get(key)!r} now"
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    ]
    if differences:
        raise ValueError(
            f"What {str(directory)!r} holds was started with other arguments: "
            f"{'; '.join(differences)}. Give the same ones, or choose another `directory`."
        )


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _versions() -> dict[str, str]:
    packages = ("keras-zoo", "keras", "tensorflow", "keras-tuner", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}
