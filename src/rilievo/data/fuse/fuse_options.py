"""Options of fusing a clip, and the record of what was done."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.models.model_options import TrustOptions

LARGEST_MEMORY = 64.0


class Agree(StrEnum):
    """Extent to which the depth of frames is changed to agree with that of their neighbours."""

    FULL = "full"
    """A scale and a smooth correction of each frame; points on which few frames agree are left
    out."""
    SCALE = "scale"
    """One scale for all frames, and no other change."""
    NONE = "none"
    """No change: depth is in the unit of the poses already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseOptions(TrustOptions):
    """Options of fusing a clip."""

    model: str = ""
    """Model that gives depth: a name that 'rilievo models' lists, a file or a folder."""
    quality: str | None = None
    """A word in place of a model: fast, good or best."""
    depth: Path | None = None
    """Folder of depth files, one a frame, in place of a model: those of 'rilievo predict', or
    16-bit PNG, TIFF and npy."""
    depth_unit: float = 0.001
    """Metres of one count of whole-number depth files."""
    poses: Path | None = None
    """Poses of the frames: a KITTI or TUM file, COLMAP's images.txt or its folder, transforms.json,
    or 'auto' for a file beside the frames; by default the camera's motion is estimated."""
    camera: Annotated[
        tuple[float, float, float, float] | None, tyro.conf.arg(metavar="FX,FY,CX,CY")
    ] = None
    """Intrinsics [px] at the frames' own size."""
    camera_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File of intrinsics and lens distortion: YAML, JSON, or K as text."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view [degrees], where nothing better is known."""
    frames: int = 240
    """Largest number of frames that are fused, evenly spread over the clip."""
    stride: int | None = None
    """Use every Nth frame; by default as many as --frames allows."""
    side: int = 320
    """Longer side [px] at which frames are fused."""
    agree: Agree = Agree.FULL
    """Change of depth so that frames agree: full, scale or none."""
    voxel: float | None = None
    """Side of a voxel in the unit of the result; by default 1/128 of the median depth."""
    farthest: float | None = None
    """Depth beyond which nothing is fused; by default three times the median depth."""
    memory: float = 1.0
    """Limit of the volume's memory [GB]; an automatic voxel grows to fit."""
    teach: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for labels too, for 'rilievo train video --labels': depth of the surface in each
    frame, weighed by how many frames agree."""
    overwrite: bool = False
    """Replace the result of an earlier run."""

    def __post_init__(self) -> None:
        for name in ("depth", "poses", "camera_file", "teach"):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, Path(path))
        for name, value, least, most in (
            ("frames", self.frames, 3, 2000),
            ("side", self.side, 64, 1280),
        ):
            if not least <= value <= most:
                raise OptionError(f"{name} is {least} to {most}, got {value}")
        if self.stride is not None and self.stride < 1:
            raise OptionError(f"stride is 1 or more, got {self.stride}")
        for name, length in (
            ("voxel", self.voxel),
            ("farthest", self.farthest),
            ("depth_unit", self.depth_unit),
        ):
            if length is not None and not 0 < length < math.inf:
                raise OptionError(f"{name} is a positive length, got {length:g}")
        if not 0.01 <= self.memory <= LARGEST_MEMORY:
            raise OptionError(f"memory is 0.01 to {LARGEST_MEMORY:g} GB, got {self.memory:g}")
        if self.depth is not None and (self.model or self.quality is not None):
            raise OptionError("depth files and a model do not go together: give one")
        if self.model and self.quality is not None:
            raise OptionError("quality and model do not go together: give one")
        if sum(each is not None for each in (self.camera, self.camera_file, self.fov)) > 1:
            raise OptionError("camera, camera_file and fov do not go together: give one")
