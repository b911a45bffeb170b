"""The JSON file beside the results of one photograph."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import read_spelling, spelling_of
from rilievo.io.files.atomic import FileSum
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import Instrument
from rilievo.records.prediction_record import (
    Anchoring,
    Calibration,
    MadeBy,
    PredictionRecord,
    Setting,
)

FORMAT = "rilievo/1"

_ARBITRARY = "arbitrary"
"""Unit of depth that is not in metres."""

OUR_AXES = "x right, y down, z forward (OpenCV); towards the camera: a wall head-on is (0, 0, -1)"
UNITS = {DepthKind.METRIC: "metre"}
"""Unit of each kind that has one."""
MEANINGS = {
    DepthKind.METRIC: "depth along the optical axis in metres",
    DepthKind.UP_TO_SCALE: "depth along the optical axis times one unknown positive factor",
    DepthKind.AFFINE: "depth along the optical axis times an unknown positive factor, plus an "
    "unknown shift",
    DepthKind.AFFINE_INVERSE: "1/depth times an unknown positive factor, plus an unknown shift: "
    "large is near",
}

SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """Photograph of a result: its name, and its size [px]."""

    file: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFacts:
    """Kind, unit and range of valid depth."""

    kind: DepthKind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    valid_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """Camera; K [px] counts from the centre of the top-left pixel, fields are in degrees."""

    K: (
        tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
        | None
    ) = None
    source: CameraSource
    horizontal_fov: float
    vertical_fov: float
    lens: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourFacts:
    """Colours of a depth picture.

    Attributes:
        map: Name of the colour map.
        draws: What is drawn: depth, 1/depth, the values, or their negatives.
        low: Value of the first colour.
        high: Value of the last colour.
        invalid: Colour of pixels without depth.
        sky: Colour of the sky; None where none is coloured.
    """

    map: str
    draws: str
    low: float
    high: float
    invalid: tuple[int, int, int]
    sky: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceFacts:
    """Settings and size of a surface.

    Attributes:
        pixel_step: Step between pixels that became points.
        behind: Number of last triangles, which fill tears and continue behind near surfaces.
        edge_jump: Relative jump in depth at a cut.
        specks: Share of points of left-out patches and closed holes.
        sky: Share of pixels left out as sky.
        backing: Share of the width of continued far surfaces.
    """

    pixel_step: int
    points: int
    triangles: int | None = None
    behind: int | None = None
    edge_jump: float
    grazing_degrees: float
    texture_width: int | None = None
    specks: float | None = None
    dropped: str | None = None
    sky: float | None = None
    backing: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """Description of one file: value = stored * scale + offset, in ``unit``.

    Attributes:
        output: Name in ``OUTPUTS``.
        holds: Content in words.
        invalid: Stored value of invalid pixels, or "nan".
        sky: Share of sky, in a file of its mask.
        bytes: Size; None in the copy inside the file.
        crc32: CRC-32 of the depth's stored numbers, and of all arrays about depth in npz files.
            Unlike the sums, it stands in the copy of this description inside the file, too.
        frames: Files of a folder by name.
    """

    file: str
    output: str
    holds: str
    unit: str | None = None
    scale: float | None = None
    offset: float | None = None
    invalid: int | str | None = None
    axes: str | None = None
    colour: ColourFacts | None = None
    surface: SurfaceFacts | None = None
    sky: float | None = None
    options: Mapping[str, Setting] | None = None
    bytes: int | None = None
    sha256: str | None = None
    crc32: int | None = None
    frames: Mapping[str, FileSum] | None = None

    @property
    def sums(self) -> Mapping[str, FileSum] | None:
        """Size and SHA-256 by path relative to the JSON; None where unknown."""
        if self.frames is not None:
            return {f"{self.file}/{name}": file_sum for name, file_sum in self.frames.items()}
        file_sum = self.written_sum(self.file)
        return None if file_sum is None else {self.file: file_sum}

    def written_sum(self, name: str) -> FileSum | None:
        """Size and SHA-256 of the file, or of the frame of this name; None where unknown."""
        if self.frames is not None:
            return self.frames.get(name)
        if self.bytes is None or self.sha256 is None:
            return None
        return FileSum(bytes=self.bytes, sha256=self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """Content of the JSON file: everything needed to read the results.

    Attributes:
        depth: Depth as the model gives it, or in metres.
        instrument: Instrument that ``depth`` came from; None of a network's.
        anchored: Depth of surfaces and normals, unless ``depth``.
        run: Other options, by which a repeated run is recognised.
        earlier: Files of earlier runs that it does not describe.
    """

    format: str = FORMAT
    source: SourceFacts
    depth: DepthFacts | None = None
    normals: str | None = None
    camera: CameraFacts | None = None
    calibration: Calibration | None = None
    instrument: Instrument | None = None
    anchored: DepthFacts | None = None
    anchoring: Anchoring | None = None
    made_by: MadeBy
    run: Mapping[str, Setting] = field(default_factory=dict)
    files: tuple[FileFacts, ...] = ()
    earlier: tuple[str, ...] = ()
    notes: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of described files."""
        return tuple(facts.file for facts in self.files)

    def embedded_json(self, facts: FileFacts) -> str:
        """One-line JSON about one file, to embed in it."""
        return to_json(replace(self, files=(facts,), earlier=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What is read first of a JSON."""

    format: str


def sidecar_path(stem: Path) -> Path:
    """Path of the JSON file."""
    return stem.with_name(stem.name + SUFFIX)


def make_sidecar(
    prediction: PredictionRecord,
    *,
    run: Mapping[str, Setting] | None = None,
    anchored: PredictionRecord | None = None,
) -> Sidecar:
    """Make the sidecar of a prediction, before any file is written.

    Args:
        prediction: What is saved.
        run: Other options, by which a repeated run is recognised.
        anchored: Prediction that surfaces are made of, if that is another one.
    """
    height, width = prediction.shape
    photo, camera, made_by = prediction.photo, prediction.camera, prediction.made_by
    return Sidecar(
        source=SourceFacts(
            file=Path(photo.name).name if photo else "array", width=width, height=height
        ),
        depth=None if prediction.depth_or_none is None else _depth_facts(prediction.depth),
        normals=OUR_AXES if (anchored or prediction).has("normals") else None,
        camera=None if camera is None else camera_facts(camera, (height, width)),
        calibration=prediction.calibration,
        instrument=_instrument_to_save(prediction.instrument),
        anchored=None if anchored is None else _depth_facts(anchored.depth),
        anchoring=prediction.anchoring if prediction.is_computed("anchoring") else None,
        made_by=replace(made_by, settings=dict(made_by.settings)),
        run=dict(run or {}),
        notes=prediction.notes or None,
    )


def _instrument_to_save(instrument: Instrument | None) -> Instrument | None:
    """Instrument whose doubts have no hints, which name options of this run."""
    if instrument is None or not instrument.doubts:
        return instrument
    problems = (doubt.problem if isinstance(doubt, Note) else doubt for doubt in instrument.doubts)
    return replace(instrument, doubts=tuple(map(str, problems)))


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the JSON; ``replacing`` makes it atomic."""
    path.write_text(to_json(sidecar, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file.

    Raises:
        InputError: If it is none that this rilievo reads.
    """
    return parse_sidecar(read_text(path), printable(path))


def find_sidecar(path: Path) -> Sidecar | None:
    """Read the JSON file, or return None where that fails."""
    try:
        return read_sidecar(path) if path.exists() else None
    except (InputError, OSError):
        return None


def parse_sidecar(text: str, name: str) -> Sidecar:
    """Parse a sidecar; errors call it ``name``.

    Raises:
        InputError: If it is none that this rilievo reads, or names files outside of its folder.
    """
    try:
        file_format = from_json(_Head, text).format
        if file_format != FORMAT:
            raise InputError(
                f"its format is {file_format!r}, but this rilievo reads "
                f"'{FORMAT}': use the version that wrote it",
                path=name,
            )
        sidecar = from_json(Sidecar, text)
    except NotThisRecord as error:
        raise InputError(f"not a JSON that rilievo wrote: {error}", path=name) from error
    for file in (*sidecar.names, *sidecar.earlier):
        if file in ("", ".", "..") or any(mark in file for mark in "/\\\0"):
            raise InputError(f"'{file}' is not the name of a file in its folder", path=name)
    return sidecar


def camera_from_facts(facts: CameraFacts) -> Camera:
    """Make the camera that facts describe.

    Raises:
        InputError: If they describe none.
    """
    if facts.K is not None:
        return Camera(K=np.array(facts.K, np.float64), source=facts.source)
    try:
        lens = read_spelling(facts.lens or "", "lens").lens((2, 2))
    except OptionError as error:
        raise InputError("the camera in its JSON is none:", problem=Text(error)) from error
    return Camera(lens=lens, source=facts.source)


def _depth_facts(depth: DepthMap) -> DepthFacts:
    valid_pixels = int(np.count_nonzero(depth.valid))
    inside = depth.values if valid_pixels == depth.values.size else depth.values[depth.valid]
    return DepthFacts(
        kind=depth.kind,
        unit=UNITS.get(depth.kind, _ARBITRARY),
        meaning=_depth_meaning(depth.kind, is_distance=depth.is_distance),
        minimum=float(inside.min()) if valid_pixels else None,
        maximum=float(inside.max()) if valid_pixels else None,
        valid_pixels=valid_pixels,
    )


def _depth_meaning(kind: DepthKind, *, is_distance: bool) -> str:
    words = MEANINGS[kind]
    if is_distance:
        words = words.replace("depth along the optical axis", "distance along the ray")
        words = words.replace("1/depth", "1/distance")
    return words


def camera_facts(camera: Camera, size: tuple[int, int]) -> CameraFacts:
    """Describe a camera for pictures of (height, width)."""
    lens = camera.lens
    if not isinstance(lens, Pinhole):
        return CameraFacts(
            lens=str(spelling_of(lens)),
            source=camera.source,
            horizontal_fov=round(lens.field_of_view(size), 9),
            vertical_fov=round(lens.field_of_view_down(size), 9),
        )
    height, width = size
    K = lens.K.tolist()
    (fx, _, cx), (_, fy, cy), _ = K
    return CameraFacts(
        K=(tuple(K[0]), tuple(K[1]), tuple(K[2])),
        source=camera.source,
        # Rounded, so that it is 55, not 54.99999999999999.
        horizontal_fov=round(_degrees_between_edges(fx, cx, width), 9),
        vertical_fov=round(_degrees_between_edges(fy, cy, height), 9),
    )


def _degrees_between_edges(focal: float, centre: float, side: int) -> float:
    """Angle between the rays through the outer edges, half a pixel beyond the outer centres."""
    before = math.atan((centre + 0.5) / focal)
    after = math.atan((side - 0.5 - centre) / focal)
    return math.degrees(before + after)
