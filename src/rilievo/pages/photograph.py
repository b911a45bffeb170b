"""Single-file page of a prediction.

OGL (public domain) draws the surface, in a ninth of the size of three.js.
"""

import base64
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
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

MOST_POINTS = 250_000
"""Most points of a surface, for telephones."""

_SOURCES = {
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
# Longer sides of pictures [px].
_PHOTO_SIDE, _PANORAMA_SIDE, _MAP_SIDE = 2048, 4096, 1024
_PHOTO_QUALITY, _MAP_QUALITY = 88, 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Picture on a page.

    Attributes:
        words: Description for screen readers.
        id: Name for scripts.
    """

    title: str
    words: str
    id: str
    jpeg: bytes

    @property
    def uri(self) -> str:
        """Data URL."""
        return jpeg_uri(self.jpeg)


def write(job: WriteJob) -> FileFacts:
    """Write the page; affine depth has no surface."""
    prediction, options, depth = job.prediction, job.options, job.prediction.depth_or_none
    relief, missing = _relief_or_reason(job)
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
        sources=_SOURCES,
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
    depth, file = job.prediction.depth_or_none, job.beside.get("usdz")
    is_metric = depth is not None and depth.kind is DepthKind.METRIC
    return quote(os.fsencode(file)) if file and is_metric else None


def stage_scripts(*, has_surface: bool = True) -> tuple[str, ...]:
    """Texts of the scripts of a page with a stage."""
    names = ("slider", "stage", "marks", "share", "page")
    surface = SURFACE_SCRIPTS if has_surface else ()
    return (
        *(asset(f"surface_view/{name}") for name in surface),
        *(asset(f"stage/{name}.js") for name in names),
    )


def saved_page() -> str:
    """HTML of a page that browsers fill."""
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


def _relief_or_reason(job: WriteJob) -> tuple[Relief | None, str | None]:
    prediction, options, photo = job.prediction, job.options, job.prediction.photo
    depth, camera = prediction.depth_or_none, prediction.camera
    if depth is None:
        return None, None
    if not depth.is_depth:
        return None, (
            "Two known distances make one possible: rilievo predict --known u,v,metres twice."
        )
    if camera is None:
        return None, "The camera is not known, and without one there is no surface."
    if not isinstance(camera.lens, Pinhole | Equirectangular):
        return None, "Pages draw no surfaces of this lens; save ply or glb for this one."
    step = surface_step(depth.shape, min(options.surface_points, MOST_POINTS))
    # Who stands inside a panorama sees the sky too, and every speck where it is.
    is_inside = isinstance(camera.lens, Equirectangular)
    relief = pack_relief(
        depth.depth(),
        camera,
        depth.valid if is_inside else surface_pixels(prediction, options.drops),
        hollow=None if photo is None else photo.transparent,
        step=step,
        cut=replace(options.cut, specks=0) if is_inside else options.cut,
        normals=prediction.normals,
        pieces=0 if is_inside else MAX_PIECE_FRACTION,
    )
    return relief, None if relief else "The surface is empty: no pixel is connected to a neighbour."


def pictures_of_prediction(prediction: PredictionRecord, options: SaveOptions) -> Iterator[Picture]:
    """Photograph, depth, normals and confidence."""
    if prediction.photo is not None:
        camera = prediction.camera
        is_inside = camera is not None and isinstance(camera.lens, Equirectangular)
        side = _PANORAMA_SIDE if is_inside else _PHOTO_SIDE
        yield photo_picture(prediction.photo, options, side)
    # Averages across depth edges would show depths that do not exist.
    rows, columns = sample_slices(prediction.shape, -(-max(prediction.shape) // _MAP_SIDE))
    depth = prediction.depth_or_none
    if depth is not None:
        pixels = depth_picture(prediction, options, rows, columns)
        bright = "near" if options.draw is Drawn.INVERSE_DEPTH else "far"
        words = f"Depth in colours of the map {options.colour_map}; its last colour is {bright}"
        yield _map_picture("Depth", words, "depth", pixels)
    if prediction.normals is not None:
        mask = None if depth is None else depth.valid[rows, columns]
        pixels = normals_picture(np.ascontiguousarray(prediction.normals[:, rows, columns]), mask)
        words = (
            "Directions of surfaces in colours: a wall seen head-on is light blue, a floor green"
        )
        yield _map_picture("Normals", words, "normals", pixels)
    if prediction.confidence is not None:
        grey = np.rint(prediction.confidence[rows, columns] * np.float32(255)).astype(np.uint8)
        words = "Confidence of the model: white is highest, black is lowest"
        yield _map_picture("Confidence", words, "confidence", grey)


def photo_picture(photo: Photo, options: SaveOptions, side: int = _PHOTO_SIDE) -> Picture:
    """Photograph, at most ``side`` large, for surfaces too."""
    image = shrink_to_image(photo, min(side, options.texture_side))
    jpeg = jpeg_bytes(image, quality=_PHOTO_QUALITY, subsampling=2)
    return Picture(title="Photograph", words="The photograph", id="photo", jpeg=jpeg)


def _map_picture(title: str, words: str, id: str, pixels: UInt8[np.ndarray, "h w *c"]) -> Picture:
    # No chroma subsampling, because colours stand for values.
    jpeg = jpeg_bytes(Image.fromarray(pixels), quality=_MAP_QUALITY)
    return Picture(title=title, words=words, id=id, jpeg=jpeg)
