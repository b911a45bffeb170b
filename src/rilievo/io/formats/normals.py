"""Normals as a picture: 8-bit RGB PNG in the usual OpenGL axes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL.PngImagePlugin import PngImageFile

from rilievo.io.colour import normals_picture
from rilievo.io.facts import PICTURE_AXES, FileFacts
from rilievo.io.png import write_png
from rilievo.io.stored import Stored, opened
from rilievo.io.writing import WriteJob


def write(job: WriteJob, normals: Float32[np.ndarray, "3 h w"]) -> FileFacts:
    """Write the picture."""
    facts = FileFacts(
        file=job.file, output=job.output, holds="picture of normals", axes=PICTURE_AXES
    )
    text = {"Software": "rilievo", "rilievo": job.about.alone(facts)}
    write_png(job.path, normals_picture(normals), text)
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read the normals in our axes; rounding errors are below half a degree."""
    with opened(PngImageFile, path) as image:
        picture = np.asarray(image.convert("RGB"))
    normals = np.moveaxis(picture, 2, 0) * np.float32(1 / 127.5) - np.float32(1)
    normals[1:] *= -1
    return Stored(normals=normals / np.linalg.norm(normals, axis=0))
