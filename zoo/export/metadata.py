"""What an export says of itself, in a JSON file beside its graph."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

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
    versions = {
        "keras-zoo": importlib.metadata.version("keras-zoo"),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    added = dict(zip(_ADDED, (signatures, precision, versions), strict=True))
    file = directory / FILE
    file.parent.mkdir()
    file.write_text(json.dumps({**metadata, **added}, indent=2))
