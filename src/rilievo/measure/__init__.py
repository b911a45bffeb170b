"""Distances, lengths, heights, areas, volumes and angles, each with an expected range."""

from rilievo.measure.measurements import Measurement as Measurement
from rilievo.measure.quantities import angle as angle
from rilievo.measure.quantities import area as area
from rilievo.measure.quantities import distance as distance
from rilievo.measure.quantities import height as height
from rilievo.measure.quantities import length as length
from rilievo.measure.rectangle_plane import height_above_plane as height_above_plane
from rilievo.measure.region_measurements import RegionMeasurement as RegionMeasurement
from rilievo.measure.regions import Region as Region
from rilievo.measure.volumes import volume as volume

__all__ = [
    "Measurement",
    "Region",
    "RegionMeasurement",
    "angle",
    "area",
    "distance",
    "height",
    "height_above_plane",
    "length",
    "volume",
]
