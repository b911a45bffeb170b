"""Table of output formats: what each needs, its writer and reader."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from rilievo.errors import OptionError, suggest
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.io.outputs.save_options import COLOURING, RELIEF, SURFACE, WRITING
from rilievo.registry import Registry, is_import_path


class Need(StrEnum):
    """Part of a prediction that an output needs."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    SKY = "sky"
    CAMERA = "camera"
    PHOTO = "photo"


class Surface(StrEnum):
    """Depth of an output where the model's is affine."""

    NO = "no"
    IF_POSSIBLE = "if possible"
    YES = "yes"


@frozen(kw_only=False)
class UsualSize:
    """Size of a file [megabytes], on photographs of 0.2 to 6 megapixels."""

    start: float
    a_megapixel: float
    most: float


@frozen
class VideoForm:
    """Form of an output as a video.

    Attributes:
        drawing: ``module:function`` of ``rilievo.predicting.videos``, or a function.
        is_numbers: Whether frames are 16-bit numbers.
        words: Name in the app.
        bytes_a_pixel: Bytes for each pixel of a noisy frame.
    """

    drawing: str | Callable[..., Any]
    is_numbers: bool = False
    words: str = ""
    bytes_a_pixel: float = 0


@frozen
class ToolForm:
    """Form for assistants: name, content, and programs that open it."""

    name: str
    holds: str
    opens: str


@frozen
class Output:
    """Output format: all that any door knows of it.

    Attributes:
        suffix: Suffix after the stem.
        summary: Line for help and guide.
        label: Name in the app.
        invalid: Value of pixels without depth.
        needs: Parts that are required.
        takes: Parts stored where present.
        surface: Depth that it is made of.
        writer: ``module:function`` in ``rilievo.io.outputs.formats``, or a function, from
            ``WriteJob`` and the parts in ``needs`` to ``FileFacts``.
        reader: ``module:function`` to ``Stored``.
        gives: Parts that can be read back.
        exact: Whether values return bit for bit.
        whole: Whether every other output can be made of it.
        embedded: ``module:function`` that reads embedded JSON.
        options: Options that matter; None for all.
        package: Package of the extra.
        bytes_a_pixel: Bytes on disk; 0 where compressed or ``whole``.
        memory_a_pixel: Bytes of memory, besides ``MEMORY_A_PIXEL``.
        most_bytes_a_pixel: Most bytes for each pixel.
        most_bytes_a_point: Most further bytes for each point.
        is_heavy: Whether it takes seconds.
        in_browser: Whether pages without a server make it.
        video: Form as a video; else a file a frame.
    """

    suffix: str
    summary: str
    label: str = ""
    invalid: str = ""
    needs: tuple[Need, ...]
    takes: tuple[Need, ...] = ()
    surface: Surface = Surface.NO
    writer: str | Callable[..., Any]
    reader: str | Callable[..., Any] | None = None
    gives: tuple[Need, ...] = ()
    exact: bool = False
    whole: bool = False
    embedded: str | Callable[..., Any] | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None
    bytes_a_pixel: int = 0
    memory_a_pixel: int = 0
    memory_a_point: int = 0
    media_type: str = "application/octet-stream"
    most_bytes_a_pixel: float = 32
    most_bytes_a_point: float = 0
    usual_size: UsualSize | None = None
    is_heavy: bool = False
    in_browser: bool = False
    video: VideoForm | None = None
    tool: ToolForm | None = None


MEMORY_A_PIXEL = 6
"""Bytes of memory for each pixel of a photograph and its depth."""

_BYTES = {Need.DEPTH: 5, Need.NORMALS: 12, Need.CONFIDENCE: 4, Need.SKY: 1, Need.PHOTO: 3}


def bytes_a_pixel(names: Iterable[str], gives: Collection[Need]) -> int:
    """Least bytes on disk for each pixel, where the model ``gives`` these parts."""
    parts = {*gives, Need.PHOTO}
    whole = sum(count for part, count in _BYTES.items() if part in parts)
    return sum(whole if OUTPUTS[name].whole else OUTPUTS[name].bytes_a_pixel for name in names)


def memory_of(names: Iterable[str], pixels: int, points: int) -> int:
    """Least bytes of memory for the largest of a photograph's files."""
    points = min(points, pixels)
    outputs = [OUTPUTS[name] for name in names]
    own = (one.memory_a_pixel * pixels + one.memory_a_point * points for one in outputs)
    return MEMORY_A_PIXEL * pixels + max(own, default=0)


def load(
    place: str | Callable[..., Any], home: str = "rilievo.io.outputs.formats"
) -> Callable[..., Any]:
    """Import ``module:function``; without a dot, of the package ``home``."""
    if not isinstance(place, str):
        return place
    module, function = place.split(":")
    module = module if "." in module else f"{home}.{module}"
    return getattr(import_module(module), function)


def outside_output(output: object, name: str) -> Output:
    """Check an output of another package."""
    if not isinstance(output, Output) or isinstance(output.writer, str):
        raise OptionError(
            f"output '{name}' is not a rilievo.prediction.output.Output with a function as "
            "its writer"
        )
    return output


_MEANT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mesh", "gltf", "obj", "fbx", "3d", "surface"), ("glb", "ply")),
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
    **dict.fromkeys(("ar", "usd", "usda", "usdc", "iphone", "quicklook"), ("usdz",)),
    **dict.fromkeys(("page", "viewer", "web"), ("html",)),
    **dict.fromkeys(("3dsbs", "sbs", "anaglyph", "vr"), ("stereo",)),
}
_OF_SUFFIX = {".npy": "npy", ".tiff": "tiff", ".tif": "tiff", ".exr": "exr", ".png": "colour"}

# A new format is one file in formats and one row here; docs/reference/formats.md may describe it.
_OUTPUTS: Mapping[str, Output] = {
    "colour": Output(
        suffix=".depth.png",
        summary="picture of depth in colour, near is red",
        label="Depth, picture",
        invalid="flat grey (dark red where the map is grey)",
        needs=(Need.DEPTH,),
        takes=(Need.SKY,),
        writer="colour_files:write",
        options=COLOURING,
        memory_a_pixel=1,
        media_type="image/png",
        most_bytes_a_pixel=3,
        usual_size=UsualSize(0.02, 0.08, 9),
        video=VideoForm(drawing="clip_videos:colour", words="depth in colours", bytes_a_pixel=0.15),
    ),
    "png16": Output(
        suffix=".depth16.png",
        summary="depth in 16 bits: millimetres, or the scale stated inside",
        label="Depth, 16-bit PNG",
        invalid="0",
        needs=(Need.DEPTH,),
        writer="png16:write",
        reader="png16:read",
        gives=(Need.DEPTH,),
        embedded="png16:embedded",
        options=(),
        memory_a_pixel=2,
        media_type="image/png",
        most_bytes_a_pixel=3,
        usual_size=UsualSize(0.12, 0.72, 99),
        in_browser=True,
        video=VideoForm(
            drawing="clip_videos:numbers",
            words="depth as 16-bit numbers",
            bytes_a_pixel=1.5,
            is_numbers=True,
        ),
    ),
    "npy": Output(
        suffix=".depth.npy",
        summary="depth as a float32 array",
        label="Depth, NPY",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_npy",
        reader="arrays:read_npy",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
        bytes_a_pixel=4,
        media_type="application/x-npy",
        most_bytes_a_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "npz": Output(
        suffix=".npz",
        summary="the whole answer, of which all other files can be made",
        label="Everything, NPZ",
        invalid="NaN, and `valid`",
        needs=(),
        takes=tuple(Need),
        writer="arrays:write_npz",
        reader="arrays:read_npz",
        gives=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.SKY, Need.PHOTO),
        exact=True,
        whole=True,
        embedded="arrays:embedded_npz",
        options=(),
        memory_a_pixel=21,
        media_type="application/x-npz",
        most_bytes_a_pixel=26,
        usual_size=UsualSize(0, 24, 999),
    ),
    "tiff": Output(
        suffix=".depth.tiff",
        summary="depth as a float32 TIFF",
        label="Depth, TIFF",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_tiff",
        reader="arrays:read_tiff",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="arrays:embedded_tiff",
        options=(),
        bytes_a_pixel=4,
        media_type="image/tiff",
        most_bytes_a_pixel=4.2,
        usual_size=UsualSize(0, 4, 99),
    ),
    "exr": Output(
        suffix=".depth.exr",
        summary="depth as a float32 OpenEXR",
        label="Depth, OpenEXR",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_exr",
        reader="arrays:read_exr",
        gives=(Need.DEPTH,),
        exact=True,
        embedded="arrays:embedded_exr",
        extra="formats",
        package="OpenEXR",
        options=(),
        bytes_a_pixel=4,
        media_type="image/x-exr",
        most_bytes_a_pixel=4.2,
        usual_size=UsualSize(0, 4, 99),
    ),
    "exr-layers": Output(
        suffix=".layers.exr",
        summary="one OpenEXR of depth, mask, normals, sky, colours and camera",
        label="Layers, OpenEXR",
        invalid="NaN, and 0 in mask.A",
        needs=(Need.DEPTH,),
        takes=(Need.NORMALS, Need.SKY, Need.CAMERA, Need.PHOTO),
        surface=Surface.IF_POSSIBLE,
        writer="arrays:write_exr_layers",
        extra="formats",
        package="OpenEXR",
        options=(),
        bytes_a_pixel=8,
        memory_a_pixel=38,
        media_type="image/x-exr",
        most_bytes_a_pixel=31,
        usual_size=UsualSize(0, 30, 999),
    ),
    "pfm": Output(
        suffix=".depth.pfm",
        summary="depth as a portable float map, as stereo benchmarks have",
        label="Depth, PFM",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="float_maps:write_pfm",
        reader="float_maps:read_pfm",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
        bytes_a_pixel=4,
        memory_a_pixel=8,
        media_type="image/x-portable-floatmap",
        most_bytes_a_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "colmap": Output(
        suffix=".depth.bin",
        summary="depth as COLMAP's dense maps",
        label="Depth, COLMAP",
        invalid="0",
        needs=(Need.DEPTH,),
        surface=Surface.YES,
        writer="float_maps:write_colmap",
        reader="float_maps:read_colmap",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
        bytes_a_pixel=4,
        memory_a_pixel=4,
        media_type="application/x-colmap-map",
        most_bytes_a_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "anchored": Output(
        suffix=".anchored.npy",
        summary="depth of which surfaces are made, as a float32 array",
        label="Depth of surfaces, NPY",
        invalid="NaN",
        needs=(Need.DEPTH,),
        surface=Surface.YES,
        writer="arrays:write_npy",
        reader="arrays:read_npy",
        gives=(Need.DEPTH,),
        exact=True,
        options=(),
        media_type="application/x-npy",
        most_bytes_a_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "normals": Output(
        suffix=".normals.png",
        summary="picture of the normals, by default in OpenGL's axes",
        label="Normals, picture",
        invalid="grey (128, 128, 128)",
        needs=(Need.NORMALS,),
        takes=(Need.DEPTH,),
        surface=Surface.IF_POSSIBLE,
        writer="picture_files:write_normals",
        reader="picture_files:read_normals",
        gives=(Need.NORMALS,),
        options=("normals_axes",),
        memory_a_pixel=15,
        media_type="image/png",
        most_bytes_a_pixel=3,
        usual_size=UsualSize(0.1, 0.43, 9),
        video=VideoForm(drawing="clip_videos:normals", words="normals", bytes_a_pixel=0.15),
    ),
    "normals-npy": Output(
        suffix=".normals.npy",
        summary="normals as a float32 array h x w x 3",
        label="Normals, NPY",
        invalid="NaN",
        needs=(Need.NORMALS,),
        surface=Surface.IF_POSSIBLE,
        writer="arrays:write_normals_npy",
        reader="arrays:read_normals_npy",
        gives=(Need.NORMALS,),
        exact=True,
        options=(),
        bytes_a_pixel=12,
        media_type="application/x-npy",
        most_bytes_a_pixel=12,
        usual_size=UsualSize(0, 12, 999),
    ),
    "colmap-normals": Output(
        suffix=".normals.bin",
        summary="normals as COLMAP's dense maps",
        label="Normals, COLMAP",
        invalid="0",
        needs=(Need.NORMALS,),
        surface=Surface.IF_POSSIBLE,
        writer="float_maps:write_colmap_normals",
        reader="float_maps:read_colmap_normals",
        gives=(Need.NORMALS,),
        options=(),
        bytes_a_pixel=12,
        memory_a_pixel=13,
        media_type="application/x-colmap-map",
        most_bytes_a_pixel=12,
        usual_size=UsualSize(0, 12, 999),
    ),
    "confidence": Output(
        suffix=".confidence.png",
        summary="confidence in 8 bits, 255 is highest",
        label="Confidence, picture",
        needs=(Need.CONFIDENCE,),
        writer="picture_files:write_confidence",
        reader="picture_files:read_confidence",
        gives=(Need.CONFIDENCE,),
        options=(),
        media_type="image/png",
        most_bytes_a_pixel=1,
        usual_size=UsualSize(0.04, 0.15, 9),
    ),
    "sky": Output(
        suffix=".sky.png",
        summary="mask of the sky, 255 where no surface is seen",
        label="Sky, mask",
        needs=(Need.SKY,),
        writer="picture_files:write_sky",
        reader="picture_files:read_sky",
        gives=(Need.SKY,),
        exact=True,
        options=(),
        media_type="image/png",
        most_bytes_a_pixel=1,
        usual_size=UsualSize(0.01, 0.01, 9),
    ),
    "ply": Output(
        suffix=".ply",
        summary="point cloud with normals and colours",
        label="Points, PLY",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="ply:write",
        options=(*SURFACE, "backing"),
        memory_a_pixel=10,
        memory_a_point=120,
        media_type="application/x-ply",
        most_bytes_a_pixel=0,
        most_bytes_a_point=32,
        usual_size=UsualSize(0, 27, 10),
        is_heavy=True,
        in_browser=True,
    ),
    "splat": Output(
        suffix=".splat.ply",
        summary="Gaussian splats: a flat one a pixel",
        label="Gaussian splats, PLY",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="splat:write",
        options=(*SURFACE, "backing"),
        media_type="application/x-ply",
        most_bytes_a_pixel=0,
        most_bytes_a_point=70,
        usual_size=UsualSize(0, 68, 25),
        is_heavy=True,
    ),
    "spz": Output(
        suffix=".spz",
        summary="the same splats in a sixth of the bytes",
        label="Gaussian splats, SPZ",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="spz:write",
        options=(*SURFACE, "backing"),
        memory_a_point=140,
        media_type="application/x-spz",
        most_bytes_a_pixel=0,
        most_bytes_a_point=20,
        usual_size=UsualSize(0, 8, 8),
        is_heavy=True,
    ),
    "glb": Output(
        suffix=".glb",
        summary="mesh textured with the photograph, in glTF's axes",
        label="Mesh, GLB",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="glb:write",
        options=(*SURFACE, "backing"),
        memory_a_pixel=10,
        memory_a_point=180,
        media_type="model/gltf-binary",
        most_bytes_a_pixel=3,
        most_bytes_a_point=70,
        usual_size=UsualSize(0.6, 0.3, 1.5),
        is_heavy=True,
        in_browser=True,
        tool=ToolForm(
            name="glb",
            holds="a textured surface for 3-D programs",
            opens="Blender, Windows 3D Viewer or any glTF viewer",
        ),
    ),
    "usdz": Output(
        suffix=".usdz",
        summary="the same mesh for phones: it stands in the room in its own size",
        label="Mesh, USDZ",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=Surface.YES,
        writer="usdz:write",
        options=(*SURFACE, "backing"),
        memory_a_pixel=10,
        memory_a_point=400,
        media_type="model/vnd.usdz+zip",
        most_bytes_a_pixel=3,
        most_bytes_a_point=200,
        usual_size=UsualSize(2.5, 0.3, 4),
        is_heavy=True,
        tool=ToolForm(
            name="usdz",
            holds="a textured surface in its own size",
            opens="an iPhone or iPad (in the room), or Blender",
        ),
    ),
    "html": Output(
        suffix=".html",
        summary="page to share: pictures, facts, and the surface to turn",
        label="Page to share",
        invalid="grey, left out",
        needs=(),
        takes=tuple(Need),
        surface=Surface.IF_POSSIBLE,
        writer="rilievo.pages.photograph:write",
        options=(*COLOURING, *SURFACE),
        memory_a_pixel=13,
        memory_a_point=50,
        media_type="text/html; charset=utf-8",
        most_bytes_a_pixel=6,
        most_bytes_a_point=16,
        usual_size=UsualSize(0.5, 0.3, 1.2),
        is_heavy=True,
        tool=ToolForm(
            name="page",
            holds="one HTML file that shows it in a browser",
            opens="any browser, offline: the surface turns, and lines on it are measured",
        ),
    ),
    "turn": Output(
        suffix=".turn.webp",
        summary="the surface turning for three seconds",
        label="Turning surface, WebP",
        invalid="the ground behind it",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        takes=(Need.NORMALS, Need.SKY),
        surface=Surface.YES,
        writer="turn:write",
        options=(*SURFACE, "backing"),
        memory_a_pixel=9,
        memory_a_point=130,
        media_type="image/webp",
        most_bytes_a_pixel=26,
        usual_size=UsualSize(1.5, 0, 2),
        is_heavy=True,
    ),
    "turn-mp4": Output(
        suffix=".turn.mp4",
        summary="the same as a video",
        label="Turning surface, MP4",
        invalid="the ground behind it",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        takes=(Need.NORMALS, Need.SKY),
        surface=Surface.YES,
        writer="turn:write_video",
        extra="video",
        package="av",
        options=(*SURFACE, "backing"),
        memory_a_pixel=9,
        memory_a_point=130,
        media_type="video/mp4",
        most_bytes_a_pixel=26,
        usual_size=UsualSize(1, 0, 2),
        is_heavy=True,
    ),
    "stl": Output(
        suffix=".stl",
        summary="closed relief in millimetres for printing: near is high",
        label="Relief to print, STL",
        invalid="as low as the farthest",
        media_type="model/stl",
        needs=(Need.DEPTH,),
        writer="stl:write",
        options=("colour_range", "surface_points", *RELIEF),
        most_bytes_a_pixel=0,
        most_bytes_a_point=110,
        usual_size=UsualSize(6.1, 0, 6.1),
    ),
    "cutout": Output(
        suffix=".cutout.png",
        summary="photograph that is opaque where it is near",
        label="What is near, PNG",
        invalid="transparent",
        needs=(Need.DEPTH, Need.PHOTO),
        takes=(Need.SKY,),
        writer="cutout:write",
        options=("colour_range",),
        memory_a_pixel=11,
        media_type="image/png",
        most_bytes_a_pixel=5,
        usual_size=UsualSize(0.2, 1.3, 99),
    ),
    "near16": Output(
        suffix=".near16.png",
        summary="inverse depth in 16 bits: near is white",
        label="Near is white, 16-bit PNG",
        invalid="black (0)",
        needs=(Need.DEPTH,),
        writer="png16:write_near",
        options=(),
        media_type="image/png",
        most_bytes_a_pixel=3,
        usual_size=UsualSize(0.12, 0.75, 99),
    ),
    "panel": Output(
        suffix=".panel.png",
        summary="photograph, depth and normals side by side with legends",
        label="Picture for slides",
        invalid="grey",
        needs=(Need.DEPTH,),
        takes=(Need.NORMALS, Need.SKY, Need.PHOTO),
        writer="panel:write",
        options=COLOURING,
        memory_a_pixel=15,
        media_type="image/png",
        most_bytes_a_pixel=9,
        usual_size=UsualSize(1, 0.2, 2),
    ),
    "stereo": Output(
        suffix=".stereo.png",
        summary="stereo pictures: side by side, above one another, or red and cyan",
        label="Stereo picture",
        invalid="at the largest depth",
        needs=(Need.DEPTH, Need.PHOTO),
        writer="picture_files:write_stereo",
        options=("stereo", "colour_range"),
        memory_a_pixel=13,
        media_type="image/png",
        most_bytes_a_pixel=6,
        usual_size=UsualSize(0, 3.2, 99),
        is_heavy=True,
        video=VideoForm(drawing="clip_videos:stereo"),
    ),
}
OUTPUTS: Registry[Output] = Registry(_OUTPUTS, "output", outside_output)


def unknown_output(name: str, names: Iterable[str]) -> str:
    """End of the message for an unknown output, with the nearest names."""
    from difflib import get_close_matches

    word, nearest = name.lower().lstrip("."), suggest(name, names)
    usual = get_close_matches(word, _MEANT, n=1, cutoff=0.75)
    # An output's own name that is near is taken before a usual word.
    meant = _MEANT.get(word) or (nearest.startswith("known: ") and _MEANT.get("".join(usual)))
    if not meant:
        return nearest
    return "use " + " or ".join(f"{output} ({_OUTPUTS[output].summary})" for output in meant)


def read_names(names: str | Sequence[str]) -> list[str]:
    """Names of outputs, as ``split_names`` reads them.

    Raises:
        OptionError: If a name is not in ``OUTPUTS``, nor an output's place.
    """
    outputs = split_names(names)
    for name in outputs:
        if not is_import_path(name) and name not in OUTPUTS:
            raise OptionError(f"no output '{name}'; {unknown_output(name, OUTPUTS)}")
    return outputs


def split_names(names: str | Sequence[str]) -> list[str]:
    """Names of a list or text with commas, once; ``color`` is ``colour``."""
    stripped = (name.strip() for name in (names.split(",") if isinstance(names, str) else names))
    spelt = ("colour" if name == "color" else name for name in stripped if name)
    return list(dict.fromkeys(spelt))


@frozen
class Named:
    """Path that names an output by its suffix."""

    stem: Path
    output: str


def output_of(path: Path) -> Named | None:
    """Output of a path such as ``cat.glb``."""
    name = path.name
    # The longest first: .splat.ply also ends in .ply.
    for output, record in sorted(_OUTPUTS.items(), key=lambda item: -len(item[1].suffix)):
        if name.lower().endswith(record.suffix) and len(name) > len(record.suffix):
            return Named(stem=path.with_name(name[: -len(record.suffix)]), output=output)
    short = _OF_SUFFIX.get(path.suffix.lower())
    return None if short is None else Named(stem=path.with_suffix(""), output=short)


def check_suffix(path: Path) -> None:
    """Refuse a suffix of no output; without one a path is a stem."""
    suffix = path.suffix
    if suffix not in ("", ".") and output_of(path) is None:
        raise OptionError(
            (
                f"no output has the suffix '{printable(suffix)}'; "
                f"{unknown_output(suffix, OUTPUTS)}; after a stem with a dot, "
                "name the outputs too"
            ),
            path=printable(path),
        )


def options_of(name: str) -> tuple[str, ...]:
    """Options that concern an output."""
    stated = OUTPUTS.find(name).options
    return WRITING if stated is None else stated
