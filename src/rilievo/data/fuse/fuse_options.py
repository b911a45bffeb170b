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
from rilievo.models import FAST_MODEL
from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseOptions(ClipCamera):
    """Options of fusing a clip.

    Examples:
        >>> rilievo.FuseOptions(depth="clip/depth", voxel=0.05).voxel
        0.05
    """

    model: Annotated[str, option(default=FAST_MODEL)] = ""
    """Depth model: a name that 'rilievo models' lists, a file or a folder."""
    depth: Path | None = None
    """Folder with a depth file for each frame, instead of a model: results of 'rilievo predict', or
    16-bit PNG, TIFF or npy files."""
    depth_unit: Annotated[float | None, option(metavar="METRES", above=0, names_unit=True)] = None
    """Metres per unit in the depth files (0.001, 1/256), or the name of the unit (mm, cm, m); by
    default what the files state, or millimetres for integers."""
    depth_crop: str | None = None
    """Part of the frames that the depth files cover: TOP,LEFT,HEIGHT,WIDTH [px], or 'resized' if
    they cover the whole frame at a different size. You do not need this option for equal sizes or
    integer multiples."""
    depth_encoding: Annotated[
        str | None, option(aliases=("--encoding",), metavar="KEY=VALUE...")
    ] = None
    """How the depth files encode depth: any of scale, offset, invalid, bits, channels, min_depth,
    max_depth and array, such as "bits=3,13 scale=0.001 invalid=0,65535"."""
    poses: Path | None = None
    """Camera poses: a KITTI or TUM file, COLMAP's images.txt, images.bin or their folder,
    transforms.json, or 'auto' for a file beside the frames; by default rilievo estimates them."""
    frames: int = 240
    """Largest number of frames to fuse, evenly spread over the clip."""
    side: int = 320
    """Longer side [px] at which frames are fused."""
    voxel: float | None = None
    """Side of a voxel, in the unit of the poses (metres if rilievo estimates them with metric
    depth); by default 1/128 of the median depth, or larger to fit into 1 GB of memory."""
    farthest: float | None = None
    """Largest depth to fuse, in the unit of --voxel; by default three times the median depth."""
    teach: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Also write labels for 'rilievo train video --labels' to this folder: the depth of the surface
    in each frame, weighted by how well the frames agree."""
    overwrite: bool = False
    """Replace the result of an earlier run."""

    def __post_init__(self) -> None:
        self._convert_paths()
        self._check_range("frames", self.frames, 3, 2000)
        self._check_range("side", self.side, 64, 1280)
        lengths = {"voxel": self.voxel, "farthest": self.farthest, "depth_unit": self.depth_unit}
        for name, length in lengths.items():
            if length is not None and not 0 < length < math.inf:
                raise OptionError(option=name, expected="a positive length", value=length)
        if self.depth_crop is not None:
            parse_placement(self.depth_crop, "depth_crop")
        self._check_encoding()
        if self.depth is not None and self.model:
            raise OptionError(option="depth", without="model")
        if sum(choice is not None for choice in (self.camera, self.camera_file, self.fov)) > 1:
            raise OptionError(
                problem=Text(
                    OptionName("camera"),
                    ", ",
                    OptionName("camera_file"),
                    " and ",
                    OptionName("fov"),
                    " cannot be combined; give only one of them",
                )
            )

    def _convert_paths(self) -> None:
        """Convert paths that Python users give as strings."""
        for name in ("depth", "poses", "camera_file", "teach"):
            path = getattr(self, name)
            if isinstance(path, str):
                object.__setattr__(self, name, Path(path))

    @staticmethod
    def _check_range(name: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise OptionError(option=name, expected=f"{low} to {high}", value=value)

    def _check_encoding(self) -> None:
        """Check the encoding itself, and that it goes together with the other options."""
        if self.depth_encoding is None:
            return
        if self.depth is None:
            raise OptionError(
                option="depth_encoding",
                problem="only applies to depth files, but you gave none",
                hint=Text("give ", OptionName("depth", "FOLDER"), " too"),
            )
        encoding = parse_encoding(self.depth_encoding, "depth_encoding")
        if encoding.scale is not None and self.depth_unit is not None:
            raise OptionError(
                option="depth_unit",
                problem=Text(
                    "and the scale in ", OptionName("depth_encoding"), " both state the unit"
                ),
                hint="give only one of them",
            )
