"""Metrics that Keras lacks: of images, of real numbers, of verification and of retrieval."""

from zoo.metrics.images import MAX_PSNR, PSNR, SSIM, ImageMetric, PricedPSNR
from zoo.metrics.regression import StandardizedR2
from zoo.metrics.retrieval import mean_average_precision, n_way_accuracy, recall_at_k
from zoo.metrics.streaming import VerificationAUC, VerificationEER, VerificationMetric
from zoo.metrics.verification import OperatingPoint, equal_error_rate, roc_auc, tar_at_far

__all__ = ["MAX_PSNR", "PSNR", "SSIM", "ImageMetric", "OperatingPoint", "PricedPSNR"]
__all__ += ["StandardizedR2", "VerificationAUC", "VerificationEER", "VerificationMetric"]
__all__ += ["equal_error_rate", "mean_average_precision", "n_way_accuracy", "recall_at_k"]
__all__ += ["roc_auc", "tar_at_far"]
