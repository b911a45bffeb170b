"""Configuration of a training run of a probe, or of a whole network."""

from dataclasses import dataclass, field
from enum import StrEnum

from rilievo.errors import OptionError
from rilievo.models.probe_run import FORMAT
from rilievo.networks.blueprint import Blueprint


class DepthLoss(StrEnum):
    """Loss of depth."""

    PROBE = "probe"
    """Scale-invariant error of log depth and of its gradients, weighted."""
    SCALE_INVARIANT = "scale_invariant"
    L1 = "l1"
    MSE = "mse"
    BERHU = "berhu"


class NormalsLoss(StrEnum):
    """Loss of normals."""

    UNCERTAIN = "uncertain"
    """Negative log likelihood of the angle, with kappa (Bae et al. 2021)."""
    ANGULAR = "angular"
    """Mean angle."""


class GradientForm(StrEnum):
    """Axes along which the gradients of the depth loss are taken."""

    HEAD = "head"
    """Rows and columns."""
    OLD = "old"
    """Images of the batch and channels, as the program behind Probe3D's paper did by mistake."""


class Schedule(StrEnum):
    """Decay of the learning rate after its warm-up."""

    COSINE = "cosine"
    """Half a cosine."""
    QUARTER_COSINE = "quarter_cosine"
    """Quarter of a cosine: high for long, then steep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Images that a run trains on."""

    dataset: str
    """Name that 'rilievo datasets' lists, or package.module:Class."""
    root: str | None = None
    """Folder that the dataset was unpacked to; not needed by one that generates its images."""
    split: str | None = None
    """Split of the dataset; by default 'all' of a folder, else 'train', else the first."""
    variant: str | None = None
    """Variant of the ground truth or crop; by default the first."""
    list_file: str | None = None
    """Your own list of images in place of the split's."""
    window: tuple[int, int, int, int] | None = None
    """Part of the image that is used: top, bottom, left, right [px], such as a square, or the part
    inside a white border. By default all of it."""
    limit: int | None = None
    """Number of images to use, from the first; by default all."""
    held_out: int = 0
    """Images held out for validation: the last ones, as a block, since neighbours share a scene."""

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
    """Losses of a run and their weights."""

    depth: DepthLoss = DepthLoss.PROBE
    scale_invariant_weight: float = 10.0
    """Weight of the scale-invariant part of 'probe'."""
    gradient_weight: float = 0.5
    """Weight of the gradients in 'probe'."""
    gradient_form: GradientForm = GradientForm.HEAD
    normals: NormalsLoss = NormalsLoss.UNCERTAIN
    zero_normals: bool = False
    """Whether normals are learned wherever depth is known, a true normal of length zero counting as
    90° off, as Probe3D's program does; else where a true normal is known."""
    normals_weight: float = 1.0
    """Weight of normals where one probe predicts both; depth has weight 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Augmentation of images; off by default, so that features can be cached."""

    flip: float = 0.0
    """Probability that an image is mirrored, and its normals with it."""
    jitter: float = 0.0
    """Probability that brightness, contrast, saturation and hue are changed, by up to 20 %."""
    crop: float = 0.0
    """Probability that a window of half to all of the area is enlarged to full size."""
    variants: int = 0
    """Number of frozen versions of each image, whose features can be cached; 0 makes new versions
    every epoch."""

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
    """Configuration of a run."""

    format: str = FORMAT
    """Format of the run's folder."""
    blueprint: Blueprint
    data: DataChoice
    preset: str = "default"
    """Preset that the numbers below come from; the record lists what differs from 'default'."""
    losses: Losses = field(default_factory=Losses)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 10
    batch_size: int = 8
    """Images per step."""
    learning_rate: float = 5e-4
    """Peak learning rate of the probe."""
    backbone_rate: float = 0.0
    """Learning rate of the backbone; 0 freezes it, and only then its features can be cached."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    warm_up: float = 1.5
    """Epochs over which the learning rate rises."""
    start_factor: float = 0.01
    """Learning rate at the first step, as a share of its peak."""
    final_factor: float = 0.0
    """Learning rate at the end, as a share of its peak."""
    schedule: Schedule = Schedule.COSINE
    shuffle: bool = True
    """Whether every epoch has its own order of the images."""
    seed: int = 0
    """Seed of the probe's first weights, of the order of images and of augmentation."""
    precision: str = "fp32"
    """Precision of the arithmetic: fp32, or bf16."""
    checkpoint_steps: int = 500
    """Steps between checkpoints."""

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
    """Options of a run that do not change its result on the same machine.

    Attributes:
        device: Device: auto, cpu, cuda or cuda:N.
        tensorboard: Whether to write events for TensorBoard beside the CSV.
        resume: Whether to resume a run that is in the folder.
        stop_at: Step to stop after, with a checkpoint, as if killed then; None for the end.
        shown: Whether to report progress on standard error.
    """

    device: str = "auto"
    tensorboard: bool = False
    resume: bool = False
    stop_at: int | None = None
    shown: bool = True
