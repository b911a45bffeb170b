"""Record of a finished run on video."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.training.adapters.run_models import is_video_run
from rilievo.training.engine.config_fields import FieldDifference
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.video.gain import Gain
from rilievo.training.video.video_config import VideoConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFacts:
    """Sequence that a run was trained on.

    Attributes:
        id: Name of the sequence.
        size: Height and width of its frames [px].
        camera: fx, fy, cx, cy at this size [px], after training.
        source: Where the intrinsics came from.
        stride: Number of frames from a target to its neighbours.
    """

    id: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    source: str
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """Result of a finished run.

    Errors are those of the held-out targets, and None where nothing is held out.

    Attributes:
        targets: Number of targets that were trained on.
        held_out: Number of targets that were held out.
        warp_error: Photometric error of the sources warped to the target.
        identity_error: Photometric error of the sources as they are.
        abs_rel: AbsRel of depth scaled by the median of each image; None without ground truth.
        delta1: Share of pixels whose scaled depth is right within a factor of 1.25.
        constant_abs_rel: AbsRel of a constant depth.
        corner_error: AbsRel of depth at triangulated corners; None if motion is not by geometry.
        best_step: Step of the weights with the least error.
        best_error: Their error: ``corner_error``, or else ``warp_error``.
        start_error: That error of the weights from which the run started.
        gain: Gain of the best learned weights over the start, with an interval.
        elsewhere: Mean relative change of depth of other places since the start.
        kept_start: Whether the run ends with the weights from which it started.
        focal_factors: Learned factors of fx and fy; None if the camera is not learned.
    """

    targets: int
    held_out: int
    notes: tuple[str, ...]
    depth_parameters: int
    pose_parameters: int
    steps: int
    epochs: float
    processes: int
    loss: float | None = None
    warp_error: float | None = None
    identity_error: float | None = None
    abs_rel: float | None = None
    delta1: float | None = None
    constant_abs_rel: float | None = None
    corner_error: float | None = None
    best_step: int | None = None
    best_error: float | None = None
    start_error: float | None = None
    gain: Gain | None = None
    elsewhere: float | None = None
    kept_start: bool = False
    sequences: tuple[SequenceFacts, ...]
    focal_factors: tuple[float, float] | None = None
    warnings: tuple[str, ...]
    seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[FieldDifference, ...]

    @property
    def judged_by(self) -> str:
        """Name of the error that decides which weights are kept."""
        return "photometric error" if self.corner_error is None else "depth error at corners"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that nothing was learned, as sentences."""
        reasons = (self._warp_doubt(), self._start_doubt(), self._constant_doubt())
        return tuple(reason for reason in reasons if reason is not None)

    def _warp_doubt(self) -> str | None:
        if self.warp_error is None or self.identity_error is None:
            return None
        is_no_better = self.warp_error >= self.identity_error
        if not is_no_better:
            return None
        return (
            f"nothing was learned: neighbours warped by depth and motion ({self.warp_error:.4f}) "
            f"fit no better than neighbours as they are ({self.identity_error:.4f})"
        )

    def _start_doubt(self) -> str | None:
        if not self.kept_start:
            return None
        gain = "" if self.gain is None else f"; the best of them: {self.gain.words}"
        return (
            "the start is kept: no weights of the run fit the held-out frames clearly better "
            f"than those it started from ({self.judged_by} {self.start_error:.4f}){gain}"
        )

    def _constant_doubt(self) -> str | None:
        if self.abs_rel is None or self.constant_abs_rel is None:
            return None
        is_no_better = self.abs_rel >= self.constant_abs_rel
        if not is_no_better:
            return None
        return (
            f"the depth is no better than a constant: AbsRel {self.abs_rel:.3f} against "
            f"{self.constant_abs_rel:.3f}"
        )


def video_run_folder(run: Path) -> RunFolder[VideoConfig, VideoRecord]:
    """Folder of a run on video."""
    return RunFolder(path=run, config=VideoConfig, record=VideoRecord, is_ours=is_video_run)
