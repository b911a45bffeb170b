"""Options of fusing a clip."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.data.clips.footage import ClipCamera
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import parse_encoding
from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseOptions(ClipCamera):
    """Options of fusing a clip.

    Examples:
        >>> rilievo.FuseOptions(depth="clip/depth", voxel=0.05).voxel
        0.05
    """

    model: str = ""
    """Model of depth: a name that 'rilievo models' lists, a file or a folder."""
    depth: Path | None = None
    """Folder of depth files, one a frame, instead of a model: those of 'rilievo predict', or 16-bit
    PNG, TIFF and npy."""
    depth_unit: Annotated[float | None, option(metavar="METRES", above=0, names_unit=True)] = None
    """Metres of one number of the depth files (0.001, 1/256), or its unit (mm, cm, m); by default
    what they state, else millimetres of whole numbers."""
    depth_crop: str | None = None
    """Part of the frames that depth files are of, TOP,LEFT,HEIGHT,WIDTH [px], or resized: all of
    the frame, in another size. Equal sizes and whole multiples need none."""
    depth_encoding: Annotated[
        str | None, option(aliases=("--encoding",), metavar="KEY=VALUE...")
    ] = None
    """What the numbers of depth files hold besides depth: pairs of scale, offset, invalid, bits,
    channels, min_depth, max_depth and array, such as "bits=3,13 scale=0.001 invalid=0,65535"."""
    poses: Path | None = None
    """Poses: a KITTI or TUM file, COLMAP's images.txt, images.bin or their folder, transforms.json,
    or 'auto' for a file beside the frames; by default motion is estimated."""
    frames: int = 240
    """Most frames to fuse, evenly spread."""
    side: int = 320
    """Longer side [px] at which frames are fused."""
    voxel: float | None = None
    """Side of a voxel; by default 1/128 of the median depth, or more to fit into 1 GB."""
    farthest: float | None = None
    """Largest depth to fuse; by default three times the median."""
    teach: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of labels for 'rilievo train video --labels': depth of the surface in each frame,
    weighed by agreement."""
    overwrite: bool = False
    """Replace the result of an earlier run."""

    def __post_init__(self) -> None:
        for name in ("depth", "poses", "camera_file", "teach"):
            path = getattr(self, name)
            if isinstance(path, str):
                object.__setattr__(self, name, Path(path))
        for name, value, low, high in (
            ("frames", self.frames, 3, 2000),
            ("side", self.side, 64, 1280),
        ):
            if not low <= value <= high:
                raise OptionError(option=name, expected=f"{low} to {high}", value=value)
        for name, length in (
            ("voxel", self.voxel),
            ("farthest", self.farthest),
            ("depth_unit", self.depth_unit),
        ):
            if length is not None and not 0 < length < math.inf:
                raise OptionError(option=name, expected="a positive length", value=length)
        if self.depth_crop is not None:
            parse_placement(self.depth_crop, "depth_crop")
        self._check_encoding()
        if self.depth is not None and self.model:
            raise OptionError("depth files and a model do not go together: give one")
        if sum(choice is not None for choice in (self.camera, self.camera_file, self.fov)) > 1:
            raise OptionError(
                problem=Text(
                    OptionName("camera"),
                    ", ",
                    OptionName("camera_file"),
                    " and ",
                    OptionName("fov"),
                    " do not go together: give one",
                )
            )

    def _check_encoding(self) -> None:
        if self.depth_encoding is None:
            return
        if self.depth is None:
            raise OptionError(
                option="depth_encoding",
                problem="is about depth files, and none are named",
                hint=Text("give ", OptionName("depth", "FOLDER"), " too"),
            )
        declared = parse_encoding(self.depth_encoding, "depth_encoding")
        if declared.scale is not None and self.depth_unit is not None:
            raise OptionError(
                option="depth_unit",
                problem=Text("and the scale of ", OptionName("depth_encoding"), " say the same"),
                hint="give one of them",
            )
