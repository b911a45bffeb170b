"""The options of ``rilievo predict``: their names, defaults, help and checks, in one place."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from rilievo.calibration import Known, KnownLength, parse_known
from rilievo.calibration.table import SUFFIX
from rilievo.errors import OptionError, suggest
from rilievo.io.colour import check_colour_map
from rilievo.io.output_table import OUTPUTS
from rilievo.models import DEFAULT_MODEL
from rilievo.models.quality import model_of
from rilievo.models.settings import parse_pairs
from rilievo.types import Camera, CameraSource

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Everything that can be asked of a prediction besides its inputs.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = Path(
        "rilievo-output"
    )
    """Folder for the results; made when missing. Trees of input folders are kept."""
    quality: Annotated[str | None, tyro.conf.arg(metavar="fast|good|best")] = None
    """One word in place of a model. fast: the embedded one, offline and at once. good: MoGe-2 small
    (141 MB, downloaded once; metres, normals, camera). best: MoGe-2 large (1,324 MB)."""
    model: Annotated[
        str,
        tyro.conf.arg(
            aliases=("-m",),
            metavar="NAME|FILE.onnx",
            help_behavior_hint=f"(default: {DEFAULT_MODEL})",
        ),
    ] = ""
    """A name that 'rilievo models' lists, an ONNX file that says what it is, ORG/NAME of the
    Hugging Face hub (@REVISION may follow), or a folder as transformers saves one."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Kind of depth that an unknown checkpoint predicts: metric, up_to_scale, affine or
    affine_inverse."""
    settings: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(name="set", metavar="NAME=VALUE"),
    ] = ()
    """A setting of the model, such as steps=4. 'rilievo models NAME' lists its settings. Repeat the
    option for several."""
    yes: bool = False
    """Agree beforehand to the paid calls of a model that runs elsewhere."""
    save: Annotated[str, tyro.conf.arg(metavar="NAME,...")] = "colour"
    """What to write, with commas: colour, png16, npy, npz, tiff, exr, normals, normals-npy,
    confidence, ply, glb, html; or all. A JSON that explains the numbers is always beside them."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="FX,FY,CX,CY")] = None
    """Intrinsics in pixels of the upright photograph; the centre of its top-left
    pixel is (0, 0). Otherwise from EXIF, else assumed, and the JSON says so."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view in degrees, in place of a camera."""
    known: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="U,V,METRES|FILE.csv")
    ] = ()
    """A point of one photograph whose depth is known: column, row, metres along the axis (or
    U,V,METRES,ray for a distance straight from the camera); for several, repeat the option. Points
    of many photographs are read from a table with the header file,u,v,metres. It makes depth
    metric."""
    known_length: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="U1,V1,U2,V2,METRES|THING"),
    ] = ()
    """A length in one photograph: column and row of both ends and the metres between them, or a
    usual thing for the metres: a4, letter, card, door, brick, ... It makes depth metric, alone or
    with --known; for several, repeat the option."""
    sparse: Annotated[Path | None, tyro.conf.arg(metavar="FILE|FOLDER")] = None
    """Depth of another instrument at some pixels (lidar, COLMAP, a phone's depth camera), which
    makes depth metric: a map as PNG, npy, npz, TIFF, EXR or PFM in which 0 is a gap, or a text
    with lines u v metres; of many photographs, a folder of files with their names."""
    sparse_unit: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Metres that one count of sparse depth stands for: 0.001 for millimetres."""
    camera_height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Height of the camera above the floor in metres, for metres where a floor is seen."""
    flip: bool = False
    """Average with the answer for the mirror image; twice the time."""
    tile: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side in pixels of overlapping tiles, for fine detail in large photographs."""
    sharp: Literal["on", "off"] = "on"
    """Enlarge the network's answer along the edges of the photograph; off: smoothly."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    engine: str = "auto"
    """What runs the network: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'hub', which the others run too, converted once); auto is the usual one of the model."""
    precision: str = "fp32"
    """fp32; bf16 with openvino or torch, fp16 with torch on cuda, int8 for models of the extra
    'hub' with onnxruntime: faster, less exact; it is recorded with the result. In 8 bits the
    embedded network is a model of its own, rilievo/small-int8."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of the network; by default one a core."""
    batch_size: int = 1
    """Photographs that go through the network together; more than one pays on a GPU."""
    colour_map: str = "viridis"
    """Colours of depth pictures: viridis, turbo, magma, inferno, plasma, spectral, grey."""
    colour_range: Annotated[str | None, tyro.conf.arg(metavar="NEAR,FAR")] = None
    """Depths that get the ends of the colour map, in the units of the result; by default
    the 2nd and 98th percentile of each photograph, or of a whole video."""
    surface_points: int = 1_000_000
    """Most points of a cloud or vertices of a mesh; larger photographs are thinned out."""
    edge: float = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    sequence: bool = False
    """Take a folder of frames as one clip, in the order of their names."""
    fps: float = 30.0
    """Frames a second of a sequence."""
    independent: bool = False
    """Leave every frame of a video its own scale, rather than bring the scales together so that
    nothing flickers."""
    resume: bool = False
    """Has no effect here: every run skips what an earlier run with the same options has finished,
    and adds missing formats."""
    overwrite: bool = False
    """Replace what rilievo wrote before, with the same options or others. Other programs' files are
    never replaced."""

    def __post_init__(self) -> None:
        for name, kinds, words in _TYPES:
            if not isinstance(getattr(self, name), kinds):
                raise OptionError(f"{name} is {words}, got {getattr(self, name)!r}")
        if not all(isinstance(point, str) for point in self.known):
            raise OptionError("known is made of texts 'u,v,metres'; of a KnownPoint, str(point)")
        if not all(isinstance(length, str) for length in self.known_length):
            raise OptionError("known_length is made of texts 'u1,v1,u2,v2,metres'")
        object.__setattr__(self, "output", Path(self.output))
        if self.sparse is not None:
            object.__setattr__(self, "sparse", Path(self.sparse))
        object.__setattr__(self, "model", model_of(self.quality, self.model))
        for name, rule, words in _RULES:
            value = getattr(self, name)
            if value is not None and not rule(value):
                raise OptionError(f"{_flag(name)} is {words}, got {value}")
        if self.sharp not in ("on", "off"):
            raise OptionError(f"--sharp is on or off, got {self.sharp!r}")
        check_colour_map(self.colour_map)
        _ = self.formats, self.given_camera, self.known_facts, self.limits, self.model_settings
        for one, other in _EXCLUSIVE:
            if getattr(self, one) and getattr(self, other):
                raise OptionError(f"{_flag(one)} and {_flag(other)} do not go together; give one")

    @property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS``, in the table's order, each once; all of rilievo's for ``all``."""
        asked = [name.strip() for name in self.save.split(",") if name.strip()]
        asked = ["colour" if name == "color" else name for name in asked]
        if not asked:
            raise OptionError(f"--save names nothing; known: {', '.join(OUTPUTS)}, all")
        for name in asked:
            if name != ALL and name not in OUTPUTS:
                raise OptionError(f"--save has no '{name}'; {suggest(name, [*OUTPUTS, ALL])}")
        of_all = OUTPUTS.own if ALL in asked else ()
        return tuple(name for name in OUTPUTS if name in asked or name in of_all)

    @property
    def asks_for_all(self) -> bool:
        """Whether what cannot be made is left out, rather than refused."""
        return ALL in (name.strip() for name in self.save.split(","))

    @property
    def given_camera(self) -> Camera | None:
        """The camera of ``--camera``."""
        if self.camera is None:
            return None
        fx, fy, cx, cy = _numbers("--camera", self.camera, ("FX", "FY", "CX", "CY"))
        if fx <= 0 or fy <= 0:
            raise OptionError(f"--camera: focal lengths are positive, got {fx:g} and {fy:g}")
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return Camera(K=K, source=CameraSource.GIVEN)

    @property
    def knows(self) -> bool:
        """Whether anything is known that gives metres of every kind of depth."""
        return bool(self.known or self.known_length or self.sparse)

    @property
    def known_facts(self) -> tuple[Known, ...]:
        """What ``--known`` and ``--known-length`` say; nothing where ``--known`` names a table."""
        if self.known_table:
            return ()
        points = tuple(parse_known(text) for text in self.known)
        return (*points, *map(_length, self.known_length))

    @property
    def known_table(self) -> Path | None:
        """The table of ``--known``, where it names one."""
        tables = [text for text in self.known if text.lower().endswith(SUFFIX)]
        if tables and len(self.known) + len(self.known_length) > 1:
            raise OptionError("--known is one table, or points U,V,METRES: give one of the two")
        return Path(tables[0]) if tables else None

    @property
    def model_settings(self) -> Mapping[str, str]:
        """The settings of ``--set``, by name."""
        return parse_pairs(self.settings)

    @property
    def limits(self) -> tuple[float, float] | None:
        """(near, far) of ``--colour-range``."""
        if self.colour_range is None:
            return None
        near, far = _numbers("--colour-range", self.colour_range, ("NEAR", "FAR"))
        if not 0 < near < far:
            raise OptionError(f"--colour-range: 0 < NEAR < FAR, got {near:g},{far:g}")
        return near, far


def _length(text: str) -> KnownLength:
    known = parse_known(text)
    if not isinstance(known, KnownLength):
        raise OptionError(f"--known-length is U1,V1,U2,V2,METRES, got '{text}'")
    return known


def _numbers(flag: str, text: str, names: tuple[str, ...]) -> list[float]:
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != len(names) or not all(math.isfinite(value) for value in values):
        raise OptionError(f"{flag} is {','.join(names)}, finite numbers, got '{text}'")
    return values


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


# What Python callers hand over instead, and would otherwise fail late and far away.
_TYPES: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("output", (str, Path), "a path"),
    ("model", str, "a name in MODELS or the path of an ONNX file as text"),
    ("save", str, "text such as 'colour,ply'"),
    ("known", (tuple, list), "a tuple of texts 'u,v,metres'"),
    ("known_length", (tuple, list), "a tuple of texts 'u1,v1,u2,v2,metres'"),
    ("settings", (tuple, list), "a tuple of texts 'name=value'"),
    ("camera", (str, type(None)), "text 'fx,fy,cx,cy'"),
)
_EXCLUSIVE = (
    ("camera", "fov"),
    ("known", "camera_height"),
    ("known_length", "camera_height"),
    ("sparse", "camera_height"),
    ("sparse", "known"),
    ("sparse", "known_length"),
    ("resume", "overwrite"),
)
_RULES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("fov", lambda value: 0 < value < 180, "between 0 and 180 degrees"),
    ("camera_height", lambda value: 0 < value < math.inf, "a positive number of metres"),
    ("sparse_unit", lambda value: 0 < value < math.inf, "a positive number of metres"),
    ("tile", lambda value: value >= 64, "64 pixels or more"),
    ("threads", lambda value: value >= 1, "1 or more"),
    ("batch_size", lambda value: value >= 1, "1 or more"),
    ("surface_points", lambda value: value >= 100, "100 or more"),
    ("edge", lambda value: 0 < value < math.inf, "a positive number"),
    ("fps", lambda value: 0 < value <= 1000, "between 0 and 1000"),
)
