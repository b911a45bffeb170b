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
from rilievo.geometry.surfaces.floating_pieces import MAX_PIECE_FRACTION
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import Mesh, mesh, surface_step
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
"""Colour where no surface is seen."""

_SIDE = 480  # [px], of the longer side of a frame
_SAMPLES = 2
"""Samples along each side of a pixel, whose mean is its colour."""
_EVEN_BYTES = np.uint32(0x00FF00FF)
"""The first and third of the four colours that a number of 32 bits holds."""
_SAMPLE_BITS = np.uint32((_SAMPLES**2).bit_length() - 1)
"""Bits by which a sum of all samples of a pixel is shifted to their mean."""
_HALF = np.uint32(_SAMPLES**2 // 2 * 0x00010001)
"""Half of the number of samples, for each of the two colours: their means are rounded."""

_SWING_DEGREES = (8.0, 2.5)
"""How far the camera swings around the surface: to the side, and down."""
_LOOK_DEGREES = 25.0
"""How far a camera inside of the surface looks to each side."""
_WINDOW_DEGREES = 75.0
"""Horizontal field of view of that camera."""
_ZOOM = 1.06
"""Enlargement that hides the border of the surface."""

_MAX_POINTS = 250_000
_FLATNESS = 0.004
"""Relative change of depth for which triangles may be joined; networks are ten times less exact."""
_WITHOUT_CUTS = Cut(grazing=0.0, jump=1e9)

_SKY_CELLS = 64
"""Cells along the longer side of the sky's surface."""
_BLENDED_PIXELS = 3
"""Pixels at the border of the sky in which photographs blend it with what stands before it."""
_SKY_BELOW = 1 / 12
"""Share of the height by which the sky's surface continues below the sky."""
_SKY_DISTANCE = 3.0
"""Depth of the sky relative to the 98th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Surface that turns, in the camera's frame.

    Attributes:
        mesh: Surface, and the sky behind it.
        photo: Photograph that colours it.
        camera: Camera of the photograph.
        pivot: Point about which it turns; the camera itself if the surface surrounds it.
        step: Step between pixels of depth that became points.
    """

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
    """Photograph of about the size of the samples of a frame.

    Attributes:
        colours: Colours of its pixels by rows, each as a number of 32 bits; the last is ``GROUND``.
        size: Height and width [px].
        scale: Its size relative to that of the photograph, along columns and rows.
    """

    colours: UInt[np.ndarray, "n"]
    size: tuple[int, int]
    scale: Float32[np.ndarray, "2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Camera around a scene.

    Attributes:
        size: Height and width of its picture [px].
        K: Its intrinsics [px].
        yaw: Angle to the right, or from inside to the left [degrees].
        pitch: Angle down [degrees].
    """

    size: tuple[int, int]
    K: Matrix
    yaw: float = 0.0
    pitch: float = 0.0

    @property
    def rotation(self) -> Matrix:
        """Rotation of the scene's points by yaw, then pitch."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        about_y = [
            [math.cos(yaw), 0, math.sin(yaw)],
            [0, 1, 0],
            [-math.sin(yaw), 0, math.cos(yaw)],
        ]
        about_x = [
            [1, 0, 0],
            [0, math.cos(pitch), -math.sin(pitch)],
            [0, math.sin(pitch), math.cos(pitch)],
        ]
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
    mask = surface_pixels(prediction, options.drops)
    if not mask.any():
        raise InputError("no surface is left to turn", path=photo.name)
    depths = depth.depth()[mask]
    is_pinhole = isinstance(camera.lens, Pinhole)
    step = surface_step(depth.shape, min(options.surface_points, _MAX_POINTS))
    surface = mesh(
        depth.depth(),
        camera,
        mask,
        hollow=photo.transparent,
        normals=prediction.normals,
        step=step,
        cut=options.cut,
        # A large triangle may reach from before the camera to behind it.
        flatness=_FLATNESS if is_pinhole else 0,
        smooth=True,
        backing=options.mesh_backing,
        pieces=MAX_PIECE_FRACTION,
    )
    if not len(surface.triangles):
        raise InputError("no surface is left to turn", path=photo.name)
    sky = surface_sky(prediction)
    if "sky" not in options.drops and sky.any():
        sky_depth = np.float32(_SKY_DISTANCE * np.percentile(depths, 98))
        surface = _join_meshes(surface, _sky_mesh(sky, sky_depth, camera, photo))

    height, width = depth.shape
    middle_ray = camera.rays(np.array([(width - 1) / 2, (height - 1) / 2]))
    pivot = middle_ray * np.median(depths) if is_pinhole else np.zeros(3)
    return Scene(mesh=surface, photo=photo.pixels, camera=camera, pivot=pivot, step=step)


def _sky_mesh(sky: Mask, depth: np.float32, camera: Camera, photo: Photo) -> Mesh:
    """Surface of the sky at a depth, from the top of the photograph to a little below the sky.

    Each of its points has the colour of the nearest pixel that is certainly sky.
    """
    step = math.ceil(max(sky.shape) / _SKY_CELLS)
    mask = np.ones(sky.shape, bool) if photo.transparent is None else ~photo.transparent
    last_sky_row = np.flatnonzero(sky.any(axis=1))[-1]
    mask[last_sky_row + round(_SKY_BELOW * len(sky)) :] = False
    surface = mesh(np.full(sky.shape, depth), camera, mask, step=step, cut=_WITHOUT_CUTS)

    columns, rows = np.rint(surface.pixels.T).astype(int)
    columns, rows = columns % sky.shape[1], rows.clip(0, sky.shape[0] - 1)
    is_sky_around = _erode(sky, radius=max(step, _BLENDED_PIXELS))
    sources = np.flatnonzero(is_sky_around[rows, columns])
    if not sources.size:
        # A sky without such a point is of one colour.
        middle = np.argwhere(sky)[np.count_nonzero(sky) // 2, ::-1].astype(np.float32)
        return replace(surface, pixels=np.tile(middle, (len(surface.pixels), 1)))
    return replace(surface, pixels=_nearest_points(surface.pixels, surface.pixels[sources]))


def _erode(mask: Mask, radius: int) -> Mask:
    """Mask without pixels that have a false one in the square around them."""
    picture = Image.fromarray(mask).convert("L")
    return np.asarray(picture.filter(ImageFilter.MinFilter(2 * radius + 1)))


def _nearest_points(
    points: Float32[np.ndarray, "n 2"], candidates: Float32[np.ndarray, "k 2"]
) -> Float32[np.ndarray, "n 2"]:
    """The nearest candidate of each point."""
    squared_distance = np.subtract.outer(points[:, 0], candidates[:, 0]) ** 2
    squared_distance += np.subtract.outer(points[:, 1], candidates[:, 1]) ** 2
    return candidates[squared_distance.argmin(axis=1)]


def _join_meshes(front: Mesh, sky: Mesh) -> Mesh:
    sky_triangles = sky.triangles + np.int32(len(front.points))
    return Mesh(
        points=np.concatenate([front.points, sky.points]),
        normals=np.concatenate([front.normals, sky.normals]),
        pixels=np.concatenate([front.pixels, sky.pixels]),
        triangles=np.concatenate([front.triangles, sky_triangles]),
    )


def first_view(scene: Scene, side: int = _SIDE) -> View:
    """View of the photograph's camera, or a window from inside; its longer side has ``side`` px."""
    height, width = scene.photo.shape[:2]
    if scene.is_inside:
        size = (side * 2 // 3, side)
        focal = side / 2 / math.tan(math.radians(_WINDOW_DEGREES / 2))
        return View(size=size, K=K_from_focal(focal, focal, size))
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return View(size=size, K=resize_K(scene.camera.K, size=(height, width), new_size=size))


def draw_turn(scene: Scene) -> Turn:
    """Draw the frames of a turn; it swings back through the same views."""
    first = first_view(scene)
    K = first.K if scene.is_inside else _zoomed_K(first)
    max_yaw, max_pitch = (_LOOK_DEGREES, 0.0) if scene.is_inside else _SWING_DEGREES
    photo = _scale_photo(scene.photo, first.size)

    count = int(RATE * SECONDS)
    swings = [round(math.sin(2 * math.pi * number / count), 9) for number in range(count)]
    frames: dict[float, Pixels] = {}
    for swing in dict.fromkeys(swings):
        view = replace(first, K=K, yaw=max_yaw * swing, pitch=max_pitch * swing**2)
        frames[swing] = _draw_view(scene, view, photo)
    return Turn(scene=scene, frames=tuple(frames[swing] for swing in swings))


def _zoomed_K(view: View) -> Matrix:
    """Intrinsics [px] of a view that is enlarged around the middle of its picture."""
    middle = (np.array(view.size[::-1]) - 1) / 2
    K = view.K.copy()
    K[:2, :2] *= _ZOOM
    K[:2, 2] += (_ZOOM - 1) * (K[:2, 2] - middle)
    return K


def rasterise_view(scene: Scene, view: View, samples: int = 1) -> Raster:
    """Raster of a view, with so many samples along each side of a pixel."""
    height, width = view.size
    points = (scene.mesh.points - scene.pivot) @ view.rotation.T + scene.pivot
    size = (samples * height, samples * width)
    K = resize_K(view.K, size=view.size, new_size=size)
    return rasterise(scene.mesh, points.astype(np.float32), K, size)


def draw_view(scene: Scene, view: View) -> Pixels:
    """Draw the surface in the photograph's colours."""
    return _draw_view(scene, view, _scale_photo(scene.photo, view.size))


def _draw_view(scene: Scene, view: View, photo: _ScaledPhoto) -> Pixels:
    raster = rasterise_view(scene, view, _SAMPLES)
    height, width = photo.size
    columns = _scaled_pixels(raster.pixels[0], photo.scale[0])
    rows = _scaled_pixels(raster.pixels[1], photo.scale[1])
    if scene.is_inside:
        columns = columns.astype(np.intp) % width
    else:
        columns = np.clip(columns, 0, width - 1, out=columns).astype(np.intp)
    indices = np.clip(rows, 0, height - 1, out=rows).astype(np.intp)
    indices *= width
    indices += columns
    indices[raster.inverse_depth == 0] = height * width  # nothing is seen there
    return _mean_colours(photo.colours.take(indices))


def _mean_colours(samples: UInt[np.ndarray, "h w"]) -> Pixels:
    """Rounded means of the samples of each pixel, each of four colours in 32 bits.

    Sums of the first and third colour, and of the second and fourth, fit into 32 bits each.
    """
    rows, columns = (length // _SAMPLES for length in samples.shape)
    samples = samples.reshape(rows, _SAMPLES, columns, _SAMPLES)
    even = np.full((rows, columns), _HALF, np.uint32)
    odd = even.copy()
    for row, column in np.ndindex(_SAMPLES, _SAMPLES):
        sample = samples[:, row, :, column]
        even += sample & _EVEN_BYTES
        odd += (sample >> np.uint32(8)) & _EVEN_BYTES
    even >>= _SAMPLE_BITS
    even &= _EVEN_BYTES
    odd >>= _SAMPLE_BITS
    odd &= _EVEN_BYTES
    means = even | (odd << np.uint32(8))
    return np.ascontiguousarray(means.view(np.uint8).reshape(rows, columns, 4)[..., :3])


def _scaled_pixels(
    pixels: Float32[np.ndarray, "h w"], scale: np.float32
) -> Float32[np.ndarray, "h w"]:
    """Coordinates of a photograph's pixels in a scaled one, to whole pixels."""
    # The outer corner of the first pixel stays where it is, half a pixel before its centre.
    scaled = pixels + np.float32(0.5)
    scaled *= scale
    scaled -= np.float32(0.5)
    return np.rint(scaled, out=scaled)


def _scale_photo(photo: Pixels, size: tuple[int, int]) -> _ScaledPhoto:
    """Shrink a photograph to the samples of a frame of this size; a smaller one stays."""
    height, width = photo.shape[:2]
    scale = min(1.0, _SAMPLES * max(size) / max(height, width))
    scaled = photo
    if scale < 1:
        scaled_size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = Image.fromarray(photo)
        scaled = np.asarray(image.resize(scaled_size, Image.Resampling.BOX, reducing_gap=2.0))
    rows, columns = scaled.shape[:2]
    colours = np.zeros((rows * columns + 1, 4), np.uint8)
    colours[:-1, :3] = scaled.reshape(-1, 3)
    colours[-1, :3] = GROUND
    return _ScaledPhoto(
        colours=colours.view(np.uint32)[:, 0],
        size=(rows, columns),
        scale=np.array([columns / width, rows / height], np.float32),
    )


_OUTPUTS = ("turn", "turn-mp4")
_QUALITY = 72
_EFFORT = 2
"""Effort of WebP, 0 to 6; 6 saves an eighth of the bytes in four times the time."""


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as an endless WebP animation."""
    turn = _make_or_reuse_turn(job, depth, camera, photo)
    first, *rest = (Image.fromarray(frame) for frame in turn.frames)
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
            method=_EFFORT,
        )
    return _turn_facts(job, turn.scene)


def write_video(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as H.264 in MP4."""
    from rilievo.io.videos.frame_source import Coding, VideoFormat
    from rilievo.io.videos.video_writer import writing_part

    turn = _make_or_reuse_turn(job, depth, camera, photo)
    height, width = turn.frames[0].shape[:2]
    video_format = VideoFormat(
        size=(height, width), rate=RATE, time_base=Fraction(1) / RATE, coding=Coding.PICTURE
    )
    with writing_part(job.path.with_name(job.file), job.path, video_format) as writer:
        for number, frame in enumerate(turn.frames):
            writer.write(frame, number)
    return _turn_facts(job, turn.scene)


def _make_or_reuse_turn(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> Turn:
    """Draw the turn, or take the one that was drawn for another format."""
    key = ("turn", job.options)
    turn = job.shared.pop(key, None)
    if turn is None:
        turn = draw_turn(make_scene(job.prediction, depth, camera, photo, job.options))
    if not job.later.isdisjoint(_OUTPUTS):
        job.shared[key] = turn
    return turn


def _turn_facts(job: WriteJob, scene: Scene) -> FileFacts:
    surface = mesh_facts(job, scene.mesh, step=scene.step)
    return replace(job.facts(f"the surface, turning for {SECONDS} seconds"), surface=surface)
