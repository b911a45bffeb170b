"""Normals, confidence and sky as 8-bit PNG files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import Field, Mask, Pixels, Vectors
from rilievo.io.map_pictures import (
    NO_NORMAL,
    NORMALS_AXES,
    PICTURE_AXES,
    normals_picture,
)
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.sky import normals_mask, sky_share
from rilievo.io.outputs.video_drawing import Drawing, VideoJob
from rilievo.io.outputs.writing import Stored, WriteJob, open_stored_image
from rilievo.io.png import row_bands
from rilievo.records.prediction_record import PredictionRecord


def write_normals(job: WriteJob, normals: Vectors) -> FileFacts:
    """Write normals as 8-bit colours, in the axes that the options choose."""
    axes = job.options.normals_axes
    description = NORMALS_AXES[axes].description
    file_facts = replace(job.describe_file("picture of normals"), axes=description)
    picture = normals_picture(normals, normals_mask(job.prediction), axes=axes)
    return job.write_png(picture, file_facts)


def read_normals(path: Path, file_facts: FileFacts) -> Stored:
    """Read normals in rilievo's axes, exact to half a degree.

    A pixel without a normal gets one towards the camera.
    """
    with open_stored_image(PngImageFile, path) as image:
        picture = np.asarray(image.convert("RGB"))
    normals = np.moveaxis(picture, 2, 0) * np.float32(1 / 127.5) - np.float32(1)  # 0 to 255 → ±1
    signs_by_description = {axes.description: axes.signs for axes in NORMALS_AXES.values()}
    default_signs = NORMALS_AXES[PICTURE_AXES].signs
    signs = signs_by_description.get(file_facts.axes or "", default_signs)
    normals *= np.array(signs, np.float32)[:, None, None]
    has_no_normal = (picture == NO_NORMAL).all(axis=2)
    normals[:, has_no_normal] = np.array([[0], [0], [-1]], np.float32)
    return Stored(normals=normals / np.linalg.norm(normals, axis=0))


def draw_normals_video(job: VideoJob) -> Drawing:
    """Prepare a video of normals as 8-bit colours, which is grey where there are none."""
    axes = job.options.normals_axes
    description = NORMALS_AXES[axes].description
    file_facts = replace(job.describe_file("picture of normals"), axes=description)

    def draw(prediction: PredictionRecord) -> Pixels:
        """Draw the normals of a frame."""
        assert prediction.normals is not None, "the output needs normals"
        return normals_picture(prediction.normals, normals_mask(prediction), axes=axes)

    return Drawing(facts=file_facts, draw=draw)


def write_confidence(job: WriteJob, confidence: Field) -> FileFacts:
    """Write the confidence as grey: 255 is 1."""
    picture = np.empty(confidence.shape, np.uint8)
    for rows in row_bands(confidence.shape):
        picture[rows] = np.rint(confidence[rows] * np.float32(255))
    file_facts = job.describe_file("confidence from 0 to 1, where 1 is the most certain")
    return job.write_png(picture, replace(file_facts, scale=1 / 255, offset=0.0))


def read_confidence(path: Path, file_facts: FileFacts) -> Stored:
    """Read the confidence, exact to 1/510."""
    with open_stored_image(PngImageFile, path) as image:
        return Stored(confidence=np.asarray(image.convert("L")) / np.float32(255))


def write_sky(job: WriteJob, sky: Mask) -> FileFacts:
    """Write 255 for sky and 0 elsewhere."""
    file_facts = job.describe_file("mask of the sky: 255 where no surface is seen, and 0 elsewhere")
    picture = sky.astype(np.uint8) * np.uint8(255)
    return job.write_png(picture, replace(file_facts, sky=sky_share(job.prediction)))


def read_sky(path: Path, file_facts: FileFacts) -> Stored:
    """Read the mask of the sky."""
    with open_stored_image(PngImageFile, path) as image:
        return Stored(sky=np.asarray(image.convert("L")) > 127)
