"""Outputs: the record of a format, with what it is made of and who writes it, and the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeAlias

from rilievo.errors import OptionError
from rilievo.extensions.registry import Registry
from rilievo.io.outputs.save_options import COLOURING, RELIEF, SURFACE, WRITING

FunctionPath: TypeAlias = str | Callable[..., Any]
"""A function, or ``module:function``, which is imported when it is first needed."""


class Need(StrEnum):
    """Part of a prediction from which outputs are made."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    SKY = "sky"
    CAMERA = "camera"
    PHOTO = "photo"

    @property
    def text(self) -> str:
        """What messages call the part."""
        names = {"sky": "a sky mask", "camera": "a camera", "photo": "the photograph"}
        return names.get(self, self)


class SurfaceDepth(StrEnum):
    """Whether affine depth is first anchored, so that an output shows an undistorted surface."""

    NEVER = "never"
    IF_POSSIBLE = "if possible"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class UsualSize:
    """Size that a file usually has [MB], for photographs of 0.2 to 6 megapixels.

    It is min(base + per_megapixel · megapixels, largest).
    """

    base: float
    per_megapixel: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm:
    """How an output is written as a video.

    Attributes:
        drawing: Function of a ``VideoJob`` that returns the ``Drawing``. A path is relative to
            ``rilievo.io.outputs.formats``.
        is_numbers: Whether frames hold 16-bit numbers rather than a picture.
        label: Name in the app; empty if the app does not offer it.
        bytes_per_pixel: Size of an encoded noisy frame, about the worst case [bytes per pixel].
    """

    drawing: FunctionPath
    is_numbers: bool = False
    label: str = ""
    bytes_per_pixel: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """What an assistant tells a user about an output: its name, content and programs to open it."""

    name: str
    content: str
    opened_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output format: what every entry point needs to know about it.

    Attributes:
        summary: One line for the help and the guide.
        invalid: How pixels without depth appear in the file, in words.
        needs: Parts that the prediction must have.
        optional: Parts that are stored if the prediction has them.
        surface: Whether affine depth is anchored first.
        writer: Function of a ``WriteJob`` and of the parts in ``needs`` that writes the file and
            returns ``FileFacts``. A path is relative to ``rilievo.io.outputs.formats``.
        reader: Function of a path and ``FileFacts`` that returns ``Stored``; None if the file
            cannot be read back.
        readable: Parts that the reader returns.
        is_exact: Whether they are equal to the bit.
        holds_everything: Whether every other output can be made from the file.
        json_reader: Function that reads the JSON in the file; None if the file holds none.
        options: Names of the options that change the file; None for all.
        bytes_per_pixel: Size on disk for each pixel; 0 if it is compressed or holds everything.
        memory_per_pixel: Memory for each pixel, besides what every photograph needs [bytes].
        memory_per_point: Memory for each point of the surface [bytes].
        max_bytes_per_pixel: Largest size on disk for each pixel.
        max_bytes_per_point: What each point of the surface adds to that.
        usual_size: Usual size on disk, which the page shows.
        is_heavy: Whether writing takes seconds.
        is_made_in_browser: Whether the page that works without a server offers it.
        video: How it is written as a video; None for one file for each frame.
        tool: What assistants tell about it; None if they do not offer it.
        is_in_metres: Whether the format prescribes metres, so that viewers take numbers for them.
    """

    suffix: str
    summary: str
    label: str = ""
    invalid: str = ""
    needs: tuple[Need, ...]
    optional: tuple[Need, ...] = ()
    surface: SurfaceDepth = SurfaceDepth.NEVER
    writer: FunctionPath
    reader: FunctionPath | None = None
    readable: tuple[Need, ...] = ()
    is_exact: bool = False
    holds_everything: bool = False
    json_reader: FunctionPath | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None
    bytes_per_pixel: int = 0
    memory_per_pixel: int = 0
    memory_per_point: int = 0
    media_type: str = "application/octet-stream"
    max_bytes_per_pixel: float = 32
    max_bytes_per_point: float = 0
    usual_size: UsualSize | None = None
    is_heavy: bool = False
    is_made_in_browser: bool = False
    video: VideoForm | None = None
    tool: ToolForm | None = None
    is_in_metres: bool = False


def import_function(path: FunctionPath) -> Callable[..., Any]:
    """Import ``module:function``; a module without a dot lies in ``rilievo.io.outputs.formats``."""
    if not isinstance(path, str):
        return path
    module, function = path.split(":")
    if "." not in module:
        module = f"rilievo.io.outputs.formats.{module}"
    return getattr(import_module(module), function)


def check_outside_output(output: object, name: str) -> Output:
    """Return another package's output; raise ``OptionError`` if it is not a usable ``Output``."""
    if not isinstance(output, Output) or isinstance(output.writer, str):
        raise OptionError(
            f"output '{name}' is not a rilievo.prediction.output.Output with a function as "
            "its writer"
        )
    return output


# A new format is one file in formats and one row here; docs/reference/formats.md may describe it.
_OUTPUTS: Mapping[str, Output] = {
    "colour": Output(
        suffix=".depth.png",
        summary="picture of depth in colour, where near is red",
        label="Depth, picture",
        invalid="uniform grey (dark red if the colour map is grey)",
        needs=(Need.DEPTH,),
        optional=(Need.SKY,),
        writer="colour_files:write",
        options=COLOURING,
        memory_per_pixel=1,
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.02, 0.08, 9),
        video=VideoForm(
            drawing="colour_files:draw_video", label="depth in colours", bytes_per_pixel=0.15
        ),
    ),
    "png16": Output(
        suffix=".depth16.png",
        summary="depth in 16 bits, in millimetres or with the scale stated in the file",
        label="Depth, 16-bit PNG",
        invalid="0",
        needs=(Need.DEPTH,),
        writer="png16:write",
        reader="png16:read",
        readable=(Need.DEPTH,),
        json_reader="png16:read_json",
        options=(),
        memory_per_pixel=2,
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.12, 0.72, 99),
        is_made_in_browser=True,
        video=VideoForm(
            drawing="png16:draw_video",
            label="depth as 16-bit numbers",
            bytes_per_pixel=1.5,
            is_numbers=True,
        ),
    ),
    "npy": Output(
        suffix=".depth.npy",
        summary="depth as a float32 array",
        label="Depth, NPY",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_depth_npy",
        reader="arrays:read_depth_npy",
        readable=(Need.DEPTH,),
        is_exact=True,
        options=(),
        bytes_per_pixel=4,
        media_type="application/x-npy",
        max_bytes_per_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "npz": Output(
        suffix=".npz",
        summary="the whole prediction, from which all other files can be made",
        label="Everything, NPZ",
        invalid="NaN, and `valid`",
        needs=(),
        optional=tuple(Need),
        writer="arrays:write_npz",
        reader="arrays:read_npz",
        readable=(Need.DEPTH, Need.NORMALS, Need.CONFIDENCE, Need.SKY, Need.PHOTO),
        is_exact=True,
        holds_everything=True,
        json_reader="arrays:read_npz_json",
        options=(),
        memory_per_pixel=21,
        media_type="application/x-npz",
        max_bytes_per_pixel=26,
        usual_size=UsualSize(0, 24, 999),
    ),
    "tiff": Output(
        suffix=".depth.tiff",
        summary="depth as a float32 TIFF",
        label="Depth, TIFF",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_depth_tiff",
        reader="arrays:read_depth_tiff",
        readable=(Need.DEPTH,),
        is_exact=True,
        json_reader="arrays:read_tiff_json",
        options=(),
        bytes_per_pixel=4,
        media_type="image/tiff",
        max_bytes_per_pixel=4.2,
        usual_size=UsualSize(0, 4, 99),
    ),
    "exr": Output(
        suffix=".depth.exr",
        summary="depth as a float32 OpenEXR",
        label="Depth, OpenEXR",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="arrays:write_depth_exr",
        reader="arrays:read_depth_exr",
        readable=(Need.DEPTH,),
        is_exact=True,
        json_reader="arrays:read_exr_json",
        extra="formats",
        package="OpenEXR",
        options=(),
        bytes_per_pixel=4,
        media_type="image/x-exr",
        max_bytes_per_pixel=4.2,
        usual_size=UsualSize(0, 4, 99),
    ),
    "exr-layers": Output(
        suffix=".layers.exr",
        summary="one OpenEXR file with depth, mask, normals, sky, colours and camera",
        label="Layers, OpenEXR",
        invalid="NaN, and 0 in mask.A",
        needs=(Need.DEPTH,),
        optional=(Need.NORMALS, Need.SKY, Need.CAMERA, Need.PHOTO),
        surface=SurfaceDepth.IF_POSSIBLE,
        writer="arrays:write_exr_layers",
        extra="formats",
        package="OpenEXR",
        options=(),
        bytes_per_pixel=8,
        memory_per_pixel=38,
        media_type="image/x-exr",
        max_bytes_per_pixel=31,
        usual_size=UsualSize(0, 30, 999),
    ),
    "pfm": Output(
        suffix=".depth.pfm",
        summary="depth as a portable float map, as stereo benchmarks use it",
        label="Depth, PFM",
        invalid="NaN",
        needs=(Need.DEPTH,),
        writer="float_maps:write_depth_pfm",
        reader="float_maps:read_depth_pfm",
        readable=(Need.DEPTH,),
        is_exact=True,
        options=(),
        bytes_per_pixel=4,
        memory_per_pixel=8,
        media_type="image/x-portable-floatmap",
        max_bytes_per_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "kitti": Output(
        suffix=".kitti.png",
        summary="depth in 16 bits in steps of 1/256 m, for KITTI's depth benchmarks",
        label="Depth for KITTI, 16-bit PNG",
        invalid="0",
        needs=(Need.DEPTH,),
        surface=SurfaceDepth.REQUIRED,
        writer="png16:write_kitti",
        reader="png16:read",
        readable=(Need.DEPTH,),
        json_reader="png16:read_json",
        options=(),
        memory_per_pixel=2,
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.05, 0.2, 99),
        is_in_metres=True,
    ),
    "tum": Output(
        suffix=".tum.png",
        summary="depth in 16 bits in steps of 1/5000 m, as TUM RGB-D and SLAM programs have it",
        label="Depth as in TUM RGB-D, 16-bit PNG",
        invalid="0",
        needs=(Need.DEPTH,),
        surface=SurfaceDepth.REQUIRED,
        writer="png16:write_tum",
        reader="png16:read",
        readable=(Need.DEPTH,),
        json_reader="png16:read_json",
        options=(),
        memory_per_pixel=2,
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.1, 0.6, 99),
        is_in_metres=True,
    ),
    "dpt": Output(
        suffix=".dpt",
        summary="depth as float32 in the form of MPI Sintel's depth files",
        label="Depth as in Sintel, DPT",
        invalid="0",
        needs=(Need.DEPTH,),
        surface=SurfaceDepth.REQUIRED,
        writer="float_maps:write_depth_dpt",
        reader="float_maps:read_depth_dpt",
        readable=(Need.DEPTH,),
        is_exact=True,
        options=(),
        bytes_per_pixel=4,
        memory_per_pixel=4,
        media_type="application/x-sintel-depth",
        max_bytes_per_pixel=4,
        usual_size=UsualSize(0, 4, 99),
        is_in_metres=True,
    ),
    "colmap": Output(
        suffix=".depth.bin",
        summary="depth as a dense map for COLMAP",
        label="Depth, COLMAP",
        invalid="0",
        needs=(Need.DEPTH,),
        surface=SurfaceDepth.REQUIRED,
        writer="float_maps:write_depth_colmap",
        reader="float_maps:read_depth_colmap",
        readable=(Need.DEPTH,),
        is_exact=True,
        options=(),
        bytes_per_pixel=4,
        memory_per_pixel=4,
        media_type="application/x-colmap-map",
        max_bytes_per_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "anchored": Output(
        suffix=".anchored.npy",
        summary="depth from which surfaces are made, as a float32 array",
        label="Depth for surfaces, NPY",
        invalid="NaN",
        needs=(Need.DEPTH,),
        surface=SurfaceDepth.REQUIRED,
        writer="arrays:write_depth_npy",
        reader="arrays:read_depth_npy",
        readable=(Need.DEPTH,),
        is_exact=True,
        options=(),
        media_type="application/x-npy",
        max_bytes_per_pixel=4,
        usual_size=UsualSize(0, 4, 99),
    ),
    "normals": Output(
        suffix=".normals.png",
        summary="picture of the normals, by default in OpenGL's axes",
        label="Normals, picture",
        invalid="grey (128, 128, 128)",
        needs=(Need.NORMALS,),
        optional=(Need.DEPTH,),
        surface=SurfaceDepth.IF_POSSIBLE,
        writer="picture_files:write_normals",
        reader="picture_files:read_normals",
        readable=(Need.NORMALS,),
        options=("normals_axes",),
        memory_per_pixel=15,
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.1, 0.43, 9),
        video=VideoForm(
            drawing="picture_files:draw_normals_video", label="normals", bytes_per_pixel=0.15
        ),
    ),
    "normals-npy": Output(
        suffix=".normals.npy",
        summary="normals as a float32 array (height x width x 3)",
        label="Normals, NPY",
        invalid="NaN",
        needs=(Need.NORMALS,),
        surface=SurfaceDepth.IF_POSSIBLE,
        writer="arrays:write_normals_npy",
        reader="arrays:read_normals_npy",
        readable=(Need.NORMALS,),
        is_exact=True,
        options=(),
        bytes_per_pixel=12,
        media_type="application/x-npy",
        max_bytes_per_pixel=12,
        usual_size=UsualSize(0, 12, 999),
    ),
    "colmap-normals": Output(
        suffix=".normals.bin",
        summary="normals as a dense map for COLMAP",
        label="Normals, COLMAP",
        invalid="0",
        needs=(Need.NORMALS,),
        surface=SurfaceDepth.IF_POSSIBLE,
        writer="float_maps:write_colmap_normals",
        reader="float_maps:read_colmap_normals",
        readable=(Need.NORMALS,),
        options=(),
        bytes_per_pixel=12,
        memory_per_pixel=13,
        media_type="application/x-colmap-map",
        max_bytes_per_pixel=12,
        usual_size=UsualSize(0, 12, 999),
    ),
    "confidence": Output(
        suffix=".confidence.png",
        summary="confidence in 8 bits, where 255 is highest",
        label="Confidence, picture",
        needs=(Need.CONFIDENCE,),
        writer="picture_files:write_confidence",
        reader="picture_files:read_confidence",
        readable=(Need.CONFIDENCE,),
        options=(),
        media_type="image/png",
        max_bytes_per_pixel=1,
        usual_size=UsualSize(0.04, 0.15, 9),
    ),
    "sky": Output(
        suffix=".sky.png",
        summary="mask of the sky: 255 where no surface is seen, else 0",
        label="Sky, mask",
        needs=(Need.SKY,),
        writer="picture_files:write_sky",
        reader="picture_files:read_sky",
        readable=(Need.SKY,),
        is_exact=True,
        options=(),
        media_type="image/png",
        max_bytes_per_pixel=1,
        usual_size=UsualSize(0.01, 0.01, 9),
    ),
    "ply": Output(
        suffix=".ply",
        summary="point cloud with normals and colours",
        label="Points, PLY",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=SurfaceDepth.REQUIRED,
        writer="ply:write",
        options=(*SURFACE, "backing"),
        memory_per_pixel=10,
        memory_per_point=120,
        media_type="application/x-ply",
        max_bytes_per_pixel=0,
        max_bytes_per_point=32,
        usual_size=UsualSize(0, 27, 10),
        is_heavy=True,
        is_made_in_browser=True,
    ),
    "splat": Output(
        suffix=".splat.ply",
        summary="Gaussian splats, one flat splat per pixel",
        label="Gaussian splats, PLY",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=SurfaceDepth.REQUIRED,
        writer="splat:write",
        options=(*SURFACE, "backing"),
        media_type="application/x-ply",
        max_bytes_per_pixel=0,
        max_bytes_per_point=70,
        usual_size=UsualSize(0, 68, 25),
        is_heavy=True,
    ),
    "spz": Output(
        suffix=".spz",
        summary="Gaussian splats in a sixth of the size of `splat`",
        label="Gaussian splats, SPZ",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=SurfaceDepth.REQUIRED,
        writer="spz:write",
        options=(*SURFACE, "backing"),
        memory_per_point=140,
        media_type="application/x-spz",
        max_bytes_per_pixel=0,
        max_bytes_per_point=20,
        usual_size=UsualSize(0, 8, 8),
        is_heavy=True,
    ),
    "glb": Output(
        suffix=".glb",
        summary="mesh textured with the photograph, in glTF's axes",
        label="Mesh, GLB",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=SurfaceDepth.REQUIRED,
        writer="glb:write",
        options=(*SURFACE, "backing"),
        memory_per_pixel=10,
        memory_per_point=180,
        media_type="model/gltf-binary",
        max_bytes_per_pixel=3,
        max_bytes_per_point=70,
        usual_size=UsualSize(0.6, 0.3, 1.5),
        is_heavy=True,
        is_made_in_browser=True,
        is_in_metres=True,
        tool=ToolForm(
            name="glb",
            content="a textured surface for 3-D programs",
            opened_by="Blender, Windows 3D Viewer or any glTF viewer",
        ),
    ),
    "usdz": Output(
        suffix=".usdz",
        summary="mesh for augmented reality on phones, in real size if depth is metric",
        label="Mesh, USDZ",
        invalid="left out",
        needs=(Need.DEPTH, Need.CAMERA),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        surface=SurfaceDepth.REQUIRED,
        writer="usdz:write",
        options=(*SURFACE, "backing"),
        memory_per_pixel=10,
        memory_per_point=400,
        media_type="model/vnd.usdz+zip",
        max_bytes_per_pixel=3,
        max_bytes_per_point=200,
        usual_size=UsualSize(2.5, 0.3, 4),
        is_heavy=True,
        is_in_metres=True,
        tool=ToolForm(
            name="usdz",
            content="a textured surface, in real size if depth is metric",
            opened_by="an iPhone or iPad (in augmented reality), or Blender",
        ),
    ),
    "html": Output(
        suffix=".html",
        summary="page to share, with pictures, facts and a surface that you can turn",
        label="Page to share",
        invalid="grey, left out",
        needs=(),
        optional=tuple(Need),
        surface=SurfaceDepth.IF_POSSIBLE,
        writer="rilievo.pages.photograph:write",
        options=(*COLOURING, *SURFACE),
        memory_per_pixel=13,
        memory_per_point=50,
        media_type="text/html; charset=utf-8",
        max_bytes_per_pixel=6,
        max_bytes_per_point=16,
        usual_size=UsualSize(0.5, 0.3, 1.2),
        is_heavy=True,
        tool=ToolForm(
            name="page",
            content="one HTML file with the pictures and a surface that you can turn",
            opened_by="any browser, also offline; you can measure lines on the surface",
        ),
    ),
    "turn": Output(
        suffix=".turn.webp",
        summary="animation of the turning surface, three seconds long",
        label="Turning surface, WebP",
        invalid="the background",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        optional=(Need.NORMALS, Need.SKY),
        surface=SurfaceDepth.REQUIRED,
        writer="turn:write",
        options=(*SURFACE, "backing"),
        memory_per_pixel=9,
        memory_per_point=130,
        media_type="image/webp",
        max_bytes_per_pixel=26,
        usual_size=UsualSize(1.5, 0, 2),
        is_heavy=True,
    ),
    "turn-mp4": Output(
        suffix=".turn.mp4",
        summary="animation of the turning surface as a video",
        label="Turning surface, MP4",
        invalid="the background",
        needs=(Need.DEPTH, Need.CAMERA, Need.PHOTO),
        optional=(Need.NORMALS, Need.SKY),
        surface=SurfaceDepth.REQUIRED,
        writer="turn:write_video",
        extra="video",
        package="av",
        options=(*SURFACE, "backing"),
        memory_per_pixel=9,
        memory_per_point=130,
        media_type="video/mp4",
        max_bytes_per_pixel=26,
        usual_size=UsualSize(1, 0, 2),
        is_heavy=True,
    ),
    "stl": Output(
        suffix=".stl",
        summary="closed relief for 3-D printing, in millimetres: near is high",
        label="Relief to print, STL",
        invalid="as low as the farthest pixel",
        media_type="model/stl",
        needs=(Need.DEPTH,),
        writer="stl:write",
        options=("colour_range", "surface_points", *RELIEF),
        max_bytes_per_pixel=0,
        max_bytes_per_point=110,
        usual_size=UsualSize(6.1, 0, 6.1),
    ),
    "cutout": Output(
        suffix=".cutout.png",
        summary="photograph that is opaque where the scene is near",
        label="What is near, PNG",
        invalid="transparent",
        needs=(Need.DEPTH, Need.PHOTO),
        optional=(Need.SKY,),
        writer="cutout:write",
        options=("colour_range",),
        memory_per_pixel=11,
        media_type="image/png",
        max_bytes_per_pixel=5,
        usual_size=UsualSize(0.2, 1.3, 99),
    ),
    "gdepth": Output(
        suffix=".gdepth.jpg",
        summary="photograph as JPEG with its depth inside (GDepth), as phones write it",
        label="Photograph with depth, JPEG",
        invalid="0 in the confidence map",
        needs=(Need.DEPTH, Need.PHOTO),
        optional=(Need.CONFIDENCE, Need.CAMERA),
        surface=SurfaceDepth.REQUIRED,
        writer="gdepth:write",
        reader="gdepth:read",
        readable=(Need.DEPTH,),
        json_reader="gdepth:read_json",
        options=(),
        memory_per_pixel=20,
        media_type="image/jpeg",
        max_bytes_per_pixel=13,
        usual_size=UsualSize(0.5, 0.9, 12),
        is_in_metres=True,
    ),
    "near16": Output(
        suffix=".near16.png",
        summary="inverse depth in 16 bits, where near is white",
        label="Near is white, 16-bit PNG",
        invalid="black (0)",
        needs=(Need.DEPTH,),
        writer="png16:write_near",
        options=(),
        media_type="image/png",
        max_bytes_per_pixel=3,
        usual_size=UsualSize(0.12, 0.75, 99),
    ),
    "panel": Output(
        suffix=".panel.png",
        summary="photograph, depth and normals side by side with legends",
        label="Picture for slides",
        invalid="grey",
        needs=(Need.DEPTH,),
        optional=(Need.NORMALS, Need.SKY, Need.PHOTO),
        writer="panel:write",
        options=COLOURING,
        memory_per_pixel=15,
        media_type="image/png",
        max_bytes_per_pixel=9,
        usual_size=UsualSize(1, 0.2, 2),
    ),
    "stereo": Output(
        suffix=".stereo.png",
        summary="stereo picture: side by side, top and bottom, or as a red-cyan anaglyph",
        label="Stereo picture",
        invalid="at the largest depth",
        needs=(Need.DEPTH, Need.PHOTO),
        writer="stereo:write",
        options=("stereo", "colour_range"),
        memory_per_pixel=13,
        media_type="image/png",
        max_bytes_per_pixel=6,
        usual_size=UsualSize(0, 3.2, 99),
        is_heavy=True,
        video=VideoForm(drawing="stereo:draw_video"),
    ),
}
OUTPUTS: Registry[Output] = Registry(_OUTPUTS, "output", check_outside_output)


def output_option_names(name: str) -> tuple[str, ...]:
    """Names of the options that change an output."""
    option_names = OUTPUTS.find(name).options
    return WRITING if option_names is None else option_names
