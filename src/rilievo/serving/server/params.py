"""Parameters of requests: options of ``rilievo predict``, none of which names a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from rilievo.calibration.sizes import MAX_RECTANGLES, KnownRectangle
from rilievo.errors import OptionError, suggest
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure.measurement_records import parse_points, quantity_of_options
from rilievo.measure.regions import Region, as_region
from rilievo.models.base import Model
from rilievo.models.refinement.refine import refined
from rilievo.options.camera_forms import CameraOptions, parse_fileless_camera
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import UNREFINED, AnchorOptions, Refine
from rilievo.options.run_options import Saving
from rilievo.predicting.options import PredictOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_names import split_names, unknown_output_hint
from rilievo.schema.fields import Door, OptionField, Record, Switch, option_names, options_of
from rilievo.serving.browser.document import VIDEOS
from rilievo.serving.server.local_options import ELSEWHERE, depth_option_names

MOST_KNOWN = 64
"""Most known facts of a request: 64 take 0.2 CPU-seconds, and the cost grows as n³."""

Text = Annotated[str, Field(max_length=500)]
LIST = object()
"""Mark of a list with commas."""
Listed = Annotated[Text, LIST]
Texts = Annotated[list[Text], Field(max_length=MOST_KNOWN)]

Parameters = TypeVar("Parameters", bound=BaseModel)


def extend_parameters(
    base: type[Parameters],
    *defaults: Record,
    without: tuple[str, ...] = (),
    descriptions: Mapping[str, str] | None = None,
) -> type[Parameters]:
    """Subclass with the options of records, whose values are defaults."""
    parameters: dict[str, Any] = {}
    for record in defaults:
        for row in options_of(type(record)):
            if Door.HTTP in row.declaration.doors and row.name not in without:
                text = (descriptions or {}).get(row.name) or row.declaration.request or row.help
                default = getattr(record, row.name)
                default = [] if default == () else default
                parameters[row.name] = (
                    _pydantic_type(row),
                    Field(default=default, description=text),
                )
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **parameters)


def _pydantic_type(row: OptionField) -> Any:
    if row.value_type is Switch:
        return Literal["on", "off"]
    kind = Texts if row.takes_many else Text if row.value_type is str else row.value_type
    kind = float | Text if row.is_length else kind
    kind = kind | None if row.is_optional else kind
    return Annotated[kind, LIST] if row.is_list else kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Model with the refinements of a request."""

    name: str
    refine: Refine = field(default_factory=Refine)
    vanishing_points: bool = False
    depth_alone: bool = False

    def refine_model(self, model: Model) -> Model:
        """Model with these refinements."""
        model = refined(model, self.refine, vanishing_points=self.vanishing_points)
        return model.depth_alone() if self.depth_alone else model


_MOST_POINTS, _MOST_BOXES = 500, 64

Point = tuple[float, float]
_OF_PHOTOGRAPHS = (CameraOptions(), KnownSizes(), AnchorOptions(), Refine())
SomeParams = TypeVar("SomeParams", bound=BaseModel)
_MEANT = {"point": "at", "pixel": "at", "output": "save", "format": "save"}


class _RecordParameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Text = ""
    """Model that answers, one that /v1/models lists; by default the first of them."""

    @cached_property
    def options(self) -> PredictOptions:
        """Options of ``rilievo predict``."""
        kinds = (CameraOptions, KnownSizes, AnchorOptions, Refine, Saving)
        names = (name for kind in kinds for name in option_names(kind, Door.HTTP))
        settings: dict[str, Any] = {
            name: getattr(self, name) for name in names if name in type(self).model_fields
        }
        if settings.get("camera") is not None:
            parse_fileless_camera(settings["camera"])  # and no file of the server
        options = PredictOptions(**settings)
        count = len(options.sizes.known_sizes)
        if count > MOST_KNOWN:
            raise OptionError(
                "known, known_length and known_rectangle name "
                f"{count} sizes; at most {MOST_KNOWN} together"
            )
        rectangles = sum(isinstance(fact, KnownRectangle) for fact in options.sizes.known_sizes)
        if rectangles > MAX_RECTANGLES:
            raise OptionError(
                f"known and known_rectangle name {rectangles} rectangles; at most "
                f"{MAX_RECTANGLES} of one photograph"
            )
        if options.sizes.table is not None:
            raise OptionError("known is U,V,METRES: a table is of 'rilievo predict'")
        return options

    def variant(self, name: str) -> Variant:
        """Model and its refinements."""
        options = self.options
        return Variant(
            name=name, refine=options.refine, vanishing_points=options.view.vanishing_points
        )


class RequestParams(_RecordParameters):
    """Parameters of requests about a photograph."""

    at: list[Text] = Field(default=[], max_length=_MOST_POINTS)
    """Column and row U,V of a point; repeat it for several."""

    def points(self) -> list[Point]:
        """Points (u, v) [px] of ``at``."""
        return parse_points(self.at)


_PredictParameters: Any = extend_parameters(RequestParams, *_OF_PHOTOGRAPHS, Saving())
_MeasureParameters: Any = extend_parameters(RequestParams, *_OF_PHOTOGRAPHS)


class PredictParams(_PredictParameters):
    """Parameters of a prediction."""

    save: Listed = Field(
        default="json",
        description=f"Outputs with commas: json, {', '.join(OUTPUTS.own)}; or all. One comes as it "
        "is, several as a zip.",
    )
    at: list[Text] = Field(default=[], max_length=_MOST_POINTS)
    """Column and row U,V of a point whose value the JSON tells; repeat it for several."""

    @property
    def saving(self) -> SaveOptions:
        """Options of the files; surface points are bounded."""
        saving, most = self.options.saving, SaveOptions.surface_points
        return replace(saving, surface_points=min(saving.surface_points, most))


class MeasureParams(_MeasureParameters):
    """Parameters of a measurement."""

    at: list[Text] = Field(default=[], max_length=_MOST_POINTS)
    """Column and row U,V of a point: two for a length, three or more around a surface for an area;
    repeat it for each."""
    distance: Text = ""
    """Column and row U,V of a point whose distance straight from the camera is measured."""
    height: Text = ""
    """Column and row U,V of a point whose height above the visible floor is measured."""
    height_above_plane: Text = ""
    """Column and row U,V of a point whose height above the plane of the known rectangle is
    measured; its foot in the plane is given as 'at', and the height needs no depth then."""
    box: list[Text] = Field(default=[], max_length=_MOST_BOXES)
    """Box U1,V1,U2,V2 around a thing whose distance and size are measured; repeat it for several.
    The answer has a list of things then."""
    angle: bool = False
    """Measure the angle between the surfaces at two points."""
    in_plane: bool = False
    """Measure in the plane of the known rectangle, in which the points lie, without depth."""

    def regions(self) -> list[Region]:
        """Boxes of the request; refuses points beside them."""
        heights = self.height or self.height_above_plane
        if self.box and (self.at or self.distance or heights or self.angle):
            raise OptionError("box stands alone: ask for points by themselves")
        if self.box and self.in_plane:
            raise OptionError(option="in_plane", without="box")
        return [as_region(text) for text in self.box]

    def quantity(self) -> tuple[str, list[Point]]:
        """Quantity to measure, and its points."""
        return quantity_of_options(
            self.at,
            angle=self.angle,
            distance=self.distance,
            height=self.height,
            height_above_plane=self.height_above_plane,
        )


_OF_STREAMS = extend_parameters(
    _RecordParameters,
    *(UNREFINED if record == Refine() else record for record in _OF_PHOTOGRAPHS),
    without=("vanishing_points",),  # the camera is no part of the answer
    descriptions={
        "trim": "Leave uniform borders out of what the network sees; off, because borders that "
        "come and go between frames make depth jump."
    },
)


class StreamAsked(_OF_STREAMS):
    """Parameters of a stream of frames."""

    frames: Literal["newest", "all"] = "newest"
    """Whether only the newest of the frames that arrive while another is worked on is answered, or
    all are, in turn."""


class VideoAsked(_RecordParameters):
    """Parameters of a video of the app."""

    save: Listed = Field(default="colour", description=f"Outputs with commas: {', '.join(VIDEOS)}.")


def read_params(
    params_type: type[SomeParams], query: Sequence[tuple[str, str]], form: Mapping[str, list[str]]
) -> SomeParams:
    """Read parameters of an address and a form; lists add up."""
    values: dict[str, list[str]] = {}
    pairs = [*query, *((name, value) for name, texts in form.items() for value in texts)]
    for name, value in pairs:
        # American spelling is taken too, as on the command line.
        name = name.replace("color", "colour", 1) if name.startswith("color") else name
        values.setdefault(name, []).append(value)
    return _validated_parameters(params_type, values)


def parse_output_names(save: str) -> tuple[str, ...]:
    """Outputs named in ``save``; refuses none and unknown ones."""
    names = split_names(save)
    choices = ("json", *OUTPUTS.own, "all")
    if not names:
        hint = f"known: {', '.join(choices)}"
        raise OptionError(option="save", problem="names nothing", hint=hint)
    for name in names:
        if name not in choices:
            hint = unknown_output_hint(name, choices)
            raise OptionError(option="save", problem=f"has no '{name}'", hint=hint)
    return tuple(names)


def _validated_parameters(
    params_type: type[SomeParams], values: Mapping[str, list[str]]
) -> SomeParams:
    names = params_type.model_fields
    parameters: dict[str, object] = {}
    for name, texts in values.items():
        if name in depth_option_names():
            raise OptionError(f"no parameter '{name}'", hint=ELSEWHERE)
        if name not in names:
            meant = _MEANT.get(name.removesuffix("s"), "")
            near = suggest(meant if meant in names else name, names)
            raise OptionError(f"no parameter '{name[:60]}'", hint=near)
        takes_many = get_origin(names[name].annotation) is list
        if len(texts) > 1 and not takes_many and LIST not in names[name].metadata:
            count = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise OptionError(option=name, problem=f"is given {count}: give it once")
        parameters[name] = texts if takes_many else ",".join(texts)
    try:
        return params_type.model_validate(parameters)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        rule = first["msg"].lower()
        expected = rule.removeprefix("input should be ").partition(", unable")[0]
        raise OptionError(
            option=str(first["loc"][0]) if first["loc"] else "parameters",
            value=str(first["input"])[:60],
            expected="" if rule.startswith(expected) else expected,
            problem=f": {rule}" if rule.startswith(expected) else "",
        ) from None
