"""The record of a prediction: ``PredictionRecord``, and how it was calibrated and made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from rilievo.arrays.array_records import no_hash, read_only, same_record
from rilievo.arrays.shapes import Field, Mask, Vectors
from rilievo.errors import InputError, NoDepthError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.deferred_parts import Deferred, deferrable
from rilievo.records.depth_map import DepthMap
from rilievo.records.instruments import DepthSource, Instrument
from rilievo.records.sample import Photo

MEASURED_PIXELS = "measured pixels"
"""Method of a ``Calibration`` by a sensor, whose pixels stay as measured."""
Setting = str | int | float | bool | None
"""Value of an option that changed a prediction."""

_AnyPrediction = TypeVar("_AnyPrediction", bound="PredictionRecord")
"""Class of a record or of ``Prediction``; beartype, which checks types in tests, lacks ``Self``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Conversion of a prediction's depth to metres.

    Attributes:
        method: What gave metres: "known points", "known lengths", "known points and lengths",
            "known rectangles", "known circles", "camera height", "markers", "measured pixels" of a
            sensor, "own depth" of the photograph's file, or "depth map" of the user.
        asked: Known sizes as the user wrote them, such as ``u,v,metres``.
        space: Quantity that scale and shift apply to: "depth", "inverse" or "log".
        scale: Factor of that quantity.
        shift: What is added after the factor.
        residuals: Fitted minus known value of each known size [m].
        bend: Ratio of the largest to the smallest factor, if the factor of depth varies smoothly
            over the image; None if it is the same everywhere.
        expected_error: Relative error that eight in ten pixels should stay below; None if unknown.
            With a sensor, that of measured pixels that were hidden and filled as a test; holes that
            hide whole objects can have several times this error.
        own_depth: Format of the photograph's own depth map, if metres came from it.
        measured_pixels: Number of a sensor's pixels that stay as measured; None without a sensor.
        outliers: Number of a sensor's pixels that were left out; None without a sensor.
        warning: What probably makes the metres wrong; None if nothing does.
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

    def describe(self, instrument: Instrument | None = None) -> str:
        """Describe where metres came from and how accurate they should be, in a sentence.

        ``instrument`` is the sensor whose depth gave the metres, if any.
        """
        if self.measured_pixels is not None:
            source = self._describe_sensor(self.measured_pixels, instrument)
        elif self.own_depth is not None:
            source = f"the photograph's own depth ({self.own_depth})"
        else:
            source = self.method
        return f"metres from {source}{self._accuracy_clause()}"

    def _accuracy_clause(self) -> str:
        """Clause on the expected error, after a semicolon; "" if the error is unknown."""
        if self.expected_error is None:
            return ""
        error_percent = 100 * self.expected_error
        if self.measured_pixels is None:
            return f"; the depth of 8 in 10 pixels should be within {error_percent:.0f}%"
        # The test hides pixels elsewhere, so it does not know what the real holes hide.
        return (
            f"; in a test on hidden pixels, 8 in 10 were filled to within {error_percent:.1f}%, "
            "but the error can be several times as large in holes over whole objects or glass, and "
            "at the border of the picture"
        )

    def _describe_sensor(self, measured_count: int, instrument: Instrument | None) -> str:
        """Describe how many pixels a sensor measured, and with which error."""
        outlier_count = self.outliers or 0
        outliers = ""
        if outlier_count:
            outlier_fraction = outlier_count / (measured_count + outlier_count)
            noun = "outlier" if outlier_count == 1 else "outliers"
            outliers = f" and replaces {outlier_count:,} {noun} ({100 * outlier_fraction:.2g}%)"
        error = ""
        if instrument is not None:
            error_source = "assumed" if instrument.is_assumed else "stated"
            error = f" (8 in 10 are {error_source} to be within {instrument.error})"
        return (
            f"{measured_count:,} measured pixels{error}, which are kept; the network fills in the "
            f"rest{outliers}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """Fit of a model's affine depth to the depth of an embedded model, for surfaces.

    Either the fit was made and ``refused`` is None, or ``refused`` says why it was not made, and
    ``space``, ``scale`` and ``shift`` are None.

    Attributes:
        model: Name of the embedded model.
        rank_correlation: Spearman's correlation of the two models' depth; None if unknown.
        residual: Median absolute difference of log depth after the fit; None if unknown.
        space: Quantity that scale and shift apply to: "depth" or "inverse".
        scale: Factor of that quantity.
        shift: What is added after the factor.
        refused: Reason why no surface can be made.
        remark: Doubt about a fit that was made; None if there is none.
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
        model: Name in ``MODELS``, or a file.
        weights_sha256: SHA-256 of the file of weights.
        licence: SPDX identifier of the model's licence, or the authors' words.
        settings: Every option that changes the output, by its name.
        version: Version of rilievo.
    """

    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    version: str


@dataclass(frozen=True, kw_only=True)
class PredictionRecord:
    """Prediction of a model for one image, at that image's resolution.

    Normals, confidence, sky and anchoring may be deferred, so that they are computed when they are
    first read.

    Attributes:
        depth_or_none: Depth; None if the model predicts normals only.
        normals: Unit normals towards the camera; NaN where there is no surface. None if unknown.
        confidence: Confidence in [0, 1], higher is better; None if the model gives none.
        sky: Mask of the pixels that see no surface, whatever depth they have; None if unknown.
        camera: Intrinsics; None if unknown.
        calibration: Conversion of depth to metres; None if nothing known was applied.
        anchoring: Fit of affine depth to that of an embedded model; None if none is needed.
        network_depth: Depth [m] of the network alone, if a sensor's pixels stand in ``depth``.
        instrument: Instrument whose depth stands in ``depth``, which may be a network with a
            stated error; None for the depth of ``made_by``.
        measured: Mask of the pixels that the instrument measured; None if it measured all with
            depth.
        photo: Photograph, for coloured surfaces.
        notes: Notes, one line each.
        made_by: Model, weights and settings.

    Raises:
        InputError: If the parts differ in size, or normals have not three components.
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
        self._check_sizes()
        self._apply_lens_to_depth()
        for name in ("normals", "confidence", "sky", "measured"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array))

    def _check_sizes(self) -> None:
        """Check that all parts have the same size, and normals three components."""
        parts = {
            "depth": self.depth_or_none,
            "normals": self.normals,
            "confidence": self.confidence,
            "sky": self.sky,
            "measured pixels": self.measured,
            "photo": self.photo,
        }
        # Normals have their three components first.
        sizes = {name: part.shape[-2:] for name, part in parts.items() if part is not None}
        if len(set(sizes.values())) > 1:
            raise InputError(
                "the parts of a prediction must have the same size (height, width), got "
                f"{', '.join(f'{name} {size}' for name, size in sizes.items())}"
            )
        if self.normals is not None and self.normals.shape[0] != 3:
            raise InputError(f"normals must be (3, height, width), got {self.normals.shape}")

    def _apply_lens_to_depth(self) -> None:
        """Mark depth as distance along the ray or as z, whichever the camera's lens uses."""
        depth, camera = self.depth_or_none, self.camera
        if depth is None or camera is None:
            return
        is_distance = camera.lens.has_unit_rays
        if depth.is_distance != is_distance:
            object.__setattr__(self, "depth_or_none", replace(depth, is_distance=is_distance))

    def __getstate__(self) -> dict[str, Any]:
        """Compute deferred parts before pickling, since their functions cannot be pickled."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def defer(self, name: str, compute: Callable[[], object]) -> None:
        """Let a part (normals, confidence, sky or anchoring) be computed when it is first read."""
        vars(self)[name] = Deferred(compute)

    def has(self, name: str) -> bool:
        """Whether a part is not None, without computing it."""
        return vars(self)[name] is not None

    def is_computed(self, name: str) -> bool:
        """Whether a part needs no computation: it is not deferred, or was read before."""
        return not isinstance(vars(self)[name], Deferred)

    def but(self: _AnyPrediction, **changes: Any) -> _AnyPrediction:
        """Copy with changes, as ``dataclasses.replace`` does, but deferred parts stay deferred."""
        unchanged_deferred = {
            name: part
            for name, part in vars(self).items()
            if isinstance(part, Deferred) and name not in changes
        }
        # ``replace`` would read and so compute deferred parts, unless they are among its changes.
        # They are replaced by None, and put back into the copy.
        copy = replace(self, **dict.fromkeys(unchanged_deferred), **changes)
        vars(copy).update(unchanged_deferred)
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
            predicted = [name for name in ("normals", "confidence") if self.has(name)]
            only_predicted = f", only {' and '.join(predicted)}" if predicted else ""
            raise NoDepthError(
                f"model '{self.made_by.model}' predicts no depth{only_predicted}: read "
                ".depth_or_none, or choose a depth model ('rilievo models' lists them)"
            )
        return self.depth_or_none

    @property
    def known_camera(self) -> Camera:
        """Camera of the image, for code that requires one.

        Raises:
            InputError: If the camera is unknown.
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
