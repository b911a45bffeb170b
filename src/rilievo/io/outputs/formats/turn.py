"""The outputs ``turn`` and ``turn-mp4``: the surface turns for three seconds, as WebP or video.

The camera swings around the surface, from the photograph's view and back, with the sky far behind.
In a panorama or fisheye it looks around instead.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from PIL import Image, WebPImagePlugin

from rilievo.arrays.shapes import Float32, Matrix, Pixels, UInt, Vector
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.intrinsics import K_from_focal, resize_K
from rilievo.geometry.surfaces.meshes import MAX_PIECE_FRACTION, Mesh, mesh, surface_step
from rilievo.io.outputs.formats.raster import Raster, rasterise
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.sky import surface_pixels
from rilievo.io.outputs.sky_backdrop import join_meshes, sky_backdrop
from rilievo.io.outputs.surface_points import mesh_facts
from rilievo.io.outputs.surface_texture import surface_texture
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

RATE = Fraction(20)
"""Frames per second."""
SECONDS = 3
GROUND = (24, 26, 30)
"""Colour where no surface is seen."""

_SIDE = 480  # [px], of the longer side of a frame
_SAMPLES = 2
"""Samples along each side of a pixel, whose mean is its colour."""
_EVEN_BYTES = np.uint32(0x00FF00FF)
"""Mask of the first and third of the four bytes of a 32-bit number."""
_MEAN_SHIFT = np.uint32((_SAMPLES**2).bit_length() - 1)
"""Bits by which the sum of all samples of a pixel is shifted to divide it by their number."""
_ROUNDING = np.uint32(_SAMPLES**2 // 2 * 0x00010001)
"""Half of the number of samples in both channels of a sum, so that the shift rounds."""

_SWING_DEGREES = (8.0, 2.5)
"""How far the camera swings around the surface, to the side and down."""
_LOOK_DEGREES = 25.0
"""How far a camera inside of the surface looks to each side."""
_INSIDE_FOV_DEGREES = 75.0
"""Horizontal field of view of a camera inside of the surface."""
_ZOOM = 1.06
"""Enlargement that hides the border of the surface."""

_MAX_POINTS = 250_000
_FLATNESS = 0.004
"""Relative change of depth up to which triangles are joined; networks are ten times less exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Surface to turn, in the camera frame.

    Attributes:
        mesh: Surface, and the sky behind it. Its ``pixels`` are those of ``texture``.
        photo: Photograph of the surface.
        texture: Photograph, with the colours of what lies behind edges below it.
        pivot: Point about which the surface turns; the camera itself if the surface surrounds it.
        step: Step between the pixels of depth that became points.
    """

    mesh: Mesh
    photo: Pixels
    texture: Pixels
    camera: Camera
    pivot: Vector
    step: int

    @property
    def is_inside(self) -> bool:
        """Whether the surface surrounds the camera."""
        return not isinstance(self.camera.lens, Pinhole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Surface and the frames of its turn, ``RATE`` per second."""

    scene: Scene
    frames: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaledTexture:
    """Texture whose photograph has about as many pixels as a frame has samples.

    Attributes:
        colours: Colours of the pixels, row by row, each as a 32-bit number. ``GROUND`` follows as
            the last one.
        scale: Size relative to that of the whole texture, along columns and rows.
    """

    colours: UInt[np.ndarray, "n"]
    size: tuple[int, int]
    scale: Float32[np.ndarray, "2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Camera that looks at a scene from one direction.

    Attributes:
        size: Height and width of the picture [px].
        yaw: Angle to the right, or to the left if the surface surrounds the camera [degrees].
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
    """Make the scene of the turntable clip: the surface, with the sky far behind it.

    Raises:
        InputError: If no surface is left.
    """
    mask = surface_pixels(prediction, options.drops)
    if not mask.any():
        raise InputError(
            "nothing to show in the turntable clip: no pixel of the surface is left, because all "
            "are sky, have no depth or were dropped",
            path=photo.name,
        )
    is_pinhole = isinstance(camera.lens, Pinhole)
    step = surface_step(depth.shape, min(options.surface_points, _MAX_POINTS))
    surface = mesh(
        depth.depth(),
        camera,
        mask,
        hollow=photo.transparent,
        colours=photo.pixels,
        normals=prediction.normals,
        step=step,
        cut=options.cut,
        # Around a panoramic camera, a large merged triangle might span the camera, so none merge.
        flatness=_FLATNESS if is_pinhole else 0,
        smooth=True,
        backing=options.mesh_backing,
        pieces=MAX_PIECE_FRACTION,
    )
    if not len(surface.triangles):
        raise InputError(
            "nothing to show in the turntable clip: the pixels of the surface that are left form "
            "no triangle",
            path=photo.name,
        )
    texture = surface_texture(surface, photo.pixels, depth.shape)
    texture_size = np.array(texture.picture.shape[1::-1], np.float32)
    surface = replace(surface, pixels=texture.coordinates * texture_size - np.float32(0.5))
    sky = sky_backdrop(prediction, depth.depth()[mask], camera, options.drops)
    if sky is not None:
        surface = join_meshes(sky, surface)

    height, width = depth.shape
    middle_ray = camera.rays(np.array([(width - 1) / 2, (height - 1) / 2]))
    pivot = middle_ray * np.median(depth.depth()[mask]) if is_pinhole else np.zeros(3)
    return Scene(
        mesh=surface,
        photo=photo.pixels,
        texture=texture.picture,
        camera=camera,
        pivot=pivot,
        step=step,
    )


def first_view(scene: Scene, side: int = _SIDE) -> View:
    """View of the photograph's camera, or a 3:2 view if the surface surrounds the camera.

    The longer side of the picture has at most ``side`` pixels.
    """
    height, width = scene.photo.shape[:2]
    if scene.is_inside:
        size = (side * 2 // 3, side)
        focal = side / 2 / math.tan(math.radians(_INSIDE_FOV_DEGREES / 2))
        return View(size=size, K=K_from_focal(focal, focal, size))
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return View(size=size, K=resize_K(scene.camera.K, size=(height, width), new_size=size))


def draw_turn(scene: Scene) -> Turn:
    """Draw the frames of a turn, whose yaw follows one period of a sine."""
    first = first_view(scene)
    K = first.K if scene.is_inside else _zoomed_K(first)
    max_yaw, max_pitch = (_LOOK_DEGREES, 0.0) if scene.is_inside else _SWING_DEGREES
    texture = _scale_texture(scene, first.size)

    frame_count = int(RATE * SECONDS)
    # Rounded, so that the views of the way back are equal to those of the way out.
    phases = [2 * math.pi * index / frame_count for index in range(frame_count)]
    swings = [round(math.sin(phase), 9) for phase in phases]
    frames_by_swing: dict[float, Pixels] = {}
    for swing in dict.fromkeys(swings):
        view = replace(first, K=K, yaw=max_yaw * swing, pitch=max_pitch * swing**2)
        frames_by_swing[swing] = _draw_view(scene, view, texture)
    return Turn(scene=scene, frames=tuple(frames_by_swing[swing] for swing in swings))


def _zoomed_K(view: View) -> Matrix:
    """Intrinsics [px] of a view that is enlarged around the middle of its picture."""
    middle = (np.array(view.size[::-1]) - 1) / 2
    K = view.K.copy()
    K[:2, :2] *= _ZOOM
    K[:2, 2] += (_ZOOM - 1) * (K[:2, 2] - middle)
    return K


def rasterise_view(scene: Scene, view: View, samples: int = 1) -> Raster:
    """Rasterise a view, with ``samples`` along each side of a pixel."""
    height, width = view.size
    points = (scene.mesh.points - scene.pivot) @ view.rotation.T + scene.pivot
    size = (samples * height, samples * width)
    K = resize_K(view.K, size=view.size, new_size=size)
    return rasterise(scene.mesh, points.astype(np.float32), K, size)


def draw_view(scene: Scene, view: View) -> Pixels:
    """Draw the surface in the photograph's colours."""
    return _draw_view(scene, view, _scale_texture(scene, view.size))


def _draw_view(scene: Scene, view: View, texture: _ScaledTexture) -> Pixels:
    """Draw a view: look up each sample's colour in the texture, and average the samples."""
    raster = rasterise_view(scene, view, _SAMPLES)
    height, width = texture.size
    columns = _scale_coordinates(raster.pixels[0], texture.scale[0])
    rows = _scale_coordinates(raster.pixels[1], texture.scale[1])
    if scene.is_inside:  # The columns of a panorama continue at its other end.
        columns = columns.astype(np.intp) % width
    else:
        columns = np.clip(columns, 0, width - 1, out=columns).astype(np.intp)
    flat_indices = np.clip(rows, 0, height - 1, out=rows).astype(np.intp)
    flat_indices *= width
    flat_indices += columns
    ground_index = height * width
    flat_indices[raster.inverse_depth == 0] = ground_index  # No surface is seen there.
    return _mean_colours(texture.colours.take(flat_indices))


def _mean_colours(samples: UInt[np.ndarray, "h w"]) -> Pixels:
    """Average the samples of each pixel, whose colours have 4 channels in one 32-bit number.

    To add up two channels at a time, the even and the odd bytes are summed separately, so that each
    sum has 16 bits.
    """
    rows, columns = (length // _SAMPLES for length in samples.shape)
    samples_by_pixel = samples.reshape(rows, _SAMPLES, columns, _SAMPLES)
    one_byte = np.uint32(8)  # [bits]
    even_sums = np.full((rows, columns), _ROUNDING, np.uint32)
    odd_sums = even_sums.copy()
    for row, column in np.ndindex(_SAMPLES, _SAMPLES):
        sample = samples_by_pixel[:, row, :, column]
        even_sums += sample & _EVEN_BYTES
        odd_sums += (sample >> one_byte) & _EVEN_BYTES
    even_means = (even_sums >> _MEAN_SHIFT) & _EVEN_BYTES
    odd_means = (odd_sums >> _MEAN_SHIFT) & _EVEN_BYTES
    means = even_means | (odd_means << one_byte)
    # Red, green and blue are the first three bytes; the fourth one is unused.
    return np.ascontiguousarray(means.view(np.uint8).reshape(rows, columns, 4)[..., :3])


def _scale_coordinates(
    pixels: Float32[np.ndarray, "h w"], scale: np.float32
) -> Float32[np.ndarray, "h w"]:
    """Scale coordinates of a texture's pixels, and round them to whole pixels."""
    # The outer corner of the first pixel, at -0.5, stays where it is.
    scaled = pixels + np.float32(0.5)
    scaled *= scale
    scaled -= np.float32(0.5)
    return np.rint(scaled, out=scaled)


def _scale_texture(scene: Scene, size: tuple[int, int]) -> _ScaledTexture:
    """Shrink a texture, so that the photograph has ``_SAMPLES`` pixels per pixel of a frame.

    It is never enlarged. The colours, packed as one integer each, end with that of the background.
    """
    texture = scene.texture
    height, width = texture.shape[:2]
    scale = min(1.0, _SAMPLES * max(size) / max(scene.photo.shape[:2]))
    scaled = texture
    if scale < 1:
        scaled_size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = Image.fromarray(texture)
        scaled = np.asarray(image.resize(scaled_size, Image.Resampling.BOX, reducing_gap=2.0))
    rows, columns = scaled.shape[:2]
    colours = np.zeros((rows * columns + 1, 4), np.uint8)
    colours[:-1, :3] = scaled.reshape(-1, 3)
    colours[-1, :3] = GROUND
    return _ScaledTexture(
        colours=colours.view(np.uint32)[:, 0],
        size=(rows, columns),
        scale=np.array([columns / width, rows / height], np.float32),
    )


_TURN_OUTPUTS = ("turn", "turn-mp4")
"""Outputs that are made from the same frames."""
_WEBP_QUALITY = 72
_WEBP_EFFORT = 2
"""From 0 to 6; 6 saves an eighth of the bytes in four times the time."""


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as an endless WebP animation."""
    turn = _make_or_reuse_turn(job, depth, camera, photo)
    first, *later_frames = (Image.fromarray(frame) for frame in turn.frames)
    with job.path.open("wb") as file:
        first.save(
            file,
            # Importing the format's module keeps Pillow from loading all its formats.
            WebPImagePlugin.WebPImageFile.format,
            save_all=True,
            append_images=later_frames,
            duration=round(1000 / RATE),
            loop=0,  # for ever
            quality=_WEBP_QUALITY,
            method=_WEBP_EFFORT,
        )
    return _turn_facts(job, turn.scene)


def write_video(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turntable clip as H.264 in MP4."""
    from rilievo.io.videos.frame_source import Coding, VideoFormat
    from rilievo.io.videos.video_writer import writing_part

    turn = _make_or_reuse_turn(job, depth, camera, photo)
    height, width = turn.frames[0].shape[:2]
    video_format = VideoFormat(
        size=(height, width), rate=RATE, time_base=Fraction(1) / RATE, coding=Coding.PICTURE
    )
    with writing_part(job.path.with_name(job.file), job.path, video_format) as writer:
        for frame_index, frame in enumerate(turn.frames):
            writer.write(frame, frame_index)
    return _turn_facts(job, turn.scene)


def _make_or_reuse_turn(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> Turn:
    """Draw the turn, or take the one that was drawn for another format."""
    cache_key = ("turn", job.options)
    turn = job.cache.pop(cache_key, None)
    if turn is None:
        turn = draw_turn(make_scene(job.prediction, depth, camera, photo, job.options))
    is_needed_later = not job.later_outputs.isdisjoint(_TURN_OUTPUTS)
    if is_needed_later:
        job.cache[cache_key] = turn
    return turn


def _turn_facts(job: WriteJob, scene: Scene) -> FileFacts:
    surface = mesh_facts(job, scene.mesh, step=scene.step)
    return replace(
        job.describe_file(f"the surface, turning for {SECONDS} seconds"), surface=surface
    )
