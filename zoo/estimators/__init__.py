"""scikit-learn estimators with autoencoders inside."""

from zoo.estimators.detector import AutoencoderDetector
from zoo.estimators.transformer import AutoencoderTransformer

__all__ = ["AutoencoderDetector", "AutoencoderTransformer"]
