"""Configuration of training a small network on frames of shards."""

from dataclasses import dataclass

from rilievo.errors import OptionError

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Stage of a run, which begins where the one before it ends."""

    until: float
    """End of the stage, as a share of the whole run."""
    areas: tuple[int, ...]
    """Pixels per image, about; each batch has one of these."""
    shares: tuple[float, ...] = (1.0,)
    """Share of the batches with each of the areas."""

    def __post_init__(self) -> None:
        if len(self.areas) != len(self.shares) or abs(sum(self.shares) - 1) > 1e-9:
            raise OptionError(
                f"each area has a share, all of them 1 in sum: got {self.areas} and {self.shares}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Configuration of a run of supervised training.

    Exactly one of ``minutes`` and ``steps`` sets the length of the run. With ``steps`` the same
    command gives the same weights; with ``minutes`` the number of steps depends on the machine.
    """

    minutes: float | None = None
    """Time of the steps, in place of their number; validation and interruptions are not counted."""
    steps: int | None = None
    """Length of the run in steps."""
    stages: tuple[Stage, ...]
    """Stages in order; the last ends at 1."""
    batch_size: int = 12
    """Images per step."""
    learning_rate: float = 1e-3
    """Peak learning rate of the decoder."""
    encoder_factor: float = 0.3
    """Learning rate of the encoder, as a share of the decoder's."""
    warm_up_steps: int = 150
    """Steps over which the learning rate rises."""
    final_factor: float = 0.01
    """Learning rate at the end, as a share of the peak."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    average_decay: float = 0.998
    """Decay of the moving average of the weights, which is exported."""
    gradient_norm: float = 2.0
    """Largest norm of the gradients; larger ones are scaled down to it."""
    depth_loss: str | None = None
    """Depth loss of your own, package.module:NAME or file.py:NAME, in place of the recipe's."""
    normals_weight: float = 1.0
    """Weight of the normals loss; the depth loss has weight 1."""
    agreement_weight: float = 0.25
    """Weight of the loss between the slopes of depth and the true normals."""
    own_agreement_weight: float = 0.5
    """Weight of the loss between the slopes of depth and the normals that the network predicts."""
    sky_weight: float = 0.2
    """Weight of the loss of sky, in rendered frames."""
    confidence_steps: int = 250
    """Steps after the run, in which the confidence is trained from scratch; with 0 it stays.

    They are no more than the run itself has.
    """
    confidence_blind: float = 0.25
    """Share of images that show no scene in those steps."""
    outdoors: float = 0.35
    """Share of the rendered frames that show sky or something farther than a room."""
    validation_minutes: float = 8.0
    """Time between validations; after each, the averaged weights are exported."""
    precision: str = "bf16"
    """Precision of the network: fp32, bf16, or fp16 on a GPU."""
    threads: int = 1
    """Number of torch threads. More threads than free cores make a run many times slower."""
    seed: int = 1
    """Seed of the batches and of the decoder's first weights."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision is {', '.join(PRECISIONS)}, got '{self.precision}'")
        if (self.minutes is None) == (self.steps is None):
            raise OptionError("a run's length is given by minutes or by steps, by exactly one")
        if (self.minutes or self.steps or 0) <= 0:
            raise OptionError("a run's length must be positive")
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0:
            raise OptionError(f"stages end in ascending order and the last at 1, got {ends}")

    def stage(self, progress: float) -> Stage:
        """Return the stage at ``progress`` in [0, 1]."""
        return next((stage for stage in self.stages if progress < stage.until), self.stages[-1])


def distil_config(*, minutes: float | None = 30.0, steps: int | None = None) -> TrainConfig:
    """Configuration of a network that learns another model's answers for photographs.

    Command::

        python -m lab.making teacher TEACHER photos/ -o lessons
        python -m lab.making distil --shards lessons --encoder ENCODER.npz -o run

    Hardware and time: a teacher like ``rilievo/small`` processes 40 photographs a second. With 743
    photographs of rooms and streets, 9 minutes on half a core, in which 3,600 images are seen.

    Score of that run, of a network with a quarter of the weights: against its teacher on 64
    held-out photographs AbsRel 0.107, δ1 0.875, normals 18.8°; on 94 NYU test frames, without
    training on NYU's depth, 0.214 and 0.672.
    """
    return TrainConfig(
        minutes=minutes,
        steps=steps,
        stages=(Stage(until=0.5, areas=(24576,)), Stage(until=1.0, areas=(49152,))),
    )
