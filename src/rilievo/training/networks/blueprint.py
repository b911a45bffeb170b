"""Settings of probed networks and of those for video, enough to make them again; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest

PROBES = ("linear", "multiscale", "dpt", "bnhead", "light")
TREATMENTS = ("default", "probe3d", "probe3d-old")
PRETRAINED, RANDOM = "pretrained", "random"
TOYS = ("depth-cnn", "normal-cnn")
"""Small whole networks to start with."""
_FORMER_NAMES: Mapping[str, str] = {
    "rilievo.networks.backbones.own:DepthCNN": "depth-cnn",
    "rilievo.networks.backbones.own:NormalCNN": "normal-cnn",
}
_LARGEST = 8192
_MOST_CHANNELS = 65_536  # of bins or hidden channels: more are a slip, or no memory holds them
_MULTIPLE = 32
_LEAST = 64
"""Least side [px]: the coarsest features are reflected at their border, so they are 2 wide."""
EMBEDDED = "small"
"""Encoder of the embedded model ``rilievo/small``."""
ENCODER, DEPTH = "encoder.pth", "depth.pth"
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"


def current_name(name: str) -> str:
    """Return the name that a backbone of rilievo has now; others are returned as they are.

    Runs of 0.2 before its release name the modules that two backbones were in.
    """
    return _FORMER_NAMES.get(name, name)


class Task(StrEnum):
    """Outputs that a probe reads from features."""

    DEPTH = "depth"
    NORMALS = "normals"
    BOTH = "both"
    """Depth and normals from one probe, with the channels of both."""

    @property
    def has_depth(self) -> bool:
        """Whether depth is read out."""
        return self is not Task.NORMALS

    @property
    def has_normals(self) -> bool:
        """Whether normals are read out."""
        return self is not Task.DEPTH


class Form(StrEnum):
    """Conversion of a probe's channels to depth."""

    BINS = "bins"
    """A share for each of many depths; the result is their weighted mean."""
    SIGMOID = "sigmoid"
    """One channel, mapped between the least and the largest depth by a sigmoid."""
    EXPONENTIAL = "exponential"
    """One channel, the logarithm of depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """A backbone, and the layers and tokens taken from it."""

    GROUP: ClassVar[str] = "Network"

    name: Annotated[
        str, tyro.conf.arg(name="backbone", aliases=("-b", "-n", "--network"), metavar="NAME")
    ]
    """Backbone or encoder: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2,
    or package.module:Class; depth-cnn and normal-cnn are two small whole networks to start with."""
    weights: str = PRETRAINED
    """Weights of the backbone: pretrained, random, or the path of a file."""
    layers: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="I,J,...")] = None
    """Layers to take features from, from 0; by default four, evenly spread."""
    tokens: Annotated[bool | None, tyro.conf.arg(metavar="True|False")] = None
    """Whether the class token adds channels; by default the model's usual choice."""
    seed: Annotated[int, tyro.conf.arg(name="backbone-seed")] = 0
    """Seed of random weights, and of the noise of a diffusion model."""

    def __post_init__(self) -> None:
        if not self.name:
            raise OptionError("a backbone has a name, such as timm/vit_small_patch16_224")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """The small network that reads features."""

    GROUP: ClassVar[str] = "Network"

    kind: Annotated[
        str, tyro.conf.arg(name="probe", aliases=("--decoder",), metavar="|".join(PROBES))
    ] = "dpt"
    """Probe on the backbone's features, or decoder of a whole network."""
    hidden: int | None = None
    """Hidden channels of the probe; by default those of the kind."""

    def __post_init__(self) -> None:
        if self.kind not in PROBES:
            raise OptionError(f"no probe '{self.kind}'; {suggest(self.kind, PROBES)}")
        if self.hidden is not None and not 1 <= self.hidden <= _MOST_CHANNELS:
            raise OptionError(
                f"a probe's hidden channels are 1 to {_MOST_CHANNELS:,}, got {self.hidden}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChoice:
    """Settings for reading depth from the probe's channels."""

    GROUP: ClassVar[str] = "Network"

    form: Form = Form.BINS
    """Conversion of the probe's channels to depth."""
    bins: int = 256
    """Number of depths to choose among."""
    spacing: str = "linear"
    """Spacing of the bins' depths: linear or log."""
    normalisation: str = "linear"
    """Conversion of channels to shares: linear, softmax or sigmoid."""
    least: float = 1e-3
    """Least depth that can be predicted [m]."""
    largest: Annotated[float, tyro.conf.arg(aliases=("--largest",), metavar="METRES")] = 10.0
    """Largest depth that can be predicted [m]; true depth beyond it is ignored in training."""
    kind: DepthKind = DepthKind.METRIC
    """Kind of depth predicted."""

    def __post_init__(self) -> None:
        if not 0 < self.least < self.largest < float("inf"):
            raise OptionError(
                f"depth lies between two positive numbers, got {self.least} to {self.largest}"
            )
        if not 2 <= self.bins <= _MOST_CHANNELS:
            raise OptionError(f"depth has 2 to {_MOST_CHANNELS:,} bins, got {self.bins}")
        for what, given, known in (
            ("spacing", self.spacing, ("linear", "log")),
            ("normalisation", self.normalisation, ("linear", "softmax", "sigmoid")),
        ):
            if given not in known:
                raise OptionError(f"bins have no {what} '{given}'; {suggest(given, known)}")

    @property
    def channels(self) -> int:
        """Number of a probe's channels that become depth."""
        return self.bins if self.form is Form.BINS else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A backbone, a probe, and the outputs read from them."""

    GROUP: ClassVar[str] = "Network"
    OFF: ClassVar[Mapping[str, str]] = {"uncertainty": "Predict no kappa of normals."}

    backbone: Annotated[BackboneChoice, tyro.conf.arg(name="")]
    probe: Annotated[ProbeChoice, tyro.conf.arg(name="")] = field(default_factory=ProbeChoice)
    task: Task = Task.DEPTH
    """Outputs that are read."""
    size: Annotated[tuple[int, int], tyro.conf.arg(metavar="HEIGHT,WIDTH")] = (480, 480)
    """(height, width) to which every photograph is resized, whatever its aspect [px]."""
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: bool = True
    """Predict kappa of normals too, which is large where they are certain."""
    treatment: Annotated[str, tyro.conf.arg(metavar="|".join(TREATMENTS))] = "default"
    """Method of computing and reading features: default, or that of Probe3D's program, probe3d for
    its newest state and probe3d-old for that of the paper; by default the preset's."""

    def __post_init__(self) -> None:
        if self.treatment not in TREATMENTS:
            raise OptionError(
                f"no treatment '{self.treatment}'; {suggest(self.treatment, TREATMENTS)}"
            )
        if not all(1 <= side <= _LARGEST for side in self.size):
            raise OptionError(f"a size is (height, width) of 1 to {_LARGEST} px, got {self.size}")

    @property
    def depth_channels(self) -> int:
        """Number of the probe's channels that become depth."""
        return self.depth.channels if self.task.has_depth else 0

    @property
    def normals_channels(self) -> int:
        """Number of the probe's channels that become normals and kappa, which comes last."""
        if not self.task.has_normals:
            return 0
        return 4 if self.uncertainty else 3


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
    """Encoder: small (that of rilievo/small; the default with preset clip), resnet18, resnet34,
    resnet50, lite, or timm/NAME of any timm encoder with feature maps."""
    pose: PoseKind = PoseKind.SEPARATE
    """Source of motion: a pose network (separate, shared, cnn), or geometry (tracked corners and
    depth; with preset clip), or none where poses or the baseline are known."""
    pose_encoder: str = "resnet18"
    """Encoder of a separate pose network: resnet18, resnet34 or resnet50."""
    cancels_scale: bool = False
    """Divide the translation from the pose network 'cnn' by the mean inverse depth, so that depth's
    scale cancels (Wang et al. 2018); otherwise it is multiplied, as in the published program."""
    size: Annotated[tuple[int, int], tyro.conf.arg(metavar="HEIGHT,WIDTH")] = (192, 640)
    """(height, width) at which the networks see frames [px]; multiples of 32 from 64. With preset
    clip the size at which the model that the run starts from sees the footage."""
    area: tyro.conf.Suppress[int | None] = None
    """Pixels at which a run of the encoder small sees photographs of any shape, as the model that
    it started from does; None for those of the size."""
    scales: tuple[int, ...] = (0, 1, 2, 3)
    """Numbers of halvings of the size at which disparity is predicted, the finest first; 0 alone
    with the encoder small."""
    min_depth: float = 0.1
    """Least depth that can be predicted, in the network's unit of depth: a sigmoid of 1."""
    max_depth: float = 100.0
    """Largest depth that can be predicted, in the same unit: a sigmoid of 0."""
    mask: bool = False
    """Predict per source, by a second decoder, which pixels to explain (Zhou et al. 2017)."""
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
        if self.area is not None and not _LEAST**2 <= self.area <= _LARGEST**2:
            raise OptionError(
                f"an area is {_LEAST**2:,} to {_LARGEST**2:,} pixels, got {self.area}"
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


def is_official(folder: Path) -> bool:
    """Whether a folder is an official checkpoint, perhaps an incomplete one."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
