"""Keys of ``rilievo.yaml`` and their defaults."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from rilievo.data.datasets.stored_normals import NormalAxes
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
_SECTIONS = ("depth", "normals", "camera")
_TEXT_KEYS = ("file", "kind", "array", "crop", "axes", "lens")
"""Keys of a section whose values are texts, also if they look like numbers."""
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
    """Read and check a YAML that describes a folder.

    Raises:
        InputError: If it is no YAML, has unknown keys, or contradicts itself.
        MissingExtraError: If PyYAML is not installed.
    """
    shown = printable(path)
    data = _read_yaml(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InputError(f"{shown}: it is no list of keys with values")
    for name in _SECTIONS:
        if isinstance(data.get(name), str):
            data[name] = {"file": data[name]}
        section = data.get(name)
        if isinstance(section, dict):
            _normalise_section(section)
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


def _normalise_section(section: dict[str, Any]) -> None:
    """Write the values of a section, which users may write in several ways, in one way."""
    _read_numbers_in_texts(section)
    _accept_single_values(section)
    if isinstance(section.get("crop"), list):
        section["crop"] = ",".join(map(str, section["crop"]))


def _read_numbers_in_texts(section: dict[str, Any]) -> None:
    """Read numbers that YAML takes for texts, such as 1e-6 and 1e+10, which have no point."""
    for name, value in section.items():
        if name in _TEXT_KEYS:
            continue
        if isinstance(value, list):
            section[name] = [_number_or_text(item) for item in value]
        else:
            section[name] = _number_or_text(value)


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


def _accept_single_values(section: dict[str, Any]) -> None:
    """Write a single number as a list, and the letter of a channel as weights."""
    for name in ("invalid", "sky"):
        value = section.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            section[name] = [value]
    letter = section.get("channels")
    if isinstance(letter, str) and len(letter) == 1 and letter.lower() in "rgba":
        section["channels"] = list(single_channel_weights(letter))


def folder_of_layout(path: Path, layout: FolderLayout) -> Path:
    """Folder that a YAML describes. Environment variables and ``~`` are expanded.

    Raises:
        InputError: If a variable is not set, or the folder is not there.
    """
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
    """Refuse what the types of the keys allow and what makes no sense.

    Args:
        layout: The layout.
        shown: Name of the YAML in messages.
    """
    _check_patterns(layout, shown)
    if layout.scene is not None and layout.scene < 0:
        raise InputError(f"{shown}: 'scene' is a number of folders, 0 or more, got {layout.scene}")
    if layout.camera is not None:
        _check_camera(layout.camera, shown)
    for part in (layout.depth, layout.normals):
        if part is not None and part.crop is not None:
            with _errors_of_file(shown):
                parse_placement(part.crop, "'crop'")
    if layout.depth is not None:
        _check_depth(layout.depth, layout.camera, shown)


def _check_patterns(layout: FolderLayout, shown: str) -> None:
    patterns = [layout.image, layout.valid]
    patterns += [part.file for part in (layout.depth, layout.normals) if part is not None]
    for pattern in patterns:
        if pattern and "{id}" not in pattern:
            raise InputError(f"{shown}: the pattern '{pattern}' has no {{id}}")


def _check_camera(camera: CameraLayout, shown: str) -> None:
    statements = [camera.file, camera.fx, camera.lens]
    if sum(statement is not None for statement in statements) != 1:
        raise InputError(f"{shown}: a camera has either a file, a lens, or fx, fy, cx and cy")
    if camera.lens is not None:
        with _errors_of_file(shown):
            read_spelling(camera.lens, "camera.lens")
    if camera.fx is not None and None in (camera.cx, camera.cy):
        raise InputError(f"{shown}: a camera with fx has cx and cy too")
    if (camera.width is None) != (camera.height is None):
        raise InputError(f"{shown}: a camera has width and height, or neither")
    if any(side is not None and side < 1 for side in (camera.width, camera.height)):
        raise InputError(f"{shown}: a camera's width and height are positive")


def _check_depth(depth: DepthLayout, camera: CameraLayout | None, shown: str) -> None:
    with _errors_of_file(shown):
        depth.encoding.check("'depth'")
    _check_sky(depth, shown)
    if depth.kind in (None, StoredKind.DEPTH):
        return
    if camera is None:
        raise InputError(f"{shown}: depth of kind '{depth.kind}' needs a camera")
    if depth.kind is StoredKind.DISPARITY and depth.baseline is None:
        raise InputError(f"{shown}: depth of kind 'disparity' needs the baseline [m]")


@contextmanager
def _errors_of_file(shown: str) -> Iterator[None]:
    """Raise errors about an option as errors in the file that states it."""
    try:
        yield
    except OptionError as error:
        raise InputError(path=shown, problem=Text(error)) from error


def _check_sky(depth: DepthLayout, shown: str) -> None:
    """Refuse numbers of the sky that the bits of depth cannot hold."""
    largest = max(depth.sky, default=0)
    if depth.bits is not None and largest >= 2 ** depth.bits[1]:
        raise InputError(
            f"{shown}: 'sky' is a number of the {depth.bits[1]} bits of depth, got {largest:g}"
        )
