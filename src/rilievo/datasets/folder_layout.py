"""How a folder of one's own lies on disk: ``rilievo.yaml``, its keys and their defaults."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from rilievo.datasets.stored_normals import NormalAxes
from rilievo.errors import InputError, MissingExtraError, suggest
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import printable, read_text
from rilievo.io.yaml_text import parse_yaml

FILE_NAME = "rilievo.yaml"


class StoredKind(StrEnum):
    """What the numbers of a depth file are, once scaled."""

    DEPTH = "depth"
    """Metres along the optical axis."""
    DISTANCE = "distance"
    """Metres along the ray of the pixel; needs a camera."""
    DISPARITY = "disparity"
    """Pixels between two rectified views; needs a camera and the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLayout:
    """Depth files.

    Attributes:
        file: Pattern below the folder, with ``{id}``.
        kind: What scaled numbers are.
        scale: Stored numbers are multiplied by it; by default 0.001 for whole numbers, which are
            millimetres then, and 1 for others. Disparity is not scaled by default.
        offset: Added after that.
        invalid: Stored numbers that mean "unknown"; NaN, infinity and what gives no positive
            depth are unknown anyway.
        sky: Stored numbers that mean "no surface at all".
        array: Which array of an npz file, or channel of an EXR file.
        min_depth: Nearer depth [m] is unknown.
        max_depth: Farther depth [m] is unknown.
        baseline: Between the two views of a disparity [m].
    """

    file: str = "depth/{id}.*"
    kind: StoredKind = StoredKind.DEPTH
    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)
    sky: tuple[float, ...] = ()
    array: str | None = None
    min_depth: float = 0.0
    max_depth: float | None = None
    baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsLayout:
    """Files of normals.

    Attributes:
        file: Pattern below the folder, with ``{id}``.
        axes: What its numbers count along.
        array: Which array of an npz file.
    """

    file: str = "normals/{id}.*"
    axes: NormalAxes = NormalAxes.OPENCV
    array: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLayout:
    """Intrinsics, the same for all images or a file for each.

    Attributes:
        fx: Focal length along x [px].
        fy: The same along y; by default fx.
        cx: Principal point, counted from the centre of the first pixel [px].
        cy: The same along y.
        width: Of the image that these numbers are for; by default each image's own.
        height: The same.
        file: Pattern with ``{id}``, or one file: four numbers, the nine of K, or npy.
    """

    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    width: int | None = None
    height: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout:
    """A folder of one's own. Every key may be left out.

    Attributes:
        folder: Where the files are, if not beside this one; ``${NAME}`` is taken from the
            environment.
        image: Pattern of the photographs, with ``{id}``, which may hold subfolders.
        depth: Depth files.
        normals: Files of normals.
        valid: Pattern of masks; pixels that are not 0 are valid, for depth and normals.
        camera: Intrinsics.
        scene: How many leading folders of an id name its scene or sequence: 1 where ids are as
            ``scene0707_00/000123``, 0 where all images are frames of one clip. By default images
            count as independent.
        splits: Name of a split to a text of its ids, one a line.
    """

    folder: str | None = None
    image: str = "images/{id}.*"
    depth: DepthLayout | None = None
    normals: NormalsLayout | None = None
    valid: str | None = None
    camera: CameraLayout | None = None
    scene: int | None = None
    splits: Mapping[str, str] = field(default_factory=dict)


_PARTS: Mapping[str, type] = {
    "depth": DepthLayout,
    "normals": NormalsLayout,
    "camera": CameraLayout,
}
SPLITS = ("all", "train", "valid", "test")


def read_layout(path: Path) -> FolderLayout:
    """The layout that a YAML file describes, checked.

    Raises:
        InputError: If it is no such file: which key, and what was expected.
        MissingExtraError: If PyYAML is not installed.
    """
    shown = printable(path)
    data = _parsed(path)
    if data is None:
        data = {}
    _refuse_unknown(data, FolderLayout, shown, "")
    for name, kind in _PARTS.items():
        if isinstance(data.get(name), str):
            data[name] = {"file": data[name]}
        if data.get(name) is not None:
            _refuse_unknown(data[name], kind, shown, f"{name}.")
    _refuse_unknown_splits(data.get("splits"), shown)
    try:
        layout = from_json(FolderLayout, json.dumps(data))
    except (NotThisRecord, TypeError, ValueError) as error:
        raise InputError(f"{shown}: {str(error).replace('it.', '', 1)}") from error
    _check(layout, shown)
    return layout


def described_folder(path: Path, layout: FolderLayout) -> Path:
    """The folder that a layout read from ``path`` is about.

    Raises:
        InputError: If there is none, or a variable of the environment is not set.
    """
    named = os.path.expanduser(os.path.expandvars(layout.folder or "."))
    unset = re.search(r"\$\{?\w+\}?", named)
    if unset:
        raise InputError(
            f"{printable(path)}: its folder is '{layout.folder}', but {unset[0]} is not set in "
            "the environment"
        )
    folder = path.parent / named
    if not folder.is_dir():
        raise InputError(f"{printable(path)}: its folder {printable(folder)} is not there")
    return folder


def _parsed(path: Path) -> Any:
    text = read_text(path)
    try:
        return parse_yaml(text)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading {printable(path)}", "evaluate") from error
    except ValueError as error:
        raise InputError(f"{printable(path)}: is no YAML ({str(error)[:160]})") from error


def _refuse_unknown(data: Any, kind: type, shown: str, prefix: str) -> None:
    if not isinstance(data, dict):
        where = f"'{prefix[:-1]}'" if prefix else "it"
        raise InputError(f"{shown}: {where} is no list of keys with values")
    known = [each.name for each in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            raise InputError(f"{shown}: has no key '{prefix}{key}'; {suggest(str(key), known)}")


def _refuse_unknown_splits(splits: Any, shown: str) -> None:
    for name in splits if isinstance(splits, dict) else ():
        if name not in SPLITS[1:]:
            raise InputError(f"{shown}: has no split '{name}'; {suggest(str(name), SPLITS[1:])}")


def _check(layout: FolderLayout, shown: str) -> None:
    """Refuse what does not go together."""
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
    if camera is not None and (camera.file is None) == (camera.fx is None):
        raise InputError(f"{shown}: a camera has either a file or fx, fy, cx and cy")
    if camera is not None and camera.fx is not None and None in (camera.cx, camera.cy):
        raise InputError(f"{shown}: a camera with fx has cx and cy too")
    if camera is not None and (camera.width is None) != (camera.height is None):
        raise InputError(f"{shown}: a camera has width and height, or neither")
    sides = () if camera is None else (camera.width, camera.height)
    if any(side is not None and side < 1 for side in sides):
        raise InputError(f"{shown}: a camera's width and height are positive")
    if depth is None or depth.kind is StoredKind.DEPTH:
        return
    if camera is None:
        raise InputError(f"{shown}: depth of kind '{depth.kind}' needs a camera")
    if depth.kind is StoredKind.DISPARITY and depth.baseline is None:
        raise InputError(f"{shown}: depth of kind 'disparity' needs the baseline [m]")
