"""Pictures of trainings, images, codecs and pairs."""

from zoo.plots.images import image_rows, latent_scatter
from zoo.plots.pairs import distance_histogram, image_pairs, roc_curve
from zoo.plots.rates import rate_distortion
from zoo.plots.training import confusion_matrix, learning_curves, predicted_values

__all__ = ["confusion_matrix", "distance_histogram", "image_pairs", "image_rows", "latent_scatter"]
__all__ += ["learning_curves", "predicted_values", "rate_distortion", "roc_curve"]
