"""Keys of ``rilievo.yaml`` and their defaults."""

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
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import KEY_SYNONYMS, NumberEncoding, parse_channel_letter
from rilievo.io.depth.plausibility import MAX_PLAUSIBLE_MEDIAN
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_yaml, record_from_data
from rilievo.schema.typed_values import UNITS, parse_unit

FILE_NAME = "rilievo.yaml"
_SECTIONS = ("depth", "normals", "camera")
_TEXT_KEYS = ("file", "kind", "array", "crop", "axes", "lens")
"""Keys of a section whose values are texts, also if they look like numbers."""
SPLITS = ("all", "train", "valid", "test")


class StoredKind(StrEnum):
    """Quantity that a depth file stores."""

    DEPTH = "depth"
    """Depth along the axis [m]."""
    DISTANCE = "distance"
    """Distance along the ray [m]; needs a camera."""
    DISPARITY = "disparity"
    """Disparity [px]; needs a camera and the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLayout:
    """Section ``depth`` of the YAML: where depth files lie, and what their numbers mean.

    Attributes:
        file: Relative pattern with ``{id}``.
        kind: Quantity; by default as the file states, else depth.
        scale: Factor; by default as the file states, else 0.001 for integers and 1 for floats and
            disparity.
        offset: Number added after scaling.
        invalid: Numbers that mean "unknown" besides NaN, infinity, depth that is not positive and,
            unless the file states how its numbers become depth, 0. An empty list makes 0 an
            ordinary number.
        sky: Numbers that mean "no surface".
        bits: First bit of depth in a stored number, from the lowest (0), and number of its bits.
        channels: Weights of channels that make one number, such as [1, 256, 65536].
        array: Array of npz or channel of EXR.
        min_depth: Least valid depth [m].
        max_depth: Largest valid depth [m].
        baseline: Distance between the two cameras [m].
        crop: Place in the photograph: top, left, height and width [px]; ``resized``, all of it in
            another size; or a word of ``rilievo.io.depth.crops``. By default, only equal sizes,
            whole multiples and known crops are accepted.
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
    def invalid_numbers(self) -> tuple[float, ...]:
        """Stored numbers that mean "unknown" in a file that states nothing about its numbers."""
        if self.invalid is None:
            return (0.0,)
        return tuple(dict.fromkeys((0.0, *self.invalid))) if self.invalid else ()

    @property
    def has_declared_unit(self) -> bool:
        """Whether a scale is declared, or a largest depth so large that the unit is clear."""
        return self.scale is not None or (self.max_depth or 0) > MAX_PLAUSIBLE_MEDIAN

    @property
    def encoding(self) -> NumberEncoding:
        """Channels, bits and further invalid numbers of the files."""
        return NumberEncoding(
            bits=self.bits, channels=self.channels, invalid=self.invalid, scale=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsLayout:
    """Section ``normals`` of the YAML: pattern with ``{id}``, axes, array and crop as for depth."""

    file: str = "normals/{id}.*"
    axes: NormalAxes = NormalAxes.OPENCV
    array: str | None = None
    crop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLayout:
    """Section ``camera`` of the YAML: intrinsics of all images, a lens, or a file for each image.

    Attributes:
        fx: Focal length [px]; ``fy`` is equal by default.
        cx: Principal point [px], like ``cy``; the centre of the top-left pixel is (0, 0).
        width: Width of the image for which fx to cy hold [px], like ``height``; by default the
            width of each image.
        file: Pattern or path of a file with fx fy cx cy, with K, or written by a calibration
            program.
        lens: Lens, spelled as for ``--projection``.
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
        folder: Folder of the files, by default the YAML's; ``${NAME}`` is an environment variable.
        image: Pattern of photographs with ``{id}``.
        valid: Pattern of masks; nonzero is valid.
        scene: Number of folders at the start of an id that name its scene; 0 for one clip.
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
    yaml_name = printable(path)
    data = _read_yaml(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InputError(f"{yaml_name}: expected a mapping of keys to values")
    for name in _SECTIONS:
        if isinstance(data.get(name), str):
            data[name] = {"file": data[name]}
        section = data.get(name)
        if isinstance(section, dict):
            _unify_spellings(section)
    depth = data.get("depth")
    if isinstance(depth, dict) and isinstance(depth.get("scale"), str):
        depth["scale"] = _parse_scale(depth["scale"], yaml_name)

    try:
        layout = record_from_data(FolderLayout, data, synonyms=KEY_SYNONYMS)
    except (TypeError, ValueError) as error:
        raise InputError(str(error), path=yaml_name) from error
    for name in layout.splits:
        if name not in SPLITS[1:]:
            raise InputError(f"{yaml_name}: has no split '{name}'; {suggest(name, SPLITS[1:])}")
    _check_layout(layout, yaml_name)
    return layout


def _unify_spellings(section: dict[str, Any]) -> None:
    """Rewrite the values of a section, which users may spell in several ways, in one way."""
    _parse_numbers_in_texts(section)
    _expand_single_values(section)
    if isinstance(section.get("crop"), list):
        section["crop"] = ",".join(map(str, section["crop"]))


def _parse_numbers_in_texts(section: dict[str, Any]) -> None:
    """Parse numbers such as 1e-6 and 1e+10, which YAML takes for texts as they have no point."""
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


def _parse_scale(text: str, yaml_name: str) -> float:
    """Parse a fraction or a unit, as the command line takes them."""
    try:
        return parse_unit(text)
    except ValueError as error:
        raise InputError(
            f'{yaml_name}: depth.scale is "{text[:40]}", expected a number, a fraction such as '
            f"1/256, or a unit ({UNITS})"
        ) from error


def _expand_single_values(section: dict[str, Any]) -> None:
    """Turn a single number into a list, and the letter of a channel into weights."""
    for name in ("invalid", "sky"):
        value = section.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            section[name] = [value]
    channels = section.get("channels")
    if isinstance(channels, str):
        weights = parse_channel_letter(channels)
        if weights is not None:
            section["channels"] = list(weights)


def folder_of_layout(path: Path, layout: FolderLayout) -> Path:
    """Find the folder that a YAML describes. Environment variables and ``~`` are expanded.

    Raises:
        InputError: If a variable is not set, or the folder is not there.
    """
    named = os.path.expanduser(os.path.expandvars(layout.folder or "."))
    unset = re.search(r"\$\{?\w+\}?", named)
    if unset:
        raise InputError(
            f"{path}: its folder is '{layout.folder}', but the environment variable {unset[0]} is "
            "not set"
        )
    folder = path.parent / named
    if not folder.is_dir():
        raise InputError(f"{path}: its folder {folder} does not exist")
    return folder


def _read_yaml(path: Path) -> Any:
    text = read_text(path)
    try:
        return parse_yaml(text)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading {path}", "evaluate") from error
    except ValueError as error:
        raise InputError(f"{path}: is not valid YAML ({str(error)[:160]})") from error


def _check_layout(layout: FolderLayout, yaml_name: str) -> None:
    """Check what the types of the keys cannot: patterns, and keys that contradict each other."""
    _check_patterns(layout, yaml_name)
    if layout.scene is not None and layout.scene < 0:
        raise InputError(
            f"{yaml_name}: 'scene' must be a number of folders, 0 or more, got {layout.scene}"
        )
    if layout.camera is not None:
        _check_camera(layout.camera, yaml_name)
    for section in (layout.depth, layout.normals):
        if section is not None and section.crop is not None:
            with _naming_file_in_errors(yaml_name):
                parse_placement(section.crop, "'crop'")
    if layout.depth is not None:
        _check_depth(layout.depth, layout.camera, yaml_name)


def _check_patterns(layout: FolderLayout, yaml_name: str) -> None:
    sections = (layout.depth, layout.normals)
    patterns = [layout.image, layout.valid]
    patterns += [section.file for section in sections if section is not None]
    for pattern in patterns:
        if pattern and "{id}" not in pattern:
            raise InputError(
                f"{yaml_name}: the pattern '{pattern}' must contain {{id}}, which stands for the "
                "name of an image"
            )


def _check_camera(camera: CameraLayout, yaml_name: str) -> None:
    """Check that the camera is stated once, and completely."""
    given_sources = [
        source for source in (camera.file, camera.fx, camera.lens) if source is not None
    ]
    if len(given_sources) != 1:
        raise InputError(
            f"{yaml_name}: 'camera' needs exactly one of the keys 'file', 'lens' and 'fx'"
        )
    if camera.lens is not None:
        with _naming_file_in_errors(yaml_name):
            read_spelling(camera.lens, "camera.lens")  # only to check it
    if camera.fx is not None and None in (camera.cx, camera.cy):
        raise InputError(f"{yaml_name}: a camera with fx also needs cx and cy")
    if (camera.width is None) != (camera.height is None):
        raise InputError(f"{yaml_name}: give both width and height of a camera, or neither")
    if any(side is not None and side < 1 for side in (camera.width, camera.height)):
        raise InputError(f"{yaml_name}: a camera's width and height must be positive")


def _check_depth(depth: DepthLayout, camera: CameraLayout | None, yaml_name: str) -> None:
    """Check the encoding, and that distance and disparity come with what they need."""
    with _naming_file_in_errors(yaml_name):
        depth.encoding.check("'depth'")
    _check_sky(depth, yaml_name)
    if depth.kind in (None, StoredKind.DEPTH):
        return
    if camera is None:
        raise InputError(
            f"{yaml_name}: depth of kind '{depth.kind}' needs a camera; add 'camera' to this file"
        )
    if depth.kind is StoredKind.DISPARITY and depth.baseline is None:
        raise InputError(
            f"{yaml_name}: depth of kind 'disparity' needs the distance between the two cameras; "
            "add 'baseline' in metres to 'depth'"
        )


@contextmanager
def _naming_file_in_errors(yaml_name: str) -> Iterator[None]:
    """Turn an error about an option into an error in the file that states the option."""
    try:
        yield
    except OptionError as error:
        raise InputError(path=yaml_name, problem=Text(error)) from error


def _check_sky(depth: DepthLayout, yaml_name: str) -> None:
    """Check that the numbers of the sky fit into the bits of depth."""
    largest = max(depth.sky, default=0)
    if depth.bits is not None and largest >= 2 ** depth.bits[1]:
        raise InputError(
            f"{yaml_name}: 'sky' must be a value that fits into the {depth.bits[1]} bits of depth, "
            f"got {largest:g}"
        )
