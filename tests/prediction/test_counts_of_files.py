"""Counts of 16 bits that are not the millimetres that programs expect."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.formats.png16 import count_note
from rilievo.prediction import Prediction
from rilievo.prediction.saving import saving_notes
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")


def prediction(low: float, high: float, kind: DepthKind = DepthKind.METRIC) -> Prediction:
    values = np.linspace(low, high, 64 * 48, dtype=np.float32).reshape(48, 64)
    return Prediction(depth_or_none=DepthMap(values=values, kind=kind), made_by=MADE_BY)


@pytest.mark.parametrize(
    ("low", "high", "scale", "words"),
    [
        (1.0, 78.0, 78 / 65535, ("1.19 mm", "reaches 78 m", "reads 0.84 times the depth")),
        (1.0, 780.0, 780 / 65535, ("11.9 mm", "reads 0.084 times the depth")),
        (2.0, 65.6, 65.6 / 65535, ("reaches 65.6 m", "reads 0.999 times the depth")),
        (0.0005, 30.0, 30 / 65535, ("0.4578 mm", "below one millimetre")),
        (0.0001, 30.0, 29.9999 / 65534, ("counted from", "below one millimetre")),
    ],
)
def test_counts_that_are_no_millimetres_are_said(
    tmp_path: Path, low: float, high: float, scale: float, words: tuple[str, ...]
) -> None:
    made = prediction(low, high)
    [note] = saving_notes(made, "a", ["npz", "png16"])
    assert note.startswith("a.depth16.png stores depth in steps of ")
    assert [word for word in words if word not in note] == []
    made.save(tmp_path / "a", ["png16"])
    [facts] = json.loads((tmp_path / "a.json").read_text())["files"]
    assert facts["scale"] == pytest.approx(scale, rel=1e-6)
    assert words[0] in facts["holds"]
    stored = np.asarray(Image.open(tmp_path / "a.depth16.png"))
    np.testing.assert_allclose(
        stored * facts["scale"] + facts["offset"], made.depth.values, atol=scale
    )


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (0.001, 65.535, DepthKind.METRIC),
        (1.0, 10.0, DepthKind.METRIC),
        (1.0, 900.0, DepthKind.UP_TO_SCALE),
        (-1.0, 900.0, DepthKind.AFFINE_INVERSE),
    ],
)
def test_millimetres_and_depth_without_a_unit_need_no_note(
    low: float, high: float, kind: DepthKind
) -> None:
    made = prediction(low, high, kind)
    assert saving_notes(made, "a", ["png16"]) == ()
    assert saving_notes(made, "a", ["npz"]) == ()
    empty = DepthMap(
        values=np.ones((48, 64), np.float32), kind=kind, valid=np.zeros((48, 64), bool)
    )
    assert saving_notes(made.but(depth_or_none=empty), "a", ["png16"]) == ()
    if kind is DepthKind.METRIC:
        assert count_note("a", DepthKind.METRIC, low, high) is None


def test_a_glb_says_how_to_shift_its_centred_camera() -> None:
    """A camera with Blender's shifts sees the middle of the surface where the photograph has it."""
    made = prediction(1.0, 2.0)
    height, width = made.shape
    K = np.array([[50.0, 0, (width - 1) / 2 - 8], [0, 50, (height - 1) / 2 + 4], [0, 0, 1]])
    [note] = saving_notes(made.but(camera=Camera(K=K)), "a", ["glb"])
    assert "8 px to the left of the picture's centre and 4 px below it" in note
    # Blender's importer fits the camera to the height, 48, which is then the unit of both shifts.
    assert f"Shift X to {8 / 48:.4f} and its Shift Y to {4 / 48:.4f}" in note
    assert saving_notes(made.but(camera=Camera(K=K)), "a", ["ply"]) == ()
    assert saving_notes(made, "a", ["glb"]) == ()


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    np.save(tmp_path / "z.npy", prediction(1, 78).depth.values)
    arguments = ["surface", "photo.png", "--depth", "z.npy", "--fov", "60", "--save", "png16"]
    arguments = [str(tmp_path / word) if "." in word else word for word in arguments]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "photo.depth16.png stores depth in steps of 1.19 mm" in " ".join(
        capsys.readouterr().err.split()
    )
