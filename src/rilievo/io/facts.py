"""What the JSON beside results says, field by field: its schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rilievo.io.json_record import to_json
from rilievo.types import Calibration, CameraSource, DepthKind, MadeBy, Setting

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The photograph.

    Attributes:
        file: Its name, without folders.
        width: Of the upright photograph, and of every map and picture [px].
        height: The same.
    """

    file: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFacts:
    """What the numbers of the depth map are.

    Attributes:
        kind: What they are.
        unit: "metre", or "arbitrary".
        meaning: The kind in words.
        minimum: Over the valid pixels; None where there are none.
        maximum: The same.
        valid_pixels: How many have an answer.
    """

    kind: DepthKind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    valid_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """The intrinsics that surfaces are made with.

    Attributes:
        K: Rows of the matrix [px]; the centre of the top-left pixel is (0, 0).
        source: Where they came from; "assumed" may be far off.
        horizontal_fov: Whole angle of view [degrees].
        vertical_fov: The same, from top to bottom.
    """

    K: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    source: CameraSource
    horizontal_fov: float
    vertical_fov: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourFacts:
    """How a depth picture was coloured.

    Attributes:
        map: Name of the colour map.
        draws: The numbers that are drawn: "1/depth", "depth", "values" or "-values".
        low: Of these numbers, gets the first colour.
        high: Gets the last.
        invalid: RGB of pixels without an answer.
    """

    map: str
    draws: str
    low: float
    high: float
    invalid: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceFacts:
    """What was left out of a surface.

    Attributes:
        pixel_step: Every ``pixel_step``-th pixel of the photograph, both ways, made a point.
        points: Points, or vertices.
        triangles: None for a point cloud.
        edge_jump: Relative jump between neighbouring pixels at which it is torn.
        grazing_degrees: Angle to the ray that sees it under which it is left out.
        texture_width: Of the picture on it [px]; None where there is none.
        specks: Share of the points up to which a loose patch is left out; of a mesh, and a hole
            closed.
        dropped: Parts of the picture that were left out, as ``--drop`` names them; None where
            nobody asked.
        backing: Share of the width by which far surfaces go on behind near ones; None where they
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
    backing: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """What a file is known again by.

    Attributes:
        bytes: Its size.
        sha256: Of its content.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One file, and how to read its numbers: number = stored * scale + offset, in ``unit``.

    Attributes:
        file: Its name, in the folder of the JSON.
        output: Its name in ``OUTPUTS``.
        holds: In words.
        unit: Of the numbers; None where they have none.
        scale: None where the file holds no depth.
        offset: The same.
        invalid: What is stored where there is no answer: a number or "nan"; None where every
            pixel has one.
        axes: Of normals and points.
        colour: Of depth pictures.
        surface: Of points and meshes.
        bytes: Its size; of a folder, of all its files of this output. None in results of rilievo
            0.1, and inside of the file itself.
        sha256: Of its content; None of a folder, and as for ``bytes``.
        frames: Files of a folder by name; None of a file.
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
    bytes: int | None = None
    sha256: str | None = None
    frames: Mapping[str, FileSum] | None = None

    @property
    def sums(self) -> Mapping[str, FileSum] | None:
        """Size and sha256 of its files, by their path from the JSON; None where unknown."""
        if self.frames is not None:
            return {f"{self.file}/{name}": each for name, each in self.frames.items()}
        if self.bytes is None or self.sha256 is None:
            return None
        return {self.file: FileSum(bytes=self.bytes, sha256=self.sha256)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """Everything that a reader of the files must know.

    Attributes:
        format: ``FORMAT``.
        source: The photograph.
        depth: None where there is none.
        normals: Axes of the normals; None where there are none.
        camera: None where there is none.
        calibration: None where nobody asked for metres.
        made_by: Model, weights and settings.
        run: What else was asked of the run, to know a repetition by.
        files: All there are, each whole.
        earlier: Files of earlier runs that lie there still and that this JSON does not describe.
    """

    format: str = FORMAT
    source: SourceFacts
    depth: DepthFacts | None = None
    normals: str | None = None
    camera: CameraFacts | None = None
    calibration: Calibration | None = None
    made_by: MadeBy
    run: Mapping[str, Setting] = field(default_factory=dict)
    files: tuple[FileFacts, ...] = ()
    earlier: tuple[str, ...] = ()

    def alone(self, facts: FileFacts) -> str:
        """JSON of one line for the inside of a file, about this file alone."""
        return to_json(replace(self, files=(facts,), earlier=()))
