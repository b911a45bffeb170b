"""Stored answers of a video whose results filled the disk, from which the next run goes on.

The answers lie in a file without a name. If the disk is full, the file gets a name (on Linux), and
the same command reads it. At its end are a JSON of the first pass, the length of the JSON in eight
bytes, and ``_END``.
"""

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import Text
from rilievo.geometry.borders import Margins
from rilievo.io.files.atomic import remove_part
from rilievo.io.files.limits import MAX_TEXT_BYTES, check_regular
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.outputs.sidecar import CameraFacts, camera_facts, camera_from_facts
from rilievo.io.videos.frame_source import FrameSource
from rilievo.models.base import Model
from rilievo.models.refinement.trimming import with_margins
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.first_pass import FirstPass, read_first_frame
from rilievo.predicting.videos.frame_answers import AnswerLayout, StoredAnswers, nameless_file
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.prediction.saving import output_parts
from rilievo.records.prediction_record import Setting
from rilievo.version import VERSION

FORMAT = "rilievo-answers/2"
_END = b"rilievo!"
"""Last eight bytes of a file."""
_FULL_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPassRecord:
    """First pass as a file holds it, without what the first frame tells.

    Attributes:
        format: ``FORMAT``.
        key: Hash of all that answers depend on.
        records: Layouts of frames in the file, as numpy describes them.
        counts: Number of frames of each layout.
        ticks: Time of each frame in the source [ticks].
        scales: Factor by which each frame's depth is corrected.
        shifts: Number that is added after that.
        stretches: Still stretch of each frame, or ``MOVING``.
        shots: First frame of each shot.
        borders: Borders of each shot.
        cameras: Camera of each shot.
        names: Files of a folder of frames; empty for a video.
        fault: What was wrong in the source; None if nothing was.
    """

    format: str = ""
    key: str
    records: tuple[str, ...]
    counts: tuple[int, ...]
    ticks: tuple[int, ...]
    scales: tuple[float, ...]
    shifts: tuple[float, ...]
    stretches: tuple[int, ...]
    shots: tuple[int, ...]
    borders: tuple[Margins, ...]
    cameras: tuple[CameraFacts, ...]
    names: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(slots=True, kw_only=True)
class ClipAnswers:
    """Answers to the frames of a video, of this run or an earlier one.

    Attributes:
        stored: The answers.
        file: File that holds them.
        earlier: First pass of an earlier run; None if this run makes it.
        is_complete: Whether the file holds a first pass of this run, too.
    """

    stored: StoredAnswers
    file: IO[bytes]
    earlier: FirstPassRecord | None = None
    is_complete: bool = False

    def keep(self, key: str, first_pass: FirstPass) -> None:
        """Write the first pass after the answers, unless depth is anchored."""
        if first_pass.anchorings:
            return
        text = to_json(self._make_record(key, first_pass)).encode()
        self.file.seek(self.stored.end)
        self.file.write(text + len(text).to_bytes(8, "little") + _END)
        self.file.flush()
        self.is_complete = True

    def _make_record(self, key: str, first_pass: FirstPass) -> FirstPassRecord:
        """Record of a first pass that a later run can restore."""
        layouts, corrections = self.stored.layouts, first_pass.corrections
        return FirstPassRecord(
            format=FORMAT,
            key=key,
            records=tuple(
                json.dumps(np.lib.format.dtype_to_descr(layout.record)) for layout in layouts
            ),
            counts=tuple(layout.count for layout in layouts),
            ticks=first_pass.ticks,
            scales=tuple(correction.scale for correction in corrections),
            shifts=tuple(correction.shift for correction in corrections),
            stretches=first_pass.stretches,
            shots=first_pass.shots,
            borders=first_pass.borders,
            cameras=tuple(camera_facts(camera, first_pass.size) for camera in first_pass.cameras),
            names=first_pass.names,
            fault=first_pass.fault,
        )


def answers_key(source: FrameSource, model: Model, options: ClipOptions) -> str:
    """Hash of all that the answers depend on: the source, the model and the options."""
    facts: Mapping[str, object] = {
        "rilievo": VERSION,
        "source": file_states(source.path),
        "model": [model.card.name, model.weights_sha256, dict(model.settings)],
        "run": dict(options.run),
        "parts": sorted(output_parts(options.outputs)),
        "temporal": options.temporal,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def file_states(path: Path) -> list[Setting]:
    """Name, size and time of a video's file, or of each file in a folder of frames."""
    files = sorted(entry.path for entry in os.scandir(path)) if path.is_dir() else [path]
    return [f"{file} {os.stat(file).st_size} {os.stat(file).st_mtime_ns}" for file in files]


@contextmanager
def open_answers(target: Path, key: str, *, is_positive: bool) -> Iterator[ClipAnswers]:
    """Open the answers that an earlier run kept under this key, or new ones.

    If the disk becomes full in the block, the answers are kept for the next run.

    Args:
        target: Path of the results without suffix.
        key: Hash by ``answers_key``.
        is_positive: Whether all depth is positive.

    Raises:
        OutputError: If the disk is full, with the name of the file that is kept.
    """
    path = target.with_name(f".{target.name}.rilievo-answers")
    earlier = _read_record(path, key)
    if earlier is None:
        remove_part(path)
        opened = nameless_file(target.parent)
    else:
        opened = path.open("rb")
    with opened as file:
        stored = StoredAnswers(file, is_positive=is_positive)
        if earlier is not None:
            stored.layouts = _answer_layouts(earlier)
        answers = ClipAnswers(stored=stored, file=file, earlier=earlier)
        try:
            yield answers
        except Exception as error:
            if not is_disk_full(error):
                raise
            # Answers of an earlier run have a file already; new ones get one now, if there is room.
            are_kept = earlier is not None or _link_answers(answers, path)
            if not are_kept:
                raise
            raise OutputError(
                problem=Text(error),
                hint=f"the answers of its {stored.count:,} frames are kept in "
                f"{printable(path)}: the same command goes on from there",
            ) from error
    remove_part(path)


def repeat_first_pass(
    source: FrameSource, model: Model, record: FirstPassRecord, options: ClipOptions
) -> FirstPass:
    """Restore the first pass of an earlier run; only its first frame is predicted again."""
    model = with_margins(model, record.borders[0])
    photo = options.prepare(next(iter(source)).photo)
    [answer] = options.stopwatch.infer(model, [photo])
    first = read_first_frame(options.finish(model, answer, photo), options)
    pairs = zip(record.scales, record.shifts, strict=True)
    return FirstPass(
        ticks=record.ticks,
        corrections=tuple(Correction(scale=scale, shift=shift) for scale, shift in pairs),
        stretches=record.stretches,
        shots=record.shots,
        borders=record.borders,
        cameras=tuple(camera_from_facts(facts) for facts in record.cameras),
        anchorings=(),
        metric=first.metric,
        size=source.size,
        sidecar=first.sidecar,
        fault=record.fault,
        names=record.names,
    )


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that a disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL_DISK_ERRORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _read_record(path: Path, key: str) -> FirstPassRecord | None:
    """Read the first pass of a file; None without a file that is whole and has this key."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            file.seek(-16, os.SEEK_END)
            length, end = int.from_bytes(file.read(8), "little"), file.read(8)
            start_of_json = file.tell() - 16 - length
            if end != _END or not 0 <= start_of_json <= file.tell() or length > MAX_TEXT_BYTES:
                return None
            file.seek(start_of_json)
            record = from_json(FirstPassRecord, file.read(length).decode())
        bytes_of_answers = sum(layout.bytes for layout in _answer_layouts(record))
        is_possible = _is_possible(record)
    except (InputError, NotThisRecord, OSError, TypeError, ValueError):
        return None
    if (record.format, record.key) != (FORMAT, key):
        return None
    return record if bytes_of_answers == start_of_json and is_possible else None


def _is_possible(record: FirstPassRecord) -> bool:
    """Whether the numbers of a record can be those of a first pass.

    Raises:
        InputError: If the facts of a camera are not possible.
    """
    count = sum(record.counts)
    if not count or min(record.counts) < 1:
        return False
    frame_columns = (record.ticks, record.scales, record.shifts, record.stretches)
    if {len(column) for column in frame_columns} != {count}:
        return False
    if len(record.names) not in (0, count):
        return False
    if not len(record.shots) == len(record.borders) == len(record.cameras):
        return False

    for facts in record.cameras:
        camera_from_facts(facts)
    sides = [side for borders in record.borders for side in astuple(borders)]
    scales_are_possible = all(0 < scale < math.inf for scale in record.scales)
    return (
        scales_are_possible
        and all(map(math.isfinite, record.shifts))
        and _are_first_frames(record.shots, count)
        and all(MOVING <= first <= frame for frame, first in enumerate(record.stretches))
        and min(sides) >= 0
    )


def _are_first_frames(shots: Sequence[int], count: int) -> bool:
    """Whether shots begin with frame 0, and each later one after the one before."""
    is_rising = all(before < after for before, after in pairwise(shots))
    return bool(shots) and shots[0] == 0 and is_rising and shots[-1] < count


def _answer_layouts(record: FirstPassRecord) -> list[AnswerLayout]:
    pairs = zip(record.records, record.counts, strict=True)
    return [AnswerLayout(_parse_dtype(text), count) for text, count in pairs]


def _parse_dtype(text: str) -> np.dtype:
    """Data type from numpy's description of it, in which JSON has lists for tuples."""
    columns = []
    for name, kind, *shapes in json.loads(text):
        columns.append((name, kind, *map(tuple, shapes)))
    return np.dtype(columns)


def _link_answers(answers: ClipAnswers, path: Path) -> bool:
    """Give the file of complete answers a name; return whether that worked."""
    if not answers.is_complete:
        return False
    try:
        descriptor = answers.file.fileno()
        os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            source = f"/proc/self/fd/{descriptor}"
            os.link(source, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
    except (OSError, NotImplementedError):
        return False
    return True
