"""Files that torch has saved, loaded without running code from them."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from rilievo.io.files.limits import check_unpacked

_MAX_RATIO = 2
"""Largest ratio of unpacked to packed bytes; torch's archives are not compressed."""


def load_torch_file(path: Path) -> Any:
    """Load tensors, and the numbers, texts and mappings around them, into main memory.

    A broken file raises whatever torch's unpickler raises.

    Raises:
        ValueError: If an archive unpacks to more than twice its size.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        check_unpacked("it", size, most_bytes=_MAX_RATIO * path.stat().st_size)
    return torch.load(path, map_location="cpu", weights_only=True)
