"""What a training run of a probe, or of a whole network, is made of."""

from dataclasses import dataclass, field
from enum import StrEnum

from rilievo.errors import OptionError
from rilievo.models.probe_run import FORMAT
from rilievo.networks.blueprint import Blueprint


class DepthLoss(StrEnum):
    """What is minimised of depth."""

    PROBE = "probe"
    """The scale-invariant error of log depth and its gradients, weighted."""
    SCALE_INVARIANT = "scale_invariant"
    L1 = "l1"
    MSE = "mse"
    BERHU = "berhu"


class NormalsLoss(StrEnum):
    """What is minimised of normals."""

    UNCERTAIN = "uncertain"
    """The negative log likelihood of the angle, with kappa (Bae et al. 2021)."""
    ANGULAR = "angular"
    """The mean angle."""


class GradientForm(StrEnum):
    """Between which pixels the gradients of the depth loss are taken."""

    HEAD = "head"
    """Rows and columns."""
    OLD = "old"
    """Images of the batch and channels, as the program behind Probe3D's paper did by mistake."""


class Schedule(StrEnum):
    """How the learning rate falls after its warm-up."""

    COSINE = "cosine"
    """Half a cosine."""
    QUARTER_COSINE = "quarter_cosine"
    """A quarter of one: high for long, then steep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Which images a run trains on."""

    dataset: str
    """A name that 'rilievo datasets' lists, or package.module:Class."""
    root: str | None = None
    """Where it was unpacked; none for one that makes itself."""
    split: str | None = None
    """By default 'train' where there is one, else the first."""
    variant: str | None = None
    """Of ground truth or crop; by default the first."""
    list_file: str | None = None
    """Your own list of images in place of the split's."""
    window: tuple[int, int, int, int] | None = None
    """Rows and columns that are used, top, bottom, left, right [px]: a square, or what a white
    frame leaves. By default all."""
    limit: int | None = None
    """The first images alone."""
    held_out: int = 0
    """Images kept for validation: the last ones, a block, since neighbours share a scene."""

    def __post_init__(self) -> None:
        if self.window is not None:
            top, bottom, left, right = self.window
            if not (0 <= top < bottom and 0 <= left < right):
                raise OptionError(
                    f"a window is top, bottom, left, right in order, got {self.window}"
                )
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"a limit of images is 1 or more, got {self.limit}")
        if self.held_out < 0:
            raise OptionError(f"images held out are 0 or more, got {self.held_out}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What is minimised."""

    depth: DepthLoss = DepthLoss.PROBE
    scale_invariant_weight: float = 10.0
    """Of the scale-invariant part of 'probe'."""
    gradient_weight: float = 0.5
    """Of the gradients in 'probe'."""
    gradient_form: GradientForm = GradientForm.HEAD
    normals: NormalsLoss = NormalsLoss.UNCERTAIN
    zero_normals: bool = False
    """Whether normals are learned wherever depth is known, a true normal of length zero counting as
    90° off, as Probe3D's program does; else where a true normal is known."""
    normals_weight: float = 1.0
    """Of normals against depth where both are read out of one probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How images are changed between epochs; none of it by default, so that features are kept."""

    flip: float = 0.0
    """How often an image is mirrored, and its normals with it."""
    jitter: float = 0.0
    """How often brightness, contrast, saturation and hue are changed, by up to 20 %."""
    crop: float = 0.0
    """How often a window of half to all of the area is brought to full size."""
    variants: int = 0
    """How many changed versions of an image there are, frozen, so that features of each can be
    kept; 0 makes new ones every epoch."""

    def __post_init__(self) -> None:
        for name in ("flip", "jitter", "crop"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is a share of 0 to 1, got {getattr(self, name)}")
        if self.variants < 0:
            raise OptionError(f"variants are 0 or more, got {self.variants}")

    @property
    def changes(self) -> bool:
        """Whether any image is changed."""
        return max(self.flip, self.jitter, self.crop) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """A run: what is trained, on what, how long, how."""

    format: str = FORMAT
    """Of the run's folder."""
    blueprint: Blueprint
    data: DataChoice
    preset: str = "default"
    """Where the numbers below come from; the record lists what differs from 'default'."""
    losses: Losses = field(default_factory=Losses)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 10
    batch_size: int = 8
    """Images a step."""
    learning_rate: float = 5e-4
    """Of the probe, at its peak."""
    backbone_rate: float = 0.0
    """Of the backbone; 0 leaves it as it is, and only then its features can be kept."""
    weight_decay: float = 0.01
    """Of AdamW."""
    warm_up: float = 1.5
    """Epochs in which the learning rate climbs."""
    start_factor: float = 0.01
    """The learning rate at the first step, as a share of its peak."""
    final_factor: float = 0.0
    """The learning rate at the end, as a share of its peak."""
    schedule: Schedule = Schedule.COSINE
    shuffle: bool = True
    """Whether every epoch has its own order of the images."""
    seed: int = 0
    """Of the probe's first weights, of the order and of augmentation."""
    precision: str = "fp32"
    """Of the arithmetic: fp32, or bf16."""
    checkpoint_steps: int = 500
    """Between checkpoints; one more is written at the end."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is 1 or more, got {getattr(self, name)}")
        for name in ("learning_rate", "backbone_rate", "weight_decay", "warm_up"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise OptionError(f"{name} is 0 or more, got {getattr(self, name)}")
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(f"precision is fp32 or bf16, got '{self.precision}'")
        uncertain = self.losses.normals is NormalsLoss.UNCERTAIN
        if self.blueprint.task.has_normals and uncertain and not self.blueprint.uncertainty:
            raise OptionError("the normals loss 'uncertain' needs kappa; choose 'angular' without")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is done; none of it changes what comes out on the same machine.

    Attributes:
        device: auto, cpu, cuda or cuda:N.
        tensorboard: Whether to write events for TensorBoard beside the CSV.
        resume: Whether to go on with a run that lies in the folder.
        stop_at: Stop after so many steps, with a checkpoint, as if killed then.
        shown: Whether to say on standard error how far the run is.
    """

    device: str = "auto"
    tensorboard: bool = False
    resume: bool = False
    stop_at: int | None = None
    shown: bool = True
