"""Numbers of depth in other programs' files: what they mean, by statement or guess."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import AnyPlane, Mask, Shaped, Values
from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth_doubts import reading_doubts
from rilievo.io.depth_encoding import (
    NumberEncoding,
    is_any_of,
    is_much_smoother,
    smoothest_weights,
)
from rilievo.io.depth_texts import StatedNumbers, is_stated_name, read_stated_numbers
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.numbers import ExrChannels, npz_member, one_line_errors, open_npz, read_numbers
from rilievo.io.outputs.sidecar import FileFacts, Sidecar, camera_from_facts, parse_sidecar
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.io.saved_origins import (
    SavedOrigin,
    find_clip_record,
    find_folder_record,
    find_renamed_record,
    origin_of_sidecar,
    record_names,
)
from rilievo.records.depth_map import DepthKind

DISTANCE, DISPARITY = "distance", "disparity"
"""Further kinds: along the ray, and of two views [px]."""
_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY)
_LOGARITHM_STEPS = 65533

# Metres of a count in files of other programs.
_USUAL_SCALES = (1.0, 0.001, 0.01, 0.0001, 1 / 256, 1 / 5000, 1 / 4000, 1 / 1000)
# Largest relative difference of a statistic and of the number that it is of.
_SAME_STATISTIC = 2e-3
DECLARED = "as declared"
"""Place of a statement that the user makes by an encoding."""

# MoGe's numbers without meaning, and without surface.
_UNKNOWN, _INFINITE = 0, 65535
_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_MAIN = ("depth", "depth_map", "depths", "arr_0")


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
        without_metres = ("up to scale", "of kind")
        values = [fact.value for fact in self.scales]
        unit = " m"
        if any(words in value for value in values for words in without_metres):
            unit = ""
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
        unclear: Sentence on what it states and what is missing, if it cannot be used.
        doubts: Sentences on how it was taken.
        origin: Origin of the depth, by a record of rilievo.
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
    unclear: str | None = None
    doubts: tuple[str, ...] = ()
    origin: SavedOrigin | None = None

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


def read_depth_numbers(
    path: Path,
    *,
    array: str | None = None,
    encoding: NumberEncoding | None = None,
    is_scaled: bool = False,
    is_shifted: bool = False,
    searches_records: bool = False,
) -> DepthNumbers:
    """Read a depth map with the facts that it states.

    Args:
        path: File of ``read_numbers``.
        array: Array of npz or channel of EXR.
        encoding: What the user declares: channels and bits are taken out of the numbers, a scale
            becomes the statement, and further invalid numbers join those that the file states.
        is_scaled: Whether the caller knows the scale, which goes before an unclear range.
        is_shifted: Whether the caller knows an offset too.
        searches_records: Whether rilievo's records of clips, of evaluations, of labels and of files
            under other names are looked for too.

    Raises:
        InputError: If the file is broken, or states what is impossible or unclear.
    """
    declared = NumberEncoding() if encoding is None else encoding
    statement = read_depth_statement(path)
    if searches_records:
        statement = _with_distant_record(statement, path)
    name = array if array is not None else statement.array
    numbers = read_numbers(path, name=name)
    stored = declared.unpack(numbers, printable(path))
    doubts = [*statement.doubts, *_doubts_about_channels(numbers, declared)]
    if stored.dtype.kind not in "ui":
        # A range beside floating-point numbers is a statistic of them, or of the camera.
        statement = replace(statement, unclear=None, span=None, logarithm=None)
    if statement.unclear is not None:
        if declared.scale is None and not is_scaled:
            raise InputError(statement.unclear, path=printable(path))
        if declared.scale is None and not is_shifted:
            doubts.append(f"{statement.unclear}; only the scale that is given is used")
        statement = DepthStatement(
            array=statement.array, camera=statement.camera, origin=statement.origin
        )
    statement = _checked_logarithm(stored, statement, path)
    if statement.doubts and statement.logarithm is not None and (declared.scale or is_scaled):
        doubts = [] if is_shifted or declared.scale is not None else [*statement.doubts]
        statement = DepthStatement(
            array=statement.array, camera=statement.camera, origin=statement.origin
        )
    statement = join_declared(statement, declared, path)
    doubts += _doubts_about_range(stored, statement)
    doubts += [doubt for doubt in statement.doubts if doubt not in doubts]
    return DepthNumbers(stored=stored, statement=replace(statement, doubts=tuple(doubts)))


def join_declared(
    statement: DepthStatement, declared: NumberEncoding | None, path: Path
) -> DepthStatement:
    """Statement of a file with what the user declares."""
    if declared is None:
        return statement
    if declared.scale is not None or declared.offset:
        is_same = (declared.scale, declared.offset) == (statement.scale, statement.offset)
        if statement.is_coded and not is_same:
            raise InputError(
                f"states how its numbers become depth ({statement.place}), and the encoding "
                "declares another 'scale' or 'offset'; leave them out",
                path=printable(path),
            )
        if not statement.is_coded:
            statement = replace(
                statement,
                scale=1.0 if declared.scale is None else declared.scale,
                offset=declared.offset,
                invalid=(0.0,),
                place=statement.place or DECLARED,
            )
    invalid = tuple(dict.fromkeys((*statement.invalid, *declared.invalid)))
    return replace(statement, invalid=invalid)


def decode_numbers(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> AnyPlane:
    """Convert to values, NaN where invalid; uncoded numbers stay."""
    if not statement.is_coded:
        if not statement.invalid:
            return stored
        empty = is_any_of(stored, statement.invalid)
        return np.where(empty, 0, stored) if stored.dtype.kind in "ui" else _with_nan(stored, empty)
    empty = is_any_of(stored, statement.invalid)
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


def _with_nan(stored: Shaped[np.ndarray, "h w"], empty: Mask) -> AnyPlane:
    values = stored.copy()
    values[empty] = np.nan
    return values


def _doubts_about_channels(numbers: np.ndarray, declared: NumberEncoding) -> Iterator[str]:
    """Yield a doubt about weights in another order than surfaces have."""
    weights = declared.channels
    if weights is None or numbers.ndim != 3 or sum(map(bool, weights)) < 2:
        return
    better = smoothest_weights(numbers)
    if better is None:
        return
    better_numbers = NumberEncoding(channels=tuple(map(float, better))).unpack(numbers, "")
    declared_numbers = declared.unpack(numbers, "")
    if is_much_smoother(declared_numbers, better_numbers):
        yield (
            "its channels are noise with the weights that are declared, and surfaces with "
            f"'channels: [{', '.join(map(str, better))}]': are these meant?"
        )


def _checked_logarithm(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path
) -> DepthStatement:
    """Statement of MoGe's 16-bit numbers; others with near and far are refused or doubted."""
    if statement.logarithm is None:
        return statement
    near, far = statement.logarithm
    if stored.dtype != np.uint16:
        raise InputError(_words_of_near_and_far(near, far, stored), path=printable(path))
    used = stored[(stored != _UNKNOWN) & (stored != _INFINITE)]
    if not used.size or (used.min(), used.max()) == (1, _LOGARITHM_STEPS + 1):
        return statement
    doubt = (
        f"near {near:g} and far {far:g} are taken as MoGe writes them, evenly in the logarithm "
        f"between the numbers 1 and {_LOGARITHM_STEPS + 1}, but its numbers go from {used.min()} "
        f"to {used.max()}: if they lie evenly in depth, say "
        f"'scale: {(far - near) / 65535:.6g}' and 'offset: {near:g}', or write 'min' and 'max'"
    )
    return replace(statement, doubts=(*statement.doubts, doubt))


def _words_of_near_and_far(
    near: float, far: float, stored: Shaped[np.ndarray, "h w"] | None = None
) -> str:
    largest = 65535
    if stored is not None and stored.dtype.kind in "ui":
        largest = int(np.iinfo(stored.dtype).max)
    return (
        f"states near {near:g} and far {far:g}, but not how its numbers lie between them; if "
        f"evenly in depth, say 'scale: {(far - near) / largest:.6g}' and 'offset: {near:g}' (or "
        "write 'min' and 'max' in their place); if evenly in inverse depth or as a z-buffer, write "
        "depth in metres"
    )


def _doubts_about_range(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Yield a doubt about a range that is a statistic of numbers with a usual unit."""
    if statement.span is None:
        return
    high = statement.span[1]
    largest = int(stored[stored < np.iinfo(stored.dtype).max].max(initial=0))
    if not largest:
        return
    for scale in _USUAL_SCALES:
        if abs(largest * scale / high - 1) < _SAME_STATISTIC:
            yield (
                f"its range ends at {high:g}, which its largest number {largest} is in counts of "
                f"{scale:.6g} m too: if the range is a statistic of such counts, write the depth "
                f"with 'scale' {scale:.6g} and no range"
            )
            return


def read_depth_statement(path: Path) -> DepthStatement:
    """Facts that a file states, or a JSON beside it."""
    check_regular(path)
    own = _statement_in_file(path)
    if own.is_coded or own.kind is not None or own.unclear is not None:
        return own
    return _merge_statements(own, _statement_beside(path))


def _with_distant_record(statement: DepthStatement, path: Path) -> DepthStatement:
    """Statement with the facts of rilievo's records that do not have the name of the file."""
    clip = find_clip_record(path)
    origin = statement.origin
    if origin is not None:
        # The known sizes of a clip are those of its first frame.
        return statement if clip is None else replace(statement, origin=origin.without_places())
    if statement.kind is not None:
        return statement
    distant = DepthStatement()
    if clip is not None:
        distant = _statement_of_clip(*clip, path)
    if distant.origin is None:
        distant = _statement_of_distant_record(path)
    return _merge_statements(statement, distant)


def _statement_of_clip(sidecar: Sidecar, json: Path, path: Path) -> DepthStatement:
    """Facts of a clip's record about the file of a frame."""
    place = f"{printable(Path(json.name))} beside its folder"
    listing = (facts for facts in sidecar.files if path.name in (facts.frames or {}))
    ours = _statement_of_sidecar(sidecar, path, place, next(listing, None))
    return ours if ours.origin is None else replace(ours, origin=ours.origin.without_places())


def _statement_of_distant_record(path: Path) -> DepthStatement:
    """Facts of the record of a folder, or of one that lists the file under another name."""
    if path.is_symlink():
        linked = read_depth_statement(path.resolve())
        if linked.origin is not None:
            return linked
    folder_record = find_folder_record(path)
    if folder_record is not None:
        kind = folder_record.kind
        return DepthStatement(
            kind=None if kind is None else kind.value,
            scale=None if kind is None else 1.0,
            camera=folder_record.camera,
            place=folder_record.origin.place,
            origin=folder_record.origin,
        )
    renamed = find_renamed_record(path)
    if renamed is None:
        return DepthStatement()
    sidecar, json, facts = renamed
    place = f"{printable(Path(json.name))} beside it"
    ours = _statement_of_sidecar(sidecar, path, place, facts)
    is_frame = facts.frames is not None
    if ours.origin is None or not is_frame:
        return ours
    return replace(ours, origin=ours.origin.without_places())


def _merge_statements(own: DepthStatement, beside: DepthStatement) -> DepthStatement:
    """Statement beside a file, with its array, and its camera if missing."""
    if own.place and not beside.place:
        return own
    return replace(
        beside,
        array=own.array,
        camera=own.camera if beside.camera is None else beside.camera,
        doubts=(*own.doubts, *beside.doubts),
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
            ours = _statement_in_json_text(str(text), path, "its description")
            if ours.place or not str(text).strip():
                return ours
            return _statement_of_texts({"": str(text)}, "its description", path)
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    if start[:2] == b"PK":
        return _statement_in_npz(path)
    if start[:4] == _EXR_SIGNATURE:
        return _statement_in_exr(path)
    return DepthStatement()


def _statement_in_exr(path: Path) -> DepthStatement:
    """Facts of an OpenEXR file of rilievo, whose depth is one of several channels at most."""
    try:
        channels = ExrChannels(path)
        text = channels.attribute_text("rilievo")
    except (ImportError, *PILLOW_ERRORS, KeyError, RuntimeError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    ours = _statement_in_json_text(text, path, "its header")
    names = [name for name in ("Z", "Y") if name in channels.names]
    return replace(ours, array=names[0]) if names else ours


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
        for name in names:
            if name != array and is_stated_name(name):
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
    for beside in (path.with_name(name) for name in record_names(path)):
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
            ours = _statement_of_listing(text, path, place)
            if ours is None:
                continue  # It is of other files, whose names begin alike.
            return ours
        # MoGe's near and far stand in the file itself.
        statement = _statement_of_texts({"json": entries}, place, path)
        if statement.place or statement.doubts:
            return statement
    return DepthStatement()


def _statement_of_listing(text: str, path: Path, place: str) -> DepthStatement | None:
    """Facts of a record beside a file; None if it does not list the file."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    listed = [facts for facts in sidecar.files if facts.file == path.name]
    return _statement_of_sidecar(sidecar, path, place, listed[0]) if listed else None


def _statement_in_json_text(text: str, path: Path, place: str) -> DepthStatement:
    """Facts of a record in a file, which is about this file whatever its name is now."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    facts = sidecar.files[0] if sidecar.files else None
    return _statement_of_sidecar(sidecar, path, place, facts)


def _statement_of_sidecar(
    sidecar: Sidecar, path: Path, place: str, facts: FileFacts | None
) -> DepthStatement:
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
        origin=origin_of_sidecar(sidecar, path, place),
    )


def _statement_of_texts(texts: Mapping[str, Any], place: str, path: Path) -> DepthStatement:
    record = texts.get("rilievo")
    if isinstance(record, str):
        ours = _statement_in_json_text(record, path, place)
        if ours.place:
            return ours
    stated = read_stated_numbers(texts)
    kind = stated.kind if stated.kind in _KINDS else None
    if stated.is_up_to_scale:
        kind = kind or DepthKind.UP_TO_SCALE.value
    elif stated.unit is not None and stated.unit_is_named:
        kind = kind or DepthKind.METRIC.value
    unit = stated.unit
    if unit is not None and unit <= 0:
        raise InputError(
            f"its 'unit' is {unit:g}, expected above zero",
            path=printable(path),
        )
    rest = DepthStatement(
        kind=kind, invalid=stated.invalid, place=place, doubts=stated.doubts(place)
    )
    if stated.scale is not None:
        if stated.scale <= 0:
            raise InputError(
                f"its 'scale' is {stated.scale:g}, expected above zero", path=printable(path)
            )
        factor = unit if unit is not None and kind == DepthKind.METRIC.value else 1.0
        return replace(rest, scale=stated.scale * factor, offset=stated.offset * factor)
    if stated.counts is not None:
        counts = stated.counts
        step = counts if counts <= 0.1 else 1 / counts
        return replace(rest, scale=step, kind=kind or DepthKind.METRIC.value)
    if stated.near_and_far is not None:
        return _statement_of_near_and_far(stated, rest, path)
    if stated.span is not None:
        low, high = stated.span
        if low >= high:
            return replace(rest, unclear=_words_of_range(low, high))
        return replace(rest, span=(low, high), scale=unit)
    if unit is None and kind is None:
        return DepthStatement(doubts=rest.doubts, invalid=stated.invalid)
    return replace(rest, scale=unit)


def _statement_of_near_and_far(
    stated: StatedNumbers, rest: DepthStatement, path: Path
) -> DepthStatement:
    """MoGe's names are near and far; others mean other spacings."""
    assert stated.near_and_far is not None, "the caller has asked"
    near, far = stated.near_and_far
    if stated.is_moge:
        for name, number in (("near", near), ("far", far)):
            if number <= 0:
                raise InputError(
                    f"its '{name}' is {number:g}, expected above zero", path=printable(path)
                )
        return replace(rest, scale=stated.unit, logarithm=(near, far), invalid=(_UNKNOWN,))
    return replace(rest, unclear=_words_of_near_and_far(near, far))


def _words_of_range(low: float, high: float) -> str:
    return (
        f"states a range from {low:g} to {high:g}, which does not rise; if its numbers are inverse "
        f"depth or fall with depth, write depth in metres, or say 'scale' and 'offset'"
    )


def doubts_about_numbers(
    numbers: DepthNumbers,
    metres: Values | None,
    *,
    unit: float | None = None,
    meaningless: Sequence[float] = (),
    farthest: float | None = None,
) -> tuple[str, ...]:
    """Say what the numbers of a file look like besides depth (``depth_doubts``).

    Args:
        numbers: Numbers, and what the file states about them.
        metres: Valid depth [m]; None if it is not in metres.
        unit: Metres of one number, if the file does not state it.
        meaningless: Numbers that are declared to hold no depth.
        farthest: Largest valid depth that is declared [m].
    """
    statement = numbers.statement
    is_range = statement.span is not None or statement.logarithm is not None
    marks = [*meaningless, *statement.invalid]
    if statement.logarithm is not None:
        marks.append(_INFINITE)
    is_ours = statement.kind is not None and (statement.offset != 0 or statement.scale is None)
    if is_ours and not is_range:
        return statement.doubts
    doubts = reading_doubts(
        numbers.stored,
        metres,
        meaningless=marks,
        unit=statement.scale if statement.is_coded else unit,
        is_range=is_range,
        farthest=farthest,
    )
    return (*statement.doubts, *doubts)


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
        value = "metres"
        if statement.kind == DepthKind.UP_TO_SCALE:
            value = "numbers up to scale"
        elif statement.kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
            value = f"numbers of kind '{statement.kind}'"
        elif statement.logarithm is not None:
            value = "logarithms of metres"
        elif statement.scale is not None:
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


def numbers_of_array(array: np.ndarray, encoding: NumberEncoding, name: str) -> DepthNumbers:
    """Numbers of an array, as the user declares them."""
    stored = encoding.unpack(array, name)
    statement = join_declared(DepthStatement(), encoding, Path(name))
    doubts = tuple(_doubts_about_channels(array, encoding))
    return DepthNumbers(stored=stored, statement=replace(statement, doubts=doubts))
