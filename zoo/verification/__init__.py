"""Models that compare, in use: taken apart, judged, calibrated, and asked who is who."""

from zoo.verification.judging import Judged, judge
from zoo.verification.parts import Sides, sides
from zoo.verification.verifier import Verifier
from zoo.verification.whitening import whiten

__all__ = ["Judged", "Sides", "Verifier", "judge", "sides", "whiten"]
