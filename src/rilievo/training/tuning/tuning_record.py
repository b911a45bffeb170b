"""Record of a run of fine-tuning, which ``record.json`` stores."""

from dataclasses import dataclass

from rilievo.errors.messages import count_text
from rilievo.training.video.gain import Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class SetErrors:
    """Mean AbsRel on a set of images, before and after a run.

    Attributes:
        name: What the set is, for example "kept out".
        before: AbsRel of the model that the run began with.
        after: AbsRel of the model that the run ended with.
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
            f"AbsRel on {count_text(self.images, 'image')} ({self.name}): {self.before:.4f} before "
            f"the training, {self.after:.4f} after it; {self.gain.words}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """Results of a finished run of fine-tuning.

    Attributes:
        start_sha256: Checksum of the weights that the run began with.
        parameters: Number of weights, of which ``learning`` were trained.
        gap: Number of images left out between those to learn from and the held-out ones.
        skipped: Number of skipped images, which have no pixel to learn from.
        best_step: Step with the least error, whose weights are the run's; 0 is the start.
        stopped_early: Whether the run ended because its error had not fallen for some passes.
        kept_out: Errors on the held-out images. They are a little too small, as they chose the
            step.
        second: Errors on the second dataset; None without one.
        elsewhere: Mean change of depth on pictures of other places, where 0.05 is about 5%; None
            if none were learned.
    """

    start_sha256: str
    parameters: int
    learning: int
    images: int
    held_out: int
    gap: int
    skipped: int
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
    def quality_warnings(self) -> tuple[str, ...]:
        """Reasons to doubt that the run was of use."""
        if self.best_step:
            return ()
        return (
            "the run keeps the weights of the start model, because no step has a smaller error on "
            f"the held-out images (AbsRel {self.kept_out.before:.4f})",
        )
