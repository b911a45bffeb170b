"""Files of results that the page shows, read by an inverse of their packing."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class View:
    """Facts, depth (h, w), normals (h, w, 3) in int8, sky (h, w), and the JPEG file."""

    about: dict[str, Any]
    depth: np.ndarray
    normals: np.ndarray | None
    sky: np.ndarray | None
    photo: bytes


def read_view(content: bytes) -> View:
    """Read a file of ``view_bytes``."""
    start = 4 + int.from_bytes(content[:4], "little")
    about = json.loads(content[4:start])
    end = start + about["packed"]
    planes = np.frombuffer(zlib.decompress(content[start:end]), np.uint8)
    shape = about["lattice"]["rows"], about["lattice"]["columns"]
    count = shape[0] * shape[1]
    folded = np.ascontiguousarray(planes[: 4 * count].reshape(4, count).T).view("<u4")
    differences = np.where(folded & 1, ~(folded >> 1), folded >> 1).reshape(shape)
    rest, normals, sky = planes[4 * count :], None, None
    if about["normals"]:
        towards = _summed(rest[: 3 * count].reshape(-1, shape[1])).view(np.int8)
        normals, rest = np.moveaxis(towards.reshape(3, *shape), 0, 2), rest[3 * count :]
    if about["sky"]:
        sky, rest = np.unpackbits(rest, count=count).reshape(shape), rest[-(-count // 8) :]
    assert not rest.size
    depth = _summed(differences).view("<f4")
    return View(about=about, depth=depth, normals=normals, sky=sky, photo=content[end:])


def _summed(differences: np.ndarray) -> np.ndarray:
    whole = np.cumsum(np.cumsum(differences, 0, differences.dtype), 1, differences.dtype)
    return np.ascontiguousarray(whole)
