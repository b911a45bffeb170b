"""Read a prediction from the files that ``save`` wrote."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import InputError, MissingFileError, RilievoError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.checksums import content_fault, crc32_of_numbers
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
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
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_record import FunctionPath, SurfaceDepth, import_function
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_PICTURE_SUFFIXES = (".png", ".webp")


class NoArraysError(InputError):
    """Error of a prediction whose files are pictures only, so that no depth can be read."""

    def __init__(self, path: Path, folder: Path, sidecar: Sidecar) -> None:
        names = [facts.file for facts in sidecar.files]
        present = [name for name in names if os.path.exists(folder / name)]
        missing = [name for name in names if name not in present]
        words = []
        if present:
            words.append(f"it has {', '.join(present)}")
        if missing:
            words.append(f"there should be {', '.join(missing)}")
        super().__init__(
            f"{path}: no file of this prediction contains depth or normals as arrays "
            f"({'; '.join(words)}): save npz or png16 too"
        )
        self.made_by = sidecar.made_by


def read_prediction(path: str | Path) -> Prediction:
    """Read a prediction from its files.

    An npz file holds all of it. Otherwise each part comes from the file that you name, if it holds
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
        InputError: If a file is broken, is not one of rilievo, belongs to a video, or holds no
            numbers.
        MissingExtraError: If the package of a format is not installed.
    """
    path = Path(path)
    found = _find_files(path)
    stored, changed_files = _read_files(found)
    sidecar = found.sidecar
    if stored.values is None and stored.normals is None:
        raise NoArraysError(path, found.folder, sidecar)
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
    """PNG and WebP files of a prediction that exist, with what its JSON says of each."""
    found = _find_files(path)
    facts_by_path = {found.folder / facts.file: facts for facts in found.sidecar.files}
    return {
        picture: facts
        for picture, facts in facts_by_path.items()
        if picture.suffix in _PICTURE_SUFFIXES and os.path.exists(picture)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _FoundFiles:
    """Files of one prediction.

    Attributes:
        folder: Folder of the files.
        sidecar: Description that lists them.
        named: Name of the file that the user named; None for the stem or the JSON.
    """

    folder: Path
    sidecar: Sidecar
    named: str | None = None


def _find_files(path: Path) -> _FoundFiles:
    """Find the files of a prediction by its stem, its JSON or one of them.

    Raises:
        InputError: If there are none, or they belong to a video.
    """
    if path.name.endswith(SUFFIX):
        return _FoundFiles(folder=path.parent, sidecar=_read_photo_sidecar(path, path))
    if not path.is_file():
        json = sidecar_path(path)
        if not json.is_file():
            raise MissingFileError("there is no such file, and no JSON beside it", path=path)
        return _FoundFiles(folder=path.parent, sidecar=_read_photo_sidecar(json, path))

    for output in OUTPUTS.values():
        if not path.name.endswith(output.suffix):
            continue
        json = sidecar_path(path.with_name(path.name.removesuffix(output.suffix)))
        if json.is_file():
            sidecar = read_sidecar(json)
            if any(facts.file == path.name for facts in sidecar.files):
                return _FoundFiles(folder=path.parent, sidecar=sidecar, named=path.name)
        if output.json_reader:
            return _read_embedded_sidecar(path, output.json_reader)
    raise InputError("no JSON file of rilievo lists it", path=path)


def _read_photo_sidecar(json: Path, named: Path) -> Sidecar:
    """Read the JSON of a photograph's prediction; ``named`` is the path that the user gave.

    Raises:
        InputError: If it is broken, or that of a video.
    """
    sidecar = read_sidecar(json)
    if _is_video_sidecar(json):
        raise InputError(
            "belongs to the results of a video, which are not a single prediction: docs/videos.md "
            "('Numbers of a video') shows how to read them",
            path=named,
        )
    return sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """What every JSON of a video says about it."""

    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _VideoHead:
    """The part by which the JSON of a video is recognised."""

    video: _Video


def _is_video_sidecar(json: Path) -> bool:
    """Whether a JSON describes the results of a video."""
    try:
        from_json(_VideoHead, read_text(json))
    except (InputError, NotThisRecord):
        return False
    return True


def _read_embedded_sidecar(path: Path, json_reader: FunctionPath) -> _FoundFiles:
    """Read the JSON inside of a file, which then stands alone."""
    try:
        text = import_function(json_reader)(path)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(
            f"not a file of rilievo, or broken ({_error_line(error)})", path=path
        ) from error
    sidecar = parse_sidecar(text, printable(path))
    # The file may have been renamed.
    files = tuple(replace(facts, file=path.name) for facts in sidecar.files)
    return _FoundFiles(folder=path.parent, sidecar=replace(sidecar, files=files))


def _read_files(found: _FoundFiles) -> tuple[Stored, list[str]]:
    """Read each part from the best file that holds it.

    Returns the arrays, and the names of those files whose depth was changed.
    """
    stored, changed_files = Stored(), list[str]()
    for facts in _readable_files(found):
        output, path = OUTPUTS[facts.output], found.folder / facts.file
        # Unlike Path.exists, this takes a name that the system refuses, such as a long one, as
        # missing.
        if not os.path.exists(path):
            continue
        if not any(stored.lacks(part) for part in output.readable):
            continue
        arrays = _read_file(path, facts)
        _check_arrays(path, arrays, found.sidecar.source)
        if arrays.values is not None:
            if _is_changed(path, facts):
                changed_files.append(facts.file)
            if output.surface is SurfaceDepth.REQUIRED:
                arrays = replace(arrays, is_anchored=True)
        stored = stored.fill_from(arrays)
    return stored, changed_files


def _readable_files(found: _FoundFiles) -> list[FileFacts]:
    """Files that can be read back, the best first.

    That is the file that the user named, then files without anchored depth, then exact ones.
    """
    table_order = list(OUTPUTS)

    def rank(facts: FileFacts) -> tuple[bool, bool, bool, int]:
        output = OUTPUTS[facts.output]
        return (
            facts.file != found.named,
            output.surface is not SurfaceDepth.NEVER,
            not output.is_exact,
            table_order.index(facts.output),
        )

    readable = [
        facts
        for facts in found.sidecar.files
        if facts.output in OUTPUTS and OUTPUTS[facts.output].reader
    ]
    return sorted(readable, key=rank)


def _is_changed(path: Path, facts: FileFacts) -> bool:
    """Whether the depth in a file differs from what rilievo wrote.

    A file is not changed if another program only compressed it anew, or added arrays to an npz.
    """
    if facts.output == "npz" and facts.crc32 is not None:
        return is_archive_changed(path, facts)
    written = facts.written_sum(path.name)
    if written is None or content_fault(path, written) is None:
        return False
    return facts.crc32 is None or crc32_of_numbers(read_numbers(path)) != facts.crc32


def _without_recorded_error(prediction: Prediction, sidecar: Sidecar, file: str) -> Prediction:
    """Drop what the record of a changed file says about its error; the last note says so."""
    recorded = SavedOrigin(made_by=None, instrument=sidecar.instrument, place=file)
    origin = find_map_origin(recorded.of_changed_file(), None)
    return prediction.but(
        instrument=origin.instrument_with_warnings(()),
        measured=None,
        calibration=None,
        anchoring=None,
        notes=(*prediction.notes, *origin.warnings),
    )


def _read_file(path: Path, facts: FileFacts) -> Stored:
    """Read the arrays of one file; raise ``InputError`` if it is broken."""
    reader = OUTPUTS[facts.output].reader
    assert reader is not None, "only files with a reader are read"
    check_regular(path)
    try:
        return import_function(reader)(path, facts)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(f"broken ({_error_line(error)}): make it anew", path=path) from error


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
                f"broken ({name} is {array.shape} {array.dtype}, expected {shape} "
                f"{np.dtype(dtype)}): make it anew",
                path=path,
            )


def _stored_depth(stored: Stored, sidecar: Sidecar) -> DepthMap | None:
    """Depth map of the arrays, whose kind stands in the JSON; None without depth."""
    if stored.values is None or stored.valid is None:
        return None
    facts = sidecar.depth
    if stored.is_anchored and sidecar.anchored is not None:
        facts = sidecar.anchored
    if facts is None:
        raise InputError("its JSON does not say what its depth is")
    return DepthMap(values=stored.values, kind=facts.kind, valid=stored.valid)


def _stored_network_depth(stored: Stored) -> DepthMap | None:
    """Depth of the network alone, if a sensor's pixels stand in the depth map."""
    if stored.network_depth is None:
        return None
    values = stored.network_depth
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=~np.isnan(values))


def _stored_camera(stored: Stored, sidecar: Sidecar) -> Camera | None:
    """Camera in the JSON, or that of the array K if an npz file holds another one."""
    if sidecar.camera is None:
        return None
    return camera_with_K(camera_from_facts(sidecar.camera), stored.K)


def _stored_photo(stored: Stored, sidecar: Sidecar) -> Photo | None:
    """Photograph in an npz file, with its name in the JSON."""
    if stored.photo is None:
        return None
    return Photo(pixels=stored.photo, transparent=stored.transparent, name=sidecar.source.file)


def _error_line(error: BaseException) -> str:
    """Message of an error in one line of at most 200 characters."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:200]}..."
