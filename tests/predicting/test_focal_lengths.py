"""Depth of a model that is not asked for metres does not depend on the focal length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import rilievo
from rilievo.cli import main
from rilievo.models.default.embedded import EMBEDDED

NAMES = [name for name, card in EMBEDDED.items() if card.loader == "embedded"]
CAMERAS: list[dict[str, Any]] = [{"fov": 40}, {"fov": 60}, {"fov": 90}]
CAMERAS += [{"camera": (900.0, 850.0, 280.0, 230.0)}]


@pytest.mark.parametrize("name", NAMES)
def test_no_camera_changes_depth(name: str, tmp_path: Path) -> None:
    photo = tmp_path / "coffee.png"
    Image.fromarray(data.coffee()).save(photo)
    model = rilievo.load_model(name)
    plain = model(photo)
    assert plain.depth.kind == "up_to_scale"
    for number, given in enumerate(CAMERAS):
        found = model(photo, **given)
        assert found.camera != plain.camera
        np.testing.assert_array_equal(found.depth.values, plain.depth.values)
        [(option, value)] = given.items()
        words = ",".join(map(str, value)) if option == "camera" else str(value)
        folder = tmp_path / f"{number}"
        command = ["predict", str(photo), "-m", name, f"--{option}", words, "--save", "npy"]
        assert main([*command, "-q", "-o", str(folder)]) == 0
        written = np.load(folder / "coffee.depth.npy")
        np.testing.assert_array_equal(written, plain.depth.values)
