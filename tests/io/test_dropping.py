"""Parts that ``--drop`` leaves out of surfaces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.io.outputs.save_options import parse_drop
from rilievo.io.outputs.sky import background, distant_sky, likely_sky, surface_pixels, surface_sky
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.ply_files import read_ply
from support.predictions import prediction

SKIMAGE = Path(skimage.__file__).parent / "data"


def depth_map(values: np.ndarray) -> DepthMap:
    return DepthMap(values=values.astype(np.float32), kind=DepthKind.UP_TO_SCALE)


def test_the_background_begins_at_the_geometric_mean_of_near_and_far() -> None:
    depth = depth_map(np.geomspace(1, 9, 3000).reshape(50, 60))
    near, far = np.percentile(depth.values, [2, 98])
    np.testing.assert_array_equal(background(depth), depth.values > np.sqrt(near * far))
    quarter = near * (far / near) ** 0.25
    np.testing.assert_array_equal(background(depth, 0.25), depth.values > quarter)
    assert not background(depth_map(np.full((8, 8), 3.0))).any()


def landscape() -> tuple[DepthMap, np.ndarray, np.ndarray]:
    """Hills before a blue sky; a blue lake below them, and a white wall near the camera."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:120, :160]
    sky = v < 40 + 10 * np.sin(u / 20)
    pixels = rng.integers(40, 140, (120, 160, 3), np.uint8)
    pixels[..., 2] //= 2
    pixels[sky] = np.array([120, 160, 220], np.uint8)
    pixels[90:110, 20:60] = [90, 130, 200]
    pixels[:, 140:] = [230, 230, 230]
    values = np.where(sky, 60.0, 20 - v / 8)
    values[:, 140:] = 1.5
    return depth_map(values), pixels, sky & (u < 140)


def test_the_sky_is_what_is_even_far_and_reaches_the_upper_border() -> None:
    depth, pixels, sky = landscape()
    found = likely_sky(depth, pixels)
    assert (found & sky).sum() > 0.97 * sky.sum()
    assert (found & ~sky).sum() < 0.02 * sky.size


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("chelsea.png", 0, 0.005), ("coffee.png", 0, 0.005), ("rocket.jpg", 0.2, 0.6)],
)
def test_photographs_have_the_sky_that_people_see(name: str, least: float, most: float) -> None:
    pixels = np.asarray(Image.open(SKIMAGE / name).convert("RGB"))[::2, ::2]
    v = np.mgrid[: pixels.shape[0], : pixels.shape[1]][0]
    assert least <= likely_sky(depth_map(5 - v / 200), pixels).mean() <= most


def test_where_the_model_marks_the_sky_nothing_more_is_guessed() -> None:
    depth, pixels, sky = landscape()
    marked = DepthMap(values=depth.values, kind=depth.kind, valid=~sky)
    given = replace(
        prediction(),
        depth_or_none=marked,
        photo=Photo(pixels=pixels),
        normals=None,
        confidence=None,
        sky=None,
    )
    np.testing.assert_array_equal(surface_pixels(given, ("sky",)), ~sky)
    guessed = surface_pixels(replace(given, depth_or_none=depth), ("sky",))
    assert guessed[sky].mean() < 0.05


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("skies", "does not accept 'skies'; did you mean 'sky'"),
        ("sky=1", "takes no number"),
        ("background=2", "between 0 and 1"),
        ("background=far", "between 0 and 1"),
        (",", "at least one name"),
    ],
)
def test_what_cannot_be_dropped_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_drop(text)


def test_points_of_the_background_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    given = prediction(holes=False)
    everything, less = (
        save(given, tmp_path / name, ["ply"], SaveOptions(drop=drop))[0]
        for name, drop in (("all", None), ("near", "background=0.6"))
    )
    z = read_ply(less)["vertex"]["z"]
    assert 0 < len(z) < len(read_ply(everything)["vertex"]["z"])
    near, far = np.percentile(given.depth.values, [2, 98])
    assert near * (far / near) ** 0.55 < z.max() <= near * (far / near) ** 0.6
    assert '"dropped": "background=0.6"' in (tmp_path / "near.json").read_text()
    assert "dropped" not in (tmp_path / "all.json").read_text()


def test_predict_drops_and_tells_where_that_has_no_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 48), (90, 120, 30)).save(tmp_path / "a.png")
    command = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    assert main([*command, "--drop", "background"]) == 0
    assert "--drop only affects surfaces" in capsys.readouterr().err
    assert main([*command, "--drop", "clouds"]) == 2


def test_what_a_network_puts_far_behind_all_else_at_the_top_is_on_no_surface() -> None:
    street = np.tile(np.geomspace(60, 2, 120)[:, None], (1, 160))
    assert not distant_sky(depth_map(street)).any()
    sky = np.zeros(street.shape, bool)
    sky[:40, 50:110] = True
    answer = depth_map(np.where(sky, 400, np.geomspace(20, 2, 120)[:, None]))
    np.testing.assert_array_equal(distant_sky(answer), sky)
    given = replace(
        prediction(), depth_or_none=answer, photo=None, normals=None, confidence=None, sky=None
    )
    np.testing.assert_array_equal(surface_pixels(given, ()), ~sky)
    # A room with a view, whose ceiling is nearer.
    assert not distant_sky(depth_map(np.roll(answer.values, 60, axis=0))).any()


def test_a_sky_reaches_the_edge_of_depth_where_its_mask_ends_before() -> None:
    v, u = np.mgrid[:120, :160]
    # A soft tree before the sky, and hills that are as far as skies may be.
    beside = abs(u - 80) - 12
    tree = np.where(beside < 0, 5.0, np.where(beside < 1, 12.0, 200.0))
    depth = depth_map(np.where(v < 70, tree, 60.0))
    sky = (v < 70) & (beside >= 0)
    mask = (v < 68) & (beside >= 3)
    answer = replace(
        prediction(), depth_or_none=depth, photo=None, normals=None, confidence=None, sky=mask
    )
    whole = surface_sky(answer)
    np.testing.assert_array_equal(whole[:70], sky[:70])
    assert not whole[74:].any()
    np.testing.assert_array_equal(surface_pixels(answer, ()), ~whole)
    # Ground that recedes to the horizon has no edge.
    plain = depth_map(np.where(v < 40, 200.0, 100 / (v - 38.0).clip(1)))
    ground = replace(answer, depth_or_none=plain, sky=v < 40)
    assert surface_sky(ground)[46:].sum() == 0
