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
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import option

HIDDEN = option(hidden=True)
"""Mark of a field that has no option on the command line."""
IN_SHORT_HELP = option(in_short_help=True)
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
IMAGENET_START = "imagenet"
"""Word for a start on video from encoders with weights from ImageNet."""
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
"""Least height and width on video [px], because padding by reflection needs features 2 wide."""
_VIDEO_SIDE_MULTIPLE = 32
"""Common divisor of the height and width on video [px]."""
_MAX_CHANNELS = 65_536
"""Most bins or hidden channels; a larger number is a typing error, or exceeds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFamily:
    """Family of backbones: the code that creates one, and the package that it needs.

    Attributes:
        import_path: ``module:name`` below ``backbones``: a function that loads a backbone
            or, for a whole network, its class.
        package: Package that must be installed.
        is_whole_network: Whether it is a small network of our own, trained from random weights.
    """

    import_path: str
    package: str = "torch"
    is_whole_network: bool = False


BACKBONE_FAMILIES: Mapping[str, BackboneFamily] = {
    "timm/": BackboneFamily(import_path="timm_backbones:load", package="timm"),
    "hf/": BackboneFamily(import_path="transformers_backbones:load", package="transformers"),
    "diffusers/": BackboneFamily(import_path="diffusion_backbone:load"),
    "mobilenetv2": BackboneFamily(import_path="mobilenet_backbone:load"),
    DEPTH_CNN: BackboneFamily(import_path="own_backbone:DepthCNN", is_whole_network=True),
    "normal-cnn": BackboneFamily(import_path="own_backbone:NormalCNN", is_whole_network=True),
}
"""Families of backbones by name. A key that ends with "/" is the prefix of many names. A new family
is a function or a class, and a row. Backbones that are known by name have cards in backbones.toml.
"""


def find_backbone_family(name: str) -> BackboneFamily | None:
    """Find the family of a backbone; None if its name is not known."""
    if name in BACKBONE_FAMILIES and not name.endswith("/"):
        return BACKBONE_FAMILIES[name]
    family_prefix = name.partition("/")[0] + "/"
    return None if name == family_prefix else BACKBONE_FAMILIES.get(family_prefix)


def is_whole_network(backbone: str) -> bool:
    """Whether a name is that of a small whole network, not of a backbone to probe."""
    family = find_backbone_family(backbone)
    return family is not None and family.is_whole_network


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

    HELP_TITLE: ClassVar[str] = "Network"

    name: Annotated[
        str,
        option(
            in_short_help=True, name="backbone", aliases=("-b", "-n", "--network"), metavar="NAME"
        ),
    ]
    """Backbone or encoder: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2,
    or package.module:Class. depth-cnn and normal-cnn are two small complete networks to start with.
    """
    weights: Annotated[str, IN_SHORT_HELP] = PRETRAINED
    """Weights of the backbone: pretrained, random, or a weights file. mobilenetv2 has no pretrained
    weights to download; its file is an .npz with the initializers of mobilenetv2-7.onnx from the
    ONNX Model Zoo.
    """
    layers: Annotated[tuple[int, ...] | None, option(in_short_help=True, metavar="I,J,...")] = None
    """Layers to take features from, counted from 0. By default four, evenly spaced."""
    tokens: Annotated[bool | None, HIDDEN] = None
    """Whether class tokens add channels."""
    seed: Annotated[int, HIDDEN] = 0
    """Seed for random weights, and for the noise of a diffusion model."""

    def __post_init__(self) -> None:
        if not self.name:
            raise OptionError("the backbone needs a name, such as timm/vit_small_patch16_224")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """The small network that predicts from features."""

    HELP_TITLE: ClassVar[str] = "Network"

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
    """Probe on the backbone's features, or decoder of a complete network: a name or
    package.module:Class.
    """
    hidden: int | None = None
    """Number of hidden channels of the probe. The default depends on the kind of probe."""
    kernel: Annotated[int | None, option(metavar="1|3")] = None
    """Kernel size of the probe's convolutions. By default 3 for dpt and 1 for the others."""

    def __post_init__(self) -> None:
        if self.kind not in PROBES and not is_import_path(self.kind):
            raise OptionError(f"no probe '{self.kind}'; {suggest(self.kind, PROBES)}")
        if self.hidden is not None and not 1 <= self.hidden <= _MAX_CHANNELS:
            raise OptionError(
                f"a probe must have 1 to {_MAX_CHANNELS:,} hidden channels, got {self.hidden}"
            )
        if self.kernel not in (None, 1, 3):
            raise OptionError(option="kernel", expected="1 or 3", value=self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChoice:
    """How depth is read from the channels of a probe."""

    HELP_TITLE: ClassVar[str] = "Network"

    form: Form = Form.BINS
    """Conversion of the probe's channels to depth."""
    readout: Readout = Readout.EXPECTATION
    """Depth that predictions read from the bins: their expectation, or the most probable one."""
    bins: Annotated[int, HIDDEN] = 256
    """Number of depth bins."""
    spacing: Annotated[str, HIDDEN] = "linear"
    """Spacing of the bins: linear or log."""
    normalisation: Annotated[str, HIDDEN] = "linear"
    """How the bins' scores are normalised: linear, softmax or sigmoid."""
    least: Annotated[float, HIDDEN] = 1e-3
    """Smallest depth [m]."""
    largest: Annotated[
        float, option(in_short_help=True, aliases=("--largest",), metavar="METRES")
    ] = 10.0
    """Largest depth that can be predicted [m]; larger ground truth is ignored."""
    kind: Annotated[DepthKind, HIDDEN] = DepthKind.METRIC
    """Kind of depth."""

    def __post_init__(self) -> None:
        if not 0 < self.least < self.largest < float("inf"):
            raise OptionError(
                "the smallest and largest depth must be positive and in ascending order, got "
                f"{self.least} and {self.largest}"
            )
        if self.readout is Readout.MOST_PROBABLE and self.form is not Form.BINS:
            raise OptionError(
                problem=Text(
                    OptionName("readout"),
                    f" {self.readout} needs ",
                    OptionName("form"),
                    f" {Form.BINS}, got {self.form}",
                )
            )
        if not 2 <= self.bins <= _MAX_CHANNELS:
            raise OptionError(f"depth must have 2 to {_MAX_CHANNELS:,} bins, got {self.bins}")
        _check_bin_choice("spacing", self.spacing, ("linear", "log"))
        _check_bin_choice("normalisation", self.normalisation, ("linear", "softmax", "sigmoid"))

    @property
    def channels(self) -> int:
        """Number of channels that depth is read from."""
        return self.bins if self.form is Form.BINS else 1


def _check_bin_choice(setting: str, choice: str, choices: tuple[str, ...]) -> None:
    if choice not in choices:
        raise OptionError(f"bins have no {setting} '{choice}'; {suggest(choice, choices)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Settings of a backbone with its probe."""

    HELP_TITLE: ClassVar[str] = "Network"

    backbone: Annotated[BackboneChoice, option(inline=True)]
    probe: Annotated[ProbeChoice, option(inline=True)] = field(default_factory=ProbeChoice)
    task: Annotated[ProbeTarget, IN_SHORT_HELP] = ProbeTarget.DEPTH
    """Quantity to predict, or both."""
    size: Annotated[Size, option(in_short_help=True, metavar="HEIGHT,WIDTH")] = (480, 480)
    """Height and width to which every photograph is resized [px], regardless of its aspect ratio.
    """
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: Annotated[bool, HIDDEN] = True
    """Predict kappa for normals, which is large where they are certain."""
    treatment: Annotated[str, HIDDEN] = "default"
    """Treatment of features: default, probe3d (as in its program) or probe3d-old (as in its paper).
    """

    def __post_init__(self) -> None:
        if self.treatment not in TREATMENTS:
            raise OptionError(
                f"no treatment '{self.treatment}'; {suggest(self.treatment, TREATMENTS)}"
            )
        if not all(1 <= side <= _MAX_SIDE for side in self.size):
            raise OptionError(
                f"the height and width must be from 1 to {_MAX_SIDE:,} px, got {self.size}"
            )

    @property
    def preparation(self) -> Preparation:
        """How photographs are prepared: resized bilinearly to the size."""
        height, width = self.size
        return Preparation(
            sizing=Sizing(rule=Rule.FIXED, height=height, width=width),
            resampling=Resampling.BILINEAR,
        )

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
    """Settings of a network that was trained further, from which its run is a model.

    The network can be made again from these settings and the run's folder. Three of them describe
    networks of one family each, and have their defaults in all others. The family ``marigold``
    needs none, because the folder has its whole pipeline.

    Attributes:
        family: Kind of the network, which decides how it is made.
        start: Name or folder of the model from which the training started.
        kind: Kind of its depth.
        licence: Licence of its weights.
        teacher: Models that labelled the training data of the start, with their licences.
        area: Family ``small``: number of pixels to which a photograph is resized for the network.
        probed: Family ``probe``: settings of the backbone and its probe.
        architecture: Family ``transformers``: model type in transformers, such as "depth_anything".
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

    HELP_TITLE: ClassVar[str] = "Network"

    encoder: Annotated[str, option(in_short_help=True, names=lambda: ENCODERS)] = "resnet18"
    """Encoder, such as small (the encoder of rilievo/small, and the default with preset clip), or
    timm/NAME for any timm encoder that returns feature maps.
    """
    pose: Annotated[PoseKind, IN_SHORT_HELP] = PoseKind.SEPARATE
    """Source of the camera motion: a pose network (separate, shared or cnn), geometry (the default
    with preset clip), or none if --poses (in metres) or the baseline of --stereo gives it.
    """
    pose_encoder: Annotated[str, HIDDEN] = "resnet18"
    """Encoder of a separate pose network: a ResNet."""
    cancels_scale: Annotated[bool, HIDDEN] = False
    """Divide the translations of 'cnn' by the mean inverse depth (Wang et al. 2018); otherwise
    multiply.
    """
    size: Annotated[Size, option(in_short_help=True, metavar="HEIGHT,WIDTH")] = (192, 640)
    """Height and width to which frames are resized for the networks [px]: multiples of 32, at least
    64. Preset clip uses the size of the start model.
    """
    area: Annotated[int | None, HIDDEN] = None
    """Number of pixels to which photographs are resized for the encoder small; None for the size.
    """
    scales: tuple[int, ...] = (0, 1, 2, 3)
    """Scales at which disparity is predicted, as the number of times the size is halved, the finest
    first. The encoder small only supports 0.
    """
    min_depth: float = 0.1
    """Smallest depth that can be predicted, in the network's unit of depth."""
    max_depth: float = 100.0
    """Largest depth that can be predicted, in the network's unit of depth."""
    mask: Annotated[bool, HIDDEN] = False
    """Predict a mask of the pixels of each source that can be explained (Zhou et al. 2017)."""
    kind: Annotated[DepthKind, HIDDEN] = DepthKind.UP_TO_SCALE
    """Kind of depth: metric if the network learned from metres."""
    unit: Annotated[float, HIDDEN] = 1.0
    """Length of one unit of depth [m], if metric."""

    def __post_init__(self) -> None:
        check_encoder(self.encoder)
        self._check_size()
        self._check_depth_range()
        self._check_scales()
        if self.kind not in (DepthKind.UP_TO_SCALE, DepthKind.METRIC):
            raise OptionError(f"the kind of depth must be up_to_scale or metric, got {self.kind}")
        if not 0 < self.unit < float("inf"):
            raise OptionError(
                f"the unit of depth must be a positive number of metres, got {self.unit}"
            )

    def _check_size(self) -> None:
        is_too_small = min(self.size) < _MIN_VIDEO_SIDE
        if is_too_small or any(side % _VIDEO_SIDE_MULTIPLE for side in self.size):
            raise OptionError(
                "the size must be a height and a width that are multiples of "
                f"{_VIDEO_SIDE_MULTIPLE} and at least {_MIN_VIDEO_SIDE}, such as 192,640, got "
                f"{self.size}"
            )
        if self.area is not None and not _MIN_VIDEO_SIDE**2 <= self.area <= _MAX_SIDE**2:
            raise OptionError(
                f"the area must be from {_MIN_VIDEO_SIDE**2:,} to {_MAX_SIDE**2:,} pixels, got "
                f"{self.area}"
            )

    def _check_depth_range(self) -> None:
        if not 0 < self.min_depth < self.max_depth < float("inf"):
            raise OptionError(
                problem=Text(
                    OptionName("min_depth"),
                    " must be positive and less than ",
                    OptionName("max_depth"),
                    f", got {self.min_depth} and {self.max_depth}",
                )
            )

    def _check_scales(self) -> None:
        if not self.scales or sorted(set(self.scales)) != list(self.scales):
            raise OptionError(
                problem=Text(
                    OptionName("scales"),
                    " must list at least one scale, in ascending order without repetition, got "
                    f"{self.scales}",
                )
            )
        if not 0 <= self.scales[0] <= self.scales[-1] <= 3:
            raise OptionError(
                problem=Text(OptionName("scales"), f" must be from 0 to 3, got {self.scales}")
            )


def check_encoder(name: str) -> None:
    """Raise ``OptionError`` for an unknown encoder; timm's are looked up when they are made."""
    if name not in ENCODERS and not name.startswith(TIMM):
        suggestion = suggest(name, [*ENCODERS, f"{TIMM}NAME"])
        raise OptionError(f"no encoder '{name}'; {suggestion}")


def is_official_checkpoint(folder: Path) -> bool:
    """Whether a folder holds Monodepth2's ``encoder.pth`` or ``depth.pth``."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
