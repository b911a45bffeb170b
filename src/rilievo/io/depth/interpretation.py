"""Describe to the user how the values of a depth file were interpreted.

What neither the file nor the user states is guessed, so each property says where it comes from.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import StoredMap
from rilievo.io.depth.code_range import Spacing
from rilievo.io.depth.depth_metadata import DISPARITY, DepthMetadata
from rilievo.records.depth_map import DepthKind

NOT_STATED = "nothing says otherwise"
"""Source of a property that neither the file nor the user states."""

_MAX_INDOOR_MEDIAN = 100.0  # [m]; larger medians of floats may be a room in centimetres
_UNIT_NAMES = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}


class PropertyOrigin(StrEnum):
    """Who determined a property: the file (stated), the user (given), or nobody (guessed)."""

    STATED = "stated"
    GIVEN = "given"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthProperty:
    """One property of the values in a depth file, and where it comes from.

    Attributes:
        name: "scale" (the unit), "kind", "invalid", "size" or "camera".
        value: The property in words, such as "millimetres".
        place: Where it is stated, such as "its text" or the name of an option. Evaluation records
            store it under this name.
    """

    name: str
    value: str
    origin: PropertyOrigin
    place: str

    def __str__(self) -> str:
        return f"{self.value} ({self.place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthInterpretation:
    """How the values of one or several depth files were interpreted.

    Attributes:
        nearest: Least depth [m], or in a unit of its own if depth is not in metres.
        farthest: Largest depth, in the same unit.
        median: Median depth of a single image [m]; None if several images are joined, or depth is
            not in metres.
        is_metric: Whether depth is in metres, in all files.
        is_unit_given: Whether the user declares the unit or the farthest depth, so that unusual
            depth causes no warning.
    """

    properties: tuple[DepthProperty, ...] = ()
    warnings: tuple[str, ...] = ()
    nearest: float | None = None
    farthest: float | None = None
    median: float | None = None
    is_metric: bool = True
    is_unit_given: bool = False

    @property
    def unit_properties(self) -> tuple[DepthProperty, ...]:
        """The units of the files, one for each that occurs."""
        return tuple(prop for prop in self.properties if prop.name == "scale")

    @property
    def unit_and_range(self) -> str:
        """Unit and range in words, such as "read as millimetres: 0.5 to 4.2 m"."""
        units = [unit.value for unit in self.unit_properties]
        text = f"read as {'; '.join(dict.fromkeys(units))}"
        if self.nearest is None:
            return text

        depth_range = f"{self.nearest:.3g} to {self.farthest:.3g}"
        return f"{text}: {depth_range} m" if self.is_metric else f"{text}: {depth_range}"

    @property
    def summary_line(self) -> str | None:
        """Unit, range and their source in words; None if there is no unit."""
        if not self.unit_properties:
            return None
        return f"{self.unit_and_range} ({self.unit_properties[0].place})"


def unit_property(
    raw_values: StoredMap,
    metadata: DepthMetadata,
    *,
    unit: float | None,
    source: str,
    guess: float,
    is_disparity: bool = False,
) -> DepthProperty:
    """Describe the unit of a file's values.

    It is the one that the file states, or else the one that the user gives, or else the guess.

    ``unit`` is what the user gives at ``source``, in metres per value or in pixels for disparity.
    ``guess`` is assumed if neither the file nor the user states a unit.
    """
    counts_pixels = is_disparity or metadata.kind == DISPARITY
    if metadata.is_decodable or metadata.kind == DepthKind.UP_TO_SCALE:
        return DepthProperty(
            name="scale",
            value=_describe_quantity(metadata, is_disparity=counts_pixels),
            origin=PropertyOrigin.STATED,
            place=metadata.source,
        )
    if unit is not None:
        return DepthProperty(
            name="scale",
            value=describe_unit(unit, is_disparity=counts_pixels),
            origin=PropertyOrigin.GIVEN,
            place=source,
        )
    return DepthProperty(
        name="scale",
        value=describe_unit(guess, is_disparity=counts_pixels),
        origin=PropertyOrigin.GUESSED,
        place=_explain_guess(raw_values),
    )


def _describe_quantity(metadata: DepthMetadata, *, is_disparity: bool) -> str:
    """Describe what the values of a file count, as the file states it."""
    if metadata.kind == DepthKind.UP_TO_SCALE:
        return "depth up to scale"
    if metadata.kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return f"numbers of kind '{metadata.kind}'"
    if metadata.stores_logarithms:
        return "logarithms of metres"
    if metadata.spacing is Spacing.INVERSE:
        return "inverse depth"
    if metadata.scale is None:
        return "metres"
    return describe_unit(metadata.scale, is_disparity=is_disparity)


def _explain_guess(raw_values: StoredMap) -> str:
    """Explain that the unit is a guess; large floats may be a room in centimetres."""
    if raw_values.dtype.kind in "ui":
        return "a guess: integers without a stated unit"

    explanation = "a guess: floating-point numbers without a stated unit"
    values = raw_values[np.isfinite(raw_values) & (raw_values > 0)]
    if values.size and np.median(values) > _MAX_INDOOR_MEDIAN:
        explanation += f"; if they are in centimetres, they go up to {values.max() / 100:.3g} m"
    return explanation


def describe_unit(scale: float, *, is_disparity: bool = False) -> str:
    """Describe the unit of depth [m] or of disparity [px], if one stored value is ``scale``."""
    if is_disparity:
        return "disparity in pixels" if scale == 1 else f"disparity in units of {scale:.6g} px"
    return _UNIT_NAMES.get(scale, f"units of {scale:.6g} m")
