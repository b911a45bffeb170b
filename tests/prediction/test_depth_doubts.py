"""What would make sizes on given depth wrong is said: a guessed unit, or inverse depth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, OptionError
from rilievo.io.depth.surface_shape import has_straight_surfaces
from rilievo.schema.typed_values import parse_unit
from support.fixed_depth import FixedDepth

SIZE = (240, 320)
K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAYS = np.stack([(U - 159.5) / 280, (V - 119.5) / 280, np.ones(SIZE)])
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def room() -> np.ndarray:
    """Depth of a room: floor, ceiling, two side walls and a back wall [m]."""
    with np.errstate(divide="ignore"):
        walls = [5.0 / RAYS[2], 1.4 / np.maximum(RAYS[1], 1e-9), 1.2 / np.maximum(-RAYS[1], 1e-9)]
        walls += [1.6 / np.maximum(RAYS[0], 1e-9), 1.8 / np.maximum(-RAYS[0], 1e-9)]
    return np.min(walls, axis=0)


def given(depth: Any, **options: Any) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(PHOTO, depth, K, **options)


def noisy(depth: np.ndarray, error: float) -> np.ndarray:
    return depth * (1 + np.random.default_rng(1).normal(0, error, SIZE))


def test_advice_names_the_options_of_a_depth_map(tmp_path: Path) -> None:
    millimetres = np.round(1000 * noisy(room(), 0.003)).astype(np.uint16)
    millimetres[:40, :40] = 65535  # "no depth"
    Image.fromarray(millimetres).save(tmp_path / "depth.png")
    notes = given(tmp_path / "depth.png").notes
    assert any("set encoding='invalid=0,65535'" in note for note in notes)
    encoded = given(tmp_path / "depth.png", encoding="invalid=0,65535")
    assert not any("invalid" in note for note in encoded.notes)


@pytest.mark.parametrize("error", [0, 0.003, 0.01])
def test_depth_bends_and_inverse_depth_does_not(error: float) -> None:
    depth = noisy(room(), error)
    valid = np.ones(SIZE, bool)
    assert not has_straight_surfaces(depth, valid)
    assert has_straight_surfaces(1 / depth, valid)
    assert has_straight_surfaces(40 / depth + 3, valid)


def test_too_little_surface_tells_nothing() -> None:
    valid = np.zeros(SIZE, bool)
    valid[:20, :20] = True
    assert not has_straight_surfaces(1 / room(), valid)
    assert not has_straight_surfaces(np.full(SIZE, 2.0), np.ones(SIZE, bool))


def test_inverse_depth_as_a_map_is_doubted_in_every_measurement() -> None:
    made = given(1 / room())
    assert any("inverse depth" in note for note in made.notes)
    for measured in (made.distance(60, 200), made.measure((60, 200), (250, 210))):
        assert any("inverse depth" in remark for remark in measured.remarks)
    right = given(room())
    assert not any("inverse depth" in note for note in right.notes)
    assert not any("inverse" in remark for remark in right.distance(60, 200).remarks)


def test_a_normalised_map_is_doubted() -> None:
    depth = room()
    made = given((depth - depth.min()) / np.ptp(depth))
    assert any("from exactly 0 to exactly 1" in note for note in made.notes)


@pytest.mark.filterwarnings("ignore:.*change evenly across flat surfaces")
def test_inverse_depth_of_a_sensor_contradicts_the_network() -> None:
    network = FixedDepth(room())
    with pytest.raises(CalibrationError, match="inverse depth and disparity"):
        rilievo.predict(PHOTO, model=network, sparse=1 / room(), camera=K, trim=False)
    few = np.where(np.random.default_rng(0).random(SIZE) < 0.001, 1 / room(), 0)
    with pytest.raises(CalibrationError, match="inverse depth and disparity"):
        rilievo.predict(PHOTO, model=network, sparse=few, camera=K, trim=False)
    right = rilievo.predict(PHOTO, model=network, sparse=room(), camera=K, trim=False)
    assert right.distance(60, 200).value == pytest.approx(
        room()[200, 60] * np.linalg.norm(RAYS[:, 200, 60]), rel=0.01
    )


def test_a_guessed_unit_is_said_in_every_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    Image.fromarray(np.round(room() * 1000).astype(np.uint16)).save(tmp_path / "z.png")
    np.save(tmp_path / "z.npy", room())
    words = ["measure", str(tmp_path / "photo.png"), "--camera", "280,280,159.5,119.5", "--json"]
    for file, taken in (("z.png", "millimetres"), ("z.npy", "metres")):
        for what in (["--distance", "60,200"], ["--box", "40,180,90,230"]):
            command = [*words, *what, "--depth", str(tmp_path / file), "--depth-error", "1%"]
            assert main(command) == 0
            told = json.loads(capsys.readouterr().out)
            measured = told["things"][0]["measured"] if "things" in told else told
            [remark] = [text for text in measured["remarks"] if "read as" in text]
            assert taken in remark
            assert "--unit" in remark
            assert main([*command, "--unit", "mm" if file == "z.png" else "m"]) == 0
            assert "read as" not in capsys.readouterr().out


def test_a_guess_is_said_once_and_stays_without_its_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    np.save(tmp_path / "z.npy", 1 / room())
    words = ["measure", str(tmp_path / "photo.png"), "--distance", "60,200", "--fov", "60"]
    assert main([*words, "--depth", str(tmp_path / "z.npy")]) == 0
    assert capsys.readouterr().err.count("change evenly across flat surfaces") == 1
    given(tmp_path / "z.npy").save(tmp_path / "again", ["png16"])
    assert main([*words, "--depth", str(tmp_path / "again.depth16.png")]) == 0
    told = capsys.readouterr().err
    assert "read as metres" in told
    assert "unit" not in told.replace("their unit", "")
    assert told.count("change evenly across flat surfaces") == 1


@pytest.mark.filterwarnings("ignore:.*sparse depth is read as metres")
def test_a_guessed_unit_of_a_sensor_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", room())
    options: dict[str, Any] = {"model": FixedDepth(room()), "camera": K, "trim": False}
    made = rilievo.predict(PHOTO, sparse=tmp_path / "z.npy", **options)
    assert any("read as metres" in remark for remark in made.distance(60, 200).remarks)
    stated = rilievo.predict(PHOTO, sparse=tmp_path / "z.npy", sparse_unit=1, **options)
    assert not any("read as" in remark for remark in stated.distance(60, 200).remarks)


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("mm", 0.001),
        ("cm", 0.01),
        ("m", 1.0),
        ("Millimetres", 0.001),
        ("centimeters", 0.01),
        ("inch", 0.0254),
        ("0.001", 0.001),
        ("1mm", 0.001),
        ("0.1 mm", 0.0001),
        ("1/256", 1 / 256),
        ("1/5000", 0.0002),
    ],
)
def test_a_unit_is_a_name_a_length_or_a_fraction(text: str, metres: float) -> None:
    assert parse_unit(text) == pytest.approx(metres)
    counts = np.full(SIZE, 3000, np.uint16)
    assert given(counts, unit=text).depth.values[0, 0] == pytest.approx(3000 * metres)


@pytest.mark.parametrize("unit", ["apples", "", "0", "-1", "1/0", "nan", 0, -0.1, True, [1, 2]])
def test_what_is_no_unit_is_refused(unit: Any) -> None:
    with pytest.raises(OptionError, match="unit"):
        given(np.full(SIZE, 3000, np.uint16), unit=unit)


@pytest.mark.parametrize(
    "words",
    [
        ["--depth", "z.png", "--unit", "cm"],
        ["--sparse", "z.png", "--sparse-unit", "cm"],
        ["--depth", "z.png", "--encoding", "scale=cm"],
        ["--sparse", "z.png", "--sparse-encoding", "scale=cm"],
    ],
)
def test_the_command_takes_units_by_their_names(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    Image.fromarray(np.round(room() * 100).astype(np.uint16)).save("z.png")
    command = ["measure", "photo.png", "--distance", "160,120", "--camera", "280,280,159.5,119.5"]
    assert main([*command, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(5, rel=0.02)


def test_a_length_without_a_number_is_no_height(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "photo.png", "--height", "1,1", "--camera-height", "cm"]) == 2
    assert "--camera-height" in capsys.readouterr().err
