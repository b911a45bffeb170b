"""Shipped pictures of other places than the one that a run learns."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

ARCHIVE = Path(__file__).parent / "places.zip"
"""JPEG files of three rounds of the same kinds, which ``tools/write_other_places.py`` writes."""


def read_places(*, judges: bool) -> Sequence[UInt8[np.ndarray, "_ _ 3"]]:
    """Read the pictures that judge a run, which are the last third, or those that it trains on."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(archive.namelist())
        first = len(names) * 2 // 3
        chosen = names[first:] if judges else names[:first]
        return [_decoded(archive.read(name)) for name in chosen]


def _decoded(stored: bytes) -> UInt8[np.ndarray, "_ _ 3"]:
    with Image.open(io.BytesIO(stored)) as image:
        return np.asarray(image.convert("RGB"))
