"""What an export says of itself, in a JSON file beside its graph."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.records import versions, write_json

FILE = "assets.extra/keras_zoo.json"  # TensorFlow leaves this directory to others

_ADDED = ("signatures", "precision", "versions")


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Raise a ValueError for what cannot be written, or would be written over."""
    if not isinstance(metadata, Mapping):
        raise ValueError(f"`metadata` must be a dict, received {metadata!r}.")
    if taken := [key for key in _ADDED if key in metadata]:
        raise ValueError(f"`metadata` has {taken}, which the export adds itself: rename them.")
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`metadata` must hold what JSON can: dicts, lists, strings, true, false, null and "
            f"finite numbers of Python. {error}"
        ) from error


def write_metadata(
    directory: Path, metadata: Mapping[str, Any], signatures: dict[str, Any], precision: str
) -> None:
    """Write the caller's metadata, and what the export adds, into a SavedModel."""
    added = dict(zip(_ADDED, (signatures, precision, versions()), strict=True))
    file = directory / FILE
    file.parent.mkdir()
    write_json(file, {**metadata, **added})
