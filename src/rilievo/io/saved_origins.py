"""Records that rilievo wrote with a depth map, and what they say about the origin of its depth.

A record stands in the file, in a JSON beside it, beside the folder of a clip's frames, or in the
folder of an evaluation or of labels. A file that was renamed within its folder is found by its
checksum.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.checksums import compute_file_sum, content_fault, npz_crc32, numbers_crc32
from rilievo.io.files.archives import BROKEN_FILE, read_npz_arrays
from rilievo.io.files.limits import MAX_PIXELS, MAX_TEXT_BYTES, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.io.outputs.sidecar import (
    FORMAT,
    SUFFIX,
    FileFacts,
    Sidecar,
    camera_from_facts,
    find_sidecar,
    parse_sidecar,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthSource, Instrument
from rilievo.records.prediction_record import Anchoring, Calibration, MadeBy

DEPTH_MAP_MODEL = "depth of "
"""Beginning of the model's name in a prediction that was made of a depth map."""
UNKNOWN_NETWORK = "unknown network"
"""Name of the model of a depth map that a network predicted, if nothing says which network."""
_MAX_SEARCHED_RECORDS = 1000
"""Most JSON files of a folder that are searched for the checksum of a renamed file."""
_MAX_ARRAY_BYTES = 4 * MAX_PIXELS + 2**10  # float32 of the largest photograph, and the header
_FINGERPRINT, _PREDICTIONS_FORMAT = "fingerprint.json", "rilievo-predictions/1"
_LABELS, _LABELS_FORMAT = "labels.json", "rilievo-labels/1"
_METRE = "metre"
"""Unit of labels in metres; any other unit is the clip's own."""
_MAX_FOLDERS_OF_ID = 4
"""Most folders between the record of an evaluation and the files of its images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOrigin:
    """Where a saved depth map came from, according to rilievo's record of it.

    Attributes:
        made_by: Model and settings; None if the record does not name them. The record of labels
            does not, although a network may have predicted their depth.
        instrument: Instrument that measured the depth; None if a network predicted it.
        archive: npz file with all arrays of the same prediction; None if it is not found.
        photo: Name of the photograph; empty if the record does not name it.
        file_facts: What the record states about the file; None if it does not list single files.
        contradiction: Name of the JSON beside the file if it states another camera or instrument
            than the record in the file; empty otherwise.
        record_location: Where the record was found, in words for notes.
    """

    made_by: MadeBy | None
    instrument: Instrument | None = None
    calibration: Calibration | None = None
    anchoring: Anchoring | None = None
    camera: Camera | None = None
    archive: Path | None = None
    photo: str = ""
    file_facts: FileFacts | None = None
    is_changed: bool = False
    contradiction: str = ""
    record_location: str

    @property
    def network(self) -> str:
        """Name of the network, in words."""
        if self.made_by is None or self.made_by.model == UNKNOWN_NETWORK:
            return "a network"
        return f"the network '{self.made_by.model}'"

    def checked_against_file(self, path: Path, numbers: np.ndarray) -> "SavedOrigin":
        """Return the origin without what later changes of the file have made untrue.

        The file now stores ``numbers``. Another program may have changed it, or the JSON beside it.
        If both the file and the JSON have a record, the one in the file is used.
        """
        if self.file_facts is None:
            return self
        record = _find_record_beside(path)
        origin = self
        if record is not None and not self._agrees_with(record.sidecar):
            origin = replace(self, contradiction=printable(Path(record.path.name)))
        listed_facts = None if record is None else record.file_facts
        if _is_changed(path, numbers, self.file_facts, listed_facts):
            return origin.without_outdated_entries()
        return origin

    def _agrees_with(self, sidecar: Sidecar) -> bool:
        """Whether another record of the file states the same camera and instrument."""
        camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
        return sidecar.instrument == self.instrument and camera == self.camera

    def without_outdated_entries(self) -> "SavedOrigin":
        """Return the origin of a changed file, without its network, calibration and sensor pixels.

        A sensor that measured the whole map is kept.
        """
        instrument = self.instrument
        is_whole_map = instrument is not None and instrument.source is DepthSource.DEPTH_MAP
        return replace(
            self,
            made_by=None,
            instrument=instrument if is_whole_map else None,
            calibration=None,
            anchoring=None,
            is_changed=True,
        )

    def without_known_sizes(self) -> "SavedOrigin":
        """Return the origin without the pixels of known sizes, for a map that has other pixels."""
        if self.calibration is None:
            return self
        return replace(self, calibration=replace(self.calibration, asked=(), residuals=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRecord:
    """What the record of a folder states about all depth files in it.

    Attributes:
        kind: Kind of the depth; None if the record does not state it.
    """

    kind: DepthKind | None
    origin: SavedOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A record of rilievo that lists a depth file.

    Attributes:
        path: Path of the record.
        sidecar: Content of the record.
        file_facts: Its entry for the file.
    """

    path: Path
    sidecar: Sidecar
    file_facts: FileFacts


def _find_record_beside(path: Path) -> ListedFile | None:
    """Find the JSON beside a file that lists it under its name; None if there is none."""
    for name in record_names(path):
        record_path = path.with_name(name)
        sidecar = find_sidecar(record_path)
        if sidecar is None:
            continue
        for file_facts in sidecar.files:
            if file_facts.file == path.name:
                return ListedFile(path=record_path, sidecar=sidecar, file_facts=file_facts)
    return None


def _is_changed(
    path: Path, numbers: np.ndarray, own_facts: FileFacts, listed_facts: FileFacts | None
) -> bool:
    """Whether a file differs from its checksum; False if no checksum is recorded.

    ``own_facts`` come from the record in the file, and ``listed_facts`` from the JSON beside it.
    Files of older versions have their checksum only there.
    """
    if own_facts.output == "npz" and own_facts.crc32 is not None:
        return is_archive_changed(path, own_facts)
    if own_facts.crc32 is not None:
        return numbers_crc32(numbers) != own_facts.crc32
    recorded_sum = own_facts.file_sum_of(path.name)
    if recorded_sum is None and listed_facts is not None:
        recorded_sum = listed_facts.file_sum_of(path.name)
    return recorded_sum is not None and content_fault(path, recorded_sum) is not None


def is_archive_changed(path: Path, file_facts: FileFacts) -> bool:
    """Whether the arrays about depth in an npz file differ from their checksum in its record."""
    if file_facts.crc32 is None:
        return False
    if not zipfile.is_zipfile(path):
        return True  # Another file has taken its name.
    with zipfile.ZipFile(path) as archive:
        return npz_crc32(archive) != file_facts.crc32


def origin_from_sidecar(
    sidecar: Sidecar, path: Path, record_location: str, file_facts: FileFacts
) -> SavedOrigin | None:
    """Read the origin of a file from its record; None if the record does not state it.

    Records of rilievo 0.2 name no instrument for a prediction that was made from a depth map.
    ``record_location`` says in words for notes where the record was found.
    """
    if sidecar.instrument is None and sidecar.made_by.model.startswith(DEPTH_MAP_MODEL):
        return None
    return SavedOrigin(
        made_by=sidecar.made_by,
        instrument=sidecar.instrument,
        calibration=sidecar.calibration,
        anchoring=sidecar.anchoring,
        camera=None if sidecar.camera is None else camera_from_facts(sidecar.camera),
        archive=_find_archive(sidecar, path),
        photo=sidecar.source.file,
        file_facts=file_facts,
        record_location=record_location,
    )


def record_names(path: Path) -> tuple[str, ...]:
    """Names that the JSON beside a file may have, the longest first.

    Examples:
        >>> record_names(Path("out/room.1.depth.npy"))
        ('room.1.depth.npy.json', 'room.1.depth.json', 'room.1.json', 'room.json')
    """
    parts = path.name.split(".")
    return tuple(".".join(parts[:count]) + SUFFIX for count in range(len(parts), 0, -1))


def find_renamed_record(path: Path) -> ListedFile | None:
    """Find the record in the same folder that lists the content of a file under another name.

    Returns None if no record has the checksum of the file.
    """
    file_sha256: str | None = None
    for record_path in sorted(path.parent.glob(f"*{SUFFIX}"))[:_MAX_SEARCHED_RECORDS]:
        try:
            text = read_text(record_path)
            if FORMAT not in text[:200]:
                continue
            if file_sha256 is None:
                # The file may be large, so its checksum is computed only if there is a record.
                file_sha256 = compute_file_sum(path).sha256
            if file_sha256 not in text:
                continue
            sidecar = parse_sidecar(text, printable(record_path))
        except (RilievoError, OSError):
            continue
        for file_facts in sidecar.files:
            if file_sha256 in _listed_sha256(file_facts):
                return ListedFile(path=record_path, sidecar=sidecar, file_facts=file_facts)
    return None


def _listed_sha256(file_facts: FileFacts) -> set[str | None]:
    """Collect the SHA-256 of a listed file, and of the frames if it is a folder of frames."""
    frame_sums = (file_facts.frames or {}).values()
    return {file_facts.sha256, *(frame_sum.sha256 for frame_sum in frame_sums)}


def find_clip_record(path: Path) -> ListedFile | None:
    """Find the record of the clip to whose frames a file belongs, beside the folder of the frames.

    Returns None if there is none.
    """
    folder = path.absolute().parent
    if not folder.name:
        return None  # The root of a disk has no record beside it.
    for name in record_names(folder):
        record_path = folder.with_name(name)
        if not record_path.is_file():
            continue
        try:
            sidecar = parse_sidecar(read_text(record_path), printable(record_path))
        except InputError:
            continue
        for file_facts in sidecar.files:
            if path.name in (file_facts.frames or {}):
                return ListedFile(path=record_path, sidecar=sidecar, file_facts=file_facts)
    return None


def find_folder_record(path: Path) -> FolderRecord | None:
    """Find the record of the labels or evaluation whose folder holds a depth file, or None."""
    labels = _read_folder_json(_LabelsHead, path.with_name(_LABELS))
    if labels is not None and labels.format == _LABELS_FORMAT and path.stem in labels.names:
        return _labels_folder_record(labels)
    for folder in [*path.absolute().parents][:_MAX_FOLDERS_OF_ID]:
        fingerprint = _read_folder_json(_FingerprintHead, folder / _FINGERPRINT)
        if fingerprint is not None and fingerprint.format == _PREDICTIONS_FORMAT:
            return _predictions_folder_record(fingerprint)
    return None


def camera_with_K(recorded: Camera, K: np.ndarray | None) -> Camera:
    """Return the recorded camera, or one made from the array K in an npz file if they differ."""
    if K is None or K.shape != (3, 3):
        return recorded
    lens = recorded.lens
    if isinstance(lens, Pinhole) and np.allclose(lens.K, K, atol=0):
        return recorded
    return Camera(K=K.astype(np.float64))


def read_saved_arrays(
    archive: Path, names: Sequence[str] = ("measured", "confidence", "sky")
) -> Mapping[str, np.ndarray]:
    """Read those of the named arrays that an npz file holds; none if the file is broken."""
    try:
        with archive.open("rb") as file:
            return read_npz_arrays(file, names, most_bytes=_MAX_ARRAY_BYTES)
    except BROKEN_FILE:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _FingerprintHead(MadeBy):
    """Part of the record of an evaluation's predictions, as ``rilievo.evaluation`` writes it."""

    format: str
    kind: DepthKind | None = None

    @property
    def made_by(self) -> MadeBy:
        """Model and settings of all predictions of the evaluation."""
        return MadeBy(**{field.name: getattr(self, field.name) for field in fields(MadeBy)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabelsHead:
    """Part of the record of labels, as ``rilievo fuse --teach`` writes it."""

    format: str
    unit: str
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]


_Head = TypeVar("_Head", _FingerprintHead, _LabelsHead)


def _read_folder_json(head_type: type[_Head], path: Path) -> _Head | None:
    """Read the record of a folder; None if there is none, or if another program wrote the file."""
    if not path.is_file():
        return None
    try:
        return from_json(head_type, read_text(path))
    except (RilievoError, InvalidRecordError, OSError):
        return None


def _labels_folder_record(labels: _LabelsHead) -> FolderRecord:
    fx, fy, cx, cy = labels.camera
    camera = Camera(K=pinhole_K(fx, fy, cx, cy))
    is_metric = labels.unit == _METRE
    return FolderRecord(
        kind=DepthKind.METRIC if is_metric else DepthKind.UP_TO_SCALE,
        origin=SavedOrigin(made_by=None, camera=camera, record_location=f"{_LABELS} beside it"),
    )


def _predictions_folder_record(fingerprint: _FingerprintHead) -> FolderRecord:
    origin = SavedOrigin(
        made_by=fingerprint.made_by, record_location=f"{_FINGERPRINT} of its folder"
    )
    return FolderRecord(kind=fingerprint.kind, origin=origin)


def _find_archive(sidecar: Sidecar, path: Path) -> Path | None:
    """Find the npz file of the same prediction; None if there is none.

    It may be the file itself, a file that the record lists, or one with the same stem.
    """
    listed = [path.with_name(entry.file) for entry in sidecar.files if entry.output == "npz"]
    stems = [name.removesuffix(SUFFIX) for name in record_names(path)]
    with_same_stem = [path.with_name(f"{stem}.npz") for stem in stems]
    for archive in dict.fromkeys((path, *listed, *with_same_stem)):
        if archive.is_file() and _has_same_prediction(archive, sidecar):
            return archive
    return None


def _has_same_prediction(archive: Path, sidecar: Sidecar) -> bool:
    """Whether an npz file belongs to the prediction of a sidecar, and was not changed since."""
    try:
        embedded = _sidecar_in_archive(archive)
        if embedded is None:
            return False
        if any(is_archive_changed(archive, file_facts) for file_facts in embedded.files):
            return False
    except (InputError, *BROKEN_FILE):
        return False
    names = ("source", "made_by", "depth", "instrument", "calibration")
    return all(getattr(embedded, name) == getattr(sidecar, name) for name in names)


def _sidecar_in_archive(archive: Path) -> Sidecar | None:
    """Read the sidecar that an npz file holds; None if it holds none."""
    with archive.open("rb") as file:
        if file.read(2) != b"PK":  # how every zip file begins
            return None
        about = read_npz_arrays(file, ("about",), most_bytes=MAX_TEXT_BYTES).get("about")
    return None if about is None else parse_sidecar(str(about.item()), printable(archive))
