"""Settings from which networks are made, and made again from a run; needs no torch."""

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
"""Mark of a field that has no option on the command line."""
FIRST = option(in_short_help=True)
"""Mark of a field whose option comes first in the help."""

PROBES: Mapping[str, str] = {
    "linear": "dense_probes:LinearProbe",
    "multiscale": "dense_probes:MultiscaleProbe",
    "dpt": "dpt_probes:DptProbe",
    "bnhead": "dense_probes:BatchNormProbe",
    "light": "dpt_probes:LightProbe",
}
"""Probes by name, as ``module:Class`` of ``probes``. A new one is a class and a row."""
TREATMENTS = ("default", "probe3d", "probe3d-old")
"""Ways to treat images and features; see ``Blueprint.treatment``."""
PRETRAINED, RANDOM = "pretrained", "random"
"""Words for the weights of a backbone that its authors publish, and for random ones."""
DEPTH_CNN = "depth-cnn"
"""Name of the small whole network that predicts depth."""

EMBEDDED_ENCODER = "small"
"""Name of the encoder of the embedded model ``rilievo/small``."""
TIMM = "timm/"
"""Beginning of the names of timm's encoders."""
ENCODERS: Mapping[str, str] = {
    EMBEDDED_ENCODER: "depth_network:SmallEncoder",
    "resnet18": "encoders:ResNetEncoder",
    "resnet34": "encoders:ResNetEncoder",
    "resnet50": "encoders:ResNetEncoder",
    "resnet101": "encoders:ResNetEncoder",
    "resnet152": "encoders:ResNetEncoder",
    "lite": "lite:LiteEncoder",
}
"""Encoders of networks on video by name, as ``module:Class`` of ``video``. A new one is a class and
a row."""
TIMM_ENCODER = "encoders:TimmEncoder"
"""Class of the encoders of timm, as ``module:Class`` of ``video``."""
ENCODER, DEPTH = "encoder.pth", "depth.pth"
"""Files of the depth network in a checkpoint of Monodepth2's program."""
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"
"""Files of its pose network."""

_MAX_SIDE = 8192
"""Largest height and width of an input [px]."""
_MIN_VIDEO_SIDE = 64
"""Least height and width on video [px]: padding by reflection needs features 2 wide."""
_VIDEO_SIDE_MULTIPLE = 32
"""Common divisor of the height and width on video [px]."""
_MAX_CHANNELS = 65_536
"""Most bins or hidden channels: more are a slip, or no memory holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRow:
    """How the backbones of a family are made.

    Attributes:
        place: ``module:function`` of ``backbones`` that loads one, or the class of a whole network.
        package: Package that it needs.
        is_whole_network: Whether it is a small whole network, which is trained from the start.
    """

    place: str
    package: str = "torch"
    is_whole_network: bool = False


BACKBONE_FAMILIES: Mapping[str, BackboneRow] = {
    "timm/": BackboneRow(place="timm_backbones:load", package="timm"),
    "hf/": BackboneRow(place="transformers_backbones:load", package="transformers"),
    "diffusers/": BackboneRow(place="diffusion_backbone:load"),
    "mobilenetv2": BackboneRow(place="mobilenet_backbone:load"),
    DEPTH_CNN: BackboneRow(place="own_backbone:DepthCNN", is_whole_network=True),
    "normal-cnn": BackboneRow(place="own_backbone:NormalCNN", is_whole_network=True),
}
"""Families of backbones, by their name or the beginning of their names. A new family is a function
or a class, and a row. Backbones that are known by name have cards in backbones.toml."""


def find_backbone_row(name: str) -> BackboneRow | None:
    """Find how a backbone is made; None if its name is not known."""
    if name in BACKBONE_FAMILIES and not name.endswith("/"):
        return BACKBONE_FAMILIES[name]
    beginning = name.partition("/")[0] + "/"
    return BACKBONE_FAMILIES.get(beginning) if name != beginning else None


def is_whole_network(backbone: str) -> bool:
    """Whether a name is that of a small whole network, not of a backbone to probe."""
    row = find_backbone_row(backbone)
    return row is not None and row.is_whole_network


class ProbeTarget(StrEnum):
    """Outputs that a probe reads from features."""

    DEPTH = "depth"
    NORMALS = "normals"
    BOTH = "both"

    @property
    def has_depth(self) -> bool:
        """Whether depth is read."""
        return self is not ProbeTarget.NORMALS

    @property
    def has_normals(self) -> bool:
        """Whether normals are read."""
        return self is not ProbeTarget.DEPTH


class Form(StrEnum):
    """Conversion of the channels of a probe to depth."""

    BINS = "bins"
    """One channel for each of several depths, of which a mean or the most probable is taken."""
    SIGMOID = "sigmoid"
    """One channel, whose sigmoid goes from the least to the largest depth."""
    EXPONENTIAL = "exponential"
    """One channel, which is the logarithm of depth."""


class Readout(StrEnum):
    """Conversion of the shares of bins to one depth."""

    EXPECTATION = "expectation"
    """Mean of the depths of the bins, weighted by their shares."""
    MOST_PROBABLE = "most_probable"
    """Depth of the bin with the largest share; training takes the expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """A backbone, its weights and the layers whose features are taken."""

    GROUP: ClassVar[str] = "Network"

    name: Annotated[
        str,
        option(
            in_short_help=True, name="backbone", aliases=("-b", "-n", "--network"), metavar="NAME"
        ),
    ]
    """Backbone or encoder: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2,
    or package.module:Class; depth-cnn and normal-cnn are two small whole networks to start with.
    """
    weights: Annotated[str, FIRST] = PRETRAINED
    """Weights of the backbone: pretrained, random, or a file."""
    layers: Annotated[tuple[int, ...] | None, option(in_short_help=True, metavar="I,J,...")] = None
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
    """The small network that predicts from features."""

    GROUP: ClassVar[str] = "Network"

    kind: Annotated[
        str,
        option(
            in_short_help=True,
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
        if self.hidden is not None and not 1 <= self.hidden <= _MAX_CHANNELS:
            raise OptionError(
                f"a probe's hidden channels are 1 to {_MAX_CHANNELS:,}, got {self.hidden}"
            )
        if self.kernel not in (None, 1, 3):
            raise OptionError(option="kernel", expected="1 or 3", value=self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChoice:
    """How depth is read from the channels of a probe."""

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
    largest: Annotated[
        float, option(in_short_help=True, aliases=("--largest",), metavar="METRES")
    ] = 10.0
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
        if not 2 <= self.bins <= _MAX_CHANNELS:
            raise OptionError(f"depth has 2 to {_MAX_CHANNELS:,} bins, got {self.bins}")
        _check_bin_choice("spacing", self.spacing, ("linear", "log"))
        _check_bin_choice("normalisation", self.normalisation, ("linear", "softmax", "sigmoid"))

    @property
    def channels(self) -> int:
        """Number of channels that depth is read from."""
        return self.bins if self.form is Form.BINS else 1


def _check_bin_choice(what: str, choice: str, choices: tuple[str, ...]) -> None:
    if choice not in choices:
        raise OptionError(f"bins have no {what} '{choice}'; {suggest(choice, choices)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Settings of a backbone with its probe."""

    GROUP: ClassVar[str] = "Network"

    backbone: Annotated[BackboneChoice, option(name="")]
    probe: Annotated[ProbeChoice, option(name="")] = field(default_factory=ProbeChoice)
    task: Annotated[ProbeTarget, FIRST] = ProbeTarget.DEPTH
    """Outputs that are read."""
    size: Annotated[Size, option(in_short_help=True, metavar="HEIGHT,WIDTH")] = (480, 480)
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
        if not all(1 <= side <= _MAX_SIDE for side in self.size):
            raise OptionError(f"a size is (height, width) of 1 to {_MAX_SIDE} px, got {self.size}")

    @property
    def depth_channels(self) -> int:
        """Number of channels for depth, perhaps 0."""
        return self.depth.channels if self.task.has_depth else 0

    @property
    def normals_channels(self) -> int:
        """Number of channels for normals: 0, 3, or 4 with kappa."""
        if not self.task.has_normals:
            return 0
        return 4 if self.uncertainty else 3


class Family(StrEnum):
    """Kinds of networks that can be trained further."""

    SMALL = "small"
    PROBE = "probe"
    TRANSFORMERS = "transformers"
    MARIGOLD = "marigold"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedBlueprint:
    """Settings of a network that was trained further.

    Attributes:
        family: Kind of the network.
        start: Model from which it started.
        kind: Kind of its depth.
        licence: Licence of its weights.
        teacher: Models that labelled its training data.
        area: Number of pixels at which the family ``small`` sees a photograph.
        probed: Backbone and probe of the family ``probe``.
        architecture: Class of the network in its library.
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
    """Source of the motion between frames."""

    SEPARATE = "separate"
    """A pose network with an encoder of its own."""
    SHARED = "shared"
    """A pose network on the encoder of the depth network."""
    CNN = "cnn"
    """A pose network of seven convolutions (Zhou et al. 2017)."""
    GEOMETRY = "geometry"
    """Tracked points and depth."""
    NONE = "none"
    """Recorded poses, or the baseline of a stereo pair."""


POSE_NETWORKS: Mapping[PoseKind, str] = {
    PoseKind.SEPARATE: "pose_networks:PoseNet",
    PoseKind.SHARED: "pose_networks:SharedPoseNet",
    PoseKind.CNN: "pose_networks:PoseCNN",
}
"""Pose networks, as ``module:Class`` of ``video``. A new one is a class and a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBlueprint:
    """Settings of a depth network and its pose network.

    Raises:
        OptionError: If they do not go together.
    """

    GROUP: ClassVar[str] = "Network"

    encoder: Annotated[str, option(in_short_help=True, names=lambda: ENCODERS)] = "resnet18"
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
    size: Annotated[Size, option(in_short_help=True, metavar="HEIGHT,WIDTH")] = (192, 640)
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
        if (
            min(height, width) < _MIN_VIDEO_SIDE
            or height % _VIDEO_SIDE_MULTIPLE
            or width % _VIDEO_SIDE_MULTIPLE
        ):
            raise OptionError(
                f"a size is multiples of {_VIDEO_SIDE_MULTIPLE} from {_MIN_VIDEO_SIDE}, such as "
                f"192,640, got {self.size}"
            )
        if self.area is not None and not _MIN_VIDEO_SIDE**2 <= self.area <= _MAX_SIDE**2:
            raise OptionError(
                f"an area is {_MIN_VIDEO_SIDE**2:,} to {_MAX_SIDE**2:,} pixels, got {self.area}"
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
    """Check that there is an encoder of this name; timm's are looked up when they are made.

    Raises:
        OptionError: If there is none.
    """
    if name not in ENCODERS and not name.startswith(TIMM):
        suggestion = suggest(name, [*ENCODERS, f"{TIMM}NAME"])
        raise OptionError(f"no encoder '{name}'; {suggestion}")


def is_official_checkpoint(folder: Path) -> bool:
    """Whether a folder holds Monodepth2's ``encoder.pth`` or ``depth.pth``."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
