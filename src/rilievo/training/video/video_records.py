"""Record of a finished run on video."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.training.adapters.run_models import is_video_run
from rilievo.training.engine.config_fields import FieldDifference
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.video.gain import Gain
from rilievo.training.video.video_config import VideoConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSequence:
    """Sequence of frames that a run was trained on.

    Attributes:
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
        warp_error: Photometric error of the sources warped to the target.
        identity_error: Photometric error of the sources as they are.
        abs_rel: AbsRel of depth scaled by the median of each image; None without ground truth.
        delta1: Fraction of pixels whose scaled depth is right within a factor of 1.25.
        constant_abs_rel: AbsRel of a constant depth.
        corner_error: AbsRel of depth at triangulated corners; None if motion is not by geometry.
        best_step: Step of the weights with the least error.
        best_error: Their error: ``corner_error``; without motion by geometry, ``warp_error``.
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
    sequences: tuple[TrainedSequence, ...]
    focal_factors: tuple[float, float] | None = None
    warnings: tuple[str, ...]
    seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[FieldDifference, ...]

    @property
    def error_name(self) -> str:
        """Name of the error that decides which weights are kept."""
        return "photometric error" if self.corner_error is None else "depth error at corners"

    @property
    def quality_warnings(self) -> tuple[str, ...]:
        """Reasons to think that nothing was learned, as sentences."""
        warnings = []
        if _is_no_better(self.warp_error, self.identity_error):
            warnings.append(
                "nothing was learned: neighbouring frames warped by depth and motion fit no better "
                f"(photometric error {self.warp_error:.4f}) than unwarped ones "
                f"({self.identity_error:.4f})"
            )
        if self.kept_start:
            gain = "" if self.gain is None else f"; the best later weights: {self.gain.words}"
            warnings.append(
                "the run keeps its start weights, because no later weights fit the held-out frames "
                f"clearly better than the start weights, whose {self.error_name} is "
                f"{self.start_error:.4f}{gain}"
            )
        if _is_no_better(self.abs_rel, self.constant_abs_rel):
            warnings.append(
                f"the depth is no better than a constant: AbsRel is {self.abs_rel:.3f}, compared "
                f"with {self.constant_abs_rel:.3f} for the constant"
            )
        return tuple(warnings)


def _is_no_better(error: float | None, reference_error: float | None) -> bool:
    """Whether an error is not below another one; False if one of them is not known."""
    if error is None or reference_error is None:
        return False
    return error >= reference_error


def video_run_folder(run: Path) -> RunFolder[VideoConfig, VideoRecord]:
    """Folder of a run on video."""
    return RunFolder(path=run, config=VideoConfig, record=VideoRecord, is_run_of_kind=is_video_run)
