"""The output ``html``: a page in a single file, with pictures and the surface of a prediction.

OGL (public domain) draws the surface, in a ninth of the size of three.js.
"""

import base64
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Mask, UInt8
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.lattice import Cut, sample_slices
from rilievo.geometry.surfaces.meshes import MAX_PIECE_FRACTION, surface_step
from rilievo.io.json_record import to_json
from rilievo.io.map_pictures import DEPTH_COLOURS, DrawnQuantity, normals_picture, sky_colour
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
from rilievo.io.outputs.sky_backdrop import SkyPlane, sky_plane
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.photographs.photo import shrink_to_image
from rilievo.measure.page_terms import page_terms
from rilievo.pages.document import asset, page_pieces, write_pieces
from rilievo.pages.pictures import jpeg_bytes, jpeg_uri
from rilievo.pages.relief import SURFACE_SCRIPTS, Relief, pack_relief
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

_MAX_POINTS = 250_000
"""Most points of a surface that phones draw smoothly."""

_CAMERA_SOURCES = {
    CameraSource.GIVEN: "given",
    CameraSource.FOV: "from the given field of view",
    CameraSource.MILLIMETRES: "from the given focal length in millimetres",
    CameraSource.EXIF_35MM: "from EXIF, 35 mm equivalent focal length",
    CameraSource.EXIF_SENSOR: "from EXIF, focal length and sensor",
    CameraSource.PREDICTED: "predicted by the model",
    CameraSource.MARKERS: "from printed markers",
    CameraSource.RECTANGLE: "from a known rectangle",
    CameraSource.GPANO: "from the file (GPano)",
    CameraSource.HEIF: "from the file (HEIC)",
    CameraSource.VANISHING_POINTS: "from vanishing points of straight edges",
    CameraSource.ASSUMED: "assumed, so it may be far off",
}
# Largest size of the longer side of pictures [px].
_MAX_PHOTO_SIDE = 2048
_MAX_PANORAMA_SIDE = 4096
_MAX_MAP_SIDE = 1024
# JPEG quality.
_PHOTO_QUALITY = 88
_MAP_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Picture on a page.

    Attributes:
        description: Text for screen readers.
        id: HTML id, by which scripts find it.
    """

    title: str
    description: str
    id: str
    jpeg: bytes

    @property
    def uri(self) -> str:
        """Data URL of the JPEG."""
        return jpeg_uri(self.jpeg)


def write(job: WriteJob) -> FileFacts:
    """Write the page of a prediction, with a colour bar and a surface if there is depth.

    If depth cannot be shown as a surface, the page says why.
    """
    prediction = job.prediction
    options = job.options
    facts = job.describe_file("page with pictures and, if there is depth, the surface")
    depth = prediction.depth_or_none
    if depth is None:
        bar = None
        ramp = "none"
        surface = _Surface()
    else:
        bar = colour_bar(depth, options, coloured_sky(prediction))
        ramp = _css_gradient(bar.colours)
        surface = _make_surface(job, depth)
        facts = replace(
            facts,
            unit=job.depth_facts.unit,
            colour=bar.colour_facts,
            surface=None if surface.relief is None else surface.relief.facts,
        )

    page = page_pieces(
        "photograph.html",
        scripts=stage_scripts(has_surface=surface.relief is not None),
        extra_css=_stage_style(ramp, options.colour_map),
        allow_style_attributes=False,
        about=job.sidecar,
        sources=_CAMERA_SOURCES,
        json=job.sidecar.embedded_json(facts),
        pictures=tuple(pictures_of_prediction(prediction, options)),
        bar=bar,
        relief=surface.relief,
        missing=surface.missing_reason,
        licence=asset("surface_view/ogl.LICENSE"),
        usdz=_usdz_link(job),
    )
    write_pieces(job.path, page)
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class _PageRelief:
    """Surface as the page stores it.

    Attributes:
        form: JSON of the form, by which the scripts decode the data.
        data: Data of the points and triangles, in Base64.
        terms: JSON of the terms by which the scripts measure.
        facts: Description for the sidecar.
    """

    form: str
    data: str
    terms: str
    facts: SurfaceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surface:
    """Surface of a page, or the reason why its depth has none; neither if there is no depth."""

    relief: _PageRelief | None = None
    missing_reason: str | None = None


def _make_surface(job: WriteJob, depth: DepthMap) -> _Surface:
    """Make the surface of the page, or say why there is none."""
    prediction = job.prediction
    reason = _reason_without_surface(depth, prediction.camera)
    if reason is not None:
        return _Surface(missing_reason=reason)
    relief = _make_relief(job, depth)
    if relief is None:
        reason = "The surface is empty, because no pixel is connected to a neighbour."
        return _Surface(missing_reason=reason)
    page_relief = _PageRelief(
        form=to_json(relief.form),
        data=base64.b64encode(relief.data).decode("ascii"),
        terms=to_json(page_terms(prediction)),
        facts=_surface_facts(relief, job.options, sky_share(prediction)),
    )
    return _Surface(relief=page_relief)


def _usdz_link(job: WriteJob) -> str | None:
    """Address of the USDZ file beside the page, which phones place in the room at its true size."""
    depth = job.prediction.depth_or_none
    usdz_name = job.files_by_output.get("usdz")
    is_metric = depth is not None and depth.kind is DepthKind.METRIC
    if not usdz_name or not is_metric:
        return None
    return quote(os.fsencode(usdz_name))


def stage_scripts(*, has_surface: bool = True) -> tuple[str, ...]:
    """Read the scripts of a page that shows pictures and perhaps a surface, in loading order."""
    stage_names = ("slider", "stage", "marks", "share", "page")
    surface_names = SURFACE_SCRIPTS if has_surface else ()
    return (
        *(asset(f"surface_view/{name}") for name in surface_names),
        *(asset(f"stage/{name}.js") for name in stage_names),
    )


def saved_page() -> str:
    """Make the HTML of a page without a prediction, which the app fills with one in the browser."""
    page = page_pieces(
        "saved.html",
        scripts=stage_scripts(),
        extra_css=_stage_style(_css_gradient(css_colours(DEPTH_COLOURS))),
        allow_style_attributes=False,
        licence=asset("surface_view/ogl.LICENSE"),
    )
    return "".join(page)


def _css_gradient(colours: Iterable[str]) -> str:
    """CSS of a gradient through colours, from the left to the right."""
    return f"linear-gradient(to right, {', '.join(colours)})"


def _stage_style(ramp: str, colour_map: str = DEPTH_COLOURS) -> str:
    """Style sheet of the pictures and the surface; ``ramp`` is the CSS of the colour bar."""
    sky = hex_colour(sky_colour(colour_map))
    return f"{asset('stage/stage.css')}:root {{ --ramp: {ramp}; --sky: {sky}; }}\n"


def _surface_facts(
    relief: Relief, options: SaveOptions, sky_fraction: float | None
) -> SurfaceFacts:
    """Describe for the sidecar how the mesh was made, and how many points and triangles it has."""
    return SurfaceFacts(
        pixel_step=relief.form.step,
        points=relief.points,
        triangles=relief.triangles,
        edge_jump=options.edge,
        grazing_degrees=0.0,  # the page also shows triangles that are seen at a grazing angle
        specks=options.specks,
        dropped=options.drop_text,
        sky=sky_fraction,
        backing=BACKING,
    )


def _reason_without_surface(depth: DepthMap, camera: Camera | None) -> str | None:
    """Say why depth cannot be shown as a surface; None if it can."""
    if not depth.is_depth:
        return (
            "There is no surface, because the scale and shift of the depth are not known. Two "
            "known distances determine them: give --known U,V,METRES twice to 'rilievo predict'."
        )
    if camera is None:
        return "There is no surface, because the camera is not known."
    if not isinstance(camera.lens, Pinhole | Equirectangular):
        return "A page cannot show a surface for this lens. Save the surface as ply or glb instead."
    return None


def _make_relief(job: WriteJob, depth: DepthMap) -> Relief | None:
    """Encode the surface; return None if it is empty."""
    prediction = job.prediction
    camera = prediction.camera
    assert camera is not None, "_reason_without_surface has checked it"
    cutting = _cutting_of_page(job, depth, camera)
    photo = prediction.photo
    return pack_relief(
        depth.depth(),
        camera,
        cutting.surface_mask,
        hollow=None if photo is None else photo.transparent,
        step=surface_step(depth.shape, min(job.options.surface_points, _MAX_POINTS)),
        cut=cutting.cut,
        normals=prediction.normals,
        pieces=cutting.max_piece_fraction,
        sky=cutting.sky,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cutting:
    """Which pixels of a depth map belong to the surface, and how it is cut.

    ``pack_relief`` explains ``cut``, ``max_piece_fraction`` (its ``pieces``) and ``sky``.
    """

    surface_mask: Mask
    cut: Cut
    max_piece_fraction: float
    sky: SkyPlane | None


def _cutting_of_page(job: WriteJob, depth: DepthMap, camera: Camera) -> _Cutting:
    """Choose the cutting: as the options say, but a panorama keeps everything.

    The viewer is inside a panorama, and would look through whatever is left out, be it sky or a
    speck.
    """
    options = job.options
    if isinstance(camera.lens, Equirectangular):
        cut = replace(options.cut, specks=0)
        return _Cutting(surface_mask=depth.valid, cut=cut, max_piece_fraction=0.0, sky=None)
    surface_mask = surface_pixels(job.prediction, options.drops)
    return _Cutting(
        surface_mask=surface_mask,
        cut=options.cut,
        max_piece_fraction=MAX_PIECE_FRACTION,
        sky=sky_plane(job.prediction, depth.depth()[surface_mask], options.drops),
    )


def pictures_of_prediction(prediction: PredictionRecord, options: SaveOptions) -> Iterator[Picture]:
    """Yield the pictures of the photograph, depth, normals and confidence that a prediction has."""
    depth = prediction.depth_or_none
    if prediction.photo is not None:
        max_side = _MAX_PANORAMA_SIDE if _is_panorama(prediction) else _MAX_PHOTO_SIDE
        yield photo_picture(prediction.photo, options, max_side)
    # Maps are subsampled, because averages across edges would show depths that do not exist.
    step = math.ceil(max(prediction.shape) / _MAX_MAP_SIDE)
    rows, columns = sample_slices(prediction.shape, step)
    if depth is not None:
        pixels = depth_picture(prediction, options, rows, columns)
        last_colour = "near" if options.draw is DrawnQuantity.INVERSE_DEPTH else "far"
        description = (
            f"Depth in the colour map {options.colour_map}, whose last colour means {last_colour}"
        )
        yield _map_picture("Depth", description, "depth", pixels)
    if prediction.normals is not None:
        normals = np.ascontiguousarray(prediction.normals[:, rows, columns])
        valid = None if depth is None else depth.valid[rows, columns]
        description = (
            "Surface normals in colours: a wall seen head-on is light blue, and a floor is green"
        )
        yield _map_picture("Normals", description, "normals", normals_picture(normals, valid))
    if prediction.confidence is not None:
        grey = np.rint(prediction.confidence[rows, columns] * np.float32(255)).astype(np.uint8)
        description = "Confidence of the model: white is highest, black is lowest"
        yield _map_picture("Confidence", description, "confidence", grey)


def _is_panorama(prediction: PredictionRecord) -> bool:
    camera = prediction.camera
    return camera is not None and isinstance(camera.lens, Equirectangular)


def photo_picture(photo: Photo, options: SaveOptions, max_side: int = _MAX_PHOTO_SIDE) -> Picture:
    """Make the picture of the photograph, which is also the texture of the surface."""
    image = shrink_to_image(photo, min(max_side, options.texture_side))
    jpeg = jpeg_bytes(image, quality=_PHOTO_QUALITY, subsampling=2)
    return Picture(title="Photograph", description="The photograph", id="photo", jpeg=jpeg)


def _map_picture(
    title: str, description: str, picture_id: str, pixels: UInt8[np.ndarray, "h w *c"]
) -> Picture:
    # No chroma subsampling, because colours stand for values.
    jpeg = jpeg_bytes(Image.fromarray(pixels), quality=_MAP_QUALITY)
    return Picture(title=title, description=description, id=picture_id, jpeg=jpeg)
