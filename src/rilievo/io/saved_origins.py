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
from rilievo.io.checksums import content_fault, crc32_of_npz, crc32_of_numbers
from rilievo.io.files.archives import BROKEN_FILE, read_npz_arrays
from rilievo.io.files.atomic import sum_of
from rilievo.io.files.limits import MAX_PIXELS, MAX_TEXT_BYTES, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
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

GIVEN_MAP = "depth of "
"""Beginning of the model's name in a prediction that was made of a depth map."""
UNKNOWN_NETWORK = "unknown network"
"""Name of the model of a depth map that a network predicted, of which nothing says which one."""
_MAX_SEARCHED_RECORDS = 1000
"""Most JSON files of a folder in which the checksum of a renamed file is looked for."""
_MAX_ARRAY_BYTES = 4 * MAX_PIXELS + 2**10  # float32 of the largest photograph, and the header
_FINGERPRINT, _PREDICTIONS_FORMAT = "fingerprint.json", "rilievo-predictions/1"
_LABELS, _LABELS_FORMAT = "labels.json", "rilievo-labels/1"
_METRE = "metre"
"""Unit of labels in metres; another one is that of their clip."""
_MAX_FOLDERS_OF_ID = 4
"""Most folders between the record of an evaluation and the files of its images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOrigin:
    """Origin of a depth map by rilievo's record of it.

    Attributes:
        made_by: Model and settings; None where the record does not name them, as that of labels,
            whose depth may be a network's.
        instrument: Instrument that depth came from; None of a network's depth.
        calibration: Conversion of the network's depth to metres.
        anchoring: Fit of affine depth, for surfaces.
        camera: Camera with which the depth was saved.
        archive: npz file with all arrays of the same prediction, if it is there.
        photo: Name of the photograph; empty where the record does not name it.
        facts: What the record says of the file; None where it says nothing of single files.
        is_changed: Whether the file was changed since it was saved.
        contradiction: Name of the JSON beside the file if it states another camera or instrument
            than the record in the file; empty otherwise.
        place: Where the record stands, as notes name it.
    """

    made_by: MadeBy | None
    instrument: Instrument | None = None
    calibration: Calibration | None = None
    anchoring: Anchoring | None = None
    camera: Camera | None = None
    archive: Path | None = None
    photo: str = ""
    facts: FileFacts | None = None
    is_changed: bool = False
    contradiction: str = ""
    place: str

    @property
    def network(self) -> str:
        """Name of the network, in words."""
        if self.made_by is None or self.made_by.model == UNKNOWN_NETWORK:
            return "a network"
        return f"the network '{self.made_by.model}'"

    def of_file(self, path: Path, numbers: np.ndarray) -> "SavedOrigin":
        """Origin of a file with these numbers, which may have been changed since it was saved.

        So may have been the JSON beside it. The record in the file is used, if there is one.
        """
        if self.facts is None:
            return self
        listing = _find_listing(path)
        origin = self
        if listing is not None and not self._agrees_with(listing.sidecar):
            origin = replace(self, contradiction=listing.name)
        listed_facts = None if listing is None else listing.facts
        if _is_changed(path, numbers, self.facts, listed_facts):
            return origin.of_changed_file()
        return origin

    def _agrees_with(self, sidecar: Sidecar) -> bool:
        """Whether another record of the file states the same camera and instrument."""
        camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
        return sidecar.instrument == self.instrument and camera == self.camera

    def of_changed_file(self) -> "SavedOrigin":
        """Origin of a file that was changed since it was saved.

        Its network, calibration and sensor's pixels are not those of the record.
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

    def without_places(self) -> "SavedOrigin":
        """Origin without the places of known sizes, for a map that has other places."""
        if self.calibration is None:
            return self
        return replace(self, calibration=replace(self.calibration, asked=(), residuals=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRecord:
    """What the record of a folder says about all depth files in it.

    Attributes:
        kind: Kind of the depth; None if the record does not say it.
        camera: Camera of all files.
    """

    kind: DepthKind | None
    camera: Camera | None
    origin: SavedOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """JSON beside a file that lists it: its name, its content and what it says of the file."""

    name: str
    sidecar: Sidecar
    facts: FileFacts


def _find_listing(path: Path) -> _Listing | None:
    """JSON beside a file that lists it under its name; None without one."""
    for name in record_names(path):
        sidecar = find_sidecar(path.with_name(name))
        if sidecar is None:
            continue
        for facts in sidecar.files:
            if facts.file == path.name:
                return _Listing(name=printable(Path(name)), sidecar=sidecar, facts=facts)
    return None


def _is_changed(
    path: Path, numbers: np.ndarray, facts: FileFacts, listed_facts: FileFacts | None
) -> bool:
    """Whether a file differs from its checksum; False if none is recorded.

    Args:
        path: File.
        numbers: Its depth.
        facts: What the record in the file says of it.
        listed_facts: What the JSON beside it says of it, which has the checksum of older files.
    """
    if facts.output == "npz" and facts.crc32 is not None:
        return is_archive_changed(path, facts)
    if facts.crc32 is not None:
        return crc32_of_numbers(numbers) != facts.crc32
    written = facts.written_sum(path.name)
    if written is None and listed_facts is not None:
        written = listed_facts.written_sum(path.name)
    return written is not None and content_fault(path, written) is not None


def is_archive_changed(path: Path, facts: FileFacts) -> bool:
    """Whether the arrays about depth in an npz file differ from their checksum in its record."""
    if facts.crc32 is None:
        return False
    if not zipfile.is_zipfile(path):
        return True  # Another file has taken its name.
    with zipfile.ZipFile(path) as archive:
        return crc32_of_npz(archive) != facts.crc32


def origin_of_sidecar(
    sidecar: Sidecar, path: Path, place: str, facts: FileFacts
) -> SavedOrigin | None:
    """Origin of a file by its record and its facts; None if the record does not tell it.

    Records of rilievo 0.2 name no instrument for a prediction that was made of a depth map.
    """
    if sidecar.instrument is None and sidecar.made_by.model.startswith(GIVEN_MAP):
        return None
    return SavedOrigin(
        made_by=sidecar.made_by,
        instrument=sidecar.instrument,
        calibration=sidecar.calibration,
        anchoring=sidecar.anchoring,
        camera=None if sidecar.camera is None else camera_from_facts(sidecar.camera),
        archive=_archive_of(sidecar, path),
        photo=sidecar.source.file,
        facts=facts,
        place=place,
    )


def record_names(path: Path) -> tuple[str, ...]:
    """Names of a JSON that may stand beside a file, the longest first.

    Examples:
        >>> record_names(Path("out/room.1.depth.npy"))
        ('room.1.depth.npy.json', 'room.1.depth.json', 'room.1.json', 'room.json')
    """
    parts = path.name.split(".")
    return tuple(".".join(parts[:count]) + SUFFIX for count in range(len(parts), 0, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamedRecord:
    """A record of rilievo, its path, and what it says of a file that has another name now."""

    sidecar: Sidecar
    path: Path
    facts: FileFacts


def find_renamed_record(path: Path) -> RenamedRecord | None:
    """Record in the same folder that lists the content of a file under another name."""
    sha256 = ""
    for record_path in _records_in(path.parent):
        try:
            text = read_text(record_path)
            if FORMAT not in text[:200]:
                continue
            sha256 = sha256 or sum_of(path).sha256
            if sha256 not in text:
                continue
            sidecar = parse_sidecar(text, printable(record_path))
        except (RilievoError, OSError):
            continue
        for facts in sidecar.files:
            if sha256 == facts.sha256 or sha256 in _sums_of_frames(facts):
                return RenamedRecord(sidecar=sidecar, path=record_path, facts=facts)
    return None


def _records_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))[:_MAX_SEARCHED_RECORDS]


def _sums_of_frames(facts: FileFacts) -> set[str]:
    return {file_sum.sha256 for file_sum in (facts.frames or {}).values()}


def find_clip_record(path: Path) -> tuple[Sidecar, Path] | None:
    """Record, and its path, of a clip whose folder of frames holds a file; None without one."""
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
        if any(path.name in (facts.frames or {}) for facts in sidecar.files):
            return sidecar, record_path
    return None


def find_folder_record(path: Path) -> FolderRecord | None:
    """Record of an evaluation or of labels, in whose folder a depth file lies; None without one."""
    labels = _read_head(_LabelsHead, path.with_name(_LABELS))
    if labels is not None and labels.format == _LABELS_FORMAT and path.stem in labels.names:
        return _folder_record_of_labels(labels)
    for folder in [*path.absolute().parents][:_MAX_FOLDERS_OF_ID]:
        fingerprint = _read_head(_FingerprintHead, folder / _FINGERPRINT)
        if fingerprint is not None and fingerprint.format == _PREDICTIONS_FORMAT:
            return _folder_record_of_predictions(fingerprint)
    return None


def camera_with_K(recorded: Camera, K: np.ndarray | None) -> Camera:
    """Camera of a record, or that of the array K beside it in an npz file, if they differ."""
    if K is None or K.shape != (3, 3):
        return recorded
    lens = recorded.lens
    if isinstance(lens, Pinhole) and np.allclose(lens.K, K, atol=0):
        return recorded
    return Camera(K=K.astype(np.float64))


def read_saved_arrays(
    archive: Path, names: Sequence[str] = ("measured", "confidence", "sky")
) -> Mapping[str, np.ndarray]:
    """Those of the named arrays that an npz file holds; empty if it is broken."""
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
        """Origin of all predictions of the evaluation."""
        return MadeBy(**{field.name: getattr(self, field.name) for field in fields(MadeBy)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabelsHead:
    """Part of the record of labels, as ``rilievo fuse --teach`` writes it."""

    format: str
    unit: str
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]


_Head = TypeVar("_Head", _FingerprintHead, _LabelsHead)


def _read_head(kind: type[_Head], path: Path) -> _Head | None:
    """Record of a file; None if there is none, or it is of another program."""
    if not path.is_file():
        return None
    try:
        return from_json(kind, read_text(path))
    except (RilievoError, NotThisRecord, OSError):
        return None


def _folder_record_of_labels(labels: _LabelsHead) -> FolderRecord:
    fx, fy, cx, cy = labels.camera
    camera = Camera(K=pinhole_K(fx, fy, cx, cy))
    is_metric = labels.unit == _METRE
    return FolderRecord(
        kind=DepthKind.METRIC if is_metric else DepthKind.UP_TO_SCALE,
        camera=camera,
        origin=SavedOrigin(made_by=None, camera=camera, place=f"{_LABELS} beside it"),
    )


def _folder_record_of_predictions(fingerprint: _FingerprintHead) -> FolderRecord:
    origin = SavedOrigin(made_by=fingerprint.made_by, place=f"{_FINGERPRINT} of its folder")
    return FolderRecord(kind=fingerprint.kind, camera=None, origin=origin)


def _archive_of(sidecar: Sidecar, path: Path) -> Path | None:
    """Find the npz file of the same prediction: the file, one in its record, or of its stem."""
    listed = [path.with_name(facts.file) for facts in sidecar.files if facts.output == "npz"]
    stems = [name.removesuffix(SUFFIX) for name in record_names(path)]
    with_its_stem = [path.with_name(f"{stem}.npz") for stem in stems]
    for archive in dict.fromkeys((path, *listed, *with_its_stem)):
        if archive.is_file() and _is_of_same_prediction(archive, sidecar):
            return archive
    return None


def _is_of_same_prediction(archive: Path, sidecar: Sidecar) -> bool:
    """Whether an npz file was saved with a sidecar, and not changed since then."""
    try:
        stored = _sidecar_in_archive(archive)
        if stored is None or any(is_archive_changed(archive, facts) for facts in stored.files):
            return False
    except (InputError, *BROKEN_FILE):
        return False
    names = ("source", "made_by", "depth", "instrument", "calibration")
    return all(getattr(stored, name) == getattr(sidecar, name) for name in names)


def _sidecar_in_archive(archive: Path) -> Sidecar | None:
    """Content of the sidecar that an npz file holds; None if it holds none."""
    with archive.open("rb") as file:
        if file.read(2) != b"PK":
            return None
        about = read_npz_arrays(file, ("about",), most_bytes=MAX_TEXT_BYTES).get("about")
    return None if about is None else parse_sidecar(str(about.item()), printable(archive))
