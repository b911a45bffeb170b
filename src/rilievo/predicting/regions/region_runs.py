"""``rilievo measure --box`` and ``--mask``: measure objects in photographs, folders and videos."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import InputError, MissingFileError, RilievoError
from rilievo.errors.messages import Note, count_text, note_of, spell_keyword
from rilievo.io.files.names import printable, shortened
from rilievo.io.photographs.signatures import is_video
from rilievo.measure import RegionMeasurement
from rilievo.measure.measurement_records import origin_record
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import Region, as_region
from rilievo.predicting.inputs import Job, Medium, SkippedInputs, find_jobs
from rilievo.predicting.regions.detections import DetectionTable, PhotoKey, read_detections
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

_MAX_LISTED_PHOTOS = 5
"""Most photographs that a message on one error of several lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRegion:
    """Measurement of one region, and its provenance.

    Attributes:
        file: Photograph or video.
        frame: Index of the frame; None for a photograph.
        measured: Distance and size of the object in the region.
        origin: Model, camera and instrument, as they are printed in JSON.
    """

    file: str
    frame: int | None
    measured: RegionMeasurement
    origin: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RegionFile:
    """File with regions of many photographs or frames."""

    path: Path
    table: DetectionTable
    # Keys of the table under which photographs were found so far.
    used_keys: set[PhotoKey | None] = field(default_factory=set)

    def use_regions(
        self, photo: Path, frame: int | None, fail: Callable[[str], None]
    ) -> Sequence[Region]:
        """Find the regions of a photograph, and record that they are used.

        ``fail`` is called if the name in the file is ambiguous, because another photograph has used
        the same regions.
        """
        key = self.table.find_key(photo, frame)
        if key is not None and key.photo and key in self.used_keys:
            fail(
                f"{printable(self.path)}: '{key.photo}' matches several photographs, "
                f"including {printable(photo)}; add their folders to the names in the file"
            )
        self.used_keys.add(key)
        return self.table.regions_in(photo, frame)


@dataclass(frozen=True, slots=True)
class _SharedError:
    """First of several errors with the same words, and the names of the photographs that have them.

    Frames of a video are named like photographs.
    """

    error: RilievoError
    photos: list[str] = field(default_factory=list)

    def message(self) -> Note:
        """Message on the error, which begins with the names of the photographs."""
        is_about_another_file = bool(self.error.path) and str(self.error.path) not in self.photos
        if is_about_another_file:
            return note_of(self.error)
        names = ", ".join(self.photos[:_MAX_LISTED_PHOTOS])
        more_count = len(self.photos) - _MAX_LISTED_PHOTOS
        if more_count > 0:
            names += f" and {count_text(more_count, 'more photograph')}"
        return Note(self.error.text(path=""), path=names)


@dataclass(frozen=True, slots=True)
class _FailedPhotos:
    """Errors of photographs, of which those with the same words are reported once.

    For example, no photograph has sizes if nothing gives metres.
    """

    errors_by_words: dict[str, _SharedError] = field(default_factory=dict)

    def add(self, photo: str, error: RilievoError) -> None:
        """Record the error of a photograph, or of a frame, by its name."""
        words = error.text(path="").worded(spell_keyword)
        shared_error = self.errors_by_words.setdefault(words, _SharedError(error))
        if photo not in shared_error.photos:
            shared_error.photos.append(photo)

    def report(self, fail: Callable[[str], None]) -> None:
        """Call ``fail`` with a message on each error."""
        for shared_error in self.errors_by_words.values():
            fail(shared_error.message())


def measure_regions(
    source: str,
    boxes: Sequence[str],
    masks: Sequence[Path],
    predict: Callable[[Path | Photo], Prediction],
    fail: Callable[[str], None],
) -> Iterator[MeasuredRegion]:
    """Measure the objects in boxes and masks, in a photograph, a folder or a video.

    ``boxes`` are files with boxes, and boxes such as "10,20,110,220", which apply to all
    photographs. ``masks`` are files. ``fail`` is called with a message on each failure.

    Raises:
        InputError: If there is no such file, or no region belongs to a photograph in ``source``.
        OptionError: If a box is malformed.
    """
    files = _read_region_files(boxes, masks)
    common_regions = [_parse_region(text) for text in boxes if not os.path.exists(text)]
    for file in files:
        for fault in file.table.faults:
            fail(fault)

    skipped = SkippedInputs()
    failed = _FailedPhotos()
    has_regions = False
    for job in find_jobs([source], Path(os.devnull), sequence=False, skipped=skipped):
        try:
            for photo in _photos_with_regions(job, files, common_regions, fail):
                has_regions = True
                yield from _measure_photo(photo, predict, failed)
        except RilievoError as error:
            failed.add(printable(job.source), error)

    failed.report(fail)
    for failure in skipped.unreadable:
        fail(failure)
    is_one_photo = os.path.isfile(source) and not is_video(Path(source))
    if not is_one_photo:  # for a single photograph, a table of many is fine
        _report_unused_regions(files, source, fail)
    if not has_regions:
        raise InputError(
            f"{printable(source)}: none of the boxes and masks belongs to this input; check the "
            "names of the photographs in their files"
        )


def _read_region_files(boxes: Sequence[str], masks: Sequence[Path]) -> list[_RegionFile]:
    """Read the files with boxes, which are those boxes that exist as files, and with masks."""
    box_files = [Path(text) for text in boxes if os.path.exists(text)]
    return [
        *(_RegionFile(path=path, table=read_detections(path, masks=False)) for path in box_files),
        *(_RegionFile(path=path, table=read_detections(path, masks=True)) for path in masks),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _PhotoWithRegions:
    """Photograph, or frame of a video, with the regions to measure in it."""

    source: Path
    frame: int | None
    photo: Path | Photo
    regions: Sequence[Region]


def _photos_with_regions(
    job: Job,
    files: Sequence[_RegionFile],
    common_regions: Sequence[Region],
    fail: Callable[[str], None],
) -> Iterator[_PhotoWithRegions]:
    """Yield a photograph, or the frames of a video, each with its regions if it has any."""
    for frame, photo in _photos_of_job(job):
        regions = list(common_regions)
        for file in files:
            regions += file.use_regions(job.source, frame, fail)
        if regions:
            yield _PhotoWithRegions(source=job.source, frame=frame, photo=photo, regions=regions)


def _measure_photo(
    photo: _PhotoWithRegions,
    predict: Callable[[Path | Photo], Prediction],
    failed: _FailedPhotos,
) -> Iterator[MeasuredRegion]:
    """Predict a photograph and measure its regions; add the errors of those that fail."""
    prediction = predict(photo.photo)
    measurer = RegionMeasurer(prediction)
    origin = origin_record(prediction)
    for region in photo.regions:
        try:
            measured = measurer.measure(region)
        except RilievoError as error:
            name = printable(photo.source)
            failed.add(name if photo.frame is None else f"{name}: frame {photo.frame}", error)
            continue
        yield MeasuredRegion(
            file=str(photo.source), frame=photo.frame, measured=measured, origin=origin
        )


def _report_unused_regions(
    files: Sequence[_RegionFile], source: str, fail: Callable[[str], None]
) -> None:
    """Report regions of photographs that are not among the inputs."""
    for file in files:
        unused = file.table.list_unused(file.used_keys)
        if unused:
            names = shortened(unused, 200)
            fail(
                f"{printable(file.path)}: the file names photographs that {printable(source)} does "
                f"not contain: {names}"
            )


def _parse_region(text: str) -> Region:
    """Parse a box that the user wrote.

    Raises:
        MissingFileError: If it is the name of a table or a folder, which does not exist.
    """
    if Path(text).suffix.lower() in (".json", ".csv", ".txt"):
        raise MissingFileError("no such file", path=printable(text))
    if os.sep in text:
        raise MissingFileError("no such file or folder", path=printable(text))
    return as_region(text)


def _photos_of_job(job: Job) -> Iterator[tuple[int | None, Path | Photo]]:
    """Yield (None, photograph) for a photograph, or (index, frame) for each frame of a video."""
    if job.medium is Medium.PHOTO:
        yield None, job.source
        return
    from rilievo.io.videos.live_frames import live_frames

    for index, pixels in enumerate(live_frames(job.source)):
        yield index, Photo(pixels=pixels, name=f"{printable(job.source)} frame {index}")
