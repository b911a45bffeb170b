"""Answers of a video that a full disk stopped, for the next run.

An unnamed file, with a JSON at its end, gets a name (on Linux); the same command continues.
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
"""End of a file, after the JSON's length."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPassRecord:
    """First pass, but for its first frame.

    Attributes:
        key: Hash of all that answers depend on.
        records: Layouts, as numpy describes them.
        counts: Frames of each layout.
        ticks: Time in the source [ticks].
        stretches: Still stretch of each frame.
        shots: First frames of shots.
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
    """Answers of this run or an earlier one."""

    stored: StoredAnswers
    file: IO[bytes]
    earlier: FirstPassRecord | None = None
    is_complete: bool = False

    def keep(self, key: str, first_pass: FirstPass) -> None:
        """Write the first pass after the answers, unless anchored."""
        if not first_pass.anchorings:
            layouts = self.stored.layouts
            record = FirstPassRecord(
                format=FORMAT,
                key=key,
                records=tuple(
                    json.dumps(np.lib.format.dtype_to_descr(layout.record)) for layout in layouts
                ),
                counts=tuple(layout.count for layout in layouts),
                ticks=first_pass.ticks,
                scales=tuple(correction.scale for correction in first_pass.corrections),
                shifts=tuple(adjustment.shift for adjustment in first_pass.corrections),
                stretches=first_pass.stretches,
                shots=first_pass.shots,
                borders=first_pass.borders,
                cameras=tuple(
                    camera_facts(camera, first_pass.size) for camera in first_pass.cameras
                ),
                names=first_pass.names,
                fault=first_pass.fault,
            )
            text = to_json(record).encode()
            self.file.seek(self.stored.end)
            self.file.write(text + len(text).to_bytes(8, "little") + _END)
            self.file.flush()
            self.is_complete = True


def answers_key(source: FrameSource, model: Model, options: ClipOptions) -> str:
    """Hash of what answers depend on."""
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
    """Names, sizes and times of a video's files."""
    files = sorted(entry.path for entry in os.scandir(path)) if path.is_dir() else [path]
    return [f"{file} {os.stat(file).st_size} {os.stat(file).st_mtime_ns}" for file in files]


@contextmanager
def open_answers(target: Path, key: str, *, is_positive: bool) -> Iterator[ClipAnswers]:
    """Open a video's answers, kept or new.

    Raises:
        OutputError: If the disk is full, with what is kept.
    """
    path = target.with_name(f".{target.name}.rilievo-answers")
    earlier = _read_record(path, key)
    if earlier is None:
        remove_part(path)
    with path.open("rb") if earlier else nameless_file(target.parent) as file:
        stored = StoredAnswers(file, is_positive=is_positive)
        if earlier is not None:
            stored.layouts = _answer_layouts(earlier)
        answers = ClipAnswers(stored=stored, file=file, earlier=earlier)
        try:
            yield answers
        except Exception as error:
            if not is_disk_full(error) or not (earlier or _link_answers(answers, path)):
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
    """Restore a first pass; predict the first frame again."""
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
        about=first.about,
        fault=record.fault,
        names=record.names,
    )


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error is a full disk."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _read_record(path: Path, key: str) -> FirstPassRecord | None:
    """First pass of a file with this key, if whole."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            file.seek(-16, os.SEEK_END)
            length, end = int.from_bytes(file.read(8), "little"), file.read(8)
            place = file.tell() - 16 - length
            if end != _END or not 0 <= place <= file.tell() or length > MAX_TEXT_BYTES:
                return None
            file.seek(place)
            record = from_json(FirstPassRecord, file.read(length).decode())
        is_whole = sum(layout.bytes for layout in _answer_layouts(record)) == place
        is_possible = _is_possible(record)
    except (InputError, NotThisRecord, OSError, TypeError, ValueError):
        return None
    is_same = (record.format, record.key) == (FORMAT, key)
    return record if is_same and is_whole and is_possible else None


def _is_possible(record: FirstPassRecord) -> bool:
    """Whether the numbers of a record can be those of a first pass.

    Raises:
        InputError: If the camera of a shot is none.
    """
    count = sum(record.counts)
    if not count or min(record.counts) < 1:
        return False
    of_frames = (record.ticks, record.scales, record.shifts, record.stretches)
    of_shots = (record.shots, record.borders, record.cameras)
    if {len(column) for column in of_frames} != {count} or len(record.names) not in (0, count):
        return False
    if {len(column) for column in of_shots} != {len(record.shots)}:
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


def _answer_layouts(stored: FirstPassRecord) -> list[AnswerLayout]:
    pairs = zip(stored.records, stored.counts, strict=True)
    return [AnswerLayout(_parse_dtype(record), count) for record, count in pairs]


def _parse_dtype(record: str) -> np.dtype:
    rows = ((name, kind, rest) for name, kind, *rest in json.loads(record))
    return np.dtype([(name, kind, *(tuple(shape) for shape in rest)) for name, kind, rest in rows])


def _link_answers(answers: ClipAnswers, path: Path) -> bool:
    """Give answers a path; return whether that worked."""
    if not answers.is_complete:
        return False
    try:
        os.fsync(answers.file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            source = f"/proc/self/fd/{answers.file.fileno()}"
            os.link(source, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
    except (OSError, NotImplementedError):
        return False
    return True
