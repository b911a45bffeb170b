"""The command ``rilievo fuse``, which makes one surface of the frames of a clip."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing, say
from rilievo.data.fuse.fuse_clip import (
    ARBITRARY,
    METRE,
    UNIT_OF_POSES,
    FuseRecord,
    fuse_clip,
)
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.errors.messages import for_terminal
from rilievo.schema.fields import option

_UNIT_WORDS = {
    METRE: "m wide",
    ARBITRARY: "wide in an unknown unit",
    UNIT_OF_POSES: "wide in the unit of the poses",
}
_SECONDS_BETWEEN_LINES = 10.0
"""Time between lines of progress where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    clip: Annotated[Path, option(positional=True, metavar="CLIP")]
    """A video, a folder of frames, or numbered frames such as shot.%04d.png or shot.####.png."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FILE")] = Path("place.glb")
    """File to write: .glb (viewers, Blender) or .ply."""
    options: Annotated[FuseOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Fuse a clip into one surface."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo fuse",
        description="Fuse the frames of a clip into one coloured surface.",
        examples=(
            "rilievo fuse clip.mp4 -o place.glb",
            "rilievo fuse frames/ --poses poses.txt --camera 535,535,320,240 -o place.ply",
        ),
    )
    with _ProgressLine() as report:
        record = fuse_clip(request.clip, request.output, request.options, report)
    for note in record.notes:
        print_to_stderr(f"note: {for_terminal(note)}")
    with printing():
        say("\n".join(_report_lines(record, request.output, request.options.teach)))
    return 0


def _report_lines(record: FuseRecord, output: Path, labels: Path | None) -> Iterator[str]:
    """Yield size, agreement and files of a fused surface as lines of text."""
    yield (
        f"{record.frames} frames, {record.triangles:,} triangles, voxels {record.voxel:.3g} "
        f"{_UNIT_WORDS[record.unit]}, {record.volume_bytes / 1e6:.0f} MB of memory"
    )
    if record.disagreement is not None and record.disagreement_before is not None:
        yield (
            "the depth of neighbouring frames differs by a median of "
            f"{100 * record.disagreement:.1f}%; with one scale for all frames, it would differ by "
            f"{100 * record.disagreement_before:.1f}%"
        )
    yield str(output)
    if labels is not None and record.labels is not None:
        yield f"{labels}: labels for {record.frames} frames, mean weight {record.labels:.2f}"


class _ProgressLine:
    """Shows progress in one line of a terminal; elsewhere prints a line every ten seconds."""

    def __enter__(self) -> "_ProgressLine":
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._step, self._step_start, self._last_line_time = "", 0.0, 0.0
        return self

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show how many frames of a step are done."""
        now = time.perf_counter()
        is_new_step = step != self._step
        if is_new_step:
            self._step, self._step_start = step, now
        line = f"{step}: {self._progress_text(done, total, now - self._step_start)}"
        if self._is_terminal:
            # Return to the start of the line, and erase it.
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        elif is_new_step or now - self._last_line_time > _SECONDS_BETWEEN_LINES:
            self._last_line_time = now
            print_to_stderr(line)

    @staticmethod
    def _progress_text(done: int, total: int | None, seconds: float) -> str:
        if not total:
            return f"{done} frames"
        text = f"{done} of {total} frames"
        if done < 2:
            return text
        seconds_left = seconds / done * (total - done)
        return f"{text}, {seconds_left:.0f} s left"

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
