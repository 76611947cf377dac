"""What is loaded when it is first used: Keras and what is built on it, and a package's names."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

__all__ = ["keras", "layers", "lazy_names", "zoo_layers"]

if TYPE_CHECKING:
    import keras
    from keras import layers

    from zoo import layers as zoo_layers
else:

    class _Lazy(types.ModuleType):
        """A module that is imported when something of it is first used."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(self.__name__), name)

    keras, layers, zoo_layers = map(_Lazy, ("keras", "keras.layers", "zoo.layers"))


def lazy_names(
    package: str, names: list[str], homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`, from its names by the module of each.

    Names that no module is given for are the package's own modules.
    """
    home_of = {name: home for home, there in homes.items() for name in there}

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name not in home_of:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: names
