"""The output ``html``: a page in a single file, with pictures and the surface of a prediction.

OGL (public domain) draws the surface, in a ninth of the size of three.js.
"""

import base64
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import UInt8
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.floating_pieces import MAX_PIECE_FRACTION
from rilievo.geometry.surfaces.lattice import sample_slices
from rilievo.geometry.surfaces.meshes import surface_step
from rilievo.io.json_record import to_json
from rilievo.io.map_pictures import DEPTH_COLOURS, Drawn, normals_picture, sky_colour
from rilievo.io.outputs.formats.colour_files import (
    colour_bar,
    coloured_sky,
    css_colours,
    depth_picture,
    hex_colour,
)
from rilievo.io.outputs.save_options import BACKING, SaveOptions
from rilievo.io.outputs.sidecar import FileFacts, SurfaceFacts
from rilievo.io.outputs.sky import sky_share, surface_pixels
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.photographs.jpeg import jpeg_bytes, shrink_to_image
from rilievo.measure.page_terms import page_terms
from rilievo.pages.document import asset, page_pieces, write_pieces
from rilievo.pages.pictures import jpeg_uri
from rilievo.pages.relief import SURFACE_SCRIPTS, Relief, pack_relief
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

_MAX_POINTS = 250_000
"""Points of a surface that telephones still draw smoothly."""

_CAMERA_SOURCES = {
    CameraSource.GIVEN: "given",
    CameraSource.FOV: "from the field of view that was given",
    CameraSource.MILLIMETRES: "from the millimetres that were given",
    CameraSource.EXIF_35MM: "EXIF, 35 mm equivalent focal length",
    CameraSource.EXIF_SENSOR: "EXIF, focal length and sensor",
    CameraSource.PREDICTED: "estimated by the model",
    CameraSource.MARKERS: "from printed markers",
    CameraSource.RECTANGLE: "from a known rectangle",
    CameraSource.GPANO: "from the file (GPano)",
    CameraSource.HEIF: "from the file (HEIC)",
    CameraSource.VANISHING_POINTS: "from vanishing points of straight edges",
    CameraSource.ASSUMED: "assumed, and may be far off",
}
_PHOTO_SIDE, _PANORAMA_SIDE, _MAP_SIDE = 2048, 4096, 1024  # [px], the longer side of pictures
_PHOTO_QUALITY, _MAP_QUALITY = 88, 90  # of JPEG


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Picture on a page.

    Attributes:
        words: Description for screen readers.
        id: Name by which scripts find it.
    """

    title: str
    words: str
    id: str
    jpeg: bytes

    @property
    def uri(self) -> str:
        """Data URL of the JPEG."""
        return jpeg_uri(self.jpeg)


def write(job: WriteJob) -> FileFacts:
    """Write the page, whose surface needs depth that is not affine, and a camera."""
    prediction, options, depth = job.prediction, job.options, job.prediction.depth_or_none
    missing = _reason_without_surface(prediction)
    relief = None
    if depth is not None and missing is None:
        relief = _make_relief(job, depth)
        if relief is None:
            missing = "The surface is empty: no pixel is connected to a neighbour."
    surface = None if relief is None else _surface_facts(relief, options, sky_share(prediction))
    bar = None if depth is None else colour_bar(depth, options, coloured_sky(prediction))
    facts = replace(
        job.facts("page with pictures and, where there is depth, the surface"),
        unit=None if depth is None else job.depth_facts.unit,
        colour=None if bar is None else bar.facts,
        surface=surface,
    )
    pictures = tuple(pictures_of_prediction(prediction, options))
    ramp = "none" if bar is None else f"linear-gradient(to right, {', '.join(bar.colours)})"
    page = page_pieces(
        "photograph.html",
        scripts=stage_scripts(has_surface=relief is not None),
        own_style=_stage_style(ramp, options.colour_map),
        inline_styles=False,
        about=job.about,
        facts=surface,
        sources=_CAMERA_SOURCES,
        json=job.about.embedded_json(facts),
        pictures=pictures,
        bar=bar,
        missing=missing,
        form=None if relief is None else to_json(relief.form),
        data_of=None if relief is None else base64.b64encode(relief.data).decode("ascii"),
        terms=None if relief is None else to_json(page_terms(prediction)),
        licence=asset("surface_view/ogl.LICENSE"),
        usdz=_usdz_link(job),
    )
    write_pieces(job.path, page)
    return facts


def _usdz_link(job: WriteJob) -> str | None:
    """Address of a USDZ beside the page, which telephones place in the room at its true size."""
    depth, file = job.prediction.depth_or_none, job.beside.get("usdz")
    is_metric = depth is not None and depth.kind is DepthKind.METRIC
    return quote(os.fsencode(file)) if file and is_metric else None


def stage_scripts(*, has_surface: bool = True) -> tuple[str, ...]:
    """Read the scripts of a page that shows pictures and, on request, a surface."""
    names = ("slider", "stage", "marks", "share", "page")
    surface = SURFACE_SCRIPTS if has_surface else ()
    return (
        *(asset(f"surface_view/{name}") for name in surface),
        *(asset(f"stage/{name}.js") for name in names),
    )


def saved_page() -> str:
    """Make the HTML of a page without a prediction, into which the app in a browser puts one."""
    ramp = f"linear-gradient(to right, {', '.join(css_colours(DEPTH_COLOURS))})"
    page = page_pieces(
        "saved.html",
        scripts=stage_scripts(),
        own_style=_stage_style(ramp),
        inline_styles=False,
        licence=asset("surface_view/ogl.LICENSE"),
    )
    return "".join(page)


def _stage_style(ramp: str, colour_map: str = DEPTH_COLOURS) -> str:
    sky = hex_colour(sky_colour(colour_map))
    return f"{asset('stage/stage.css')}:root {{ --ramp: {ramp}; --sky: {sky}; }}\n"


def _surface_facts(relief: Relief, options: SaveOptions, sky: float | None) -> SurfaceFacts:
    return SurfaceFacts(
        pixel_step=relief.form.step,
        points=relief.points,
        triangles=relief.triangles,
        edge_jump=options.edge,
        grazing_degrees=0.0,
        specks=options.specks,
        dropped=options.drop_text,
        sky=sky,
        backing=BACKING,
    )


def _reason_without_surface(prediction: PredictionRecord) -> str | None:
    """Say why depth cannot be shown as a surface; None if it can, or if there is no depth."""
    depth, camera = prediction.depth_or_none, prediction.camera
    if depth is None:
        return None
    if not depth.is_depth:
        return "Two known distances make one possible: rilievo predict --known u,v,metres twice."
    if camera is None:
        return "The camera is not known, and without one there is no surface."
    if not isinstance(camera.lens, Pinhole | Equirectangular):
        return "Pages draw no surfaces of this lens; save ply or glb for this one."
    return None


def _make_relief(job: WriteJob, depth: DepthMap) -> Relief | None:
    """Encode the surface; None if it is empty."""
    prediction, options, photo = job.prediction, job.options, job.prediction.photo
    camera = prediction.camera
    assert camera is not None, "a surface has a camera"
    # The viewer stands inside a panorama, and sees the sky and every speck where they are.
    is_panorama = isinstance(camera.lens, Equirectangular)
    return pack_relief(
        depth.depth(),
        camera,
        depth.valid if is_panorama else surface_pixels(prediction, options.drops),
        hollow=None if photo is None else photo.transparent,
        step=surface_step(depth.shape, min(options.surface_points, _MAX_POINTS)),
        cut=replace(options.cut, specks=0) if is_panorama else options.cut,
        normals=prediction.normals,
        pieces=0 if is_panorama else MAX_PIECE_FRACTION,
    )


def pictures_of_prediction(prediction: PredictionRecord, options: SaveOptions) -> Iterator[Picture]:
    """Make the pictures that there are: the photograph, depth, normals and confidence."""
    depth, camera = prediction.depth_or_none, prediction.camera
    if prediction.photo is not None:
        is_panorama = camera is not None and isinstance(camera.lens, Equirectangular)
        side = _PANORAMA_SIDE if is_panorama else _PHOTO_SIDE
        yield photo_picture(prediction.photo, options, side)
    # Pixels are sampled: averages across depth edges would show depths that do not exist.
    step = math.ceil(max(prediction.shape) / _MAP_SIDE)
    rows, columns = sample_slices(prediction.shape, step)
    if depth is not None:
        pixels = depth_picture(prediction, options, rows, columns)
        last = "near" if options.draw is Drawn.INVERSE_DEPTH else "far"
        words = f"Depth in colours of the map {options.colour_map}; its last colour is {last}"
        yield _map_picture("Depth", words, "depth", pixels)
    if prediction.normals is not None:
        normals = np.ascontiguousarray(prediction.normals[:, rows, columns])
        valid = None if depth is None else depth.valid[rows, columns]
        words = (
            "Directions of surfaces in colours: a wall seen head-on is light blue, a floor green"
        )
        yield _map_picture("Normals", words, "normals", normals_picture(normals, valid))
    if prediction.confidence is not None:
        grey = np.rint(prediction.confidence[rows, columns] * np.float32(255)).astype(np.uint8)
        words = "Confidence of the model: white is highest, black is lowest"
        yield _map_picture("Confidence", words, "confidence", grey)


def photo_picture(photo: Photo, options: SaveOptions, side: int = _PHOTO_SIDE) -> Picture:
    """Make the picture of the photograph, at most ``side`` wide and high; surfaces wear it too."""
    image = shrink_to_image(photo, min(side, options.texture_side))
    jpeg = jpeg_bytes(image, quality=_PHOTO_QUALITY, subsampling=2)
    return Picture(title="Photograph", words="The photograph", id="photo", jpeg=jpeg)


def _map_picture(title: str, words: str, id: str, pixels: UInt8[np.ndarray, "h w *c"]) -> Picture:
    # No chroma subsampling, because colours stand for values.
    jpeg = jpeg_bytes(Image.fromarray(pixels), quality=_MAP_QUALITY)
    return Picture(title=title, words=words, id=id, jpeg=jpeg)
