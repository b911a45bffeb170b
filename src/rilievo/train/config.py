"""What a training run of a supervised depth and normals network is made of."""

from dataclasses import dataclass

from rilievo.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a run, from the end of the one before it."""

    until: float
    """Where the stage ends, as a share of the whole run."""
    area: int
    """Pixels of an image."""
    real: float
    """Share of photographs with measured depth; the rest is rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A run of supervised training.

    Exactly one of ``minutes`` and ``steps`` says how long it is. With ``steps`` the same command
    gives the same weights; with ``minutes`` the number of steps follows the machine's speed.
    """

    minutes: float | None = None
    """Length of the run on the clock, stops and validation counted."""
    steps: int | None = None
    """Length of the run in steps."""
    stages: tuple[Stage, ...]
    """In order; the last ends at 1."""
    batch_size: int = 12
    """Images a step."""
    learning_rate: float = 1e-3
    """Of the decoder, at its peak."""
    encoder_factor: float = 0.3
    """The encoder's learning rate, as a share of the decoder's."""
    warm_up_steps: int = 150
    """Steps in which the learning rate climbs."""
    final_factor: float = 0.01
    """Learning rate at the end, as a share of the peak."""
    weight_decay: float = 1e-2
    """Of AdamW."""
    average_decay: float = 0.998
    """Of the moving average of the weights, which is what is exported."""
    gradient_norm: float = 2.0
    """Gradients are scaled down to this norm."""
    normals_weight: float = 1.0
    """Of the normals' loss against depth's."""
    agreement_weight: float = 0.25
    """Of the loss that holds the slopes of depth to the true normals."""
    own_agreement_weight: float = 0.5
    """Of the loss that holds the slopes of depth to the normals that the network sees."""
    confidence_steps: int = 250
    """After the run, in which the network learns what error to expect."""
    confidence_blind: float = 0.25
    """How often an image tells nothing of its scene in that part."""
    outdoors: float = 0.35
    """Share of the rendered frames that show sky or something farther than a room."""
    checkpoint_minutes: float = 3.0
    """Between checkpoints."""
    validation_minutes: float = 8.0
    """Between validations, after each of which the averaged weights are exported."""
    threads: int = 1
    """Of torch. More than the cores that are free make a run many times slower, not faster."""
    seed: int = 1
    """Of the batches and of the decoder's first weights."""

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise OptionError("a run's length is given by minutes or by steps, by exactly one")
        if (self.minutes or self.steps or 0) <= 0:
            raise OptionError("a run's length must be positive")
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0:
            raise OptionError(f"stages end in ascending order and the last at 1, got {ends}")

    @property
    def last_steps(self) -> int:
        """Those that the error to be expected is learned in: no more than a short run has."""
        return min(self.confidence_steps, self.steps or self.confidence_steps)

    def stage(self, progress: float) -> Stage:
        """The stage at ``progress`` in [0, 1]."""
        return next((stage for stage in self.stages if progress < stage.until), self.stages[-1])
