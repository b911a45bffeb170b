"""Depth as a 16-bit grey PNG with its scale embedded.

Values are stored * scale + offset; 0 is invalid. Metric depth that fits is in millimetres.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import UInt16
from rilievo.io.checksums import crc32_of_numbers
from rilievo.io.map_pictures import picture_quantity
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import Stored, WriteJob, open_stored_image
from rilievo.io.png import bands, write_png
from rilievo.records.depth_map import DepthKind, DepthMap

KEY = "rilievo"
_MAX_NUMBER = 65535
_MILLIMETRE = 0.001  # [m]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """Scale and offset of stored numbers 1 to 65535: value = number * scale + offset."""

    scale: float
    offset: float


def choose_quantisation(kind: DepthKind, low: float, high: float) -> Quantisation:
    """Choose scale and offset for a range of values.

    Depth has an offset only if the nearest point would fall below the first step.
    """
    # Half a step more, as 65.535 m in float32 is a little above itself.
    fits_in_millimetres = low >= _MILLIMETRE and high < (_MAX_NUMBER + 0.5) * _MILLIMETRE
    if kind is DepthKind.METRIC and fits_in_millimetres:
        return Quantisation(scale=_MILLIMETRE, offset=0.0)
    is_depth = kind.is_depth
    if is_depth and low >= high / _MAX_NUMBER:
        return Quantisation(scale=high / _MAX_NUMBER, offset=0.0)
    scale = (high - low) / (_MAX_NUMBER - 1) or abs(low) or 1.0
    if is_depth:
        # The first step has to stay positive in float32 arithmetic.
        low = max(low, scale * 1e-6)
    return Quantisation(scale=scale, offset=low - scale)


def count_note(file: str, low: float, high: float) -> str | None:
    """Note on metric depth from ``low`` to ``high`` [m] whose counts are not millimetres.

    It is None where they are millimetres, as programs expect of such files (ROS's REP 118).
    """
    coding = choose_quantisation(DepthKind.METRIC, low, high)
    if coding.scale == _MILLIMETRE and not coding.offset:
        return None
    farthest = _MAX_NUMBER * _MILLIMETRE
    if high > farthest:
        reason = f"depth reaches {high:.4g} m, and 16 bits of millimetres end at {farthest:g} m"
    else:
        reason = f"depth begins at {low:.2g} m, below one millimetre"
    if coding.offset:
        begin, reading = f", counted from {coding.offset:.4g} m", "something else"
    else:
        begin, reading = "", f"{_MILLIMETRE / coding.scale:.3g} of it"
    return (
        f"{file} has counts of {1000 * coding.scale:.4g} mm{begin}, because {reason}: a program "
        f"that takes millimetres, such as ROS for 16UC1, reads {reading}; the scale stands in the "
        "file, and npy and tiff hold metres"
    )


def encode(depth: DepthMap, coding: Quantisation) -> UInt16[np.ndarray, "h w"]:
    """Stored numbers, 0 where invalid; values out of range are clamped."""
    stored = np.empty(depth.shape, np.uint16)
    for rows in bands(depth.shape):
        valid = depth.valid[rows]
        steps = np.where(valid, depth.values[rows], 0) - np.float32(coding.offset)
        steps /= np.float32(coding.scale)
        np.clip(np.rint(steps, out=steps), 1, _MAX_NUMBER, out=steps)
        stored[rows] = np.where(valid, steps, 0)
    return stored


def write_near(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write inverse depth: the nearest is white; black is invalid."""
    inverse = replace(depth, values=picture_quantity(depth))
    values = inverse.values[inverse.valid]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    coding = choose_quantisation(DepthKind.AFFINE_INVERSE, low, high)
    facts = job.facts("inverse depth: the nearest is white, the farthest nearly black")
    stored = encode(inverse, coding)
    facts = replace(
        facts,
        scale=coding.scale,
        offset=coding.offset,
        invalid=0,
        crc32=crc32_of_numbers(stored),
    )
    text = {"Software": "rilievo", KEY: job.about.embedded_json(facts)}
    write_png(job.path, stored, text)
    return facts


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as stored numbers."""
    about = job.depth_facts
    low, high = job.extent or (about.minimum, about.maximum)
    coding = choose_quantisation(
        depth.kind, 1.0 if low is None else low, 1.0 if high is None else high
    )
    note = None
    if depth.kind is DepthKind.METRIC and low is not None and high is not None:
        note = count_note("it", low, high)
    meaning = about.meaning if note is None else f"{about.meaning}; {note}"
    stored = encode(depth, coding)
    facts = replace(
        job.float_depth_facts(meaning),
        scale=coding.scale,
        offset=coding.offset,
        invalid=0,
        crc32=crc32_of_numbers(stored),
    )
    text = {
        "Software": "rilievo",
        "kind": depth.kind.value,
        "unit": about.unit,
        "scale": repr(coding.scale),
        "offset": repr(coding.offset),
        "invalid": "0",
        KEY: job.about.embedded_json(facts),
    }
    write_png(job.path, stored, text)
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read depth, within half a ``scale``."""
    with open_stored_image(PngImageFile, path) as image:
        stored = np.asarray(image)
    if stored.dtype != np.uint16 or facts.scale is None or facts.offset is None:
        raise ValueError("it does not have 16 bits, or its JSON has no scale")
    # Counted from the first step, which may be a small difference of scale and offset.
    values = (stored - np.float32(1)) * np.float32(facts.scale)
    values += np.float32(facts.offset + facts.scale)
    return Stored(values=values, valid=stored > 0)


def read_json(path: Path) -> str:
    """Read the embedded JSON."""
    with open_stored_image(PngImageFile, path) as image:
        return image.info[KEY]
