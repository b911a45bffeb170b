"""Predictions in files of other programs: a folder with a file for each image, or one array."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Shaped
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.foreign_confidence import ForeignConfidence, confidence_from_numbers
from rilievo.evaluation.metrics.metric import Numbers
from rilievo.evaluation.predictions.file_matching import (
    KNOWN_PATTERNS,
    POINT_PATTERNS,
    find_file,
    match_files,
    note_on_unmatched_files,
)
from rilievo.evaluation.predictions.rilievo_results import (
    RilievoResults,
    find_sidecars,
    is_rilievo_sidecar,
    open_rilievo_results,
)
from rilievo.evaluation.stored_numbers import (
    WHICH_INVERSE,
    ValueEncoding,
    combine_encodings,
    depth_from_numbers,
    normals_from_numbers,
    points_from_numbers,
)
from rilievo.evaluation.stored_predictions import DEPTH_ARRAY, StoredPrediction, unknown_maker
from rilievo.io.depth.crops import StatedPlacement
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.inverse_depth import bent_surface_warnings, straight_surface_warnings
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR
from rilievo.io.depth.statements import read_depth_statement
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    apply_encoding,
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
class _EncodedDepth:
    """Depth as a file stores it, and how its numbers are converted."""

    numbers: StoredDepth
    encoding: ValueEncoding


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPredictions:
    """Predictions that another program wrote; ``open_predictions`` and ``open_stack`` make it.

    Attributes:
        folder: Folder of the files, or file of the whole split.
        value_encoding: What the numbers mean, as far as the user or the first file says.
        number_encoding: How files store depth as numbers, as far as the user says.
        kind: Kind of the depth or the points; None for normals.
        holds_points: Whether the files hold points, and not depth.
        files: File of each image, by id.
        positions: Position of each image in a file of a whole split; empty for a folder.
        confidence_source: Where confidences are and what they mean; None without confidences.
        confidence_files: Files of confidences by id, where these have files of their own.
        crop: Part of the picture that the predictions show, as the user says.
        unmatched_note: Sentence about files that belong to no image; None without any.
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
    crop: StatedPlacement | None = None
    unmatched_note: str | None = None

    def read(self, id: str) -> StoredPrediction:
        """Read the prediction of one image.

        Raises:
            InputError: If it is missing or broken, or its numbers are not what they should be.
            OptionError: If the file contradicts the user.
        """
        path = find_file(self.files, id, self.folder)
        if self._holds_depth:
            return self._read_depth_prediction(id, path)

        numbers = read_numbers(path, name=self._array_name)
        confidence = self._read_confidence(id, path)
        with _naming(path):
            if self.kind is None:
                normals, points = normals_from_numbers(numbers), None
            else:
                normals, points = None, points_from_numbers(numbers, self.kind)
            return StoredPrediction(
                made_by=self.made_by,
                depth_or_none=None,
                normals=normals,
                points=points,
                confidence=confidence,
                crop=self.crop,
            )

    def number_warnings(self) -> list[str]:
        """Check the numbers of a few files, and say what they look like besides depth.

        Warnings that differ only in their numbers are said once, with the first image.
        """
        if not self._holds_depth:
            return []
        first_by_kind: dict[str, str] = {}
        for id in evenly_spread(tuple(self.files), _MAX_CHECKED_FILES):
            try:
                warnings = self._warnings_about(id)
            except (RilievoError, OSError):
                continue  # A broken file is reported when it is scored.
            for warning in warnings:
                warning_kind = re.sub(r"[\d.,%]+", "#", warning)
                first_by_kind.setdefault(warning_kind, f"prediction of {id}: {warning}")
        return list(first_by_kind.values())

    @property
    def _holds_depth(self) -> bool:
        return self.kind is not None and not self.holds_points

    @property
    def _array_name(self) -> str | None:
        """Array to read from npz files; None where they hold one only."""
        source = self.confidence_source
        has_confidence_inside = source is not None and source.pattern is None
        return DEPTH_ARRAY if has_confidence_inside else None

    def _read_depth_prediction(self, id: str, path: Path) -> StoredPrediction:
        encoded = self._read_encoded_depth(id, path)
        numbers = _limit_depth(encoded.numbers.values, encoded.encoding, self.number_encoding)
        confidence = self._read_confidence(id, path)
        with _naming(f"{printable(path)}[{self.positions[id]}]" if self.positions else path):
            depth = depth_from_numbers(numbers, encoded.encoding, encoded.numbers.known)
        return StoredPrediction(
            made_by=self.made_by,
            depth_or_none=depth,
            normals=None,
            confidence=confidence,
            crop=self.crop,
        )

    def _read_encoded_depth(self, id: str, path: Path) -> _EncodedDepth:
        """Numbers of an image's depth, from its own file or from the file of the whole split."""
        if self.positions:
            plane = np.array(_open_stacked_maps(path)[self.positions[id]])
            numbers = stored_depth_from_array(plane, self.number_encoding, printable(path))
        else:
            numbers = read_stored_depth(
                path,
                array=self._array_name,
                encoding=self.number_encoding,
                is_scaled=self.value_encoding.scale is not None,
                names_confidence=self.confidence_source is None,
            )
        encoding = combine_encodings(self.value_encoding, numbers.statement, path)
        return _EncodedDepth(numbers=numbers, encoding=encoding)

    def _read_confidence(self, id: str, path: Path) -> Field | None:
        """Confidence of an image, from the file of its depth or from a file of its own."""
        source = self.confidence_source
        if source is None:
            return None
        if source.pattern is None:
            numbers = read_numbers(path, name=source.array)
            return confidence_from_numbers(numbers, source.meaning, path)
        if id not in self.confidence_files:
            raise InputError(f"no confidence of it in {self.folder}, named as {source.pattern}")
        file = self.confidence_files[id]
        return confidence_from_numbers(read_numbers(file), source.meaning, file)

    def _warnings_about(self, id: str) -> tuple[str, ...]:
        """What the numbers of one image look like besides depth, a sentence each."""
        encoded = self._read_encoded_depth(id, self.files[id])
        numbers, encoding = encoded.numbers, encoded.encoding
        if encoding.kind is None:
            return numbers.statement.warnings
        limited = _limit_depth(numbers.values, encoding, self.number_encoding)
        depth = depth_from_numbers(limited, encoding, numbers.known)
        about_surfaces = _surface_warnings(depth, encoding)
        if encoding.is_disparity or not encoding.kind.is_depth:
            return (*numbers.statement.warnings, *about_surfaces)

        metres = None
        if encoding.kind is DepthKind.METRIC:
            metres = depth.values[depth.valid].astype(np.float64)
        about_numbers = stored_depth_warnings(
            numbers,
            metres,
            unit=1.0 if encoding.scale is None else encoding.scale,
            invalid=(0.0,),
            max_depth=self.number_encoding.max_depth,
            is_unit_declared=encoding.scale is not None,
        )
        # Implausible metres are noted with the image's score.
        warnings = (*about_numbers, *about_surfaces)
        return tuple(warning for warning in warnings if warning not in (TOO_FAR, TOO_NEAR))


@contextmanager
def _naming(place: Path | str) -> Iterator[None]:
    """Add a file's name to the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(problem=Text(error), path=place) from error


def open_predictions(
    folder: Path,
    ids: Sequence[str],
    *,
    value_encoding: ValueEncoding,
    task: Task,
    pattern: str | None = None,
    confidence_source: ForeignConfidence | None = None,
    allow_pictures: bool = False,
    crop: StatedPlacement | None = None,
    number_encoding: NumberEncoding | None = None,
) -> RilievoResults | ForeignPredictions:
    """Open a folder of predictions, of another program or of ``rilievo predict``.

    Args:
        folder: Folder of the files, which may lie in folders below.
        ids: Images to score.
        value_encoding: What the numbers mean, as the user says.
        task: What is scored.
        pattern: Name of each file with ``{id}`` (see ``match_files``); None to try known ones.
        confidence_source: Where confidences are and what they mean; None for none.
        allow_pictures: Whether results of ``rilievo predict`` without arrays will do.
        crop: Part of the picture that the predictions show, as the user says.
        number_encoding: How the files store depth as numbers, as the user says.

    Raises:
        InputError: If there is no folder, or no file fits an image.
        OptionError: If the user must say more, or contradicts the files.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder of predictions")
    sidecars = find_sidecars(folder)
    if any(is_rilievo_sidecar(path) for path in sidecars):
        _refuse_options_of_foreign_files(crop, pattern, confidence_source)
        return open_rilievo_results(
            folder, sidecars, ids, value_encoding, allow_pictures=allow_pictures
        )
    if confidence_source is not None and task is not Task.DEPTH:
        raise OptionError(
            option="sure",
            problem="is for depth of other programs",
            hint=f"this benchmark scores {task}",
        )

    paths = sorted(file for file in folder.rglob("*") if file.suffix.lower() in NUMBER_SUFFIXES)
    confidence_files: Mapping[str, Path] = {}
    if confidence_source is not None and confidence_source.pattern is not None:
        matched_confidences = match_files(folder, paths, ids, confidence_source.pattern, ())
        confidence_files, paths = matched_confidences.files, matched_confidences.unmatched
    holds_points = task is Task.POINTS
    known_patterns = POINT_PATTERNS if holds_points else KNOWN_PATTERNS
    matched = match_files(folder, paths, ids, pattern, known_patterns)

    if task is Task.CAMERA:
        raise OptionError(
            f"{folder}: fields of view are read from results of 'rilievo predict' alone"
        )
    if task is not Task.NORMALS and not holds_points:
        first_file = next(iter(matched.files.values()))
        value_encoding = _combine_with_file(value_encoding, number_encoding, first_file)
    kind = None if task is Task.NORMALS else _require_kind(value_encoding, folder)
    return ForeignPredictions(
        folder=folder,
        value_encoding=value_encoding,
        number_encoding=NumberEncoding() if number_encoding is None else number_encoding,
        kind=kind,
        made_by=unknown_maker(folder.resolve().name, kind, value_encoding),
        holds_points=holds_points,
        files=matched.files,
        confidence_source=confidence_source,
        confidence_files=confidence_files,
        crop=crop,
        unmatched_note=note_on_unmatched_files(matched.unmatched, folder),
    )


def _refuse_options_of_foreign_files(
    crop: StatedPlacement | None, pattern: str | None, confidence_source: ForeignConfidence | None
) -> None:
    """Refuse options that describe other programs' files, beside results of rilievo."""
    hint = "these are rilievo's own"
    if crop is not None:
        raise OptionError(option="crop", problem="is for files of other programs", hint=hint)
    if pattern is not None:
        raise OptionError(option="pattern", problem="is for files of other programs", hint=hint)
    if confidence_source is not None:
        raise OptionError(option="sure", problem="is for depth of other programs", hint=hint)


def _combine_with_file(
    value_encoding: ValueEncoding, number_encoding: NumberEncoding | None, path: Path
) -> ValueEncoding:
    """Encoding as the user and a file state it together; that of the user if the file is broken."""
    array = None if number_encoding is None else number_encoding.array
    with suppress(InputError):  # A broken file is reported when it is read.
        statement = apply_encoding(read_depth_statement(path, array), number_encoding, path)
        return combine_encodings(value_encoding, statement, path)
    return value_encoding


def open_stack(
    path: Path,
    ids: Sequence[str] | None,
    *,
    value_encoding: ValueEncoding,
    task: Task,
    crop: StatedPlacement | None = None,
    number_encoding: NumberEncoding | None = None,
) -> ForeignPredictions:
    """Open one npy file (images, height, width) of a split, such as ``disps_eigen_split.npy``.

    ``ids`` are those of the whole split in its order, images without files included; None if the
    order is not known. The other arguments are those of ``open_predictions``.

    Raises:
        InputError: If the file is none of so many maps, or the order is not known.
        OptionError: If depth is not what is scored, or its kind is not given.
    """
    if task not in (Task.DEPTH, Task.PICTURE):
        raise OptionError(f"{path}: one array of a whole split holds depth, not {task}")
    kind = _require_kind(value_encoding, path)
    count = len(_open_stacked_maps(path))
    if ids is None:
        raise InputError(
            "its maps are in the split's order, but files of the split are missing, and so is its "
            "order",
            path=path,
            hint=Text("name the images that are there with ", OptionName("list")),
        )
    if count != len(ids):
        raise InputError(
            f"{path}: holds {count} maps, but the split lists {len(ids)} images; it is read in "
            "the split's order, one map an image"
        )
    return ForeignPredictions(
        folder=path,
        value_encoding=value_encoding,
        number_encoding=NumberEncoding() if number_encoding is None else number_encoding,
        kind=kind,
        made_by=unknown_maker(path.resolve().name, kind, value_encoding),
        files=dict.fromkeys(ids, path),
        positions={id: position for position, id in enumerate(ids)},
        crop=crop,
    )


def _open_stacked_maps(path: Path) -> Shaped[np.ndarray, "n h w"]:
    """Map an npy file of a whole split into memory, without reading it."""
    check_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN_FILE as error:
        raise InputError(f"{path}: is no npy file ({reason(error)})") from error
    if isinstance(array, np.ndarray) and array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "uif":
        contents = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(
            f"{path}: is {contents}, expected an npy file of numbers (images, height, width); a "
            "folder of predictions has a file an image"
        )
    return array


def _require_kind(value_encoding: ValueEncoding, place: Path) -> DepthKind:
    """Kind of depth, which the user has to say if the files do not."""
    if value_encoding.kind is None:
        raise OptionError(
            problem=Text(
                f"what is the depth in {place}? say ",
                OptionName("kind"),
                f" {', '.join(DepthKind)} ({WHICH_INVERSE})",
            )
        )
    return value_encoding.kind


def _limit_depth(
    numbers: Numbers, value_encoding: ValueEncoding, number_encoding: NumberEncoding
) -> Numbers:
    """Remove depth outside the limits [m] that the user gave: NaN, or 0 among integers."""
    if number_encoding.max_depth is None and not number_encoding.min_depth:
        return numbers
    unit = 1.0 if value_encoding.scale is None else value_encoding.scale
    metres = numbers.astype(np.float64) * unit
    max_depth = np.inf if number_encoding.max_depth is None else number_encoding.max_depth
    with np.errstate(invalid="ignore"):
        inside = (metres >= number_encoding.min_depth) & (metres <= max_depth)
    return np.where(inside, numbers, np.nan if numbers.dtype.kind == "f" else 0)


def _surface_warnings(depth: DepthMap, encoding: ValueEncoding) -> tuple[str, ...]:
    """Doubts that the values are depth, or inverse depth, as the user says."""
    values = depth.values.astype(np.float64)
    if encoding.is_disparity:
        return bent_surface_warnings(values, depth.valid)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        valid = depth.valid & (values > 0)
        return bent_surface_warnings(1 / np.where(valid, values, 1), valid)
    if depth.kind is DepthKind.AFFINE:
        return ()  # Surfaces are bent until the shift is known.
    return straight_surface_warnings(values, depth.valid)
