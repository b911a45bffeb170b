"""The record of a model's answer: ``PredictionRecord``, and how it was calibrated and made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from rilievo.arrays.array_records import no_hash, read_only, same_record
from rilievo.arrays.shapes import (
    Field,
    Mask,
    Vectors,
)
from rilievo.errors import InputError, NoDepthError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.deferred_parts import Deferred, deferrable
from rilievo.records.depth_map import DepthMap
from rilievo.records.instruments import DepthSource, Instrument
from rilievo.records.sample import Photo

Setting = str | int | float | bool | None


# Not typing.Self, which beartype refuses.
_AnyPrediction = TypeVar("_AnyPrediction", bound="PredictionRecord")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Conversion of depth to metres.

    Attributes:
        method: "known points", "known lengths", "known rectangles", "camera height", "markers" or
            "own depth".
        asked: Facts as the user gave them, such as ``u,v,metres``.
        space: Quantity that scale and shift apply to: "depth", "inverse" or "log".
        residuals: Fitted minus known value for each fact [m].
        bend: Largest over smallest factor of the smooth field that multiplies depth; None for one
            factor.
        expected_error: Relative error that eight in ten pixels should stay below.
        own_depth: Format of the file's depth map that metres came from.
        measured_pixels: Number of a sensor's pixels that stay as measured.
        outliers: Number of its pixels that were left out.
    """

    method: str
    asked: tuple[str, ...]
    space: str
    scale: float
    shift: float
    residuals: tuple[float, ...] = ()
    bend: float | None = None
    expected_error: float | None = None
    own_depth: str | None = None
    measured_pixels: int | None = None
    outliers: int | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """Fit of a model's affine depth to the depth of another, for surfaces.

    Attributes:
        model: Name of the other model.
        rank_correlation: Spearman's correlation of the two answers as depth.
        residual: Median absolute difference of log depth after the fit.
        space: Quantity that scale and shift apply to: "depth" or "inverse".
        scale: Fitted scale; None where it was refused.
        refused: Reason why no surface can be made.
        remark: Doubt about the fit.
    """

    model: str
    rank_correlation: float | None = None
    residual: float | None = None
    space: str | None = None
    scale: float | None = None
    shift: float | None = None
    refused: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBy:
    """Origin of a prediction, sufficient to repeat it.

    Attributes:
        model: Name in ``MODELS``, or file.
        weights_sha256: Hash of the weights' file.
        licence: SPDX identifier, or the authors' words.
        settings: Every option that changes the output.
    """

    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    version: str


@dataclass(frozen=True, kw_only=True)
class PredictionRecord:
    """Prediction of a model for one image, at that image's resolution.

    Attributes:
        depth_or_none: Depth; None if the model predicts normals only.
        normals: Unit normals towards the camera; NaN where nothing is. They may be computed at
            their first use.
        confidence: Confidence in [0, 1], higher is better.
        sky: Mask of the pixels that see no surface, whatever depth they have.
        calibration: Conversion of depth to metres.
        anchoring: Fit of affine depth to that of the embedded model, made when it is first read.
        network_depth: Depth [m] of the network alone, where a sensor's pixels stand in ``depth``.
        instrument: Instrument whose depth stands in ``depth``; None of a network's depth.
        measured: Mask of the pixels that the instrument measured; None of all with depth.
        photo: Photograph, for coloured surfaces.
        notes: Notes, one line each.
        made_by: Model, weights and settings.
    """

    depth_or_none: DepthMap | None = None
    normals: Vectors | None = deferrable()
    confidence: Field | None = deferrable()
    sky: Mask | None = deferrable()
    camera: Camera | None = None
    calibration: Calibration | None = None
    anchoring: Anchoring | None = deferrable()
    network_depth: DepthMap | None = None
    instrument: Instrument | None = None
    measured: Mask | None = None
    photo: Photo | None = None
    notes: tuple[str, ...] = ()
    made_by: MadeBy

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        sizes = {
            name: size
            for name, size in (
                ("depth", None if self.depth_or_none is None else self.depth.shape),
                ("normals", None if self.normals is None else self.normals.shape[-2:]),
                ("confidence", None if self.confidence is None else self.confidence.shape),
                ("sky", None if self.sky is None else self.sky.shape),
                ("measured pixels", None if self.measured is None else self.measured.shape),
                ("photo", None if self.photo is None else self.photo.shape),
            )
            if size is not None
        }
        if len(set(sizes.values())) > 1:
            raise InputError(f"the parts of a prediction differ in size: {sizes}")
        if self.normals is not None and self.normals.shape[0] != 3:
            raise InputError(f"normals are (3, height, width), got {self.normals.shape}")
        depth, camera = self.depth_or_none, self.camera
        # The lens determines whether depth is distance.
        if depth is not None and camera is not None:
            is_distance = camera.lens.has_unit_rays
            if depth.is_distance != is_distance:
                depth = replace(depth, is_distance=is_distance)
                object.__setattr__(self, "depth_or_none", depth)
        for name in ("normals", "confidence", "sky", "measured"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array))

    def __getstate__(self) -> dict[str, Any]:
        """Compute all parts, for pickling."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def defer(self, name: str, compute: Callable[[], object]) -> None:
        """Compute a part (normals, confidence, sky or anchoring) when it is first read."""
        vars(self)[name] = Deferred(compute)

    def has(self, name: str) -> bool:
        """Whether a part is not None, without computing it."""
        return vars(self)[name] is not None

    def is_computed(self, name: str) -> bool:
        """Whether a part is computed."""
        return not isinstance(vars(self)[name], Deferred)

    def but(self: _AnyPrediction, **changes: Any) -> _AnyPrediction:
        """Copy with changes; parts that are not computed yet stay so."""
        deferred = {name: part for name, part in vars(self).items() if isinstance(part, Deferred)}
        unread = {name: None for name in deferred if name not in changes}
        # Given as changes, so that ``replace`` does not read them.
        copy = replace(self, **{**unread, **changes})
        vars(copy).update({name: deferred[name] for name in unread})
        return copy

    def __repr__(self) -> str:
        height, width = self.shape
        depth = self.depth_or_none
        parts = [f"{width}x{height}"]
        if depth is not None:
            parts.append(f"depth {depth.kind} {depth.span}")
        parts += [name for name in ("normals", "confidence", "sky") if self.has(name)]
        return f"Prediction({', '.join(parts)}, by {self.made_by.model})"

    @property
    def depth(self) -> DepthMap:
        """Depth of the image.

        Raises:
            NoDepthError: If the model predicts normals only.
        """
        if self.depth_or_none is None:
            others = [name for name in ("normals", "confidence") if self.has(name)]
            raise NoDepthError(
                f"model '{self.made_by.model}' gives no depth, only "
                f"{' and '.join(others) or 'nothing'}: ask for .depth_or_none, or take "
                "a model of depth ('rilievo models' lists them)"
            )
        return self.depth_or_none

    @property
    def known_camera(self) -> Camera:
        """Camera of the image, which every photograph's prediction has.

        Raises:
            InputError: If there is none.
        """
        if self.camera is None:
            raise InputError(
                problem=Text(
                    "this prediction has no camera: predict again with ",
                    AnyOf(OptionName("camera", "..."), OptionName("fov", "...")),
                )
            )
        return self.camera

    @property
    def is_of_network(self) -> bool:
        """Whether a network predicted the depth, even if the user stated its error."""
        return self.instrument is None or self.instrument.source is DepthSource.NETWORK

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        for part in (self.depth_or_none, self.photo):
            if part is not None:
                return part.shape
        assert self.normals is not None, "a prediction has depth or normals"
        height, width = self.normals.shape[-2:]
        return height, width
