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
    """Facts of one sequence; ``camera`` is fx, fy, cx, cy [px] of the stored frames."""

    id: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    source: str
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        warp_error: Photometric error of warped sources on the held-out targets.
        identity_error: Photometric error of the sources without warping.
        constant_abs_rel: AbsRel of a constant depth.
        corner_error: AbsRel of depth at triangulated corners.
        best_error: Least error, at triangulated corners or else photometric.
        start_error: The same of the start.
        elsewhere: Mean |log| change of depth of other places since the start.
        kept_start: Whether the run's weights are those of the start.
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
        """Name of the deciding error."""
        return "photometric error" if self.corner_error is None else "depth error at corners"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that nothing was learned."""
        reasons = []
        warped, still = self.warp_error, self.identity_error
        if warped is not None and still is not None and warped >= still:
            reasons.append(
                f"nothing was learned: neighbours warped by depth and motion ({warped:.4f}) fit no "
                f"better than neighbours as they are ({still:.4f})"
            )
        if self.kept_start:
            best = "" if self.gain is None else f"; the best of them: {self.gain.words}"
            reasons.append(
                "the start is kept: no weights of the run fit the held-out frames clearly better "
                f"than those it started from ({self.judged_by} {self.start_error:.4f}){best}"
            )
        error, constant = self.abs_rel, self.constant_abs_rel
        if error is not None and constant is not None and error >= constant:
            reasons.append(
                f"the depth is no better than a constant: AbsRel {error:.3f} against {constant:.3f}"
            )
        return tuple(reasons)


def video_run_folder(run: Path) -> RunFolder[VideoConfig, VideoRecord]:
    """Folder of a run."""
    return RunFolder(path=run, config=VideoConfig, record=VideoRecord, is_ours=is_video_run)
