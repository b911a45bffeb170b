"""Record of a finished run on video: ``record.json`` beside its weights."""

from pathlib import Path

from rilievo.frozen import frozen
from rilievo.training.adapters.run_models import is_video_run
from rilievo.training.engine.differences import FieldDifference
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.video.config.video_config import VideoConfig
from rilievo.training.video.gain import Gain


@frozen
class SequenceFacts:
    """Facts of one sequence of frames.

    Attributes:
        size: (height, width) of its frames as they are stored.
        camera: fx, fy, cx, cy [px] at that size, with refined focal lengths if they were learned.
        source: Origin of the camera: given, exif, assumed, and so on.
        stride: Frames between a target and its neighbours.
    """

    id: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    source: str
    stride: int


@frozen
class VideoRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        notes: Notes on the data and on the weights to start from.
        depth_parameters: Number of weights of the depth network.
        pose_parameters: Number of weights of the pose network, without a shared encoder.
        epochs: Passes through the targets, fractions included.
        loss: Mean loss over the last row of the log.
        warp_error: Photometric error of warped sources on the held-out targets, at the end; None
            without any.
        identity_error: Photometric error of the sources without warping, likewise.
        abs_rel: AbsRel of depth scaled by the median, where true depth is known beside the frames.
        delta1: Share of pixels right within a factor of 1.25, likewise.
        constant_abs_rel: AbsRel of a constant depth, likewise.
        corner_error: AbsRel of depth at triangulated corners of the held-out targets, at the end;
            None unless motion is by geometry.
        best_step: Step with the least error on the held-out targets: folder ``best``.
        best_error: Error of that step: of depth at triangulated corners where motion is by
            geometry, else photometric.
        start_error: Error of the weights that the run started from, where ``keep_best`` is set.
        gain: Gain of the best learned weights over the start on the held-out targets, with an
            interval; None unless motion is by geometry and ``keep_best`` is set.
        elsewhere: Mean change of depth of other places since the start, at the step whose weights
            are the run's: |log| after the median of each picture, so that 0.05 is about 5 %.
        kept_start: Whether the run's weights are those of the start, since no others fit the
            held-out targets better.
        focal_factors: Factors of fx and fy that were learned for all sequences; None where they
            were not refined.
        seconds: Time spent in steps, interruptions not counted.
        differences: Differences from the preset ``default``.
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
        """Name of the error that decides between the weights of the run."""
        return "photometric error" if self.corner_error is None else "depth error at corners"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that the run learned nothing; empty without any."""
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


def video_folder(run: Path) -> RunFolder[VideoConfig, VideoRecord]:
    """Return the folder of a run, as far as its configuration and record go."""
    return RunFolder(path=run, config=VideoConfig, record=VideoRecord, is_ours=is_video_run)
