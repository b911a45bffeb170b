"""Turning surface as an animated WebP or a video."""

from dataclasses import replace
from fractions import Fraction

from PIL import Image, WebPImagePlugin

from rilievo.depth_map import DepthMap
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.surface_points import mesh_facts
from rilievo.io.outputs.turning import RATE, SECONDS, Scene, Turn, scene_of, turn
from rilievo.io.outputs.writing import WriteJob
from rilievo.sample import Photo

_OUTPUTS = ("turn", "turn-mp4")
_QUALITY = 72
# Effort, 0 to 6: 6 saves an eighth of the bytes in four times the time.
_METHOD = 2


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the turn as an endless WebP animation."""
    made = _turn_of_job(job, depth, camera, photo)
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

    made = _turn_of_job(job, depth, camera, photo)
    height, width = made.frames[0].shape[:2]
    like = VideoFormat(
        size=(height, width), rate=RATE, time_base=Fraction(1) / RATE, coding=Coding.PICTURE
    )
    with writing_part(job.path.with_name(job.file), job.path, like) as writer:
        for number, frame in enumerate(made.frames):
            writer.write(frame, number)
    return _turn_facts(job, made.scene)


def _turn_of_job(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> Turn:
    key = ("turn", job.options)
    made = job.shared.pop(key, None)
    if made is None:
        made = turn(scene_of(job.prediction, depth, camera, photo, job.options))
    if not job.later.isdisjoint(_OUTPUTS):
        job.shared[key] = made
    return made


def _turn_facts(job: WriteJob, scene: Scene) -> FileFacts:
    surface = mesh_facts(job, scene.mesh, step=scene.step)
    return replace(job.facts(f"the surface, turning for {SECONDS} seconds"), surface=surface)
