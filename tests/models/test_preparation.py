"""Preparation of photographs for a network, by each author's rule."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import ModelError
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.models.resampling.preparation import (
    Grid,
    Preparation,
    Resampling,
    Rule,
    Sizing,
    bilinear_points,
    parse_preparation,
)
from rilievo.models.resampling.resizing import resize_by_filter, resize_depth

SHAPES = st.tuples(st.integers(1, 400), st.integers(1, 400))
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("rule", "shape", "size"),
    [
        # 518/480 = 1.079 is nearer to 1 than 518/640 = 0.809: 480 x 640 -> 518 x 690.7.
        (Rule.LEAST_CHANGE, (480, 640), (518, 686)),
        # 518/3000 is nearer to 1 than 518/4000, so the height is fitted: 518 x 690.7.
        (Rule.LEAST_CHANGE, (3000, 4000), (518, 686)),
        # 7 is nearer to 1 than 7.97; halves go to even: 7 * 65 = 455 = 32.5 * 14, so 32 * 14.
        (Rule.LEAST_CHANGE, (65, 74), (448, 518)),
        (Rule.FIXED, (480, 640), (518, 518)),
        (Rule.SHORTEST_EDGE, (480, 640), (518, 686)),
        (Rule.SHORTEST_EDGE, (640, 480), (686, 518)),
    ],
)
def test_sizes_follow_the_rules_as_worked_out_by_hand(
    rule: Rule, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    assert Sizing(rule=rule, height=518, width=518, multiple=14).size(shape) == size


def test_halves_of_a_multiple_go_to_even() -> None:
    sizing = Sizing(rule=Rule.LEAST_CHANGE, height=64, width=64, multiple=32)
    assert sizing.size((64, 80)) == (64, 64)
    assert sizing.size((64, 112)) == (64, 128)


def test_photographs_keep_their_size_rounded_down_unless_they_are_large() -> None:
    sizing = Sizing(rule=Rule.FLOOR, pixel_count=1280 * 960, multiple=32)
    assert sizing.size((427, 561)) == (416, 544)
    assert sizing.size((2 * 960, 2 * 1280)) == (960, 1280)


@given(shape=SHAPES, rule=st.sampled_from(Rule))
@settings(deadline=None)
def test_every_size_is_a_positive_multiple(shape: tuple[int, int], rule: Rule) -> None:
    sizing = Sizing(rule=rule, height=56, width=70, pixel_count=3920, multiple=14)
    height, width = sizing.size(shape)
    assert height % 14 == width % 14 == 0
    assert height > 0
    assert width > 0


@pytest.mark.slow
@given(photo=SHAPES, size=SHAPES, corners=st.booleans(), seed=st.integers(0, 9))
def test_points_are_interpolated_as_torch_does_it(
    photo: tuple[int, int], size: tuple[int, int], corners: bool, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*photo, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=corners)[
        0
    ].permute(1, 2, 0)
    grid = Grid.CORNERS if corners else Grid.CENTRES
    # Places are float32 in both, and a grey step of 255 turns their last digits into this.
    np.testing.assert_allclose(bilinear_points(pixels, size, grid=grid), theirs, atol=0.02)


@given(photo=st.tuples(st.integers(8, 90), st.integers(8, 90)))
def test_a_reflected_border_is_as_if_the_photograph_had_been_padded(
    photo: tuple[int, int],
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*photo, 3), dtype=np.uint8)
    padded = np.pad(pixels, ((5, 5), (7, 7), (0, 0)), mode="reflect")
    ours = bilinear_points(pixels, (40, 50), grid=Grid.CORNERS, border=(5, 7))
    np.testing.assert_array_equal(ours, bilinear_points(padded, (40, 50), grid=Grid.CORNERS))


def test_the_border_is_taken_off_where_it_was_put_on() -> None:
    """A ramp across the padded photograph comes back as the photograph's own ramp."""
    preparation = Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=60, width=80, multiple=4),
        resampling=Resampling.BILINEAR_CORNERS,
        border_factor=3.0,
    )
    border = preparation.border((98, 128))
    assert border == (21, 24)
    whole = 128 + 2 * 24
    ramp = ((np.arange(80) + 0.5) * whole / 80 - 24).astype(np.float32)
    padded_axes = preparation.padded_axes((98, 128))
    field = resize_by_filter(np.tile(ramp, (60, 1)), (98, 128), Filter.ANTIALIASED, padded_axes)
    assert field.shape == (98, 128)
    np.testing.assert_allclose(field[50], np.arange(128) + 0.5, atol=1e-3)


@pytest.mark.parametrize(
    ("fill", "shape", "rows", "columns"),
    [
        # 30 = 3 * 14 - 12 and 29 = 3 * 14 - 13, of which the odd row lies after the photograph.
        (14, (30, 29), (6, 6), (6, 7)),
        (14, (28, 29), (0, 0), (6, 7)),
        (2, (47, 60), (0, 1), (0, 0)),
        (2, (46, 60), None, None),
        (1, (47, 61), None, None),
    ],
)
def test_a_network_fills_up_to_a_multiple_evenly(
    fill: int,
    shape: tuple[int, int],
    rows: tuple[int, int] | None,
    columns: tuple[int, int] | None,
) -> None:
    preparation = Preparation(sizing=Sizing(rule=Rule.FLOOR, pixel_count=10_000), pad_multiple=fill)
    padded_axes = preparation.padded_axes(shape)
    if padded_axes is None:
        assert rows is None
        return
    paddings = [(axis.padding_before, axis.padding_after) for axis in padded_axes]
    assert paddings == [rows, columns]
    assert tuple(axis.photo_length for axis in padded_axes) == shape


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("resampling", Resampling)
def test_what_a_file_says_of_its_preparation_is_read_back(
    rule: Rule, resampling: Resampling
) -> None:
    preparation = Preparation(
        sizing=Sizing(rule=rule, height=384, width=512, pixel_count=196_608, multiple=32),
        resampling=resampling,
        border_factor=0.0 if resampling.is_rounded else 3.0,
    )
    assert parse_preparation(preparation.metadata()) == preparation


@pytest.mark.parametrize(
    "entry",
    [("sizing", "cubic"), ("size", "12"), ("multiple", "0"), ("padding", "nan")],
)
def test_a_preparation_that_makes_no_sense_is_refused(entry: tuple[str, str]) -> None:
    sizing = Sizing(rule=Rule.FIXED, height=32, width=32)
    said = {**Preparation(sizing=sizing).metadata(), f"rilievo.{entry[0]}": entry[1]}
    with pytest.raises(ValueError, match=r".+"):
        parse_preparation(said)


def test_numbers_out_of_range_are_refused() -> None:
    sizing = Sizing(rule=Rule.FIXED, height=32, width=32)
    for wrong in ({"std": (0.0, 1.0, 1.0)}, {"border_factor": -1.0}, {"rescale": float("nan")}):
        with pytest.raises(ModelError):
            Preparation(sizing=sizing, **wrong)
    with pytest.raises(ModelError, match="padding needs resampling by"):
        Preparation(sizing=sizing, border_factor=3.0)


def test_a_cubic_answer_is_enlarged_as_torch_does_it() -> None:
    field = np.random.default_rng(2).uniform(1, 9, (7, 11)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(field)[None, None], (23, 40), mode="bicubic", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(resize_by_filter(field, (23, 40), Filter.CUBIC), theirs, rtol=1e-4)
    level = np.full((7, 11), 3, np.float32)
    np.testing.assert_allclose(resize_by_filter(level, (23, 40), Filter.CUBIC), 3, rtol=1e-5)


@pytest.mark.parametrize("space", [Space.INVERSE, Space.LOG])
def test_depth_that_is_linear_in_its_space_stays_so_at_another_size(space: Space) -> None:
    leave = {Space.INVERSE: np.reciprocal, Space.LOG: np.exp}[space]
    steps = [(np.arange(count) + 0.5) / count for count in (12, 48)]
    small, large = (leave(0.2 + 0.5 * step).astype(np.float32)[None, :] for step in steps)
    rule = Resizing(space=space, filter=Filter.LINEAR)
    result = resize_depth(np.repeat(small, 9, axis=0), (18, 48), rule, positive=True)
    np.testing.assert_allclose(result[:, 2:-2], np.repeat(large, 18, axis=0)[:, 2:-2], rtol=1e-5)
