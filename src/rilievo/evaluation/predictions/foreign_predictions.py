"""Predictions in files of other programs: a folder with a file for each image, or one array."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Shaped
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.foreign_confidence import (
    DEPTH_ARRAY,
    ForeignConfidence,
    confidence_from_numbers,
)
from rilievo.evaluation.metrics.metric import Numbers
from rilievo.evaluation.predictions.file_matching import (
    KNOWN_PATTERNS,
    POINT_PATTERNS,
    MatchedFiles,
    find_file,
    match_files,
    unmatched_files_note,
)
from rilievo.evaluation.stored_numbers import (
    WHICH_INVERSE,
    ValueEncoding,
    combine_encodings,
    depth_from_numbers,
    normals_from_numbers,
    points_from_numbers,
)
from rilievo.evaluation.stored_predictions import StoredPrediction, unknown_maker
from rilievo.io.depth.crops import RequestedPlacement
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.plausibility import (
    MEDIAN_WARNINGS,
    bent_surface_warning,
    straight_surface_warning,
)
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    read_declared_metadata,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import NUMBER_SUFFIXES, read_numbers
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy

_MAX_CHECKED_FILES = 12
"""Most files whose numbers are checked before anything is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPredictions:
    """Predictions that another program wrote: a folder of files, or an array of a whole split.

    Attributes:
        folder: Folder of the files, or file of the whole split.
        value_encoding: What the numbers mean, as far as the user or the first file says.
        number_encoding: How files store depth as numbers, as far as the user says.
        kind: Kind of the depth or the points; None for normals.
        holds_points: Whether the files hold points, and not depth.
        files: File of each image, by id.
        positions: Position of each image in a file of a whole split; empty for a folder.
        confidence_source: Where confidences are and what they mean; None if there are none.
        confidence_files: Files of confidences by id, if these have files of their own.
        crop: Part of the picture that the predictions show, as the user says.
        unmatched_note: Sentence about files that belong to no image; None if there are none.
    """

    folder: Path
    value_encoding: ValueEncoding
    number_encoding: NumberEncoding = field(default_factory=NumberEncoding)
    kind: DepthKind | None
    made_by: MadeBy
    holds_points: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
    confidence_source: ForeignConfidence | None = None
    confidence_files: Mapping[str, Path] = field(default_factory=dict)
    crop: RequestedPlacement | None = None
    unmatched_note: str | None = None

    def read(self, image_id: str) -> StoredPrediction:
        """Read the prediction of one image."""
        path = find_file(self.files, image_id, self.folder)
        if self._holds_depth:
            return self._read_depth_prediction(image_id, path)

        numbers = read_numbers(path, name=self._array_name)
        confidence = self._read_confidence(image_id, path)
        normals = points = None
        with _naming_file_in_errors(path):
            if self.kind is None:
                normals = normals_from_numbers(numbers)
            else:
                points = points_from_numbers(numbers, self.kind)
        return StoredPrediction(
            made_by=self.made_by,
            depth_or_none=None,
            normals=normals,
            points=points,
            confidence=confidence,
            crop=self.crop,
        )

    def number_warnings(self) -> list[str]:
        """Check the numbers of a few files, and warn if they do not look like depth.

        Warnings that differ only in their numbers are said once, with the first image.
        """
        if not self._holds_depth:
            return []
        first_by_kind: dict[str, str] = {}
        for image_id in evenly_spread(tuple(self.files), _MAX_CHECKED_FILES):
            try:
                warnings = self._depth_warnings(image_id)
            except (RilievoError, OSError):
                continue  # A broken file is reported when it is scored.
            for warning in warnings:
                warning_kind = re.sub(r"[\d.,%]+", "#", warning)
                first_by_kind.setdefault(warning_kind, f"prediction of {image_id}: {warning}")
        return list(first_by_kind.values())

    @property
    def _holds_depth(self) -> bool:
        return self.kind is not None and not self.holds_points

    @property
    def _array_name(self) -> str | None:
        """Array to read from npz files; None if the only array is read."""
        source = self.confidence_source
        is_confidence_in_same_file = source is not None and source.pattern is None
        return DEPTH_ARRAY if is_confidence_in_same_file else None

    def _read_depth_prediction(self, image_id: str, path: Path) -> StoredPrediction:
        """Read the depth of one image, and its confidence if there is one."""
        stored, encoding = self._read_stored_depth(image_id, path)
        confidence = self._read_confidence(image_id, path)
        name = f"{printable(path)}[{self.positions[image_id]}]" if self.positions else path
        with _naming_file_in_errors(name):
            limited = _limit_depth(stored.values, encoding, self.number_encoding)
            depth = depth_from_numbers(limited.numbers, encoding, stored.known_pixels)
        return StoredPrediction(
            made_by=self.made_by,
            depth_or_none=depth,
            normals=None,
            confidence=confidence,
            crop=self.crop,
            notes=() if limited.note is None else (limited.note,),
        )

    def _read_stored_depth(self, image_id: str, path: Path) -> tuple[StoredDepth, ValueEncoding]:
        """Depth of an image as a file stores it, and the meaning of its numbers.

        The file is the image's own, or that of the whole split. User and file state the meaning
        together.
        """
        if self.positions:
            values = np.array(_open_stacked_maps(path)[self.positions[image_id]])
            stored = stored_depth_from_array(values, self.number_encoding, printable(path))
        else:
            stored = read_stored_depth(
                path,
                array=self._array_name,
                encoding=self.number_encoding,
                is_scale_given=self.value_encoding.scale is not None,
                notes_confidence=self.confidence_source is None,
            )
        return stored, combine_encodings(self.value_encoding, stored.metadata, path)

    def _read_confidence(self, image_id: str, path: Path) -> Field | None:
        """Confidence of an image, from the file of its depth or from a file of its own."""
        source = self.confidence_source
        if source is None:
            return None
        if source.pattern is None:
            numbers = read_numbers(path, name=source.array)
            return confidence_from_numbers(numbers, source.meaning, path)
        if image_id not in self.confidence_files:
            raise InputError(
                f"there is no confidence for this image in {self.folder}, expected the file "
                f"{source.pattern.replace('{id}', printable(image_id))}"
            )
        file = self.confidence_files[image_id]
        return confidence_from_numbers(read_numbers(file), source.meaning, file)

    def _depth_warnings(self, image_id: str) -> tuple[str, ...]:
        """Warnings that the numbers of one image may not be depth as the user says."""
        stored, encoding = self._read_stored_depth(image_id, self.files[image_id])
        if encoding.kind is None:
            return stored.metadata.warnings
        limited = _limit_depth(stored.values, encoding, self.number_encoding)
        depth = depth_from_numbers(limited.numbers, encoding, stored.known_pixels)
        surface_warnings = filter(None, [_surface_warning(depth, encoding)])
        if encoding.is_disparity or not encoding.kind.is_depth:
            return (*stored.metadata.warnings, *surface_warnings)

        metres = None
        if encoding.kind is DepthKind.METRIC:
            metres = depth.values[depth.valid].astype(np.float64)
        number_warnings = stored_depth_warnings(
            stored,
            metres,
            unit=1.0 if encoding.scale is None else encoding.scale,
            invalid=(0.0,),
            max_depth=self.number_encoding.max_depth,
            is_unit_given=encoding.scale is not None,
            are_marks_stated=self.number_encoding.invalid is not None,
        )
        # Implausible metres are noted with the image's score.
        warnings = (*number_warnings, *surface_warnings)
        return tuple(warning for warning in warnings if warning not in MEDIAN_WARNINGS)


@contextmanager
def _naming_file_in_errors(name: Path | str) -> Iterator[None]:
    """Put a file's name before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(problem=Text(error), path=name) from error


def open_foreign_folder(
    folder: Path,
    ids: Sequence[str],
    *,
    value_encoding: ValueEncoding,
    task: Task,
    pattern: str | None = None,
    confidence_source: ForeignConfidence | None = None,
    crop: RequestedPlacement | None = None,
    number_encoding: NumberEncoding | None = None,
) -> ForeignPredictions:
    """Open a folder with a file of another program for each image.

    ``pattern`` is the name of each file with ``{id}`` (see ``match_files``); None tries known
    names. Encodings, crop and confidences are what the user states, as attributes of
    ``ForeignPredictions``.
    """
    if confidence_source is not None and task is not Task.DEPTH:
        raise OptionError(
            option="sure",
            problem=f"only applies to depth, but this benchmark scores {task}",
            hint="leave it out",
        )

    matched, confidence_files = _match_prediction_files(
        folder, ids, task, pattern, confidence_source
    )
    if task is Task.CAMERA:
        raise OptionError(
            f"{folder}: fields of view can only be read from results of 'rilievo predict'"
        )
    if task not in (Task.NORMALS, Task.POINTS):
        first_file = next(iter(matched.files.values()))
        value_encoding = _combine_with_file(value_encoding, number_encoding, first_file)
    kind = None if task is Task.NORMALS else _require_kind(value_encoding, folder)
    return ForeignPredictions(
        folder=folder,
        value_encoding=value_encoding,
        number_encoding=NumberEncoding() if number_encoding is None else number_encoding,
        kind=kind,
        made_by=unknown_maker(folder.resolve().name, kind, value_encoding),
        holds_points=task is Task.POINTS,
        files=matched.files,
        confidence_source=confidence_source,
        confidence_files=confidence_files,
        crop=crop,
        unmatched_note=unmatched_files_note(matched.unmatched, folder),
    )


def _match_prediction_files(
    folder: Path,
    ids: Sequence[str],
    task: Task,
    pattern: str | None,
    confidence_source: ForeignConfidence | None,
) -> tuple[MatchedFiles, Mapping[str, Path]]:
    """Find the file of each image, and the file of its confidence if that is a file of its own."""
    paths = sorted(file for file in folder.rglob("*") if file.suffix.lower() in NUMBER_SUFFIXES)
    confidence_files: Mapping[str, Path] = {}
    if confidence_source is not None and confidence_source.pattern is not None:
        matched_confidences = match_files(folder, paths, ids, confidence_source.pattern, ())
        confidence_files = matched_confidences.files
        paths = matched_confidences.unmatched
    known_patterns = POINT_PATTERNS if task is Task.POINTS else KNOWN_PATTERNS
    return match_files(folder, paths, ids, pattern, known_patterns), confidence_files


def _combine_with_file(
    value_encoding: ValueEncoding, number_encoding: NumberEncoding | None, path: Path
) -> ValueEncoding:
    """Combine what the user and a file state; a broken file states nothing."""
    with suppress(InputError):  # A broken file is reported when it is read.
        metadata = read_declared_metadata(path, number_encoding)
        return combine_encodings(value_encoding, metadata, path)
    return value_encoding


def open_stack(
    path: Path,
    ids: Sequence[str] | None,
    *,
    value_encoding: ValueEncoding,
    task: Task,
    crop: RequestedPlacement | None = None,
    number_encoding: NumberEncoding | None = None,
) -> ForeignPredictions:
    """Open one npy file (images, height, width) of a split, such as ``disps_eigen_split.npy``.

    ``ids`` are those of the whole split in its order, images without files included; None if the
    order is not known. The other arguments are those of ``open_predictions``.
    """
    if task not in (Task.DEPTH, Task.PICTURE):
        raise OptionError(
            f"{path}: a single array for a whole split can only hold depth, not {task}"
        )
    kind = _require_kind(value_encoding, path)
    map_count = len(_open_stacked_maps(path))
    if ids is None:
        raise InputError(
            "its maps must be in the split's order, which is unknown because files of the split "
            "are missing",
            path=path,
            hint=Text("list the images that you have with ", OptionName("list")),
        )
    if map_count != len(ids):
        raise InputError(
            f"{path}: contains {count_text(map_count, 'map')}, but the split lists "
            f"{count_text(len(ids), 'image')}; expected one map per image, in the split's order"
        )
    return ForeignPredictions(
        folder=path,
        value_encoding=value_encoding,
        number_encoding=NumberEncoding() if number_encoding is None else number_encoding,
        kind=kind,
        made_by=unknown_maker(path.resolve().name, kind, value_encoding),
        files=dict.fromkeys(ids, path),
        positions={image_id: position for position, image_id in enumerate(ids)},
        crop=crop,
    )


def _open_stacked_maps(path: Path) -> Shaped[np.ndarray, "n h w"]:
    """Map an npy file of a whole split into memory, without reading it.

    The file holds (images, height, width), or (images, 1, height, width).
    """
    check_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN_FILE as error:
        raise InputError(f"{path}: is not an npy file ({reason(error)})") from error
    # From an npz archive, np.load returns something else than an array.
    is_array = isinstance(array, np.ndarray)
    if is_array and array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if not is_array or array.ndim != 3 or array.dtype.kind not in "uif":
        contents = "an archive"
        if is_array:
            contents = f"an array of shape {array.shape} and type {array.dtype}"
        raise InputError(
            f"{path}: is {contents}, expected an npy file of numbers with the shape (images, "
            "height, width), or a folder of predictions with a file for each image"
        )
    return array


def _require_kind(value_encoding: ValueEncoding, path: Path) -> DepthKind:
    """Return the kind of depth, or raise an OptionError if neither user nor file states it."""
    if value_encoding.kind is None:
        raise OptionError(
            problem=Text(
                f"the meaning of the depth in {path} is unknown; set ",
                OptionName("kind"),
                f" to {', '.join(DepthKind)} or disparity ({WHICH_INVERSE})",
            )
        )
    return value_encoding.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _DepthLimits:
    """Range of depth [m] that counts; ``far`` is None without a limit."""

    near: float
    far: float | None

    @property
    def words(self) -> list[str]:
        """The limits that are set, as the user writes them."""
        words = [] if self.near == 0 else [f"min_depth={self.near:g}"]
        if self.far is not None:
            words.append(f"max_depth={self.far:g}")
        return words

    def mask(self, depth: Numbers) -> Mask:
        """Mask of the depth that is within the limits; False for NaN."""
        far = np.inf if self.far is None else self.far
        with np.errstate(invalid="ignore"):
            return (depth >= self.near) & (depth <= far)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LimitedNumbers:
    """Numbers of a file inside the limits that the user sets for depth.

    Attributes:
        numbers: Numbers as stored; outside the limits NaN, or 0 in an array of integers.
        note: Sentence on the pixels outside the limits; None if there are none.
    """

    numbers: Numbers
    note: str | None = None


def _limit_depth(
    numbers: Numbers, value_encoding: ValueEncoding, number_encoding: NumberEncoding
) -> _LimitedNumbers:
    """Leave out depth outside the user's limits, ``min_depth`` and ``max_depth`` [m].

    Raises:
        InputError: If that leaves no depth.
    """
    limits = _DepthLimits(near=number_encoding.min_depth, far=number_encoding.max_depth)
    if not limits.words:
        return _LimitedNumbers(numbers=numbers)
    depth = _stored_to_depth(numbers, value_encoding)
    is_inside = limits.mask(depth)
    has_depth = np.isfinite(depth) & (numbers != 0)
    total = int(np.count_nonzero(has_depth))
    count = int(np.count_nonzero(has_depth & ~is_inside))
    if total and count == total:
        nearest, farthest = depth[has_depth].min(), depth[has_depth].max()
        raise InputError(
            problem=Text(
                "contains no depth inside the limits, because ",
                OptionName("encoding", " ".join(limits.words)),
                f" leaves out all {total:,} pixels, whose depth is {nearest:.3g} to {farthest:.3g}",
            )
        )
    note = None
    if count:
        words = ", ".join(limits.words)
        note = f"its limits ({words}) leave out {count:,} of the {total:,} pixels with depth"
    no_depth = np.nan if numbers.dtype.kind == "f" else 0
    return _LimitedNumbers(numbers=np.where(is_inside, numbers, no_depth), note=note)


def _stored_to_depth(numbers: Numbers, encoding: ValueEncoding) -> Numbers:
    """Depth of stored numbers [m], or in a unit of their own if their scale is unknown."""
    scale = 1.0 if encoding.scale is None else encoding.scale
    with np.errstate(divide="ignore", invalid="ignore"):
        if encoding.is_disparity:
            return scale / numbers.astype(np.float64)
        return numbers.astype(np.float64) * scale


def _surface_warning(depth: DepthMap, encoding: ValueEncoding) -> str | None:
    """Warn if surfaces suggest that the values are depth instead of inverse depth, or vice versa.

    Surfaces that should be flat are bent if depth is taken for inverse depth, and vice versa.
    """
    values = depth.values.astype(np.float64)
    if encoding.is_disparity:
        return bent_surface_warning(values, depth.valid)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        valid = depth.valid & (values > 0)
        # Any positive number will do at the other pixels, which are masked out.
        return bent_surface_warning(1 / np.where(valid, values, 1), valid)
    if depth.kind is DepthKind.AFFINE:
        return None  # Surfaces are bent until the shift is known.
    return straight_surface_warning(values, depth.valid)
