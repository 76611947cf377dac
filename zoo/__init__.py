"""Classic architectures of deep learning as Keras models: build, train, export.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from zoo._lazy import lazy_names

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

__all__ = ["data", "layers", "losses", "metrics", "plots", "tasks"]
__all__ += ["create", "describe", "features", "list_models", "register", "transfer_weights"]
__all__ += ["cascade_cnn", "conv_autoencoder", "dense_autoencoder", "mlp"]
__all__ += ["deepface", "deepid", "embedding", "face_cnn"]
__all__ += ["koch_siamese", "siamese", "siamese_cnn", "siamese_face"]
__all__ += ["Dataset", "Recipe", "Run", "load_data", "load_run", "train"]
__all__ += ["AutoencoderDetector", "AutoencoderTransformer", "ImageCodec"]
__all__ += ["ExportResult", "Verifier", "export_saved_model", "sides", "whiten"]

# Where each public name is defined, but for the modules.
_homes = {
    "zoo.codec": ["ImageCodec"],
    "zoo.data": ["Dataset", "load_data"],
    "zoo.estimators": ["AutoencoderDetector", "AutoencoderTransformer"],
    "zoo.export": ["ExportResult", "export_saved_model"],
    "zoo.models.autoencoder": ["conv_autoencoder", "dense_autoencoder"],
    "zoo.models.cascade": ["cascade_cnn", "mlp"],
    "zoo.models.comparing": ["koch_siamese", "siamese_cnn", "siamese_face"],
    "zoo.models.face": ["deepface", "deepid", "face_cnn"],
    "zoo.models.siamese": ["embedding", "siamese"],
    "zoo.registry": ["create", "describe", "list_models", "register"],
    "zoo.training.recipe": ["Recipe"],
    "zoo.training.runs": ["Run", "load_run"],
    "zoo.training.train": ["train"],
    "zoo.transfer": ["features", "transfer_weights"],
    "zoo.verification": ["Verifier", "sides", "whiten"],
}
_load, __dir__ = lazy_names(__name__, __all__, _homes)


def __getattr__(name: str) -> Any:
    return importlib.metadata.version("keras-zoo") if name == "__version__" else _load(name)
