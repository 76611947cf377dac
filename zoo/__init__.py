"""Classic architectures of deep learning as Keras models: build, train, export.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import data, layers, losses, metrics, plots, tasks
    from zoo.codec import ImageCodec
    from zoo.data import Dataset, load_data
    from zoo.estimators import AutoencoderDetector, AutoencoderTransformer
    from zoo.export import ExportResult, export_saved_model
    from zoo.models.autoencoder import conv_autoencoder, dense_autoencoder
    from zoo.models.cascade import cascade_cnn, mlp
    from zoo.models.comparing import koch_siamese, siamese_cnn, siamese_face
    from zoo.models.face import deepface, deepid, face_cnn
    from zoo.models.siamese import embedding, siamese
    from zoo.registry import create, describe, list_models, register
    from zoo.training.recipe import Recipe
    from zoo.training.runs import Run, load_run
    from zoo.training.train import train
    from zoo.transfer import features, transfer_weights
    from zoo.verification import Verifier, sides, whiten

# Where each public name is defined, but for the modules.
_homes = {
    "AutoencoderDetector": "zoo.estimators",
    "AutoencoderTransformer": "zoo.estimators",
    "Dataset": "zoo.data",
    "ExportResult": "zoo.export",
    "ImageCodec": "zoo.codec",
    "Recipe": "zoo.training.recipe",
    "Run": "zoo.training.runs",
    "Verifier": "zoo.verification",
    "cascade_cnn": "zoo.models.cascade",
    "conv_autoencoder": "zoo.models.autoencoder",
    "create": "zoo.registry",
    "deepface": "zoo.models.face",
    "deepid": "zoo.models.face",
    "dense_autoencoder": "zoo.models.autoencoder",
    "describe": "zoo.registry",
    "embedding": "zoo.models.siamese",
    "export_saved_model": "zoo.export",
    "face_cnn": "zoo.models.face",
    "features": "zoo.transfer",
    "koch_siamese": "zoo.models.comparing",
    "list_models": "zoo.registry",
    "load_data": "zoo.data",
    "load_run": "zoo.training.runs",
    "mlp": "zoo.models.cascade",
    "register": "zoo.registry",
    "siamese": "zoo.models.siamese",
    "siamese_cnn": "zoo.models.comparing",
    "siamese_face": "zoo.models.comparing",
    "sides": "zoo.verification",
    "train": "zoo.training.train",
    "transfer_weights": "zoo.transfer",
    "whiten": "zoo.verification",
}

__all__ = [
    "AutoencoderDetector",
    "AutoencoderTransformer",
    "Dataset",
    "ExportResult",
    "ImageCodec",
    "Recipe",
    "Run",
    "Verifier",
    "cascade_cnn",
    "conv_autoencoder",
    "create",
    "data",
    "deepface",
    "deepid",
    "dense_autoencoder",
    "describe",
    "embedding",
    "export_saved_model",
    "face_cnn",
    "features",
    "koch_siamese",
    "layers",
    "list_models",
    "load_data",
    "load_run",
    "losses",
    "metrics",
    "mlp",
    "plots",
    "register",
    "siamese",
    "siamese_cnn",
    "siamese_face",
    "sides",
    "tasks",
    "train",
    "transfer_weights",
    "whiten",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("keras-zoo")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _homes:
        return importlib.import_module(f"{__name__}.{name}")
    value = globals()[name] = getattr(importlib.import_module(_homes[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
