"""Written files can be read back, and damage is reported."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, MissingExtraError, OutputError, RilievoError
from rilievo.io.outputs.sidecar import read_sidecar, sidecar_path
from rilievo.prediction import Prediction
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import OUTPUTS, Need, SaveOptions, save
from rilievo.records.depth_map import DepthKind
from support.predictions import MADE_BY, prediction

ANCHORED = ("anchored", "colmap", "gdepth", "kitti", "tum", "dpt")
PICTURED = ("normals", "colmap-normals")
READABLE = [name for name, output in OUTPUTS.items() if output.reader]
EMBEDDING = [name for name, output in OUTPUTS.items() if output.json_reader]


def agree(back: Prediction, given: Prediction, name: str, scale: float = 0.0) -> None:
    """Everything that this output gives is as it was, exactly or to half a step."""
    exact, gives = OUTPUTS[name].is_exact, OUTPUTS[name].readable
    assert back.made_by == MADE_BY
    assert back.camera is not None
    assert given.camera is not None
    np.testing.assert_array_equal(back.camera.K, given.camera.K)
    assert back.camera.source is given.camera.source
    if Need.DEPTH in gives:
        assert back.depth is not None
        assert given.depth is not None
        assert back.depth.kind is given.depth.kind
        valid = given.depth.valid
        np.testing.assert_array_equal(back.depth.valid, valid)
        error = np.abs(back.depth.values[valid] - given.depth.values[valid]).max()
        assert error == 0 if exact else error <= 0.5 * scale + 1e-6
    if Need.NORMALS in gives:
        assert back.normals is not None
        assert given.normals is not None
        # Pictures and COLMAP's maps have no normals where there is no depth.
        known = given.depth.valid if name in PICTURED else np.ones(given.shape, bool)
        cosine = np.clip((back.normals * given.normals).sum(axis=0), -1, 1)[known]
        np.testing.assert_array_equal(back.normals[2, ~known], -1)
        assert (back.normals == given.normals).all() if exact else cosine.min() > np.cos(0.01)
    if Need.CONFIDENCE in gives and exact:
        np.testing.assert_array_equal(back.confidence, given.confidence)
    if Need.SKY in gives:
        np.testing.assert_array_equal(back.sky, given.sky)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("name", "kind"),
    # Affine depth is anchored by a model: tests/predicting/test_anchored.py.
    [
        (name, kind)
        for name in READABLE
        for kind in DepthKind
        if name not in ("confidence", "sky") and (name not in ANCHORED or kind.is_depth)
    ],
)
def test_every_format_gives_back_what_it_was_given(
    tmp_path: Path, name: str, kind: DepthKind, compress: bool
) -> None:
    given = prediction(kind)
    [path, json] = save(given, tmp_path / "photo", [name], SaveOptions(compress=compress))
    [facts] = read_sidecar(json).files
    agree(read_prediction(path), given, name, facts.scale or 0.0)


def test_confidence_comes_back_to_half_a_step(tmp_path: Path) -> None:
    given = prediction()
    save(given, tmp_path / "photo", ["npy", "confidence"])
    back = read_prediction(tmp_path / "photo").confidence
    assert back is not None
    assert given.confidence is not None
    assert np.abs(back - given.confidence).max() <= 0.5 / 255 + 1e-6


def test_the_sky_comes_back_as_it_was(tmp_path: Path) -> None:
    given = prediction()
    save(given, tmp_path / "photo", ["npy", "sky"])
    back = read_prediction(tmp_path / "photo").sky
    assert given.sky is not None
    assert 0 < given.sky.sum() < given.sky.size
    np.testing.assert_array_equal(back, given.sky)
    [_, facts] = read_sidecar(tmp_path / "photo.json").files
    assert facts.sky == pytest.approx(2 / given.sky.size, abs=1e-6)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", EMBEDDING)
def test_a_file_that_says_what_it_is_can_be_read_alone_and_renamed(
    tmp_path: Path, name: str, holes: bool
) -> None:
    given = prediction(DepthKind.UP_TO_SCALE, holes=holes, name="Küche\udcff.jpg")
    [path, json] = save(given, tmp_path / "photo", [name])
    [facts] = read_sidecar(json).files
    json.unlink()
    alone = path.rename(tmp_path / f"other{OUTPUTS[name].suffix}")
    agree(read_prediction(alone), given, name, facts.scale or 0.0)


def test_a_set_is_read_from_its_most_exact_files(tmp_path: Path) -> None:
    given = prediction()
    save(given, tmp_path / "photo", ["png16", "normals", "normals-npy", "npy", "confidence"])
    for way in (tmp_path / "photo", tmp_path / "photo.json", str(tmp_path / "photo.depth.npy")):
        back = read_prediction(way)
        agree(back, given, "npy")
        agree(back, given, "normals-npy")
        assert back.confidence is not None


def test_the_file_that_is_named_comes_first(tmp_path: Path) -> None:
    given = prediction()
    save(given, tmp_path / "photo", ["npy", "png16", "normals-npy"])
    named = read_prediction(tmp_path / "photo.depth16.png").depth
    assert named is not None
    assert given.depth is not None
    # Whole millimetres, unlike the slanted wall.
    difference = np.abs(named.values - given.depth.values)[given.depth.valid]
    assert 0 < difference.max() < 0.00051


def test_files_that_were_taken_away_are_passed_over(tmp_path: Path) -> None:
    given = prediction()
    save(given, tmp_path / "photo", ["npy", "png16"])
    (tmp_path / "photo.depth.npy").unlink()
    agree(read_prediction(tmp_path / "photo"), given, "png16", 0.001)
    (tmp_path / "photo.depth16.png").unlink()
    with pytest.raises(InputError, match=r"missing: photo\.depth\.npy, photo\.depth16\.png"):
        read_prediction(tmp_path / "photo")


def test_pictures_and_surfaces_hold_no_numbers(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["colour", "ply", "glb"])
    for name in ("photo", "photo.depth.png", "photo.ply"):
        with pytest.raises(InputError, match="contains depth or normals as arrays"):
            read_prediction(tmp_path / name)


def test_what_is_not_there_or_not_ours_is_said(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.depth16.png")
    np.save(tmp_path / "a.depth.npy", np.zeros((4, 4)))
    np.savez(tmp_path / "a.npz", depth=np.zeros((4, 4)))
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "a.depth.tiff").mkdir()
    for name in ("a.depth16.png", "a.depth.npy", "a.npz", "a.txt", "a.depth.tiff", "nothing"):
        with pytest.raises(InputError) as caught:
            read_prediction(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert "\n" not in message


def test_a_file_of_another_size_than_the_json_says_is_refused(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy"])
    np.save(tmp_path / "photo.depth.npy", np.ones((4, 5), np.float32))
    with pytest.raises(InputError, match=r"depth is \(4, 5\) float32, expected \(24, 32\)"):
        read_prediction(tmp_path / "photo")


def test_damage_to_the_pixels_of_an_exr_is_noticed(tmp_path: Path) -> None:
    """The library fills in zeros for rows that it cannot read, and continues."""
    [path, _] = save(prediction(DepthKind.AFFINE), tmp_path / "photo", ["exr"])
    broken = bytearray(path.read_bytes())
    broken[-50] ^= 1
    path.write_bytes(broken)
    with pytest.raises(InputError, match="the checksum of its pixels does not match"):
        read_prediction(path)


def test_the_largest_maps_are_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 32 // 3)
    given = prediction()
    for name in ("png16", "tiff", "normals"):
        [path, _] = save(given, tmp_path / name, [name])
        agree(read_prediction(path), given, name, 0.001)


def test_a_path_of_two_lines_is_one_line_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines.depth.npy"
    with pytest.raises(InputError) as caught:
        read_prediction(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as refused:
        save(prediction(), tmp_path / "two\nlines", ["npy"])
    assert "\n" not in str(refused.value)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(prediction(), tmp_path / "photo", ["exr"])
    monkeypatch.setitem(__import__("sys").modules, "OpenEXR", None)
    with pytest.raises(MissingExtraError, match=r"rilievo\[formats\]"):
        read_prediction(tmp_path / "photo.depth.exr")


@pytest.mark.filterwarnings("ignore:the depth file has changed since")
@pytest.mark.parametrize("with_json", [True, False])
@pytest.mark.parametrize("name", [name for name in READABLE if name not in ("confidence", "sky")])
def test_damaged_files_are_said_in_one_line(tmp_path: Path, name: str, with_json: bool) -> None:
    """Truncated, flipped and zeroed; what cannot be noticed gives a whole prediction."""
    [path, json] = save(prediction(), tmp_path / "photo", [name])
    if not with_json:
        json.unlink()
    whole, rng = path.read_bytes(), random.Random(name)
    for trial in range(40):
        broken, at = bytearray(whole), rng.randrange(len(whole))
        match trial % 4:
            case 0:
                del broken[at:]
            case 1:
                broken[at] ^= 1 << rng.randrange(8)
            case 2:
                broken[at : at + 50] = bytes(len(broken[at : at + 50]))
            case 3:
                broken[rng.randrange(60)] ^= 255
        path.write_bytes(broken)
        try:
            back = read_prediction(path)
        except RilievoError as error:
            message = str(error)
        else:
            message = f"{path}: {back.shape}"
        assert message.startswith(f"{path}: ")
        assert "\n" not in message


def test_a_json_that_names_a_file_no_system_takes_is_one_line(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "x", ["npy"])
    beside = sidecar_path(tmp_path / "x")
    name = "x.depth.npy"
    beside.write_text(beside.read_text().replace(name, 200 * name))
    with pytest.raises(InputError) as caught:
        read_prediction(tmp_path / "x")
    assert len(str(caught.value)) <= 1000
