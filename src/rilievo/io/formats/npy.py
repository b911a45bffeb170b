"""Depth or normals as one float32 numpy array."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rilievo.io.facts import OUR_AXES, FileFacts
from rilievo.io.limits import retry_miscounted
from rilievo.io.stored import Stored, from_nan, with_nan
from rilievo.io.writing import WriteJob
from rilievo.types import DepthMap


def write_depth(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write the values, (h, w), NaN where invalid."""
    with job.path.open("wb") as file:
        np.save(file, with_nan(depth.values, depth.valid), allow_pickle=False)
    return job.float_depth_facts(job.depth_facts.meaning)


def read_depth(path: Path, facts: FileFacts) -> Stored:
    """Read the values, bit for bit."""
    return from_nan(_load(path))


def write_normals(job: WriteJob, normals: Float32[np.ndarray, "3 h w"]) -> FileFacts:
    """Write the normals, (h, w, 3), in our axes."""
    with job.path.open("wb") as file:
        np.save(file, np.ascontiguousarray(np.moveaxis(normals, 0, 2)), allow_pickle=False)
    return FileFacts(file=job.file, output=job.output, holds="normals", axes=OUR_AXES)


def read_normals(path: Path, facts: FileFacts) -> Stored:
    """Read the normals, bit for bit."""
    return Stored(normals=np.ascontiguousarray(np.moveaxis(_load(path), 2, 0)))


@retry_miscounted
def _load(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
