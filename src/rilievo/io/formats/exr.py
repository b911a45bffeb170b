"""Depth as a float32 OpenEXR image (extra ``formats``)."""

import os
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np

from rilievo.errors import MissingExtraError
from rilievo.io.facts import FileFacts
from rilievo.io.stored import Stored, from_nan, with_nan
from rilievo.io.writing import WriteJob
from rilievo.types import DepthMap

KEY = "rilievo"
_CHECKSUM = "crc32"


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write the values into channel Z, or Y for affine kinds; NaN where invalid."""
    OpenEXR = _package()
    channel = "Z" if depth.is_depth else "Y"
    facts = job.float_depth_facts(f"{job.depth_facts.meaning}, in channel {channel}")
    values = np.ascontiguousarray(with_nan(depth.values, depth.valid))
    header = {
        "compression": (
            OpenEXR.ZIPS_COMPRESSION if job.options.compress else OpenEXR.NO_COMPRESSION
        ),
        "type": OpenEXR.scanlineimage,
        "kind": depth.kind.value,
        "unit": job.depth_facts.unit,
        _CHECKSUM: f"{zlib.crc32(values.data):08x}",
        KEY: job.about.alone(facts),
    }
    try:
        with OpenEXR.File(header, {channel: values}) as image:
            image.write(_name(job.path))
    except (RuntimeError, ValueError, TypeError) as error:
        # OpenEXR raises these where the disk is full or the name is not allowed.
        raise OSError(str(error).replace(job.path.name, job.file)) from error
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read the values, bit for bit."""
    OpenEXR = _package()
    with OpenEXR.File(_name(path)) as image:
        [channel] = image.channels().values()
        values = np.array(channel.pixels, np.float32)
        # OpenEXR returns zeros for rows that it cannot read.
        if image.header()[_CHECKSUM] != f"{zlib.crc32(values.data):08x}":
            raise ValueError("the checksum of its pixels does not match")
    return from_nan(values)


def embedded(path: Path) -> str:
    """Read the embedded JSON."""
    OpenEXR = _package()
    with OpenEXR.File(_name(path), header_only=True) as image:
        text = image.header()[KEY]
    if not isinstance(text, str):
        raise ValueError("its header is damaged")
    return text


def _name(path: Path) -> bytes:
    """Encode the path for OpenEXR, which accepts str only in Unicode but bytes of any kind."""
    return os.fsencode(path)


def _package() -> ModuleType:
    try:
        import OpenEXR
    except ImportError as error:
        raise MissingExtraError("output 'exr'", "formats") from error
    return OpenEXR
