"""Metadata of depth files: how stored values become depth, read from the file or a file beside it.

``read_depth_metadata`` reads the file itself first, then a JSON file of the same name, then a text
file of the same name, and last the files that describe a whole folder.
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
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Matrix, StoredMap
from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.code_range import UNKNOWN_CODE, CodeRange, Spacing
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
from rilievo.io.depth.text_metadata import (
    MIN_COUNTS_PER_METRE,
    StoredQuantity,
    TextMetadata,
    is_metadata_name,
    parse_array_name,
    parse_text_metadata,
)
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.archives import PILLOW_ERRORS, npz_member
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.numbers import (
    EXR_SIGNATURE,
    JPEG_SIGNATURE,
    TIFF_SIGNATURES,
    decoder_errors_as_input_errors,
    open_npz,
)
from rilievo.io.outputs.sidecar import FileFacts, Sidecar, camera_from_facts, parse_sidecar
from rilievo.io.photographs.own_depth import read_depth_photo
from rilievo.io.saved_origins import (
    ListedFile,
    SavedOrigin,
    camera_with_K,
    find_clip_record,
    find_folder_record,
    find_renamed_record,
    origin_from_sidecar,
    record_names,
)
from rilievo.records.depth_map import DepthKind
from rilievo.schema.typed_values import METRES_PER_UNIT

DISTANCE, DISPARITY, INVERSE = "distance", "disparity", "inverse_depth"
"""Kinds besides ``DepthKind``: distance along the ray [m], disparity of a stereo pair [px], and
inverse depth [1/m]."""
GIVEN_BY_USER = "as declared"
"""``DepthMetadata.source`` if the user declares an encoding."""
ARRAY_NAME = "the name of its array"
"""``DepthMetadata.source`` if the name of an array or channel states the unit or the kind."""

_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY, INVERSE)
_KIND_OF_QUANTITY = {
    StoredQuantity.DISTANCE: DISTANCE,
    StoredQuantity.DISPARITY: DISPARITY,
    StoredQuantity.INVERSE: INVERSE,
}

_DEPTH_ARRAYS = ("depth", "depth_map", "depths", "arr_0")
_CAMERA_ARRAYS = ("K", "intrinsics", "camera_matrix")
_EXR_TEXTS = ("comments", "comment", "description", "quantity", "encoding", "type of depth")
"""Attributes of OpenEXR that hold free text."""
_GDEPTH_SPACINGS = {"RangeLinear": Spacing.LINEAR, "RangeInverse": Spacing.INVERSE}
"""Spacings by the ``Format`` of Google's GDepth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMetadata:
    """What a file states about its stored values, and where.

    Without a range of codes, depth is value × scale + offset. With a range, the values are integer
    codes between its two ends, which are multiplied by the scale if there is one.

    Attributes:
        kind: Name of a ``DepthKind``, ``DISTANCE``, ``DISPARITY`` or ``INVERSE``.
        scale: Metres per stored value, or per unit of the range.
        offset: Depth at the stored value 0 [m].
        code_range: Range of depth that the stored values divide; None if they are no codes.
        near_and_far: Depths that the file calls near and far, without stating the spacing.
        invalid: Stored values that mean "no depth".
        array: Array of npz or channel of EXR that holds depth; None if there is only one.
        camera: Camera in the file or beside it.
        source: Where all of this is stated, in words; empty if nothing is stated.
        unit_text: Free text that names the unit. A unit that the user gives overrides it.
        unit_text_metres: The unit in that text [m].
        unusable_reason: Why the values cannot be converted to depth, in a sentence; None if they
            can.
        warnings: Sentences on how the metadata was interpreted.
        unread_warnings: Sentences on texts that were not understood, which matter only if the user
            declares no scale.
        origin: Origin of the depth, if rilievo has saved it.
    """

    kind: str | None = None
    scale: float | None = None
    offset: float = 0.0
    code_range: CodeRange | None = None
    near_and_far: tuple[float, float] | None = None
    invalid: tuple[float, ...] = ()
    array: str | None = None
    camera: Camera | None = None
    source: str = ""
    unit_text: str = ""
    unit_text_metres: float | None = None
    unusable_reason: str | None = None
    warnings: tuple[str, ...] = ()
    unread_warnings: tuple[str, ...] = ()
    origin: SavedOrigin | None = None

    @property
    def is_decodable(self) -> bool:
        """Whether the file states how its values are converted to depth."""
        return self.scale is not None or self.code_range is not None

    @property
    def spacing(self) -> Spacing | None:
        """Quantity in which codes are evenly spaced; None if the values are no codes."""
        return None if self.code_range is None else self.code_range.spacing

    @property
    def is_given_by_user(self) -> bool:
        """Whether the user declares how values become depth, and the file states nothing."""
        return self.source == GIVEN_BY_USER

    @property
    def stores_logarithms(self) -> bool:
        """Whether the values are codes that are evenly spaced in the logarithm of depth."""
        return self.spacing is Spacing.LOGARITHMIC

    @property
    def default_invalid(self) -> tuple[float, ...]:
        """Values that mean "no depth" if nothing says so: 0, unless a linear range begins there."""
        return () if self.spacing is Spacing.LINEAR else (0.0,)


def read_depth_metadata(path: Path, array: str | None = None) -> DepthMetadata:
    """Read the metadata of a depth file, in the file itself or in a file beside it.

    The first of these that says enough is used:

    1. The depth file itself.
    2. A JSON file of the same name, by rilievo or another program.
    3. A text file of the same name.
    4. A file such as ``meta.json`` that describes all depth files of the folder.

    ``array`` is the array of npz or channel of EXR, if the user names it.
    """
    check_regular(path)
    embedded = _read_embedded_metadata(path, array)
    is_complete = embedded.is_decodable or embedded.kind is not None
    if is_complete or embedded.unusable_reason is not None:
        return embedded
    external = _read_json_beside(path) or _read_text_beside(path)
    return _merge_external(embedded, external)


def add_folder_records(metadata: DepthMetadata, path: Path) -> DepthMetadata:
    """Complete metadata with rilievo's records that are not named after the depth file.

    The first of these is used:

    1. The metadata itself, if rilievo saved the depth or if the kind is known.
    2. The record of the clip to whose frames the file belongs.
    3. The record of the file to which a symbolic link points.
    4. The record of the folder, which holds labels or the predictions of an evaluation.
    5. A record in the folder that lists the file under another name.
    """
    clip_record = find_clip_record(path)
    is_frame_of_clip = clip_record is not None
    if metadata.origin is not None:
        return _metadata_without_known_sizes(metadata) if is_frame_of_clip else metadata
    if metadata.kind is not None:
        return metadata
    if clip_record is not None:
        clip_metadata = _metadata_from_record(clip_record, path, "beside its folder")
        if clip_metadata.origin is not None:
            return _merge_external(metadata, clip_metadata)
    return _merge_external(metadata, _read_folder_record(path))


def near_and_far_message(near: float, far: float, raw_values: StoredMap | None = None) -> str:
    """Return the message for a file that states near and far, but not the spacing between them.

    ``raw_values`` are the values of the file, whose type has the largest code (by default 65535).
    """
    max_code = 65535
    if raw_values is not None and raw_values.dtype.kind in "ui":
        max_code = int(np.iinfo(raw_values.dtype).max)
    return (
        f"the file gives near {near:g} and far {far:g}, but not how its values are spaced between "
        f"them; if they are spaced evenly in depth, set 'scale: {(far - near) / max_code:.6g}' "
        f"and 'offset: {near:g}' (or write 'min' and 'max' instead of near and far); if they are "
        "spaced evenly in inverse depth or as in a z-buffer, save depth in metres instead"
    )


def _is_empty(metadata: DepthMetadata) -> bool:
    """Whether nothing is stated, and there is nothing to warn about."""
    return not (metadata.source or metadata.warnings or metadata.unread_warnings)


def _merge_external(embedded: DepthMetadata, external: DepthMetadata) -> DepthMetadata:
    """Merge a depth file's own metadata with that of another file, which takes precedence."""
    if embedded.source and not external.source:
        return embedded
    return replace(
        external,
        array=embedded.array,
        invalid=tuple(dict.fromkeys((*embedded.invalid, *external.invalid))),
        camera=embedded.camera if external.camera is None else external.camera,
        warnings=(*embedded.warnings, *external.warnings),
        unread_warnings=(*embedded.unread_warnings, *external.unread_warnings),
    )


# Metadata in the depth file itself, by format.


def _read_embedded_metadata(path: Path, array: str | None) -> DepthMetadata:
    """Read the metadata in the depth file itself, by the signature of its format."""
    with path.open("rb") as file:
        signature = file.read(8)
    if signature[:2] == b"PK":
        return _read_npz_metadata(path, array)
    if signature[:4] == EXR_SIGNATURE:
        return _read_exr_metadata(path, array)
    try:
        if signature.startswith(b"\x89PNG"):
            return _read_png_metadata(path)
        if signature[:4] in TIFF_SIGNATURES:
            return _read_tiff_metadata(path)
        if signature.startswith(JPEG_SIGNATURE):
            return _read_jpeg_metadata(path)
        if signature[:2] == b"P5":
            return _metadata_from_texts(pgm_texts(path), "its comment", path)
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        pass  # read_numbers will raise an error that says what is broken.
    return DepthMetadata()


def _read_jpeg_metadata(path: Path) -> DepthMetadata:
    """Read rilievo's record of a photograph with depth inside, or how that depth is measured."""
    with path.open("rb") as file, JpegImageFile(file) as image:
        comment = image.info.get("comment", b"")
        if comment.startswith(b"{"):
            metadata = _parse_rilievo_record(comment.decode("utf-8", "replace"), path, "its header")
            if metadata is not None and metadata.is_decodable:
                return metadata
        own_depth = read_depth_photo(image, file)
    if own_depth is None or own_depth.metres is None:
        return DepthMetadata()  # read_numbers will raise an error that says what is missing.
    return DepthMetadata(
        kind=DISTANCE if own_depth.along_ray else DepthKind.METRIC.value,
        scale=1.0,
        invalid=(0.0,),
        source=f"its own depth ({own_depth.source})",
    )


def _read_png_metadata(path: Path) -> DepthMetadata:
    """Read the texts, the GDepth properties and the transparent grey level of a PNG file."""
    with path.open("rb") as file, PngImageFile(file) as image:
        texts = png_texts(image)
        gdepth = gdepth_properties(image)
        has_one_channel = image.mode.startswith("I") or image.mode == "L"
        transparent_value = image.info.get("transparency")
    if not has_one_channel:
        return DepthMetadata()

    metadata = _metadata_from_texts(texts, "its text", path)
    if gdepth and not metadata.source:
        metadata = _metadata_from_gdepth(gdepth)
    if not isinstance(transparent_value, int) or transparent_value == 0:
        return metadata
    warning = (
        f"its value {transparent_value} is transparent, so pixels with this value have no depth"
    )
    return replace(
        metadata,
        invalid=(*metadata.invalid, float(transparent_value)),
        warnings=(*metadata.warnings, warning),
    )


def _read_tiff_metadata(path: Path) -> DepthMetadata:
    """Read the description, the tags and the GDepth properties of a TIFF file."""
    with path.open("rb") as file, TiffImageFile(file) as image:
        texts = tiff_texts(image)
        gdepth = gdepth_properties(image)
        warnings = tuple(tiff_warnings(image))
    metadata = _parse_rilievo_record(str(texts.get("", "")), path, "its description")
    if metadata is None or not metadata.source:
        metadata = _metadata_from_texts(texts, "its description", path)
    if gdepth and not metadata.source:
        metadata = _metadata_from_gdepth(gdepth)
    if metadata.is_decodable:
        return metadata
    return replace(metadata, unread_warnings=(*metadata.unread_warnings, *warnings))


def _read_exr_metadata(path: Path, named_array: str | None) -> DepthMetadata:
    """Read the header of an OpenEXR file, and find its depth channel."""
    try:
        channels = ExrChannels(path)
    except (ImportError, *PILLOW_ERRORS, KeyError, RuntimeError, Warning):
        return DepthMetadata()  # read_numbers will raise an error that says what is broken.
    depth_channel = _find_depth_channel(channels.names)
    texts = exr_texts(channels)
    if "rilievo" in texts:
        metadata = _parse_rilievo_record(str(texts["rilievo"]), path, "its header")
        return replace(metadata or DepthMetadata(), array=depth_channel)

    relevant_texts = {
        name: text for name, text in texts.items() if is_metadata_name(name) or name in _EXR_TEXTS
    }
    metadata = _metadata_from_texts(relevant_texts, "its header", path)
    if not metadata.source:
        metadata = _add_array_name_metadata(metadata, named_array or depth_channel or "")
    return replace(metadata, array=depth_channel)


def _find_depth_channel(channel_names: Sequence[str]) -> str | None:
    """Find the OpenEXR channel that holds depth by its name; None if it is ambiguous."""
    for name in ("Z", "Y"):
        if name in channel_names:
            return name
    candidates = [name for name in channel_names if may_hold_depth(name)]
    return candidates[0] if len(candidates) == 1 else None


def _read_npz_metadata(path: Path, named_array: str | None) -> DepthMetadata:
    """Read the small arrays and the camera of an npz file, and find its depth array."""
    with open_npz(path) as archive, decoder_errors_as_input_errors(printable(path), "npz file"):
        names = archive.files
        depth_array = _find_depth_array(names) if len(names) > 1 else None
        if "about" in names and depth_array is not None:
            return replace(_read_saved_npz_metadata(archive, path), array=depth_array)
        other_names = [name for name in names if name not in (depth_array, named_array)]
        small_arrays = _read_small_arrays(archive, filter(is_metadata_name, other_names))
        K = _read_npz_intrinsics(archive)

    metadata = _metadata_from_texts(small_arrays, "its arrays", path)
    if not metadata.source and names:
        only_array = names[0] if len(names) == 1 else ""
        metadata = _add_array_name_metadata(metadata, named_array or depth_array or only_array)
    return replace(metadata, array=depth_array, camera=None if K is None else Camera(K=K))


def _read_saved_npz_metadata(archive: NpzFile, path: Path) -> DepthMetadata:
    """Read the metadata of an npz file that rilievo saved, whose array "about" holds JSON."""
    record = str(npz_member(archive, "about").item())
    metadata = _parse_rilievo_record(record, path, "its description") or DepthMetadata()
    if metadata.camera is None:
        return metadata
    return replace(metadata, camera=camera_with_K(metadata.camera, _read_npz_intrinsics(archive)))


def _read_small_arrays(archive: NpzFile, names: Iterable[str]) -> Mapping[str, Any]:
    """Read the arrays that hold a single number or a pair of numbers."""
    values: dict[str, Any] = {}
    for name in names:
        array = npz_member(archive, name)
        if array.size == 1:
            values[name] = array.item()
        elif array.size <= 2:
            values[name] = array.ravel().tolist()
    return values


def _find_depth_array(names: Sequence[str]) -> str | None:
    """Find the npz array that holds depth by its name; None if it is ambiguous."""
    usual_name = next((name for name in _DEPTH_ARRAYS if name in names), None)
    if usual_name == "arr_0" and "arr_1" in names:
        return None
    if usual_name is not None:
        return usual_name
    other_names = {*_CAMERA_ARRAYS, "about", *filter(is_metadata_name, names)}
    candidates = [name for name in names if may_hold_depth(name) and name not in other_names]
    return candidates[0] if len(candidates) == 1 else None


def _read_npz_intrinsics(archive: NpzFile) -> Matrix | None:
    """Read K from an npz array that has a usual name of it; None if there is none."""
    for name in _CAMERA_ARRAYS:
        if name in archive.files and npz_member(archive, name).shape == (3, 3):
            return npz_member(archive, name).astype(np.float64)
    return None


def _add_array_name_metadata(metadata: DepthMetadata, array_name: str) -> DepthMetadata:
    """Add the kind and the unit that the name of an array states, such as "depth_cm"."""
    quantity, unit = parse_array_name(array_name)
    if quantity is None and unit is None:
        return metadata
    if quantity is None:
        return replace(metadata, source=ARRAY_NAME, kind=DepthKind.METRIC.value, scale=unit)
    if not quantity.is_decodable:
        reason = _undecodable_message(quantity, array_name)
        return replace(metadata, source=ARRAY_NAME, unusable_reason=reason)
    kind = _KIND_OF_QUANTITY[quantity]
    # The unit of disparity and inverse depth is no length, so it cannot be the scale.
    scale = None if kind in (DISPARITY, INVERSE) else unit
    return replace(metadata, source=ARRAY_NAME, kind=kind, scale=scale)


# Metadata in files beside the depth file.


def _read_json_beside(path: Path) -> DepthMetadata | None:
    """Read a JSON file with the depth file's name; None if there is none, or it states nothing."""
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
        is_rilievo_record = str(entries.get("format", "")).startswith("rilievo/")
        if is_rilievo_record:
            metadata = _parse_rilievo_record(text, path, source, listed_name=path.name)
            if metadata is not None:
                return None if _is_empty(metadata) else metadata
            # The record is about other files, whose names begin alike.
            continue
        # Nested under a key, because only a top-level near and far are taken for MoGe's, and MoGe
        # writes those into the depth file itself.
        metadata = _metadata_from_texts({"json": entries}, source, path)
        if not _is_empty(metadata):
            return metadata
    return None


def _read_text_beside(path: Path) -> DepthMetadata:
    """Read the unit from a text file of the same name, or from a folder's file like meta.json."""
    named_text = text_file_beside(path)
    if named_text is not None:
        file_name, texts = named_text
        stated = _parse_texts_without_range(texts)
        units = (stated.unit, stated.count_unit, stated.scale)
        if all(unit is None for unit in units):
            return DepthMetadata()  # The text is about something else.
        return _interpret_text_metadata(stated, f"{printable(Path(file_name))} beside it", path)

    folder_text = folder_texts(path)
    if folder_text is None:
        return DepthMetadata()
    file_name, texts = folder_text
    source = f"{printable(Path(file_name))} in its folder"
    return _interpret_text_metadata(_parse_texts_without_range(texts), source, path)


def _parse_texts_without_range(texts: Mapping[str, Any]) -> TextMetadata:
    """Parse the texts of a file beside the depth file, without any range of depth.

    Such a range describes all depth files together, and not the codes of one of them.
    """
    return replace(parse_text_metadata(texts), linear_range=None, near_and_far=None)


# Records of rilievo.


def _parse_rilievo_record(
    text: str, path: Path, source: str, *, listed_name: str | None = None
) -> DepthMetadata | None:
    """Parse rilievo's record of a depth file; None if it does not list the file.

    ``listed_name`` is the file's name in a record beside it. A record in the file itself describes
    it even if it was renamed, so its first entry is used.
    """
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthMetadata()
    for entry in sidecar.files:
        if listed_name in (None, entry.file):
            return _metadata_from_sidecar(sidecar, path, source, entry)
    return None


def _metadata_from_sidecar(
    sidecar: Sidecar, path: Path, source: str, entry: FileFacts
) -> DepthMetadata:
    """Take the metadata of one depth file from rilievo's record and the file's entry in it."""
    depth = sidecar.depth
    if depth is None or entry.scale is None:
        return DepthMetadata()
    kind = DepthKind.AFFINE_INVERSE if entry.holds_inverse_depth else depth.kind
    camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
    # Cameras with unit rays (fisheye, panorama) store distance along the ray in place of depth.
    has_unit_rays = camera is not None and camera.lens.has_unit_rays
    return DepthMetadata(
        kind=DISTANCE if has_unit_rays and kind is DepthKind.METRIC else kind.value,
        scale=entry.scale,
        offset=entry.offset or 0.0,
        invalid=(entry.invalid,) if isinstance(entry.invalid, int) else (),
        camera=camera,
        source=source,
        origin=origin_from_sidecar(sidecar, path, source, entry),
    )


def _metadata_from_record(record: ListedFile, path: Path, place: str) -> DepthMetadata:
    """Take the metadata of a depth file from a record that is not named after it.

    ``place`` says in words where the record lies.
    """
    source = f"{printable(Path(record.path.name))} {place}"
    metadata = _metadata_from_sidecar(record.sidecar, path, source, record.file_facts)
    is_frame = record.file_facts.frames is not None
    return _metadata_without_known_sizes(metadata) if is_frame else metadata


def _read_folder_record(path: Path) -> DepthMetadata:
    """Read the record of a link's target or of a folder, or one with another name of the file."""
    if path.is_symlink():
        linked = read_depth_metadata(path.resolve())
        if linked.origin is not None:
            return linked

    folder_record = find_folder_record(path)
    if folder_record is not None:
        kind = folder_record.kind
        return DepthMetadata(
            kind=None if kind is None else kind.value,
            scale=None if kind is None else 1.0,
            camera=folder_record.origin.camera,
            source=folder_record.origin.record_location,
            origin=folder_record.origin,
        )

    renamed = find_renamed_record(path)
    if renamed is None:
        return DepthMetadata()
    return _metadata_from_record(renamed, path, "beside it")


def _metadata_without_known_sizes(metadata: DepthMetadata) -> DepthMetadata:
    """Drop the known sizes of a clip, which hold for its first frame only."""
    if metadata.origin is None:
        return metadata
    return replace(metadata, origin=metadata.origin.without_known_sizes())


# Texts of other programs.


def _metadata_from_texts(texts: Mapping[str, Any], source: str, path: Path) -> DepthMetadata:
    """Interpret texts by name; a record of rilievo among them takes precedence."""
    record = texts.get("rilievo")
    if isinstance(record, str):
        metadata = _parse_rilievo_record(record, path, source)
        if metadata is not None and metadata.source:
            return metadata
    return _interpret_text_metadata(parse_text_metadata(texts), source, path)


def _interpret_text_metadata(stated: TextMetadata, source: str, path: Path) -> DepthMetadata:
    """Decide how stored values are converted to depth, by the entries that texts state.

    The first of these that is stated is used:

    1. A quantity that cannot be converted to metres, such as values of a z-buffer.
    2. A scale, with an offset.
    3. Metres per count, or counts per metre.
    4. A range of depth, which the values divide.
    5. A unit or a kind alone.
    """
    unit = stated.unit
    if unit is not None and not 0 < unit < math.inf:
        raise InputError(
            f"its 'unit' is {unit:g}; expected a positive number", path=printable(path)
        )
    if stated.unit_text:
        source = f"{source} says '{stated.unit_text}'"
    metadata = DepthMetadata(
        kind=_resolve_kind(stated),
        invalid=stated.invalid,
        source=source,
        unit_text=stated.unit_text,
        unit_text_metres=unit if stated.unit_text else None,
        unread_warnings=_unread_warnings(stated.unread_text, source),
    )

    quantity = stated.quantity
    is_moge = quantity is StoredQuantity.LOGARITHM and stated.has_moge_names
    if quantity is not None and not quantity.is_decodable and not is_moge:
        reason = _undecodable_message(quantity, stated.quantity_text)
        return replace(metadata, unusable_reason=reason)
    if stated.scale is not None:
        return _add_scale(metadata, stated, stated.scale, path)
    if stated.count_unit is not None:
        kind = metadata.kind or DepthKind.METRIC.value
        return replace(metadata, scale=stated.count_unit, kind=kind)
    depth_range = stated.near_and_far or stated.linear_range
    if depth_range is not None:
        return _add_range(metadata, stated, depth_range, path)
    if unit is None and metadata.kind is None:
        return DepthMetadata(unread_warnings=metadata.unread_warnings, invalid=stated.invalid)
    return replace(metadata, scale=unit)


def _unread_warnings(text: str, source: str) -> tuple[str, ...]:
    """Return the warning about a text that is not understood; nothing if the text is empty."""
    warning = (
        f"{source} says '{text}', which rilievo does not understand: if it is about the values, "
        "set 'scale' and 'offset'"
    )
    return (warning,) if text else ()


def _resolve_kind(stated: TextMetadata) -> str | None:
    """Return the kind of depth that texts state; None if they state none.

    A quantity, such as disparity, comes before a kind that is named, and both before a unit: an
    arbitrary one means depth up to scale, and one with a name means metric depth.
    """
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
    metadata: DepthMetadata, stated: TextMetadata, scale: float, path: Path
) -> DepthMetadata:
    """Add a stated scale, which is metres per count if small, or counts per metre if large.

    ``scale`` is that of ``stated``, and a unit beside it is that of the scaled values.
    """
    if scale <= 0:
        raise InputError(
            f"its 'scale' is {scale:g}; expected a positive number", path=printable(path)
        )
    if scale >= MIN_COUNTS_PER_METRE and stated.unit is None:
        # A factor such as 1000 or 5000 can only be counts per metre.
        return replace(metadata, scale=1 / scale, kind=metadata.kind or DepthKind.METRIC.value)

    is_metric = metadata.kind == DepthKind.METRIC.value
    metres_per_unit = stated.unit if stated.unit is not None and is_metric else 1.0
    # Zero means "no depth" even where an offset would make depth of it.
    zero_is_invalid = bool(stated.offset) and not stated.invalid
    return replace(
        metadata,
        scale=scale * metres_per_unit,
        offset=stated.offset * metres_per_unit,
        invalid=(0.0,) if zero_is_invalid else stated.invalid,
    )


def _add_range(
    metadata: DepthMetadata, stated: TextMetadata, depth_range: tuple[float, float], path: Path
) -> DepthMetadata:
    """Add a stated range (near and far, or minimum and maximum) to the metadata.

    Near and far need a stated spacing of the codes; minimum and maximum are taken as linear.
    """
    if stated.near_and_far is not None and stated.quantity is not StoredQuantity.LINEAR:
        return _add_near_and_far(metadata, stated, depth_range, path)
    low, high = depth_range
    if low >= high:
        return replace(metadata, unusable_reason=_falling_range_message(low, high))
    code_range = CodeRange(
        first=low, last=high, spacing=Spacing.LINEAR, rounding=stated.range_rounding
    )
    return replace(metadata, code_range=code_range, scale=stated.unit)


def _add_near_and_far(
    metadata: DepthMetadata, stated: TextMetadata, near_and_far: tuple[float, float], path: Path
) -> DepthMetadata:
    """Add near and far, which can be decoded only if MoGe wrote them (evenly in log depth)."""
    near, far = near_and_far
    metadata = replace(metadata, near_and_far=near_and_far)
    if stated.quantity in (StoredQuantity.INVERSE, StoredQuantity.DISPARITY):
        reason = f"{near_and_far_message(near, far)} (it says '{stated.quantity_text}')"
        return replace(metadata, kind=None, unusable_reason=reason)
    if not stated.has_moge_names:
        return replace(metadata, unusable_reason=near_and_far_message(near, far))

    for name, depth in (("near", near), ("far", far)):
        if depth <= 0:
            raise InputError(
                f"its '{name}' is {depth:g}; expected a positive number", path=printable(path)
            )
    code_range = CodeRange(first=near, last=far, spacing=Spacing.LOGARITHMIC)
    return replace(metadata, scale=stated.unit, code_range=code_range, invalid=(UNKNOWN_CODE,))


def _metadata_from_gdepth(properties: Mapping[str, str]) -> DepthMetadata:
    """Interpret Google's GDepth properties: near, far, and the spacing of codes between them."""
    source = "its XMP (GDepth)"
    try:
        near, far = float(properties["Near"]), float(properties["Far"])
    except (KeyError, ValueError):
        return DepthMetadata()
    spacing = _GDEPTH_SPACINGS.get(properties.get("Format", ""))
    has_valid_near = near > 0 or (near == 0 and spacing is Spacing.LINEAR)
    if spacing is None or not has_valid_near:
        return DepthMetadata(source=source, unusable_reason=near_and_far_message(near, far))
    if near >= far:
        return DepthMetadata(source=source, unusable_reason=_falling_range_message(near, far))

    unit = METRES_PER_UNIT.get(properties.get("Units", "").lower())
    warning = (
        f"{source} gives no unit for its near {near:g} and far {far:g}, so rilievo assumes that "
        "they are in metres"
    )
    is_distance = properties.get("MeasureType") == "OpticRay"
    return DepthMetadata(
        kind=DISTANCE if is_distance else DepthKind.METRIC.value,
        scale=1.0 if unit is None else unit,
        code_range=CodeRange(first=near, last=far, spacing=spacing),
        source=source,
        warnings=(warning,) if unit is None else (),
    )


def _undecodable_message(quantity: StoredQuantity, text: str) -> str:
    """Return the message for values of a quantity that cannot be converted to metres."""
    return (
        f"the file says that it stores {quantity.value} ('{text}'), but not how to convert its "
        "values to metres: save depth in metres instead"
    )


def _falling_range_message(low: float, high: float) -> str:
    """Return the message for a range whose minimum is not below its maximum."""
    return (
        f"the file gives a range from {low:g} to {high:g}, which does not increase; if its values "
        "are inverse depth or decrease with depth, save depth in metres instead"
    )
