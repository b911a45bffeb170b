"""Files with exact numbers: npy, npz, float32 TIFF, and OpenEXR (extra ``formats``)."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from rilievo.arrays.shapes import Vectors
from rilievo.errors import explain_missing_extra
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import spell_lens
from rilievo.io.checksums import npz_crc32, numbers_crc32
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.archives import read_npz_arrays
from rilievo.io.files.limits import MAX_PIXELS, MAX_TEXT_BYTES, retry_miscounted
from rilievo.io.map_pictures import linear_light
from rilievo.io.outputs.sidecar import OUR_AXES, FileFacts
from rilievo.io.outputs.writing import Stored, WriteJob, from_nan, open_stored_image, with_nan
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

_ABOUT = "about"
_IMAGE_DESCRIPTION, _SOFTWARE = 270, 305  # tags of TIFF
_MAPS = ("depth", "network_depth", "measured", "valid", "normals", "confidence", "sky")
_NPZ_CONTENT = "arrays: depth, valid, normals (3, h, w), confidence, sky, K (or lens), photo"
_EXR_JSON, _EXR_CHECKSUM = "rilievo", "crc32"  # attributes of OpenEXR
_MAX_ARRAY_BYTES = 3 * 4 * MAX_PIXELS + 2**10  # normals of the largest photograph, and a header


def write_depth_npy(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth values, NaN where invalid."""
    with job.path.open("wb") as file:
        np.save(file, with_nan(depth.values, depth.valid), allow_pickle=False)
    return job.float_depth_facts(job.depth_facts.meaning)


def read_depth_npy(path: Path, file_facts: FileFacts) -> Stored:
    """Read the values."""
    return from_nan(_load_npy(path))


def write_normals_npy(job: WriteJob, normals: Vectors) -> FileFacts:
    """Write normals (h, w, 3), in our axes."""
    with job.path.open("wb") as file:
        np.save(file, np.ascontiguousarray(np.moveaxis(normals, 0, 2)), allow_pickle=False)
    return replace(job.describe_file("normals"), axes=OUR_AXES)


def read_normals_npy(path: Path, file_facts: FileFacts) -> Stored:
    """Read normals (h, w, 3) as (3, h, w)."""
    return Stored(normals=np.ascontiguousarray(np.moveaxis(_load_npy(path), 2, 0)))


@retry_miscounted
def _load_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def write_npz(job: WriteJob) -> FileFacts:
    """Write all parts and the JSON."""
    file_facts = _npz_facts(job)
    # Level 1, because numpy's level 6 is five times slower for files that are a tenth smaller.
    method = zipfile.ZIP_DEFLATED if job.options.compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(job.path, "w", method, allowZip64=True, compresslevel=1) as archive:
        for name, array in _npz_arrays(job).items():
            _write_member(archive, name, array)
        file_facts = replace(file_facts, crc32=npz_crc32(archive))
        _write_member(archive, _ABOUT, np.array(job.sidecar.embedded_json(file_facts)))
    return file_facts


def _npz_facts(job: WriteJob) -> FileFacts:
    """Describe an npz file by the names of its arrays and the unit of its depth."""
    prediction, sidecar = job.prediction, job.sidecar
    sensor_maps = [
        name for name in ("network_depth", "measured") if getattr(prediction, name) is not None
    ]
    content = ", ".join((_NPZ_CONTENT, *sensor_maps))
    file_facts = replace(job.describe_file(content), axes=sidecar.normals)
    if prediction.depth_or_none is None:
        return file_facts
    unit = sidecar.depth.unit if sidecar.depth else None
    return replace(file_facts, unit=unit, scale=1.0, offset=0.0, invalid="nan")


def _npz_arrays(job: WriteJob) -> dict[str, np.ndarray]:
    """Arrays of all parts of a prediction, by their names in the file."""
    prediction = job.prediction
    arrays: dict[str, np.ndarray] = {}
    depth, network_depth = prediction.depth_or_none, prediction.network_depth
    if depth is not None:
        arrays["depth"] = with_nan(depth.values, depth.valid)
        arrays["valid"] = depth.valid
        arrays["kind"] = np.array(depth.kind.value)
        arrays["unit"] = np.array(job.depth_facts.unit)
    if network_depth is not None:
        arrays["network_depth"] = with_nan(network_depth.values, network_depth.valid)
    for name in ("measured", "normals", "confidence", "sky"):
        values = getattr(prediction, name)
        if values is not None:
            arrays[name] = values

    photo, camera = prediction.photo, prediction.camera
    if photo is not None:
        arrays["photo"] = photo.pixels
        if photo.transparent is not None:
            arrays["transparent"] = photo.transparent
    if camera is not None and isinstance(camera.lens, Pinhole):
        arrays["K"] = camera.K
    elif camera is not None:
        arrays["lens"] = np.array(str(spell_lens(camera.lens)))
    return arrays


def _write_member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def read_npz(path: Path, file_facts: FileFacts) -> Stored:
    """Read all maps and the photograph."""
    with path.open("rb") as file:
        arrays = read_npz_arrays(
            file, (*_MAPS, "K", "photo", "transparent"), most_bytes=_MAX_ARRAY_BYTES
        )
    return Stored(
        values=arrays.get("depth"),
        network_depth=arrays.get("network_depth"),
        measured=arrays.get("measured"),
        valid=arrays.get("valid"),
        normals=arrays.get("normals"),
        confidence=arrays.get("confidence"),
        sky=arrays.get("sky"),
        K=arrays.get("K"),
        photo=arrays.get("photo"),
        transparent=arrays.get("transparent"),
    )


def read_npz_json(path: Path) -> str:
    """Read the JSON."""
    with path.open("rb") as file:
        return read_npz_arrays(file, (_ABOUT,), most_bytes=MAX_TEXT_BYTES)[_ABOUT].item()


def write_depth_tiff(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth values, NaN where invalid, and the JSON."""
    values = with_nan(depth.values, depth.valid)
    file_facts = job.float_depth_facts(job.depth_facts.meaning)
    file_facts = replace(file_facts, crc32=numbers_crc32(values))
    tags = ImageFileDirectory_v2()
    tags[_IMAGE_DESCRIPTION] = job.sidecar.embedded_json(file_facts)
    tags[_SOFTWARE] = "rilievo"
    image = Image.fromarray(values)
    compression = "tiff_adobe_deflate" if job.options.compress else None
    image.save(job.path, "TIFF", tiffinfo=tags, compression=compression)
    return file_facts


def read_depth_tiff(path: Path, file_facts: FileFacts) -> Stored:
    """Read the values."""
    with open_stored_image(TiffImageFile, path) as image:
        return from_nan(np.array(image, np.float32))


def read_tiff_json(path: Path) -> str:
    """Read the JSON."""
    with open_stored_image(TiffImageFile, path) as image:
        description = image.getexif()[_IMAGE_DESCRIPTION]
    return description


def write_depth_exr(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth into channel Z, or affine values into channel Y; NaN where invalid."""
    channel = _depth_channel_name(depth)
    file_facts = job.float_depth_facts(f"{job.depth_facts.meaning}, in channel {channel}")
    values = np.ascontiguousarray(with_nan(depth.values, depth.valid))
    file_facts = replace(file_facts, crc32=numbers_crc32(values))
    header = {
        "kind": depth.kind.value,
        "unit": job.depth_facts.unit,
        _EXR_CHECKSUM: f"{zlib.crc32(values.data):08x}",
    }
    _write_exr_layers(job, file_facts, header, {channel: values})
    return file_facts


def _depth_channel_name(depth: DepthMap) -> str:
    return "Z" if depth.is_depth else "Y"


def write_exr_layers(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth, its mask, normals, sky and colours as layers of one EXR file.

    Depth is the channel Z, or Y for affine kinds. Normals are N.X to N.Z, masks are mask.A and
    sky.A, and colours are R, G and B in linear light, as programs for compositing expect them.
    """
    depth_channel = _depth_channel_name(depth)
    layers = _make_exr_channels(job.prediction, depth, depth_channel)
    file_facts = job.float_depth_facts(
        f"layers: {depth_channel} ({job.depth_facts.meaning}), mask.A and, if the prediction has "
        "them, normals N.X to N.Z, sky.A and colours R, G, B"
    )
    file_facts = replace(file_facts, crc32=numbers_crc32(layers[depth_channel]))
    if job.prediction.normals is not None:
        file_facts = replace(file_facts, axes=OUR_AXES)
    _write_exr_layers(job, file_facts, _exr_header(job, depth), layers)
    return file_facts


def _make_exr_channels(
    prediction: PredictionRecord, depth: DepthMap, depth_channel: str
) -> dict[str, np.ndarray]:
    """EXR channels by name, such as "N.X" for the x of the normals."""
    channels = {
        depth_channel: with_nan(depth.values, depth.valid),
        "mask.A": depth.valid.astype(np.float32),
    }
    if prediction.normals is not None:
        valid = np.broadcast_to(depth.valid, prediction.normals.shape)
        normals = with_nan(prediction.normals, valid)
        channels |= {f"N.{axis}": values for axis, values in zip("XYZ", normals, strict=True)}
    if prediction.sky is not None:
        channels["sky.A"] = prediction.sky.astype(np.float32)
    if prediction.photo is not None:
        # Half floats hold 8-bit colours well enough, in half of the space.
        linear_by_level = linear_light().astype(np.float16)
        linear_rgb = linear_by_level[prediction.photo.pixels]
        channels |= {name: linear_rgb[..., index] for index, name in enumerate("RGB")}
    return channels


def _exr_header(job: WriteJob, depth: DepthMap) -> dict[str, str]:
    """Attributes of an EXR file: kind and unit of depth, and the camera, as texts."""
    header = {"kind": depth.kind.value, "unit": job.depth_facts.unit}
    camera = job.prediction.camera
    if camera is not None and isinstance(camera.lens, Pinhole):
        header["K"] = " ".join(f"{value:.9g}" for value in camera.K.reshape(-1))
    elif camera is not None:
        header["lens"] = str(spell_lens(camera.lens))
    return header


def _write_exr_layers(
    job: WriteJob,
    file_facts: FileFacts,
    header: Mapping[str, str],
    channels: Mapping[str, np.ndarray],
) -> None:
    """Write channels, with the JSON as an attribute of the header."""
    OpenEXR = _import_openexr(job.output)
    compression = OpenEXR.ZIPS_COMPRESSION if job.options.compress else OpenEXR.NO_COMPRESSION
    full_header = {
        "compression": compression,
        "type": OpenEXR.scanlineimage,
        **header,
        _EXR_JSON: job.sidecar.embedded_json(file_facts),
    }
    contiguous = {name: np.ascontiguousarray(values) for name, values in channels.items()}
    try:
        with OpenEXR.File(full_header, contiguous) as image:
            image.write(os.fsencode(job.path))  # As bytes, so that any path is allowed.
    except (RuntimeError, ValueError, TypeError) as error:
        # OpenEXR raises these if the disk is full or the name is not allowed.
        raise OSError(str(error).replace(job.path.name, job.file)) from error


def read_depth_exr(path: Path, file_facts: FileFacts) -> Stored:
    """Read the values."""
    channels = _exr_channels(path)
    [name] = channels.names
    values = np.array(channels.read_channel(name), np.float32)
    # OpenEXR returns zeros for rows that it cannot read, which only the checksum reveals.
    if channels.attribute_text(_EXR_CHECKSUM) != f"{zlib.crc32(values.data):08x}":
        raise ValueError("the checksum of its pixels does not match")
    return from_nan(values)


def read_exr_json(path: Path) -> str:
    """Read the JSON."""
    return _exr_channels(path).attribute_text(_EXR_JSON)


def _exr_channels(path: Path) -> ExrChannels:
    _import_openexr()
    return ExrChannels(path)


def _import_openexr(output: str = "exr") -> ModuleType:
    with explain_missing_extra(f"output '{output}'", "formats"):
        import OpenEXR
    return OpenEXR
