"""What depth files state about their numbers: in texts, headers, names, and records beside them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Matrix, Shaped
from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.file_texts import (
    doubts_about_tiff,
    exr_texts,
    folder_texts,
    gdepth_of_image,
    lines_beside,
    pgm_texts,
    png_texts,
    tiff_texts,
)
from rilievo.io.depth.masks import may_hold_depth
from rilievo.io.depth.stated_numbers import (
    LEAST_COUNTS,
    StatedNumbers,
    StoredQuantity,
    is_stated_name,
    quantity_of_name,
    read_stated_numbers,
)
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz
from rilievo.io.outputs.sidecar import FileFacts, Sidecar, camera_from_facts, parse_sidecar
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.io.saved_origins import (
    SavedOrigin,
    camera_with_K,
    find_clip_record,
    find_folder_record,
    find_renamed_record,
    origin_of_sidecar,
    record_names,
)
from rilievo.records.depth_map import DepthKind
from rilievo.schema.typed_values import METRES_PER_UNIT

DISTANCE, DISPARITY, INVERSE = "distance", "disparity", "inverse_depth"
"""Further kinds: along the ray, of two views [px], and 1 over depth."""
_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY, INVERSE)
_KIND_OF_QUANTITY = {
    StoredQuantity.DISTANCE: DISTANCE,
    StoredQuantity.DISPARITY: DISPARITY,
    StoredQuantity.INVERSE: INVERSE,
}
LOGARITHM_STEPS = 65533
DECLARED = "as declared"
"""Place of a statement that the user makes by an encoding."""

# MoGe's numbers without meaning, and without surface.
UNKNOWN_CODE, INFINITE_CODE = 0, 65535
_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_MAIN = ("depth", "depth_map", "depths", "arr_0")
_CAMERA_ARRAYS = ("K", "intrinsics", "camera_matrix")
ARRAY_NAME = "the name of its array"
# Attributes of OpenEXR that hold words.
_TEXTS = ("comments", "comment", "description", "quantity", "encoding", "type of depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStatement:
    """Facts that a file states: value = stored · scale + offset.

    Attributes:
        kind: Name of a ``DepthKind``, ``DISTANCE`` or ``DISPARITY``.
        scale: Unit of the result, or its factor.
        logarithmic_range: Depth at the numbers 1 and 65534, even in the logarithm.
        linear_range: Values at 0 and at the type's largest number.
        range_rounding: Half of the last digit of these, as the file writes them.
        inverse_range: Depth at 0 and at the type's largest number, even in inverse depth.
        near_and_far: Depth that the file calls near and far, for numbers that are no codes
            between them.
        unit_sentence: Sentence that names the unit, which goes behind the one that you declare.
        sentence_unit: Metres of that unit.
        unusable_reason: Sentence on what it states and what is missing, if it cannot be used.
        warnings: Sentences on how it was taken.
        unread_warnings: Sentences on texts that are not understood, and matter if the user
            declares no scale.
        origin: Origin of the depth, by a record of rilievo.
    """

    kind: str | None = None
    scale: float | None = None
    offset: float = 0.0
    logarithmic_range: tuple[float, float] | None = None
    linear_range: tuple[float, float] | None = None
    range_rounding: tuple[float, float] = (0.0, 0.0)
    inverse_range: tuple[float, float] | None = None
    near_and_far: tuple[float, float] | None = None
    invalid: tuple[float, ...] = ()
    array: str | None = None
    camera: Camera | None = None
    source: str = ""
    unit_sentence: str = ""
    sentence_unit: float | None = None
    unusable_reason: str | None = None
    warnings: tuple[str, ...] = ()
    unread_warnings: tuple[str, ...] = ()
    origin: SavedOrigin | None = None

    @property
    def is_decodable(self) -> bool:
        """Whether the file tells how numbers become values."""
        forms = (self.scale, self.logarithmic_range, self.linear_range, self.inverse_range)
        return any(form is not None for form in forms)


def words_of_near_and_far(
    near: float, far: float, stored: Shaped[np.ndarray, "h w"] | None = None
) -> str:
    """What is stated by near and far, what is missing, and what to do, in a sentence."""
    largest = 65535
    if stored is not None and stored.dtype.kind in "ui":
        largest = int(np.iinfo(stored.dtype).max)
    return (
        f"states near {near:g} and far {far:g}, but not how its numbers lie between them; if "
        f"evenly in depth, say 'scale: {(far - near) / largest:.6g}' and 'offset: {near:g}' (or "
        "write 'min' and 'max' in their place); if evenly in inverse depth or as a z-buffer, write "
        "depth in metres"
    )


def read_depth_statement(path: Path, array: str | None = None) -> DepthStatement:
    """Facts that a file states, or a JSON beside it.

    Args:
        path: File of numbers.
        array: Array of npz or channel of EXR, if the user names it.
    """
    check_regular(path)
    own = _statement_in_file(path, array)
    if own.is_decodable or own.kind is not None or own.unusable_reason is not None:
        return own
    beside = _statement_beside(path)
    if not (beside.source or beside.warnings or beside.unread_warnings):
        beside = _statement_of_folder(path)
    return _merge_statements(own, beside)


def _statement_of_folder(path: Path) -> DepthStatement:
    """Unit of the numbers by a text of the file's name, or about the folder, such as meta.json."""
    beside = lines_beside(path)
    described = folder_texts(path) if beside is None else beside
    if described is None:
        return DepthStatement()
    name, texts = described
    stated = read_stated_numbers(texts)
    source = f"{printable(Path(name))} {'in its folder' if beside is None else 'beside it'}"
    # A range there is a statistic of all files.
    counted = replace(stated, linear_range=None, near_and_far=None)
    if beside is not None and (counted.unit, counted.counts, counted.scale) == (None, None, None):
        return DepthStatement()  # It is about something else.
    return _statement_of_stated(counted, source, path)


def with_distant_record(statement: DepthStatement, path: Path) -> DepthStatement:
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
    source = f"{printable(Path(json.name))} beside its folder"
    listing = (facts for facts in sidecar.files if path.name in (facts.frames or {}))
    ours = _statement_of_sidecar(sidecar, path, source, next(listing, None))
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
            source=folder_record.origin.place,
            origin=folder_record.origin,
        )
    renamed = find_renamed_record(path)
    if renamed is None:
        return DepthStatement()
    source = f"{printable(Path(renamed.path.name))} beside it"
    ours = _statement_of_sidecar(renamed.sidecar, path, source, renamed.facts)
    is_frame = renamed.facts.frames is not None
    if ours.origin is None or not is_frame:
        return ours
    return replace(ours, origin=ours.origin.without_places())


def _merge_statements(own: DepthStatement, beside: DepthStatement) -> DepthStatement:
    """Statement beside a file, with its array, and its camera if missing."""
    if own.source and not beside.source:
        return own
    return replace(
        beside,
        array=own.array,
        invalid=tuple(dict.fromkeys((*own.invalid, *beside.invalid))),
        camera=own.camera if beside.camera is None else beside.camera,
        warnings=(*own.warnings, *beside.warnings),
        unread_warnings=(*own.unread_warnings, *beside.unread_warnings),
    )


def _statement_in_file(path: Path, array: str | None) -> DepthStatement:
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"\x89PNG"):
            with PngImageFile(path) as image:
                texts, gdepth = png_texts(image), gdepth_of_image(image)
                has_range = image.mode.startswith("I") or image.mode == "L"
                transparent = image.info.get("transparency")
            if not has_range:
                return DepthStatement()
            stated = _statement_of_texts(texts, "its text", path)
            stated = stated if stated.source or not gdepth else _statement_of_gdepth(gdepth)
            return _without_transparent_number(stated, transparent)
        if start[:4] in (b"II*\0", b"MM\0*"):
            with TiffImageFile(path) as image:
                texts, gdepth = tiff_texts(image), gdepth_of_image(image)
                doubts = tuple(doubts_about_tiff(image))
            stated = _statement_of_tiff(texts, gdepth, path)
            return (
                stated
                if stated.is_decodable
                else replace(stated, unread_warnings=(*stated.unread_warnings, *doubts))
            )
        if start[:2] == b"P5":
            return _statement_of_texts(pgm_texts(path), "its comment", path)
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    if start[:2] == b"PK":
        return _statement_in_npz(path, array)
    if start[:4] == _EXR_SIGNATURE:
        return _statement_in_exr(path, array)
    return DepthStatement()


def _without_transparent_number(statement: DepthStatement, number: object) -> DepthStatement:
    """Statement in which the number that a grey PNG declares to be transparent is no depth."""
    if not isinstance(number, int) or number == 0:
        return statement
    doubt = f"its number {number} is transparent, and holds no depth"
    return replace(
        statement,
        invalid=(*statement.invalid, float(number)),
        warnings=(*statement.warnings, doubt),
    )


def _statement_of_tiff(
    texts: Mapping[str, Any], gdepth: Mapping[str, str], path: Path
) -> DepthStatement:
    ours = _statement_in_json_text(str(texts.get("", "")), path, "its description")
    if ours.source:
        return ours
    stated = _statement_of_texts(texts, "its description", path)
    return stated if stated.source or not gdepth else _statement_of_gdepth(gdepth)


def _statement_in_exr(path: Path, named: str | None) -> DepthStatement:
    """Facts in the header of an OpenEXR file, whose depth is Z or Y among several channels."""
    try:
        channels = ExrChannels(path)
    except (ImportError, *PILLOW_ERRORS, KeyError, RuntimeError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    texts = exr_texts(channels)
    array = next((name for name in ("Z", "Y") if name in channels.names), None)
    left = [*filter(may_hold_depth, channels.names)]
    if array is None and len(left) == 1:
        array = left[0]
    if "rilievo" in texts:
        return replace(
            _statement_in_json_text(str(texts["rilievo"]), path, "its header"), array=array
        )
    stated = _statement_of_texts(
        {name: text for name, text in texts.items() if is_stated_name(name) or name in _TEXTS},
        "its header",
        path,
    )
    if stated.source:
        return replace(stated, array=array)
    return replace(_statement_of_name(named or array or "", stated), array=array)


def _main_array(names: Sequence[str]) -> str | None:
    """Array of an npz file that holds depth by its name; None if several may."""
    named = next((name for name in _MAIN if name in names), None)
    if named is not None:
        return None if named == "arr_0" and "arr_1" in names else named
    about = (*_CAMERA_ARRAYS, "about")
    left = [name for name in names if may_hold_depth(name) and name not in about]
    left = [name for name in left if not is_stated_name(name)]
    return left[0] if len(left) == 1 else None


def _statement_of_name(name: str, stated: DepthStatement) -> DepthStatement:
    """Statement with the kind and the unit that the name of an array states."""
    quantity, metres = quantity_of_name(name)
    if quantity is None and metres is None:
        return stated
    if quantity in (StoredQuantity.LOGARITHM, StoredQuantity.BUFFER):
        assert quantity is not None, "it is one of two"
        return replace(
            stated, source=ARRAY_NAME, unusable_reason=_words_of_quantity(quantity, name)
        )
    kind = None if quantity is None else _KIND_OF_QUANTITY[quantity]
    if kind in (DISPARITY, INVERSE):
        metres = None
    if metres is not None and kind is None:
        kind = DepthKind.METRIC.value
    return replace(stated, source=ARRAY_NAME, kind=kind, scale=metres)


def _statement_in_npz(path: Path, named: str | None) -> DepthStatement:
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = archive.files
        array = _main_array(names) if len(names) > 1 else None
        if "about" in names and array is not None:
            ours = _statement_in_json_text(
                str(npz_member(archive, "about").item()), path, "its description"
            )
            camera = ours.camera
            if camera is not None:
                camera = camera_with_K(camera, _K_in_npz(archive))
            return replace(ours, array=array, camera=camera)
        small: dict[str, Any] = {}
        for name in names:
            if name not in (array, named) and is_stated_name(name):
                value = npz_member(archive, name)
                if value.size <= 2:
                    small[name] = value.item() if value.size == 1 else value.ravel().tolist()
        K = _K_in_npz(archive)
        camera = None if K is None else Camera(K=K)
    stated = _statement_of_texts(small, "its arrays", path)
    if not stated.source and names:
        main = named or array or (names[0] if len(names) == 1 else "")
        stated = _statement_of_name(main, stated)
    return replace(stated, array=array, camera=camera)


def _K_in_npz(archive: NpzFile) -> Matrix | None:
    for name in _CAMERA_ARRAYS:
        if name in archive.files and npz_member(archive, name).shape == (3, 3):
            return npz_member(archive, name).astype(np.float64)
    return None


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
        source = f"{printable(Path(beside.name))} beside it"
        if str(entries.get("format", "")).startswith("rilievo/"):
            ours = _statement_of_listing(text, path, source)
            if ours is None:
                continue  # It is of other files, whose names begin alike.
            return ours
        # MoGe's near and far stand in the file itself.
        statement = _statement_of_texts({"json": entries}, source, path)
        if statement.source or statement.warnings or statement.unread_warnings:
            return statement
    return DepthStatement()


def _statement_of_listing(text: str, path: Path, source: str) -> DepthStatement | None:
    """Facts of a record beside a file; None if it does not list the file."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    listed = [facts for facts in sidecar.files if facts.file == path.name]
    return _statement_of_sidecar(sidecar, path, source, listed[0]) if listed else None


def _statement_in_json_text(text: str, path: Path, source: str) -> DepthStatement:
    """Facts of a record in a file, which is about this file whatever its name is now."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    facts = sidecar.files[0] if sidecar.files else None
    return _statement_of_sidecar(sidecar, path, source, facts)


def _statement_of_sidecar(
    sidecar: Sidecar, path: Path, source: str, facts: FileFacts | None
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
        source=source,
        origin=origin_of_sidecar(sidecar, path, source, facts),
    )


def _statement_of_texts(texts: Mapping[str, Any], source: str, path: Path) -> DepthStatement:
    record = texts.get("rilievo")
    if isinstance(record, str):
        ours = _statement_in_json_text(record, path, source)
        if ours.source:
            return ours
    return _statement_of_stated(read_stated_numbers(texts), source, path)


def _statement_of_stated(stated: StatedNumbers, source: str, path: Path) -> DepthStatement:
    kind = stated.kind if stated.kind in _KINDS else None
    if stated.is_up_to_scale:
        kind = kind or DepthKind.UP_TO_SCALE.value
    elif stated.unit is not None and stated.unit_is_named:
        kind = kind or DepthKind.METRIC.value
    if stated.quantity is not None:
        kind = _KIND_OF_QUANTITY.get(stated.quantity, kind)
    unit = stated.unit
    if unit is not None and not 0 < unit < math.inf:
        raise InputError(
            f"its 'unit' is {unit:g}, expected above zero",
            path=printable(path),
        )
    if stated.unit_sentence:
        source = f"{source} says '{stated.unit_sentence}'"
    rest = DepthStatement(
        kind=kind,
        invalid=stated.invalid,
        source=source,
        unit_sentence=stated.unit_sentence,
        sentence_unit=unit if stated.unit_sentence else None,
        unread_warnings=stated.unread_warnings(source),
    )
    if stated.quantity in (
        StoredQuantity.LOGARITHM,
        StoredQuantity.BUFFER,
        StoredQuantity.ROOT,
    ) and not (stated.quantity is StoredQuantity.LOGARITHM and stated.is_moge):
        assert stated.quantity is not None, "it is one of three"
        return replace(rest, unusable_reason=_words_of_quantity(stated.quantity, stated.said))
    if stated.scale is not None:
        if stated.scale <= 0:
            raise InputError(
                f"its 'scale' is {stated.scale:g}, expected above zero", path=printable(path)
            )
        if stated.scale >= LEAST_COUNTS and unit is None:
            # So large a factor is counts of a metre, as 5000 and 1000 are.
            return replace(rest, scale=1 / stated.scale, kind=kind or DepthKind.METRIC.value)
        factor = unit if unit is not None and kind == DepthKind.METRIC.value else 1.0
        # Zero is no depth beside an offset either.
        invalid = stated.invalid or ((0.0,) if stated.offset else ())
        return replace(
            rest, scale=stated.scale * factor, offset=stated.offset * factor, invalid=invalid
        )
    if stated.counts is not None:
        counts = stated.counts
        step = counts if counts <= 0.1 else 1 / counts
        return replace(rest, scale=step, kind=kind or DepthKind.METRIC.value)
    if stated.near_and_far is not None and stated.quantity is StoredQuantity.LINEAR:
        stated = replace(stated, linear_range=stated.near_and_far, near_and_far=None)
    if stated.near_and_far is not None:
        return _statement_of_near_and_far(stated, rest, path)
    if stated.linear_range is not None:
        low, high = stated.linear_range
        if low >= high:
            return replace(rest, unusable_reason=_words_of_range(low, high))
        return replace(
            rest, linear_range=(low, high), range_rounding=stated.range_rounding, scale=unit
        )
    if unit is None and kind is None:
        return DepthStatement(unread_warnings=rest.unread_warnings, invalid=stated.invalid)
    return replace(rest, scale=unit)


def _statement_of_near_and_far(
    stated: StatedNumbers, rest: DepthStatement, path: Path
) -> DepthStatement:
    """MoGe's names are near and far; others mean other spacings."""
    assert stated.near_and_far is not None, "the caller has asked"
    near, far = stated.near_and_far
    rest = replace(rest, near_and_far=(near, far))
    if stated.quantity in (StoredQuantity.INVERSE, StoredQuantity.DISPARITY):
        words = f"{words_of_near_and_far(near, far)} (it says '{stated.said}')"
        return replace(rest, kind=None, unusable_reason=words)
    if stated.is_moge:
        for name, number in (("near", near), ("far", far)):
            if number <= 0:
                raise InputError(
                    f"its '{name}' is {number:g}, expected above zero", path=printable(path)
                )
        return replace(
            rest, scale=stated.unit, logarithmic_range=(near, far), invalid=(UNKNOWN_CODE,)
        )
    return replace(rest, unusable_reason=words_of_near_and_far(near, far))


def _statement_of_gdepth(entries: Mapping[str, str]) -> DepthStatement:
    """Facts of Google's GDepth: near and far, and how numbers lie between them."""
    source = "its XMP (GDepth)"
    try:
        near, far = float(entries["Near"]), float(entries["Far"])
    except (KeyError, ValueError):
        return DepthStatement()
    form = entries.get("Format", "")
    is_linear = form == "RangeLinear"
    if form not in ("RangeLinear", "RangeInverse") or not (near >= 0 if is_linear else near > 0):
        return DepthStatement(source=source, unusable_reason=words_of_near_and_far(near, far))
    if near >= far:
        return DepthStatement(source=source, unusable_reason=_words_of_range(near, far))
    unit = METRES_PER_UNIT.get(entries.get("Units", "").lower())
    doubt = (
        f"{source} names no unit of its near {near:g} and far {far:g}; they are taken for metres"
    )
    along_ray = entries.get("MeasureType") == "OpticRay"
    return DepthStatement(
        kind=DISTANCE if along_ray else DepthKind.METRIC.value,
        scale=1.0 if unit is None else unit,
        linear_range=(near, far) if is_linear else None,
        inverse_range=None if is_linear else (near, far),
        source=source,
        warnings=() if unit is not None else (doubt,),
    )


def _words_of_quantity(quantity: StoredQuantity, said: str) -> str:
    return (
        f"says that its numbers are {quantity.words} ('{said}'), and not how they become metres: "
        "write depth in metres"
    )


def _words_of_range(low: float, high: float) -> str:
    return (
        f"states a range from {low:g} to {high:g}, which does not rise; if its numbers are inverse "
        f"depth or fall with depth, write depth in metres"
    )
