"""What a network that learned from video is made of; needs no torch."""

from dataclasses import dataclass
from enum import StrEnum

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError

_MULTIPLE = 32
_LEAST = 64
"""Of a side [px]: the coarsest features are reflected at their border, so they are 2 wide."""


class PoseKind(StrEnum):
    """What tells how the camera moved between two frames."""

    SEPARATE = "separate"
    """An encoder of its own over both frames (Godard et al. 2019)."""
    SHARED = "shared"
    """The depth network's encoder over each frame."""
    CNN = "cnn"
    """A small network of seven convolutions (Zhou et al. 2017)."""
    NONE = "none"
    """Nothing: motion is known, of a stereo pair or from poses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBlueprint:
    """A depth network and its pose network, enough to make both anew.

    Raises:
        OptionError: If they do not go together.
    """

    encoder: str = "resnet18"
    """resnet18, resnet34, resnet50, lite, or timm/NAME of any timm encoder with feature maps."""
    pose: PoseKind = PoseKind.SEPARATE
    pose_encoder: str = "resnet18"
    """Of a separate pose network: resnet18, resnet34 or resnet50."""
    cancels_scale: bool = False
    """Whether translation of the pose network 'cnn' is divided by the mean inverse depth, so that
    depth's scale cancels (Wang et al. 2018). False multiplies, as the published program does."""
    size: tuple[int, int] = (192, 640)
    """(height, width) at which the networks see frames [px]; multiples of 32 from 64."""
    scales: tuple[int, ...] = (0, 1, 2, 3)
    """Halvings of the size at which disparity is read out, the finest first."""
    min_depth: float = 0.1
    """Of what the sigmoid can say, in the depth's unit."""
    max_depth: float = 100.0
    mask: bool = False
    """Whether a second head says per source frame what to explain (Zhou et al. 2017)."""
    kind: DepthKind = DepthKind.UP_TO_SCALE
    """metric where baselines, speeds or poses in metres were learned from."""
    unit: float = 1.0
    """Metres that one unit of the network's depth is, where the kind is metric."""

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
