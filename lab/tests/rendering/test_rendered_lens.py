"""Faults of the camera that took a rendered frame, and that it sees what it was aimed at."""

import numpy as np
import pytest

from lab.scenes import TextureBank
from lab.scenes.cameras import choose_view
from lab.scenes.dice import Dice
from lab.scenes.lens import Lens, choose_lens, expose, fringed, streak
from lab.scenes.scene import Scene
from lab.scenes.stage import Stage
from lab.scenes.venue import Approach, Subject, Venue, outdoor_ambience

SIZE = (48, 64)


def lens_of(*, shake: float = 0.0, fringe: float = 0.0) -> Lens:
    """A camera without faults but those named."""
    return Lens(
        brightness=0.25,
        cast=np.ones(3, np.float32),
        vignette=0.0,
        blur=0.0,
        bloom=0.0,
        clips=True,
        gamma=2.2,
        grain=0.0,
        shake=shake,
        heading=0.4,
        fringe=fringe,
    )


@pytest.mark.parametrize("heading", [0.0, 0.7, 2.5, 5.9])
@pytest.mark.parametrize("length", [1.5, 5.0])
def test_a_shaken_point_becomes_an_even_line_of_that_length_and_direction(
    length: float, heading: float
) -> None:
    """The variance of an even line is length² / 12; bilinear drawing adds a sixth at most."""
    weights = streak(length, heading).astype(float)
    side = weights.shape[0]
    y, x = np.mgrid[:side, :side] - side // 2
    assert weights.sum() == pytest.approx(1.0)
    assert (weights * x).sum() == pytest.approx(0.0, abs=1e-5)
    assert (weights * y).sum() == pytest.approx(0.0, abs=1e-5)
    along, across = (
        x * np.cos(heading) + y * np.sin(heading),
        y * np.cos(heading) - x * np.sin(heading),
    )
    assert (weights * along**2).sum() == pytest.approx(length**2 / 12, abs=0.45)
    assert (weights * across**2).sum() < 0.26


def test_fringes_move_red_out_and_blue_in_and_leave_green() -> None:
    light = np.zeros((41, 81, 3), np.float32)
    light[:, 60] = 1.0
    red, green, blue = np.moveaxis(fringed(light, 0.03), -1, 0)
    np.testing.assert_array_equal(green, light[..., 1])
    columns = np.arange(81)
    # 20 px right of the middle, 3% of that either way.
    assert (red[20] * columns).sum() / red[20].sum() == pytest.approx(60.6, abs=0.05)
    assert (blue[20] * columns).sum() / blue[20].sum() == pytest.approx(59.4, abs=0.05)


def test_faults_change_a_photograph_and_not_its_brightness() -> None:
    draw = np.random.default_rng(0)
    light = np.zeros((60, 80, 3), np.float32)
    light[20:40, 20:60] = 0.2
    level = np.float32(0.25)
    plain = expose(light, lens_of(), level, draw)
    assert set(np.unique(plain)) == {0, round(255 * 0.2 ** (1 / 2.2))}
    for faulty in (lens_of(shake=4.0), lens_of(fringe=0.02)):
        photograph = expose(light, faulty, level, draw)
        assert not np.array_equal(photograph, plain)
        assert abs(photograph[30, 40].astype(int) - plain[30, 40]).max() <= 1
        linear = (photograph / 255.0) ** 2.2
        assert linear.sum() == pytest.approx(((plain / 255.0) ** 2.2).sum(), rel=0.03)


def test_one_camera_in_ten_shakes() -> None:
    draw = np.random.default_rng(0)
    lenses = [choose_lens(Dice(seed), draw) for seed in range(600)]
    assert 0.05 < np.mean([lens.shake > 0 for lens in lenses]) < 0.16
    assert 0.13 < np.mean([lens.fringe != 0 for lens in lenses]) < 0.28


@pytest.mark.parametrize("is_walled", [False, True])
def test_nobody_is_photographed_through_a_wall(textures: TextureBank, is_walled: bool) -> None:
    """The person is two metres away; the walls are within one metre on all sides."""
    stage = Stage(Dice(0), textures.groups)
    stage.ground(stage.plain())
    stage.ellipsoid((0, 0, 1), (0.3, 0.3, 0.9), stage.plain())
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)) if is_walled else ():
        stage.box((x, y, 3), (0.2 + 2 * abs(y), 0.2 + 2 * abs(x), 6), stage.plain())
    subject = Subject(point=np.array([0.0, 0.0, 1.0]), bearing=0.5, away=2.0, rise=0.05)
    venue = Venue(
        stage=stage, approach=Approach.SUBJECT, width=9.0, length=9.0, height=9.0,
        ambience=outdoor_ambience(stage.dice), subject=subject,
    )  # fmt: skip
    scene = Scene(
        solids=stage.solids(), materials=stage.materials(), lights=(), ambience=venue.ambience,
        sky=np.zeros((2, 2, 3), np.float32),
    )  # fmt: skip
    view = choose_view(venue, scene, stage.dice, SIZE)
    assert (view is None) == is_walled
