"""What a probed network is made of, as plain data: enough to make it again from a run's folder."""

from dataclasses import dataclass, field
from enum import StrEnum

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest

PROBES = ("linear", "multiscale", "dpt", "bnhead", "light")
TREATMENTS = ("default", "probe3d", "probe3d-old")
PRETRAINED, RANDOM = "pretrained", "random"
_LARGEST = 8192


class Task(StrEnum):
    """What a probe reads out of features."""

    DEPTH = "depth"
    NORMALS = "normals"
    BOTH = "both"
    """Depth and normals from one probe, with the channels of both."""

    @property
    def has_depth(self) -> bool:
        """Whether depth is among what is read out."""
        return self is not Task.NORMALS

    @property
    def has_normals(self) -> bool:
        """Whether normals are among what is read out."""
        return self is not Task.DEPTH


class Form(StrEnum):
    """How the channels of a probe become depth."""

    BINS = "bins"
    """A share for each of many depths; the answer is their mean."""
    SIGMOID = "sigmoid"
    """One channel, brought between the least and the largest depth by a sigmoid."""
    EXPONENTIAL = "exponential"
    """One channel, the logarithm of depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """A backbone, and what is taken of it."""

    name: str
    """timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class."""
    weights: str = PRETRAINED
    """pretrained, random, or the file that holds them."""
    layers: tuple[int, ...] | None = None
    """Layers taken, from 0; by default four, evenly spread."""
    tokens: bool | None = None
    """Whether the class token counts as further channels; by default as is usual of the model."""
    seed: int = 0
    """Of random weights, and of the noise of a diffusion model."""

    def __post_init__(self) -> None:
        if not self.name:
            raise OptionError("a backbone has a name, such as timm/vit_small_patch16_224")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """The small network that reads features out."""

    kind: str = "dpt"
    """linear, multiscale, dpt, bnhead or light."""
    hidden: int | None = None
    """Channels inside; by default those of the kind."""

    def __post_init__(self) -> None:
        if self.kind not in PROBES:
            raise OptionError(f"no probe '{self.kind}'; {suggest(self.kind, PROBES)}")
        if self.hidden is not None and self.hidden < 1:
            raise OptionError(f"a probe's hidden channels are 1 or more, got {self.hidden}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthChoice:
    """How depth is read out."""

    form: Form = Form.BINS
    bins: int = 256
    """How many depths there are to choose among."""
    spacing: str = "linear"
    """Of their depths: linear or log."""
    normalisation: str = "linear"
    """From channels to shares: linear, softmax or sigmoid."""
    least: float = 1e-3
    """Least depth there can be [m]."""
    largest: float = 10.0
    """Largest depth there can be [m]; true depth beyond it is not learned from."""
    kind: DepthKind = DepthKind.METRIC
    """What the numbers are."""

    def __post_init__(self) -> None:
        if not 0 < self.least < self.largest < float("inf"):
            raise OptionError(
                f"depth lies between two positive numbers, got {self.least} to {self.largest}"
            )
        if self.bins < 2:
            raise OptionError(f"depth has 2 bins or more, got {self.bins}")
        for what, given, known in (
            ("spacing", self.spacing, ("linear", "log")),
            ("normalisation", self.normalisation, ("linear", "softmax", "sigmoid")),
        ):
            if given not in known:
                raise OptionError(f"bins have no {what} '{given}'; {suggest(given, known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A backbone, a probe, and what is read out of it.

    Attributes:
        backbone: What is probed.
        probe: What it is probed with.
        task: What is read out.
        size: (height, width) at which it sees every photograph, whatever its aspect.
        depth: How depth is read out.
        uncertainty: Whether normals come with kappa, which is large where they are sure.
        treatment: How features are computed and read: ``default``, or as Probe3D's program does,
            ``probe3d`` in its newest state and ``probe3d-old`` in that behind the paper.
    """

    backbone: BackboneChoice
    probe: ProbeChoice = field(default_factory=ProbeChoice)
    task: Task = Task.DEPTH
    size: tuple[int, int] = (480, 480)
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: bool = True
    treatment: str = "default"

    def __post_init__(self) -> None:
        if self.treatment not in TREATMENTS:
            raise OptionError(
                f"no treatment '{self.treatment}'; {suggest(self.treatment, TREATMENTS)}"
            )
        if not all(1 <= side <= _LARGEST for side in self.size):
            raise OptionError(f"a size is (height, width) of 1 to {_LARGEST} px, got {self.size}")

    @property
    def depth_channels(self) -> int:
        """Channels of the probe that become depth."""
        if not self.task.has_depth:
            return 0
        return self.depth.bins if self.depth.form is Form.BINS else 1

    @property
    def normals_channels(self) -> int:
        """Channels of the probe that become normals, and kappa behind them."""
        if not self.task.has_normals:
            return 0
        return 4 if self.uncertainty else 3
