"""Studies: small nets trained side by side, and what was measured beside what books say."""

from zoo.studies.activations import activations
from zoo.studies.batch_norm import batch_norm
from zoo.studies.depth import depth
from zoo.studies.optimizers import optimizers
from zoo.studies.pooling import pooling
from zoo.studies.recurrent import recurrent
from zoo.studies.sharing import sharing
from zoo.studies.study import STUDIES, Claim, Study

__all__ = ["STUDIES", "Claim", "Study", "activations", "batch_norm", "depth", "optimizers"]
__all__ += ["pooling", "recurrent", "sharing"]
