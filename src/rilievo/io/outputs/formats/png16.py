"""Depth as a 16-bit grey PNG with its scale embedded.

Values are stored * scale + offset; 0 is invalid. Metric depth that fits is in millimetres. The
files of KITTI (depth * 256, in the readme.txt of its devkit for depth) and of TUM RGB-D (depth *
5000, in "File Formats" of its website) have the scale that their programs expect.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import Field, Mask, UInt16
from rilievo.errors.messages import count_text
from rilievo.io.checksums import numbers_crc32
from rilievo.io.map_pictures import picture_quantity
from rilievo.io.outputs.sidecar import INVERSE_DEPTH_CONTENT, UNITS, FileFacts, depth_meaning
from rilievo.io.outputs.video_drawing import Drawing, VideoJob
from rilievo.io.outputs.writing import Stored, WriteJob, open_stored_image
from rilievo.io.png import row_bands, write_png
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

_JSON_KEYWORD = "rilievo"
"""Keyword of the text of the PNG that is the embedded JSON."""
_MAX_NUMBER = 65535
_MILLIMETRE = 0.001  # [m]
_BENCHMARK_STEPS = {"kitti": 1 / 256, "tum": 1 / 5000}
"""Depth of one step of the stored numbers in files of benchmarks [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """Scale and offset of the stored numbers 1 to 65535: value = number * scale + offset."""

    scale: float
    offset: float


def choose_quantisation(kind: DepthKind, low: float, high: float) -> Quantisation:
    """Choose scale and offset for values from ``low`` to ``high``.

    Metric depth is stored in millimetres if it fits. Other depth has an offset only if its nearest
    point would be stored as less than 1.
    """
    # Half a step more, because 65.535 m as float32 is slightly larger.
    fits_in_millimetres = low >= _MILLIMETRE and high < (_MAX_NUMBER + 0.5) * _MILLIMETRE
    if kind is DepthKind.METRIC and fits_in_millimetres:
        return Quantisation(scale=_MILLIMETRE, offset=0.0)
    if kind.is_depth and low >= high / _MAX_NUMBER:
        return Quantisation(scale=high / _MAX_NUMBER, offset=0.0)

    # Number 1 stands for the lowest value, and 65535 for the highest one.
    scale = (high - low) / (_MAX_NUMBER - 1)
    if scale == 0:
        # If all values are equal, any other scale will do.
        scale = abs(low) if low else 1.0
    # The value of number 1 has to stay positive in float32 arithmetic if it is depth.
    first_value = max(low, scale * 1e-6) if kind.is_depth else low
    return Quantisation(scale=scale, offset=first_value - scale)


def count_note(file: str, kind: DepthKind, low: float, high: float) -> str | None:
    """Warn that a file with metric depth from ``low`` to ``high`` [m] does not hold millimetres.

    Returns None if it does, as other programs expect of 16-bit depth (ROS's REP 118), and for depth
    that is not metric.
    """
    if kind is not DepthKind.METRIC:
        return None
    quantisation = choose_quantisation(DepthKind.METRIC, low, high)
    scale, offset = quantisation.scale, quantisation.offset
    if scale == _MILLIMETRE and not offset:
        return None
    max_depth = _MAX_NUMBER * _MILLIMETRE
    if high > max_depth:
        reason = f"depth reaches {high:.4g} m, but 16 bits in millimetres end at {max_depth:g} m"
    else:
        reason = f"depth begins at {low:.2g} m, which is below one millimetre"
    step = f"{1000 * scale:.4g} mm"
    if offset:
        step += f", counted from {offset:.4g} m"
        consequence = "wrong depth"
    else:
        consequence = f"{_MILLIMETRE / scale:.3g} times the depth"
    return (
        f"{file} stores depth in steps of {step}, because {reason}. A program that expects "
        f"millimetres, such as ROS for 16UC1, reads {consequence}. The file states its scale, and "
        "npy and tiff are in metres"
    )


def encode(depth: DepthMap, quantisation: Quantisation) -> UInt16[np.ndarray, "h w"]:
    """Convert a map to stored numbers, 0 where invalid; values out of range are clamped."""
    return _encode_values(depth.values, depth.valid, quantisation)


def _encode_values(
    values: Field, valid: Mask, quantisation: Quantisation
) -> UInt16[np.ndarray, "h w"]:
    """Convert values to stored numbers, 0 where invalid; values out of range are clamped."""
    stored = np.empty(values.shape, np.uint16)
    for rows in row_bands(values.shape):  # A few rows at a time save memory.
        is_valid = valid[rows]
        numbers = np.where(is_valid, values[rows], 0) - np.float32(quantisation.offset)
        numbers /= np.float32(quantisation.scale)
        np.clip(np.rint(numbers, out=numbers), 1, _MAX_NUMBER, out=numbers)
        stored[rows] = np.where(is_valid, numbers, 0)
    return stored


def write_near(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write inverse depth as 16-bit grey: the nearest point is white; black is invalid.

    What is stored grows towards the camera: 1/depth, or the values of an affine map, with their
    sign changed if they are depth.
    """
    values = picture_quantity(depth)
    valid_values = values[depth.valid]
    low, high = 0.0, 1.0  # any range, if no pixel is valid
    if valid_values.size:
        low, high = float(valid_values.min()), float(valid_values.max())
    # As for affine values, the whole range of numbers is used, with an offset.
    quantisation = choose_quantisation(DepthKind.AFFINE_INVERSE, low, high)
    stored = _encode_values(values, depth.valid, quantisation)
    content = (
        f"{INVERSE_DEPTH_CONTENT}: the nearest pixel is white, and the farthest is nearly black"
    )
    file_facts = _with_quantisation(job.describe_file(content), quantisation, stored)
    text = {"Software": "rilievo", _JSON_KEYWORD: job.sidecar.embedded_json(file_facts)}
    write_png(job.path, stored, text)
    return file_facts


def _with_quantisation(
    file_facts: FileFacts, quantisation: Quantisation, stored: UInt16[np.ndarray, "h w"]
) -> FileFacts:
    """Add how the stored numbers of a file become values, and their checksum."""
    return replace(
        file_facts,
        scale=quantisation.scale,
        offset=quantisation.offset,
        invalid=0,
        crc32=numbers_crc32(stored),
    )


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as 16-bit numbers, with scale and offset as texts of the PNG."""
    depth_facts = job.depth_facts
    if job.depth_range is not None:
        low, high = job.depth_range
    elif depth_facts.minimum is not None and depth_facts.maximum is not None:
        low, high = depth_facts.minimum, depth_facts.maximum
    else:
        # No pixel is valid, so any quantisation will do.
        any_quantisation = choose_quantisation(depth.kind, 1.0, 1.0)
        return _write_numbers(job, depth, any_quantisation, depth_facts.meaning)
    meaning = _join_meaning(depth_facts.meaning, count_note("it", depth.kind, low, high))
    return _write_numbers(job, depth, choose_quantisation(depth.kind, low, high), meaning)


def write_kitti(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth in steps of 1/256 m, as KITTI's depth benchmarks expect.

    Depth beyond the largest number becomes that, because the benchmark counts pixels without depth
    as wrong.
    """
    far_note = range_note("it", "kitti", depth)
    meaning = _join_meaning(job.depth_facts.meaning, far_note)
    quantisation = Quantisation(scale=_BENCHMARK_STEPS["kitti"], offset=0.0)
    return _write_numbers(job, depth, quantisation, meaning)


def write_tum(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth in steps of 1/5000 m, as TUM RGB-D has it, and none beyond the largest number."""
    far_note = range_note("it", "tum", depth)
    meaning = _join_meaning(job.depth_facts.meaning, far_note)
    quantisation = Quantisation(scale=_BENCHMARK_STEPS["tum"], offset=0.0)
    is_in_range = depth.valid & (depth.values <= _MAX_NUMBER * quantisation.scale)
    depth_in_range = replace(depth, valid=is_in_range)
    return _write_numbers(job, depth_in_range, quantisation, meaning)


def range_note(file: str, output: str, depth: DepthMap) -> str | None:
    """Note on pixels that are farther than the largest number of a benchmark's file.

    ``output`` is "kitti" or "tum". Returns None if there are none.
    """
    max_depth = _MAX_NUMBER * _BENCHMARK_STEPS[output]
    far_count = int(np.count_nonzero(depth.valid & (depth.values > max_depth)))
    if not far_count:
        return None
    consequence = "stores that depth for" if output == "kitti" else "has no depth for"
    return (
        f"{file} {consequence} {count_text(far_count, 'pixel')} beyond {max_depth:.4g}, where its "
        "16 bits end"
    )


def _join_meaning(meaning: str, note: str | None) -> str:
    """Meaning of the numbers, with a note on them if there is one."""
    return meaning if note is None else f"{meaning}; {note}"


def _write_numbers(
    job: WriteJob, depth: DepthMap, quantisation: Quantisation, meaning: str
) -> FileFacts:
    """Write depth as 16-bit numbers of this scale and offset; ``meaning`` is that of the values."""
    stored = encode(depth, quantisation)
    file_facts = _with_quantisation(job.float_depth_facts(meaning), quantisation, stored)
    text = {
        "Software": "rilievo",
        "kind": depth.kind.value,
        "unit": job.depth_facts.unit,
        "scale": repr(quantisation.scale),
        "offset": repr(quantisation.offset),
        "invalid": "0",
        _JSON_KEYWORD: job.sidecar.embedded_json(file_facts),
    }
    write_png(job.path, stored, text)
    return file_facts


def draw_video(job: VideoJob) -> Drawing:
    """Prepare a video of depth as 16-bit numbers, with one scale and offset for all frames."""
    depth_range = job.known_depth_range
    kind = depth_range.kind
    quantisation = choose_quantisation(kind, *depth_range.ends)
    meaning = _join_meaning(
        depth_meaning(kind, is_distance=depth_range.is_distance),
        count_note("it", kind, *depth_range.ends),
    )
    file_facts = replace(
        job.describe_file(f"lossless 16-bit grey video (FFV1): {meaning}"),
        unit=UNITS.get(kind, "arbitrary"),
        scale=quantisation.scale,
        offset=quantisation.offset,
        invalid=0,
    )

    def draw(prediction: PredictionRecord) -> UInt16[np.ndarray, "h w"]:
        """Convert the depth of a frame to stored numbers."""
        return encode(prediction.depth, quantisation)

    return Drawing(facts=file_facts, draw=draw)


def read(path: Path, file_facts: FileFacts) -> Stored:
    """Read depth, which is exact to half of its scale."""
    with open_stored_image(PngImageFile, path) as image:
        stored = np.asarray(image)
    if stored.dtype != np.uint16 or file_facts.scale is None or file_facts.offset is None:
        raise ValueError("it does not have 16 bits, or its JSON has no scale")
    # The value of number 1, scale + offset, may be tiny compared with both of them. It is computed
    # in double precision, and float32 only counts the steps from there.
    values = (stored - np.float32(1)) * np.float32(file_facts.scale)
    values += np.float32(file_facts.offset + file_facts.scale)
    return Stored(values=values, valid=stored > 0)


def read_json(path: Path) -> str:
    """Read the embedded JSON."""
    with open_stored_image(PngImageFile, path) as image:
        return image.info[_JSON_KEYWORD]
