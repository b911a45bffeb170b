"""Lens model and coefficients that stand beside a camera's intrinsics, under any of their names.

A name of a model may stand in many places (``distortion_model``, ``camera_type``, or
``fisheye: true``), and coefficients are a list, a mapping, single numbers ``k1`` to ``p2``, or a
radial and a tangential list. What is stated twice has to agree.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rilievo.errors import InputError
from rilievo.io.files.names import printable

NOT_NAMED = "radtan, not named"
"""Model of four coefficients in a list, or of k1 to k3, if none is named.

OpenCV's perspective one is meant, and they may be those of a fisheye.
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
_STRICT_NAMES = (
    *("distortion_model", "distortion_type", "dist_model", "distortionModel"),
    *("camera_model", "cam_model", "camera_type", "cameraModel", "cameraType"),
)
"""Places of a model's name in which an unknown one is refused."""
_LOOSE_NAMES = (
    *("cam_type", "lens_model", "lens_type", "model_type", "projection_model", "projection"),
    *("model", "type", "lens"),
)
_FISHEYE_FLAGS = ("is_fisheye", "fisheye", "use_fisheye", "isFisheye", "fisheye_model")
_LIST_NAME = re.compile(
    r"(camera|cam|lens|opencv)?(distortions?|distort|disto|dist)"
    r"(coeffs?|coefs?|coefficients?|params?|parameters?|vector|vec)?[01]?"
)
_LIST_WORDS = (
    *("d", "d0", "d1", "kc", "coeff", "coeffs", "coef", "coefs", "coefficients"),
    *("lensparams", "lensparameters", "lenscoeffs", "lenscoefficients"),
)
_RADIAL = ("radialdistortion", "radial", "radialcoeffs", "radialcoefficients", "radialparams")
_TANGENTIAL = (
    *("tangentialdistortion", "tangential", "tangentialcoeffs", "tangentialcoefficients"),
    "tangentialparams",
)
_BOTH_LISTS = "radial and tangential"
_SINGLE = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")


class _NamedModel(NamedTuple):
    """Model, its name in the file, and whether it is known and not read."""

    model: str
    shown: str = ""
    is_unread: bool = False


class LensStatement(NamedTuple):
    """Lens that stands beside intrinsics.

    Attributes:
        model: pinhole, none, opencv, equidistant or fov, ``NOT_NAMED``, or a name that is not read.
        shown: Name as the file has it.
        coefficients: In the order of OpenCV or of Kannala and Brandt; [] without any.
        is_unread: Whether the model is known and not read.
        name: Name of the coefficients in the file, if they are a list.
    """

    model: str
    shown: str
    coefficients: Sequence[Any]
    is_unread: bool = False
    name: str = "distortion_coeffs"

    @property
    def bends(self) -> bool:
        """Whether a coefficient is not 0."""
        return has_numbers(self.coefficients)


def read_statement(entries: Mapping[str, Any], place: str, label: str = "") -> LensStatement:
    """Lens of a camera's entries; ``label`` is its place in the file, which may say fisheye.

    Raises:
        InputError: If coefficients are stated twice with different numbers, or their model is not
            clear.
    """
    named = _model_of_entries(entries, label)
    name, listed = _listed_coefficients(entries, place)
    if name == _BOTH_LISTS and not named.shown:
        named = _NamedModel("opencv", name)
    single: Sequence[Any] = []
    by_name = listed if isinstance(listed, Mapping) else entries
    if isinstance(listed, Mapping):
        own = _model_of_entries(listed, "")
        named = own if own.shown else named
        listed, single = _coefficients_of_mapping(listed, name, named.model, place)
    else:
        single = _single_coefficients(entries, named.model)
    if has_numbers(listed) and has_numbers(single):
        raise InputError(
            f"states its distortion twice, in '{printable(name[:40])}' and in k1 to p2: keep the "
            "one that holds",
            path=place,
        )
    if has_numbers(listed):
        return _checked_statement(named, listed, place, is_list=True)._replace(name=name)
    statement = _checked_statement(named, single, place, is_list=False)
    if not named.shown and may_be_fisheye(by_name):
        return statement._replace(model=NOT_NAMED)
    return statement


def _checked_statement(
    named: _NamedModel, coefficients: Sequence[Any], place: str, *, is_list: bool
) -> LensStatement:
    """Statement whose model fits its coefficients."""
    if not has_numbers(coefficients):
        return LensStatement(named.model, named.shown, [], named.is_unread)
    if named.model == "none" and not named.is_unread:
        raise InputError(
            f"names the model '{printable(named.shown[:40])}' and has coefficients that are not "
            "0: name their model, or remove them",
            path=place,
        )
    if not named.shown and not is_list:
        _refuse_ambiguous_coefficients(coefficients, place)
    model = named.model
    if model == "pinhole":
        is_ambiguous = is_list and not named.shown and len(_flat(coefficients)) == 4
        model = NOT_NAMED if is_ambiguous else "opencv"
    return LensStatement(model, named.shown, coefficients, named.is_unread)


def _coefficients_of_mapping(
    own: Mapping[str, Any], name: str, model: str, place: str
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Coefficients of a mapping as a list (``parameters``), and as single numbers."""
    parameters = own.get("parameters")
    if parameters is not None:
        return _flat(parameters), []
    single = _single_coefficients(own, model)
    if _has_any_number(own) and not has_numbers(single):
        raise InputError(
            f"has '{printable(name[:40])}', a distortion in a form that is not read: write it as "
            "'distortion_coefficients: [k1, k2, p1, p2]' or as k1, k2, p1 and p2",
            path=place,
        )
    return [], single


def is_distortion_name(name: str) -> bool:
    """Whether a list or mapping of this name is read as coefficients."""
    word = _word(name)
    return bool(_LIST_NAME.fullmatch(word)) or word in (*_LIST_WORDS, *_RADIAL, *_TANGENTIAL)


def has_numbers(bend: Any) -> bool:
    """Whether coefficients, in a list or with ``data``, are not all 0."""
    return any(number not in (0, 0.0, None, "0", "0.0") for number in _flat(bend))


def may_be_fisheye(entries: Mapping[str, Any]) -> bool:
    """Whether coefficients without a model are k1 to k3 alone, which a fisheye has as well."""
    if any(name in entries for name in _FISHEYE_FLAGS):
        return False
    if not has_numbers(entries.get("k3")):
        return False
    if any(has_numbers(entries.get(name)) for name in ("k4", "k5", "k6", "p1", "p2")):
        return False
    # A perspective lens states p1 and p2, and only fisheyes state a fourth coefficient as well.
    is_perspective = "p1" in entries or "p2" in entries
    return "k4" in entries or not is_perspective


def with_small_letters(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Entries in which Fx, FX, K1 and the like have small letters, if they are numbers."""
    read = dict(entries)
    for name, value in entries.items():
        small = str(name).lower()
        if small in ("fx", "fy", "cx", "cy", *_SINGLE) and small != name and is_number(value):
            read.setdefault(small, read.pop(name))
    return read


def _word(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_number(value: Any) -> bool:
    """Whether an entry is a number, or a text that is one."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(bend: Any) -> list[Any]:
    rows = bend.get("data") if isinstance(bend, Mapping) else bend
    rows = rows if isinstance(rows, list | tuple) else [rows]
    return [number for row in rows for number in (row if isinstance(row, list) else [row])]


def _model_of_entries(entries: Mapping[str, Any], label: str) -> _NamedModel:
    """Model by the names of these entries, or by their place in the file."""
    if any(entries.get(name) in (True, 1, "1", "true") for name in _FISHEYE_FLAGS):
        return _NamedModel("equidistant", "fisheye")
    found: list[_NamedModel] = []
    for name in (*_STRICT_NAMES, *_LOOSE_NAMES):
        value = entries.get(name)
        number = _model_number(value)
        if number is not None and name not in ("lens", "type"):
            found.append(_numbered_model(number, entries))
        elif isinstance(value, str) and value.strip():
            word = _model_word(value)
            if word in UNREAD_DISTORTIONS:
                found.append(_NamedModel("none", value, is_unread=True))
            elif word in _MODELS:
                found.append(_NamedModel(_MODELS[word], value))
            elif name in _STRICT_NAMES:
                found.append(_NamedModel(value.lower(), value))
    if found:
        # "pinhole" says nothing about a distortion that another entry names.
        telling = (each for each in found if each.model not in ("pinhole", "none"))
        unread = (each for each in found if each.is_unread)
        return next(telling, next(unread, found[0]))
    if "fisheye" in label.lower():
        return _NamedModel("equidistant", "fisheye")
    return _NamedModel("pinhole")


def _model_word(value: str) -> str:
    """Name of a lens model in small letters; "<distortion.ftheta: 3>" is Python's of RealSense."""
    word = value.lower().strip("<> ").partition(":")[0]
    word = word.removeprefix("distortion.").removeprefix("rs2_distortion_")
    return word.replace(" ", "_").replace("-", "_").strip("_")


def _model_number(value: Any) -> int | None:
    """Number that a model is named by; None for names."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 4:
        return int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1000 and value == int(value) else None


def _numbered_model(number: int, entries: Mapping[str, Any]) -> _NamedModel:
    is_realsense = any(name in entries for name in ("ppx", "ppy", "coeffs"))
    if not is_realsense or number >= len(_REALSENSE_MODELS):
        return _NamedModel("none", f"number {number}", is_unread=True)
    word = _REALSENSE_MODELS[number]
    shown = f"{word} (number {number} of librealsense)"
    if word in UNREAD_DISTORTIONS:
        return _NamedModel("none", shown, is_unread=True)
    return _NamedModel(_MODELS[word], shown)


def _listed_coefficients(entries: Mapping[str, Any], place: str) -> tuple[str, Any]:
    """Name and value of coefficients in a list or a mapping; None as the value without one."""
    found: dict[str, Any] = {}
    for name, value in entries.items():
        word = _word(str(name))
        is_list = bool(_LIST_NAME.fullmatch(word)) or word in _LIST_WORDS
        if is_list and isinstance(value, list | Mapping):
            found[str(name)] = value
    radial = _radial_and_tangential(entries)
    if radial is not None:
        found[_BOTH_LISTS] = radial
    if not found:
        return "", None
    stated = [(name, value) for name, value in found.items() if value]
    distinct = [(name, value) for name, value in stated if _has_any_number(value)]
    for name, value in stated[1:] if distinct else []:
        first_name, first = stated[0]
        if _flat(value) != _flat(first) or isinstance(value, Mapping) != isinstance(first, Mapping):
            raise InputError(
                f"states its distortion twice, in '{printable(first_name[:40])}' and in "
                f"'{printable(name[:40])}': keep the one that holds",
                path=place,
            )
    name, value = distinct[0] if distinct else next(iter(found.items()))
    if isinstance(value, Mapping) and not isinstance(value.get("data"), list):
        return name, value
    return name, _flat(value)


def _has_any_number(value: Any) -> bool:
    if isinstance(value, Mapping) and not isinstance(value.get("data"), list):
        return any(_has_any_number(child) for child in value.values())
    return any(is_number(number) and float(number) for number in _flat(value))


def _radial_and_tangential(entries: Mapping[str, Any]) -> list[Any] | None:
    """Coefficients in OpenCV's order of a radial and a tangential list; None without a radial."""
    by_word = {_word(str(name)): value for name, value in entries.items()}
    radial = next((by_word[word] for word in _RADIAL if isinstance(by_word.get(word), list)), None)
    tangential = next(
        (by_word[word] for word in _TANGENTIAL if isinstance(by_word.get(word), list)), None
    )
    if radial is None or not 2 <= len(radial) <= 3:
        return None
    tangential = tangential if tangential is not None and len(tangential) == 2 else [0, 0]
    return [*radial[:2], *tangential, *radial[2:]]


def _single_coefficients(entries: Mapping[str, Any], model: str) -> list[Any]:
    """Coefficients k1 to k6, p1 and p2 as a list in the model's order; [] without one."""
    if not any(name in entries for name in _SINGLE):
        return []
    names: Sequence[str] = ("k1", "k2", "k3", "k4")
    if model != "equidistant":
        names = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    numbers = [entries.get(name, 0) for name in names]
    while len(numbers) > 4 and not has_numbers(numbers[4:][-1:]):
        numbers.pop()
    # OpenCV has 4, 5 or 8 coefficients.
    return numbers + [0] * (8 - len(numbers) if len(numbers) > 5 else 0)


def _refuse_ambiguous_coefficients(coefficients: Sequence[Any], place: str) -> None:
    """Refuse k1 to k4 alone, which a fisheye and a perspective lens have with other meanings."""
    has_only_k4 = len(coefficients) == 8 and has_numbers(coefficients[5:6])
    if has_only_k4 and not has_numbers([*coefficients[2:4], *coefficients[6:]]):
        raise InputError(
            "has k1 to k4 and names no model: add 'camera_model: OPENCV_FISHEYE', or "
            "'camera_model: FULL_OPENCV' if they are OpenCV's perspective ones",
            path=place,
        )
