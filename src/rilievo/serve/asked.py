"""Parameters of requests: names, types, limits and help, which the OpenAPI document shows.

They are the options of ``rilievo predict`` and ``rilievo measure`` by the same names, with the same
checks. No parameter names a file of the server.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rilievo.errors import OptionError, suggest
from rilievo.io.colour import DEPTH_COLOURS
from rilievo.io.output_table import OUTPUTS, unknown_output
from rilievo.io.writing import SaveOptions
from rilievo.measure.terms import check_points, read_points
from rilievo.predicting.cameras import parse_numbers
from rilievo.predicting.metres import Metres
from rilievo.predicting.options import PredictOptions
from rilievo.serve.networks import Variant
from rilievo.serve.refusals import Refusal

_MOST_KNOWN = 64
"""Known points and lengths of one request, all together. A length of a photograph of 3 megapixels
costs 3 CPU-ms, and what bends depth through n facts grows as n³: 64 lengths take a fifth of a
second, 500 took 3 to 6."""
_MOST_POINTS = 500

Text = Annotated[str, Field(max_length=500)]
Texts = Annotated[list[Text], Field(max_length=_MOST_KNOWN)]
Switch = Literal["on", "off"]
Point = tuple[float, float]


def check_camera(camera: str | None) -> None:
    """Refuse a camera that is not of numbers: a request names no file of the server."""
    if camera is not None:
        parse_numbers(camera)


class Asked(BaseModel):
    """Parameters that every request may have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Text = ""
    """Model that answers, one that /v1/models lists; by default the first of them."""
    url: Annotated[str, Field(max_length=2000)] = ""
    """Address of the image in place of a body, if the server takes addresses."""
    camera: Text | None = None
    """Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY or the nine
    numbers of K; otherwise from EXIF, else assumed."""
    fov: float | None = None
    """Horizontal field of view in degrees, in place of a camera."""
    vanishing_points: bool = False
    """Find an unknown focal length from straight edges at right angles, if they are clear."""
    known: Texts = []
    """Point whose depth is known: U,V,METRES, or U,V,METRES,ray for a distance straight from the
    camera; repeat it for several."""
    known_length: Texts = []
    """Length that is known: U1,V1,U2,V2,METRES, or a usual thing such as a4 or door in place of the
    metres; repeat it for several."""
    markers: float | None = None
    """Side in metres of the black squares on a page of 'rilievo markers' in the photograph."""
    camera_height: float | None = None
    """Height of the camera above the floor in metres."""
    own_depth: Switch = "on"
    """Take metres from the depth that the photograph's file holds, if no other size is known."""
    trim: Switch = "on"
    """Leave uniform borders out of what the network sees."""

    def options(self) -> PredictOptions:
        """The same as options of ``rilievo predict``, checked by its rules."""
        check_camera(self.camera)
        options = PredictOptions(
            camera=self.camera,
            fov=self.fov,
            known=tuple(self.known),
            known_length=tuple(self.known_length),
            markers=self.markers,
            camera_height=self.camera_height,
            **self._further(),
        )
        if len(self.known) + len(self.known_length) > _MOST_KNOWN:
            raise OptionError(
                f"known and known_length name {len(self.known) + len(self.known_length)} sizes; at "
                f"most {_MOST_KNOWN} together"
            )
        if options.known_table is not None:
            raise OptionError("known is U,V,METRES: a table is of 'rilievo predict'")
        return options

    def metres(self) -> Metres:
        """Sizes that are known, markers left out."""
        return Metres(known=self.options().known_facts, camera_height=self.camera_height)

    def variant(self, name: str) -> Variant:
        """The model and its refinements."""
        return Variant(name=name, trim=self.trim == "on", vanishing_points=self.vanishing_points)

    def _further(self) -> Mapping[str, Any]:
        """Options of predict that only some requests have."""
        return {}


class PredictAsked(Asked):
    """Parameters of a prediction."""

    save: Text = "json"
    """Outputs with commas: json, colour, png16, npy, npz, tiff, exr, normals, normals-npy,
    confidence, ply, glb, html, panel, stereo; or all. One comes as it is, several as a zip."""
    at: Annotated[list[Text], Field(max_length=_MOST_POINTS)] = []
    """Column and row U,V of a point whose value the JSON tells; repeat it for several."""
    flip: bool = False
    """Average with the answer for the mirror image; twice the time."""
    sharp: Switch = "on"
    """Enlarge the network's answer along the edges of the photograph; off: smoothly."""
    colour_map: Text = DEPTH_COLOURS
    """Colours of depth pictures: viridis, turbo, magma, inferno, plasma, spectral, grey."""
    colour_range: Text | None = None
    """Depths NEAR,FAR that get the ends of the colour map."""
    surface_points: int = 1_000_000
    """Most points of a cloud or vertices of a mesh."""
    edge: float = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    drop: Text | None = None
    """Parts to leave out of surfaces: sky, background, or background=SHARE, with commas."""
    backing: float = 0.0
    """Share of the photograph's width by which far surfaces go on behind near ones."""
    stereo: Text | None = None
    """Layout of pictures for two eyes: side-by-side, top-bottom or anaglyph."""

    def variant(self, name: str) -> Variant:
        """The model and its refinements."""
        return Variant(
            name=name,
            flip=self.flip,
            sharp=self.sharp == "on",
            trim=self.trim == "on",
            vanishing_points=self.vanishing_points,
        )

    def points(self) -> list[Point]:
        """The points of ``at``."""
        return read_points(self.at)

    def saving(self) -> SaveOptions:
        """Options of the files."""
        options = self.options()
        return SaveOptions(
            colour_map=options.colour_map,
            colour_limits=options.limits,
            surface_points=min(options.surface_points, SaveOptions().surface_points),
            edge=options.edge,
            drop=options.dropped,
            backing=options.backing,
            stereo=options.stereo_options,
        )

    def _further(self) -> Mapping[str, Any]:
        return {
            "flip": self.flip,
            "colour_map": self.colour_map,
            "colour_range": self.colour_range,
            "surface_points": self.surface_points,
            "edge": self.edge,
            "drop": self.drop,
            "backing": self.backing,
            "stereo": self.stereo,
        }


class MeasureAsked(Asked):
    """Parameters of a measurement."""

    at: Annotated[list[Text], Field(max_length=_MOST_POINTS)] = []
    """Column and row U,V of a point: one for a height above the floor, two for a length, three or
    more around a surface for an area; repeat it for each."""
    angle: bool = False
    """Measure the angle between the surfaces at two points."""

    def points(self) -> list[Point]:
        """The points of ``at``."""
        points = read_points(self.at)
        check_points(points, angle=self.angle)
        return points


class StreamAsked(BaseModel):
    """Parameters of a stream of frames."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Text = ""
    """Model that answers, one that /v1/models lists; by default the first of them."""
    frames: Literal["newest", "all"] = "newest"
    """Whether frames that arrive while another is worked on are passed over but for the newest, or
    all are answered in turn."""
    fov: float | None = None
    """Horizontal field of view of the camera in degrees."""
    camera: Text | None = None
    """Intrinsics FX,FY,CX,CY of the frames in pixels."""
    sharp: Switch = "off"
    """Enlarge the network's answer along the edges of the frame; off: smoothly, and faster."""
    trim: Switch = "off"
    """Leave uniform borders out of what the network sees; off, because borders that come and go
    between frames make depth jump."""


Record = TypeVar("Record", bound=BaseModel)


def read_asked(
    into: type[Record], query: Sequence[tuple[str, str]], form: Mapping[str, list[str]]
) -> Record:
    """Read parameters of an address and of a form; those of the form win."""
    values: dict[str, list[str]] = {}
    for name, value in query:
        values.setdefault(name, []).append(value)
    return _read(into, {**values, **form})


def output_names(save: str) -> tuple[str, ...]:
    """Outputs of a list with commas, each once; ``json`` may be one of them, or ``all``.

    Only rilievo's own outputs count: what installed packages add is imported by its name, and
    requests do not choose what is imported.
    """
    names = [name.strip() for name in save.split(",") if name.strip()]
    names = ["colour" if name == "color" else name for name in names]
    known = ("json", *OUTPUTS.own, "all")
    if not names:
        raise OptionError(f"save names nothing; known: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise OptionError(f"save has no '{name}'; {unknown_output(name, known)}")
    return tuple(dict.fromkeys(names))


_MEANT = {"point": "at", "pixel": "at", "output": "save", "format": "save"}
"""Names that clients try, which are not spelt like the parameters they mean."""


def _read(into: type[Record], values: Mapping[str, list[str]]) -> Record:
    names = into.model_fields
    given: dict[str, object] = {}
    for name, found in values.items():
        # American spelling is taken too, as on the command line.
        name = name.replace("color", "colour", 1) if name.startswith("color") else name
        if name not in names:
            meant = _MEANT.get(name.removesuffix("s"), "")
            near = suggest(meant if meant in names else name, names)
            raise Refusal(400, f"no parameter '{name[:60]}'; {near}")
        is_list = get_origin(names[name].annotation) is list
        if not is_list and len(found) > 1:
            raise Refusal(400, f"{name} is given {len(found)} times: give it once")
        given[name] = found if is_list else found[0]
    try:
        return into.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = str(first["loc"][0]) if first["loc"] else "parameters"
        raise Refusal(
            400, f"{place}: {first['msg'].lower()}, got '{str(first['input'])[:60]}'"
        ) from None
