"""Settings of a probed network, as plain data: enough to make it again from a run's folder."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

import tyro

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest

PROBES = ("linear", "multiscale", "dpt", "bnhead", "light")
TREATMENTS = ("default", "probe3d", "probe3d-old")
PRETRAINED, RANDOM = "pretrained", "random"
_LARGEST = 8192
_MOST_CHANNELS = 65_536  # of bins or hidden channels: more are a slip, or no memory holds them


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

    backbone: Annotated[BackboneChoice, tyro.conf.arg(name="")]
    probe: Annotated[ProbeChoice, tyro.conf.arg(name="")] = field(default_factory=ProbeChoice)
    task: Task = Task.DEPTH
    """Outputs that are read."""
    size: Annotated[tuple[int, int], tyro.conf.arg(metavar="HEIGHT,WIDTH")] = (480, 480)
    """(height, width) to which every photograph is resized, whatever its aspect [px]."""
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: bool = True
    """Whether normals have kappa, which is large where they are certain."""
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
