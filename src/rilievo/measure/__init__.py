"""Distances, lengths, heights, areas, volumes, angles and openings, each with an expected range."""

from rilievo.measure.measurements import Measurement as Measurement
from rilievo.measure.measurements import Quantity as Quantity
from rilievo.measure.openings import OpeningFit as OpeningFit
from rilievo.measure.openings import fits_through as fits_through
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
    "OpeningFit",
    "Quantity",
    "Region",
    "RegionMeasurement",
    "angle",
    "area",
    "distance",
    "fits_through",
    "height",
    "height_above_plane",
    "length",
    "volume",
]
