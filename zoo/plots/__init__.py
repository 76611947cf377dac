"""Pictures of trainings, images, codecs and pairs."""

from zoo.plots.health import gradient_flow
from zoo.plots.images import image_rows, latent_scatter
from zoo.plots.pairs import distance_histogram, image_pairs, roc_curve
from zoo.plots.rates import rate_distortion
from zoo.plots.training import confusion_matrix, learning_curves, predicted_values

__all__ = ["confusion_matrix", "distance_histogram", "gradient_flow", "image_pairs", "image_rows"]
__all__ += ["latent_scatter", "learning_curves", "predicted_values", "rate_distortion", "roc_curve"]
