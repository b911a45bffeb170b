"""Gaussian splats as SPZ, which takes a sixth of the PLY's size.

Version 2 (Niantic, github.com/nianticlabs/spz) is a gzip of a 16-byte header and of fixed-point
numbers: all positions, then all opacities, colours, scales and rotations. The frame is x right,
y up, z backwards.
"""

import math
import struct
from dataclasses import replace

import numpy as np
from isal import igzip

from rilievo.arrays.shapes import Float32, UInt8
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.formats.gltf import AXES
from rilievo.io.outputs.formats.splat import (
    CONSTANT_HARMONIC,
    OPACITY,
    prepare_splats,
    splat_colours,
)
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

_MAGIC, _VERSION = 0x5053474E, 2
_MAX_FRACTION_BITS = 20
_MAX_24_BIT = 2**23 - 1
_COLOUR_SCALE = 0.15  # of the format, from harmonics to colours of 0 to 1
_COMPRESSION = 2
"""Effort of isal, 0 to 3: 5% more bytes than zlib's level 6, in a tenth of the time."""
_TO_SPZ = np.array([1, -1, -1], np.float32)
"""Factors from rilievo's axes to those of SPZ."""


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write a splat for every point of the surface as SPZ."""
    prepared = prepare_splats(job, depth, camera)
    fraction_bits = _fraction_bits(prepared.cloud.points)
    positions, colours, scales, rotations = [], [], [], []
    for chunk in prepared.chunks:
        positions.append(_fixed_point_24_bits(chunk.centres * _TO_SPZ, fraction_bits))
        colours.append(_encode_colours(splat_colours(prepared.cloud, chunk)))
        scales.append(_encode_scales(chunk.scales))
        rotations.append(_encode_rotations(chunk.rotations))
    splat_count = sum(map(len, positions))
    opacities = np.full(splat_count, round(OPACITY * 255), np.uint8)
    harmonics_degree, flags, reserved = 0, 0, 0
    header = struct.pack(
        "<IIIBBBB", _MAGIC, _VERSION, splat_count, harmonics_degree, fraction_bits, flags, reserved
    )
    # The gzip holds neither the time nor the temporary file's name, so that a second run writes the
    # same bytes. On another kind of processor, isal may compress to other bytes.
    with (
        job.path.open("wb") as compressed,
        igzip.IGzipFile("", "wb", compresslevel=_COMPRESSION, fileobj=compressed, mtime=0) as file,
    ):
        file.write(header)
        for block in (*positions, opacities, *colours, *scales, *rotations):
            file.write(block.tobytes())
    return replace(prepared.file_facts, axes=AXES)


def _fraction_bits(points: Float32[np.ndarray, "n 3"]) -> int:
    """Choose the number of binary places with which all coordinates fit into 24 bits."""
    largest = max(float(np.abs(points).max()), 1e-6)  # against a division by 0
    fitting_bits = math.floor(math.log2(_MAX_24_BIT / largest))
    return max(0, min(_MAX_FRACTION_BITS, fitting_bits))


def _fixed_point_24_bits(points: Float32[np.ndarray, "n 3"], bits: int) -> UInt8[np.ndarray, "n 9"]:
    """Encode coordinates as little-endian integers of 3 bytes, with ``bits`` binary places."""
    integers = np.clip(np.rint(points * 2.0**bits), -_MAX_24_BIT, _MAX_24_BIT)
    four_bytes = integers.astype("<i4").view(np.uint8).reshape(len(points), 3, 4)
    return np.ascontiguousarray(four_bytes[:, :, :3]).reshape(len(points), 9)


def _encode_colours(colours: UInt8[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Encode the harmonics of degree 0 of colours, as SPZ scales them."""
    harmonics = (colours / 255 - 0.5) / CONSTANT_HARMONIC
    return _round_to_bytes(harmonics * (_COLOUR_SCALE * 255) + 0.5 * 255)


def _encode_scales(scales: Float32[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Encode standard deviations as SPZ does, as (ln(scale) + 10) * 16."""
    return _round_to_bytes((np.log(scales) + 10) * 16)


def _encode_rotations(quaternions: Float32[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "n 3"]:
    """Encode x, y and z of unit quaternions (w, x, y, z) in the axes of SPZ, from -1 to 1.

    Readers compute w from them, so it must not be negative. The quaternions q and -q are the same
    rotation.
    """
    sign = np.where(quaternions[:, :1] < 0, -1, 1)
    xyz = quaternions[:, 1:] * sign * _TO_SPZ
    return _round_to_bytes(xyz * 127.5 + 127.5)


def _round_to_bytes(values: np.ndarray) -> UInt8[np.ndarray, "n k"]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
