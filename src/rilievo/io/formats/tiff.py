"""Depth as a float32 TIFF."""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from rilievo.io.facts import FileFacts
from rilievo.io.stored import Stored, from_nan, opened, with_nan
from rilievo.io.writing import WriteJob
from rilievo.types import DepthMap

_IMAGE_DESCRIPTION = 270
_SOFTWARE = 305


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write the values, NaN where invalid, with the JSON as the image description."""
    facts = job.float_depth_facts(job.depth_facts.meaning)
    tags = ImageFileDirectory_v2()
    tags[_IMAGE_DESCRIPTION] = job.about.alone(facts)
    tags[_SOFTWARE] = "rilievo"
    image = Image.fromarray(with_nan(depth.values, depth.valid))
    compression = "tiff_adobe_deflate" if job.options.compress else None
    image.save(job.path, "TIFF", tiffinfo=tags, compression=compression)
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read the values, bit for bit."""
    with opened(TiffImageFile, path) as image:
        return from_nan(np.array(image, np.float32))


def embedded(path: Path) -> str:
    """Read the embedded JSON."""
    with opened(TiffImageFile, path) as image:
        description = image.getexif()[_IMAGE_DESCRIPTION]
    return description
