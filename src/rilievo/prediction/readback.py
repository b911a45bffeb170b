"""Read predictions from the files that ``save`` wrote."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from rilievo.prediction.output_record import Surface, import_function
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_PICTURE_SUFFIXES = (".png", ".webp")


class NoArraysError(InputError):
    """Error of files without arrays."""

    def __init__(self, path: Path, folder: Path, sidecar: Sidecar) -> None:
        there: list[str] = []
        missing: list[str] = []
        for facts in sidecar.files:
            (there if os.path.exists(folder / facts.file) else missing).append(facts.file)
        pairs = (("it has", there), ("there should be", missing))
        words = "; ".join(f"{words} {', '.join(names)}" for words, names in pairs if names)
        super().__init__(
            f"{path}: no file of this prediction contains depth or normals as arrays ({words}): "
            "save npz or png16 too"
        )
        self.made_by = sidecar.made_by


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredFiles:
    folder: Path
    sidecar: Sidecar
    named: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _VideoHead:
    video: _Video


def read_prediction(path: str | Path) -> Prediction:
    """Read a prediction, whole from an npz, else from the named or most exact files.

    Examples:
        >>> _ = rilievo.predict("photo.jpg", model="rilievo/small").save("out/photo", "npz")
        >>> rilievo.read_prediction("out/photo.npz").shape
        (48, 64)

    Args:
        path: Stem given to ``save``, the JSON, or any file.

    Warns:
        UserWarning: If a file was changed since it was saved. The error and the calibration of its
            record are then not those of the prediction.

    Raises:
        InputError: If a file is broken, not rilievo's or of a video, or holds no values.
        MissingExtraError: If a package is not installed.
    """
    path = Path(path)
    files = _find_files(path)
    stored, changed = _read_files(files)
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
    if not changed:
        return prediction
    prediction = _of_changed_file(prediction, sidecar, changed[0])
    warnings.warn(prediction.notes[-1], UserWarning, stacklevel=2)
    return prediction


def existing_pictures(path: Path) -> dict[Path, FileFacts]:
    """Facts about a prediction's PNG and WebP files that exist, by path."""
    files = _find_files(path)
    paths = {files.folder / facts.file: facts for facts in files.sidecar.files}
    return {
        path: facts
        for path, facts in paths.items()
        if path.suffix in _PICTURE_SUFFIXES and os.path.exists(path)
    }


def _find_files(path: Path) -> _StoredFiles:
    if path.name.endswith(SUFFIX):
        return _StoredFiles(folder=path.parent, sidecar=_read_photo_sidecar(path, path))
    if not path.is_file():
        beside = sidecar_path(path)
        if not beside.is_file():
            raise MissingFileError("there is no such file, and no JSON beside it", path=path)
        return _StoredFiles(folder=path.parent, sidecar=_read_photo_sidecar(beside, path))
    for output in OUTPUTS.values():
        if path.name.endswith(output.suffix):
            beside = sidecar_path(path.with_name(path.name.removesuffix(output.suffix)))
            if beside.is_file():
                sidecar = read_sidecar(beside)
                if any(facts.file == path.name for facts in sidecar.files):
                    return _StoredFiles(folder=path.parent, sidecar=sidecar, named=path.name)
            if output.embedded:
                return _read_embedded_sidecar(path, output.embedded)
    raise InputError("no JSON file of rilievo lists it", path=path)


def _read_photo_sidecar(json: Path, named: Path) -> Sidecar:
    sidecar = read_sidecar(json)
    if _is_video_sidecar(json):
        raise InputError(
            (
                "belongs to the results of a video, which are not a "
                "single prediction: docs/videos.md ('Numbers of a video') shows "
                "how to read them"
            ),
            path=named,
        )
    return sidecar


def _is_video_sidecar(json: Path) -> bool:
    try:
        from_json(_VideoHead, read_text(json))
    except (InputError, NotThisRecord):
        return False
    return True


def _read_embedded_sidecar(path: Path, embedded: str | Callable[..., Any]) -> _StoredFiles:
    try:
        text = import_function(embedded)(path)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(
            f"not a file of rilievo, or broken ({_error_line(error)})", path=path
        ) from error
    sidecar = parse_sidecar(text, printable(path))
    # The file may have been renamed.
    files = tuple(replace(facts, file=path.name) for facts in sidecar.files)
    return _StoredFiles(folder=path.parent, sidecar=replace(sidecar, files=files))


def _read_files(files: _StoredFiles) -> tuple[Stored, list[str]]:
    """Arrays of the most exact files, and names of those files that were changed."""
    order = list(OUTPUTS)
    readable = [
        facts
        for facts in files.sidecar.files
        if facts.output in OUTPUTS and OUTPUTS[facts.output].reader
    ]
    readable.sort(
        key=lambda facts: (
            facts.file != files.named,
            OUTPUTS[facts.output].surface is not Surface.NO,
            not OUTPUTS[facts.output].exact,
            order.index(facts.output),
        )
    )
    have, changed = Stored(), list[str]()
    for facts in readable:
        path = files.folder / facts.file
        # Unlike Path.exists, this takes a name that the system refuses, such as a long one, as
        # missing.
        if os.path.exists(path) and any(have.lacks(part) for part in OUTPUTS[facts.output].gives):
            stored = _read_file(path, facts)
            _check_arrays(path, stored, files.sidecar.source)
            if stored.values is not None and _is_changed(path, facts):
                changed.append(facts.file)
            if stored.values is not None and OUTPUTS[facts.output].surface is Surface.YES:
                stored = replace(stored, is_anchored=True)
            have = have.fill_from(stored)
    return have, changed


def _is_changed(path: Path, facts: FileFacts) -> bool:
    """Whether the depth in a file differs from what was written.

    Another program may have compressed the file anew, or added arrays to an npz file.
    """
    if facts.output == "npz" and facts.crc32 is not None:
        return is_archive_changed(path, facts)
    written = facts.written_sum(path.name)
    if written is None or content_fault(path, written) is None:
        return False
    return facts.crc32 is None or crc32_of_numbers(read_numbers(path)) != facts.crc32


def _of_changed_file(prediction: Prediction, sidecar: Sidecar, file: str) -> Prediction:
    """Prediction without what its record says of the error; the last note tells it."""
    recorded = SavedOrigin(made_by=None, instrument=sidecar.instrument, place=file)
    origin = find_map_origin(recorded.of_changed_file(), None)
    return prediction.but(
        instrument=origin.with_doubts(()),
        measured=None,
        calibration=None,
        anchoring=None,
        notes=(*prediction.notes, *origin.warnings),
    )


def _read_file(path: Path, facts: FileFacts) -> Stored:
    reader = OUTPUTS[facts.output].reader
    assert reader is not None, "only readable files come here"
    check_regular(path)
    try:
        return import_function(reader)(path, facts)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(f"broken ({_error_line(error)}): make it anew", path=path) from error


def _check_arrays(path: Path, stored: Stored, source: SourceFacts) -> None:
    size = (source.height, source.width)
    for name, array, shape, kind in (
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
        if array is not None and (array.shape != shape or array.dtype != kind):
            raise InputError(
                (
                    f"broken ({name} is {array.shape} {array.dtype}, expected "
                    f"{shape} {np.dtype(kind)}): make it anew"
                ),
                path=path,
            )


def _stored_depth(stored: Stored, sidecar: Sidecar) -> DepthMap | None:
    if stored.values is None or stored.valid is None:
        return None
    facts = (sidecar.anchored if stored.is_anchored else None) or sidecar.depth
    if facts is None:
        raise InputError("its JSON does not say what its depth is")
    return DepthMap(values=stored.values, kind=facts.kind, valid=stored.valid)


def _stored_network_depth(stored: Stored) -> DepthMap | None:
    if stored.network_depth is None:
        return None
    values = stored.network_depth
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=~np.isnan(values))


def _stored_camera(stored: Stored, sidecar: Sidecar) -> Camera | None:
    if sidecar.camera is None:
        return None
    return camera_with_K(camera_from_facts(sidecar.camera), stored.K)


def _stored_photo(stored: Stored, sidecar: Sidecar) -> Photo | None:
    if stored.photo is None:
        return None
    return Photo(pixels=stored.photo, transparent=stored.transparent, name=sidecar.source.file)


def _error_line(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:200]}..."
