"""Gaussian splats as SPZ, a sixth of the PLY's size.

Version 2 (Niantic, github.com/nianticlabs/spz): a gzip of a 16-byte header and fixed-point numbers.
The frame is x right, y up, z backwards.
"""

import math
import struct
from dataclasses import replace

import numpy as np
from isal import igzip

from rilievo.arrays.shapes import Float32, UInt8
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.formats.glb import AXES
from rilievo.io.outputs.formats.splat import CONSTANT_HARMONIC, OPACITY, make_splats, splat_colours
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

_MAGIC, _VERSION = 0x5053474E, 2
_FRACTION_BITS = 20
_INTEGER_RANGE = 2**23 - 1
_COLOUR_SCALE = 0.15
# Effort, 0 to 3: 5 % more bytes than zlib's 6, in a tenth of the time.
_LEVEL = 2
_TO_SPZ = np.array([1, -1, -1], np.float32)


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write a splat for every point."""
    cloud, parts, facts = make_splats(job, depth, camera)
    bits = _fraction_bits(cloud.points)
    positions, colours, scales, rotations = [], [], [], []
    for part in parts:
        positions.append(_fixed_point_24_bits(part.centres * _TO_SPZ, bits))
        harmonics = (splat_colours(cloud, part) / 255 - 0.5) / CONSTANT_HARMONIC
        colours.append(_round_to_bytes(harmonics * (_COLOUR_SCALE * 255) + 0.5 * 255))
        scales.append(_round_to_bytes((np.log(part.scales) + 10) * 16))
        # The fourth number of the quaternion follows from its length, and is not negative.
        axis = part.rotations[:, 1:] * np.where(part.rotations[:, :1] < 0, -1, 1) * _TO_SPZ
        rotations.append(_round_to_bytes(axis * 127.5 + 127.5))
    count = sum(map(len, positions))
    opacities = np.full(count, round(OPACITY * 255), np.uint8)
    header = struct.pack("<IIIBBBB", _MAGIC, _VERSION, count, 0, bits, 0, 0)
    # Neither the time nor the part file's name stands in the gzip: a second run writes the same
    # bytes. Another kind of processor may deflate to others, since isal picks code by its features.
    with (
        job.path.open("wb") as whole,
        igzip.IGzipFile("", "wb", compresslevel=_LEVEL, fileobj=whole, mtime=0) as file,
    ):
        file.write(header)
        for rows in (*positions, opacities, *colours, *scales, *rotations):
            file.write(rows.tobytes())
    return replace(facts, axes=AXES)


def _fraction_bits(points: Float32[np.ndarray, "n 3"]) -> int:
    largest = max(float(np.abs(points).max()), 1e-6)
    return max(0, min(_FRACTION_BITS, math.floor(math.log2(_INTEGER_RANGE / largest))))


def _fixed_point_24_bits(points: Float32[np.ndarray, "n 3"], bits: int) -> UInt8[np.ndarray, "n 9"]:
    whole = np.clip(np.rint(points * 2.0**bits), -_INTEGER_RANGE, _INTEGER_RANGE)
    parts = whole.astype("<i4").view(np.uint8).reshape(len(points), 3, 4)
    return np.ascontiguousarray(parts[:, :, :3]).reshape(len(points), 9)


def _round_to_bytes(values: np.ndarray) -> UInt8[np.ndarray, "n k"]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
