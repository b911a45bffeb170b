"""Table of output formats."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from rilievo.errors import OptionError, suggest
from rilievo.outside import OpenTable, is_place


class Need(StrEnum):
    """A part of a prediction that an output needs."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    CAMERA = "camera"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output format.

    Attributes:
        suffix: Suffix of the file, after the stem.
        summary: One line for help texts.
        needs: Parts of the prediction that are required.
        takes: Parts that are also stored, where the prediction has them.
        writer: Function from a ``WriteJob`` and the parts in ``needs``, in their order, to
            ``FileFacts``, as ``module:function``, by default in ``rilievo.io.formats``; for outputs
            of other packages the function itself.
        reader: Function that reads values back as ``Stored``, as ``module:function``; None for
            pictures and surfaces.
        gives: Parts that can be read back.
        exact: Whether values are read back bit for bit.
        embedded: Function that reads the embedded JSON, as ``module:function``; with it the file
            can be read on its own.
        options: Options of ``rilievo predict`` that decide how the file looks; others do not
            concern it. None if that is not known, so that all of them do.
        extra: The extra of rilievo that the format needs.
        package: The package that this extra installs.
    """

    suffix: str
    summary: str
    needs: tuple[Need, ...]
    takes: tuple[Need, ...] = ()
    writer: str | Callable[..., Any]
    reader: str | Callable[..., Any] | None = None
    gives: tuple[Need, ...] = ()
    exact: bool = False
    embedded: str | Callable[..., Any] | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None


_COLOURS = ("colour_map", "colour_range")
_SURFACE = ("surface_points", "edge", "drop")
WRITING = (*_COLOURS, *_SURFACE, "backing", "stereo")
"""All options of writing files."""

# A new format is one file in formats and one line here; docs/outputs.md may describe it.
_OUTPUTS: Mapping[str, Output] = {
    "colour": Output(
        suffix=".depth.png",
        summary="picture of depth in colour, near is bright",
        needs=(Need.DEPTH,),
        writer="colour:write",
        options=_COLOURS,
    ),
    "png16": Output(
        suffix=".depth16.png",
        summary="depth in 16 bits: millimetres, or the scale stated inside; 0 is invalid",
        needs=(Need.DEPTH,),
        writer="png16:write",
        reader="png16:read",
        gives=(Need.DEPTH,),
        embedded="png16:embedded",
        options=(),
    ),
    "npy": Output(
        suffix=".depth.npy",
        summary="depth as a float32 array, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="arrays:write_npy",
        reader="arrays:read_npy",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
    ),
    "npz": Output(
        suffix=".npz",
        summary="everything as arrays: depth, valid, normals, confidence, K",
        needs=(),
        takes=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.CAMERA),
        writer="arrays:write_npz",
        reader="arrays:read_npz",
        gives=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE),
        exact=True,
        embedded="arrays:embedded_npz",
        options=(),
    ),
    "tiff": Output(
        suffix=".depth.tiff",
        summary="depth as a float32 TIFF, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="arrays:write_tiff",
        reader="arrays:read_tiff",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="arrays:embedded_tiff",
        options=(),
    ),
    "exr": Output(
        suffix=".depth.exr",
        summary="depth as a float32 OpenEXR, NaN is invalid",
        needs=(Need.DEPTH,),
        writer="arrays:write_exr",
        reader="arrays:read_exr",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="arrays:embedded_exr",
        extra="formats",
        package="OpenEXR",
        options=(),
    ),
    "normals": Output(
        suffix=".normals.png",
        summary="picture of the normals (OpenGL axes: x right, y up, z towards the viewer)",
        needs=(Need.NORMALS,),
        writer="pictures:write_normals",
        reader="pictures:read_normals",
        gives=(Need.NORMALS,),
        options=(),
    ),
    "normals-npy": Output(
        suffix=".normals.npy",
        summary="normals as a float32 array h x w x 3 (x right, y down, z forward)",
        needs=(Need.NORMALS,),
        writer="arrays:write_normals_npy",
        reader="arrays:read_normals_npy",
        gives=(Need.NORMALS,),
        exact=True,
        options=(),
    ),
    "confidence": Output(
        suffix=".confidence.png",
        summary="confidence in 8 bits, 255 is highest",
        needs=(Need.CONFIDENCE,),
        writer="pictures:write_confidence",
        reader="pictures:read_confidence",
        gives=(Need.CONFIDENCE,),
        options=(),
    ),
    "ply": Output(
        suffix=".ply",
        summary="point cloud with normals and colours",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="ply:write",
        options=(*_SURFACE, "backing"),
    ),
    "glb": Output(
        suffix=".glb",
        summary="mesh textured with the photograph (glTF axes: x right, y up, z backwards)",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="glb:write",
        options=(*_SURFACE, "backing"),
    ),
    "html": Output(
        suffix=".html",
        summary="page to share: pictures, facts, and the surface to turn",
        needs=(),
        takes=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.CAMERA, Need.PHOTO),
        writer="rilievo.pages.photograph:write",
        options=(*_COLOURS, *_SURFACE),
    ),
    "panel": Output(
        suffix=".panel.png",
        summary="photograph, depth and normals side by side with legends, for slides",
        needs=(Need.DEPTH,),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="panel:write",
        options=_COLOURS,
    ),
    "stereo": Output(
        suffix=".stereo.png",
        summary="stereo pictures: side by side, above one another, or red and cyan",
        needs=(Need.DEPTH, Need.PHOTO),
        writer="pictures:write_stereo",
        options=("stereo", "colour_range"),
    ),
}


def _outside(found: object, name: str) -> Output:
    if not isinstance(found, Output) or isinstance(found.writer, str):
        raise OptionError(
            f"output '{name}' is not a rilievo.io.output_table.Output with a function as its writer"
        )
    return found


OUTPUTS: OpenTable[Output] = OpenTable(_OUTPUTS, "output", _outside)


_MEANT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mesh", "gltf", "obj", "stl", "fbx", "usdz", "3d", "surface"), ("glb", "ply")),
    **dict.fromkeys(
        ("pointcloud", "point-cloud", "points", "cloud", "pcd", "xyz", "las"), ("ply",)
    ),
    **dict.fromkeys(("png", "jpg", "jpeg", "picture", "image", "webp", "heatmap"), ("colour",)),
    **dict.fromkeys(("depth", "numpy", "raw", "array"), ("npy", "png16")),
    **dict.fromkeys(("mp4", "video", "movie", "gif"), ("colour",)),
    **dict.fromkeys(("16bit", "png-16", "depth16"), ("png16",)),
    **dict.fromkeys(("page", "viewer", "web"), ("html",)),
    **dict.fromkeys(("3dsbs", "sbs", "anaglyph", "vr"), ("stereo",)),
}
"""Outputs that are meant by usual words."""


def unknown_output(name: str, known: Iterable[str]) -> str:
    """End of the message for an unknown output: what is meant, or the nearest names."""
    meant = _MEANT.get(name.lower().lstrip("."))
    if meant is None:
        return suggest(name, known)
    return "use " + " or ".join(f"{each} ({_OUTPUTS[each].summary})" for each in meant)


def read_names(names: str | Sequence[str]) -> list[str]:
    """Names of outputs, each once, from a list or a text with commas; ``color`` is ``colour``.

    Raises:
        OptionError: If a name is not in ``OUTPUTS``, nor the place of an output of the user's own.
    """
    given = names.split(",") if isinstance(names, str) else names
    asked = [name.strip() for name in given if name.strip()]
    asked = ["colour" if name == "color" else name for name in asked]
    for name in asked:
        if not is_place(name) and name not in OUTPUTS:
            raise OptionError(f"no output '{name}'; {unknown_output(name, OUTPUTS)}")
    return list(dict.fromkeys(asked))


_OF_SUFFIX = {".npy": "npy", ".tiff": "tiff", ".tif": "tiff", ".exr": "exr", ".png": "colour"}
"""Outputs of suffixes that are only the end of an output's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A path that names an output by its suffix."""

    stem: Path
    output: str


def output_of(path: Path) -> Named | None:
    """Output that a path names, such as ``cat.glb``; None if its suffix is of none."""
    name = path.name
    for output, each in _OUTPUTS.items():
        if name.lower().endswith(each.suffix) and len(name) > len(each.suffix):
            return Named(stem=path.with_name(name[: -len(each.suffix)]), output=output)
    short = _OF_SUFFIX.get(path.suffix.lower())
    return None if short is None else Named(stem=path.with_suffix(""), output=short)


def options_of(name: str) -> tuple[str, ...]:
    """Options of writing that concern an output."""
    stated = OUTPUTS.find(name).options
    return WRITING if stated is None else stated


def load(place: str | Callable[..., Any]) -> Callable[..., Any]:
    """Import ``module:function``; a module without a dot is one of ``rilievo.io.formats``."""
    if not isinstance(place, str):
        return place
    module, function = place.split(":")
    module = module if "." in module else f"rilievo.io.formats.{module}"
    return getattr(import_module(module), function)
