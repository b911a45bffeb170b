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
from rilievo.geometry.cameras.spelling import read_spelling, spell_lens
from rilievo.io.checksums import FileSum
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
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

OUR_AXES = (
    "x right, y down, z forward (OpenCV); normals point towards the camera: that of a wall seen "
    "head-on is (0, 0, -1)"
)
UNITS = {DepthKind.METRIC: "metre"}
"""Unit of each kind that has one."""
_MEANINGS = {
    DepthKind.METRIC: "depth along the optical axis in metres",
    DepthKind.UP_TO_SCALE: "depth along the optical axis times one unknown positive factor",
    DepthKind.AFFINE: "depth along the optical axis times an unknown positive factor, plus an "
    "unknown shift",
    DepthKind.AFFINE_INVERSE: "1/depth times an unknown positive factor, plus an unknown shift: "
    "large is near",
}

INVERSE_DEPTH_CONTENT = "inverse depth"
"""How ``FileFacts.holds`` begins for files of inverse depth. ``DepthFacts.kind`` is that of the
prediction, and other keys do not tell inverse depth from depth, so these words do."""

SUFFIX = ".json"

SOURCE_BYTES, SOURCE_MODIFIED = "source_bytes", "source_modified_ns"
"""Settings of ``Sidecar.run`` that identify the file of the photograph or the clip: its size, and
the time of its last change [ns]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """Photograph of a result: its file name, and its size [px]."""

    file: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFacts:
    """Kind, unit and meaning of depth, with the range of its valid pixels."""

    kind: DepthKind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    valid_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """Camera: K [px], whose origin is the centre of the top-left pixel, or another lens as text.

    Fields of view are in degrees.
    """

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
        draws: Quantity that is drawn: depth, 1/depth, the values, or their negatives.
        low: Value that has the first colour.
        high: Value that has the last colour.
        invalid: Colour of pixels without depth.
        sky: Colour of the sky; None if the sky is not coloured.
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
        pixel_step: Step between the pixels that became points.
        backdrop: Number of triangles at the start that are a backdrop for the sky.
        behind: Number of triangles at the end that fill tears or continue behind near surfaces.
        edge_jump: Relative jump in depth at which the surface is cut.
        grazing_degrees: Smallest angle between a ray and the surface that is kept.
        specks: Smaller patches are left out and smaller holes closed [fraction of the points].
        sky: Fraction of the pixels that is left out as sky.
        backing: How far surfaces continue behind nearer ones [fraction of the width].
    """

    pixel_step: int
    points: int
    triangles: int | None = None
    backdrop: int | None = None
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
    """Description of one file, or of one folder of frames, in the JSON.

    Its fields are the keys of the JSON, in this order. Those that do not apply to a kind of file
    are None, and the JSON leaves them out:

    - All files have ``file``, ``output`` and ``holds``.
    - Files of numbers have ``scale``, ``offset`` and perhaps ``invalid`` and ``unit``: a value is
      the stored number * scale + offset, in this unit.
    - Normals and surfaces have ``axes``.
    - Pictures of depth have ``colour``, surfaces ``surface``, and masks of the sky ``sky``.
    - Files that were written have ``bytes`` and ``sha256``, and folders of frames ``frames``.

    A file also contains a copy of its description, which is made before it is finished. So this
    copy has neither ``bytes`` nor ``sha256``.

    Attributes:
        output: Name in ``OUTPUTS``.
        holds: Content in words.
        invalid: Stored value of invalid pixels, or "nan".
        sky: Fraction of the pixels that is sky.
        bytes: Size of the file.
        sha256: Checksum of the file.
        crc32: CRC-32 of the depth's stored numbers, or of all arrays about depth in an npz file.
            The copy inside the file has it, too.
        frames: Sizes and checksums of the frames by their file names.
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
    def holds_inverse_depth(self) -> bool:
        """Whether the file holds inverse depth, whatever the kind of the depth is."""
        return self.holds.startswith(INVERSE_DEPTH_CONTENT)

    @property
    def file_sums(self) -> Mapping[str, FileSum] | None:
        """Size and SHA-256 of the file, or of each frame, by its path relative to the JSON.

        It is None if they are not recorded.
        """
        if self.frames is not None:
            return {f"{self.file}/{name}": file_sum for name, file_sum in self.frames.items()}
        file_sum = self.file_sum_of(self.file)
        return None if file_sum is None else {self.file: file_sum}

    def file_sum_of(self, file_name: str) -> FileSum | None:
        """Size and SHA-256 of the file, or of the frame of this name in a folder of frames.

        It is None if they are not recorded.
        """
        if self.frames is not None:
            return self.frames.get(file_name)
        if self.bytes is None or self.sha256 is None:
            return None
        return FileSum(bytes=self.bytes, sha256=self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """Content of the JSON file: everything that is needed to read the results.

    Attributes:
        depth: Depth as the model predicts it, or in metres after a calibration.
        normals: Axes of the normals.
        instrument: Instrument that measured the depth; None if a network predicted it.
        anchored: Depth from which surfaces and normals are made; None if that is ``depth``.
        anchoring: Shift and scale that turn affine inverse depth into ``anchored``.
        run: Other options of the run, which are compared to recognise a repeated run; empty if
            Python code saved a single prediction.
        earlier: Names of files of earlier runs that are not described here.
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
        """Names of the described files."""
        return tuple(file_facts.file for file_facts in self.files)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of the described files, and of those of earlier runs."""
        return (*self.names, *self.earlier)

    def embedded_json(self, file_facts: FileFacts) -> str:
        """One-line JSON about one file, to embed in it."""
        return to_json(replace(self, files=(file_facts,), earlier=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _FormatOnly:
    """The part of a JSON that is read first, to check its format."""

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

    ``run`` has the other options of the run, which are compared to recognise a repeated run.
    ``anchored`` is the prediction with anchored depth; None if no output needs it.
    """
    height, width = prediction.shape
    photo, camera, made_by = prediction.photo, prediction.camera, prediction.made_by
    photo_name = Path(photo.name).name if photo else "array"
    return Sidecar(
        source=SourceFacts(file=photo_name, width=width, height=height),
        depth=None if prediction.depth_or_none is None else _depth_facts(prediction.depth),
        normals=OUR_AXES if (anchored or prediction).has("normals") else None,
        camera=None if camera is None else camera_facts(camera, (height, width)),
        calibration=prediction.calibration,
        instrument=_without_hints(prediction.instrument),
        anchored=None if anchored is None else _depth_facts(anchored.depth),
        anchoring=prediction.anchoring if prediction.is_computed("anchoring") else None,
        made_by=replace(made_by, settings=dict(made_by.settings)),
        run=dict(run or {}),
        notes=prediction.notes or None,
    )


def _without_hints(instrument: Instrument | None) -> Instrument | None:
    """Remove the hints from an instrument's doubts, because they name options of this run."""
    if instrument is None or not instrument.doubts:
        return instrument
    problems = (doubt.problem if isinstance(doubt, Note) else doubt for doubt in instrument.doubts)
    return replace(instrument, doubts=tuple(map(str, problems)))


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the JSON. The caller makes this atomic by writing to a temporary file."""
    path.write_text(to_json(sidecar, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file; raise ``InputError`` if this version of rilievo cannot."""
    return parse_sidecar(read_text(path), printable(path))


def find_sidecar(path: Path) -> Sidecar | None:
    """Read the JSON file; None if it does not exist or cannot be read."""
    try:
        return read_sidecar(path) if path.exists() else None
    except (InputError, OSError):
        return None


def parse_sidecar(text: str, name: str) -> Sidecar:
    """Parse a sidecar, which messages call ``name``.

    Raises:
        InputError: If this version of rilievo cannot read it, or if it names files outside of its
            folder.
    """
    try:
        file_format = from_json(_FormatOnly, text).format
        if file_format != FORMAT:
            raise InputError(
                f"its format is {file_format!r}, but this version of rilievo reads '{FORMAT}': "
                "use the version that wrote it",
                path=name,
            )
        sidecar = from_json(Sidecar, text)
    except InvalidRecordError as error:
        raise InputError(
            f"this is not a JSON file that rilievo wrote: {error}", path=name
        ) from error
    for file_name in sidecar.all_names:
        if not _is_name_in_folder(file_name):
            raise InputError(
                f"it lists '{file_name}', which is not the name of a file in its folder", path=name
            )
    return sidecar


def _is_name_in_folder(file_name: str) -> bool:
    """Whether a name is that of a file in the same folder, and no path to another one."""
    has_path_character = any(character in file_name for character in "/\\\0")
    return file_name not in ("", ".", "..") and not has_path_character


def camera_from_facts(recorded: CameraFacts) -> Camera:
    """Make the camera that a sidecar describes; raise ``InputError`` if it describes none."""
    if recorded.K is not None:
        return Camera(K=np.array(recorded.K, np.float64), source=recorded.source)
    any_size = (2, 2)  # A recorded lens states all its numbers, so they do not depend on the size.
    try:
        lens = read_spelling(recorded.lens or "", "lens").lens(any_size)
    except OptionError as error:
        raise InputError("the camera in its JSON is not valid:", problem=Text(error)) from error
    return Camera(lens=lens, source=recorded.source)


def _depth_facts(depth: DepthMap) -> DepthFacts:
    """Describe a depth map by its kind and the range of its valid values."""
    valid_pixels = int(np.count_nonzero(depth.valid))
    all_are_valid = valid_pixels == depth.values.size
    valid_values = depth.values if all_are_valid else depth.values[depth.valid]
    ends = (float(valid_values.min()), float(valid_values.max())) if valid_pixels else None
    return depth_facts(depth.kind, ends, valid_pixels, is_distance=depth.is_distance)


def depth_facts(
    kind: DepthKind,
    ends: tuple[float, float] | None,
    valid_pixels: int,
    *,
    is_distance: bool = False,
) -> DepthFacts:
    """Describe depth by its kind and its least and largest valid value; None if none is valid.

    Depth is stored in float32, so both get the few digits that a float32 has: 0.906, and not
    0.906000018119812.
    """
    minimum, maximum = (None, None) if ends is None else map(_shortest_float32, ends)
    return DepthFacts(
        kind=kind,
        unit=UNITS.get(kind, _ARBITRARY),
        meaning=depth_meaning(kind, is_distance=is_distance),
        minimum=minimum,
        maximum=maximum,
        valid_pixels=valid_pixels,
    )


def _shortest_float32(value: float) -> float:
    """Round to the fewest digits that give the same float32."""
    return float(str(np.float32(value)))


def depth_meaning(kind: DepthKind, *, is_distance: bool) -> str:
    """Say in words what depth is; ``is_distance`` if it is along the ray, not along the axis."""
    meaning = _MEANINGS[kind]
    if is_distance:
        meaning = meaning.replace("depth along the optical axis", "distance along the ray")
        meaning = meaning.replace("1/depth", "1/distance")
    return meaning


def camera_facts(camera: Camera, size: tuple[int, int]) -> CameraFacts:
    """Describe a camera for pictures of (height, width)."""
    lens = camera.lens
    if not isinstance(lens, Pinhole):
        return CameraFacts(
            lens=str(spell_lens(lens)),
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
        # Rounded to 55 in place of 54.99999999999999.
        horizontal_fov=round(_degrees_between_edges(fx, cx, width), 9),
        vertical_fov=round(_degrees_between_edges(fy, cy, height), 9),
    )


def _degrees_between_edges(focal: float, centre: float, side: int) -> float:
    """Angle [degrees] between the rays through both edges of a side, all lengths in pixels.

    The edges lie at -0.5 and side - 0.5, because pixel 0 has its centre at 0.
    """
    before = math.atan((centre + 0.5) / focal)
    after = math.atan((side - 0.5 - centre) / focal)
    return math.degrees(before + after)
