"""Record the options and the input of a job in JSON, so that a later run can compare its own."""

import os
from collections.abc import Mapping
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checksums import compute_file_sum
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.numbered import find_numbered_files, is_numbered_pattern
from rilievo.io.outputs.save_options import WRITING
from rilievo.io.outputs.sidecar import SOURCE_BYTES, SOURCE_MODIFIED
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import Refine
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import recorded_options


def input_record(job: Job) -> Mapping[str, Setting]:
    """Record size and last change of a file; or of a folder of frames, their sum and the latest.

    Raises:
        InputError: If the input cannot be read.
    """
    try:
        if is_numbered_pattern(job.source):
            statuses = [path.stat() for path in find_numbered_files(job.source).paths]
        elif job.medium is Medium.SEQUENCE:
            entries = [*os.scandir(job.source)]
            statuses = [entry.stat() for entry in entries if not entry.name.startswith(".")]
        else:
            statuses = [job.source.stat()]
    except OSError as error:
        raise InputError(f"cannot be read: {reason(error)}", path=job.source) from error
    changes = (frame.st_mtime_ns for frame in statuses)
    return {
        SOURCE_BYTES: sum(frame.st_size for frame in statuses),
        SOURCE_MODIFIED: max(changes, default=0),
    }


def run_record(
    options: PredictOptions, medium: Medium, source: Mapping[str, Setting]
) -> Mapping[str, Setting]:
    """Collect the options and the state of the input on which the result files of a job depend.

    Args:
        options: Options of the job, with the sizes that belong to it.
        medium: What its input is.
        source: Record of its input, by ``input_record``.

    Raises:
        InputError: If the file of a sensor cannot be read.
    """
    record: dict[str, Setting] = {
        **recorded_options(options.view),
        "known": _known_size_texts(options.sizes),
        **_sparse_settings(options.sizes),
        **_mask_settings(options.refine),
    }
    for group in (options.sizes, options.surface, options.refine):
        record |= recorded_options(group)
    saving = recorded_options(options.saving)
    # The options of a photograph's outputs are recorded with each of its files.
    record |= {name: value for name, value in saving.items() if name not in WRITING}
    if medium is not Medium.PHOTO:
        record |= _video_settings(options, medium)
    return record | dict(source)


def _known_size_texts(sizes: KnownSizes) -> str:
    """Return the known sizes as the user wrote them, separated by blanks."""
    written = (*sizes.known, *sizes.known_length, *sizes.known_rectangle, *sizes.known_circle)
    texts = [
        text if isinstance(text, str) else str(size)
        for text, size in zip(written, sizes.known_sizes, strict=True)
    ]
    return " ".join(texts)


def _sparse_settings(sizes: KnownSizes) -> dict[str, Setting]:
    """Record the contents of the sensor's file, and how it is read; empty without one."""
    if sizes.sparse is None:
        return {}
    settings: dict[str, Setting] = {
        "sparse": _content_setting(sizes.sparse),
        "sparse_unit": sizes.sparse_unit,
    }
    for name in ("sparse_kind", "sparse_crop", "sparse_encoding"):
        if getattr(sizes, name) is not None:
            settings[name] = getattr(sizes, name)
    return settings


def _mask_settings(refine: Refine) -> dict[str, Setting]:
    """Record the contents of a mask's file; empty without one."""
    if refine.valid_mask is None:
        return {}
    return {"valid_mask": _content_setting(refine.valid_mask)}


def _content_setting(path: Path) -> str:
    """Name and SHA-256 of a file on which results depend."""
    check_regular(path)
    return f"{path.name} {compute_file_sum(path).sha256}"


def _video_settings(options: PredictOptions, medium: Medium) -> dict[str, Setting]:
    """Record the options on which the files of a video depend, besides those of a photograph."""
    video = options.video
    settings: dict[str, Setting] = {name: getattr(options.saving, name) for name in WRITING}
    settings["independent"] = video.independent
    fps = video.fps
    if fps is None and medium is Medium.SEQUENCE:
        from rilievo.io.videos.frame_source import DEFAULT_RATE

        fps = float(DEFAULT_RATE)
    if fps is not None:
        settings["fps"] = fps
    return settings | recorded_options(video)
