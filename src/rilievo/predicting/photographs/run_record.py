"""Record the options and the input of a job in JSON, so that a later run can compare its own."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from rilievo.errors import InputError
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.outputs.save_options import WRITING
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres.job_references import (
    find_job_sparse_file,
    read_job_sizes,
)
from rilievo.predicting.options import PredictOptions
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import settings_to_record


def run_record(job: Job, options: PredictOptions) -> Mapping[str, Setting]:
    """Collect the options and the state of the input on which the result files of a job depend.

    Raises:
        InputError: If the input cannot be read.
    """
    try:
        state = _input_state(job)
    except OSError as error:
        raise InputError(f"cannot be read: {reason(error)}", path=job.source) from error
    record: dict[str, Setting] = {
        **settings_to_record(options.view),
        "known": _known_size_texts(job, options.sizes),
        **_sparse_settings(job, options),
    }
    for group in (options.sizes, options.surface, options.refine):
        record |= settings_to_record(group)
    saving = settings_to_record(options.saving)
    # The options of a photograph's outputs are recorded with each of its files.
    record |= {name: value for name, value in saving.items() if name not in WRITING}
    if job.medium is not Medium.PHOTO:
        record |= _video_settings(job, options)
    record["source_bytes"] = state.bytes
    record["source_modified_ns"] = state.modified_ns
    return record


def _known_size_texts(job: Job, sizes: KnownSizes) -> str:
    """Return the known sizes as the user wrote them, separated by blanks."""
    known = read_job_sizes(job, sizes)
    if sizes.table is not None:
        return " ".join(map(str, known))
    written = (*sizes.known, *sizes.known_length, *sizes.known_rectangle)
    texts = [
        text if isinstance(text, str) else str(size)
        for text, size in zip(written, known, strict=True)
    ]
    return " ".join(texts)


def _sparse_settings(job: Job, options: PredictOptions) -> dict[str, Setting]:
    """Record the sensor file with its size and time, and how it is read; empty without one."""
    sizes = options.sizes
    if sizes.sparse is None:
        return {}
    path = find_job_sparse_file(job, options, sizes.sparse)
    check_regular(path)
    status = path.stat()
    settings: dict[str, Setting] = {
        "sparse": f"{path.name} {status.st_size} {status.st_mtime_ns}",
        "sparse_unit": sizes.sparse_unit,
    }
    for name in ("sparse_kind", "sparse_crop", "sparse_encoding"):
        if getattr(sizes, name) is not None:
            settings[name] = getattr(sizes, name)
    return settings


def _video_settings(job: Job, options: PredictOptions) -> dict[str, Setting]:
    """Record the options on which the files of a video depend, besides those of a photograph."""
    video = options.video
    settings: dict[str, Setting] = {name: getattr(options.saving, name) for name in WRITING}
    settings["independent"] = video.independent
    fps = video.fps
    if fps is None and job.medium is Medium.SEQUENCE:
        from rilievo.io.videos.frame_source import DEFAULT_RATE

        fps = float(DEFAULT_RATE)
    if fps is not None:
        settings["fps"] = fps
    return settings | settings_to_record(video)


@dataclass(frozen=True, slots=True, kw_only=True)
class _InputState:
    """Size [bytes] and last change [ns] of an input."""

    bytes: int
    modified_ns: int


def _input_state(job: Job) -> _InputState:
    """Read the state of a file, or of a folder of frames: total size and latest change."""
    status = job.source.stat()
    if job.medium is not Medium.SEQUENCE:
        return _InputState(bytes=status.st_size, modified_ns=status.st_mtime_ns)
    frames = [entry.stat() for entry in os.scandir(job.source) if not entry.name.startswith(".")]
    return _InputState(
        bytes=sum(frame.st_size for frame in frames),
        modified_ns=max((frame.st_mtime_ns for frame in frames), default=status.st_mtime_ns),
    )
