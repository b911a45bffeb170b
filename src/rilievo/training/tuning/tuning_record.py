"""Record of further training."""

from dataclasses import dataclass

from rilievo.training.video.gain import Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class SetErrors:
    """AbsRel of one set, before and after the run; ``gain`` is negative where it rose."""

    name: str
    images: int
    before: float
    after: float
    gain: Gain

    @property
    def words(self) -> str:
        """Both errors in one sentence."""
        return (
            f"{self.name}, {self.images} images: AbsRel {self.before:.4f} before, "
            f"{self.after:.4f} after, {self.gain.words}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        learning: Number of weights that learn.
        gap: Number of images left out between the two.
        passed_over: Number of images skipped for lack of a pixel to learn from.
        best_step: Step with the least error, whose weights are the run's; 0 is the start.
        kept_out: Errors on the images kept out, which flatter it as they chose the step.
        elsewhere: Change of depth on pictures of other places; 0.05 is about 5 %.
    """

    start_sha256: str
    parameters: int
    learning: int
    images: int
    held_out: int
    gap: int
    passed_over: int
    steps: int
    best_step: int
    stopped_early: bool
    kept_out: SetErrors
    second: SetErrors | None = None
    elsewhere: float | None = None
    seconds: float
    cpu_seconds: float
    device: str
    torch_version: str
    version: str

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to doubt it."""
        if self.best_step:
            return ()
        return (
            "the weights are those of the start: no step has a smaller error on the images kept "
            f"out (AbsRel {self.kept_out.before:.4f})",
        )
