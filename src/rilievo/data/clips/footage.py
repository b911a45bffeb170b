"""Options that describe footage."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.models.load_options import TrustOptions
from rilievo.schema.fields import Groups, option


class SourceKind(StrEnum):
    """Layout of frames on disk."""

    FRAMES = "frames"
    """Videos, folders of frames, or a folder of these."""
    KITTI_RAW = "kitti-raw"
    KITTI_ODOMETRY = "kitti-odometry"
    CITYSCAPES = "cityscapes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCamera(TrustOptions):
    """Camera of a clip by the user; at most one of the three."""

    camera: Annotated[tuple[float, float, float, float] | None, option(metavar="FX,FY,CX,CY")] = (
        None
    )
    """Intrinsics [px] at the clip's own size."""
    camera_file: Annotated[Path | None, option(metavar="FILE")] = None
    """File of intrinsics and distortion: YAML, JSON, or K as text."""
    fov: Annotated[float | None, option(metavar="DEGREES")] = None
    """Horizontal field of view [degrees], if nothing better is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoData:
    """Frames of a training run."""

    GROUP: ClassVar[str] = "Footage"
    GROUPS: ClassVar[Groups] = {
        "Camera": ("camera", "camera_file", "fov", "published_camera", "learn_camera", "baseline")
    }

    roots: Annotated[tuple[str, ...], option(positional=True, metavar="VIDEO|FOLDER")]
    """Videos, folders of frames or folders of these; for a named dataset, its folder."""
    kind: Annotated[SourceKind, option(in_short_help=True)] = SourceKind.FRAMES
    """Layout of frames on disk."""
    split: str | None = None
    """List of targets, or a name that the dataset knows (sequences of odometry: 00,01,...)."""
    camera: Annotated[
        tuple[float, float, float, float] | None, option(in_short_help=True, metavar="FX,FY,CX,CY")
    ] = None
    """Intrinsics [px] at the frames' own size; pixel centres at whole numbers."""
    camera_file: Annotated[str | None, option(in_short_help=True, metavar="FILE")] = None
    """File of intrinsics and distortion: YAML, JSON, or K as text."""
    fov: Annotated[float | None, option(in_short_help=True, metavar="DEGREES")] = None
    """Horizontal field of view, if nothing better is known."""
    published_camera: Annotated[bool, option(hidden=True)] = False
    """K of the published program: fx 0.58 of the width, fy 1.92 of the height, centre 0.5."""
    learn_camera: bool = False
    """Refine the focal lengths while training."""
    poses: Annotated[str | None, option(in_short_help=True, metavar="FILE|auto")] = None
    """Known poses: a KITTI or TUM file, or 'auto' for the file beside the frames. Validation is
    scored against them."""
    follow_poses: Annotated[bool, option(hidden=True)] = False
    """Use known motion, in place of the pose network; depth is then in metres."""
    stereo: bool = False
    """Use the other camera of the pair as a source too."""
    baseline: Annotated[float | None, option(hidden=True)] = None
    """Distance between both cameras, in the depth's unit; by default the calibration's [m]. The
    published program uses 0.1 for KITTI's 0.54 m."""
    temporal: Annotated[bool, option(hidden=True)] = True
    """Use neighbours in time; without them, stereo alone."""
    stride: int | None = None
    """Frames between neighbours; by default from the measured motion."""
    parallax: Annotated[float, option(hidden=True)] = 2.0
    """Median parallax for which the stride is chosen [px at a width of 640]. Motion by geometry
    allows more: 4 with preset clip."""
    least_motion: Annotated[float, option(hidden=True)] = 1.0
    """Median motion [px at the training size] below which a frame is skipped."""
    held_out: float = 0.05
    """Share of targets of every sequence for validation; 0.1 with preset clip."""
    held_out_stretches: Annotated[int, option(hidden=True)] = 1
    """Stretches held out of every sequence: 1 for its end; 2 for its middle too, a few frames apart
    from training."""
    limit: Annotated[int | None, option(hidden=True)] = None
    """Number of first training targets; by default all."""
