"""What a finished run on video says of itself: ``record.json`` beside its weights."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import printable, read_text
from rilievo.train.differences import Difference

RECORD = "record.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFacts:
    """One sequence of frames.

    Attributes:
        id: Of the sequence.
        size: (height, width) of its frames as they are stored.
        camera: fx, fy, cx, cy [px] at that size, the focal lengths refined where that was asked.
        source: Who said so: given, exif, assumed, and so on.
        stride: Frames between a target and its neighbours.
    """

    id: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    source: str
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """What was done, beyond what ``config.json`` asked for.

    Attributes:
        targets: Frames whose depth was trained on.
        held_out: Frames kept for validation.
        passed_over: Targets that a broken frame took with it.
        passed_over_lines: The first of them, and why.
        notes: What was found out about the data and the weights to start from.
        depth_parameters: How many weights the depth network has.
        pose_parameters: How many the pose network has, a shared encoder left out.
        steps: Of gradient descent.
        epochs: Passes through the targets, in parts.
        processes: That trained together.
        loss: Mean over the last row of the log.
        warp_error: On the targets held out, at the end; None without any.
        identity_error: The same of sources that stay where they are.
        abs_rel: Of depth scaled by the median, where true depth is known beside the frames.
        delta1: Share of pixels right within a factor of 1.25, likewise.
        constant_abs_rel: That of a constant depth, likewise.
        best_step: The step with the least error on the targets held out: folder ``best``.
        best_error: Which is this.
        sequences: What the frames were taken with.
        focal_factors: What fx and fy of all sequences were multiplied by; None where they were
            left.
        warnings: What the run was warned of.
        seconds: Spent in steps, stops not counted.
        device: Where it ran.
        torch_version: Of torch.
        version: Of rilievo.
        differences: What is not as in the preset ``default``.
    """

    targets: int
    held_out: int
    passed_over: int
    passed_over_lines: tuple[str, ...]
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
    best_step: int | None = None
    best_error: float | None = None
    sequences: tuple[SequenceFacts, ...]
    focal_factors: tuple[float, float] | None = None
    warnings: tuple[str, ...]
    seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[Difference, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """What says that the run learned nothing; empty where nothing does."""
        found = []
        warped, still = self.warp_error, self.identity_error
        if warped is not None and still is not None and warped >= still:
            found.append(
                f"nothing was learned: neighbours warped by depth and motion ({warped:.4f}) fit no "
                f"better than neighbours as they are ({still:.4f})"
            )
        error, constant = self.abs_rel, self.constant_abs_rel
        if error is not None and constant is not None and error >= constant:
            found.append(
                f"the depth is no better than a constant: AbsRel {error:.3f} against {constant:.3f}"
            )
        return tuple(found)


def read_record(run: Path) -> VideoRecord:
    """What a finished run says of itself.

    Raises:
        InputError: If its record is broken.
    """
    path = run / RECORD
    try:
        return from_json(VideoRecord, read_text(path))
    except NotThisRecord as error:
        raise InputError(
            f"{printable(path)}: is no record of a run on video ({error}): take it away to train "
            "anew"
        ) from error
