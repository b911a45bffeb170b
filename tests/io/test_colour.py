"""Colours of depth and of normals."""

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import OptionError
from rilievo.io.map_pictures import (
    COLOUR_MAPS,
    ColourRange,
    DrawnQuantity,
    colour_range,
    colour_range_from_depths,
    colour_table,
    colourise,
    describe_depth_colours,
    invalid_colour,
    normals_picture,
    picture_quantity,
)
from rilievo.records.depth_map import DepthKind, DepthMap

NEAR_TO_FAR = np.linspace(1.0, 5.0, 40, dtype=np.float32).reshape(4, 10)


def depth_map(kind: DepthKind, valid: np.ndarray | None = None) -> DepthMap:
    """Depth map with near values first and far values last, of any kind."""
    values = 3 - 7 * NEAR_TO_FAR if kind is DepthKind.AFFINE_INVERSE else NEAR_TO_FAR
    if valid is None:
        valid = np.ones(values.shape, bool)
    return DepthMap(values=values, kind=kind, valid=valid)


def ramp(name: str) -> np.ndarray:
    """All colours of a map, from the first to the last."""
    values = np.arange(256, dtype=np.float32)[None]
    picture = colourise(
        DepthMap(values=values, kind=DepthKind.AFFINE_INVERSE),
        colour_map=name,
        limits=ColourRange(low=0.0, high=256.0),
    )
    return picture[0]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("viridis", (68, 1, 84), (253, 231, 37)),
        ("magma", (0, 0, 4), (252, 253, 191)),
        ("inferno", (0, 0, 4), (252, 255, 164)),
        ("plasma", (13, 8, 135), (240, 249, 33)),
        ("turbo", (48, 18, 59), (122, 4, 3)),
        ("spectral", (94, 79, 162), (158, 1, 66)),
        ("rdbu", (5, 48, 97), (103, 0, 31)),
        ("grey", (0, 0, 0), (255, 255, 255)),
    ],
)
def test_a_colour_map_begins_and_ends_as_published(
    name: str, first: tuple[int, ...], last: tuple[int, ...]
) -> None:
    colours = ramp(name)
    assert tuple(colours[0]) == first
    assert tuple(colours[-1]) == last


@pytest.mark.parametrize("name", ["viridis", "magma", "inferno", "plasma", "turbo"])
def test_every_colour_agrees_with_opencv(name: str) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    theirs = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name.upper()}"))[0, :, ::-1]
    np.testing.assert_array_equal(ramp(name), theirs)


@pytest.mark.parametrize("name", ["viridis", "magma", "inferno", "plasma", "grey"])
def test_brightness_grows_along_the_map(name: str) -> None:
    brightness = ramp(name) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) > -0.6).all()
    assert brightness[-1] - brightness[0] > 150


@pytest.mark.parametrize("kind", DepthKind)
@pytest.mark.parametrize("what", DrawnQuantity)
def test_near_is_bright_or_far_is_whatever_the_kind(kind: DepthKind, what: DrawnQuantity) -> None:
    picture = colourise(depth_map(kind), colour_map="grey", quantity=what)
    brightness = picture[..., 0].ravel().astype(int)
    steps = np.diff(brightness)
    assert (steps <= 0).all() if what is DrawnQuantity.INVERSE_DEPTH else (steps >= 0).all()
    assert abs(brightness[-1] - brightness[0]) == 255


def test_depth_is_drawn_by_its_inverse() -> None:
    np.testing.assert_allclose(
        picture_quantity(depth_map(DepthKind.METRIC)), 1 / NEAR_TO_FAR, rtol=1e-6
    )
    picture = colourise(
        DepthMap(values=np.array([[1, 2, 4]], np.float32), kind=DepthKind.METRIC),
        colour_map="grey",
        limits=ColourRange(low=0.0, high=1.0),
    )
    assert picture[0, :, 0].tolist() == [255, 128, 64]


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_invalid_pixels_have_a_colour_that_the_map_has_not(name: str) -> None:
    valid = np.ones((4, 10), bool)
    valid[1, 3] = False
    values = np.where(valid, NEAR_TO_FAR, np.nan)
    depth = DepthMap(values=values, kind=DepthKind.METRIC, valid=valid)
    picture = colourise(depth, colour_map=name)
    assert tuple(picture[1, 3]) == invalid_colour(name)
    assert not (ramp(name) == invalid_colour(name)).all(axis=1).any()
    whole = depth_map(DepthKind.METRIC)
    expected = colourise(whole, colour_map=name, limits=colour_range(depth))
    np.testing.assert_array_equal(picture[valid], expected[valid])


def name_of_colour(red: float, green: float, blue: float) -> str:
    """Name a colour by its hue, its saturation and its brightness."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.05:
        return "black"
    if saturation < 0.05:
        return "white"
    ends = {20: "red", 45: "orange", 75: "yellow", 165: "green", 190: "cyan", 246: "blue"}
    ends |= {320: "violet", 361: "red"}
    name = next(name for end, name in ends.items() if 360 * hue < end)
    if value < 0.625:
        return f"dark {name}"
    return f"pale {name}" if saturation < 0.4 else name


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_words_name_the_colours_of_near_and_far(name: str) -> None:
    table = colour_table(name)
    far, near = (name_of_colour(*table[row].tolist()) for row in (0, -1))
    assert describe_depth_colours(name) == f"near is {near} and far is {far}"


@pytest.mark.parametrize("value", [1.0, 1e-40, 3e38])
def test_a_constant_map_has_the_middle_colour(value: float) -> None:
    values = np.full((3, 3), value, np.float32)
    picture = colourise(DepthMap(values=values, kind=DepthKind.METRIC), colour_map="grey")
    assert (picture == 128).all()


def test_rounding_in_a_constant_map_is_not_drawn() -> None:
    values = np.float32(100) + np.array([[0, 1e-5], [1e-5, 0]], np.float32)
    picture = colourise(DepthMap(values=values, kind=DepthKind.UP_TO_SCALE), colour_map="grey")
    assert (picture == 128).all()


def test_a_map_without_a_valid_pixel_is_flat() -> None:
    depth = depth_map(DepthKind.METRIC, np.zeros((4, 10), bool))
    assert colour_range(depth) == ColourRange(low=0.0, high=1.0)
    assert (colourise(depth) == invalid_colour("spectral")).all()


def test_outliers_do_not_take_all_the_colours() -> None:
    values = np.linspace(1, 2, 1000, dtype=np.float32).reshape(20, 50)
    values[0, 0] = 1e6
    limits = colour_range(DepthMap(values=values, kind=DepthKind.AFFINE))
    assert -2.0 <= limits.low < limits.high <= -1.0


def test_the_range_is_that_of_percentiles_worked_out_by_hand() -> None:
    values = np.arange(101, dtype=np.float32)[None]
    depth = DepthMap(values=values, kind=DepthKind.AFFINE_INVERSE)
    assert colour_range(depth) == ColourRange(low=2.0, high=98.0)


@pytest.mark.parametrize(
    ("kind", "what", "sign", "ends"),
    [
        (DepthKind.AFFINE_INVERSE, DrawnQuantity.INVERSE_DEPTH, 1, (0.0, 0.6)),
        (DepthKind.AFFINE, DrawnQuantity.INVERSE_DEPTH, -1, (0.0, 0.6)),
        (DepthKind.AFFINE, DrawnQuantity.DEPTH, -1, (-0.6, 0.0)),
    ],
)
def test_a_strip_of_near_floor_does_not_use_up_the_colours(
    kind: DepthKind, what: DrawnQuantity, sign: int, ends: tuple[float, float]
) -> None:
    nearness = np.zeros((20, 30), np.float32)
    nearness[9:] = 0.5
    nearness[18:] = 1.0
    limits = colour_range(DepthMap(values=sign * nearness, kind=kind), what)
    np.testing.assert_allclose((limits.low, limits.high), ends, atol=1e-6)
    nearness[4:, 3:6] = 1.0  # an object that stands on it
    limits = colour_range(DepthMap(values=sign * nearness, kind=kind), what)
    assert limits.high - limits.low == 1.0


def test_a_large_map_has_the_range_of_a_small_one() -> None:
    values = np.linspace(1, 2, 2000 * 1000, dtype=np.float32).reshape(2000, 1000)
    limits = colour_range(DepthMap(values=values, kind=DepthKind.METRIC), DrawnQuantity.DEPTH)
    np.testing.assert_allclose([limits.low, limits.high], [1.02, 1.98], atol=2e-3)


def test_a_picture_of_many_bands_is_that_of_its_rows() -> None:
    values = np.random.default_rng(0).uniform(1, 5, (300, 700)).astype(np.float32)
    valid = values < 4.9
    limits = ColourRange(low=0.2, high=1.0)
    whole = colourise(DepthMap(values=values, kind=DepthKind.METRIC, valid=valid), limits=limits)
    for row in (0, 150, 299):
        part = DepthMap(values=values[row, None], kind=DepthKind.METRIC, valid=valid[row, None])
        np.testing.assert_array_equal(whole[row, None], colourise(part, limits=limits))


def test_limits_are_given_as_depths() -> None:
    near, far = DrawnQuantity.INVERSE_DEPTH, DrawnQuantity.DEPTH
    assert colour_range_from_depths(2.0, 4.0, DepthKind.METRIC, near) == ColourRange(
        low=0.25, high=0.5
    )
    assert colour_range_from_depths(2.0, 4.0, DepthKind.UP_TO_SCALE, far) == ColourRange(
        low=2.0, high=4.0
    )
    assert colour_range_from_depths(9.0, 4.0, DepthKind.AFFINE_INVERSE, near) == ColourRange(
        low=4.0, high=9.0
    )
    assert colour_range_from_depths(2.0, 4.0, DepthKind.AFFINE, near) == ColourRange(
        low=-4.0, high=-2.0
    )


@pytest.mark.parametrize(
    ("near", "far"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (0.0, np.inf), (np.nan, 1.0)]
)
def test_limits_that_are_no_range_of_depths_are_refused(near: float, far: float) -> None:
    with pytest.raises(OptionError):
        colour_range_from_depths(near, far, DepthKind.METRIC, DrawnQuantity.INVERSE_DEPTH)


def test_an_unknown_colour_map_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="no colour map 'virids'; did you mean 'viridis'"):
        colourise(depth_map(DepthKind.METRIC), colour_map="virids")


def test_normals_have_the_colours_that_the_field_knows() -> None:
    ours = {
        (0, 0, -1): (128, 128, 255),  # a wall head-on: bluish
        (0, -1, 0): (128, 255, 128),  # a floor, which looks up: greenish
        (0, 1, 0): (128, 0, 128),  # a ceiling
        (1, 0, 0): (255, 128, 128),  # a wall at the left, which looks right: reddish
        (-1, 0, 0): (0, 128, 128),
    }
    normals = np.array([list(ours)], np.float32).transpose(2, 0, 1)
    assert [tuple(colour) for colour in normals_picture(normals)[0].tolist()] == [*ours.values()]


def test_normals_without_value_are_drawn_as_none() -> None:
    normals = np.tile(np.float32([[[0]], [[0]], [[-1]]]), (1, 2, 3))
    known = np.array([[True, False, True], [True, True, False]])
    picture = normals_picture(normals, known)
    assert (picture[~known] == 128).all()
    assert (picture[known] == (128, 128, 255)).all()


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_a_normal_can_be_read_from_its_colour(normal: list[float]) -> None:
    picture = normals_picture(np.array(normal, np.float32).reshape(3, 1, 1))
    back = (picture[0, 0] / 127.5 - 1) * [1, -1, -1]
    np.testing.assert_allclose(back, normal, atol=0.5 / 127.5 + 1e-5)


def test_the_colours_of_a_flat_wall_span_at_least_a_factor_of_one_and_a_half() -> None:
    values = np.linspace(2.0, 2.1, 400, dtype=np.float32).reshape(20, 20)
    for what in DrawnQuantity:
        limits = colour_range(DepthMap(values=values, kind=DepthKind.METRIC), what)
        assert limits.high / limits.low == pytest.approx(1.5)
        shown = 1 / values if what is DrawnQuantity.INVERSE_DEPTH else values
        assert (limits.low + limits.high) / 2 == pytest.approx(np.median(shown), rel=1e-3)
    affine = colour_range(DepthMap(values=values, kind=DepthKind.AFFINE))
    assert affine.high - affine.low < 0.1
    wide = DepthMap(values=NEAR_TO_FAR, kind=DepthKind.METRIC)
    assert colour_range(wide).high == pytest.approx(1 / np.percentile(NEAR_TO_FAR, 2), rel=0.02)
