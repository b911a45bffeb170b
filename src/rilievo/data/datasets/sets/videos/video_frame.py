"""Files of one frame of a video with true depth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from rilievo.types import Camera


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Camera of a frame.

    Attributes:
        camera: Intrinsics of the whole depth map; None where they are not known.
        world_T_cam: Pose; None where it is not known.
    """

    camera: Camera | None = None
    world_T_cam: Float64[np.ndarray, "4 4"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrame:
    """Files of one frame.

    Attributes:
        scene: Name of the video.
        read_depth: Reads true depth [m] from ``depth``; what is not above 0 is unknown.
        read_view: Reads the camera; None where nothing is known of it.
        cut: Cuts the frame out of the photograph; None where it is all of it.
    """

    image: Path
    depth: Path
    scene: str
    read_depth: Callable[[Path], Float32[np.ndarray, "h w"]]
    read_view: Callable[[], View] | None = None
    cut: Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h2 w2 3"]] | None = None
