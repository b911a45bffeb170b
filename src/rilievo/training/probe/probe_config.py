"""Configuration of training a probe or a whole network."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.schema.fields import FieldsByTitle, option
from rilievo.training.adapters.run_models import PROBE_FORMAT
from rilievo.training.engine.config_fields import check_ranges
from rilievo.training.losses.supervised_options import ANGULAR, UNCERTAIN, Losses
from rilievo.training.networks.blueprint import (
    DEPTH_CNN,
    HIDDEN,
    IN_SHORT_HELP,
    RANDOM,
    TREATMENTS,
    BackboneChoice,
    Blueprint,
    DepthChoice,
    Form,
    ProbeChoice,
)

PLAIN = "plain"
"""Name of the preset of plain Adam and mean squared errors."""
PRESETS = (*TREATMENTS, PLAIN)
"""Names of all presets: ``probe3d`` is that program today, ``probe3d-old`` the one behind its
published numbers."""


class Schedule(StrEnum):
    """Decay of the learning rate after its warm-up."""

    COSINE = "cosine"
    """Half a cosine."""
    QUARTER_COSINE = "quarter_cosine"
    """A quarter of a cosine, as in Probe3D."""
    CONSTANT = "constant"
    """No decay; ``final_factor`` has no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Dataset of a run, and which of its images are used."""

    HELP_TITLE: ClassVar[str] = "Images"

    dataset: Annotated[str, IN_SHORT_HELP] = "folder"
    """Name of the dataset, as listed by 'rilievo datasets', or package.module:Class."""
    root: Annotated[str | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of the dataset; for 'folder', one with images/ and depth/, normals/ or both. Generated
    datasets do not need it.
    """
    split: Annotated[str | None, IN_SHORT_HELP] = None
    """Split of the dataset. By default 'all' for a folder, otherwise 'train' or, if there is none,
    the first split.
    """
    variant: str | None = None
    """Variant of the ground truth or crop. By default the first variant."""
    list_file: Annotated[str | None, HIDDEN] = None
    """Your own list of images, which replaces that of the split."""
    window: Annotated[tuple[int, int, int, int] | None, option(metavar="TOP,BOTTOM,LEFT,RIGHT")] = (
        None
    )
    """Part of every image to use [px]. By default the whole image; 45,471,41,601 cuts off the
    border of NYU images.
    """
    limit: Annotated[int | None, IN_SHORT_HELP] = None
    """Number of images to use in total: the first of the split, including those that are held out.
    By default all.
    """
    held_out: Annotated[int, IN_SHORT_HELP] = 0
    """Number of images to hold out for validation. They are the last of the images that are used,
    because neighbours show the same scene.
    """

    def __post_init__(self) -> None:
        if self.window is not None:
            top, bottom, left, right = self.window
            if not (0 <= top < bottom and 0 <= left < right):
                raise OptionError(
                    "the window must be TOP,BOTTOM,LEFT,RIGHT with 0 <= TOP < BOTTOM and "
                    f"0 <= LEFT < RIGHT, got {self.window}"
                )
        check_ranges(self, {"1 or more": ("limit",), "0 or more": ("held_out",)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of images; features can be cached only without them."""

    HELP_TITLE: ClassVar[str] = "Augmentation"

    flip: float = 0.0
    """Probability of mirroring an image together with its ground truth."""
    jitter: Annotated[float, HIDDEN] = 0.0
    """Probability of changing the colours of an image by up to 20%."""
    crop: Annotated[float, HIDDEN] = 0.0
    """Probability of cropping an image to half or more of its area and enlarging the crop."""

    def __post_init__(self) -> None:
        check_ranges(self, {"a number from 0 to 1": ("flip", "jitter", "crop")})

    @property
    def changes(self) -> bool:
        """Whether any image may be changed."""
        return max(self.flip, self.jitter, self.crop) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """Options of ``train probe`` and ``train supervised``.

    The defaults are those of ``train probe`` with the preset ``default``. ``SUPERVISED`` has the
    other defaults of ``train supervised``. A configuration whose options are only partly given is
    completed by ``probe_presets``, where some defaults depend on other options.

    The options of nested records have a prefix on the command line, such as ``--losses.depth``,
    unless their field is ``inline``.
    """

    HELP_TITLE: ClassVar[str] = "Steps"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Network": ("preset",),
        "Speed": ("precision",),
    }

    format: Annotated[str, HIDDEN] = PROBE_FORMAT
    """Format of the run's folder."""
    data: Annotated[DataChoice, option(inline=True)]
    preset: Annotated[str, option(in_short_help=True, metavar="|".join(PRESETS))] = "default"
    """Preset for all numbers that you do not set. plain uses fused AdamW without weight decay,
    which is Adam up to rounding, at a constant rate, with batches of 2 and mean squared errors. For
    probes only, probe3d trains as the program of Probe3D does, and probe3d-old as its paper says.
    """
    blueprint: Annotated[Blueprint, option(inline=True)]
    losses: Losses = field(default_factory=Losses)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: Annotated[int, IN_SHORT_HELP] = 10
    """Number of passes through the images."""
    batch_size: Annotated[int, IN_SHORT_HELP] = 8
    """Number of images per step."""
    learning_rate: Annotated[float, IN_SHORT_HELP] = 5e-4
    """Peak learning rate of the probe or decoder."""
    backbone_rate: Annotated[float, option(in_short_help=True, aliases=("--encoder-rate",))] = 0.0
    """Learning rate of the backbone. 0 freezes the backbone, and features can only be cached for a
    frozen one. In 'train supervised', the default is the decoder's rate for random weights, and
    a tenth of that rate otherwise.
    """
    weight_decay: Annotated[float, HIDDEN] = 0.01
    """Weight decay of AdamW."""
    warm_up: float = 1.5
    """Number of epochs over which the learning rate rises."""
    start_factor: Annotated[float, HIDDEN] = 0.01
    """Fraction of the peak learning rate at the first step."""
    final_factor: Annotated[float, HIDDEN] = 0.0
    """Fraction of the peak learning rate at the end."""
    schedule: Annotated[Schedule, HIDDEN] = Schedule.COSINE
    """Decay of the learning rate."""
    shuffle: Annotated[bool, HIDDEN] = True
    """Whether every epoch shuffles the images again."""
    seed: Annotated[int, IN_SHORT_HELP] = 0
    """Seed for the initial weights, the order of the images and augmentation."""
    precision: Annotated[str, option(metavar="fp32|bf16")] = "fp32"
    """Precision of the arithmetic."""
    checkpoint_steps: Annotated[int, HIDDEN] = 500
    """Number of steps between checkpoints."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "1 or more": ("epochs", "batch_size", "checkpoint_steps"),
                "0 or more": ("learning_rate", "backbone_rate", "weight_decay", "warm_up"),
            },
        )
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(option="precision", expected="fp32 or bf16", value=self.precision)
        uncertain = self.losses.normals == UNCERTAIN
        if self.blueprint.task.has_normals and uncertain and not self.blueprint.uncertainty:
            raise OptionError(
                "the normals loss 'uncertain' needs a network that also predicts the confidence of "
                "normals: turn on uncertainty, or choose the loss 'angular'"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options that do not change the result of a run on the same machine."""

    HELP_TITLE: ClassVar[str] = "Output"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {"Speed": ("device",)}

    device: str = "auto"
    """Device to run on: auto, cpu, cuda or cuda:N."""
    tensorboard: Annotated[bool, HIDDEN] = False
    """Write TensorBoard events in addition to the CSV."""
    resume: bool = False
    """Resume the run in the folder."""
    stop_at: Annotated[int | None, HIDDEN] = None
    """Step at which to stop with a checkpoint, as if the run were interrupted."""
    shown: Annotated[bool, HIDDEN] = True
    """Whether to report progress on standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedProbeConfig(ProbeConfig):
    """Configuration of which some fields are missing, so that it cannot be checked yet."""

    def __post_init__(self) -> None:
        """Check nothing."""


SUPERVISED = UncheckedProbeConfig(
    blueprint=Blueprint(
        backbone=BackboneChoice(name=DEPTH_CNN, weights=RANDOM),
        probe=ProbeChoice(kind="light"),
        depth=DepthChoice(form=Form.SIGMOID),
        uncertainty=False,
    ),
    data=DataChoice(),
    losses=Losses(depth="scale_invariant", normals=ANGULAR),
    learning_rate=1e-3,
    backbone_rate=1e-3,
)
"""Defaults of ``train supervised``. ``complete_supervised_config`` lowers ``backbone_rate`` if the
backbone has pretrained weights."""
