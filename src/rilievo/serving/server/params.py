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
from rilievo.options.camera_forms import CameraOptions, parse_camera_without_files
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import UNREFINED, AnchorOptions, Refine
from rilievo.options.run_options import Saving
from rilievo.predicting.options import PredictOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_names import split_names, unknown_output_hint
from rilievo.schema.fields import Interface, OptionField, Record, Switch, option_names, options_of
from rilievo.serving.browser.document import VIDEOS
from rilievo.serving.server.local_options import ELSEWHERE, depth_option_names

MAX_KNOWN_SIZES = 64
"""Known sizes of a request: 64 take 0.2 CPU-seconds, and the cost grows with their cube."""

Text = Annotated[str, Field(max_length=500)]
LIST = object()
"""Annotation of parameters that are lists with commas."""
Listed = Annotated[Text, LIST]
Texts = Annotated[list[Text], Field(max_length=MAX_KNOWN_SIZES)]

Parameters = TypeVar("Parameters", bound=BaseModel)


def extend_parameters(
    base: type[Parameters],
    *defaults: Record,
    without: tuple[str, ...] = (),
    descriptions: Mapping[str, str] | None = None,
) -> type[Parameters]:
    """Make a subclass with the options of records as further parameters.

    Args:
        base: Class of parameters.
        defaults: Records, whose values are the defaults of the parameters.
        without: Options to leave out.
        descriptions: Descriptions of parameters in place of those of the options.
    """
    parameters: dict[str, Any] = {}
    for record in defaults:
        for option in options_of(type(record)):
            if Interface.HTTP not in option.declaration.available_in or option.name in without:
                continue
            own_description = (descriptions or {}).get(option.name)
            description = own_description or option.declaration.request or option.help
            default = getattr(record, option.name)
            if default == ():
                default = []
            parameters[option.name] = (
                _pydantic_type(option),
                Field(default=default, description=description),
            )
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **parameters)


def _pydantic_type(option: OptionField) -> Any:
    if option.value_type is Switch:
        return Literal["on", "off"]
    value_type: Any = option.value_type
    if option.is_length:
        value_type = float | Text
    elif option.takes_many:
        value_type = Texts
    elif value_type is str:
        value_type = Text
    if option.is_optional:
        value_type = value_type | None
    return Annotated[value_type, LIST] if option.is_list else value_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Model with the refinements that a request asks for.

    Attributes:
        name: Name by which the server loads the model.
        depth_alone: Whether normals and confidence are left out.
    """

    name: str
    refine: Refine = field(default_factory=Refine)
    vanishing_points: bool = False
    depth_alone: bool = False

    def refine_model(self, model: Model) -> Model:
        """Wrap a model with these refinements."""
        model = refined(model, self.refine, vanishing_points=self.vanishing_points)
        return model.depth_alone() if self.depth_alone else model


_MAX_POINTS, _MAX_BOXES = 500, 64

Point = tuple[float, float]
_PHOTO_OPTIONS = (CameraOptions(), KnownSizes(), AnchorOptions(), Refine())
SomeParams = TypeVar("SomeParams", bound=BaseModel)
_SYNONYMS = {"point": "at", "pixel": "at", "output": "save", "format": "save"}
"""Names that users may try, and the parameters that they mean."""


class _RecordParameters(BaseModel):
    """Parameters of all requests, which become options of ``rilievo predict``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Text = ""
    """Model that answers, one that /v1/models lists; by default the first of them."""

    @cached_property
    def options(self) -> PredictOptions:
        """The same as options of ``rilievo predict``.

        Raises:
            OptionError: If they are not valid, or too many.
        """
        values: dict[str, Any] = {}
        for record in (CameraOptions, KnownSizes, AnchorOptions, Refine, Saving):
            for name in option_names(record, Interface.HTTP):
                if name in type(self).model_fields:
                    values[name] = getattr(self, name)
        if values.get("camera") is not None:
            parse_camera_without_files(values["camera"])  # raises for the name of a file
        options = PredictOptions(**values)
        _check_known_sizes(options.sizes)
        return options

    def variant(self, name: str) -> Variant:
        """The refinements, for the model that the server loads by a name."""
        options = self.options
        return Variant(
            name=name, refine=options.refine, vanishing_points=options.view.vanishing_points
        )


def _check_known_sizes(sizes: KnownSizes) -> None:
    count = len(sizes.known_sizes)
    if count > MAX_KNOWN_SIZES:
        raise OptionError(
            "known, known_length and known_rectangle name "
            f"{count} sizes; at most {MAX_KNOWN_SIZES} together"
        )
    rectangles = sum(isinstance(size, KnownRectangle) for size in sizes.known_sizes)
    if rectangles > MAX_RECTANGLES:
        raise OptionError(
            f"known and known_rectangle name {rectangles} rectangles; at most "
            f"{MAX_RECTANGLES} of one photograph"
        )
    if sizes.table is not None:
        raise OptionError("known is U,V,METRES: a table is of 'rilievo predict'")


class RequestParams(_RecordParameters):
    """Parameters of requests about a photograph."""

    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point; repeat it for several."""

    def points(self) -> list[Point]:
        """Points (u, v) [px] of ``at``."""
        return parse_points(self.at)


_PredictParameters: Any = extend_parameters(RequestParams, *_PHOTO_OPTIONS, Saving())
_MeasureParameters: Any = extend_parameters(RequestParams, *_PHOTO_OPTIONS)


class PredictParams(_PredictParameters):
    """Parameters of a prediction."""

    save: Listed = Field(
        default="json",
        description=f"Outputs with commas: json, {', '.join(OUTPUTS.own)}; or all. One comes as it "
        "is, several as a zip.",
    )
    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point whose value the JSON tells; repeat it for several."""

    @property
    def saving(self) -> SaveOptions:
        """Options of the files; points of surfaces are at most as many as by default."""
        saving, max_points = self.options.saving, SaveOptions.surface_points
        return replace(saving, surface_points=min(saving.surface_points, max_points))


class MeasureParams(_MeasureParameters):
    """Parameters of a measurement."""

    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point: two for a length, three or more around a surface for an area;
    repeat it for each."""
    distance: Text = ""
    """Column and row U,V of a point whose distance straight from the camera is measured."""
    height: Text = ""
    """Column and row U,V of a point whose height above the visible floor is measured."""
    height_above_plane: Text = ""
    """Column and row U,V of a point whose height above the plane of the known rectangle is
    measured; its foot in the plane is given as 'at', and the height needs no depth then."""
    box: list[Text] = Field(default=[], max_length=_MAX_BOXES)
    """Box U1,V1,U2,V2 around a thing whose distance and size are measured; repeat it for several.
    The answer has a list of things then."""
    angle: bool = False
    """Measure the angle between the surfaces at two points."""
    in_plane: bool = False
    """Measure in the plane of the known rectangle, in which the points lie, without depth."""

    def regions(self) -> list[Region]:
        """Boxes of the request.

        Raises:
            OptionError: If a box is not valid, or the request asks for points too.
        """
        heights = self.height or self.height_above_plane
        if self.box and (self.at or self.distance or heights or self.angle):
            raise OptionError("box stands alone: ask for points by themselves")
        if self.box and self.in_plane:
            raise OptionError(option="in_plane", without="box")
        return [as_region(text) for text in self.box]

    def quantity(self) -> tuple[str, list[Point]]:
        """Quantity to measure, and its points.

        Raises:
            OptionError: If the request does not ask for one quantity.
        """
        return quantity_of_options(
            self.at,
            angle=self.angle,
            distance=self.distance,
            height=self.height,
            height_above_plane=self.height_above_plane,
        )


_StreamParameters = extend_parameters(
    _RecordParameters,
    *(UNREFINED if record == Refine() else record for record in _PHOTO_OPTIONS),
    without=("vanishing_points",),  # the answer has no camera
    descriptions={
        "trim": "Leave uniform borders out of what the network sees; off, because borders that "
        "come and go between frames make depth jump."
    },
)


class StreamParams(_StreamParameters):
    """Parameters of a stream of frames."""

    frames: Literal["newest", "all"] = "newest"
    """Whether only the newest of the frames that arrive while another is worked on is answered, or
    all are, in turn."""


class VideoParams(_RecordParameters):
    """Parameters of a video of the app."""

    save: Listed = Field(default="colour", description=f"Outputs with commas: {', '.join(VIDEOS)}.")


def read_params(
    params_type: type[SomeParams], query: Sequence[tuple[str, str]], form: Mapping[str, list[str]]
) -> SomeParams:
    """Read the parameters of a request.

    Args:
        params_type: Class of parameters.
        query: Parameters in the address.
        form: Parameters in the body. A list may have elements in both.

    Raises:
        OptionError: If there is no such parameter, or a value is not valid.
    """
    values: dict[str, list[str]] = {}
    pairs = [*query, *((name, value) for name, texts in form.items() for value in texts)]
    for name, value in pairs:
        # American spelling is taken too, as on the command line.
        name = name.replace("color", "colour", 1) if name.startswith("color") else name
        values.setdefault(name, []).append(value)
    return _validated_parameters(params_type, values)


def parse_output_names(save: str) -> tuple[str, ...]:
    """Parse the names of outputs, with commas between them.

    Raises:
        OptionError: If there is none, or no such output.
    """
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
    """Make parameters from the texts that a request has for each name."""
    fields = params_type.model_fields
    parameters: dict[str, object] = {}
    for name, texts in values.items():
        if name in depth_option_names():
            raise OptionError(f"no parameter '{name}'", hint=ELSEWHERE)
        if name not in fields:
            synonym = _SYNONYMS.get(name.removesuffix("s"), "")
            hint = suggest(synonym if synonym in fields else name, fields)
            raise OptionError(f"no parameter '{name[:60]}'", hint=hint)
        takes_many = get_origin(fields[name].annotation) is list
        if len(texts) > 1 and not takes_many and LIST not in fields[name].metadata:
            count = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise OptionError(option=name, problem=f"is given {count}: give it once")
        parameters[name] = texts if takes_many else ",".join(texts)
    try:
        return params_type.model_validate(parameters)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].lower()
        expected = message.removeprefix("input should be ").partition(", unable")[0]
        states_expectation = not message.startswith(expected)
        raise OptionError(
            option=str(first["loc"][0]) if first["loc"] else "parameters",
            value=str(first["input"])[:60],
            expected=expected if states_expectation else "",
            problem="" if states_expectation else f": {message}",
        ) from None
