"""Record of a finished run that trained a model further."""

from rilievo.frozen import frozen
from rilievo.training.video.gain import Gain


@frozen
class SetErrors:
    """Errors of one set of images with the weights of the start, and with those of the run.

    Attributes:
        name: Name of the set.
        images: Number of images that were scored.
        before: AbsRel with the weights of the start, after the alignment that the kind needs.
        after: AbsRel with those of the run.
        gain: Share by which the error fell, with an interval; negative where it rose.
    """

    name: str
    images: int
    before: float
    after: float
    gain: Gain

    @property
    def words(self) -> str:
        """Both errors and their difference, in one sentence."""
        return (
            f"{self.name}, {self.images} images: AbsRel {self.before:.4f} before, "
            f"{self.after:.4f} after, {self.gain.words}"
        )


@frozen
class TuningRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        start_sha256: sha256 of the file of weights that the run started from.
        parameters: Number of weights of the network.
        learning: Number of those that learn.
        images: Number of images to learn from.
        held_out: Number of images kept out.
        gap: Number of images left out between the two.
        passed_over: Number of images without a pixel to learn from, which were skipped.
        steps: Number of steps.
        best_step: Step with the least error on the images kept out, whose weights are the run's; 0
            is the start.
        stopped_early: Whether the error did not fall for long, so that the run ended before its
            last step.
        kept_out: Errors on the images kept out. These chose the step, so that they flatter it.
        second: Errors on the second set; None without one.
        elsewhere: Change of depth on shipped pictures of other places since the start, where 0.05
            is about 5 %; None where it was not measured.
        seconds: Time spent in steps, interruptions not counted.
        cpu_seconds: CPU time spent in steps by all threads, likewise.
        device: Device that the run computed on.
        torch_version: Version of torch.
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
        """Reasons to think that the run learned nothing; empty without any."""
        if self.best_step:
            return ()
        return (
            "the weights are those of the start: no step has a smaller error on the images kept "
            f"out (AbsRel {self.kept_out.before:.4f})",
        )
