"""Keras layers that Keras 3 lacks, or that can be faster than Keras's own."""

from zoo.layers.batch_normalization import BatchNormalization
from zoo.layers.corruption import Corruption
from zoo.layers.embeddings import CosineProxies, Distance, Judging, SameProbability, UnitLength
from zoo.layers.entropy import EntropyBottleneck
from zoo.layers.legacy import convert_legacy_weights
from zoo.layers.legacy_files import load_legacy_model, load_legacy_weights
from zoo.layers.locally_connected import LocallyConnected1D, LocallyConnected2D
from zoo.layers.low_rank import LowRankLocallyConnected2D
from zoo.layers.pairs import AbsoluteDifference, Stack, Unstack
from zoo.layers.penalties import Contraction, GaussianSampling, Penalty, Perturbation, Sparsity
from zoo.layers.sequences import Steps
from zoo.layers.tabular import Tabular
from zoo.layers.threshold import AnomalyThreshold
from zoo.layers.tied import TiedConv2D, TiedDense, TiedModel

__all__ = ["AbsoluteDifference", "AnomalyThreshold", "BatchNormalization", "Contraction"]
__all__ += ["Corruption", "CosineProxies", "Distance", "EntropyBottleneck", "GaussianSampling"]
__all__ += ["Judging", "LocallyConnected1D", "LocallyConnected2D", "LowRankLocallyConnected2D"]
__all__ += ["Penalty", "Perturbation", "SameProbability", "Sparsity", "Stack", "Steps", "Tabular"]
__all__ += ["TiedConv2D", "TiedDense", "TiedModel", "UnitLength", "Unstack"]
__all__ += ["convert_legacy_weights", "load_legacy_model", "load_legacy_weights"]
