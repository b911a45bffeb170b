"""Configuration of further training: the options of ``rilievo train supervised --start``."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import Groups, option
from rilievo.training.adapters.run_models import TUNED_FORMAT
from rilievo.training.engine.config_fields import check_ranges
from rilievo.training.networks.blueprint import FIRST, HIDDEN, TunedBlueprint
from rilievo.training.probe.probe_config import Augmentation, DataChoice

NONE = "none"
"""Value of ``freeze`` with which all layers learn."""
BACKBONE = "backbone"
"""Value of ``freeze`` with which the layers of the backbone do not learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondSet:
    """Second dataset, on which a model is scored before and after, to show what it forgot."""

    GROUP: ClassVar[str] = "Start from a model"

    dataset: str = "folder"
    """Name of a second dataset, scored before and after, to show what was forgotten."""
    root: Annotated[str | None, option(metavar="FOLDER")] = None
    """Folder of the second dataset; without it there is none."""
    split: str | None = None
    """Split of the second dataset; by default the one that papers score."""
    variant: str | None = None
    """Variant of its ground truth; by default the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """Options of further training that other trainings do not have."""

    GROUP: ClassVar[str] = "Start from a model"

    start: Annotated[str | None, option(in_short_help=True, metavar="MODEL")] = None
    """Model to train further: rilievo/small, the folder of a run of 'train supervised' or 'train
    probe', an ONNX file of the network of rilievo/small, a depth model of transformers (Depth
    Anything V2, DPT, Depth Pro) or a Marigold pipeline. Network, size and losses are its own. By
    default the network of --network is trained.
    """
    kind: Annotated[DepthKind | None, option(metavar="|".join(DepthKind))] = None
    """Kind of depth of a folder of transformers or diffusers, if it is not known."""
    freeze: Annotated[str, option(in_short_help=True, metavar="none|backbone|N")] = NONE
    """Layers that do not learn: none, the whole backbone, or the first N layers from the input."""
    layer_rate: float = 0.9
    """Factor of the learning rate from each layer to the one before it."""
    average: float = 0.98
    """Decay of the moving average of the weights, which the run keeps; 0 for none."""
    accumulate: int = 1
    """Batches whose gradients are added before a step."""
    lora: Annotated[int, option(metavar="RANK")] = 0
    """Rank of adapters (LoRA, by the extra 'lora') in place of the backbone's linear weights; 0 for
    none.
    """
    checkpointing: bool = False
    """Compute activations anew (transformers, pipelines): a third more time, much less memory."""
    patience: int = 4
    """Passes without a smaller error after which the run ends early."""
    replay: float | None = None
    """Weight of the loss on shipped pictures of other places, where the model's first predictions
    are the truth, so that it does not forget them; 0 for none. By default 1; pipelines have none.
    """
    second: SecondSet = field(default_factory=SecondSet)

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "1 or more": ("accumulate", "patience"),
                "0 or more": ("replay", "lora"),
                "a share of 0 to 1": ("layer_rate", "average"),
            },
        )
        if self.average == 1 or self.layer_rate == 0:
            raise OptionError(
                problem=Text(
                    OptionName("average"),
                    " is below 1, and ",
                    OptionName("layer_rate"),
                    " is above 0",
                )
            )
        if self.freeze not in (NONE, BACKBONE) and not self.freeze.isdecimal():
            expected = "none, backbone or a number of layers"
            raise OptionError(option="freeze", expected=expected, value=self.freeze)

    @property
    def replay_weight(self) -> float:
        """Weight of the loss on pictures of other places; ``replay``, or 1 if that is None."""
        return 1.0 if self.replay is None else self.replay


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningConfig:
    """Configuration of a run of further training, which ``config.json`` stores."""

    GROUP: ClassVar[str] = "Steps"
    GROUPS: ClassVar[Groups] = {"Speed": ("precision",)}

    format: Annotated[str, HIDDEN] = TUNED_FORMAT
    """Format of the run's folder."""
    network: Annotated[TunedBlueprint | None, HIDDEN] = None
    """Network of the model; ``fine_tune`` fills it in."""
    data: Annotated[DataChoice, option(name="")]
    tuning: Annotated[TuningOptions, option(name="")]
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5))
    epochs: Annotated[int, FIRST] = 20
    """Passes through the images at most."""
    batch_size: Annotated[int, FIRST] = 8
    """Images of a batch."""
    learning_rate: Annotated[float, FIRST] = 2e-4
    """Peak learning rate of the last layer."""
    shuffle: Annotated[bool, HIDDEN] = True
    """Whether every epoch has its own order."""
    seed: Annotated[int, FIRST] = 0
    """Seed of order and augmentation."""
    precision: Annotated[str, option(metavar="fp32|bf16")] = "fp32"
    """Precision of the arithmetic."""
    checkpoint_steps: Annotated[int, HIDDEN] = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        if self.tuning.start is None:
            raise OptionError(option="start", problem="names the model to train further")
        check_ranges(
            self,
            {
                "1 or more": ("epochs", "batch_size", "checkpoint_steps"),
                "above 0": ("learning_rate",),
            },
        )
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(option="precision", expected="fp32 or bf16", value=self.precision)
