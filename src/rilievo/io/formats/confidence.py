"""Confidence as an 8-bit grey PNG."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL.PngImagePlugin import PngImageFile

from rilievo.io.colour import bands
from rilievo.io.facts import FileFacts
from rilievo.io.png import write_png
from rilievo.io.stored import Stored, opened
from rilievo.io.writing import WriteJob


def write(job: WriteJob, confidence: Float32[np.ndarray, "h w"]) -> FileFacts:
    """Write 255 times the confidence."""
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="confidence in [0, 1], larger is surer",
        scale=1 / 255,
        offset=0.0,
    )
    picture = np.empty(confidence.shape, np.uint8)
    for rows in bands(confidence.shape):
        picture[rows] = np.rint(confidence[rows] * np.float32(255))
    write_png(job.path, picture, {"Software": "rilievo", "rilievo": job.about.alone(facts)})
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read the confidence; rounding errors are at most 1/510."""
    with opened(PngImageFile, path) as image:
        return Stored(confidence=np.asarray(image.convert("L")) / np.float32(255))
