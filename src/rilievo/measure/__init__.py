"""Distances, lengths, heights, areas and angles in a photograph, each with an expected range."""

from rilievo.measure.quantities import angle as angle
from rilievo.measure.quantities import area as area
from rilievo.measure.quantities import distance as distance
from rilievo.measure.quantities import height as height
from rilievo.measure.quantities import length as length
from rilievo.measured_quantity import Measurement as Measurement

__all__ = ["Measurement", "angle", "area", "distance", "height", "length"]
