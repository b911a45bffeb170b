"""What a depth file states about its numbers, in itself, in its name, or in a file beside it.

``read_depth_statement`` asks the file itself first, then a JSON of the file's name, then a text of
the file's name, and last the files that describe a whole folder.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
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
    exr_texts,
    folder_texts,
    gdepth_properties,
    pgm_texts,
    png_texts,
    text_file_beside,
    tiff_texts,
    tiff_warnings,
)
from rilievo.io.depth.masks import may_hold_depth
from rilievo.io.depth.stated_numbers import (
    MIN_COUNTS_PER_METRE,
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
"""Kinds besides ``DepthKind``: distance along the ray [m], disparity of a stereo pair [px], and
inverse depth [1/m]."""
DECLARED = "as declared"
"""Source of a statement that the user makes by an encoding."""
ARRAY_NAME = "the name of its array"
"""Source of a statement that the name of an array or channel makes."""

LOGARITHM_STEPS = 65533  # between the first and the last code of MoGe's 16-bit depth
UNKNOWN_CODE, INFINITE_CODE = 0, 65535
"""MoGe's codes for pixels that are not known, and for those without a surface."""

_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY, INVERSE)
_KIND_OF_QUANTITY = {
    StoredQuantity.DISTANCE: DISTANCE,
    StoredQuantity.DISPARITY: DISPARITY,
    StoredQuantity.INVERSE: INVERSE,
}
_NOT_DECODABLE = (StoredQuantity.LOGARITHM, StoredQuantity.BUFFER, StoredQuantity.ROOT)
"""Quantities of which nothing but their name is known, so that they do not become metres."""

_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_DEPTH_ARRAYS = ("depth", "depth_map", "depths", "arr_0")
_CAMERA_ARRAYS = ("K", "intrinsics", "camera_matrix")
_EXR_TEXTS = ("comments", "comment", "description", "quantity", "encoding", "type of depth")
"""Attributes of OpenEXR that hold sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStatement:
    """What a file states about its numbers, and where.

    Without a range, depth is number × scale + offset. With one, the numbers are codes between both
    ends of the range, which the scale multiplies if there is one.

    Attributes:
        kind: Name of a ``DepthKind``, ``DISTANCE``, ``DISPARITY`` or ``INVERSE``.
        scale: Metres of one number, or of one unit of the range.
        offset: Depth at the number 0 [m].
        logarithmic_range: Depth at MoGe's first and last code, evenly spaced in the logarithm.
        linear_range: Depth at 0 and at the type's largest number, evenly spaced.
        range_rounding: Half of the last digit of these two, as the file writes them.
        inverse_range: Depth at 0 and at the type's largest number, evenly spaced in inverse depth.
        near_and_far: Depth that the file calls near and far, without saying how the numbers lie
            between them.
        invalid: Numbers that mean "no depth".
        array: Array of npz or channel of EXR that holds depth; None if there is only one.
        camera: Camera in the file or beside it.
        source: Where all of this is stated, in words; empty if nothing is.
        unit_sentence: Sentence that names the unit; what the user declares goes before it.
        sentence_unit: That unit [m].
        unusable_reason: What is stated and what is missing, in a sentence, if the numbers cannot
            become depth by it.
        warnings: Sentences on how the statement was taken.
        unread_warnings: Sentences on texts that are not understood. They matter if the user
            declares no scale.
        origin: Origin of the depth, if rilievo has saved it.
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
    def has_range(self) -> bool:
        """Whether numbers are codes between the two ends of a range."""
        ranges = (self.logarithmic_range, self.linear_range, self.inverse_range)
        return any(ends is not None for ends in ranges)

    @property
    def is_decodable(self) -> bool:
        """Whether the file states how its numbers become depth."""
        return self.scale is not None or self.has_range


def read_depth_statement(path: Path, array: str | None = None) -> DepthStatement:
    """Read what a file states about its numbers, or a file beside it.

    Args:
        path: File of numbers.
        array: Array of npz or channel of EXR, if the user names it.
    """
    check_regular(path)
    in_file = _statement_in_file(path, array)
    is_complete = in_file.is_decodable or in_file.kind is not None
    if is_complete or in_file.unusable_reason is not None:
        return in_file

    companion = _statement_in_json_beside(path)
    if _is_empty(companion):
        companion = _statement_in_text_beside(path)
    return _join_companion(in_file, companion)


def add_distant_record(statement: DepthStatement, path: Path) -> DepthStatement:
    """Complete a statement with records of rilievo that do not have the name of the file.

    These are records of clips, of evaluations, of labels, and of files under other names.
    """
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
    return _join_companion(statement, distant)


def near_and_far_words(
    near: float, far: float, stored: Shaped[np.ndarray, "h w"] | None = None
) -> str:
    """Say that near and far are stated, what is missing, and what the user can do.

    Args:
        near: Depth that the file calls near.
        far: Depth that the file calls far.
        stored: Numbers of the file, whose type says the largest code; 65535 by default.
    """
    largest = 65535
    if stored is not None and stored.dtype.kind in "ui":
        largest = int(np.iinfo(stored.dtype).max)
    return (
        f"states near {near:g} and far {far:g}, but not how its numbers lie between them; if "
        f"evenly in depth, say 'scale: {(far - near) / largest:.6g}' and 'offset: {near:g}' (or "
        "write 'min' and 'max' in their place); if evenly in inverse depth or as a z-buffer, write "
        "depth in metres"
    )


def _is_empty(statement: DepthStatement) -> bool:
    """Whether nothing is stated, and there is nothing to warn about."""
    return not (statement.source or statement.warnings or statement.unread_warnings)


def _join_companion(in_file: DepthStatement, companion: DepthStatement) -> DepthStatement:
    """Join what a depth file states with what another file states about it, which goes first."""
    if in_file.source and not companion.source:
        return in_file
    return replace(
        companion,
        array=in_file.array,
        invalid=tuple(dict.fromkeys((*in_file.invalid, *companion.invalid))),
        camera=in_file.camera if companion.camera is None else companion.camera,
        warnings=(*in_file.warnings, *companion.warnings),
        unread_warnings=(*in_file.unread_warnings, *companion.unread_warnings),
    )


# Statements in the file itself, by format.


def _statement_in_file(path: Path, array: str | None) -> DepthStatement:
    """Read the statement in the file itself, by its format."""
    with path.open("rb") as file:
        signature = file.read(8)
    if signature[:2] == b"PK":
        return _statement_in_npz(path, array)
    if signature[:4] == _EXR_SIGNATURE:
        return _statement_in_exr(path, array)
    try:
        if signature.startswith(b"\x89PNG"):
            return _statement_in_png(path)
        if signature[:4] in _TIFF_SIGNATURES:
            return _statement_in_tiff(path)
        if signature[:2] == b"P5":
            return _statement_of_texts(pgm_texts(path), "its comment", path)
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        pass  # The reader of numbers says what is broken.
    return DepthStatement()


def _statement_in_png(path: Path) -> DepthStatement:
    """Read the texts, the GDepth and the transparent number of a grey PNG file."""
    with path.open("rb") as file, PngImageFile(file) as image:
        texts, gdepth = png_texts(image), gdepth_properties(image)
        has_one_channel = image.mode.startswith("I") or image.mode == "L"
        transparent = image.info.get("transparency")
    if not has_one_channel:
        return DepthStatement()

    statement = _statement_of_texts(texts, "its text", path)
    if gdepth and not statement.source:
        statement = _statement_of_gdepth(gdepth)
    if not isinstance(transparent, int) or transparent == 0:
        return statement
    warning = f"its number {transparent} is transparent, and holds no depth"
    return replace(
        statement,
        invalid=(*statement.invalid, float(transparent)),
        warnings=(*statement.warnings, warning),
    )


def _statement_in_tiff(path: Path) -> DepthStatement:
    """Read the description, the tags and the GDepth of a TIFF file."""
    with path.open("rb") as file, TiffImageFile(file) as image:
        texts, gdepth = tiff_texts(image), gdepth_properties(image)
        warnings = tuple(tiff_warnings(image))
    statement = _statement_in_json_text(str(texts.get("", "")), path, "its description")
    if not statement.source:
        statement = _statement_of_texts(texts, "its description", path)
    if gdepth and not statement.source:
        statement = _statement_of_gdepth(gdepth)
    if statement.is_decodable:
        return statement
    return replace(statement, unread_warnings=(*statement.unread_warnings, *warnings))


def _statement_in_exr(path: Path, named_array: str | None) -> DepthStatement:
    """Read the header of an OpenEXR file, whose depth is Z or Y among several channels."""
    try:
        channels = ExrChannels(path)
    except (ImportError, *PILLOW_ERRORS, KeyError, RuntimeError, Warning):
        return DepthStatement()  # The reader of numbers says what is broken.
    array = _depth_channel(channels.names)
    texts = exr_texts(channels)
    if "rilievo" in texts:
        statement = _statement_in_json_text(str(texts["rilievo"]), path, "its header")
        return replace(statement, array=array)
    about_numbers = {
        name: text for name, text in texts.items() if is_stated_name(name) or name in _EXR_TEXTS
    }
    statement = _statement_of_texts(about_numbers, "its header", path)
    if not statement.source:
        statement = _add_statement_of_name(statement, named_array or array or "")
    return replace(statement, array=array)


def _depth_channel(names: Sequence[str]) -> str | None:
    """Channel of OpenEXR that holds depth, by its name; None if several may."""
    for name in ("Z", "Y"):
        if name in names:
            return name
    candidates = [name for name in names if may_hold_depth(name)]
    return candidates[0] if len(candidates) == 1 else None


def _statement_in_npz(path: Path, named_array: str | None) -> DepthStatement:
    """Read the small arrays of an npz file, its camera, and the name of its depth."""
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = archive.files
        array = _depth_array(names) if len(names) > 1 else None
        if "about" in names and array is not None:
            return replace(_statement_of_saved_npz(archive, path), array=array)
        others = [name for name in names if name not in (array, named_array)]
        small_arrays = _small_arrays(archive, filter(is_stated_name, others))
        K = _K_in_npz(archive)

    statement = _statement_of_texts(small_arrays, "its arrays", path)
    if not statement.source and names:
        only_array = names[0] if len(names) == 1 else ""
        statement = _add_statement_of_name(statement, named_array or array or only_array)
    return replace(statement, array=array, camera=None if K is None else Camera(K=K))


def _statement_of_saved_npz(archive: NpzFile, path: Path) -> DepthStatement:
    """Statement of an npz file that rilievo saved, with its record as an array of text."""
    record = str(npz_member(archive, "about").item())
    statement = _statement_in_json_text(record, path, "its description")
    if statement.camera is None:
        return statement
    return replace(statement, camera=camera_with_K(statement.camera, _K_in_npz(archive)))


def _small_arrays(archive: NpzFile, names: Iterable[str]) -> Mapping[str, Any]:
    """Single numbers and pairs of numbers, by name."""
    values: dict[str, Any] = {}
    for name in names:
        array = npz_member(archive, name)
        if array.size == 1:
            values[name] = array.item()
        elif array.size <= 2:
            values[name] = array.ravel().tolist()
    return values


def _depth_array(names: Sequence[str]) -> str | None:
    """Array of an npz file that holds depth, by its name; None if several may."""
    named = next((name for name in _DEPTH_ARRAYS if name in names), None)
    if named is not None:
        return None if named == "arr_0" and "arr_1" in names else named
    others = {*_CAMERA_ARRAYS, "about", *filter(is_stated_name, names)}
    candidates = [name for name in names if may_hold_depth(name) and name not in others]
    return candidates[0] if len(candidates) == 1 else None


def _K_in_npz(archive: NpzFile) -> Matrix | None:
    """Intrinsics in an array that has one of their names; None if there is none."""
    for name in _CAMERA_ARRAYS:
        if name in archive.files and npz_member(archive, name).shape == (3, 3):
            return npz_member(archive, name).astype(np.float64)
    return None


def _add_statement_of_name(statement: DepthStatement, name: str) -> DepthStatement:
    """Add the kind and the unit that the name of an array states, such as "depth_cm"."""
    quantity, unit = quantity_of_name(name)
    if quantity is None and unit is None:
        return statement
    if quantity in _NOT_DECODABLE:
        reason = _undecodable_words(quantity, name)
        return replace(statement, source=ARRAY_NAME, unusable_reason=reason)

    kind = None if quantity is None else _KIND_OF_QUANTITY[quantity]
    if kind in (DISPARITY, INVERSE):
        unit = None
    elif kind is None:
        kind = DepthKind.METRIC.value
    return replace(statement, source=ARRAY_NAME, kind=kind, scale=unit)


# Statements in files beside it.


def _statement_in_json_beside(path: Path) -> DepthStatement:
    """Read a JSON file with the depth file's name, by rilievo or another program."""
    for name in record_names(path):
        json_path = path.with_name(name)
        if not json_path.is_file() or json_path == path:
            continue
        try:
            text = read_text(json_path)
            entries = json.loads(text)
        except (RilievoError, ValueError, RecursionError):
            continue
        if not isinstance(entries, dict):
            continue

        source = f"{printable(Path(json_path.name))} beside it"
        if str(entries.get("format", "")).startswith("rilievo/"):
            statement = _statement_of_listing(text, path, source)
            if statement is None:
                continue  # It is about other files, whose names begin alike.
            return statement
        # Nested, because MoGe's near and far stand in the file itself.
        statement = _statement_of_texts({"json": entries}, source, path)
        if not _is_empty(statement):
            return statement
    return DepthStatement()


def _statement_in_text_beside(path: Path) -> DepthStatement:
    """Unit by a text file of the depth file's name, or by one about the folder, as meta.json."""
    named_text, folder_text = text_file_beside(path), None
    if named_text is None:
        folder_text = folder_texts(path)
    described = folder_text if named_text is None else named_text
    if described is None:
        return DepthStatement()

    name, texts = described
    # A range in it is a statistic of all files.
    stated = replace(read_stated_numbers(texts), linear_range=None, near_and_far=None)
    has_unit = (stated.unit, stated.count_unit, stated.scale) != (None, None, None)
    if named_text is not None and not has_unit:
        return DepthStatement()  # It is about something else.
    source = f"{printable(Path(name))} {'in its folder' if named_text is None else 'beside it'}"
    return _statement_of_stated_numbers(stated, source, path)


def _statement_of_listing(text: str, path: Path, source: str) -> DepthStatement | None:
    """Statement of rilievo's record beside a file; None if it does not list the file."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    entry = next((entry for entry in sidecar.files if entry.file == path.name), None)
    return None if entry is None else _statement_of_sidecar(sidecar, path, source, entry)


# Records of rilievo.


def _statement_in_json_text(text: str, path: Path, source: str) -> DepthStatement:
    """Statement of rilievo's record in a file, which is about this file whatever its name is."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    entry = sidecar.files[0] if sidecar.files else None
    return _statement_of_sidecar(sidecar, path, source, entry)


def _statement_of_sidecar(
    sidecar: Sidecar, path: Path, source: str, entry: FileFacts | None
) -> DepthStatement:
    """Statement of rilievo's record about one of its files, which has an entry in the record."""
    depth = sidecar.depth
    if entry is None or depth is None or entry.scale is None:
        return DepthStatement()
    kind = depth.kind
    if entry.holds.startswith("inverse depth"):
        kind = DepthKind.AFFINE_INVERSE
    camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
    has_unit_rays = camera is not None and camera.lens.has_unit_rays
    return DepthStatement(
        kind=DISTANCE if has_unit_rays and kind is DepthKind.METRIC else kind.value,
        scale=entry.scale,
        offset=entry.offset or 0.0,
        invalid=(entry.invalid,) if isinstance(entry.invalid, int) else (),
        camera=camera,
        source=source,
        origin=origin_of_sidecar(sidecar, path, source, entry),
    )


def _statement_of_clip(sidecar: Sidecar, json_path: Path, path: Path) -> DepthStatement:
    """Statement of a clip's record about the file of a frame."""
    source = f"{printable(Path(json_path.name))} beside its folder"
    entry = next((entry for entry in sidecar.files if path.name in (entry.frames or {})), None)
    return _without_known_sizes(_statement_of_sidecar(sidecar, path, source, entry))


def _statement_of_distant_record(path: Path) -> DepthStatement:
    """Statement of the record of a folder, or of one that lists the file under another name."""
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
    statement = _statement_of_sidecar(renamed.sidecar, path, source, renamed.facts)
    return statement if renamed.facts.frames is None else _without_known_sizes(statement)


def _without_known_sizes(statement: DepthStatement) -> DepthStatement:
    """Drop the known sizes of a clip, which are those of its first frame."""
    if statement.origin is None:
        return statement
    return replace(statement, origin=statement.origin.without_places())


# Texts of other programs.


def _statement_of_texts(texts: Mapping[str, Any], source: str, path: Path) -> DepthStatement:
    """Statement of texts by name; a record of rilievo among them goes first."""
    record = texts.get("rilievo")
    if isinstance(record, str):
        statement = _statement_in_json_text(record, path, source)
        if statement.source:
            return statement
    return _statement_of_stated_numbers(read_stated_numbers(texts), source, path)


def _statement_of_stated_numbers(stated: StatedNumbers, source: str, path: Path) -> DepthStatement:
    """Decide how numbers become depth, by the names and numbers that texts state.

    Raises:
        InputError: If a scale, a unit or a depth is not above zero.
    """
    unit = stated.unit
    if unit is not None and not 0 < unit < math.inf:
        raise InputError(f"its 'unit' is {unit:g}, expected above zero", path=printable(path))
    if stated.unit_sentence:
        source = f"{source} says '{stated.unit_sentence}'"
    statement = DepthStatement(
        kind=_stated_kind(stated),
        invalid=stated.invalid,
        source=source,
        unit_sentence=stated.unit_sentence,
        sentence_unit=unit if stated.unit_sentence else None,
        unread_warnings=stated.unread_warnings(source),
    )

    is_moge = stated.quantity is StoredQuantity.LOGARITHM and stated.has_moge_names
    if stated.quantity in _NOT_DECODABLE and not is_moge:
        reason = _undecodable_words(stated.quantity, stated.quantity_text)
        return replace(statement, unusable_reason=reason)
    if stated.scale is not None:
        return _add_scale(statement, stated, stated.scale, path)
    if stated.count_unit is not None:
        kind = statement.kind or DepthKind.METRIC.value
        return replace(statement, scale=stated.count_unit, kind=kind)
    if stated.near_and_far is not None or stated.linear_range is not None:
        return _add_range(statement, stated, path)
    if unit is None and statement.kind is None:
        return DepthStatement(unread_warnings=statement.unread_warnings, invalid=stated.invalid)
    return replace(statement, scale=unit)


def _stated_kind(stated: StatedNumbers) -> str | None:
    """Kind by what texts call the numbers, or by their unit; None if they say neither."""
    if stated.quantity in _KIND_OF_QUANTITY:
        return _KIND_OF_QUANTITY[stated.quantity]
    if stated.kind in _KINDS:
        return stated.kind
    if stated.is_up_to_scale:
        return DepthKind.UP_TO_SCALE.value
    if stated.unit is not None and stated.unit_is_named:
        return DepthKind.METRIC.value
    return None


def _add_scale(
    statement: DepthStatement, stated: StatedNumbers, scale: float, path: Path
) -> DepthStatement:
    """Add a stated scale, which is metres of a number or counts of a metre."""
    if scale <= 0:
        raise InputError(f"its 'scale' is {scale:g}, expected above zero", path=printable(path))
    if scale >= MIN_COUNTS_PER_METRE and stated.unit is None:
        # So large a factor is counts of a metre, as 5000 and 1000 are.
        return replace(statement, scale=1 / scale, kind=statement.kind or DepthKind.METRIC.value)

    is_metric = statement.kind == DepthKind.METRIC.value
    unit = stated.unit if stated.unit is not None and is_metric else 1.0
    # Zero is no depth beside an offset either.
    zero_is_invalid = bool(stated.offset) and not stated.invalid
    return replace(
        statement,
        scale=scale * unit,
        offset=stated.offset * unit,
        invalid=(0.0,) if zero_is_invalid else stated.invalid,
    )


def _add_range(statement: DepthStatement, stated: StatedNumbers, path: Path) -> DepthStatement:
    """Add the range in which numbers are evenly spaced, if it rises."""
    if stated.near_and_far is not None and stated.quantity is not StoredQuantity.LINEAR:
        return _add_near_and_far(statement, stated, stated.near_and_far, path)
    linear_range = stated.near_and_far or stated.linear_range
    assert linear_range is not None, "the caller has asked"
    low, high = linear_range
    if low >= high:
        return replace(statement, unusable_reason=_falling_range_words(low, high))
    return replace(
        statement,
        linear_range=linear_range,
        range_rounding=stated.range_rounding,
        scale=stated.unit,
    )


def _add_near_and_far(
    statement: DepthStatement,
    stated: StatedNumbers,
    near_and_far: tuple[float, float],
    path: Path,
) -> DepthStatement:
    """Add near and far, between which only MoGe's spacing is known."""
    near, far = near_and_far
    statement = replace(statement, near_and_far=near_and_far)
    if stated.quantity in (StoredQuantity.INVERSE, StoredQuantity.DISPARITY):
        reason = f"{near_and_far_words(near, far)} (it says '{stated.quantity_text}')"
        return replace(statement, kind=None, unusable_reason=reason)
    if not stated.has_moge_names:
        return replace(statement, unusable_reason=near_and_far_words(near, far))

    for name, depth in (("near", near), ("far", far)):
        if depth <= 0:
            raise InputError(
                f"its '{name}' is {depth:g}, expected above zero", path=printable(path)
            )
    return replace(
        statement, scale=stated.unit, logarithmic_range=near_and_far, invalid=(UNKNOWN_CODE,)
    )


def _statement_of_gdepth(properties: Mapping[str, str]) -> DepthStatement:
    """Statement of Google's GDepth: near and far, and how numbers lie between them."""
    source = "its XMP (GDepth)"
    try:
        near, far = float(properties["Near"]), float(properties["Far"])
    except (KeyError, ValueError):
        return DepthStatement()
    spacing = properties.get("Format", "")
    is_linear, is_inverse = spacing == "RangeLinear", spacing == "RangeInverse"
    is_possible = (is_linear and near >= 0) or (is_inverse and near > 0)
    if not is_possible:
        return DepthStatement(source=source, unusable_reason=near_and_far_words(near, far))
    if near >= far:
        return DepthStatement(source=source, unusable_reason=_falling_range_words(near, far))

    unit = METRES_PER_UNIT.get(properties.get("Units", "").lower())
    warning = (
        f"{source} names no unit of its near {near:g} and far {far:g}; they are taken for metres"
    )
    is_distance = properties.get("MeasureType") == "OpticRay"
    return DepthStatement(
        kind=DISTANCE if is_distance else DepthKind.METRIC.value,
        scale=1.0 if unit is None else unit,
        linear_range=(near, far) if is_linear else None,
        inverse_range=(near, far) if is_inverse else None,
        source=source,
        warnings=(warning,) if unit is None else (),
    )


def _undecodable_words(quantity: StoredQuantity | None, text: str) -> str:
    """Say what the numbers are called, and that this does not make them metres."""
    assert quantity is not None, "the caller has asked"
    return (
        f"says that its numbers are {quantity.value} ('{text}'), and not how they become metres: "
        "write depth in metres"
    )


def _falling_range_words(low: float, high: float) -> str:
    """Say that a range does not rise, so that it cannot be used."""
    return (
        f"states a range from {low:g} to {high:g}, which does not rise; if its numbers are inverse "
        f"depth or fall with depth, write depth in metres"
    )
