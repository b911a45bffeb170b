"""Lens model and coefficients that stand beside a camera's intrinsics, under any of their names.

A name of a model may stand in many entries (``distortion_model``, ``camera_type``, or
``fisheye: true``), and coefficients are a list, a mapping, single numbers ``k1`` to ``p2``, or a
radial and a tangential list. What is stated twice has to agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import flat_list, is_number, is_numeric, simplified_name
from rilievo.io.files.names import printable

NOT_NAMED = "radtan, not named"
"""Model of four coefficients in a list, or of k1 to k3, if none is named.

They are read as OpenCV's perspective ones, although they may be those of a fisheye.
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

UNREAD_DISTORTIONS = (
    *("inverse_brown_conrady", "modified_brown_conrady", "ftheta", "f_theta"),
    *("fisheye624", "omnidirectionalstereo_l", "omnidirectionalstereo_r", "vr180_l", "vr180_r"),
)
"""Distortions that are read only if all their coefficients are 0."""

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
"""What stands for the name of coefficients that are two lists."""

_OPENCV_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")


@dataclass(frozen=True, slots=True)
class _NamedModel:
    """A lens model, its name in the file if it has one, and whether it is known but not read."""

    model: str
    shown: str = ""
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class LensStatement:
    """Lens that stands beside intrinsics.

    Attributes:
        model: pinhole, none, opencv, equidistant or fov, ``NOT_NAMED``, or a name that is not read.
        shown: Name as the file has it.
        coefficients: In the order of OpenCV or of Kannala and Brandt; [] without any.
        is_unread: Whether the model is known and not read.
        list_name: Name of the coefficients in the file, if they are a list.
    """

    model: str
    shown: str
    coefficients: Sequence[Any]
    is_unread: bool = False
    list_name: str = "distortion_coeffs"

    @property
    def has_distortion(self) -> bool:
        """Whether a coefficient is not 0."""
        return has_coefficients(self.coefficients)


def read_statement(entries: Mapping[str, Any], location: str, label: str = "") -> LensStatement:
    """Read the lens that a camera's entries state.

    Args:
        entries: Entries of the camera.
        location: File, and the camera in it, for messages.
        label: Keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If coefficients are stated twice with different numbers, or their model is not
            clear.
    """
    named = _named_model(entries, label)
    list_name, listed = _listed_coefficients(entries, location)
    if isinstance(listed, Mapping):
        return _statement_of_mapping(listed, list_name, named, location)

    if list_name == _RADIAL_AND_TANGENTIAL and not named.shown:
        named = _NamedModel("opencv", list_name)
    single = single_coefficients(entries, named.model)
    if not has_coefficients(listed):
        return _statement_of_single(entries, single, named, location)
    if has_coefficients(single):
        raise InputError(
            f"states its distortion twice, in '{printable(list_name[:40])}' and in k1 to p2: keep "
            "the one that holds",
            path=location,
        )
    return _statement_of_list(listed, list_name, named, location)


def _statement_of_mapping(
    mapping: Mapping[str, Any], name: str, named: _NamedModel, location: str
) -> LensStatement:
    """Statement of a mapping of ``parameters``, or of k1 to p2, which may name a model itself."""
    model_of_mapping = _named_model(mapping, "")
    if model_of_mapping.shown:
        named = model_of_mapping
    parameters = mapping.get("parameters")
    if parameters is None:
        single = _coefficients_of_mapping(mapping, name, named.model, location)
        return _statement_of_single(mapping, single, named, location)
    if has_coefficients(parameters):
        return _statement_of_list(flat_list(parameters), name, named, location)
    return _statement_of_single(mapping, [], named, location)


def _statement_of_list(
    coefficients: Sequence[Any], name: str, named: _NamedModel, location: str
) -> LensStatement:
    statement = _checked_statement(named, coefficients, location, is_list=True)
    return replace(statement, list_name=name)


def _statement_of_single(
    entries: Mapping[str, Any], coefficients: Sequence[Any], named: _NamedModel, location: str
) -> LensStatement:
    """Statement of the coefficients k1 to p2 among entries."""
    statement = _checked_statement(named, coefficients, location, is_list=False)
    if not named.shown and may_be_fisheye(entries):
        return replace(statement, model=NOT_NAMED)
    return statement


def is_distortion_name(name: str) -> bool:
    """Whether a list or mapping of this name is read as coefficients."""
    word = simplified_name(name)
    return _is_list_name(word) or word in (*_RADIAL_NAMES, *_TANGENTIAL_NAMES)


def _is_list_name(word: str) -> bool:
    return _LIST_NAME.fullmatch(word) is not None or word in _SHORT_LIST_NAMES


def has_coefficients(value: Any) -> bool:
    """Whether coefficients, in a list or with ``data``, are not all 0."""
    return any(number not in (0, 0.0, None, "0", "0.0") for number in flat_list(value))


def may_be_fisheye(entries: Mapping[str, Any]) -> bool:
    """Whether coefficients without a model are k1 to k3 alone, which a fisheye has as well."""
    if any(name in entries for name in _FISHEYE_FLAGS):
        return False
    if not has_coefficients(entries.get("k3")):
        return False
    if any(has_coefficients(entries.get(name)) for name in ("k4", "k5", "k6", "p1", "p2")):
        return False
    # A perspective lens states p1 and p2, and only fisheyes state a fourth coefficient as well.
    is_perspective = "p1" in entries or "p2" in entries
    return "k4" in entries or not is_perspective


def with_small_letters(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Entries in which Fx, FX, K1 and the like have small letters, if they are numbers."""
    renamed = dict(entries)
    for name, value in entries.items():
        small = str(name).lower()
        is_number_name = small in ("fx", "fy", "cx", "cy", *_OPENCV_COEFFICIENTS)
        if is_number_name and small != name and is_numeric(value):
            renamed.setdefault(small, renamed.pop(name))
    return renamed


def single_coefficients(entries: Mapping[str, Any], model: str) -> list[Any]:
    """Coefficients ``k1`` to ``k6``, ``p1`` and ``p2`` in the model's order; [] without any.

    There are 4 for a fisheye, and 4, 5 or 8 for a perspective lens, as in OpenCV.
    """
    if not any(name in entries for name in _OPENCV_COEFFICIENTS):
        return []
    if model == "equidistant":
        return [entries.get(name, 0) for name in _FISHEYE_COEFFICIENTS]

    numbers = [entries.get(name, 0) for name in _OPENCV_COEFFICIENTS]
    while len(numbers) > 4 and not has_coefficients(numbers[-1:]):
        numbers.pop()
    if len(numbers) > 5:
        numbers += [0] * (8 - len(numbers))
    return numbers


def _named_model(entries: Mapping[str, Any], label: str) -> _NamedModel:
    """Model that entries name, or else their keys in the file; a pinhole if none does."""
    if any(entries.get(name) in (True, 1, "1", "true") for name in _FISHEYE_FLAGS):
        return _NamedModel("equidistant", "fisheye")

    candidates = [
        _model_of_value(name, entries)
        for name in (*_MODEL_ENTRIES, *_AMBIGUOUS_MODEL_ENTRIES)
        if name in entries
    ]
    models = [model for model in candidates if model is not None]
    # "pinhole" says nothing about a distortion that another entry names.
    for model in models:
        if model.model not in ("pinhole", "none"):
            return model
    for model in models:
        if model.is_unread:
            return model
    if models:
        return models[0]
    if "fisheye" in label.lower():
        return _NamedModel("equidistant", "fisheye")
    return _NamedModel("pinhole")


def _model_of_value(name: str, entries: Mapping[str, Any]) -> _NamedModel | None:
    """Model that one entry names by a number or a word; None if it names none."""
    value = entries[name]
    number = _model_number(value)
    if number is not None and name not in ("lens", "type"):
        return _numbered_model(number, entries)
    if not isinstance(value, str) or not value.strip():
        return None

    word = _model_word(value)
    if word in UNREAD_DISTORTIONS:
        return _NamedModel("none", value, is_unread=True)
    if word in _MODELS:
        return _NamedModel(_MODELS[word], value)
    if name in _MODEL_ENTRIES:
        return _NamedModel(value.lower(), value)
    return None


def _model_word(value: str) -> str:
    """Name of a lens model in small letters, with underscores between its words.

    RealSense's Python writes ``<distortion.ftheta: 3>``, of which ``ftheta`` is the name.
    """
    word = value.lower().strip("<> ").partition(":")[0]
    word = word.removeprefix("distortion.").removeprefix("rs2_distortion_")
    return word.replace(" ", "_").replace("-", "_").strip("_")


def _model_number(value: Any) -> int | None:
    """Number that a model is named by; None for names."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 4:
        return int(value)
    if is_number(value) and 0 <= value < 1000 and value == int(value):
        return int(value)
    return None


def _numbered_model(number: int, entries: Mapping[str, Any]) -> _NamedModel:
    is_realsense = any(name in entries for name in ("ppx", "ppy", "coeffs"))
    if not is_realsense or number >= len(_REALSENSE_MODELS):
        return _NamedModel("none", f"number {number}", is_unread=True)

    word = _REALSENSE_MODELS[number]
    shown = f"{word} (number {number} of librealsense)"
    if word in UNREAD_DISTORTIONS:
        return _NamedModel("none", shown, is_unread=True)
    return _NamedModel(_MODELS[word], shown)


def _listed_coefficients(entries: Mapping[str, Any], location: str) -> tuple[str, Any]:
    """Name and value of coefficients in a list or a mapping; ("", None) without any.

    Raises:
        InputError: If two lists differ.
    """
    lists = {
        str(name): value
        for name, value in entries.items()
        if _is_list_name(simplified_name(str(name))) and isinstance(value, list | Mapping)
    }
    radial_and_tangential = _radial_and_tangential(entries)
    if radial_and_tangential is not None:
        lists[_RADIAL_AND_TANGENTIAL] = radial_and_tangential
    if not lists:
        return "", None

    # Lists of zeros, and empty ones, go after a list with numbers.
    nonzero = [name for name, value in lists.items() if value and _has_nonzero_number(value)]
    if nonzero:
        _refuse_contradicting_lists(lists, location)
    name = nonzero[0] if nonzero else next(iter(lists))
    value = lists[name]
    if isinstance(value, Mapping) and not isinstance(value.get("data"), list):
        return name, value
    return name, flat_list(value)


def _refuse_contradicting_lists(lists: Mapping[str, Any], location: str) -> None:
    (first_name, first), *others = [(name, value) for name, value in lists.items() if value]
    for name, value in others:
        is_equal = flat_list(value) == flat_list(first)
        if not is_equal or isinstance(value, Mapping) != isinstance(first, Mapping):
            raise InputError(
                f"states its distortion twice, in '{printable(first_name[:40])}' and in "
                f"'{printable(name[:40])}': keep the one that holds",
                path=location,
            )


def _has_nonzero_number(value: Any) -> bool:
    if isinstance(value, Mapping) and not isinstance(value.get("data"), list):
        return any(_has_nonzero_number(child) for child in value.values())
    return any(is_numeric(number) and float(number) for number in flat_list(value))


def _radial_and_tangential(entries: Mapping[str, Any]) -> list[Any] | None:
    """Coefficients in OpenCV's order of a radial and a tangential list; None without a radial."""
    lists = {
        simplified_name(str(name)): value
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


def _coefficients_of_mapping(
    mapping: Mapping[str, Any], name: str, model: str, location: str
) -> list[Any]:
    """Coefficients of a mapping of single numbers ``k1`` to ``p2``; ``name`` is the mapping's."""
    single = single_coefficients(mapping, model)
    if _has_nonzero_number(mapping) and not has_coefficients(single):
        raise unread_distortion_error(name, location)
    return single


def unread_distortion_error(name: str, location: str) -> InputError:
    """Error for an entry that is a distortion in a form that is not read."""
    return InputError(
        f"has '{printable(name[:40])}', a distortion in a form that is not read: write it as "
        "'distortion_coefficients: [k1, k2, p1, p2]' or as k1, k2, p1 and p2",
        path=location,
    )


def _checked_statement(
    named: _NamedModel, coefficients: Sequence[Any], location: str, *, is_list: bool
) -> LensStatement:
    """Statement of a model and coefficients; a model without a name is chosen to fit them."""
    if not has_coefficients(coefficients):
        return LensStatement(named.model, named.shown, [], named.is_unread)
    if named.model == "none" and not named.is_unread:
        raise InputError(
            f"names the model '{printable(named.shown[:40])}' and has coefficients that are not "
            "0: name their model, or remove them",
            path=location,
        )
    if not named.shown and not is_list:
        _refuse_ambiguous_coefficients(coefficients, location)

    model = named.model
    if model == "pinhole":
        is_ambiguous = is_list and not named.shown and len(flat_list(coefficients)) == 4
        model = NOT_NAMED if is_ambiguous else "opencv"
    return LensStatement(model, named.shown, coefficients, named.is_unread)


def _refuse_ambiguous_coefficients(coefficients: Sequence[Any], location: str) -> None:
    """Refuse k1 to k4 alone, which a fisheye and a perspective lens have with other meanings.

    The coefficients are in OpenCV's order.
    """
    if len(coefficients) != 8:
        return
    _, _, p1, p2, _, k4, k5, k6 = coefficients
    if has_coefficients([k4]) and not has_coefficients([p1, p2, k5, k6]):
        raise InputError(
            "has k1 to k4 and names no model: add 'camera_model: OPENCV_FISHEYE', or "
            "'camera_model: FULL_OPENCV' if they are OpenCV's perspective ones",
            path=location,
        )
