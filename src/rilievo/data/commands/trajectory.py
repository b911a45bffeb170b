"""The command ``rilievo trajectory``, which estimates the path of the camera in a clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.data.trajectories.records import (
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
    TrajectoryScores,
)
from rilievo.errors.messages import count_text, for_terminal
from rilievo.models.default.embedded import SMALL
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    clip: Annotated[Path, option(positional=True, metavar="CLIP")]
    """A video, a folder of frames, numbered frames such as shot.%04d.png or shot.####.png, or a
    sequence of KITTI odometry (sequences/09)."""
    model: str = SMALL
    """A run of 'rilievo train video' or an official checkpoint with pose files, whose networks
    predict motion; or any model with metric or up-to-scale depth, from which rilievo computes
    motion by geometry."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER|FILE.txt")] = Path(
        "rilievo-trajectory"
    )
    """Folder for poses.txt (KITTI), trajectory.txt (TUM), trajectory.png and trajectory.json; or a
    text file, which is in KITTI's format if it is called poses.txt, and otherwise in TUM's."""
    options: Annotated[TrajectoryOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Write a trajectory and its errors, and return 1 if the trajectory is mirrored."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo trajectory",
        description=(
            "Estimate the camera trajectory of a clip, from the depth of any model or with "
            "networks trained on video."
        ),
        examples=(
            "rilievo trajectory clip.mp4 --fov 65 -o path",
            "rilievo trajectory clip.mp4 --model run -o trajectory.txt",
        ),
    )
    from rilievo.data.trajectories.run import write_trajectory

    record = write_trajectory(request.model, request.clip, request.output, request.options)
    with printing():
        say("\n".join(_report_lines(record, request.output)))
    return 1 if record.scores is not None and record.scores.is_mirrored else 0


def _report_lines(record: TrajectoryRecord, output: Path) -> Iterator[str]:
    yield from map(for_terminal, record.notes)
    written = output if output.suffix == ".txt" else output / TrajectoryFile.PICTURE
    yield f"{record.frames} frames: {written}"
    if record.scores is None:
        yield "there are no ground-truth poses; to compute errors, give them with --poses"
    else:
        yield from _error_lines(record.scores)


def _error_lines(scores: TrajectoryScores) -> Iterator[str]:
    """Yield the errors as sentences, after a warning about a mirrored estimate."""
    if scores.is_mirrored:
        yield (
            "warning: the estimate is mirrored: it moves forwards where the camera moved "
            "backwards, so the model has not learned motion, and the errors below mean little"
        )
    yield (
        f"ground truth: {scores.frames} frames over {scores.path_length:.2f} m; one unit of the "
        f"estimate is {scores.scale:.4g} m"
    )
    if scores.pieces > 1:
        yield (
            f"the path has {scores.pieces} parts, each aligned separately; the unit is that of the "
            "longest part"
        )
    if scores.monodepth2_mean is not None:
        yield (
            f"ATE-5 as Monodepth2 computes it: {scores.monodepth2_mean:.4f} ± "
            f"{scores.monodepth2_deviation:.4f} m (mean ± standard deviation) over "
            f"{count_text(scores.monodepth2_snippets, 'snippet')}"
        )
    if scores.snippet_mean is not None:
        yield (
            f"ATE-5 of positions: {scores.snippet_mean:.4f} ± {scores.snippet_deviation:.4f} m "
            f"(mean ± standard deviation) over {count_text(scores.snippets, 'snippet')}"
        )
    yield from _position_error_lines(scores)


def _position_error_lines(scores: TrajectoryScores) -> Iterator[str]:
    """Yield the errors of positions, after several fits, and those of motion."""
    fits = {
        "the first pose": scores.rmse_origin,
        "the first pose and the scale": scores.rmse_scale,
        "SE(3)": scores.rmse_rigid,
        "Sim(3)": scores.rmse_similarity,
    }
    texts = [
        f"{error:.3f} m after fitting {name}" for name, error in fits.items() if error is not None
    ]
    yield f"RMSE of positions: {', '.join(texts)}"
    if scores.frame_translation is not None:
        yield (
            f"motion between frames: off by {scores.frame_translation:.4f} m and "
            f"{scores.frame_rotation:.4f} degrees (mean)"
        )
    if scores.direction is not None:
        yield f"direction of motion between frames: off by {scores.direction:.1f} degrees (median)"
    if scores.part_translation is not None and scores.part_rotation is not None:
        yield (
            f"motion over {count_text(scores.parts, 'segment')} of 100 to 800 m: off by "
            f"{100 * scores.part_translation:.2f}% of the length and {scores.part_rotation:.4f} "
            "degrees per metre (mean)"
        )
