"""Depth and normals as float maps: PFM, the dense maps of COLMAP, and the depth of Sintel.

PFM stores rows from the bottom up. Sintel stores a tag, the width and the height in 32 bits each,
and then rows from the top down (``sintel_io`` of Butler et al., ECCV 2012). COLMAP stores a header
``width&height&channels&``, then planes, in which 0 means no value. Its camera frame is the same as
rilievo's.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Vectors
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.outputs.sidecar import OUR_AXES, FileFacts
from rilievo.io.outputs.sky import normals_mask
from rilievo.io.outputs.writing import Stored, WriteJob, from_nan, with_nan
from rilievo.records.depth_map import DepthMap

_MAX_HEADER_BYTES = 64
"""Most bytes of a line of PFM's header, or of COLMAP's whole header."""
_SINTEL_TAG = np.float32(202021.25).astype("<f4").tobytes()
"""First bytes of Sintel's files, "PIEH"."""
_COLMAP_HEADER = re.compile(rb"(\d{1,9})&(\d{1,9})&(\d)&")


def write_depth_pfm(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as PFM, NaN where invalid."""
    height, width = depth.shape
    rows = with_nan(depth.values, depth.valid)[::-1]
    # A negative scale states that the least significant byte comes first.
    _write_float32(job.path, f"Pf\n{width} {height}\n-1.0\n", rows)
    return job.float_depth_facts(job.depth_facts.meaning)


def read_depth_pfm(path: Path, file_facts: FileFacts) -> Stored:
    """Read a PFM that rilievo wrote; raise ``ValueError`` for another kind of file."""
    with path.open("rb") as file:
        header = [file.readline(_MAX_HEADER_BYTES).strip() for _ in range(3)]
        signature, size, scale = header
        if signature != b"Pf" or scale != b"-1.0":
            raise ValueError("this is not a float map that rilievo wrote")
        width, height = _parse_width_and_height(size.split())
        values = np.frombuffer(file.read(4 * width * height), "<f4").reshape(height, width)
    return from_nan(np.ascontiguousarray(values[::-1], np.float32))


def write_depth_dpt(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as Sintel's files have it, 0 where invalid, since Sintel has no such pixels."""
    height, width = depth.shape
    values = np.where(depth.valid, depth.values, np.float32(0))
    with job.path.open("wb") as file:
        file.write(_SINTEL_TAG + np.array([width, height], "<i4").tobytes())
        file.write(np.ascontiguousarray(values, "<f4").data)
    return replace(job.float_depth_facts(job.depth_facts.meaning), invalid=0)


def read_depth_dpt(path: Path, file_facts: FileFacts) -> Stored:
    """Read depth of Sintel's form; numbers that are not positive are invalid."""
    with path.open("rb") as file:
        if file.read(len(_SINTEL_TAG)) != _SINTEL_TAG:
            raise ValueError("this is not a depth file of Sintel's form")
        width, height = np.frombuffer(file.read(8), "<i4", 2).tolist()
        _check_size(width, height)
        values = np.frombuffer(file.read(4 * width * height), "<f4").reshape(height, width)
    valid = values > 0
    return Stored(values=np.where(valid, values, np.float32(np.nan)), valid=valid)


def write_depth_colmap(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as a map of COLMAP, 0 where invalid."""
    values = np.where(depth.valid, depth.values, np.float32(0))
    _write_colmap_planes(job.path, values[None])
    return replace(job.float_depth_facts(job.depth_facts.meaning), invalid=0)


def read_depth_colmap(path: Path, file_facts: FileFacts) -> Stored:
    """Read depth from a map of COLMAP; numbers that are not positive are invalid."""
    [values] = _read_colmap_planes(path, 1)
    valid = values > 0
    return Stored(values=np.where(valid, values, np.float32(np.nan)), valid=valid)


def write_colmap_normals(job: WriteJob, normals: Vectors) -> FileFacts:
    """Write normals as a map of COLMAP, 0 where a pixel has none."""
    has_normal = np.isfinite(normals).all(axis=0)
    valid = normals_mask(job.prediction)
    if valid is not None:
        has_normal &= valid
    _write_colmap_planes(job.path, np.where(has_normal, normals, np.float32(0)))
    return replace(job.describe_file("normals"), axes=OUR_AXES, invalid=0)


def read_colmap_normals(path: Path, file_facts: FileFacts) -> Stored:
    """Read normals from a map of COLMAP; a pixel without a normal gets one towards the camera."""
    normals = _read_colmap_planes(path, 3)
    has_normal = normals.any(axis=0)
    normals[:, ~has_normal] = np.array([[0], [0], [-1]], np.float32)
    return Stored(normals=normals)


def _write_colmap_planes(path: Path, planes: Float32[np.ndarray, "c h w"]) -> None:
    channels, height, width = planes.shape
    _write_float32(path, f"{width}&{height}&{channels}&", planes)


def _write_float32(path: Path, header: str, values: Float32[np.ndarray, "*shape"]) -> None:
    with path.open("wb") as file:
        file.write(header.encode())
        file.write(np.ascontiguousarray(values, "<f4").data)


def _read_colmap_planes(path: Path, channels: int) -> Float32[np.ndarray, "c h w"]:
    with path.open("rb") as file:
        header = _COLMAP_HEADER.match(file.read(_MAX_HEADER_BYTES))
        if header is None or int(header[3]) != channels:
            raise ValueError(f"this is not a COLMAP map with {channels} channels")
        width, height = _parse_width_and_height(header.group(1, 2))
        file.seek(header.end())
        values = np.frombuffer(file.read(4 * channels * width * height), "<f4")
    return values.reshape(channels, height, width).astype(np.float32)


def _parse_width_and_height(parts: Sequence[bytes]) -> tuple[int, int]:
    """Parse the width and the height in a header; raise ``ValueError`` for an impossible size."""
    width, height = (int(part) for part in parts)
    _check_size(width, height)
    return width, height


def _check_size(width: int, height: int) -> None:
    """Raise ``ValueError`` for a size that rilievo does not write, as in a damaged header."""
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels is not a size that rilievo writes")
