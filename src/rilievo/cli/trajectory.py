"""``rilievo trajectory``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.odometry.records import (
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
    TrajectoryScores,
)


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run of 'rilievo train video', or of an official checkpoint with pose files."""
    clip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    """Video, folder of frames, or sequence of KITTI odometry (sequences/09)."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = Path(
        "rilievo-trajectory"
    )
    """Folder for poses.txt (KITTI), trajectory.txt (TUM), trajectory.png and trajectory.json."""
    options: Annotated[TrajectoryOptions, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> int:
    """Write a camera's trajectory, and its error where the truth is known.

    Returns:
        0 when it is written, 1 when it is mirrored relative to the truth, 2 for wrong use, 130 when
        the user stopped it.
    """
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo trajectory",
        description="Where the camera of a clip went, by networks trained on video.",
        examples=("rilievo trajectory run clip.mp4 -o path",),
    )
    from rilievo.odometry.run import write_trajectory

    record = write_trajectory(given.model, given.clip, given.output, given.options)
    with printing():
        print("\n".join(_lines(record, given.output)))
    return 1 if record.scores is not None and record.scores.is_mirrored else 0


def _lines(record: TrajectoryRecord, output: Path) -> Iterator[str]:
    yield from record.notes
    yield f"{record.frames} frames: {output / TrajectoryFile.PICTURE}"
    if record.scores is None:
        yield "no true poses are known: give --poses to have errors"
    else:
        yield from _errors(record.scores)


def _errors(scores: TrajectoryScores) -> Iterator[str]:
    if scores.is_mirrored:
        yield (
            "warning: the estimate is mirrored: it goes forwards where the camera truly went "
            "backwards, so its motion was not learned, and the errors below say little"
        )
    yield (
        f"truth: {scores.frames} frames, {scores.path_length:.2f} m; one unit of the estimate is "
        f"{scores.scale:.4g} m"
    )
    for name, mean, deviation, snippets in (
        (
            "ATE-5 as Monodepth2 computes it",
            scores.monodepth2_mean,
            scores.monodepth2_deviation,
            scores.monodepth2_snippets,
        ),
        ("ATE-5 of positions", scores.snippet_mean, scores.snippet_deviation, scores.snippets),
    ):
        if mean is not None:
            yield f"{name}: {mean:.4f} ± {deviation:.4f} over {snippets} snippets"
    fits = {
        "the first pose": scores.rmse_origin,
        "first pose and scale": scores.rmse_scale,
        "SE(3)": scores.rmse_rigid,
        "Sim(3)": scores.rmse_similarity,
    }
    said = [f"{error:.3f} m ({name} fitted)" for name, error in fits.items() if error is not None]
    yield f"RMSE of positions: {', '.join(said)}"
    if scores.frame_translation is not None:
        yield (
            f"between frames: {scores.frame_translation:.4f} m and {scores.frame_rotation:.4f} "
            "degrees"
        )
    if scores.part_translation is not None and scores.part_rotation is not None:
        yield (
            f"over parts of 100 to 800 m ({scores.parts}): {100 * scores.part_translation:.2f} %, "
            f"{scores.part_rotation:.4f} degrees per metre"
        )
