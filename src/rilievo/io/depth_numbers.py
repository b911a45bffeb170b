"""Numbers of depth in other programs' files: what they mean, by statement or guess."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import AnyPlane, Shaped, Values
from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz, read_map
from rilievo.io.outputs.sidecar import Sidecar, camera_from_facts, parse_sidecar
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.records.depth_map import DepthKind

UNITS: Mapping[str, float] = {
    name: metres
    for metres, names in (
        (1.0, "m meter meters metre metres"),
        (1e-2, "cm centimeter centimeters centimetre centimetres"),
        (1e-3, "mm millimeter millimeters millimetre millimetres"),
        (1e-6, "um micrometer micrometers micrometre micrometres"),
        (1e3, "km kilometer kilometers kilometre kilometres"),
        (0.0254, "in inch inches"),
        (0.3048, "ft foot feet"),
    )
    for name in names.split()
}
DISTANCE, DISPARITY = "distance", "disparity"
"""Further kinds: along the ray, and of two views [px]."""
_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY)
_ARBITRARY = ("arbitrary", "relative", "up to scale", "none", "unitless")
_RANGES = (
    ("minimum", "maximum"),
    ("min", "max"),
    ("depth_min", "depth_max"),
    ("min_depth", "max_depth"),
    ("z_min", "z_max"),
)

# Names of metres of a count, or counts of a metre.
_COUNTS = ("depth_scale", "integer_depth_scale", "depth_factor", "scale_factor")
_KNOWN_NAMES = {"near", "far", "unit", "kind", "scale", *_COUNTS, *(n for r in _RANGES for n in r)}
_LOGARITHM_STEPS = 65533

# MoGe's numbers without meaning, and without surface.
_UNKNOWN, _INFINITE = 0, 65535
_MAIN = ("depth", "depth_map", "depths", "arr_0")
FARTHEST = 500.0
"""Largest plausible mean or median [m]; the least is ``NEAREST``."""
NEAREST = 0.2
TOO_FAR = (
    f"true depth is above {FARTHEST:g} m in the middle: it looks like millimetres or raw counts "
    "read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {NEAREST * 100:g} cm in the middle: it looks like centimetres read as "
    "millimetres, or metres that were divided once too often; check the scale"
)

# A whole number of a larger share of pixels is no measurement.
COMMON = 1 / 20


class FactOrigin(StrEnum):
    """Origin of a fact."""

    STATED = "stated"
    GIVEN = "given"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFact:
    """Fact about numbers: scale, kind, invalid, size or camera."""

    name: str
    value: str
    origin: FactOrigin
    place: str

    def __str__(self) -> str:
        return f"{self.value} ({self.place})"


NOTHING_SAYS = "nothing says otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """Meaning of a file's numbers: facts, doubts, and range [m]."""

    facts: tuple[NumberFact, ...] = ()
    doubts: tuple[str, ...] = ()
    near: float | None = None
    far: float | None = None

    @property
    def scales(self) -> tuple[NumberFact, ...]:
        """Facts about the unit of the numbers."""
        return tuple(fact for fact in self.facts if fact.name == "scale")

    @property
    def unit_and_range(self) -> str:
        """Unit and range in words."""
        words = "; ".join(dict.fromkeys(fact.value for fact in self.scales))
        unit = "" if any("up to scale" in fact.value for fact in self.scales) else " m"
        span = "" if self.near is None else f": {self.near:.3g} to {self.far:.3g}{unit}"
        return f"read as {words}{span}"

    @property
    def summary_line(self) -> str | None:
        """Unit, range and source in words; None without a unit."""
        if not self.scales:
            return None
        return f"{self.unit_and_range} ({self.scales[0].place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStatement:
    """Facts that a file states: value = stored · scale + offset.

    Attributes:
        kind: Name of a ``DepthKind``, ``DISTANCE`` or ``DISPARITY``.
        scale: Unit of the result, or its factor.
        logarithm: Depth at the numbers 1 and 65534, even in the logarithm.
        span: Values at 0 and at the type's largest number.
    """

    kind: str | None = None
    scale: float | None = None
    offset: float = 0.0
    logarithm: tuple[float, float] | None = None
    span: tuple[float, float] | None = None
    invalid: tuple[float, ...] = ()
    array: str | None = None
    camera: Camera | None = None
    place: str = ""

    @property
    def is_coded(self) -> bool:
        """Whether the file tells how numbers become values."""
        return (self.scale, self.logarithm, self.span) != (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthNumbers:
    """Numbers of a file, and what it states."""

    stored: Shaped[np.ndarray, "h w"]
    statement: DepthStatement

    @property
    def values(self) -> AnyPlane:
        """Numbers as the file means them, NaN where invalid."""
        return decode_numbers(self.stored, self.statement)


def read_depth_numbers(path: Path, *, array: str | None = None) -> DepthNumbers:
    """Read a depth map of ``read_map`` with the facts that it states.

    Raises:
        InputError: If the file is broken, or states the impossible.
    """
    statement = read_depth_statement(path)
    name = array if array is not None else statement.array
    return DepthNumbers(stored=read_map(path, name=name), statement=statement)


def decode_numbers(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> AnyPlane:
    """Convert to values, NaN where invalid; uncoded numbers stay."""
    if not statement.is_coded:
        return stored
    empty = np.isin(stored, statement.invalid)
    if statement.logarithm is not None:
        near, far = statement.logarithm
        share = (stored.astype(np.float64) - 1) / _LOGARITHM_STEPS
        unit = 1.0 if statement.scale is None else statement.scale
        values = unit * near ** (1 - share) * far**share
        values = np.where(stored == _INFINITE, np.inf, values)
    elif statement.span is not None:
        low, high = statement.span
        values = low + stored.astype(np.float64) * ((high - low) / np.iinfo(stored.dtype).max)
        values *= 1.0 if statement.scale is None else statement.scale
    else:
        assert statement.scale is not None
        values = stored.astype(np.float64) * statement.scale + statement.offset
    return np.where(empty, np.nan, values)


def read_depth_statement(path: Path) -> DepthStatement:
    """Facts that a file states, or a JSON beside it."""
    check_regular(path)
    own = _statement_in_file(path)
    return (
        own
        if own.is_coded or own.kind is not None
        else _merge_statements(own, _statement_beside(path))
    )


def _merge_statements(own: DepthStatement, beside: DepthStatement) -> DepthStatement:
    """Statement beside a file, with its array, and its camera if missing."""
    return replace(
        beside, array=own.array, camera=own.camera if beside.camera is None else beside.camera
    )


def _statement_in_file(path: Path) -> DepthStatement:
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"\x89PNG"):
            with PngImageFile(path) as image:
                texts = {
                    str(name): text for name, text in image.info.items() if isinstance(text, str)
                }
                has_range = image.mode.startswith("I") or image.mode == "L"
            return _statement_of_texts(texts, "its text", path) if has_range else DepthStatement()
        if start[:4] in (b"II*\0", b"MM\0*"):
            with TiffImageFile(path) as image:
                text = image.tag_v2.get(270, "")
            return _statement_in_json_text(str(text), path, "its description")
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    if start[:2] == b"PK":
        return _statement_in_npz(path)
    return DepthStatement()


def _statement_in_npz(path: Path) -> DepthStatement:
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = archive.files
        array = next((name for name in _MAIN if name in names), None) if len(names) > 1 else None
        if "about" in names and array is not None:
            ours = _statement_in_json_text(
                str(npz_member(archive, "about").item()), path, "its description"
            )
            return replace(ours, array=array)
        small: dict[str, Any] = {}
        for name in _KNOWN_NAMES & {*names}:
            value = npz_member(archive, name)
            if value.size == 1:
                small[name] = value.item()
        camera = None
        for name in ("K", "intrinsics", "camera_matrix"):
            if name in names and npz_member(archive, name).shape == (3, 3):
                camera = Camera(K=npz_member(archive, name).astype(np.float64))
                break
    return replace(_statement_of_texts(small, "its arrays", path), array=array, camera=camera)


def _statement_beside(path: Path) -> DepthStatement:
    bare = path.name.split(".")[0]
    names = dict.fromkeys((f"{path.name}.json", f"{path.stem}.json", f"{bare}.json"))
    for beside in (path.with_name(name) for name in names):
        if not beside.is_file() or beside == path:
            continue
        try:
            text = read_text(beside)
            entries = json.loads(text)
        except (RilievoError, ValueError, RecursionError):
            continue
        if not isinstance(entries, dict):
            continue
        place = f"{printable(Path(beside.name))} beside it"
        if str(entries.get("format", "")).startswith("rilievo/"):
            return _statement_in_json_text(text, path, place)
        inner = entries.get("depth")
        facts = {**entries, **(inner if isinstance(inner, dict) else {})}
        statement = _statement_of_texts(
            {str(name).lower(): value for name, value in facts.items()}, place, path
        )
        if statement.place:
            return statement
    return DepthStatement()


def _statement_in_json_text(text: str, path: Path, place: str) -> DepthStatement:
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    return _statement_of_sidecar(sidecar, path, place)


def _statement_of_sidecar(sidecar: Sidecar, path: Path, place: str) -> DepthStatement:
    files = [facts for facts in sidecar.files if facts.file == path.name] or [*sidecar.files[:1]]
    facts = files[0] if files else None
    depth = sidecar.depth
    if facts is None or depth is None or facts.scale is None:
        return DepthStatement()
    kind = depth.kind
    if facts.holds.startswith("inverse depth"):
        kind = DepthKind.AFFINE_INVERSE
    camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
    along = camera is not None and camera.lens.has_unit_rays and kind is DepthKind.METRIC
    return DepthStatement(
        kind=DISTANCE if along else kind.value,
        scale=facts.scale,
        offset=facts.offset or 0.0,
        invalid=(facts.invalid,) if isinstance(facts.invalid, int) else (),
        camera=camera,
        place=place,
    )


def _statement_of_texts(texts: Mapping[str, Any], place: str, path: Path) -> DepthStatement:
    record = texts.get("rilievo")
    if isinstance(record, str):
        ours = _statement_in_json_text(record, path, place)
        if ours.place:
            return ours
    kind, scale = _kind_in_texts(texts), None
    unit = texts.get("unit")
    words = "" if unit is None else str(unit).strip().lower()
    if words in _ARBITRARY:
        kind = kind or DepthKind.UP_TO_SCALE.value
    elif words in UNITS:
        scale, kind = UNITS[words], kind or DepthKind.METRIC.value
    elif words and _finite_or_none(unit) is not None:
        scale = _require_positive(texts, "unit", path)
    near, far = _finite_or_none(texts.get("near")), _finite_or_none(texts.get("far"))
    if near is not None and far is not None:
        pair = (_require_positive(texts, "near", path), _require_positive(texts, "far", path))
        return DepthStatement(
            kind=kind, scale=scale, logarithm=pair, invalid=(_UNKNOWN,), place=place
        )
    invalid = _finite_or_none(texts.get("invalid"))
    rest = DepthStatement(kind=kind, invalid=() if invalid is None else (invalid,), place=place)
    for low, high in _RANGES:
        ends = _finite_or_none(texts.get(low)), _finite_or_none(texts.get(high))
        if ends[0] is not None and ends[1] is not None and ends[0] < ends[1]:
            return replace(rest, span=(ends[0], ends[1]), scale=scale)
    step = _finite_or_none(texts.get("scale"))
    if step is not None:
        offset = _finite_or_none(texts.get("offset")) or 0.0
        is_own_unit = words in UNITS and (kind == DepthKind.METRIC.value)
        factor = UNITS[words] if is_own_unit else 1.0
        step = _require_positive(texts, "scale", path)
        return replace(rest, scale=step * factor, offset=offset * factor)
    for name in _COUNTS:
        counts = _finite_or_none(texts.get(name))
        if counts is not None and counts > 0 and not 0.1 < counts < 10:
            return replace(
                rest, scale=counts if counts <= 0.1 else 1 / counts, kind=kind or "metric"
            )
    if scale is None and kind is None:
        return DepthStatement()
    return replace(rest, scale=scale)


def _kind_in_texts(texts: Mapping[str, Any]) -> str | None:
    kind = str(texts.get("kind", "")).strip().lower().replace("-", "_")
    return kind if kind in _KINDS else None


def _finite_or_none(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _require_positive(texts: Mapping[str, Any], name: str, path: Path) -> float:
    number = _finite_or_none(texts.get(name))
    if number is None or number <= 0:
        raise InputError(
            f"its '{name}' is {printable(str(texts.get(name))[:40])}, expected above zero",
            path=printable(path),
        )
    return number


def scale_fact(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    *,
    unit: float | None,
    place: str,
    guess: float,
) -> NumberFact:
    """Unit of the numbers [m]: stated, given at a ``place`` (file or option) or guessed."""
    if statement.is_coded or statement.kind == DepthKind.UP_TO_SCALE:
        value = "metres" if statement.kind != DepthKind.UP_TO_SCALE else "numbers up to scale"
        if statement.logarithm is not None:
            value = "logarithms of metres"
        elif statement.scale is not None and statement.kind != DepthKind.UP_TO_SCALE:
            value = unit_words(statement.scale)
        return NumberFact(
            name="scale", value=value, origin=FactOrigin.STATED, place=statement.place
        )
    if unit is not None:
        return NumberFact(
            name="scale", value=unit_words(unit), origin=FactOrigin.GIVEN, place=place
        )
    whole = "whole" if stored.dtype.kind in "ui" else "floating-point"
    return NumberFact(
        name="scale",
        value=unit_words(guess),
        origin=FactOrigin.GUESSED,
        place=f"a guess: {whole} numbers of no stated unit",
    )


def unit_words(scale: float) -> str:
    """Unit of ``scale`` metres in words."""
    names = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}
    return names.get(scale, f"counts of {scale:.6g} m")


def reading_doubts(
    stored: Shaped[np.ndarray, "h w"], metres: Values, *, meaningless: tuple[float, ...] = ()
) -> Iterator[str]:
    """Yield doubts, a line each, about invalid numbers and the unit."""
    whole = stored.dtype.kind in "ui" and stored.dtype.itemsize > 1
    if whole:
        most = np.iinfo(stored.dtype).max
        at_most = int(np.count_nonzero(stored == most))
        if at_most and most not in meaningless:
            yield (
                f"{at_most} pixels hold {most}, the largest number of the type, which mostly means "
                "'none'; say 'invalid: "
                f"[0, {most}]'"
            )
        value, share = _commonest_value_and_share(
            stored[~np.isin(stored, (*meaningless, most))], stored.size
        )
        if share >= COMMON:
            yield (
                f"{share:.0%} of the pixels hold the number {value}, which may mean 'none'; say "
                f"'invalid: [0, {value}]' if so"
            )
    if metres.size:
        yield from filter(None, (unit_doubt(float(np.median(metres))),))


def unit_doubt(middle: float) -> str | None:
    """Doubt about a mean or median [m], if it is implausible."""
    if middle > FARTHEST:
        return TOO_FAR
    return TOO_NEAR if middle < NEAREST else None


def _commonest_value_and_share(stored: Shaped[np.ndarray, " n"], pixels: int) -> tuple[int, float]:
    if not stored.size:
        return 0, 0.0
    numbers, counts = np.unique(stored, return_counts=True)
    place = int(np.argmax(counts))
    return int(numbers[place]), float(counts[place] / pixels)
