"""Configuration of a run that lasts: by images, at a constant rate, so that it can always go on."""

from dataclasses import dataclass

from lab.making.recipe_stage import RecipeStage
from rilievo.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class LastingConfig:
    """Configuration that the runs of the layout and of the detail network have in common."""

    steps: int
    """Length of the run."""
    stage: RecipeStage
    """Sizes of the images, and shares of the sources."""
    batch_size: int
    """Images per step."""
    learning_rate: float
    """Learning rate of the decoder, constant after the warm-up."""
    encoder_factor: float
    """Learning rate of the encoder, as a share of the decoder's."""
    encoder_after: int = 0
    """Steps after which the encoder learns, and over which its rate rises then."""
    warm_up_steps: int = 100
    """Steps over which the learning rate rises."""
    falls: int = 0
    """Steps at the end over which the learning rate falls to a fiftieth, by half a cosine."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    gradient_norm: float = 2.0
    """Largest norm of the gradients; larger ones are scaled down to it."""
    average_decay: float = 0.999
    """Decay of the moving average of the weights."""
    outdoors: float = 0.3
    """Share of the rendered frames that show sky or something farther than a room."""
    scan_steps: int = 500
    """Steps between looks for new shards."""
    precision: str = "bf16"
    """Precision of the network: fp32, bf16, or fp16 on a GPU."""
    threads: int = 1
    """Number of torch threads."""
    seed: int
    """Seed of the batches and of the first weights."""

    def __post_init__(self) -> None:
        if self.steps <= 0 or not 0 <= self.falls <= self.steps:
            raise OptionError(
                f"a run has steps, and the rate falls over some of them, got {self.steps} and "
                f"{self.falls}"
            )
