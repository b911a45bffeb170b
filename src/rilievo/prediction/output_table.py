"""Table of output formats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, suggest
from rilievo.io.files.limits import printable
from rilievo.io.outputs.save_options import COLOURING, SURFACE, WRITING
from rilievo.plugins import OpenTable, is_place
from rilievo.prediction.output import Need, Output, Surface, outside_output

_MEANT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mesh", "gltf", "obj", "stl", "fbx", "usdz", "3d", "surface"), ("glb", "ply")),
    **dict.fromkeys(
        ("pointcloud", "point-cloud", "points", "cloud", "pcd", "xyz", "las"), ("ply",)
    ),
    **dict.fromkeys(
        ("splats", "gaussian", "gaussians", "gaussian-splat", "3dgs", "gs"), ("splat",)
    ),
    **dict.fromkeys(("png", "jpg", "jpeg", "picture", "image", "heatmap"), ("colour",)),
    **dict.fromkeys(("depth", "numpy", "raw", "array"), ("npy", "png16")),
    **dict.fromkeys(("mp4", "video", "movie"), ("colour", "turn-mp4")),
    **dict.fromkeys(("gif", "webp", "wiggle", "animation"), ("turn",)),
    **dict.fromkeys(("16bit", "png-16", "depth16"), ("png16",)),
    **dict.fromkeys(("page", "viewer", "web"), ("html",)),
    **dict.fromkeys(("3dsbs", "sbs", "anaglyph", "vr"), ("stereo",)),
}
"""Outputs that are meant by usual words."""
_OF_SUFFIX = {".npy": "npy", ".tiff": "tiff", ".tif": "tiff", ".exr": "exr", ".png": "colour"}
"""Outputs of suffixes that are only the end of an output's own."""

# A new format is one file in formats and one line here; docs/reference/formats.md may describe it.
_OUTPUTS: Mapping[str, Output] = {
    "colour": Output(
        suffix=".depth.png",
        summary="picture of depth in colour, near is bright",
        needs=(Need.DEPTH,),
        writer="colour_files:write",
        options=COLOURING,
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
        summary="everything as arrays: depth, valid, normals, confidence, sky, K or lens",
        needs=(),
        takes=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.SKY, Need.CAMERA),
        writer="arrays:write_npz",
        reader="arrays:read_npz",
        gives=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.SKY),
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
    "anchored": Output(
        suffix=".anchored.npy",
        summary="depth of which surfaces are made, as a float32 array; affine depth is anchored",
        needs=(Need.DEPTH,),
        surface=Surface.YES,
        writer="arrays:write_anchored",
        reader="arrays:read_npy",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
    ),
    "normals": Output(
        suffix=".normals.png",
        summary="picture of the normals (OpenGL axes: x right, y up, z towards the viewer)",
        needs=(Need.NORMALS,),
        takes=(Need.DEPTH,),
        surface=Surface.IF_POSSIBLE,
        writer="picture_files:write_normals",
        reader="picture_files:read_normals",
        gives=(Need.NORMALS,),
        options=(),
    ),
    "normals-npy": Output(
        suffix=".normals.npy",
        summary="normals as a float32 array h x w x 3 (x right, y down, z forward)",
        needs=(Need.NORMALS,),
        surface=Surface.IF_POSSIBLE,
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
        writer="picture_files:write_confidence",
        reader="picture_files:read_confidence",
        gives=(Need.CONFIDENCE,),
        options=(),
    ),
    "sky": Output(
        suffix=".sky.png",
        summary="mask of the sky in 8 bits, 255 where no surface is seen",
        needs=(Need.SKY,),
        writer="picture_files:write_sky",
        reader="picture_files:read_sky",
        gives=(Need.SKY,),
        exact=True,
        options=(),
    ),
    "ply": Output(
        suffix=".ply",
        summary="point cloud with normals and colours",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="ply:write",
        options=(*SURFACE, "backing"),
    ),
    "splat": Output(
        suffix=".splat.ply",
        summary="Gaussian splats for viewers such as SuperSplat: a flat one a pixel",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="splat:write",
        options=(*SURFACE, "backing"),
    ),
    "glb": Output(
        suffix=".glb",
        summary="mesh textured with the photograph (glTF axes: x right, y up, z backwards)",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="glb:write",
        options=(*SURFACE, "backing"),
    ),
    "html": Output(
        suffix=".html",
        summary="page to share: pictures, facts, and the surface to turn",
        needs=(),
        takes=(
            Need.DEPTH,
            Need.NORMALS,
            Need.CONFIDENCE,
            Need.SKY,
            Need.CAMERA,
            Need.PHOTO,
        ),
        surface=Surface.IF_POSSIBLE,
        writer="rilievo.pages.photograph:write",
        options=(*COLOURING, *SURFACE),
    ),
    "turn": Output(
        suffix=".turn.webp",
        summary="the surface turning for three seconds, to post",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        takes=(Need.NORMALS, Need.SKY),
        surface=Surface.YES,
        writer="turn:write",
        options=(*SURFACE, "backing"),
    ),
    "turn-mp4": Output(
        suffix=".turn.mp4",
        summary="the same as a video",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        takes=(Need.NORMALS, Need.SKY),
        surface=Surface.YES,
        writer="turn_video:write",
        extra="video",
        package="av",
        options=(*SURFACE, "backing"),
    ),
    "panel": Output(
        suffix=".panel.png",
        summary="photograph, depth and normals side by side with legends, for slides",
        needs=(Need.DEPTH,),
        takes=(Need.NORMALS, Need.PHOTO),
        writer="panel:write",
        options=COLOURING,
    ),
    "stereo": Output(
        suffix=".stereo.png",
        summary="stereo pictures: side by side, above one another, or red and cyan",
        needs=(Need.DEPTH, Need.PHOTO),
        writer="picture_files:write_stereo",
        options=("stereo", "colour_range"),
    ),
}
OUTPUTS: OpenTable[Output] = OpenTable(_OUTPUTS, "output", outside_output)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A path that names an output by its suffix."""

    stem: Path
    output: str


def output_of(path: Path) -> Named | None:
    """Output that a path names, such as ``cat.glb``; None if its suffix is of none."""
    name = path.name
    # The longest first: .splat.ply also ends in .ply.
    for output, each in sorted(_OUTPUTS.items(), key=lambda item: -len(item[1].suffix)):
        if name.lower().endswith(each.suffix) and len(name) > len(each.suffix):
            return Named(stem=path.with_name(name[: -len(each.suffix)]), output=output)
    short = _OF_SUFFIX.get(path.suffix.lower())
    return None if short is None else Named(stem=path.with_suffix(""), output=short)


def check_suffix(path: Path) -> None:
    """Refuse a path whose suffix is of no output; a path without a suffix is a stem."""
    suffix = path.suffix
    if suffix not in ("", ".") and output_of(path) is None:
        raise OptionError(
            f"{printable(path)}: no output has the suffix '{printable(suffix)}'; "
            f"{unknown_output(suffix, OUTPUTS)}; after a stem with a dot, name the outputs too"
        )


def options_of(name: str) -> tuple[str, ...]:
    """Options of writing that concern an output."""
    stated = OUTPUTS.find(name).options
    return WRITING if stated is None else stated
