"""Configuration of fine-tuning: the options of ``rilievo train supervised --start``."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import FieldsByTitle, option
from rilievo.training.adapters.run_models import TUNED_FORMAT
from rilievo.training.engine.config_fields import check_ranges
from rilievo.training.networks.blueprint import HIDDEN, IN_SHORT_HELP, TunedBlueprint
from rilievo.training.probe.probe_config import Augmentation, DataChoice

NONE = "none"
"""Value of ``freeze`` with which all layers learn."""
BACKBONE = "backbone"
"""Value of ``freeze`` with which the layers of the backbone do not learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondSet:
    """Second dataset, on which a model is scored before and after, to show what it forgot."""

    HELP_TITLE: ClassVar[str] = "Start from a model"

    dataset: str = "folder"
    """Second dataset to score before and after training, which shows what the model forgot."""
    root: Annotated[str | None, option(metavar="FOLDER")] = None
    """Folder of the second dataset. Without it, no second dataset is scored."""
    split: str | None = None
    """Split of the second dataset. By default the one that papers score."""
    variant: str | None = None
    """Variant of the second dataset's ground truth. By default its first variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """Options of fine-tuning that other trainings do not have."""

    HELP_TITLE: ClassVar[str] = "Start from a model"

    start: Annotated[str | None, option(in_short_help=True, metavar="MODEL")] = None
    """Model to fine-tune: rilievo/small, the folder of a run of 'train supervised' or 'train
    probe', an ONNX file with the network of rilievo/small, a depth model from transformers (Depth
    Anything V2, DPT, Depth Pro) or a Marigold pipeline. The model determines the network, its size
    and the losses. By default, the network of --network is trained instead.
    """
    kind: Annotated[DepthKind | None, option(metavar="|".join(DepthKind))] = None
    """Kind of depth that a transformers or diffusers folder predicts, if it is unknown."""
    freeze: Annotated[str, option(in_short_help=True, metavar="none|backbone|N")] = NONE
    """Layers to freeze: none, the whole backbone, or the first N layers from the input."""
    layer_rate: float = 0.9
    """Factor by which the learning rate changes from each layer to the one before it."""
    average: float = 0.98
    """Decay of the moving average of the weights, which the run saves; 0 turns it off."""
    accumulate: int = 1
    """Number of batches whose gradients are added up for each step."""
    lora: Annotated[int, option(metavar="RANK")] = 0
    """Rank of LoRA adapters (extra 'lora'), which are trained instead of the backbone's linear
    weights; 0 turns them off.
    """
    checkpointing: bool = False
    """Recompute activations instead of storing them, which takes a third more time, but much less
    memory. Only models from transformers and pipelines support it.
    """
    patience: int = 4
    """Number of passes without a smaller error after which the run ends early."""
    replay: float | None = None
    """Weight of the loss on bundled pictures of other scenes, for which the start model's
    predictions are the ground truth, so that the model does not forget them; 0 turns it off. By
    default 1, and 0 for pipelines.
    """
    second: SecondSet = field(default_factory=SecondSet)

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "1 or more": ("accumulate", "patience"),
                "0 or more": ("replay", "lora"),
                "a number from 0 to 1": ("layer_rate", "average"),
            },
        )
        if self.average == 1 or self.layer_rate == 0:
            raise OptionError(
                problem=Text(
                    OptionName("average"),
                    " must be below 1, and ",
                    OptionName("layer_rate"),
                    " must be above 0",
                )
            )
        if self.freeze not in (NONE, BACKBONE) and not self.freeze.isdecimal():
            expected = "none, backbone or a number of layers"
            raise OptionError(option="freeze", expected=expected, value=self.freeze)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningConfig:
    """Configuration of a fine-tuning run, which ``config.json`` stores."""

    HELP_TITLE: ClassVar[str] = "Steps"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {"Speed": ("precision",)}

    format: Annotated[str, HIDDEN] = TUNED_FORMAT
    """Format of the run's folder."""
    network: Annotated[TunedBlueprint | None, HIDDEN] = None
    """Network of the model; ``fine_tune`` fills it in."""
    data: Annotated[DataChoice, option(inline=True)]
    tuning: Annotated[TuningOptions, option(inline=True)]
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5))
    epochs: Annotated[int, IN_SHORT_HELP] = 20
    """Maximum number of passes through the images."""
    batch_size: Annotated[int, IN_SHORT_HELP] = 8
    """Number of images per batch."""
    learning_rate: Annotated[float, IN_SHORT_HELP] = 2e-4
    """Peak learning rate of the last layer."""
    shuffle: Annotated[bool, HIDDEN] = True
    """Whether every epoch shuffles the images again."""
    seed: Annotated[int, IN_SHORT_HELP] = 0
    """Seed for the order of the images and augmentation."""
    precision: Annotated[str, option(metavar="fp32|bf16")] = "fp32"
    """Precision of the arithmetic."""
    checkpoint_steps: Annotated[int, HIDDEN] = 500
    """Number of steps between checkpoints."""

    def __post_init__(self) -> None:
        if self.tuning.start is None:
            raise OptionError(option="start", problem="is missing: give the model to fine-tune")
        check_ranges(
            self,
            {
                "1 or more": ("epochs", "batch_size", "checkpoint_steps"),
                "above 0": ("learning_rate",),
            },
        )
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(option="precision", expected="fp32 or bf16", value=self.precision)
