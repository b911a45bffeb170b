"""Keys of ``rilievo.yaml`` and their defaults."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from rilievo.data.datasets.stored_normals import NormalAxes
from rilievo.data.datasets.text_files import walk
from rilievo.errors import InputError, MissingExtraError, OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.depth.channels import single_channel_weights
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.plausibility import MAX_PLAUSIBLE_MEDIAN
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, check_field_names, from_json
from rilievo.io.yaml_text import parse_yaml
from rilievo.schema.typed_values import UNITS, metres_of_unit

FILE_NAME = "rilievo.yaml"
_PARTS = ("depth", "normals", "camera")
_TEXT_KEYS = ("file", "kind", "array", "crop", "axes", "lens")
_TEXT_SUFFIXES = (".json", ".txt", ".md", ".yaml", ".yml", ".csv", ".xml")
SPLITS = ("all", "train", "valid", "test")


class StoredKind(StrEnum):
    """Quantity of a depth file."""

    DEPTH = "depth"
    """Depth along the axis [m]."""
    DISTANCE = "distance"
    """Distance along the ray [m]; needs a camera."""
    DISPARITY = "disparity"
    """Disparity [px]; needs a camera and the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLayout:
    """Layout of depth files.

    Attributes:
        file: Relative pattern with ``{id}``.
        kind: Quantity; by default as the file states, else depth.
        scale: Factor; by default as the file states, else 0.001 for integers and 1 for floats and
            disparity.
        offset: Number added after scaling.
        invalid: Unknown numbers besides NaN, infinity, depth that is not positive and, unless the
            file states how its numbers become depth, 0. An empty list makes 0 a number as others.
        bits: First bit of depth in a stored number, from the lowest (0), and number of its bits.
        channels: Weights of channels that make one number, such as [1, 256, 65536].
        sky: Numbers of "no surface".
        array: Array of npz or channel of EXR.
        min_depth: Least valid depth [m].
        baseline: Distance of two views [m].
        crop: Place in the photograph: top, left, height and width [px]; ``resized``, all of it in
            another size; or a word of ``rilievo.io.depth.crops``. By default equal sizes, whole
            multiples and known crops alone are taken.
    """

    file: str = "depth/{id}.*"
    kind: StoredKind | None = None
    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] | None = None
    sky: tuple[float, ...] = ()
    bits: tuple[int, ...] | None = None
    channels: tuple[float, ...] | None = None
    array: str | None = None
    min_depth: float = 0.0
    max_depth: float | None = None
    baseline: float | None = None
    crop: str | None = None

    @property
    def marks(self) -> tuple[float, ...]:
        """Stored numbers that hold no depth in a file that states nothing."""
        if self.invalid is None:
            return (0.0,)
        return tuple(dict.fromkeys((0.0, *self.invalid))) if self.invalid else ()

    @property
    def has_declared_unit(self) -> bool:
        """Whether the unit is declared, or a farthest depth far beyond what is usual."""
        return self.scale is not None or (self.max_depth or 0) > MAX_PLAUSIBLE_MEDIAN

    @property
    def encoding(self) -> NumberEncoding:
        """Channels, bits and further invalid numbers of the files."""
        return NumberEncoding(
            bits=self.bits, channels=self.channels, invalid=self.invalid, scale=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsLayout:
    """Relative pattern with ``{id}``, axes, array and place of normals; ``crop`` as of depth."""

    file: str = "normals/{id}.*"
    axes: NormalAxes = NormalAxes.OPENCV
    array: str | None = None
    crop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLayout:
    """Intrinsics of all images, or a file each.

    Attributes:
        fx: Focal length [px]; ``fy`` is equal by default.
        cx: Principal point [px]; the first pixel's centre is 0, as for ``cy``.
        width: Size of the image that these are for [px]; by default each image's.
        file: Pattern or file of fx fy cx cy, K, npy, or a calibration program.
        lens: Lens as of ``--projection``.
    """

    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    width: int | None = None
    height: int | None = None
    file: str | None = None
    lens: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout:
    """Layout of the user's folder; every key is optional.

    Attributes:
        folder: Folder of the files, by default of the YAML; ``${NAME}`` is from the environment.
        image: Pattern of photographs with ``{id}``.
        valid: Pattern of masks; nonzero is valid.
        scene: Folders of an id that name its scene; 0 for one clip.
        splits: Text file of ids by split.
    """

    folder: str | None = None
    image: str = "images/{id}.*"
    depth: DepthLayout | None = None
    normals: NormalsLayout | None = None
    valid: str | None = None
    camera: CameraLayout | None = None
    scene: int | None = None
    splits: Mapping[str, str] = field(default_factory=dict)


def read_layout(path: Path) -> FolderLayout:
    """Read and check a YAML."""
    shown = printable(path)
    data = _read_yaml(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InputError(f"{shown}: it is no list of keys with values")
    for name in _PARTS:
        if isinstance(data.get(name), str):
            data[name] = {"file": data[name]}
        part = data.get(name)
        if isinstance(part, dict):
            _read_numbers_in_texts(part)
            _accept_single_values(part)
        if isinstance(part, dict) and isinstance(part.get("crop"), list):
            part["crop"] = ",".join(map(str, part["crop"]))
    depth = data.get("depth")
    if isinstance(depth, dict) and isinstance(depth.get("scale"), str):
        depth["scale"] = _read_scale(depth["scale"], shown)
    try:
        check_field_names(FolderLayout, data)
        layout = from_json(FolderLayout, json.dumps(data))
    except (NotThisRecord, TypeError, ValueError) as error:
        text = error.message_in_file if isinstance(error, NotThisRecord) else str(error)
        raise InputError(text, path=shown) from error
    for name in layout.splits:
        if name not in SPLITS[1:]:
            raise InputError(f"{shown}: has no split '{name}'; {suggest(name, SPLITS[1:])}")
    _check_layout(layout, shown)
    return layout


def _read_numbers_in_texts(part: dict[str, Any]) -> None:
    """Read numbers that YAML takes for texts, such as 1e-6 and 1e+10, which have no point."""
    for name, value in part.items():
        if name in _TEXT_KEYS:
            continue
        is_list = isinstance(value, list)
        part[name] = [*map(_number_or_text, value)] if is_list else _number_or_text(value)


def _number_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        return float(value)
    return value


def _read_scale(text: str, shown: str) -> float:
    """Read a fraction or a unit, as the command line takes them."""
    try:
        return metres_of_unit(text)
    except ValueError as error:
        raise InputError(
            f'{shown}: depth.scale is "{text[:40]}", expected a number, a fraction such as 1/256, '
            f"or a unit ({UNITS})"
        ) from error


def _accept_single_values(part: dict[str, Any]) -> None:
    """Write a single number as a list, and the letter of a channel as weights."""
    for name in ("invalid", "sky"):
        if isinstance(part.get(name), int | float) and not isinstance(part[name], bool):
            part[name] = [part[name]]
    letter = part.get("channels")
    if isinstance(letter, str) and len(letter) == 1 and letter.lower() in "rgba":
        part["channels"] = list(single_channel_weights(letter))


def folder_of_layout(path: Path, layout: FolderLayout) -> Path:
    """Folder that a YAML describes; environment variables are expanded."""
    named = os.path.expanduser(os.path.expandvars(layout.folder or "."))
    unset = re.search(r"\$\{?\w+\}?", named)
    if unset:
        raise InputError(
            f"{path}: its folder is '{layout.folder}', but {unset[0]} is not set in the environment"
        )
    folder = path.parent / named
    if not folder.is_dir():
        raise InputError(f"{path}: its folder {folder} is not there")
    return folder


def _read_yaml(path: Path) -> Any:
    text = read_text(path)
    try:
        return parse_yaml(text)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading {path}", "evaluate") from error
    except ValueError as error:
        raise InputError(f"{path}: is no YAML ({str(error)[:160]})") from error


def _check_layout(layout: FolderLayout, shown: str) -> None:
    depth, camera = layout.depth, layout.camera
    normals = layout.normals
    patterns = (
        layout.image,
        layout.valid,
        None if depth is None else depth.file,
        None if normals is None else normals.file,
    )
    for pattern in patterns:
        if pattern and "{id}" not in pattern:
            raise InputError(f"{shown}: the pattern '{pattern}' has no {{id}}")
    if layout.scene is not None and layout.scene < 0:
        raise InputError(f"{shown}: 'scene' is a number of folders, 0 or more, got {layout.scene}")
    ways = () if camera is None else (camera.file, camera.fx, camera.lens)
    if camera is not None and sum(way is not None for way in ways) != 1:
        raise InputError(f"{shown}: a camera has either a file, a lens, or fx, fy, cx and cy")
    if camera is not None and camera.lens is not None:
        try:
            read_spelling(camera.lens, "camera.lens")
        except OptionError as error:
            raise InputError(path=shown, problem=Text(error)) from error
    if camera is not None and camera.fx is not None and None in (camera.cx, camera.cy):
        raise InputError(f"{shown}: a camera with fx has cx and cy too")
    if camera is not None and (camera.width is None) != (camera.height is None):
        raise InputError(f"{shown}: a camera has width and height, or neither")
    sides = () if camera is None else (camera.width, camera.height)
    if any(side is not None and side < 1 for side in sides):
        raise InputError(f"{shown}: a camera's width and height are positive")
    for part in (depth, normals):
        if part is None or part.crop is None:
            continue
        try:
            parse_placement(part.crop, "'crop'")
        except OptionError as error:
            raise InputError(path=shown, problem=Text(error)) from error
    if depth is not None:
        try:
            depth.encoding.check("'depth'")
        except OptionError as error:
            raise InputError(path=shown, problem=Text(error)) from error
    if depth is not None:
        _check_sky(depth, shown)
    if depth is None or depth.kind in (None, StoredKind.DEPTH):
        return
    if camera is None:
        raise InputError(f"{shown}: depth of kind '{depth.kind}' needs a camera")
    if depth.kind is StoredKind.DISPARITY and depth.baseline is None:
        raise InputError(f"{shown}: depth of kind 'disparity' needs the baseline [m]")


def _check_sky(depth: DepthLayout, shown: str) -> None:
    """Refuse numbers of the sky that the bits of depth cannot hold."""
    largest = max(depth.sky, default=0)
    if depth.bits is not None and largest >= 2 ** depth.bits[1]:
        raise InputError(
            f"{shown}: 'sky' is a number of the {depth.bits[1]} bits of depth, got {largest:g}"
        )


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find files of a pattern, by sorted id; links are followed, hidden files not.

    ``{id}`` is any text, ``*`` any without "/".
    """
    fits = _regex_of_pattern(pattern)
    head = pattern.split("{id}")[0].split("*")[0]
    start = folder / head[: head.rfind("/") + 1]
    files: dict[str, Path] = {}
    for place, folders, names in walk(start, links=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _is_link_to_ancestor(place, name)
        ]
        for name in names:
            path = Path(place, name)
            match = fits.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if pattern.endswith(".*") and name.lower().endswith(_TEXT_SUFFIXES):
                continue  # States the unit of the files that it lies beside.
            if match["id"] in files:
                raise InputError(
                    f"{path} and {files[match['id']].name} both fit '{pattern}' with the id "
                    f"'{match['id']}': say more in the pattern"
                )
            files[match["id"]] = path
    return dict(sorted(files.items()))


def _is_link_to_ancestor(place: str, name: str) -> bool:
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return False
    target, here = os.path.realpath(path), os.path.realpath(place)
    return os.path.commonpath([target, here]) == target


def expected_path(folder: Path, pattern: str, id: str) -> Path:
    """Pattern's path of an id."""
    return folder / PurePosixPath(pattern.replace("{id}", id))


def _regex_of_pattern(pattern: str) -> re.Pattern[str]:
    pieces = []
    named = False
    for piece in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if piece == "{id}":
            pieces.append("(?P=id)" if named else "(?P<id>.+)")
            named = True
        else:
            pieces.append("[^/]*" if piece == "*" else re.escape(piece))
    # Names may contain line breaks.
    return re.compile("".join(pieces), re.DOTALL)
