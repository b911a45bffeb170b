"""A prediction that was saved and is given as a depth map keeps the origin of its depth."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.measure.measurements import MeasurementOrigin
from rilievo.records.instruments import DepthError, DepthSource
from support.fixed_depth import FixedDepth

SIZE = (240, 320)
K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
SLANTED = 2 / (1 - 0.4 * (U - 159.5) / 280)
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
POINTS = (40, 40), (280, 200)
FORMATS = ("npz", "png16", "npy", "tiff", "exr", "pfm", "exr-layers")
SUFFIXES = {
    "npz": ".npz",
    "png16": ".depth16.png",
    "npy": ".depth.npy",
    "tiff": ".depth.tiff",
    "exr": ".depth.exr",
    "pfm": ".depth.pfm",
    "exr-layers": ".layers.exr",
}


def given(depth: Any, **options: Any) -> rilievo.Prediction:
    options.setdefault("camera", K)
    return rilievo.Prediction.from_depth(PHOTO, depth, **options)


def half_width(measured: rilievo.measure.Measurement) -> float:
    """Half of a range over its value."""
    return (measured.high - measured.low) / 2 / measured.value


@pytest.fixture(scope="module")
def predicted() -> rilievo.Prediction:
    """A network's depth, which is in metres by one known point."""
    network = FixedDepth(SLANTED / 3)
    known = [rilievo.KnownPoint(u=160, v=120, metres=2.0)]
    return rilievo.predict(PHOTO, model=network, known=known, camera=K, trim=False)


@pytest.fixture(scope="module")
def sensed() -> rilievo.Prediction:
    """A sensor's slanted plane with a square gap that a network filled."""
    depth = SLANTED.copy()
    depth[60:180, 110:210] = 0
    network = FixedDepth(np.full(SIZE, 1.0))
    return rilievo.predict(
        PHOTO, model=network, sparse=depth, depth_error="0.5%", camera=K, trim=False
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_network_keeps_its_ranges_through_every_format(
    predicted: rilievo.Prediction, name: str, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room.1", [name])
    again = given(tmp_path / f"room.1{SUFFIXES[name]}")
    expected, measured = predicted.measure(*POINTS), again.measure(*POINTS)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert half_width(measured) == pytest.approx(half_width(expected), rel=1e-3)
    assert half_width(measured) > 0.2
    assert any("test/fixed-depth" in note and "network" in note for note in again.notes)
    assert again.made_by.model == "test/fixed-depth"
    assert again.made_by.licence == "none"


@pytest.mark.parametrize("name", ["npz", "png16", "tiff", "exr"])
def test_a_file_that_was_moved_alone_has_its_record_inside(
    predicted: rilievo.Prediction, name: str, tmp_path: Path
) -> None:
    [path, *_] = predicted.save(tmp_path / "room", [name])
    other = tmp_path / "elsewhere" / f"z{path.suffix}"
    other.parent.mkdir()
    path.rename(other)
    assert given(other).measure(*POINTS).origin is MeasurementOrigin.NETWORK


@pytest.mark.parametrize("name", ["npy", "pfm"])
def test_a_renamed_file_is_found_by_its_checksum(
    predicted: rilievo.Prediction, name: str, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", [name])
    path = tmp_path / f"room{SUFFIXES[name]}"
    path = path.rename(tmp_path / f"z{path.suffix}")
    assert given(path).measure(*POINTS).origin is MeasurementOrigin.NETWORK


def test_a_file_of_ours_without_its_record_is_said(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", ["npy"])
    (tmp_path / "room.json").unlink()
    again = given(tmp_path / "room.depth.npy")
    assert any("JSON file is missing" in note for note in again.notes)
    assert any("not for networks" in remark for remark in again.distance(40, 40).remarks)
    told = given(tmp_path / "room.depth.npy", depth_error="network")
    assert told.distance(40, 40).origin is MeasurementOrigin.NETWORK
    assert half_width(told.distance(40, 40)) > 0.2


def test_a_record_of_other_files_says_nothing_of_a_map_of_a_like_name(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    """The photograph's own sensor map may lie beside its prediction."""
    predicted.save(tmp_path / "room", ["npz"])
    Image.fromarray(np.round(SLANTED * 1000).astype(np.uint16)).save(tmp_path / "room.png")
    measured = given(tmp_path / "room.png", unit=0.001)
    assert measured.distance(40, 40).origin is MeasurementOrigin.DEPTH_MAP
    np.testing.assert_allclose(measured.depth.values, SLANTED, atol=6e-4)


@pytest.mark.parametrize("name", ["npz", "png16", "npy"])
def test_an_instrument_and_its_stated_error_stay(name: str, tmp_path: Path) -> None:
    stated = given(SLANTED, depth_error="0.5%")
    stated.save(tmp_path / "map", [name])
    path = tmp_path / f"map{SUFFIXES[name]}"
    again = given(path)
    assert again.instrument is not None
    # PNG stores whole millimetres.
    assert (again.instrument.rounding.absolute > 0) == (name == "png16")
    assert replace(again.instrument, rounding=DepthError()) == stated.instrument
    assert again.measure(*POINTS).origin is MeasurementOrigin.DEPTH_MAP
    assert half_width(again.distance(40, 40)) == pytest.approx(0.005, rel=0.2)
    assert half_width(given(path, depth_error="4%").distance(40, 40)) == pytest.approx(
        0.04, rel=0.1
    )


def test_an_error_that_is_stated_for_a_networks_depth_is_used(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", ["png16"])
    again = given(tmp_path / "room.depth16.png", depth_error="5%")
    measured = again.distance(40, 40)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert half_width(measured) == pytest.approx(0.05, rel=0.1)
    assert any("you state" in note for note in again.notes)
    again.save(tmp_path / "again", ["npz"])
    once_more = given(tmp_path / "again.npz")
    assert once_more.instrument is not None
    assert once_more.instrument.source is DepthSource.NETWORK
    assert half_width(once_more.distance(40, 40)) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("name", ["npz", "png16", "pfm"])
def test_the_gaps_of_a_sensor_stay(sensed: rilievo.Prediction, name: str, tmp_path: Path) -> None:
    sensed.save(tmp_path / "sensor", [name, "npz"])
    again = given(tmp_path / f"sensor{SUFFIXES[name]}")
    for point in ((40, 40), (160, 120)):
        expected, measured = sensed.distance(*point), again.distance(*point)
        assert measured.origin is expected.origin
        assert half_width(measured) == pytest.approx(half_width(expected), rel=0.06)
    if name != "npz":
        (tmp_path / "sensor.npz").unlink()
        alone = given(tmp_path / f"sensor{SUFFIXES[name]}")
        assert alone.distance(40, 40).origin is MeasurementOrigin.SENSOR_GAP
        assert any("npz" in note for note in alone.notes)


def test_a_link_to_a_saved_file_has_its_origin(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", ["npy"])
    link = tmp_path / "elsewhere" / "z.npy"
    link.parent.mkdir()
    try:
        link.symlink_to(tmp_path / "room.depth.npy")
    except OSError:
        pytest.skip("this system makes no links")
    assert given(link).distance(40, 40).origin is MeasurementOrigin.NETWORK


def test_the_gaps_of_a_sensor_are_not_known_in_another_size(
    sensed: rilievo.Prediction, tmp_path: Path
) -> None:
    sensed.save(tmp_path / "sensor", ["npz"])
    large = np.repeat(np.repeat(PHOTO, 2, axis=0), 2, axis=1)
    again = rilievo.Prediction.from_depth(large, tmp_path / "sensor.npz")
    assert again.distance(80, 80).origin is MeasurementOrigin.SENSOR_GAP
    assert any("count as filled" in note for note in again.notes)


def test_known_places_are_not_those_of_a_map_of_another_size(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", ["npz"])
    large = np.repeat(np.repeat(PHOTO, 2, axis=0), 2, axis=1)
    camera = np.array([[560.0, 0, 319.5], [0, 560, 239.5], [0, 0, 1]])
    again = rilievo.Prediction.from_depth(large, tmp_path / "room.npz", camera)
    measured = again.distance(160, 120)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert half_width(measured) > 0.2


@pytest.mark.filterwarnings("ignore:the model's own metric depth was multiplied by 2")
def test_a_known_size_scales_a_networks_depth_that_was_saved(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", ["npz"])
    again = given(tmp_path / "room.npz", known=["160,120,4"])
    assert again.depth.values[120, 160] == pytest.approx(4, rel=0.01)
    direct = rilievo.predict(
        PHOTO, model=FixedDepth(SLANTED / 3), known=["160,120,4"], camera=K, trim=False
    )
    expected, measured = direct.distance(60, 60), again.distance(60, 60)
    assert measured.value == pytest.approx(expected.value, rel=1e-3)
    assert half_width(measured) == pytest.approx(half_width(expected), rel=1e-3)


def test_a_surface_of_a_networks_depth_keeps_the_origin_in_its_files(
    predicted: rilievo.Prediction, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    predicted.save(tmp_path / "room", ["png16"])
    words = ["surface", str(photo), "--depth", str(tmp_path / "room.depth16.png")]
    assert main([*words, "--save", "npz,pfm", "-o", str(tmp_path / "out")]) == 0
    assert read_sidecar(tmp_path / "out" / "photo.json").made_by.model == "test/fixed-depth"
    again = given(tmp_path / "out" / "photo.depth.pfm")
    assert again.distance(40, 40).origin is MeasurementOrigin.NETWORK


def test_predictions_of_an_evaluation_are_those_of_its_network(tmp_path: Path) -> None:
    record = {
        "format": "rilievo-predictions/1",
        "model": "somebody/metric",
        "weights_sha256": "",
        "licence": "none",
        "settings": {},
        "kind": "metric",
        "normals": False,
        "dataset": "folder",
        "split": "test",
        "variant": "all",
        "input_crop": "none",
        "version": "0.3.0",
    }
    (tmp_path / "fingerprint.json").write_text(json.dumps(record))
    (tmp_path / "rooms").mkdir()
    np.savez(tmp_path / "rooms" / "one.npz", depth=SLANTED.astype(np.float32))
    again = given(tmp_path / "rooms" / "one.npz")
    assert again.distance(40, 40).origin is MeasurementOrigin.NETWORK
    assert any("somebody/metric" in note for note in again.notes)
    record["kind"] = "affine_inverse"
    (tmp_path / "fingerprint.json").write_text(json.dumps(record))
    assert given(tmp_path / "rooms" / "one.npz").depth.kind == "affine_inverse"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_of_a_clip_are_those_of_its_network(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        Image.fromarray(np.roll(PHOTO, number, axis=1)).save(frames / f"{number}.png")
    words = ["predict", str(frames), "--sequence", "--model", "rilievo/small", "--fov", "60"]
    words += ["--known", "160,120,0.5", "--save", "png16,npz,npy", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    files = sorted((tmp_path / "out" / "frames.frames").glob("2.*"))
    assert len(files) == 3
    values = []
    for file in files:
        again = rilievo.Prediction.from_depth(frames / "2.png", file)
        values.append(float(np.median(again.depth.values)))
        # The known point is one of the first frame.
        measured = again.distance(160, 120)
        assert measured.origin is MeasurementOrigin.NETWORK
        assert half_width(measured) > 0.2
    np.testing.assert_allclose(values, values[0], rtol=5e-3)
    # The same holds of frames that are read back.
    for name, is_known in (("0.npz", True), ("2.npz", False)):
        frame = rilievo.read_prediction(tmp_path / "out" / "frames.frames" / name)
        measured = frame.distance(160, 120)
        assert (measured.origin is MeasurementOrigin.KNOWN) == is_known


@pytest.mark.parametrize("name", ["npz", "png16", "npy"])
def test_a_networks_depth_is_no_sensor(
    predicted: rilievo.Prediction, name: str, tmp_path: Path
) -> None:
    predicted.save(tmp_path / "room", [name])
    path = tmp_path / f"room{SUFFIXES[name]}"
    options: dict[str, Any] = {
        "model": FixedDepth(np.full(SIZE, 1.0)),
        "sparse": path,
        "camera": K,
        "trim": False,
    }
    with pytest.raises(InputError, match=r"'test/fixed-depth' predicted.*depth_error"):
        rilievo.predict(PHOTO, **options)
    with pytest.warns(UserWarning, match="you state"):
        stated = rilievo.predict(PHOTO, **options, depth_error="20%")
    assert half_width(stated.distance(40, 40)) == pytest.approx(0.2, rel=0.1)


@pytest.mark.filterwarnings("ignore:.*only the pixels that the sensor measured")
def test_a_saved_sensor_is_a_sensor_again_without_the_filled_pixels(
    sensed: rilievo.Prediction, tmp_path: Path
) -> None:
    sensed.save(tmp_path / "sensor", ["npz", "png16"])
    network = FixedDepth(np.full(SIZE, 1.0))
    for name in ("sensor.npz", "sensor.depth16.png"):
        again = rilievo.predict(PHOTO, model=network, sparse=tmp_path / name, camera=K, trim=False)
        assert again.distance(40, 40).origin is MeasurementOrigin.SENSOR
        assert again.distance(160, 120).origin is MeasurementOrigin.SENSOR_GAP
        assert half_width(again.distance(40, 40)) == pytest.approx(0.005, rel=0.2)
    (tmp_path / "sensor.npz").unlink()
    with pytest.raises(InputError, match="npz file"):
        rilievo.predict(
            PHOTO, model=network, sparse=tmp_path / "sensor.depth16.png", camera=K, trim=False
        )


def test_the_command_measures_on_a_saved_prediction_as_of_its_network(
    predicted: rilievo.Prediction,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    np.save("own.npy", SLANTED)
    predicted.save("room", ["png16"])
    words = ["measure", "photo.png", "--distance", "40,40", "--json", "--depth"]
    assert main([*words, "own.npy"]) == 0
    assert json.loads(capsys.readouterr().out)["origin"] == "depth map"
    assert main([*words, "room.depth16.png"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["origin"] == "network"
    assert answer["instrument"] is None
    assert answer["high"] / answer["low"] > 1.3
    assert "predicted by the network 'test/fixed-depth'" in told.err


def test_labels_of_a_fused_clip_are_no_instruments_depth(tmp_path: Path) -> None:
    record = {
        "format": "rilievo-labels/1",
        "clip": "clip",
        "unit": "metre",
        "size": SIZE,
        "camera": [280.0, 280.0, 159.5, 119.5],
        "names": ["one"],
        "weight": 0.5,
        "digest": "",
    }
    (tmp_path / "labels.json").write_text(json.dumps(record))
    np.savez(tmp_path / "one.npz", depth=SLANTED.astype(np.float32), weight=np.ones(SIZE))
    again = rilievo.Prediction.from_depth(PHOTO, tmp_path / "one.npz")
    assert again.measure(*POINTS).origin is MeasurementOrigin.NETWORK
    np.testing.assert_array_equal(again.known_camera.K, K)
    again.save(tmp_path / "again", ["png16"])
    once_more = given(tmp_path / "again.depth16.png")
    assert once_more.measure(*POINTS).origin is MeasurementOrigin.NETWORK
    assert given(tmp_path / "one.npz", depth_error="1%").distance(40, 40).high < 3
