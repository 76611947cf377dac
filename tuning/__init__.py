"""Hyperparameter search for the models of the zoo, on Keras Tuner.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.hypermodels import ZooHyperModel, hypermodel
    from tuning.report import SearchResult, TrialRecord
    from tuning.searching import load_search, search
    from tuning.spaces import space
    from zoo.space import Choice, Float, Int, override

# Where each public name is defined.
_homes = {
    "Choice": "zoo.space",
    "Float": "zoo.space",
    "Int": "zoo.space",
    "SearchResult": "tuning.report",
    "TrialRecord": "tuning.report",
    "ZooHyperModel": "tuning.hypermodels",
    "hypermodel": "tuning.hypermodels",
    "load_search": "tuning.searching",
    "override": "zoo.space",
    "search": "tuning.searching",
    "space": "tuning.spaces",
}

__all__ = [
    "Choice",
    "Float",
    "Int",
    "SearchResult",
    "TrialRecord",
    "ZooHyperModel",
    "hypermodel",
    "load_search",
    "override",
    "search",
    "space",
]


def __getattr__(name: str) -> Any:
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_homes[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
