"""Configuration of a training run of a probe, or of a whole network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

import tyro

from rilievo.errors import OptionError, suggest
from rilievo.plugins import is_place
from rilievo.training.adapters.run_models import PROBE_FORMAT
from rilievo.training.networks.blueprint import TREATMENTS, Blueprint

DEPTH_LOSSES = ("probe", "scale_invariant", "l1", "mse", "berhu")
UNCERTAIN, ANGULAR = NORMALS_LOSSES = ("uncertain", "angular")


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

    GROUP: ClassVar[str] = "Images"

    dataset: str = "folder"
    """Name that 'rilievo datasets' lists, or package.module:Class."""
    root: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that the dataset was unpacked to; for 'folder', one with images/ and depth/, normals/
    or both. Not needed by a dataset that generates its images."""
    split: str | None = None
    """Split of the dataset; by default 'all' of a folder, else 'train', else the first."""
    variant: str | None = None
    """Variant of the ground truth or crop; by default the first."""
    list_file: Annotated[str | None, tyro.conf.arg(name="list", metavar="FILE")] = None
    """Your own list of images in place of the split's."""
    window: Annotated[
        tuple[int, int, int, int] | None, tyro.conf.arg(metavar="TOP,BOTTOM,LEFT,RIGHT")
    ] = None
    """Part of the image that is used [px], by default all; 45,471,41,601 leaves out NYU's white
    border."""
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

    GROUP: ClassVar[str] = "Losses"

    depth: Annotated[
        str, tyro.conf.arg(aliases=("--depth-loss",), metavar="|".join(DEPTH_LOSSES))
    ] = "probe"
    """Loss of depth, or one of your own: package.module:NAME or file.py:NAME. 'probe' weights the
    scale-invariant error of log depth and its gradients."""
    scale_invariant_weight: float = 10.0
    """Weight of the scale-invariant part of 'probe'."""
    gradient_weight: float = 0.5
    """Weight of the gradients in 'probe'."""
    gradient_form: GradientForm = GradientForm.HEAD
    """Axes of these gradients: rows and columns, or images and channels as Probe3D's old program
    took them by mistake."""
    normals: Annotated[
        str, tyro.conf.arg(aliases=("--normals-loss",), metavar="|".join(NORMALS_LOSSES))
    ] = UNCERTAIN
    """Loss of normals, or one of your own; with 'uncertain' (Bae et al. 2021) the network also
    predicts kappa, their confidence."""
    zero_normals: bool = False
    """Learn normals wherever depth is known, a true normal of length zero counting as 90° off, as
    Probe3D's program does; else where a true normal is known."""
    normals_weight: float = 1.0
    """Weight of normals where one probe predicts both; depth has weight 1."""

    def __post_init__(self) -> None:
        for what, name, known in (
            ("depth", self.depth, DEPTH_LOSSES),
            ("normals", self.normals, NORMALS_LOSSES),
        ):
            if name not in known and not is_place(name):
                raise OptionError(f"no loss of {what} '{name}'; {suggest(name, known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Augmentation of images; off by default, so that features can be cached."""

    GROUP: ClassVar[str] = "Augmentation"

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
    """Configuration of a run: the options of ``train probe`` and ``train supervised``."""

    GROUP: ClassVar[str] = "Steps"
    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Network": ("preset",),
        "Speed": ("precision",),
    }
    OFF: ClassVar[Mapping[str, str]] = {
        "shuffle": "Show the images in the same order in every epoch."
    }

    format: tyro.conf.Suppress[str] = PROBE_FORMAT
    """Format of the run's folder."""
    data: Annotated[DataChoice, tyro.conf.arg(name="")]
    preset: Annotated[str, tyro.conf.arg(metavar="|".join(TREATMENTS))] = "default"
    """Preset that gives the numbers which are not given: default, probe3d (as its program does), or
    probe3d-old (as it did for the paper)."""
    blueprint: Annotated[Blueprint, tyro.conf.arg(name="")]
    losses: Losses = field(default_factory=Losses)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 10
    """Passes through the images."""
    batch_size: int = 8
    """Images per step."""
    learning_rate: float = 5e-4
    """Peak learning rate of the probe or decoder."""
    backbone_rate: Annotated[float, tyro.conf.arg(aliases=("--encoder-rate",))] = 0.0
    """Learning rate of the backbone; 0 freezes it, and only then its features can be cached. In
    'train supervised' the decoder's with random weights, else a tenth of it."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    warm_up: float = 1.5
    """Epochs over which the learning rate rises."""
    start_factor: float = 0.01
    """Learning rate at the first step, as a share of its peak."""
    final_factor: float = 0.0
    """Learning rate at the end, as a share of its peak."""
    schedule: Schedule = Schedule.COSINE
    """Decay of the learning rate after its warm-up."""
    shuffle: bool = True
    """Whether every epoch has its own order of the images."""
    seed: int = 0
    """Seed of the probe's first weights, of the order of images and of augmentation."""
    precision: Annotated[str, tyro.conf.arg(metavar="fp32|bf16")] = "fp32"
    """Precision of the arithmetic."""
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
        uncertain = self.losses.normals == UNCERTAIN
        if self.blueprint.task.has_normals and uncertain and not self.blueprint.uncertainty:
            raise OptionError("the normals loss 'uncertain' needs kappa; choose 'angular' without")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a run that do not change its result on the same machine."""

    GROUP: ClassVar[str] = "Output"
    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {"Speed": ("device",)}

    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    tensorboard: bool = False
    """Write events for TensorBoard beside the CSV."""
    resume: bool = False
    """Resume the run in the folder."""
    stop_at: tyro.conf.Suppress[int | None] = None
    """Step to stop after, with a checkpoint, as if killed then; None for the end."""
    shown: tyro.conf.Suppress[bool] = True
    """Whether to report progress on standard error."""
