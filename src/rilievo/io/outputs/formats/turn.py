"""Turning surface, three seconds from the photograph's view and back, as WebP or video.

Sky stays far behind. In a panorama or fisheye the camera looks around.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from PIL import Image, ImageFilter, WebPImagePlugin

from rilievo.arrays.shapes import Float32, Mask, Matrix, Pixels, UInt, Vector
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.intrinsics import K_from_focal, resize_K
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import Mesh, mesh, surface_step
from rilievo.geometry.surfaces.patches import MOST
from rilievo.geometry.surfaces.raster import Raster, rasterise
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.sky import surface_pixels, surface_sky
from rilievo.io.outputs.surface_points import mesh_facts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

RATE = Fraction(20)
"""Frames a second."""
SECONDS = 3
GROUND = (24, 26, 30)
_SIDE = 480
_FINE = 2
_OUTER = np.uint32(0x00FF00FF)
_SHARE = np.uint32((_FINE**2).bit_length() - 1)
_ROUNDING = np.uint32(_FINE**2 // 2 * 0x00010001)
# Degrees to the side, and down.
_SWING = (8.0, 2.5)
_LOOK = 25.0
# Horizontal field of view from inside [degrees].
_WINDOW = 75.0
# Enlargement that hides the border.
_ZOOM = 1.06
_MOST_POINTS = 250_000
_FLATNESS = 0.004
_WHOLE = Cut(grazing=0.0, jump=1e9)
_SHEET = 64
_MIXED = 3
_BELOW = 1 / 12
# Depth relative to the 98th percentile.
_SKY = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Surface that turns about ``pivot``: the camera itself inside."""

    mesh: Mesh
    photo: Pixels
    camera: Camera
    pivot: Vector
    step: int

    @property
    def is_inside(self) -> bool:
        """Whether the surface surrounds the camera."""
        return not isinstance(self.camera.lens, Pinhole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Surface and frames of its turn, ``RATE`` a second."""

    scene: Scene
    frames: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaledPhoto:
    # A colour is one number; the last is ``GROUND``.

    colours: UInt[np.ndarray, "n"]
    size: tuple[int, int]
    scale: Float32[np.ndarray, "2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Camera around a scene, by degrees to the right (left inside) and down."""

    size: tuple[int, int]
    K: Matrix
    yaw: float = 0.0
    pitch: float = 0.0

    @property
    def rotation(self) -> Matrix:
        """Rotation of the scene's points by yaw, then pitch."""
        a, b = math.radians(self.yaw), math.radians(self.pitch)
        about_y = [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
        about_x = [[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]]
        return np.array(about_x) @ np.array(about_y)


def make_scene(
    prediction: PredictionRecord,
    depth: DepthMap,
    camera: Camera,
    photo: Photo,
    options: SaveOptions,
) -> Scene:
    """Make the surface, with the sky far behind it.

    Raises:
        InputError: If there is no surface.
    """
    there = surface_pixels(prediction, options.drops)
    if not there.any():
        raise InputError("no surface is left to turn", path=photo.name)
    depths = depth.depth()[there]
    is_pinhole = isinstance(camera.lens, Pinhole)
    step = surface_step(depth.shape, min(options.surface_points, _MOST_POINTS))
    surface = mesh(
        depth.depth(),
        camera,
        there,
        hollow=photo.transparent,
        normals=prediction.normals,
        step=step,
        cut=options.cut,
        # A large triangle may reach from before the camera to behind it.
        flatness=_FLATNESS if is_pinhole else 0,
        smooth=True,
        backing=options.mesh_backing,
        pieces=MOST,
    )
    if not len(surface.triangles):
        raise InputError("no surface is left to turn", path=photo.name)
    sky = surface_sky(prediction)
    if "sky" not in options.drops and sky.any():
        far = np.float32(_SKY * np.percentile(depths, 98))
        surface = _join_meshes(surface, _sky_sheet(sky, far, camera, photo))
    height, width = depth.shape
    middle = camera.rays(np.array([(width - 1) / 2, (height - 1) / 2]))
    pivot = middle * np.median(depths) if is_pinhole else np.zeros(3)
    return Scene(mesh=surface, photo=photo.pixels, camera=camera, pivot=pivot, step=step)


def _sky_sheet(sky: Mask, far: np.float32, camera: Camera, photo: Photo) -> Mesh:
    step = math.ceil(max(sky.shape) / _SHEET)
    inside = np.ones(sky.shape, bool) if photo.transparent is None else ~photo.transparent
    inside[np.flatnonzero(sky.any(axis=1))[-1] + round(_BELOW * len(sky)) :] = False
    sheet = mesh(np.full(sky.shape, far), camera, inside, step=step, cut=_WHOLE)
    reach = max(step, _MIXED)
    clear = np.asarray(
        Image.fromarray(sky).convert("L").filter(ImageFilter.MinFilter(2 * reach + 1))
    )
    columns, rows = np.rint(sheet.pixels.T).astype(int)
    columns, rows = columns % sky.shape[1], rows.clip(0, sky.shape[0] - 1)
    indices = np.flatnonzero(clear[rows, columns])
    if not indices.size:
        # A sky without such a place is of one colour.
        place = np.argwhere(sky)[np.count_nonzero(sky) // 2, ::-1].astype(np.float32)
        return replace(sheet, pixels=np.tile(place, (len(sheet.pixels), 1)))
    away = np.subtract.outer(sheet.pixels[:, 0], sheet.pixels[indices, 0]) ** 2
    away += np.subtract.outer(sheet.pixels[:, 1], sheet.pixels[indices, 1]) ** 2
    return replace(sheet, pixels=sheet.pixels[indices[away.argmin(axis=1)]])


def _join_meshes(front: Mesh, sheet: Mesh) -> Mesh:

    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(front, name), getattr(sheet, name)])

    triangles = np.concatenate([front.triangles, sheet.triangles + np.int32(len(front.points))])
    return Mesh(
        points=both("points"), normals=both("normals"), pixels=both("pixels"), triangles=triangles
    )


def first_view(scene: Scene, side: int = _SIDE) -> View:
    """View of the photograph's camera, or a window from inside."""
    height, width = scene.photo.shape[:2]
    if scene.is_inside:
        size = (side * 2 // 3, side)
        focal = side / 2 / math.tan(math.radians(_WINDOW / 2))
        return View(size=size, K=K_from_focal(focal, focal, size))
    share = min(1.0, side / max(height, width))
    size = (max(1, round(height * share)), max(1, round(width * share)))
    return View(size=size, K=resize_K(scene.camera.K, size=(height, width), new_size=size))


def draw_turn(scene: Scene) -> Turn:
    """Draw the frames; it swings back through the same views."""
    first = first_view(scene)
    K = first.K.copy()
    if not scene.is_inside:
        K[:2, :2] *= _ZOOM
        K[:2, 2] += (_ZOOM - 1) * (K[:2, 2] - (np.array(first.size[::-1]) - 1) / 2)
    count = int(RATE * SECONDS)
    paint = _scale_photo(scene.photo, first.size)
    drawn: dict[float, Pixels] = {}
    asides = [round(math.sin(2 * math.pi * number / count), 9) for number in range(count)]
    for aside in dict.fromkeys(asides):
        yaw, pitch = (_LOOK, 0.0) if scene.is_inside else _SWING
        view = replace(first, K=K, yaw=yaw * aside, pitch=pitch * aside**2)
        drawn[aside] = _draw_view(scene, view, paint)
    return Turn(scene=scene, frames=tuple(drawn[aside] for aside in asides))


def rasterise_view(scene: Scene, view: View, fine: int = 1) -> Raster:
    """Raster of ``fine`` x ``fine`` samples a pixel."""
    height, width = view.size
    points = (scene.mesh.points - scene.pivot) @ view.rotation.T + scene.pivot
    size = (fine * height, fine * width)
    K = resize_K(view.K, size=view.size, new_size=size)
    return rasterise(scene.mesh, points.astype(np.float32), K, size)


def draw_view(scene: Scene, view: View) -> Pixels:
    """Draw the surface in the photograph's colours."""
    return _draw_view(scene, view, _scale_photo(scene.photo, view.size))


def _draw_view(scene: Scene, view: View, paint: _ScaledPhoto) -> Pixels:
    raster = rasterise_view(scene, view, _FINE)
    height, width = paint.size
    u, v = (_nearest_pixels(*axis) for axis in zip(raster.pixels, paint.scale, strict=True))
    place = np.clip(v, 0, height - 1, out=v).astype(np.intp)
    place *= width
    if scene.is_inside:
        place += u.astype(np.intp) % width
    else:
        place += np.clip(u, 0, width - 1, out=u).astype(np.intp)
    place[raster.inverse_depth == 0] = height * width
    return _sample_means(paint.colours.take(place))


def _sample_means(samples: UInt[np.ndarray, "h w"]) -> Pixels:
    """Rounded means of samples; 32 bits hold the sums of two colours."""
    rows, columns = (length // _FINE for length in samples.shape)
    samples = samples.reshape(rows, _FINE, columns, _FINE)
    outer = np.full((rows, columns), _ROUNDING, np.uint32)
    inner = outer.copy()
    for a, b in np.ndindex(_FINE, _FINE):
        sample = samples[:, a, :, b]
        outer += sample & _OUTER
        inner += (sample >> np.uint32(8)) & _OUTER
    outer >>= _SHARE
    outer &= _OUTER
    inner >>= _SHARE
    inner &= _OUTER
    outer |= inner << np.uint32(8)
    return np.ascontiguousarray(outer.view(np.uint8).reshape(rows, columns, 4)[..., :3])


def _nearest_pixels(
    places: Float32[np.ndarray, "h w"], scale: np.float32
) -> Float32[np.ndarray, "h w"]:
    places = places + np.float32(0.5)
    places *= scale
    places -= np.float32(0.5)
    return np.rint(places, out=places)


def _scale_photo(photo: Pixels, size: tuple[int, int]) -> _ScaledPhoto:
    height, width = photo.shape[:2]
    share = min(1.0, _FINE * max(size) / max(height, width))
    small = photo
    if share < 1:
        size = (max(1, round(width * share)), max(1, round(height * share)))
        image = Image.fromarray(photo).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
        small = np.asarray(image)
    rows, columns = small.shape[:2]
    colours = np.zeros((rows * columns + 1, 4), np.uint8)
    colours[:-1, :3] = small.reshape(-1, 3)
    colours[-1, :3] = GROUND
    return _ScaledPhoto(
        colours=colours.view(np.uint32)[:, 0],
        size=(rows, columns),
        scale=np.array([columns / width, rows / height], np.float32),
    )


_OUTPUTS = ("turn", "turn-mp4")
_QUALITY = 72
# Effort, 0 to 6: 6 saves an eighth of the bytes in four times the time.
_METHOD = 2


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as an endless WebP animation."""
    made = _make_or_reuse_turn(job, depth, camera, photo)
    first, *rest = (Image.fromarray(frame) for frame in made.frames)
    with job.path.open("wb") as file:
        first.save(
            file,
            # Pillow loads all its formats for one whose module is not imported.
            WebPImagePlugin.WebPImageFile.format,
            save_all=True,
            append_images=rest,
            duration=round(1000 / RATE),
            loop=0,
            quality=_QUALITY,
            method=_METHOD,
        )
    return _turn_facts(job, made.scene)


def write_video(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as H.264 in MP4."""
    from rilievo.io.videos.frame_source import Coding, VideoFormat
    from rilievo.io.videos.video_writer import writing_part

    made = _make_or_reuse_turn(job, depth, camera, photo)
    height, width = made.frames[0].shape[:2]
    like = VideoFormat(
        size=(height, width), rate=RATE, time_base=Fraction(1) / RATE, coding=Coding.PICTURE
    )
    with writing_part(job.path.with_name(job.file), job.path, like) as writer:
        for number, frame in enumerate(made.frames):
            writer.write(frame, number)
    return _turn_facts(job, made.scene)


def _make_or_reuse_turn(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> Turn:
    key = ("turn", job.options)
    made = job.shared.pop(key, None)
    if made is None:
        made = draw_turn(make_scene(job.prediction, depth, camera, photo, job.options))
    if not job.later.isdisjoint(_OUTPUTS):
        job.shared[key] = made
    return made


def _turn_facts(job: WriteJob, scene: Scene) -> FileFacts:
    surface = mesh_facts(job, scene.mesh, step=scene.step)
    return replace(job.facts(f"the surface, turning for {SECONDS} seconds"), surface=surface)
