"""A function from an image to depth, in a module of a folder of its own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

LAB = '''
"""A floor that comes nearer towards the lower edge."""
import numpy as np
import rilievo

@rilievo.model(kind="metric", licence="MIT")
def floor(image: np.ndarray) -> np.ndarray:
    """Floor of our lab."""
    assert image.dtype == np.uint8 and image.shape[2] == 3
    rows = np.linspace(4.0, 1.0, image.shape[0] // 2)
    return np.repeat(rows[:, None], image.shape[1] // 2, axis=1)

def plain(image):
    return floor(image)
'''


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "lab_floor.py").write_text(LAB)
    Image.effect_noise((160, 120), 60).convert("RGB").save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import lab_floor  # pyright: ignore[reportMissingImports]

    yield lab_floor
    del sys.modules["lab_floor"]
