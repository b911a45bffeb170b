"""Record of a run of further training, which ``record.json`` stores."""

from dataclasses import dataclass

from rilievo.training.video.gain import Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class SetErrors:
    """Mean AbsRel on a set of images, before and after a run.

    Attributes:
        name: What the set is, for example "kept out".
        images: Number of images with ground truth.
        before: AbsRel of the model that the run began with.
        after: AbsRel of the model that the run ended with.
        gain: How much smaller the errors became, with its confidence interval.
    """

    name: str
    images: int
    before: float
    after: float
    gain: Gain

    @property
    def words(self) -> str:
        """Both errors and the gain, in a line."""
        return (
            f"{self.name}, {self.images} images: AbsRel {self.before:.4f} before, "
            f"{self.after:.4f} after, {self.gain.words}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """Results of a finished run of further training.

    Attributes:
        start_sha256: Checksum of the weights that the run began with.
        parameters: Number of weights, of which ``learning`` have learned.
        images: Number of images to learn from.
        held_out: Number of held-out images.
        gap: Number of images left out between the two.
        passed_over: Number of images skipped, as they have no pixel to learn from.
        best_step: Step with the least error, whose weights are the run's; 0 is the start.
        stopped_early: Whether the run ended because its error had not fallen for some passes.
        kept_out: Errors on the held-out images. They are a little too small, as they chose the
            step.
        second: Errors on the second dataset; None without one.
        elsewhere: Mean change of depth on pictures of other places, where 0.05 is about 5 %; None
            if none were learned.
        seconds: Duration of the steps [s].
        version: Version of rilievo.
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
        """Reasons to doubt that the run was of use."""
        if self.best_step:
            return ()
        return (
            "the weights are those of the start: no step has a smaller error on the images kept "
            f"out (AbsRel {self.kept_out.before:.4f})",
        )
