"""Read a prediction from the files that ``save`` wrote."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import InputError, MissingFileError, RilievoError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.checksums import content_fault, numbers_crc32
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.io.numbers import read_numbers
from rilievo.io.outputs.sidecar import (
    SUFFIX,
    FileFacts,
    Sidecar,
    SourceFacts,
    camera_from_facts,
    parse_sidecar,
    read_sidecar,
    sidecar_path,
)
from rilievo.io.outputs.writing import Stored
from rilievo.io.saved_origins import SavedOrigin, camera_with_K, is_archive_changed
from rilievo.prediction import Prediction
from rilievo.prediction.map_origin import find_map_origin
from rilievo.prediction.output import OUTPUTS, FunctionPath, SurfaceDepth, import_function
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_PICTURE_SUFFIXES = (".png", ".webp")


class NoArraysError(InputError):
    """Error for a prediction whose files are only pictures, so that no depth can be read.

    Attributes:
        made_by: Model and settings with which the prediction was made.
    """

    def __init__(self, path: Path, folder: Path, sidecar: Sidecar) -> None:
        file_names = [file_facts.file for file_facts in sidecar.files]
        present = [name for name in file_names if os.path.exists(folder / name)]
        missing = [name for name in file_names if name not in present]
        details = []
        if present:
            details.append(f"existing: {', '.join(present)}")
        if missing:
            details.append(f"missing: {', '.join(missing)}")
        super().__init__(
            f"{path}: no file of this prediction contains depth or normals as arrays "
            f"({'; '.join(details)}): save the prediction again, also as npz or png16"
        )
        self.made_by = sidecar.made_by


def read_prediction(path: str | Path) -> Prediction:
    """Read a prediction from its files.

    An npz file holds everything. Otherwise each part comes from the file that you name, if it holds
    that part, and else from the most exact file.

    Examples:
        >>> _ = rilievo.predict("photo.jpg", model="rilievo/small").save("out/photo", "npz")
        >>> rilievo.read_prediction("out/photo.npz").shape
        (48, 64)

    Args:
        path: The stem that was given to ``save``, the JSON, or any of the files.

    Warns:
        UserWarning: If a file was changed since it was saved. The prediction then has neither the
            calibration nor the stated error in its record.

    Raises:
        InputError: If a file is broken, was not written by rilievo, belongs to a video, or holds no
            numbers.
        MissingExtraError: If the package of a format is not installed.
    """
    path = Path(path)
    files = _find_files(path)
    stored, changed_files = _read_files(files)
    sidecar = files.sidecar
    if stored.values is None and stored.normals is None:
        raise NoArraysError(path, files.folder, sidecar)
    try:
        prediction = Prediction(
            depth_or_none=_stored_depth(stored, sidecar),
            network_depth=_stored_network_depth(stored),
            instrument=sidecar.instrument,
            measured=stored.measured,
            normals=stored.normals,
            confidence=stored.confidence,
            sky=stored.sky,
            camera=_stored_camera(stored, sidecar),
            calibration=sidecar.calibration,
            anchoring=sidecar.anchoring,
            photo=_stored_photo(stored, sidecar),
            notes=sidecar.notes or (),
            made_by=sidecar.made_by,
        )
    except InputError as error:
        raise InputError(problem=Text(error), path=path) from error
    if not changed_files:
        return prediction
    prediction = _without_recorded_error(prediction, sidecar, changed_files[0])
    warnings.warn(prediction.notes[-1], UserWarning, stacklevel=2)
    return prediction


def existing_pictures(path: Path) -> dict[Path, FileFacts]:
    """Find the PNG and WebP files of a prediction, with what its JSON states about each."""
    files = _find_files(path)
    pictures = {}
    for file_facts in files.sidecar.files:
        picture = files.folder / file_facts.file
        if picture.suffix in _PICTURE_SUFFIXES and os.path.exists(picture):
            pictures[picture] = file_facts
    return pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class _PredictionFiles:
    """Files of one prediction.

    Attributes:
        named_file: File that the user named; None if the user named the stem or the JSON.
    """

    folder: Path
    sidecar: Sidecar
    named_file: str | None = None


def _find_files(path: Path) -> _PredictionFiles:
    """Find the files of a prediction by its stem, its JSON or one of the files.

    Raises:
        InputError: If there are none, or they belong to a video.
    """
    if path.name.endswith(SUFFIX):
        return _PredictionFiles(folder=path.parent, sidecar=_read_photo_sidecar(path, path))
    if not path.is_file():
        json = sidecar_path(path)
        if not json.is_file():
            raise MissingFileError("neither this file nor its JSON file exists", path=path)
        return _PredictionFiles(folder=path.parent, sidecar=_read_photo_sidecar(json, path))

    for output in OUTPUTS.values():
        if not path.name.endswith(output.suffix):
            continue
        json = sidecar_path(path.with_name(path.name.removesuffix(output.suffix)))
        if json.is_file():
            sidecar = read_sidecar(json)
            if any(file_facts.file == path.name for file_facts in sidecar.files):
                return _PredictionFiles(folder=path.parent, sidecar=sidecar, named_file=path.name)
        if output.json_reader:
            return _read_embedded_sidecar(path, output.json_reader)
    raise InputError(
        "no JSON file of rilievo lists this file; keep the JSON file that was saved with a result "
        "next to it",
        path=path,
    )


def _read_photo_sidecar(json: Path, user_path: Path) -> Sidecar:
    """Read the JSON of a photograph; raise ``InputError`` about ``user_path`` for a video's."""
    sidecar = read_sidecar(json)
    if _is_video_sidecar(json):
        raise InputError(
            "belongs to the results of a video, not to a single prediction: docs/videos.md "
            "('Numbers of a video') shows how to read those results",
            path=user_path,
        )
    return sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """What every JSON of a video states about it."""

    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _VideoHead:
    """The part by which the JSON of a video is recognised."""

    video: _Video


def _is_video_sidecar(json: Path) -> bool:
    """Whether a JSON describes the results of a video."""
    try:
        from_json(_VideoHead, read_text(json))
    except (InputError, InvalidRecordError):
        return False
    return True


def _read_embedded_sidecar(path: Path, json_reader: FunctionPath) -> _PredictionFiles:
    """Read the JSON inside of a file that has no JSON beside it."""
    try:
        text = import_function(json_reader)(path)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(
            f"is not a rilievo file, or is damaged ({_error_line(error)})", path=path
        ) from error
    sidecar = parse_sidecar(text, printable(path))
    # The file may have been renamed since.
    files = tuple(replace(file_facts, file=path.name) for file_facts in sidecar.files)
    return _PredictionFiles(folder=path.parent, sidecar=replace(sidecar, files=files))


def _read_files(files: _PredictionFiles) -> tuple[Stored, list[str]]:
    """Read each part from the best file that holds it.

    Returns the arrays, and the names of those files whose depth was changed since they were saved.
    """
    stored = Stored()
    changed_files: list[str] = []
    for file_facts in _readable_files(files):
        output = OUTPUTS[file_facts.output]
        path = files.folder / file_facts.file
        # os.path.exists returns False for a name that the system refuses, such as a long one, where
        # Path.exists raises.
        if not os.path.exists(path):
            continue
        if not any(stored.lacks(part) for part in output.readable):
            continue

        file_arrays = _read_file(path, file_facts)
        _check_arrays(path, file_arrays, files.sidecar.source)
        if file_arrays.values is not None:
            if _is_changed(path, file_facts):
                changed_files.append(file_facts.file)
            if output.surface is SurfaceDepth.REQUIRED:
                file_arrays = replace(file_arrays, is_anchored=True)
        stored = stored.fill_from(file_arrays)
    return stored, changed_files


def _readable_files(files: _PredictionFiles) -> list[FileFacts]:
    """List the files that can be read back, the best first.

    The file that the user named comes first, then files without anchored depth, then lossless ones.
    """
    output_order = list(OUTPUTS)

    def sort_key(file_facts: FileFacts) -> tuple[bool, bool, bool, int]:
        output = OUTPUTS[file_facts.output]
        # False sorts before True.
        return (
            file_facts.file != files.named_file,
            output.surface is not SurfaceDepth.NEVER,  # may hold anchored depth
            not output.is_exact,
            output_order.index(file_facts.output),
        )

    readable = [
        file_facts
        for file_facts in files.sidecar.files
        if file_facts.output in OUTPUTS and OUTPUTS[file_facts.output].reader
    ]
    return sorted(readable, key=sort_key)


def _is_changed(path: Path, file_facts: FileFacts) -> bool:
    """Whether the depth in a file differs from what rilievo wrote.

    A file counts as unchanged if another program only compressed it anew, or added arrays to an npz
    file.
    """
    if file_facts.output == "npz" and file_facts.crc32 is not None:
        return is_archive_changed(path, file_facts)
    recorded_sum = file_facts.file_sum_of(path.name)
    if recorded_sum is None or content_fault(path, recorded_sum) is None:
        return False
    # The bytes differ, but the numbers may still be the same.
    return file_facts.crc32 is None or numbers_crc32(read_numbers(path)) != file_facts.crc32


def _without_recorded_error(prediction: Prediction, sidecar: Sidecar, file: str) -> Prediction:
    """Drop what the record of a changed file states about its error, and say so in a last note."""
    recorded = SavedOrigin(made_by=None, instrument=sidecar.instrument, record_location=file)
    origin = find_map_origin(recorded.without_outdated_entries(), None)
    return prediction.but(
        instrument=origin.instrument_with_warnings(()),
        measured=None,
        calibration=None,
        anchoring=None,
        notes=(*prediction.notes, *origin.warnings),
    )


def _read_file(path: Path, file_facts: FileFacts) -> Stored:
    """Read the arrays of one file; raise ``InputError`` if it is broken."""
    reader = OUTPUTS[file_facts.output].reader
    assert reader is not None, "only files with a reader are read"
    check_regular(path)
    try:
        return import_function(reader)(path, file_facts)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(
            f"is damaged ({_error_line(error)}): create it again", path=path
        ) from error


def _check_arrays(path: Path, stored: Stored, source: SourceFacts) -> None:
    """Raise ``InputError`` if an array of a file has another shape or type than was written."""
    size = (source.height, source.width)
    for name, array, shape, dtype in (
        ("depth", stored.values, size, np.float32),
        ("network_depth", stored.network_depth, size, np.float32),
        ("measured", stored.measured, size, np.bool_),
        ("valid", stored.valid, size, np.bool_),
        ("normals", stored.normals, (3, *size), np.float32),
        ("confidence", stored.confidence, size, np.float32),
        ("sky", stored.sky, size, np.bool_),
        ("photo", stored.photo, (*size, 3), np.uint8),
        ("transparent", stored.transparent, size, np.bool_),
    ):
        if array is not None and (array.shape != shape or array.dtype != dtype):
            raise InputError(
                f"is damaged ({name} is {array.shape} {array.dtype}, expected {shape} "
                f"{np.dtype(dtype)}): create it again",
                path=path,
            )


def _stored_depth(stored: Stored, sidecar: Sidecar) -> DepthMap | None:
    """Make the depth map from stored arrays and the kind in the JSON; None if there is no depth."""
    if stored.values is None or stored.valid is None:
        return None
    depth_facts = sidecar.depth
    if stored.is_anchored and sidecar.anchored is not None:
        depth_facts = sidecar.anchored
    if depth_facts is None:
        raise InputError(
            "the JSON file of this prediction does not state the kind of its depth: create it again"
        )
    return DepthMap(values=stored.values, kind=depth_facts.kind, valid=stored.valid)


def _stored_network_depth(stored: Stored) -> DepthMap | None:
    """Depth of the network alone, which is stored if the depth map has a sensor's pixels."""
    if stored.network_depth is None:
        return None
    values = stored.network_depth
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=~np.isnan(values))


def _stored_camera(stored: Stored, sidecar: Sidecar) -> Camera | None:
    """Camera in the JSON, or the one of the array K in an npz file if they differ."""
    if sidecar.camera is None:
        return None
    return camera_with_K(camera_from_facts(sidecar.camera), stored.K)


def _stored_photo(stored: Stored, sidecar: Sidecar) -> Photo | None:
    """Photograph that an npz file holds, with the name in the JSON."""
    if stored.photo is None:
        return None
    return Photo(pixels=stored.photo, transparent=stored.transparent, name=sidecar.source.file)


def _error_line(error: BaseException) -> str:
    """Message of an error in one line of at most 200 characters."""
    message = " ".join(str(error).split()) or type(error).__name__
    return message if len(message) <= 200 else f"{message[:200]}..."
