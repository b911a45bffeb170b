"""Keep the inferences of a video if the disk is full, so that the next run can continue from them.

The inferences are stored in an unnamed file. If the disk becomes full, the file gets a name (on
Linux), and the same command reads it. The file ends with a JSON of the first pass, the length of
the JSON in eight bytes, and ``_END``.
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
from rilievo.errors.messages import Text, count_text
from rilievo.geometry.borders import Margins
from rilievo.io.files.atomic import remove_part
from rilievo.io.files.limits import MAX_TEXT_BYTES, check_regular
from rilievo.io.files.names import printable
from rilievo.io.files.numbered import find_numbered_files, is_numbered_pattern
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.io.outputs.sidecar import CameraFacts, camera_facts, camera_from_facts
from rilievo.io.videos.frame_source import FrameSource
from rilievo.models.base import Model
from rilievo.models.refinement.trimming import with_margins
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.first_pass import FirstPass, Shot, read_first_frame
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.predicting.videos.stored_inferences import RowLayout, StoredInferences, nameless_file
from rilievo.prediction.saving import output_parts
from rilievo.records.prediction_record import Setting
from rilievo.version import VERSION

FORMAT = "rilievo-answers/2"
_END = b"rilievo!"
"""Last eight bytes of a file."""
_LENGTH_BYTES = 8
"""Bytes in which the length of the JSON is stored before ``_END``."""
_FULL_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPassRecord:
    """First pass in the form of JSON, without what the first frame is predicted for.

    Attributes:
        key: Hash by ``inferences_key``.
        records: Layouts of rows in the file, as numpy describes them.
        counts: Number of frames with each layout.
        scales: Factor by which each frame's depth is multiplied.
        shifts: Value that is added after that.
        stretches: Still stretch of each frame, or ``MOVING``.
        shots: First frame of each shot; ``borders`` and ``cameras`` have one entry for each shot.
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
class ClipInferences:
    """Inferences of the frames of a video, from this run or an earlier one.

    Attributes:
        earlier: First pass of an earlier run; None if this run has to make it.
        is_complete: Whether the file also contains the first pass of this run.
    """

    stored: StoredInferences
    file: IO[bytes]
    earlier: FirstPassRecord | None = None
    is_complete: bool = False

    def append_first_pass(self, key: str, first_pass: FirstPass) -> None:
        """Write the first pass after the inferences, so that a later run can continue from it.

        A first pass with anchored depth is not written, because the record has no anchorings.
        """
        if first_pass.anchorings:
            return
        text = to_json(self._make_record(key, first_pass)).encode()
        self.file.seek(self.stored.end)
        self.file.write(text + len(text).to_bytes(_LENGTH_BYTES, "little") + _END)
        self.file.flush()
        self.is_complete = True

    def _make_record(self, key: str, first_pass: FirstPass) -> FirstPassRecord:
        """Make the record from which a later run can restore a first pass."""
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
            shots=tuple(shot.first_frame for shot in first_pass.shots),
            borders=tuple(shot.borders for shot in first_pass.shots),
            cameras=tuple(camera_facts(shot.camera, first_pass.size) for shot in first_pass.shots),
            names=first_pass.names,
            fault=first_pass.fault,
        )


def inferences_key(source: FrameSource, model: Model, options: ClipOptions) -> str:
    """Hash everything that the inferences depend on: the source, the model and the options."""
    settings: Mapping[str, object] = {
        "rilievo": VERSION,
        "source": file_states(source.path),
        "model": [model.card.name, model.weights_sha256, dict(model.settings)],
        "run": dict(options.run),
        "parts": sorted(output_parts(options.outputs)),
        "temporal": options.temporal,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def file_states(path: Path) -> list[Setting]:
    """Describe name, size and time of a video's file, or of each file of a folder of frames."""
    if is_numbered_pattern(path):
        files = [str(file) for file in find_numbered_files(path).paths]
    else:
        files = sorted(entry.path for entry in os.scandir(path)) if path.is_dir() else [path]
    return [f"{file} {os.stat(file).st_size} {os.stat(file).st_mtime_ns}" for file in files]


@contextmanager
def open_clip_inferences(target: Path, key: str, *, is_positive: bool) -> Iterator[ClipInferences]:
    """Open the inferences that an earlier run has kept under this key, or an empty new store.

    If the disk becomes full in the block, the inferences are kept for the next run.

    ``key`` is the hash by ``inferences_key``, and ``is_positive`` says that all depth is positive.

    Raises:
        OutputError: If the disk is full. It names the file that is kept.
    """
    path = target.with_name(f".{target.name}.rilievo-answers")
    earlier = _read_record(path, key)
    if earlier is None:
        remove_part(path)
        opened = nameless_file(target.parent)
    else:
        opened = path.open("rb")
    with opened as file:
        stored = StoredInferences(file, is_positive=is_positive)
        if earlier is not None:
            stored.layouts = _row_layouts(earlier)
        inferences = ClipInferences(stored=stored, file=file, earlier=earlier)
        try:
            yield inferences
        except Exception as error:
            if not is_disk_full(error):
                raise
            # Those of an earlier run have a named file already; new ones get a name now.
            are_kept = earlier is not None or _name_inferences_file(inferences, path)
            if not are_kept:
                raise
            raise OutputError(
                problem=Text(error),
                hint=f"the predictions for {count_text(stored.count, 'frame')} are kept in "
                f"{printable(path)}, and the same command resumes from them",
            ) from error
    remove_part(path)


def repeat_first_pass(
    source: FrameSource, model: Model, record: FirstPassRecord, options: ClipOptions
) -> FirstPass:
    """Restore the first pass of an earlier run, for which only the first frame is predicted."""
    model = with_margins(model, record.borders[0])
    photo = options.prepare(next(iter(source)).photo)
    [inference] = options.stopwatch.infer(model, [photo])
    first = read_first_frame(options.finish(model, inference, photo), options)
    return FirstPass(
        ticks=record.ticks,
        corrections=tuple(
            Correction(scale=scale, shift=shift)
            for scale, shift in zip(record.scales, record.shifts, strict=True)
        ),
        stretches=record.stretches,
        shots=tuple(
            Shot(first_frame=first_frame, borders=borders, camera=camera_from_facts(facts))
            for first_frame, borders, facts in zip(
                record.shots, record.borders, record.cameras, strict=True
            )
        ),
        metric=first.metric,
        size=source.size,
        sidecar=first.sidecar,
        fault=record.fault,
        names=record.names,
    )


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one in its chain of causes, says that a disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL_DISK_ERRORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _read_record(path: Path, key: str) -> FirstPassRecord | None:
    """Read the first pass at the end of a file; None if the file is damaged or has another key."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            json_start, text = _read_json_at_end(file)
        record = from_json(FirstPassRecord, text)
        rows_size = sum(layout.bytes for layout in _row_layouts(record))
        is_valid = _is_valid(record)
    except (InputError, InvalidRecordError, OSError, TypeError, ValueError):
        return None
    if (record.format, record.key) != (FORMAT, key):
        return None
    # The rows of the inferences take up the file from its beginning to the JSON.
    return record if rows_size == json_start and is_valid else None


def _read_json_at_end(file: IO[bytes]) -> tuple[int, str]:
    """Read the JSON at the end of a file; return its position in the file and its text.

    Raises:
        OSError, ValueError: If the file does not end as ``ClipInferences.append_first_pass`` writes
            it.
    """
    file_size = file.seek(0, os.SEEK_END)
    json_end = file_size - _LENGTH_BYTES - len(_END)
    file.seek(json_end)
    json_size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    json_start = json_end - json_size
    if file.read() != _END or json_start < 0 or json_size > MAX_TEXT_BYTES:
        raise ValueError("the file is damaged")
    file.seek(json_start)
    return json_start, file.read(json_size).decode()


def _is_valid(record: FirstPassRecord) -> bool:
    """Whether all values of a record are plausible and its lists have matching lengths.

    Raises:
        InputError: If a camera is impossible.
    """
    if not _has_matching_lengths(record):
        return False
    for facts in record.cameras:
        camera_from_facts(facts)
    border_widths = [width for borders in record.borders for width in astuple(borders)]
    has_valid_scales = all(0 < scale < math.inf for scale in record.scales)
    has_valid_shifts = all(map(math.isfinite, record.shifts))
    has_valid_shots = _are_first_frames(record.shots, len(record.ticks))
    # A stretch is named by its first frame, which is not after any frame of the stretch.
    has_valid_stretches = all(
        MOVING <= stretch <= frame for frame, stretch in enumerate(record.stretches)
    )
    has_valid_values = has_valid_scales and has_valid_shifts
    has_valid_frames = has_valid_shots and has_valid_stretches
    return has_valid_values and has_valid_frames and min(border_widths) >= 0


def _has_matching_lengths(record: FirstPassRecord) -> bool:
    """Whether there are frames, and each list has an entry for each of its frames or shots."""
    frame_count = sum(record.counts)
    if not frame_count or min(record.counts) < 1:
        return False
    frame_lists = (record.ticks, record.scales, record.shifts, record.stretches)
    if {len(values) for values in frame_lists} != {frame_count}:
        return False
    if len(record.names) not in (0, frame_count):
        return False
    return len(record.shots) == len(record.borders) == len(record.cameras)


def _are_first_frames(shots: Sequence[int], frame_count: int) -> bool:
    """Whether the first frames of shots begin with 0 and increase."""
    is_increasing = all(before < after for before, after in pairwise(shots))
    return bool(shots) and shots[0] == 0 and is_increasing and shots[-1] < frame_count


def _row_layouts(record: FirstPassRecord) -> list[RowLayout]:
    pairs = zip(record.records, record.counts, strict=True)
    return [RowLayout(_parse_dtype(text), count) for text, count in pairs]


def _parse_dtype(text: str) -> np.dtype:
    """Parse numpy's description of a data type, in which JSON has replaced tuples by lists."""
    columns = []
    for name, kind, *shapes in json.loads(text):
        columns.append((name, kind, *map(tuple, shapes)))
    return np.dtype(columns)


def _name_inferences_file(inferences: ClipInferences, path: Path) -> bool:
    """Give the unnamed file a name, if it is complete; return whether that worked.

    Linux shows an open file as a link in /proc/self/fd. A hard link to what that link refers to
    gives the file a name (see O_TMPFILE in the manual page of open(2)).
    """
    if not inferences.is_complete:
        return False
    try:
        descriptor = inferences.file.fileno()
        os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            open_file = f"/proc/self/fd/{descriptor}"
            # Python follows the link in /proc only if a directory descriptor is passed, too.
            os.link(
                open_file, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True
            )
        finally:
            os.close(folder)
    except (OSError, NotImplementedError):
        return False
    return True
