"""Shards: files of training frames, rendered ones or a teacher's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from lab.making.distil.frames.training_frames import FARTHEST, Frame
from rilievo.arrays.shapes import Float16, Float32, Int8, UInt8
from rilievo.errors import InputError, RilievoError
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind

_DTYPES = {
    "image": np.uint8,
    "log_depth": np.float16,
    "normals": np.int8,
    "focal": np.float32,
}
KINDS = (DepthKind.METRIC, DepthKind.UP_TO_SCALE, DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)
"""Kinds of depth by their index in a shard; existing shards fix the order."""
_KIND = "kind"
_ZIP_HEADER = 30
"""Bytes before the name of a member of a zip file; the last four hold the lengths of the name and
of the extra field after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Arrays of one file as stored, mapped into memory."""

    image: UInt8[np.ndarray, "n h w 3"]
    log_depth: Float16[np.ndarray, "n h w"]
    normals: Int8[np.ndarray, "n 3 h w"]
    focal: Float32[np.ndarray, "n"]
    kind: UInt8[np.ndarray, "n"]
    is_rendered: bool = True

    def frame(self, index: int) -> Frame:
        """Return one frame with its sky marked; metric depth is at most ``FARTHEST``."""
        log_depth = self.log_depth[index].astype(np.float32)
        kind, empty = KINDS[self.kind[index]], ~np.isfinite(log_depth)
        (height, width), focal = log_depth.shape, float(self.focal[index])
        # Other kinds have no metres, so that limit means nothing for them.
        if kind is DepthKind.METRIC:
            log_depth = np.minimum(log_depth, np.float32(np.log(FARTHEST)))
        log_depth = np.where(np.isfinite(log_depth), log_depth, np.float32(0))
        return Frame(
            image=self.image[index],
            log_depth=log_depth,
            valid=~empty,
            sky=empty if kind.is_depth else np.zeros_like(empty),
            normals=self.normals[index],
            normals_valid=self.normals[index].any(axis=0),
            camera=(focal, focal, (width - 1) / 2, (height - 1) / 2),
            kind=kind,
            is_rendered=self.is_rendered,
        )


def read_shard(path: Path) -> Shard:
    """Read one shard."""
    check_regular(path)
    try:
        arrays = _mapped(path)
    except RilievoError:
        raise
    except BROKEN_FILE as error:
        raise InputError(
            f"{printable(path)}: not a shard of rendered frames: {reason(error)}"
        ) from error
    count, height, width = (*arrays["log_depth"].shape, 0, 0, 0)[:3]
    shapes = {
        "image": (count, height, width, 3),
        "log_depth": (count, height, width),
        "normals": (count, 3, height, width),
        "focal": (count,),
        _KIND: (count,),
    }
    # Only a teacher's shards say the kind of their depth.
    is_rendered = _KIND not in arrays
    arrays = {_KIND: np.zeros(count, np.uint8)} | arrays
    for name, array in arrays.items():
        dtype = _DTYPES.get(name, np.uint8)
        if array.shape != shapes[name] or array.dtype != dtype:
            raise InputError(
                f"{path}: {name} is {array.shape} {array.dtype}, "
                f"expected {shapes[name]} {np.dtype(dtype)}"
            )
    largest = int(arrays[_KIND].max(initial=0))
    if largest >= len(KINDS):
        raise InputError(
            f"{path}: {_KIND} is {largest}, expected 0 to {len(KINDS) - 1}: of a newer version"
        )
    return Shard(**arrays, is_rendered=is_rendered)


def _mapped(path: Path) -> dict[str, Any]:
    """Map the arrays of an uncompressed archive into memory; raises one of ``BROKEN_FILE``."""
    arrays = {}
    with ZipFile(path) as archive, path.open("rb") as file:
        names = archive.namelist()
        for name in (*_DTYPES, *([_KIND] if f"{_KIND}.npy" in names else ())):
            if f"{name}.npy" not in names:
                raise ValueError(f"it has no '{name}'; render it anew")
            member = archive.getinfo(f"{name}.npy")
            if member.compress_type:
                raise ValueError(f"{name} is compressed")
            file.seek(member.header_offset + _ZIP_HEADER - 4)
            lengths = np.frombuffer(file.read(4), "<u2")
            file.seek(member.header_offset + _ZIP_HEADER + int(lengths.sum()))
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.hasobject:
                raise ValueError(f"{name} holds Python objects")
            arrays[name] = np.memmap(path, dtype, "r", file.tell(), shape)
    return arrays


def check_shards(folder: Path) -> None:
    """Check that a folder of shards is there."""
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no folder of shards; 'python -m lab.making teacher' writes one"
        )
