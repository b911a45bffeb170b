"""Parameters of requests: options of ``rilievo predict``, none of which names a file."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from rilievo.calibration.sizes import KnownRectangle, parse_object_sides
from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import join_alternatives
from rilievo.errors.typing_errors import hint_for_typing_error
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure.measurement_records import parse_points, parse_quantity
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
from rilievo.schema.fields import Interface, OptionField, Record, Switch, list_options, option_names
from rilievo.serving.browser.document import VIDEOS
from rilievo.serving.server.local_options import ELSEWHERE, depth_option_names
from rilievo.serving.server.server_options import MAX_RECTANGLES

MAX_KNOWN_SIZES = 64
"""Known sizes of a request: 64 take 0.2 CPU-seconds, and the cost grows with their cube."""

Text = Annotated[str, Field(max_length=500)]
COMMA_SEPARATED = object()
"""Marks parameters that are lists with commas; a request may also repeat them."""
CommaSeparated = Annotated[Text, COMMA_SEPARATED]
TextList = Annotated[list[Text], Field(max_length=MAX_KNOWN_SIZES)]

Parameters = TypeVar("Parameters", bound=BaseModel)


def extend_parameters(
    base: type[Parameters],
    *default_records: Record,
    without: tuple[str, ...] = (),
    descriptions: Mapping[str, str] | None = None,
) -> type[Parameters]:
    """Subclass ``base`` with one pydantic field for each HTTP option of some option records.

    Args:
        base: Pydantic model to extend.
        default_records: Option records. Their classes declare the options, and their values are the
            defaults.
        without: Names of options to leave out.
        descriptions: Descriptions by option name, in place of the options' own ones.
    """
    fields: dict[str, Any] = {}
    for record in default_records:
        for option in list_options(type(record)):
            if Interface.HTTP not in option.declaration.available_in or option.name in without:
                continue
            description = option.declaration.request or option.help
            if descriptions is not None and option.name in descriptions:
                description = descriptions[option.name]
            default = getattr(record, option.name)
            if default == ():
                default = []  # the JSON schema of the field has a list
            fields[option.name] = (
                _pydantic_type(option),
                Field(default=default, description=description),
            )
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **fields)


def _pydantic_type(option: OptionField) -> Any:
    """Type annotation of an option as a request parameter, with limits for the lengths of texts."""
    if option.value_type is Switch:
        return Literal["on", "off"]
    value_type: Any = option.value_type
    if option.is_length:
        value_type = float | Text
    elif option.takes_many:
        value_type = TextList
    elif value_type is str:
        value_type = Text
    if option.is_optional:
        value_type = value_type | None
    return Annotated[value_type, COMMA_SEPARATED] if option.is_list else value_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Model together with the refinements that a request asks for.

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


_MAX_POINTS = 500
"""Most points of a request."""
_MAX_BOXES = 64
"""Most boxes of a request."""

Point = tuple[float, float]
"""Column and row (u, v) [px]."""
_PHOTO_OPTIONS = (CameraOptions(), KnownSizes(), AnchorOptions(), Refine())
"""Option records of a photograph, with the defaults of requests."""
SomeParams = TypeVar("SomeParams", bound=BaseModel)
_SYNONYMS = {"point": "at", "pixel": "at", "output": "save", "format": "save"}
"""Names that users may try, and the parameters that they mean."""
_NAMES_OF_THE_IMAGE = frozenset(
    ("image", "images", "img", "photo", "photograph", "picture", "file", "input", "data", "base64")
)
"""Names that users may try for the photograph, which is not among the parameters."""


class _RecordParameters(BaseModel):
    """Parameters of all requests, which become options of ``rilievo predict``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Text = ""
    """Model to use, from the list at /v1/models. By default, the first one."""

    @cached_property
    def options(self) -> PredictOptions:
        """These parameters as options of ``rilievo predict``."""
        values: dict[str, Any] = {}
        for record in (CameraOptions, KnownSizes, AnchorOptions, Refine, Saving):
            for name in option_names(record, Interface.HTTP):
                if name in type(self).model_fields:  # some requests lack some options
                    values[name] = getattr(self, name)
        if values.get("camera") is not None:
            # Clients must not name files of the server; this raises OptionError if they do.
            parse_camera_without_files(values["camera"])
        options = PredictOptions(**values)
        _check_known_size_counts(options.sizes)
        return options

    def check_options(self) -> None:
        """Raise OptionError if the options are not valid."""
        _ = self.options  # building them validates them

    def variant(self, name: str) -> Variant:
        """The model that the server loads by ``name``, with the refinements of this request."""
        options = self.options
        return Variant(
            name=name, refine=options.refine, vanishing_points=options.view.vanishing_points
        )


def _check_known_size_counts(sizes: KnownSizes) -> None:
    """Raise OptionError for too many known sizes, or for a table, which would be a file."""
    size_count = len(sizes.known_sizes)
    if size_count > MAX_KNOWN_SIZES:
        raise OptionError(
            "'known', 'known_length', 'known_rectangle' and 'known_circle' together give "
            f"{size_count} sizes, but at most {MAX_KNOWN_SIZES} are allowed"
        )
    rectangle_count = sum(isinstance(size, KnownRectangle) for size in sizes.known_sizes)
    if rectangle_count > MAX_RECTANGLES:
        raise OptionError(
            f"'known' and 'known_rectangle' together give {rectangle_count} rectangles, but at "
            f"most {MAX_RECTANGLES} are allowed for one photograph"
        )
    if sizes.table is not None:
        raise OptionError("'known' expects U,V,METRES; only the command line can read a table")


class RequestParams(_RecordParameters):
    """Parameters of requests about a photograph."""

    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point. Repeat the parameter for several points."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that the request asks for; none for a measurement."""
        return ()

    def check(self) -> None:
        """Raise OptionError if a parameter is not valid."""
        self.check_options()

    def points(self) -> list[Point]:
        """Parse the points (u, v) [px] of ``at``."""
        return parse_points(self.at)


_PredictParameters: Any = extend_parameters(RequestParams, *_PHOTO_OPTIONS, Saving())
_MeasureParameters: Any = extend_parameters(RequestParams, *_PHOTO_OPTIONS)


class PredictParams(_PredictParameters):
    """Parameters of a prediction."""

    save: CommaSeparated = Field(
        default="json",
        description=f"Outputs, separated by commas: json, {', '.join(OUTPUTS.own)}; or 'all'. A "
        "single output is returned as its file, several as a zip.",
    )
    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point whose depth the JSON states. Repeat it for several points."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that ``save`` names."""
        return parse_output_names(self.save)

    def check(self) -> None:
        """Raise OptionError if a parameter is not valid."""
        _ = self.outputs  # parsing the texts validates them
        self.points()
        super().check()

    @property
    def saving(self) -> SaveOptions:
        """Options of the files. A request cannot ask for more surface points than the default."""
        saving = self.options.saving
        max_points = SaveOptions.surface_points
        return replace(saving, surface_points=min(saving.surface_points, max_points))


class MeasureParams(_MeasureParameters):
    """Parameters of a measurement."""

    at: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point. Repeat the parameter for each one: two for a length, or three
    or more around a surface for an area, or around an object for a volume."""
    distance: Text = ""
    """Measure the straight-line distance from the camera to this point, given as column and row
    U,V.
    """
    height: Text = ""
    """Measure the height of this point above the visible floor, given as column and row U,V."""
    height_above_plane: Text = ""
    """Measure the height of this point, given as column and row U,V, above the plane of the known
    rectangle. If 'at' is the point of the plane straight below it, depth is not needed."""
    box: list[Text] = Field(default=[], max_length=_MAX_BOXES)
    """Bounding box U1,V1,U2,V2 of an object to measure. Repeat the parameter for several objects.
    The response then has a list of things."""
    angle: bool = False
    """Measure the angle between the surfaces at two points."""
    volume: bool = False
    """Measure the volume of the heap or the hollow inside of the outline instead of its area."""
    base: list[Text] = Field(default=[], max_length=_MAX_POINTS)
    """Column and row U,V of a point of the plane of a volume. Repeat the parameter for three points
    or more. By default the plane is fitted to the surface around the outline."""
    fits: Text = ""
    """Tell whether an object with three sides, such as 80x60x200cm, fits through the opening whose
    four corners 'at' are given in order."""
    in_plane: bool = False
    """Measure in the plane of the known rectangle, where all points lie; depth is not needed."""

    def check(self) -> None:
        """Raise OptionError if a parameter is not valid."""
        if not self.regions():
            self.quantity()  # parsing the points validates them
            self.base_points()
            self.object_sides()
        super().check()

    def regions(self) -> list[Region]:
        """Parse the boxes, around which things are measured.

        Raises:
            OptionError: If a box is not valid, or the request also asks for a point measurement.
        """
        if not self.box:
            return []
        parameters_with_points = (
            self.at,
            self.distance,
            self.height,
            self.height_above_plane,
            self.volume,
            self.base,
            self.fits,
            self.angle,
        )
        if any(parameters_with_points):
            raise OptionError(
                "'box' cannot be combined with points: measure the points in a separate request"
            )
        if self.in_plane:
            raise OptionError(option="in_plane", without="box")
        return [as_region(text) for text in self.box]

    def quantity(self) -> tuple[str, list[Point]]:
        """Quantity to measure, such as "length", and its points (u, v) [px]."""
        return parse_quantity(
            self.at,
            angle=self.angle,
            volume=self.volume,
            distance=self.distance,
            height=self.height,
            height_above_plane=self.height_above_plane,
            fits=self.fits,
        )

    def base_points(self) -> list[Point]:
        """Points of the plane of a volume (u, v) [px]."""
        return parse_points(self.base)

    def object_sides(self) -> tuple[float, ...]:
        """Sides of the object that is to fit [m]; none if nothing is."""
        return parse_object_sides(self.fits) if self.fits else ()


_StreamParameters = extend_parameters(
    _RecordParameters,
    *(CameraOptions(), KnownSizes(), AnchorOptions(), UNREFINED),
    # The answer has no camera, and the depth of frames is not corrected to agree with lines.
    without=("vanishing_points", "manhattan"),
    descriptions={
        "trim": "Crop uniform borders before the network sees a frame. Off by default, because "
        "borders that appear in only some of the frames make the depth jump."
    },
)


class StreamParams(_StreamParameters):
    """Parameters of a stream of frames."""

    frames: Literal["newest", "all"] = "newest"
    """Whether to process only the newest of the frames that arrive while another one is being
    processed, or all of them in order."""


class VideoParams(_RecordParameters):
    """Parameters of a video of the app."""

    save: CommaSeparated = Field(
        default="colour", description=f"Outputs, separated by commas: {', '.join(VIDEOS)}."
    )


def read_params(
    params_type: type[SomeParams], query: Sequence[tuple[str, str]], form: Mapping[str, list[str]]
) -> SomeParams:
    """Read the parameters of a request, from its address and its body together.

    A parameter that takes a list may have elements in both.
    """
    form_pairs = [(name, text) for name, texts in form.items() for text in texts]
    texts_by_name: dict[str, list[str]] = {}
    for name, text in (*query, *form_pairs):
        texts_by_name.setdefault(_british_name(name), []).append(text)
    return _validate_parameters(params_type, texts_by_name)


def _british_name(name: str) -> str:
    """Spell a parameter as rilievo does; American spelling is taken, as on the command line."""
    return name.replace("color", "colour", 1) if name.startswith("color") else name


def parse_output_names(save: str) -> tuple[str, ...]:
    """Parse the names of outputs, which are separated by commas."""
    names = split_names(save)
    choices = ("json", *OUTPUTS.own, "all")
    if not names:
        hint = f"known: {', '.join(choices)}"
        raise OptionError(option="save", problem="is empty", hint=hint)
    for name in names:
        if name not in choices:
            hint = unknown_output_hint(name, choices)
            raise OptionError(option="save", problem=f"does not accept '{name}'", hint=hint)
    return tuple(names)


def _validate_parameters(
    params_type: type[SomeParams], texts_by_name: Mapping[str, list[str]]
) -> SomeParams:
    """Validate the texts of a request; raise OptionError for the first one that is wrong."""
    fields = params_type.model_fields
    parameters: dict[str, str | list[str]] = {}
    for name, texts in texts_by_name.items():
        _check_known_parameter(name, fields)
        is_list_field = get_origin(fields[name].annotation) is list
        may_repeat = is_list_field or COMMA_SEPARATED in fields[name].metadata
        if len(texts) > 1 and not may_repeat:
            times = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise OptionError(option=name, problem=f"is given {times}: give it once")
        parameters[name] = texts if is_list_field else ",".join(texts)
    try:
        return params_type.model_validate(parameters)
    except ValidationError as error:
        raise _option_error_from_pydantic(error) from None


def _check_known_parameter(name: str, known_names: Collection[str]) -> None:
    """Raise OptionError for an unknown parameter, with a hint at what was probably meant."""
    if name in depth_option_names():
        raise OptionError(f"no parameter '{name}'", hint=ELSEWHERE)
    if name not in known_names:
        raise OptionError(f"no parameter '{name[:60]}'", hint=_hint_for_name(name, known_names))


def _hint_for_name(name: str, fields: Collection[str]) -> str:
    """Hint for an unknown parameter: what was probably meant, or all parameters."""
    if name.lower() in _NAMES_OF_THE_IMAGE:
        return "send the photograph as the request body, or as 'image' in a form or in JSON"
    synonym = _SYNONYMS.get(name.removesuffix("s"), "")
    if synonym in fields:
        return f"did you mean '{synonym}'?"
    typed = name.replace("-", "_")
    abbreviated = [field for field in fields if typed and field.startswith(typed)]
    if abbreviated:
        return f"did you mean {join_alternatives(map(repr, abbreviated[:3]))}?"
    return hint_for_typing_error(typed[:60], fields) or suggest("", fields)


def _option_error_from_pydantic(error: ValidationError) -> OptionError:
    """Describe the first problem that pydantic found."""
    problem = error.errors(include_url=False, include_context=False)[0]
    option = str(problem["loc"][0]) if problem["loc"] else "parameters"
    value = str(problem["input"])[:60]
    message = problem["msg"].lower()
    # Most messages read "Input should be a valid number, unable to parse string as a number".
    expected = message.removeprefix("input should be ").partition(", unable")[0]
    if message.startswith(expected):
        return OptionError(option=option, value=value, problem=f": {message}")
    return OptionError(option=option, value=value, expected=expected)
