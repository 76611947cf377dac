"""Images to bytes and back, by a trained autoencoder of the kind "compression"."""

from zoo.codec.codec import ImageCodec
from zoo.codec.curve import Point, rate_distortion

__all__ = ["ImageCodec", "Point", "rate_distortion"]
