"""A surface that turns for three seconds, as an animated WebP."""

from dataclasses import replace

from PIL import Image

from rilievo.io.outputs.facts import FileFacts
from rilievo.io.outputs.surface_points import surface_facts
from rilievo.io.outputs.turning import BACKING, RATE, SECONDS, Scene, scene_of, turn
from rilievo.io.outputs.writing import WriteJob
from rilievo.types import Camera, DepthMap, Photo

_QUALITY = 72
_METHOD = 2
"""Effort of WebP, 0 to 6: 6 saves an eighth of the bytes and takes four times as long."""


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the animation, which repeats for ever."""
    scene = scene_of(job.prediction, depth, camera, photo, job.options)
    first, *rest = (Image.fromarray(frame) for frame in turn(scene))
    with job.path.open("wb") as file:
        first.save(
            file,
            "WEBP",
            save_all=True,
            append_images=rest,
            duration=round(1000 / RATE),
            loop=0,
            quality=_QUALITY,
            method=_METHOD,
        )
    return facts_of(job, scene)


def facts_of(job: WriteJob, scene: Scene) -> FileFacts:
    """Describe a file of the turn."""
    surface = surface_facts(
        job, step=scene.step, points=len(scene.mesh.points), triangles=len(scene.mesh.triangles)
    )
    return FileFacts(
        file=job.file,
        output=job.output,
        holds=f"the surface, turning for {SECONDS} seconds",
        surface=replace(surface, backing=surface.backing or BACKING),
    )
