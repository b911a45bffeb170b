"""Settings that make networks again; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.arrays.shapes import Size
from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.extensions.trust import is_import_path
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import option

HIDDEN = option(hidden=True)
FIRST = option(first=True)
# A new kind of probe is one class and one row.
# ``module:Class`` of ``probes``.
PROBES: Mapping[str, str] = {
    "linear": "dense_probes:LinearProbe",
    "multiscale": "dense_probes:MultiscaleProbe",
    "dpt": "dpt_probes:DptProbe",
    "bnhead": "dense_probes:BatchNormProbe",
    "light": "dpt_probes:LightProbe",
}
TREATMENTS = ("default", "probe3d", "probe3d-old")
PRETRAINED, RANDOM = "pretrained", "random"
DEPTH_CNN = "depth-cnn"
_LARGEST = 8192
_MOST_CHANNELS = 65_536  # of bins or hidden channels: more are a slip, or no memory holds them
_MULTIPLE = 32
# Least side [px]: reflection needs features 2 wide.
_LEAST = 64
EMBEDDED_ENCODER = "small"
TIMM = "timm/"
# A new encoder is one class and one row.
# ``module:Class`` of ``video``.
ENCODERS: Mapping[str, str] = {
    EMBEDDED_ENCODER: "depth_network:SmallEncoder",
    "resnet18": "encoders:ResNetEncoder",
    "resnet34": "encoders:ResNetEncoder",
    "resnet50": "encoders:ResNetEncoder",
    "resnet101": "encoders:ResNetEncoder",
    "resnet152": "encoders:ResNetEncoder",
    "lite": "lite:LiteEncoder",
}
TIMM_ENCODER = "encoders:TimmEncoder"
ENCODER, DEPTH = "encoder.pth", "depth.pth"
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRow:
    """How a backbone is made.

    Attributes:
        place: ``module:function`` of ``backbones`` that loads it, or the class of a whole network.
        package: Package that it needs.
        is_whole_network: Whether it is a small whole network, which is trained from the start.
    """

    place: str
    package: str = "torch"
    is_whole_network: bool = False


# A new family is one function or class and one row: its name, or the beginning of its names. Known
# backbones of all families have cards in backbones.toml.
BACKBONE_FAMILIES: Mapping[str, BackboneRow] = {
    "timm/": BackboneRow(place="timm_backbones:load", package="timm"),
    "hf/": BackboneRow(place="transformers_backbones:load", package="transformers"),
    "diffusers/": BackboneRow(place="diffusion_backbone:load"),
    "mobilenetv2": BackboneRow(place="mobilenet_backbone:load"),
    DEPTH_CNN: BackboneRow(place="own_backbone:DepthCNN", is_whole_network=True),
    "normal-cnn": BackboneRow(place="own_backbone:NormalCNN", is_whole_network=True),
}


def find_backbone_row(name: str) -> BackboneRow | None:
    """Find the row of a backbone's name; None without one."""
    if name in BACKBONE_FAMILIES and not name.endswith("/"):
        return BACKBONE_FAMILIES[name]
    beginning = name.partition("/")[0] + "/"
    return BACKBONE_FAMILIES.get(beginning) if name != beginning else None


def is_whole_network(backbone: str) -> bool:
    """Whether a backbone's name is of a small whole network of ours."""
    row = find_backbone_row(backbone)
    return row is not None and row.is_whole_network


class ProbeTarget(StrEnum):
    """Outputs that a probe reads from features."""

    DEPTH = "depth"
    NORMALS = "normals"
    BOTH = "both"

    @property
    def has_depth(self) -> bool:
        """Whether it has depth."""
        return self is not ProbeTarget.NORMALS

    @property
    def has_normals(self) -> bool:
        """Whether it has normals."""
        return self is not ProbeTarget.DEPTH


class Form(StrEnum):
    """Conversion of channels to depth."""

    BINS = "bins"
    SIGMOID = "sigmoid"
    """One channel, between the least and largest depth."""
    EXPONENTIAL = "exponential"


class Readout(StrEnum):
    """Depth from the shares of bins."""

    EXPECTATION = "expectation"
    MOST_PROBABLE = "most_probable"
    """Depth of the largest share; training reads the expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """A backbone and its layers."""

    GROUP: ClassVar[str] = "Network"

    name: Annotated[
        str, option(first=True, name="backbone", aliases=("-b", "-n", "--network"), metavar="NAME")
    ]
    """Backbone or encoder: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2,
    or package.module:Class; depth-cnn and normal-cnn are two small whole networks to start with.
    """
    weights: Annotated[str, FIRST] = PRETRAINED
    """Weights of the backbone: pretrained, random, or a file."""
    layers: Annotated[tuple[int, ...] | None, option(first=True, metavar="I,J,...")] = None
    """Layers to take features from, from 0; by default four, evenly spread."""
    tokens: Annotated[bool | None, HIDDEN] = None
    """Whether class tokens add channels."""
    seed: Annotated[int, HIDDEN] = 0
    """Seed of random weights, and of a diffusion model's noise."""

    def __post_init__(self) -> None:
        if not self.name:
            raise OptionError("a backbone has a name, such as timm/vit_small_patch16_224")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """The small network that reads features."""

    GROUP: ClassVar[str] = "Network"

    kind: Annotated[
        str,
        option(
            first=True,
            name="probe",
            aliases=("--decoder",),
            metavar="KIND",
            names=lambda: PROBES,
        ),
    ] = "dpt"
    """Probe on the backbone's features, or decoder of a whole network; or package.module:Class."""
    hidden: int | None = None
    """Hidden channels of the probe; by default those of the kind."""
    kernel: Annotated[int | None, option(metavar="1|3")] = None
    """Side of the probe's convolutions; by default 3 for dpt, else 1."""

    def __post_init__(self) -> None:
        if self.kind not in PROBES and not is_import_path(self.kind):
            raise OptionError(f"no probe '{self.kind}'; {suggest(self.kind, PROBES)}")
        if self.hidden is not None and not 1 <= self.hidden <= _MOST_CHANNELS:
            raise OptionError(
                f"a probe's hidden channels are 1 to {_MOST_CHANNELS:,}, got {self.hidden}"
            )
        if self.kernel not in (None, 1, 3):
            raise OptionError(option="kernel", expected="1 or 3", value=self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChoice:
    """Depth from the probe's channels."""

    GROUP: ClassVar[str] = "Network"

    form: Form = Form.BINS
    """Conversion of the probe's channels to depth."""
    readout: Readout = Readout.EXPECTATION
    """Depth that predictions take from bins."""
    bins: Annotated[int, HIDDEN] = 256
    """Number of depths to choose among."""
    spacing: Annotated[str, HIDDEN] = "linear"
    """Spacing of the bins: linear or log."""
    normalisation: Annotated[str, HIDDEN] = "linear"
    """Conversion to shares: linear, softmax or sigmoid."""
    least: Annotated[float, HIDDEN] = 1e-3
    """Least depth [m]."""
    largest: Annotated[float, option(first=True, aliases=("--largest",), metavar="METRES")] = 10.0
    """Largest depth that can be predicted [m]; true depth beyond it is ignored."""
    kind: Annotated[DepthKind, HIDDEN] = DepthKind.METRIC
    """Kind of depth."""

    def __post_init__(self) -> None:
        if not 0 < self.least < self.largest < float("inf"):
            raise OptionError(
                f"depth lies between two positive numbers, got {self.least} to {self.largest}"
            )
        if self.readout is not Readout.EXPECTATION and self.form is not Form.BINS:
            raise OptionError(
                problem=Text(
                    OptionName("readout"),
                    " is of bins, and ",
                    OptionName("form"),
                    f" is {self.form}",
                )
            )
        if not 2 <= self.bins <= _MOST_CHANNELS:
            raise OptionError(f"depth has 2 to {_MOST_CHANNELS:,} bins, got {self.bins}")
        for what, choice, choices in (
            ("spacing", self.spacing, ("linear", "log")),
            ("normalisation", self.normalisation, ("linear", "softmax", "sigmoid")),
        ):
            if choice not in choices:
                raise OptionError(f"bins have no {what} '{choice}'; {suggest(choice, choices)}")

    @property
    def channels(self) -> int:
        """Number of bins, else 1."""
        return self.bins if self.form is Form.BINS else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Backbone, probe, and their outputs."""

    GROUP: ClassVar[str] = "Network"

    backbone: Annotated[BackboneChoice, option(name="")]
    probe: Annotated[ProbeChoice, option(name="")] = field(default_factory=ProbeChoice)
    task: Annotated[ProbeTarget, FIRST] = ProbeTarget.DEPTH
    """Outputs that are read."""
    size: Annotated[Size, option(first=True, metavar="HEIGHT,WIDTH")] = (480, 480)
    """(height, width) to which every photograph is resized, whatever its aspect [px]."""
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: Annotated[bool, HIDDEN] = True
    """Predict kappa of normals, large where they are certain."""
    treatment: Annotated[str, HIDDEN] = "default"
    """Treatment of features: default, probe3d (as its program) or probe3d-old (as its paper)."""

    def __post_init__(self) -> None:
        if self.treatment not in TREATMENTS:
            raise OptionError(
                f"no treatment '{self.treatment}'; {suggest(self.treatment, TREATMENTS)}"
            )
        if not all(1 <= side <= _LARGEST for side in self.size):
            raise OptionError(f"a size is (height, width) of 1 to {_LARGEST} px, got {self.size}")

    @property
    def depth_channels(self) -> int:
        """Number for depth; perhaps 0."""
        return self.depth.channels if self.task.has_depth else 0

    @property
    def normals_channels(self) -> int:
        """Number: 0, 3, or 4 with kappa."""
        if not self.task.has_normals:
            return 0
        return 4 if self.uncertainty else 3


class Family(StrEnum):
    """Networks that training can go on with."""

    SMALL = "small"
    PROBE = "probe"
    TRANSFORMERS = "transformers"
    MARIGOLD = "marigold"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedBlueprint:
    """Settings that make a network trained further again.

    Attributes:
        teacher: Models that labelled its data.
        area: Pixels at which the family ``small`` sees a photograph.
    """

    family: Family
    start: str
    kind: DepthKind
    licence: str
    teacher: str = ""
    area: int = 0
    probed: Blueprint | None = None
    architecture: str = ""


class PoseKind(StrEnum):
    """Source of the camera's motion."""

    SEPARATE = "separate"
    SHARED = "shared"
    CNN = "cnn"
    """Seven convolutions (Zhou et al. 2017)."""
    GEOMETRY = "geometry"
    NONE = "none"


# A new pose network is one class and one row.
POSE_NETWORKS: Mapping[PoseKind, str] = {
    PoseKind.SEPARATE: "pose_networks:PoseNet",
    PoseKind.SHARED: "pose_networks:SharedPoseNet",
    PoseKind.CNN: "pose_networks:PoseCNN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBlueprint:
    """Settings of a depth network and its pose network.

    Raises:
        OptionError: If they do not go together.
    """

    GROUP: ClassVar[str] = "Network"

    encoder: Annotated[str, option(first=True, names=lambda: ENCODERS)] = "resnet18"
    """Encoder, such as small (that of rilievo/small; the default with preset clip), or timm/NAME of
    any timm encoder with feature maps.
    """
    pose: Annotated[PoseKind, FIRST] = PoseKind.SEPARATE
    """Source of motion: a pose network (separate, shared, cnn), geometry (with preset clip), or
    none where --poses (metres) or the baseline of --stereo gives it.
    """
    pose_encoder: Annotated[str, HIDDEN] = "resnet18"
    """Encoder of a separate pose network: a resnet."""
    cancels_scale: Annotated[bool, HIDDEN] = False
    """Divide 'cnn' translations by mean inverse depth (Wang et al. 2018); otherwise multiply."""
    size: Annotated[Size, option(first=True, metavar="HEIGHT,WIDTH")] = (192, 640)
    """(height, width) at which the networks see frames [px]; multiples of 32 from 64. Preset clip
    takes that of the start's model.
    """
    area: Annotated[int | None, HIDDEN] = None
    """Pixels at which the encoder small sees photographs; None for the size."""
    scales: tuple[int, ...] = (0, 1, 2, 3)
    """Numbers of halvings of the size at which disparity is predicted, the finest first; 0 alone
    with the encoder small.
    """
    min_depth: float = 0.1
    """Least depth that can be predicted, in the network's unit of depth."""
    max_depth: float = 100.0
    """Largest depth that can be predicted, in the same unit."""
    mask: Annotated[bool, HIDDEN] = False
    """Predict which pixels of each source to explain (Zhou et al. 2017)."""
    kind: Annotated[DepthKind, HIDDEN] = DepthKind.UP_TO_SCALE
    """Kind of depth: metric if learned from metres."""
    unit: Annotated[float, HIDDEN] = 1.0
    """Length of one unit of depth [m], if metric."""

    def __post_init__(self) -> None:
        check_encoder(self.encoder)
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
                problem=Text(
                    OptionName("min_depth"),
                    " is positive and below ",
                    OptionName("max_depth"),
                    f", got {self.min_depth}, {self.max_depth}",
                )
            )
        if not self.scales or sorted(set(self.scales)) != list(self.scales):
            raise OptionError(
                problem=Text(
                    OptionName("scales"), f" are in order and once each, got {self.scales}"
                )
            )
        if not 0 <= self.scales[0] <= self.scales[-1] <= 3:
            raise OptionError(problem=Text(OptionName("scales"), f" are 0 to 3, got {self.scales}"))
        if self.kind not in (DepthKind.UP_TO_SCALE, DepthKind.METRIC):
            raise OptionError(f"depth from video is up_to_scale or metric, got {self.kind}")
        if not 0 < self.unit < float("inf"):
            raise OptionError(f"the unit of depth is a positive number of metres, got {self.unit}")


def check_encoder(name: str) -> None:
    """Refuse unknown encoders; timm's are looked up when made."""
    if name not in ENCODERS and not name.startswith(TIMM):
        suggestion = suggest(name, [*ENCODERS, f"{TIMM}NAME"])
        raise OptionError(f"no encoder '{name}'; {suggestion}")


def is_official_checkpoint(folder: Path) -> bool:
    """Whether a folder holds Monodepth2's ``encoder.pth`` or ``depth.pth``."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
