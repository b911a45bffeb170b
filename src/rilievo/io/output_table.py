"""Table of output formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

from rilievo.errors import OptionError
from rilievo.outside import OpenTable


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
