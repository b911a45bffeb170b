"""Schema of the JSON file beside results."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rilievo.io.checks.sums import FileSum
from rilievo.io.json_record import to_json
from rilievo.types import Anchoring, Calibration, CameraSource, DepthKind, MadeBy, Setting

FORMAT = "rilievo/1"

OUR_AXES = "x right, y down, z forward (OpenCV); towards the camera: a wall head-on is (0, 0, -1)"
PICTURE_AXES = (
    "x right, y up, z towards the viewer (OpenGL), from -1..1 to 0..255: a wall head-on is "
    "(128, 128, 255)"
)
UNITS = {DepthKind.METRIC: "metre"}
MEANINGS = {
    DepthKind.METRIC: "depth along the optical axis in metres",
    DepthKind.UP_TO_SCALE: "depth along the optical axis times one unknown positive factor",
    DepthKind.AFFINE: "depth along the optical axis times an unknown positive factor, plus an "
    "unknown shift",
    DepthKind.AFFINE_INVERSE: "1/depth times an unknown positive factor, plus an unknown shift: "
    "large is near",
}


def meaning_of(kind: DepthKind, *, is_distance: bool) -> str:
    """Meaning of values of a kind, in words."""
    words = MEANINGS[kind]
    if not is_distance:
        return words
    return words.replace("depth along the optical axis", "distance along the ray").replace(
        "1/depth", "1/distance"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The photograph that a result was made from."""

    file: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFacts:
    """Kind, unit and range of the depth map.

    Attributes:
        kind: Kind of depth.
        unit: "metre", or "arbitrary".
        meaning: The kind in words.
        minimum: Least value of the valid pixels; None where there are none.
        maximum: Greatest value of the valid pixels; None where there are none.
        valid_pixels: Number of valid pixels.
    """

    kind: DepthKind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    valid_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """The camera intrinsics that surfaces are made with.

    Attributes:
        K: Rows of the matrix [px]; the centre of the top-left pixel is (0, 0). None if the lens is
            no pinhole.
        source: Origin of the intrinsics; "assumed" may be far off.
        horizontal_fov: Horizontal field of view [degrees].
        vertical_fov: Vertical field of view [degrees].
        lens: The lens in words and numbers, as ``--projection`` reads it; None of a pinhole.
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
    """Colouring of a depth picture."""

    map: str
    draws: str
    low: float
    high: float
    invalid: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceFacts:
    """Settings and size of a surface.

    Attributes:
        pixel_step: Step between the pixels that became points, along rows and columns.
        points: Number of points, or of vertices.
        triangles: Number of triangles; None for a point cloud.
        edge_jump: Relative jump in depth between neighbouring pixels at which the surface is cut.
        grazing_degrees: Angle between surface and viewing ray [degrees] below which the surface is
            left out.
        texture_width: Width of its texture [px]; None without a texture.
        specks: Share of the points up to which a loose patch is left out, and in a mesh a hole is
            closed.
        dropped: Parts of the picture that were left out, as named by ``--drop``; None if none were.
        sky: Share of the photograph's pixels that was left out as the model's sky; None if the
            model does not tell.
        backing: Share of the width by which far surfaces continue behind near ones; None where they
            end at the edge.
    """

    pixel_step: int
    points: int
    triangles: int | None = None
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
        file: File name, in the folder of the JSON file.
        output: Name of the output in ``OUTPUTS``.
        holds: Content in words.
        unit: Unit of the values; None where they have none.
        scale: Factor for stored numbers; None where the file holds no depth.
        offset: Offset added after scaling; None where the file holds no depth.
        invalid: Stored value of invalid pixels: a number or "nan"; None where every pixel is valid.
        axes: Axes of normals and points.
        colour: Colouring of a depth picture.
        surface: Settings of points and meshes.
        sky: Share of the photograph's pixels that are sky, in a file that holds its mask.
        options: Options of the run that concern this file; None where they are not known.
        bytes: Size of the file, or of all files that this output put into a folder. None in results
            of rilievo 0.1, and in the copy inside the file itself.
        sha256: SHA-256 of the content; None for a folder, and wherever ``bytes`` is None.
        frames: Files of a folder by name; None for a single file.
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
    frames: Mapping[str, FileSum] | None = None

    @property
    def sums(self) -> Mapping[str, FileSum] | None:
        """Size and SHA-256 of the files, by path relative to the JSON file; None where unknown."""
        if self.frames is not None:
            return {f"{self.file}/{name}": each for name, each in self.frames.items()}
        if self.bytes is None or self.sha256 is None:
            return None
        return {self.file: FileSum(bytes=self.bytes, sha256=self.sha256)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """The kept answer of the network, of which other results are made without it.

    Attributes:
        file: File name, in the folder of the JSON file.
        kind: Kind of the depth that the network answered; None if it answers none.
        photo: Path of the photograph, relative to that folder.
        photo_sha256: SHA-256 of the photograph's file.
        bytes: Size of the file.
        sha256: SHA-256 of its content.
    """

    file: str
    kind: DepthKind | None = None
    photo: str
    photo_sha256: str
    bytes: int
    sha256: str

    @property
    def sums(self) -> Mapping[str, FileSum]:
        """Size and SHA-256 of the file, by its name."""
        return {self.file: FileSum(bytes=self.bytes, sha256=self.sha256)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """Content of the JSON file beside results: everything needed to read them.

    Attributes:
        format: Format version, ``FORMAT``.
        source: The photograph.
        depth: The depth map, as the model answers it or in metres; None where there is none.
        anchored: The depth map that surfaces and normals were made of; None where it is ``depth``.
        anchoring: Fit that gave it; None where nothing was anchored.
        normals: Axes of the normals; None where there are none.
        camera: The camera; None where there is none.
        calibration: The calibration; None unless one was asked for.
        made_by: Model, weights and settings that made the prediction.
        run: Other options of the run; a repeated run is recognised by them.
        files: Complete files of this result.
        answer: The kept answer of the network; None if it is not kept.
        earlier: Names of files that earlier runs left and that this JSON file does not describe.
        notes: Notes for the user on the photograph and the options; None without any.
    """

    format: str = FORMAT
    source: SourceFacts
    depth: DepthFacts | None = None
    normals: str | None = None
    camera: CameraFacts | None = None
    calibration: Calibration | None = None
    anchored: DepthFacts | None = None
    anchoring: Anchoring | None = None
    made_by: MadeBy
    run: Mapping[str, Setting] = field(default_factory=dict)
    files: tuple[FileFacts, ...] = ()
    answer: AnswerFacts | None = None
    earlier: tuple[str, ...] = ()
    notes: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files that it describes, the answer's among them."""
        kept = () if self.answer is None else (self.answer.file,)
        return (*(facts.file for facts in self.files), *kept)

    def alone(self, facts: FileFacts) -> str:
        """One-line JSON about this file alone, to embed in it."""
        return to_json(replace(self, files=(facts,), answer=None, earlier=(), notes=None))
