"""Classic architectures of deep learning as Keras models: build, train, export.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does. The names
are in `__init__.pyi`.
"""

import importlib.metadata
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    return importlib.metadata.version("keras-zoo") if name == "__version__" else _load(name)
