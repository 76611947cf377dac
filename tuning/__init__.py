"""Hyperparameter search for the models of the zoo, on Keras Tuner.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo._lazy import lazy_names

if TYPE_CHECKING:
    from tuning.hypermodels import ZooHyperModel, hypermodel
    from tuning.report import SearchResult, TrialRecord
    from tuning.searching import load_search, search
    from tuning.spaces import space
    from zoo.space import Choice, Float, Int, override

__all__ = ["Choice", "Float", "Int", "SearchResult", "TrialRecord", "ZooHyperModel"]
__all__ += ["hypermodel", "load_search", "override", "search", "space"]

# Where each public name is defined.
_homes = {
    "tuning.hypermodels": ["ZooHyperModel", "hypermodel"],
    "tuning.report": ["SearchResult", "TrialRecord"],
    "tuning.searching": ["load_search", "search"],
    "tuning.spaces": ["space"],
    "zoo.space": ["Choice", "Float", "Int", "override"],
}
__getattr__, __dir__ = lazy_names(__name__, __all__, _homes)
