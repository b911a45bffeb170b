"""Settings of the networks that learn from video; needs no torch."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError

_MULTIPLE = 32
_LEAST = 64
"""Least side [px]: the coarsest features are reflected at their border, so they are 2 wide."""


class PoseKind(StrEnum):
    """Source of the camera's motion between two frames."""

    SEPARATE = "separate"
    """A separate encoder over both frames (Godard et al. 2019)."""
    SHARED = "shared"
    """The depth network's encoder over each frame."""
    CNN = "cnn"
    """A small network of seven convolutions (Zhou et al. 2017)."""
    GEOMETRY = "geometry"
    """No network: motion follows from depth and tracked corners."""
    NONE = "none"
    """No network: motion is known, from a stereo pair or from poses."""

    @property
    def is_network(self) -> bool:
        """Whether a network predicts the motion."""
        return self not in (PoseKind.GEOMETRY, PoseKind.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBlueprint:
    """Settings of a depth network and its pose network, enough to make both again.

    Raises:
        OptionError: If they do not go together.
    """

    GROUP: ClassVar[str] = "Network"

    encoder: str = "resnet18"
    """Encoder: small or tiny (those of the embedded models), resnet18, resnet34, resnet50, lite, or
    timm/NAME of any timm encoder with feature maps; small with preset clip."""
    pose: PoseKind = PoseKind.SEPARATE
    """Source of motion: a pose network (separate, shared, cnn), or geometry (tracked corners and
    depth; with preset clip), or none where poses or the baseline are known."""
    pose_encoder: str = "resnet18"
    """Encoder of a separate pose network: resnet18, resnet34 or resnet50."""
    cancels_scale: bool = False
    """Whether the translation from the pose network 'cnn' is divided by the mean inverse depth, so
    that depth's scale cancels (Wang et al. 2018). False multiplies, as the published program does.
    """
    size: Annotated[tuple[int, int], tyro.conf.arg(metavar="HEIGHT,WIDTH")] = (192, 640)
    """(height, width) at which the networks see frames [px]; multiples of 32 from 64. With preset
    clip about 65,000 pixels of the footage's shape."""
    scales: tuple[int, ...] = (0, 1, 2, 3)
    """Numbers of halvings of the size at which disparity is predicted, the finest first; 0 alone
    with the encoders of the embedded models."""
    min_depth: float = 0.1
    """Least depth that can be predicted, in the network's unit of depth: a sigmoid of 1."""
    max_depth: float = 100.0
    """Largest depth that can be predicted, in the same unit: a sigmoid of 0."""
    mask: bool = False
    """Whether a second decoder predicts per source which pixels to explain (Zhou et al. 2017)."""
    kind: tyro.conf.Suppress[DepthKind] = DepthKind.UP_TO_SCALE
    """Kind of depth: metric if it was learned from baselines, speeds or poses in metres."""
    unit: float = 1.0
    """Length of one unit of the network's depth [m], if the kind is metric."""

    def __post_init__(self) -> None:
        height, width = self.size
        if min(height, width) < _LEAST or height % _MULTIPLE or width % _MULTIPLE:
            raise OptionError(
                f"a size is multiples of {_MULTIPLE} from {_LEAST}, such as 192,640, got "
                f"{self.size}"
            )
        if not 0 < self.min_depth < self.max_depth < float("inf"):
            raise OptionError(
                f"min_depth is positive and below max_depth, got {self.min_depth}, {self.max_depth}"
            )
        if not self.scales or sorted(set(self.scales)) != list(self.scales):
            raise OptionError(f"scales are in order and once each, got {self.scales}")
        if not 0 <= self.scales[0] <= self.scales[-1] <= 3:
            raise OptionError(f"scales are 0 to 3, got {self.scales}")
        if self.kind not in (DepthKind.UP_TO_SCALE, DepthKind.METRIC):
            raise OptionError(f"depth from video is up_to_scale or metric, got {self.kind}")
        if not 0 < self.unit < float("inf"):
            raise OptionError(f"the unit of depth is a positive number of metres, got {self.unit}")


ENCODER, DEPTH = "encoder.pth", "depth.pth"
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"


def is_official(folder: Path) -> bool:
    """Whether a folder is an official checkpoint, perhaps an incomplete one."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
