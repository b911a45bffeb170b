"""Pictures: normals, confidence, sky, and both eyes' views, as 8-bit PNG."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL.PngImagePlugin import PngImageFile

from rilievo.io.colour_pictures import NO_NORMAL, ColourRange, Drawn, normals_picture, range_of
from rilievo.io.outputs.dropping import known_normals, sky_share
from rilievo.io.outputs.facts import PICTURE_AXES, FileFacts
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.stereo import StereoOptions, stereo_picture
from rilievo.io.outputs.stored import Stored, opened
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.png import write_png
from rilievo.io.row_bands import bands
from rilievo.types import DepthKind, DepthMap, Photo


def write_normals(job: WriteJob, normals: Float32[np.ndarray, "3 h w"]) -> FileFacts:
    """Write the picture."""
    facts = FileFacts(
        file=job.file, output=job.output, holds="picture of normals", axes=PICTURE_AXES
    )
    text = {"Software": "rilievo", "rilievo": job.about.alone(facts)}
    write_png(job.path, normals_picture(normals, known_normals(job.prediction)), text)
    return facts


def read_normals(path: Path, facts: FileFacts) -> Stored:
    """Read the normals in our axes; rounding errors are below half a degree.

    Pixels without a normal face the camera, as they do in memory.
    """
    with opened(PngImageFile, path) as image:
        picture = np.asarray(image.convert("RGB"))
    normals = np.moveaxis(picture, 2, 0) * np.float32(1 / 127.5) - np.float32(1)
    normals[1:] *= -1
    normals[:, (picture == NO_NORMAL).all(axis=2)] = np.array([[0], [0], [-1]], np.float32)
    return Stored(normals=normals / np.linalg.norm(normals, axis=0))


def write_stereo(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the pair."""
    options = job.options
    limits = stereo_range(depth.kind, options)
    picture = stereo_picture(photo.pixels, depth, options.stereo, limits)
    facts = FileFacts(file=job.file, output=job.output, holds=stereo_words(options.stereo))
    write_png(job.path, picture, {"Software": "rilievo", "rilievo": job.about.alone(facts)})
    return facts


def stereo_range(kind: DepthKind, options: SaveOptions) -> ColourRange | None:
    """Range of inverse depth, where the options name the nearest and farthest depth."""
    if options.colour_limits is None:
        return None
    return range_of(*options.colour_limits, kind, Drawn.INVERSE_DEPTH)


def stereo_words(options: StereoOptions) -> str:
    """Describe the content of a file written with these options."""
    return (
        f"pictures for two eyes, {options.layout}; strength {options.strength:g}, "
        f"convergence {options.convergence:g}"
    )


def write_confidence(job: WriteJob, confidence: Float32[np.ndarray, "h w"]) -> FileFacts:
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


def read_confidence(path: Path, facts: FileFacts) -> Stored:
    """Read the confidence; rounding errors are at most 1/510."""
    with opened(PngImageFile, path) as image:
        return Stored(confidence=np.asarray(image.convert("L")) / np.float32(255))


def write_sky(job: WriteJob, sky: Bool[np.ndarray, "h w"]) -> FileFacts:
    """Write 255 for pixels that see no surface, and 0 for all others."""
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="mask of the sky: 255 where no surface is seen, else 0",
        sky=sky_share(job.prediction),
    )
    text = {"Software": "rilievo", "rilievo": job.about.alone(facts)}
    write_png(job.path, sky.astype(np.uint8) * np.uint8(255), text)
    return facts


def read_sky(path: Path, facts: FileFacts) -> Stored:
    """Read the mask, bit for bit."""
    with opened(PngImageFile, path) as image:
        return Stored(sky=np.asarray(image.convert("L")) > 127)
