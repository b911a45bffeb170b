"""Read the lens model and its distortion coefficients from a camera's entries, under any names.

Programs name the model in many ways (``distortion_model``, ``camera_type``, or ``fisheye: true``).
They write coefficients as a list, as a mapping, as single numbers ``k1`` to ``p2``, or as a radial
and a tangential list. What a file states twice has to agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import flatten_rows, is_number, is_numeric, normalize_name
from rilievo.io.files.names import printable

NOT_NAMED = "radtan, not named"
"""Model if none is named and there are four coefficients in a list, or k1 to k3 alone.

They are read as OpenCV's perspective coefficients, although they may be those of a fisheye.
"""

_MODELS: Mapping[str, str] = {
    **dict.fromkeys(("pinhole", "simple_pinhole", "perspective", "linear", "standard"), "pinhole"),
    **dict.fromkeys(("none", "no_distortion", "undistorted", "rectified"), "none"),
    **dict.fromkeys(
        ("brown_conrady", "brown", "opencv", "radtan", "plumb_bob", "radial"), "opencv"
    ),
    **dict.fromkeys(("radial_tangential", "radialtangential", "simple_radial"), "opencv"),
    **dict.fromkeys(("rational_polynomial", "rational", "full_opencv"), "opencv"),
    **dict.fromkeys(("pinhole_radtan", "pinhole_radtan8", "opencv_standard"), "opencv"),
    **dict.fromkeys(("kannala_brandt4", "kannala_brandt", "kannalabrandt", "kb4"), "equidistant"),
    **dict.fromkeys(("kannalabrandt8", "kannala_brandt8", "kb"), "equidistant"),
    **dict.fromkeys(("equidistant", "equi", "pinhole_equi", "fisheye"), "equidistant"),
    **dict.fromkeys(("opencv_fisheye", "fisheye_opencv"), "equidistant"),
    **dict.fromkeys(("simple_radial_fisheye", "radial_fisheye"), "equidistant"),
    **dict.fromkeys(("fov", "atan"), "fov"),
}
"""Our name of each model, by the names that programs give it."""

UNSUPPORTED_DISTORTIONS = (
    *("inverse_brown_conrady", "modified_brown_conrady", "ftheta", "f_theta"),
    *("fisheye624", "omnidirectionalstereo_l", "omnidirectionalstereo_r", "vr180_l", "vr180_r"),
)
"""Models that are accepted only if all their coefficients are 0."""

_REALSENSE_MODELS = (
    *("none", "modified_brown_conrady", "inverse_brown_conrady", "ftheta"),
    *("brown_conrady", "kannala_brandt4"),
)
"""Distortions of librealsense in the order of their numbers (``rs2_distortion``)."""

_MODEL_ENTRIES = (
    *("distortion_model", "distortion_type", "dist_model", "distortionModel"),
    *("camera_model", "cam_model", "camera_type", "cameraModel", "cameraType"),
)
"""Entries that name a lens model and nothing else, so that an unknown name is an error."""

_AMBIGUOUS_MODEL_ENTRIES = (
    *("cam_type", "lens_model", "lens_type", "model_type", "projection_model", "projection"),
    *("model", "type", "lens"),
)
"""Entries that may name a lens model or something else, such as the maker's model of a camera."""

_ENTRIES_WITH_OTHER_NUMBERS = ("lens", "type")
"""Entries whose number is not that of a model, but a focal length or an internal type."""

_FISHEYE_FLAGS = ("is_fisheye", "fisheye", "use_fisheye", "isFisheye", "fisheye_model")

_LIST_NAME = re.compile(
    r"(camera|cam|lens|opencv)?(distortions?|distort|disto|dist)"
    r"(coeffs?|coefs?|coefficients?|params?|parameters?|vector|vec)?[01]?"
)
_SHORT_LIST_NAMES = (
    *("d", "d0", "d1", "kc", "coeff", "coeffs", "coef", "coefs", "coefficients"),
    *("lensparams", "lensparameters", "lenscoeffs", "lenscoefficients"),
)
_RADIAL_NAMES = (
    *("radialdistortion", "radial", "radialcoeffs", "radialcoefficients", "radialparams"),
)
_TANGENTIAL_NAMES = (
    *("tangentialdistortion", "tangential", "tangentialcoeffs", "tangentialcoefficients"),
    "tangentialparams",
)
_RADIAL_AND_TANGENTIAL = "radial and tangential"
"""Name, in messages, of coefficients that are written as two lists."""

_OPENCV_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")


@dataclass(frozen=True, slots=True)
class _NamedModel:
    """A lens model as a file names it.

    Attributes:
        model: Our name of the model. It is "none" for a known model that is not supported, which is
            accepted only if all its coefficients are 0.
        name_in_file: Its name in the file; empty if the file names no model.
        is_unsupported: Whether the model is known, but not supported.
    """

    model: str
    name_in_file: str = ""
    is_unsupported: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the file names the model, so that it is not a guess."""
        return bool(self.name_in_file)

    @property
    def has_distortion_model(self) -> bool:
        """Whether it is more than a pinhole, and supported."""
        return self.model not in ("pinhole", "none")


@dataclass(frozen=True, slots=True)
class LensSpec:
    """Lens model and distortion coefficients of a camera.

    Attributes:
        model: pinhole, none, opencv, equidistant or fov, ``NOT_NAMED``, or an unknown name.
        name_in_file: Name of the model as the file writes it.
        coefficients: In the order of OpenCV or of Kannala and Brandt; empty if there are none.
        is_unsupported: Whether the model is known, but not supported.
        list_name: Name of the list of coefficients in the file, for messages.
    """

    model: str
    name_in_file: str
    coefficients: Sequence[Any]
    is_unsupported: bool = False
    list_name: str = "distortion_coeffs"

    @property
    def has_distortion(self) -> bool:
        """Whether a coefficient is not 0."""
        return has_coefficients(self.coefficients)


def read_lens_spec(entries: Mapping[str, Any], location: str, label: str = "") -> LensSpec:
    """Read the lens model and the coefficients of a camera.

    ``label`` are the keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If coefficients are stated twice with different numbers, or their model is not
            clear.
    """
    named_model = _find_named_model(entries, label)
    list_name, listed_coefficients = _find_listed_coefficients(entries, location)
    if isinstance(listed_coefficients, Mapping):
        return _spec_from_mapping(listed_coefficients, list_name, named_model, location)

    if list_name == _RADIAL_AND_TANGENTIAL and not named_model.is_named:
        # Only OpenCV's model has tangential coefficients.
        named_model = _NamedModel("opencv", list_name)
    separate_coefficients = ordered_coefficients(entries, named_model.model)
    if not has_coefficients(listed_coefficients):
        return _spec_from_separate_coefficients(
            entries, separate_coefficients, named_model, location
        )
    if has_coefficients(separate_coefficients):
        raise InputError(
            f"the distortion is given twice, in '{printable(list_name[:40])}' and in k1 to p2: "
            "keep only the correct one",
            path=location,
        )
    return _spec_from_list(listed_coefficients, list_name, named_model, location)


def _spec_from_mapping(
    mapping: Mapping[str, Any], name: str, named_model: _NamedModel, location: str
) -> LensSpec:
    """Read a mapping with a list ``parameters``, or with k1 to p2.

    ``name`` is the mapping's own name, and ``named_model`` the model that the entries beside it
    name. A model that the mapping names itself takes precedence.
    """
    model_in_mapping = _find_named_model(mapping, "")
    if model_in_mapping.is_named:
        named_model = model_in_mapping
    parameters = mapping.get("parameters")
    if has_coefficients(parameters):
        return _spec_from_list(flatten_rows(parameters), name, named_model, location)

    coefficients: Sequence[Any] = []
    if parameters is None:
        coefficients = _read_mapping_coefficients(mapping, name, named_model.model, location)
    return _spec_from_separate_coefficients(mapping, coefficients, named_model, location)


def _spec_from_list(
    coefficients: Sequence[Any], name: str, named_model: _NamedModel, location: str
) -> LensSpec:
    spec = _make_spec(named_model, coefficients, location, is_list=True)
    return replace(spec, list_name=name)


def _spec_from_separate_coefficients(
    entries: Mapping[str, Any], coefficients: Sequence[Any], named_model: _NamedModel, location: str
) -> LensSpec:
    """Make the spec of coefficients that are entries of their own, k1 to p2."""
    spec = _make_spec(named_model, coefficients, location, is_list=False)
    if not named_model.is_named and may_be_fisheye(entries):
        return replace(spec, model=NOT_NAMED)
    return spec


def is_distortion_name(name: str) -> bool:
    """Whether a list or mapping of this name holds coefficients."""
    word = normalize_name(name)
    return _is_list_name(word) or word in (*_RADIAL_NAMES, *_TANGENTIAL_NAMES)


def _is_list_name(word: str) -> bool:
    return _LIST_NAME.fullmatch(word) is not None or word in _SHORT_LIST_NAMES


def has_coefficients(value: Any) -> bool:
    """Whether coefficients, in a list or with ``data``, are not all 0."""
    return any(number not in (0, 0.0, None, "0", "0.0") for number in flatten_rows(value))


def may_be_fisheye(entries: Mapping[str, Any]) -> bool:
    """Whether coefficients without a named model may be those of a fisheye: k1 to k3 alone."""
    if any(name in entries for name in _FISHEYE_FLAGS):
        return False
    if not has_coefficients(entries.get("k3")):
        return False
    if any(has_coefficients(entries.get(name)) for name in ("k4", "k5", "k6", "p1", "p2")):
        return False
    # Files of perspective lenses write p1 and p2, even as 0, and files of fisheyes write k4.
    has_tangential = "p1" in entries or "p2" in entries
    return "k4" in entries or not has_tangential


def lowercase_intrinsic_names(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rename Fx, FX, K1 and the like to lower case, if they are numbers and not matrices."""
    renamed = dict(entries)
    for name, value in entries.items():
        lowercase_name = str(name).lower()
        is_intrinsic = lowercase_name in ("fx", "fy", "cx", "cy", *_OPENCV_COEFFICIENTS)
        if is_intrinsic and lowercase_name != name and is_numeric(value):
            renamed.setdefault(lowercase_name, renamed.pop(name))
    return renamed


def ordered_coefficients(entries: Mapping[str, Any], model: str) -> list[Any]:
    """List the coefficients ``k1`` to ``k6``, ``p1`` and ``p2`` in the order of their model.

    A fisheye has 4 of them, and a perspective lens 4, 5 or 8, as in OpenCV. The list is empty if
    the entries have none.
    """
    if not any(name in entries for name in _OPENCV_COEFFICIENTS):
        return []
    if model == "equidistant":
        return [entries.get(name, 0) for name in _FISHEYE_COEFFICIENTS]

    coefficients = [entries.get(name, 0) for name in _OPENCV_COEFFICIENTS]
    # The first four always count; of the others, those up to the last one that is not 0.
    used_count = 4
    for position, coefficient in enumerate(coefficients, start=1):
        if position > used_count and has_coefficients([coefficient]):
            used_count = position
    full_count = next(count for count in (4, 5, 8) if count >= used_count)
    return [*coefficients[:used_count], *[0] * (full_count - used_count)]


def _find_named_model(entries: Mapping[str, Any], label: str) -> _NamedModel:
    """Find the model that the entries name, or that their keys suggest; by default a pinhole.

    Entries may name several models: "pinhole" in one does not contradict a distortion in another,
    which therefore takes precedence.
    """
    if any(entries.get(name) in (True, 1, "1", "true") for name in _FISHEYE_FLAGS):
        return _NamedModel("equidistant", "fisheye")

    candidates = [
        _parse_model_entry(name, entries)
        for name in (*_MODEL_ENTRIES, *_AMBIGUOUS_MODEL_ENTRIES)
        if name in entries
    ]
    named_models = [model for model in candidates if model is not None]
    by_precedence = [
        *(model for model in named_models if model.has_distortion_model),
        *(model for model in named_models if model.is_unsupported),
        *named_models,
    ]
    if by_precedence:
        return by_precedence[0]
    if "fisheye" in label.lower():
        return _NamedModel("equidistant", "fisheye")
    return _NamedModel("pinhole")


def _parse_model_entry(entry_name: str, entries: Mapping[str, Any]) -> _NamedModel | None:
    """Parse the lens model that one of a camera's entries names; None if it names none.

    Programs name a model by a word, such as ``plumb_bob``, or librealsense by a number.
    """
    value = entries[entry_name]
    number = _parse_model_number(value)
    if number is not None and entry_name not in _ENTRIES_WITH_OTHER_NUMBERS:
        return _model_from_number(number, entries)
    if isinstance(value, str) and value.strip():
        return _model_from_word(value, accepts_unknown=entry_name in _MODEL_ENTRIES)
    return None


def _model_from_word(name_in_file: str, *, accepts_unknown: bool) -> _NamedModel | None:
    """Return the model with a name; None for an unknown name, unless unknown ones are accepted.

    An unknown model is refused later, if its camera is read, with its name in the message.
    """
    word = _normalize_model(name_in_file)
    if word in UNSUPPORTED_DISTORTIONS:
        return _NamedModel("none", name_in_file, is_unsupported=True)
    if word in _MODELS:
        return _NamedModel(_MODELS[word], name_in_file)
    if accepts_unknown:
        return _NamedModel(name_in_file.lower(), name_in_file)
    return None


def _normalize_model(value: str) -> str:
    """Return the name of a lens model in lower case, with underscores between its words.

    RealSense's Python writes ``<distortion.ftheta: 3>``, for example, which becomes ``ftheta``.
    """
    word = value.lower().strip("<> ").partition(":")[0]
    word = word.removeprefix("distortion.").removeprefix("rs2_distortion_")
    return word.replace(" ", "_").replace("-", "_").strip("_")


def _parse_model_number(value: Any) -> int | None:
    """Parse a model that is identified by a number; None if it is a name."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 4:
        return int(value)
    if is_number(value) and 0 <= value < 1000 and value == int(value):
        return int(value)
    return None


def _model_from_number(number: int, entries: Mapping[str, Any]) -> _NamedModel:
    """Return the model with a number, which is known only for cameras of librealsense."""
    is_realsense = any(name in entries for name in ("ppx", "ppy", "coeffs"))
    if not is_realsense or number >= len(_REALSENSE_MODELS):
        return _NamedModel("none", f"number {number}", is_unsupported=True)

    word = _REALSENSE_MODELS[number]
    name_in_file = f"{word} (number {number} of librealsense)"
    if word in UNSUPPORTED_DISTORTIONS:
        return _NamedModel("none", name_in_file, is_unsupported=True)
    return _NamedModel(_MODELS[word], name_in_file)


def _find_listed_coefficients(entries: Mapping[str, Any], location: str) -> tuple[str, Any]:
    """Find the coefficients that are a list or a mapping, with their name.

    A radial and a tangential list count as one list in OpenCV's order.

    Returns:
        Name and value, which is flat if it is a list; ("", None) if there are none.

    Raises:
        InputError: If there are several that differ.
    """
    lists = {
        str(name): value
        for name, value in entries.items()
        if _is_list_name(normalize_name(str(name))) and isinstance(value, list | Mapping)
    }
    radial_and_tangential = _join_radial_and_tangential(entries)
    if radial_and_tangential is not None:
        lists[_RADIAL_AND_TANGENTIAL] = radial_and_tangential
    if not lists:
        return "", None

    # A list with numbers takes precedence over lists of zeros and empty ones.
    nonzero_names = [name for name, value in lists.items() if value and _has_nonzero_number(value)]
    if nonzero_names:
        _check_lists_agree(lists, location)
    chosen_name = [*nonzero_names, *lists][0]
    chosen = lists[chosen_name]
    if isinstance(chosen, Mapping) and not isinstance(chosen.get("data"), list):
        return chosen_name, chosen
    return chosen_name, flatten_rows(chosen)


def _check_lists_agree(lists: Mapping[str, Any], location: str) -> None:
    """Check that all lists of coefficients that are not empty are equal."""
    (first_name, first_list), *others = [(name, value) for name, value in lists.items() if value]
    for name, value in others:
        is_equal = flatten_rows(value) == flatten_rows(first_list)
        if not is_equal or isinstance(value, Mapping) != isinstance(first_list, Mapping):
            raise InputError(
                f"the distortion is given twice, in '{printable(first_name[:40])}' and in "
                f"'{printable(name[:40])}': keep only the correct one",
                path=location,
            )


def _has_nonzero_number(value: Any) -> bool:
    if isinstance(value, Mapping) and not isinstance(value.get("data"), list):
        return any(_has_nonzero_number(child) for child in value.values())
    return any(is_numeric(number) and float(number) for number in flatten_rows(value))


def _join_radial_and_tangential(entries: Mapping[str, Any]) -> list[Any] | None:
    """Join a radial and a tangential list in OpenCV's order (k1, k2, p1, p2, k3).

    Return None if there is no radial list of 2 or 3 numbers.
    """
    lists = {
        normalize_name(str(name)): value
        for name, value in entries.items()
        if isinstance(value, list)
    }
    radial = next((lists[name] for name in _RADIAL_NAMES if name in lists), None)
    tangential = next((lists[name] for name in _TANGENTIAL_NAMES if name in lists), None)
    if radial is None or not 2 <= len(radial) <= 3:
        return None
    if tangential is None or len(tangential) != 2:
        tangential = [0, 0]
    return [*radial[:2], *tangential, *radial[2:]]


def _read_mapping_coefficients(
    mapping: Mapping[str, Any], name: str, model: str, location: str
) -> list[Any]:
    """Read the coefficients ``k1`` to ``p2`` of a mapping; ``name`` is the mapping's own name."""
    coefficients = ordered_coefficients(mapping, model)
    if _has_nonzero_number(mapping) and not has_coefficients(coefficients):
        raise unsupported_distortion_error(name, location)
    return coefficients


def unsupported_distortion_error(name: str, location: str) -> InputError:
    """Return the error for an entry that is a distortion in an unsupported form."""
    return InputError(
        f"'{printable(name[:40])}' gives the distortion in an unsupported form: write it as "
        "'distortion_coefficients: [k1, k2, p1, p2]' or as k1, k2, p1 and p2",
        path=location,
    )


def _make_spec(
    named_model: _NamedModel, coefficients: Sequence[Any], location: str, *, is_list: bool
) -> LensSpec:
    """Combine model and coefficients; if no model is named, choose the one that fits them."""
    if not has_coefficients(coefficients):
        return LensSpec(named_model.model, named_model.name_in_file, [], named_model.is_unsupported)
    if named_model.model == "none" and not named_model.is_unsupported:
        raise InputError(
            f"the distortion model is '{printable(named_model.name_in_file[:40])}', but the "
            "coefficients are not 0: name the model of the coefficients, or remove them",
            path=location,
        )
    if not named_model.is_named and not is_list:
        _check_not_ambiguous(coefficients, location)

    model = named_model.model
    if model == "pinhole":
        # A pinhole has no distortion, so the coefficients belong to OpenCV's model. Four of them in
        # a list may also be those of a fisheye.
        has_four = len(flatten_rows(coefficients)) == 4
        is_ambiguous = is_list and not named_model.is_named and has_four
        model = NOT_NAMED if is_ambiguous else "opencv"
    return LensSpec(model, named_model.name_in_file, coefficients, named_model.is_unsupported)


def _check_not_ambiguous(coefficients: Sequence[Any], location: str) -> None:
    """Check that coefficients in OpenCV's order are not k1 to k4 alone.

    A fisheye and a perspective lens both have these four, with different meanings.
    """
    if len(coefficients) != 8:
        return
    _, _, p1, p2, _, k4, k5, k6 = coefficients
    if has_coefficients([k4]) and not has_coefficients([p1, p2, k5, k6]):
        raise InputError(
            "the file has k1 to k4 but no camera model: add 'camera_model: OPENCV_FISHEYE', or "
            "'camera_model: FULL_OPENCV' if they belong to OpenCV's perspective model",
            path=location,
        )
