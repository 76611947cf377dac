"""Keras and what is built on it, loaded when they are first used."""

from __future__ import annotations

import importlib
import types
from typing import TYPE_CHECKING, Any

__all__ = ["keras", "layers", "zoo_layers"]

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
