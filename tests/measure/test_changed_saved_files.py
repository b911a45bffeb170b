"""A saved depth file that was changed afterwards is not believed as it was when it was saved."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import InputError
from rilievo.measure.measurements import MeasurementOrigin
from rilievo.records.instruments import DepthSource
from support.fixed_depth import FixedDepth

SIZE = (240, 320)
K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
SLANTED = 2 / (1 - 0.4 * (U - 159.5) / 280)
POINTS = (40, 40), (280, 200)
CHANGED = "since rilievo saved it"
DEPTH_NAMES = {
    "npz": "map.npz",
    "png16": "map.depth16.png",
    "npy": "map.depth.npy",
    "tiff": "map.depth.tiff",
    "exr": "map.depth.exr",
    "pfm": "map.depth.pfm",
}
Change = Callable[[np.ndarray], np.ndarray]


def street() -> np.ndarray:
    """A photograph with a bright sky, a dark ground and a house on the left."""
    pixels = np.full((*SIZE, 3), 220.0)
    pixels[150:] = 60
    pixels[60:190, 30:120] = (150, 90, 60)
    pixels += np.random.default_rng(0).normal(0, 8, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


PHOTO = street()


def given(depth: Any, photo: Any = PHOTO, **options: Any) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(photo, depth, **options)


def half_width(measured: rilievo.measure.Measurement) -> float:
    """Half of a range over its value."""
    return (measured.high - measured.low) / 2 / measured.value


def save_instrument(folder: Path, *names: str) -> rilievo.Prediction:
    """Depth of an instrument with an error of 0.3%, saved as ``map``."""
    prediction = given(SLANTED, camera=K, depth_error="0.3%")
    prediction.save(folder / "map", names)
    return prediction


def save_network(folder: Path, *names: str) -> rilievo.Prediction:
    """Depth of a network that one known point brings to metres, saved as ``map``."""
    known = [rilievo.KnownPoint(u=160, v=120, metres=2.0)]
    network = FixedDepth(SLANTED / 3)
    prediction = rilievo.predict(PHOTO, model=network, known=known, camera=K, trim=False)
    prediction.save(folder / "map", names)
    return prediction


def change_arrays(path: Path, **changes: Any) -> None:
    """Store arrays in an npz file as numpy does, with all others as they were."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(path, **{**arrays, **changes})


def change_numbers(path: Path, change: Change) -> None:
    """Change the numbers of a file as another program does, which keeps no text of rilievo."""
    if path.suffix == ".npz":
        change_arrays(path, depth=change(np.load(path)["depth"]))
    elif path.suffix == ".npy":
        np.save(path, change(np.load(path)))
    else:
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)


def notes_on_change(prediction: rilievo.Prediction) -> list[str]:
    return [note for note in prediction.notes if CHANGED in note]


@pytest.mark.filterwarnings("ignore:.*since rilievo saved it")
@pytest.mark.parametrize("name", ["npz", "png16", "npy", "tiff"])
def test_a_changed_map_of_an_instrument_has_no_stated_error(name: str, tmp_path: Path) -> None:
    save_instrument(tmp_path, name)
    path = tmp_path / DEPTH_NAMES[name]
    change_numbers(path, lambda numbers: numbers[:, ::-1].copy())
    again = given(path)
    assert again.instrument is not None
    assert again.instrument.is_assumed
    [note] = notes_on_change(again)
    measured = again.distance(40, 40)
    assert measured.origin is MeasurementOrigin.DEPTH_MAP
    assert half_width(measured) == pytest.approx(0.02, rel=0.1)
    assert note in measured.remarks
    # The error that is stated now is that of the changed file.
    stated = given(path, depth_error="0.5%")
    assert half_width(stated.distance(40, 40)) == pytest.approx(0.005, rel=0.3)
    assert notes_on_change(stated)


@pytest.mark.filterwarnings("ignore:.*since rilievo saved it")
@pytest.mark.parametrize("name", ["npz", "png16", "npy"])
def test_a_changed_map_of_a_network_has_the_ranges_of_some_network(
    name: str, tmp_path: Path
) -> None:
    saved = save_network(tmp_path, name)
    assert saved.distance(160, 120).origin is MeasurementOrigin.KNOWN
    path = tmp_path / DEPTH_NAMES[name]
    change_numbers(path, lambda numbers: (numbers * 1.5).astype(numbers.dtype))
    again = given(path)
    [note] = notes_on_change(again)
    assert "network" in note
    assert again.calibration is None
    assert again.made_by.model != "test/fixed-depth"
    measured = again.distance(160, 120)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert half_width(measured) > 0.2


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda depth: depth * 1000,
        lambda depth: 1 / depth,
        lambda depth: depth[:, ::-1],
        lambda depth: depth[::2, ::2],
        lambda depth: depth.astype(np.float64) * 1.0000001,
        lambda depth: np.where(depth > 2.5, np.nan, depth).astype(np.float32),
    ],
    ids=["millimetres", "inverse", "mirrored", "halved", "float64", "holes"],
)
def test_every_change_of_depth_is_noticed_in_a_file_without_its_json(
    change: Change, tmp_path: Path
) -> None:
    save_instrument(tmp_path, "npz")
    (tmp_path / "map.json").unlink()
    change_numbers(tmp_path / "map.npz", change)
    again = given(tmp_path / "map.npz")
    assert len(notes_on_change(again)) == 1
    assert again.instrument is not None
    assert again.instrument.is_assumed


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inverse_depth_in_a_changed_file_is_noticed_by_its_shape(tmp_path: Path) -> None:
    x, y = np.abs(U - 159.5) / 280, np.abs(V - 119.5) / 280
    room = np.minimum(5.0, np.minimum(1.4 / np.maximum(y, 1e-9), 1.7 / np.maximum(x, 1e-9)))
    given(room, camera=K).save(tmp_path / "map", ["npz"])
    change_numbers(tmp_path / "map.npz", lambda depth: 1 / depth)
    assert any("inverse depth" in note for note in given(tmp_path / "map.npz").notes)


def test_a_changed_record_of_an_older_rilievo_is_noticed_by_the_sum_of_its_file(
    tmp_path: Path,
) -> None:
    """Older files have a checksum in the JSON beside them alone."""
    save_instrument(tmp_path, "npz", "png16")
    for name in ("map.npz", "map.depth16.png", "map.json"):
        path = tmp_path / name
        content = path.read_bytes()
        if name == "map.npz":
            about = np.load(path)["about"].item()
            change_arrays(path, about=np.array(about.replace("crc32", "other")))
            (tmp_path / "unchanged.npz").write_bytes(path.read_bytes())
        elif name == "map.json":
            path.write_bytes(content.replace(b'"crc32"', b'"other"'))
    with pytest.warns(UserWarning, match=CHANGED):
        again = given(tmp_path / "map.npz")
    assert again.instrument is not None
    assert again.instrument.is_assumed
    # Nothing says anything else of a file without a checksum.
    unchanged = given(tmp_path / "unchanged.npz")
    assert unchanged.instrument is not None
    assert not unchanged.instrument.is_assumed


@pytest.mark.parametrize("name", DEPTH_NAMES)
def test_an_unchanged_file_is_believed_wherever_it_goes(name: str, tmp_path: Path) -> None:
    saved = save_instrument(tmp_path, name)
    path = tmp_path / DEPTH_NAMES[name]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copies = [elsewhere / path.name, elsewhere / f"renamed{''.join(path.suffixes)}"]
    for file in copies:
        file.write_bytes(path.read_bytes())
    for json in ("map.json", "renamed.json"):
        (elsewhere / json).write_bytes((tmp_path / "map.json").read_bytes())
    for file in (path, *copies):
        again = given(file)
        assert not notes_on_change(again)
        assert again.instrument is not None
        assert saved.instrument is not None
        # Depth in whole numbers of a PNG is rounded.
        rounding = saved.instrument.rounding
        assert replace(again.instrument, rounding=rounding) == saved.instrument


@pytest.mark.parametrize(("old", "new"), [("280.0", "300.0"), ("0.003", "0.05")])
def test_a_changed_json_beside_a_file_with_its_own_record_is_said(
    old: str, new: str, tmp_path: Path
) -> None:
    saved = save_instrument(tmp_path, "png16", "npy")
    json = tmp_path / "map.json"
    json.write_text(json.read_text().replace(old, new))
    with pytest.warns(UserWarning, match=r"map\.json, next to the depth file, states a different"):
        again = given(tmp_path / DEPTH_NAMES["png16"])
    np.testing.assert_array_equal(again.known_camera.K, K)
    assert again.instrument is not None
    assert saved.instrument is not None
    assert again.instrument.error == saved.instrument.error
    # An npy file has no other record than this one.
    assert given(tmp_path / DEPTH_NAMES["npy"]).known_camera.fx == float(new.replace("0.05", "280"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "array", [{"valid": ~np.eye(*SIZE, dtype=bool)}, {"unit": np.array(["mm"])}, {"kind": "affine"}]
)
def test_other_arrays_that_say_what_depth_is_are_not_changed_without_a_word(
    array: dict[str, Any], tmp_path: Path
) -> None:
    save_instrument(tmp_path, "npz")
    change_arrays(tmp_path / "map.npz", **array)
    assert notes_on_change(given(tmp_path / "map.npz"))


@pytest.mark.filterwarnings("ignore:.*since rilievo saved it")
def test_another_file_of_the_name_of_an_archive_is_a_changed_one(tmp_path: Path) -> None:
    save_instrument(tmp_path, "npz")
    with (tmp_path / "map.npz").open("wb") as file:
        np.save(file, SLANTED)
    assert notes_on_change(given(tmp_path / "map.npz"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gaps_of_a_sensor_do_not_become_measured_in_a_changed_archive(tmp_path: Path) -> None:
    sensor = SLANTED.copy()
    sensor[60:180, 110:210] = 0
    network = FixedDepth(np.full(SIZE, 1.0))
    options: dict[str, Any] = {"model": network, "camera": K, "trim": False}
    made = rilievo.predict(PHOTO, sparse=sensor, depth_error="0.5%", **options)
    made.save(tmp_path / "map", ["npz", "png16"])
    change_arrays(tmp_path / "map.npz", measured=np.ones(SIZE, bool))
    for name in ("npz", "png16"):
        again = given(tmp_path / DEPTH_NAMES[name])
        assert again.distance(160, 120).origin is not MeasurementOrigin.SENSOR


def test_a_copy_of_an_archive_with_further_arrays_is_believed(tmp_path: Path) -> None:
    saved = save_instrument(tmp_path, "npz")
    change_arrays(tmp_path / "map.npz", weight=np.ones(SIZE))
    assert given(tmp_path / "map.npz").instrument == saved.instrument


@pytest.mark.filterwarnings("ignore:.*since rilievo saved it")
def test_a_changed_frame_of_a_clip_is_noticed(tmp_path: Path) -> None:
    from rilievo.cli import main

    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        Image.fromarray(np.roll(PHOTO, number, axis=1)).save(frames / f"{number}.png")
    words = ["predict", str(frames), "--sequence", "--model", "rilievo/small", "--fov", "60"]
    assert main([*words, "--save", "npy,png16", "-o", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "frames.frames" / "1.depth.npy"
    assert not notes_on_change(given(path, frames / "1.png"))
    # The sums are those of the frames, and a folder has none of its own.
    assert "crc32" not in (tmp_path / "out" / "frames.json").read_text()
    np.save(path, np.load(path)[:, ::-1])
    assert notes_on_change(given(path, frames / "1.png"))


def test_a_changed_map_is_no_sensor_of_its_record(tmp_path: Path) -> None:
    sensor = SLANTED.copy()
    sensor[60:180, 110:210] = 0
    network = FixedDepth(np.full(SIZE, 1.0))
    options: dict[str, Any] = {"model": network, "camera": K, "trim": False}
    rilievo.predict(PHOTO, sparse=sensor, depth_error="0.5%", **options).save(
        tmp_path / "map", ["npz"]
    )
    change_numbers(tmp_path / "map.npz", lambda depth: depth * np.float32(1.1))
    with pytest.raises(InputError, match=CHANGED):
        rilievo.predict(PHOTO, sparse=tmp_path / "map.npz", **options)
    with pytest.warns(UserWarning, match=CHANGED):
        again = given(tmp_path / "map.npz")
    assert again.measured is None
    assert again.distance(160, 120).origin is MeasurementOrigin.NETWORK


@pytest.mark.filterwarnings("ignore:.*since rilievo saved it")
def test_a_changed_picture_has_no_measured_pixels_of_the_archive_beside_it(tmp_path: Path) -> None:
    sensor = SLANTED.copy()
    sensor[60:180, 110:210] = 0
    options: dict[str, Any] = {"model": FixedDepth(np.full(SIZE, 1.0)), "camera": K, "trim": False}
    made = rilievo.predict(PHOTO, sparse=sensor, depth_error="0.5%", **options)
    made.save(tmp_path / "map", ["npz", "png16"])
    path = tmp_path / DEPTH_NAMES["png16"]
    assert given(path).measured is not None
    change_numbers(path, lambda counts: counts[:, ::-1].copy())
    assert given(path).measured is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_camera_of_a_file_that_was_made_smaller_is_doubted(tmp_path: Path) -> None:
    save_instrument(tmp_path, "npz")
    change_numbers(tmp_path / "map.npz", lambda depth: depth[::2, ::2])
    again = given(tmp_path / "map.npz")
    assert any("far from the middle of the 160x120" in note for note in again.notes)


def test_a_changed_map_of_an_instrument_is_a_sensor_of_an_assumed_error(tmp_path: Path) -> None:
    save_instrument(tmp_path, "png16")
    path = tmp_path / DEPTH_NAMES["png16"]
    change_numbers(path, lambda counts: counts // 2)
    options: dict[str, Any] = {"model": FixedDepth(np.full(SIZE, 1.0)), "camera": K, "trim": False}
    with pytest.warns(UserWarning, match=CHANGED):
        again = rilievo.predict(PHOTO, sparse=path, **options)
    assert again.instrument is not None
    assert again.instrument.source is DepthSource.SENSOR
    assert again.instrument.is_assumed
    assert half_width(again.distance(40, 40)) > 0.015


@pytest.mark.parametrize("keeps_record", [True, False])
def test_intrinsics_that_were_changed_in_an_archive_are_used(
    keeps_record: bool, tmp_path: Path
) -> None:
    save_instrument(tmp_path, "npz")
    changed = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
    path = tmp_path / "map.npz"
    change_arrays(path, K=changed)
    expected = given(SLANTED, camera=changed, depth_error="0.3%").measure(*POINTS)
    if not keeps_record:
        (tmp_path / "map.json").unlink()
    with pytest.warns(UserWarning, match="'K'"):
        again = given(path)
    np.testing.assert_array_equal(again.known_camera.K, changed)
    measured = again.measure(*POINTS)
    assert measured.value == pytest.approx(expected.value, rel=1e-6)
    # Depth is still that of the instrument.
    assert half_width(measured) == pytest.approx(half_width(expected), rel=1e-3)


def test_intrinsics_of_another_size_are_said_of_every_depth_file(tmp_path: Path) -> None:
    """An archive of another program: half of the pixels, K of the whole photograph."""
    path = tmp_path / "own.npz"
    np.savez(path, depth=SLANTED[::2, ::2], K=K)
    with pytest.warns(UserWarning, match=r"far from the middle of the 160x120.*320x240"):
        given(path, unit="m")
    halved = np.array([[140.0, 0, 79.5], [0, 140, 59.5], [0, 0, 1]])
    np.savez(path, depth=SLANTED[::2, ::2], K=halved)
    again = given(path, unit="m")
    assert again.known_camera.fx == pytest.approx(280)
    assert not any("middle" in note for note in again.notes)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("is mirrored", lambda pixels: pixels[:, ::-1]),
        ("is upside down and mirrored", lambda pixels: pixels[::-1]),
        ("is upside down", lambda pixels: pixels[::-1, ::-1]),
        (
            "to be a different photograph",
            lambda pixels: np.random.default_rng(5).integers(0, 255, pixels.shape, np.uint8),
        ),
        ("to be a different photograph", lambda pixels: np.full_like(pixels, 90)),
    ],
    ids=["mirrored", "upside down and mirrored", "upside down", "another", "one colour"],
)
def test_an_archive_of_another_photograph_is_said(
    words: str, change: Change, tmp_path: Path
) -> None:
    save_instrument(tmp_path, "npz", "png16")
    other = np.ascontiguousarray(change(PHOTO))
    for name in ("npz", "png16"):
        with pytest.warns(UserWarning, match=f"this photograph {words}, |this seems {words} "):
            given(tmp_path / DEPTH_NAMES[name], other)


def test_an_almost_symmetric_photograph_is_mirrored_or_not(tmp_path: Path) -> None:
    photo = np.repeat(np.linspace(20, 230, SIZE[0])[:, None, None], SIZE[1], axis=1)
    photo = np.repeat(photo, 3, axis=2).astype(np.uint8)
    photo[100:140, 40:80] = 250
    given(SLANTED, photo, camera=K).save(tmp_path / "map", ["npz"])
    given(tmp_path / "map.npz", photo)
    with pytest.warns(UserWarning, match="mirrored"):
        given(tmp_path / "map.npz", np.ascontiguousarray(photo[:, ::-1]))


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels // 2,
        lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
        lambda pixels: np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1),
        lambda pixels: pixels ^ 3,
    ],
    ids=["darker", "grey", "larger", "compressed"],
)
def test_a_copy_of_the_photograph_is_no_other_one(change: Change, tmp_path: Path) -> None:
    save_instrument(tmp_path, "npz")
    again = given(tmp_path / "map.npz", np.ascontiguousarray(change(PHOTO)))
    assert not any("another photograph" in note for note in again.notes)


def test_a_record_names_its_photograph_where_that_lies_beside_another(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        Image.fromarray(PHOTO).save(tmp_path / name)
    saved = rilievo.Prediction.from_depth(tmp_path / "first.png", SLANTED, K)
    saved.save(tmp_path / "first", ["png16"])
    depth = tmp_path / "first.depth16.png"
    with pytest.warns(UserWarning, match=r"first\.png"):
        given(depth, tmp_path / "second.png")
    given(depth, tmp_path / "first.png")
    (tmp_path / "first.png").rename(tmp_path / "renamed.png")
    given(depth, tmp_path / "renamed.png")


@pytest.mark.parametrize("name", ["npz", "png16", "npy", "tiff"])
def test_a_changed_file_that_is_read_back_has_no_stated_error(name: str, tmp_path: Path) -> None:
    saved = save_instrument(tmp_path, name)
    path = tmp_path / DEPTH_NAMES[name]
    assert rilievo.read_prediction(path).instrument == saved.instrument
    change_numbers(path, lambda numbers: numbers[:, ::-1].copy())
    with pytest.warns(UserWarning, match=CHANGED):
        again = rilievo.read_prediction(path)
    measured = again.distance(40, 40)
    assert half_width(measured) == pytest.approx(0.02, rel=0.1)
    assert notes_on_change(again)[0] in measured.remarks


def test_a_changed_file_of_a_network_that_is_read_back_has_no_known_point(tmp_path: Path) -> None:
    save_network(tmp_path, "npz")
    path = tmp_path / DEPTH_NAMES["npz"]
    assert rilievo.read_prediction(path).distance(160, 120).origin is MeasurementOrigin.KNOWN
    change_numbers(path, lambda depth: depth * np.float32(1.5))
    with pytest.warns(UserWarning, match=CHANGED):
        again = rilievo.read_prediction(path)
    measured = again.distance(160, 120)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert half_width(measured) > 0.2


def test_intrinsics_that_were_changed_in_an_archive_are_read_back(tmp_path: Path) -> None:
    save_instrument(tmp_path, "npz")
    changed = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
    change_arrays(tmp_path / "map.npz", K=changed)
    np.testing.assert_array_equal(rilievo.read_prediction(tmp_path / "map").known_camera.K, changed)
