"""scikit-learn estimators with autoencoders inside."""

from zoo.estimators.detector import AnomalyThreshold, AutoencoderDetector
from zoo.estimators.transformer import AutoencoderTransformer

__all__ = ["AnomalyThreshold", "AutoencoderDetector", "AutoencoderTransformer"]
