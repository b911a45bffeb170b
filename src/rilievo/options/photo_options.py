"""Options of one photograph: refinements, anchoring, a depth map that exists already, and all."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import numpy as np

from rilievo.arrays.shapes import Mask
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.valid_masks import read_valid_mask
from rilievo.schema.fields import (
    Interface,
    Record,
    Switch,
    SwitchLike,
    check_keywords,
    option,
    option_names,
)

Alpha = Literal["mask", "keep"]
"""Treatment of transparent pixels, as ``Refine.alpha`` explains."""


class ReadingArguments(TypedDict):
    """Arguments of ``rilievo.read_photo``."""

    alpha: Alpha
    stretch: bool


@dataclass(frozen=True, kw_only=True)
class Mirroring(Record):
    """Options for which the mirror image of a photograph is predicted as well."""

    flip: Annotated[bool, option(in_short_help=True, recorded="never")] = False
    """Average the prediction with that of the mirror image. This takes twice the time."""
    confidence: Annotated[
        str, option(choices=("own", "mirror"), available_in=Interface.LOCAL, recorded="never")
    ] = "own"
    """Confidence of the results. own: that of the model. mirror: how well its depth agrees with
    that of the mirror image, which ranks errors better for unfamiliar cameras but takes twice the
    time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.confidence == "mirror" and self.flip:
            raise OptionError(
                option="flip",
                without="confidence",
                hint="after averaging, the prediction no longer differs from that of the mirror "
                "image; give only one of them",
            )

    @property
    def compares_mirror_image(self) -> bool:
        """Whether confidence comes from a comparison with the mirror image."""
        return self.confidence == "mirror"


@dataclass(frozen=True, kw_only=True)
class Refine(Mirroring):
    """Refinements of a network's prediction."""

    HELP_TITLE: ClassVar[str] = "Detail"

    tile: Annotated[
        int | None,
        option(
            in_short_help=True,
            metavar="PIXELS",
            minimum=64,
            unit="pixels",
            available_in=Interface.LOCAL,
            recorded="never",
        ),
    ] = None
    """Side of overlapping tiles in pixels, for fine detail in large photographs."""
    trim: Annotated[
        Switch, option(in_short_help=True, recorded="never", python_type=SwitchLike)
    ] = Switch.ON
    """Hide uniform borders (black bars, frames of scans) from the network; they then have no depth.
    off: show the network the whole picture.
    """
    manhattan: Annotated[Switch, option(python_type=SwitchLike)] = Switch.ON
    """If the camera is known and most lines run along three directions at right angles, as in a
    room (a Manhattan scene), correct depth so that it agrees with them. off: keep the depth of the
    network.
    """
    valid_mask: Annotated[
        Path | None,
        option(
            metavar="FILE",
            expected="an array (h, w) of bool or uint8, or a picture",
            available_in=Interface.LOCAL,
            recorded="never",
            python_type=str | Path | np.ndarray | None,
        ),
    ] = None
    """Mask of the valid pixels of all photographs and frames, which must have its size: white where
    the picture shows the scene, black at what is always in the way, such as the border of an
    endoscope, the rim of an undistorted picture or a part of the vehicle. Black pixels have no
    depth.
    """
    alpha: Alpha = "mask"
    """Treatment of transparent pixels. mask: pixels with alpha below half have no depth and are not
    part of surfaces. keep: all pixels have depth, as if on white.
    """
    stretch: bool = False
    """Stretch 16-bit grey pictures so that their 1st to 99th percentile goes from black to white.
    Without this, pictures that span less than a 16th of the levels (such as thermal ones) are
    refused.
    """

    @cached_property
    def valid_pixels(self) -> Mask | None:
        """``valid_mask`` as an array, which is read once; None without a mask.

        Raises:
            InputError: If it cannot be read, or leaves no pixel.
        """
        return None if self.valid_mask is None else read_valid_mask(self.valid_mask)

    @property
    def reading(self) -> ReadingArguments:
        """Arguments with which photographs are read."""
        return {"alpha": self.alpha, "stretch": self.stretch}


UNREFINED = Refine(trim=Switch.OFF, manhattan=Switch.OFF)
"""The network sees the whole picture once, as it is, and its depth is not corrected."""

Anchor = Literal["auto", "off"]
"""Whether affine depth is anchored, as ``AnchorOptions.anchor`` explains."""


@dataclass(frozen=True, kw_only=True)
class AnchorOptions(Record):
    """Whether affine depth is anchored, that is, fitted to the depth of the embedded model."""

    HELP_TITLE: ClassVar[str] = "Camera and metres"

    anchor: Annotated[Anchor, option(metavar="auto|off")] = "auto"
    """How to get surfaces, normals and sizes from a model whose depth has an unknown shift. auto:
    fit the scale and shift to the depth of the embedded model, which runs as well; depth files keep
    the output of the model itself. off: refuse surfaces, normals and sizes.
    """

    @property
    def allows_anchoring(self) -> bool:
        """Whether affine depth may be anchored."""
        return self.anchor == "auto"


@dataclass(frozen=True, kw_only=True)
class DepthFile(Record):
    """Depth map that the user has for a photograph, in place of a network's depth."""

    HELP_TITLE: ClassVar[str] = "Depth map"

    depth: Annotated[Path | None, option(in_short_help=True, metavar="FILE")] = None
    """Depth map of the photograph: 16-bit PNG, npy, npz, TIFF, EXR or PFM. docs/numbers.md explains
    what such files may state.
    """
    unit: Annotated[float | None, option(metavar="METRES", above=0, names_unit=True)] = None
    """Unit of the depth map: metres per stored value (0.001, 1/256) or a name (mm, cm, m, in). By
    default what the file states, otherwise millimetres for integers and metres for floats.
    """
    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Meaning of the depth map: metric or up_to_scale (along the optical axis), or distance (along
    the ray). By default what the file states, otherwise metric, or distance for a fisheye or
    panorama.
    """
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part of the photograph that the depth map covers, in pixels, or 'resized' if it covers all of
    it at another size. You do not need this if the sizes are equal or whole multiples.
    """
    encoding: Annotated[str | None, option(metavar="KEY=VALUE...")] = None
    """How the values of the depth map encode depth, as KEY=VALUE pairs such as "bits=3,13
    scale=0.001 invalid=0,65535". The keys are scale, offset, invalid, bits, channels, min_depth,
    max_depth and array.
    """
    depth_error: Annotated[str | None, option(metavar="1%|10mm|0.3%/m")] = None
    """Error that 8 in 10 values of the depth map do not exceed. It determines the ranges of
    measurements. Write a percentage of depth (1%), a length (10mm), a percentage per metre of depth
    (0.3%/m, for stereo cameras), a sum of these (5mm+0.5%), or 'network' if a network predicted the
    depth. By default what rilievo recorded with the depth, otherwise 2%.
    """

    def require_depth(self) -> Path:
        """Return the file of the depth map.

        Raises:
            OptionError: If the user names no file.
        """
        if self.depth is None:
            raise OptionError(
                option="depth", problem="is missing", hint="give the file of the depth map"
            )
        return self.depth

    @property
    def keywords(self) -> dict[str, Any]:
        """Options that say what the numbers mean, as keywords of ``Prediction.from_depth``."""
        names = [field.name for field in fields(self) if field.name != "depth"]
        return {name: getattr(self, name) for name in names}

    def require_depth_for_options(self, *, allow_depth_error: bool) -> None:
        """Check that a depth map is named if there are options about one.

        Args:
            allow_depth_error: Whether ``depth_error`` may be set without a depth map, because it is
                about a sensor.

        Raises:
            OptionError: If there is no depth map, and one of the other options is set.
        """
        if self.depth is not None:
            return
        for name, value in self.keywords.items():
            is_allowed = name == "depth_error" and allow_depth_error
            if value is not None and not is_allowed:
                raise OptionError(
                    option=name,
                    problem="only applies to a depth map, but none is given",
                    hint=Text("also give ", OptionName("depth", "FILE")),
                )


@dataclass(frozen=True, kw_only=True, init=False)
class PhotoOptions:
    """Options of one photograph, grouped into a record for each subject.

    Users need not know the records, because the constructor also takes each option by its own name:
    ``PhotoOptions(fov=60)`` is ``PhotoOptions(view=CameraOptions(fov=60))``. On the command line,
    too, the flag is ``--fov`` and not ``--view.fov`` (``inline``).

    Attributes:
        RECORDS: Class of the record in each field.
        view: Camera.
        sizes: Known sizes.
        surface: Whether affine depth is anchored.
        refine: Refinements of the network's prediction.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    RECORDS: ClassVar[Mapping[str, type[Record]]] = {
        "view": CameraOptions,
        "sizes": KnownSizes,
        "surface": AnchorOptions,
        "refine": Refine,
    }

    view: Annotated[CameraOptions, option(inline=True)]
    sizes: Annotated[KnownSizes, option(inline=True)]
    surface: Annotated[AnchorOptions, option(inline=True)]
    refine: Annotated[Refine, option(inline=True)]

    def __init__(self, **keywords: Any) -> None:
        """Take single options by name, whole records by field, or both.

        If there are both, the options replace those of their record.
        """
        option_names_of = {field: option_names(record) for field, record in self.RECORDS.items()}
        known_keywords = [*self.RECORDS, *chain.from_iterable(option_names_of.values())]
        check_keywords(type(self).__name__, keywords, known_keywords)
        for field, record_type in self.RECORDS.items():
            options = {name: keywords[name] for name in option_names_of[field] if name in keywords}
            record = _make_or_update_record(record_type, keywords.get(field), options)
            object.__setattr__(self, field, record)  # this dataclass is frozen


def _make_or_update_record(
    record_type: type[Record], record: Record | None, options: Mapping[str, Any]
) -> Record:
    """Replace options in the record that a user passed, or make a new one if there is none."""
    if record is None:
        return record_type(**options)
    return replace(record, **options) if options else record
