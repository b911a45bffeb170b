"""Measurements of regions of photographs, folders and videos."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, MissingFileError, RilievoError
from rilievo.errors.messages import note_about, note_of
from rilievo.io.files.names import printable, shortened
from rilievo.io.photographs.signatures import is_video
from rilievo.measure.detections import PhotoKey, read_detections
from rilievo.measure.measurement_records import origin_record
from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import Region, as_region
from rilievo.predicting.inputs import LeftOut, Medium, find_jobs
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRegion:
    """Measured region; ``frame`` counts from 0."""

    file: str
    frame: int | None
    measured: RegionMeasurement
    origin: dict[str, object]


def measure_regions(
    source: str,
    boxes: Sequence[str],
    masks: Sequence[Path],
    predict: Callable[[Path | Photo], Prediction],
    fail: Callable[[str], None],
) -> Iterator[MeasuredRegion]:
    """Measure regions, and tell failures.

    Raises:
        InputError: If there is no such file, or region.
        OptionError: If a box is none.
    """
    files = [(Path(text), False) for text in boxes if os.path.exists(text)]
    files += [(path, True) for path in masks]
    tables = [read_detections(path, masks=is_mask) for path, is_mask in files]
    usual = [_parse_region(text) for text in boxes if not os.path.exists(text)]
    for fault in (fault for table in tables for fault in table.faults):
        fail(fault)
    left_out, is_any, keys = LeftOut(), False, [set[PhotoKey | None]() for _ in tables]
    for job in find_jobs([source], Path(os.devnull), sequence=False, left_out=left_out):
        is_photo, shown = job.medium is Medium.PHOTO, printable(job.source)
        try:
            for frame, photo in [(None, job.source)] if is_photo else _numbered_photos(job.source):
                for (path, _), table, used in zip(files, tables, keys, strict=True):
                    key = table.find_key(job.source, frame)
                    if key in used and key is not None and key.photo:
                        fail(
                            f"{printable(path)}: '{key.photo}' is of several photographs, this one "
                            f"too: {shown}; write their folders"
                        )
                    used.add(key)
                named = (one for table in tables for one in table.regions_in(job.source, frame))
                regions = [*usual, *named]
                if not regions:
                    continue
                is_any = True
                prediction = predict(photo)
                extents, origin = RegionMeasurer(prediction), origin_record(prediction)
                for region in regions:
                    try:
                        measured = extents.measure(region)
                    except RilievoError as error:
                        place = shown if frame is None else f"{shown}: frame {frame}"
                        fail(note_about(place, error))
                        continue
                    yield MeasuredRegion(
                        file=str(job.source), frame=frame, measured=measured, origin=origin
                    )
        except RilievoError as error:
            fail(note_of(error) if error.path else note_about(shown, error))
    for failure in left_out.unreadable:
        fail(failure)
    is_alone = os.path.isfile(source) and not is_video(Path(source))
    for (path, _), table, used in zip(files, tables, keys, strict=True):
        # A table of many photographs may be asked about one of them.
        if not is_alone and (words := table.name_unused(used)):
            fail(f"{printable(path)}: nothing in {printable(source)} is {shortened(words, 200)}")
    if not is_any:
        raise InputError(f"{printable(source)}: no box or mask is of a photograph there")


def _parse_region(text: str) -> Region:
    if Path(text).suffix.lower() in (".json", ".csv"):
        raise MissingFileError("no such file", path=printable(text))
    return as_region(text)


def _numbered_photos(video: Path) -> Iterator[tuple[int, Photo]]:
    from rilievo.io.videos.live_frames import live_frames

    for number, pixels in enumerate(live_frames(video)):
        yield number, Photo(pixels=pixels, name=f"{printable(video)} frame {number}")
