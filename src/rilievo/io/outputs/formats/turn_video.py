"""A surface that turns for three seconds, as H.264 in MP4."""

from fractions import Fraction

import numpy as np

from rilievo.io.outputs.facts import FileFacts
from rilievo.io.outputs.formats.turn import facts_of
from rilievo.io.outputs.turning import RATE, first_view, scene_of, turn
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.videos.video_format import Coding, VideoFormat
from rilievo.io.videos.video_writer import writing_part
from rilievo.types import Camera, DepthMap, Photo


def write(job: WriteJob, depth: DepthMap, camera: Camera, photo: Photo) -> FileFacts:
    """Write the video."""
    scene = scene_of(job.prediction, depth, camera, photo, job.options)
    like = VideoFormat(
        size=first_view(scene).size, rate=RATE, time_base=Fraction(1) / RATE, coding=Coding.PICTURE
    )
    with writing_part(job.path.with_name(job.file), job.path, like) as writer:
        for number, frame in enumerate(turn(scene)):
            writer.write(np.ascontiguousarray(frame), number)
    return facts_of(job, scene)
