"""Options that describe footage."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.options.run_options import TrustOptions
from rilievo.schema.fields import FieldsByTitle, option


class SourceKind(StrEnum):
    """Layout of frames on disk."""

    FRAMES = "frames"
    """Videos, folders of frames, or a folder of these."""
    KITTI_RAW = "kitti-raw"
    KITTI_ODOMETRY = "kitti-odometry"
    CITYSCAPES = "cityscapes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCamera(TrustOptions):
    """Camera of a clip as the user gives it, by at most one of the three options."""

    camera: Annotated[tuple[float, float, float, float] | None, option(metavar="FX,FY,CX,CY")] = (
        None
    )
    """Intrinsics [px] at the original size of the clip."""
    camera_file: Annotated[Path | None, option(metavar="FILE")] = None
    """File with intrinsics and distortion, instead of --camera: YAML, JSON, or K as text."""
    fov: Annotated[float | None, option(metavar="DEGREES")] = None
    """Horizontal field of view [degrees], if you do not know the intrinsics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoData:
    """Options on the frames that a training run learns from."""

    HELP_TITLE: ClassVar[str] = "Footage"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Camera": ("camera", "camera_file", "fov", "published_camera", "learn_camera", "baseline")
    }

    roots: Annotated[tuple[str, ...], option(positional=True, metavar="VIDEO|FOLDER")]
    """Videos, folders of frames, or folders that contain these; for a named dataset, its folder.
    Numbered frames can also be named as shot.%04d.png or shot.####.png."""
    kind: Annotated[SourceKind, option(in_short_help=True)] = SourceKind.FRAMES
    """Layout of frames on disk."""
    split: str | None = None
    """File that lists the target frames, or the name of a split (for odometry, sequences such as
    00,01)."""
    camera: Annotated[
        tuple[float, float, float, float] | None, option(in_short_help=True, metavar="FX,FY,CX,CY")
    ] = None
    """Intrinsics [px] at the original size of the frames; pixel centres are at integers."""
    camera_file: Annotated[str | None, option(in_short_help=True, metavar="FILE")] = None
    """File with intrinsics and distortion, instead of --camera: YAML, JSON, or K as text."""
    fov: Annotated[float | None, option(in_short_help=True, metavar="DEGREES")] = None
    """Horizontal field of view [degrees], if you do not know the intrinsics."""
    published_camera: Annotated[bool, option(hidden=True)] = False
    """Use the intrinsics of the published program: fx is 0.58 of the width, fy is 1.92 of the
    height, and the principal point is the centre."""
    learn_camera: bool = False
    """Refine the focal lengths while training."""
    poses: Annotated[str | None, option(in_short_help=True, metavar="FILE|auto")] = None
    """Known poses, against which validation is scored: a KITTI or TUM file, or 'auto' for the file
    beside the frames."""
    follow_poses: Annotated[bool, option(hidden=True)] = False
    """Use the known poses instead of the pose network; depth is then in metres."""
    stereo: bool = False
    """Also use the other camera of the stereo pair as a source."""
    baseline: Annotated[float | None, option(hidden=True)] = None
    """Distance between the two cameras, in the unit of the depth; by default the one in the
    calibration [m]. The published program uses 0.1 for KITTI's 0.54 m."""
    temporal: Annotated[bool, option(hidden=True)] = True
    """Use neighbouring frames as sources; without them, use stereo only."""
    stride: int | None = None
    """Number of frames between neighbours; by default chosen from the measured motion."""
    parallax: Annotated[float, option(hidden=True)] = 2.0
    """Median parallax [px at a width of 640] for which rilievo chooses the stride. With the preset
    clip, whose motion comes from geometry, it is 4."""
    least_motion: Annotated[float, option(hidden=True)] = 1.0
    """Median motion [px at the training size] below which a frame is skipped."""
    held_out: float = 0.05
    """Fraction of every sequence to hold out for validation; 0.1 with the preset clip."""
    held_out_stretches: Annotated[int, option(hidden=True)] = 1
    """Number of parts to hold out of every sequence: 1 for its end, 2 for its end and its middle.
    A few frames separate them from the training frames."""
    limit: Annotated[int | None, option(hidden=True)] = None
    """Use only the first N training targets; by default all."""
