"""Views of a sphere: what they see, their scales, their merging; truth is a box room."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.geometry.cameras.lens import Lens
from rilievo.models.wide_photographs.sphere_scales import (
    Corrections,
    Layers,
    ScalePlaces,
    merge_layers,
    normalise_spans,
    row_latitudes,
    shifted_log_depth,
    solve_corrections,
    solve_shifts,
)
from rilievo.models.wide_photographs.sphere_views import (
    SpherePicture,
    SphereView,
    covering_views,
    cube_views,
    fill_unknown,
    icosahedron_views,
    sample_bilinear,
)

SIZE = (64, 128)
ROOM = np.array([2.0, 1.3, 3.0])


def pixels_of(shape: tuple[int, int]) -> np.ndarray:
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    return np.stack([u, v])


def distance(directions: np.ndarray) -> np.ndarray:
    """Distance from a place in a box room to its walls, along unit directions."""
    at = np.array([0.4, 0.2, -0.7])[:, None, None]
    with np.errstate(divide="ignore"):
        return ((np.sign(directions) * ROOM[:, None, None] - at) / directions).min(axis=0)


DIRECTIONS = panorama(SIZE).rays(pixels_of(SIZE))
TRUE = np.log(distance(DIRECTIONS)).astype(np.float32)


def layers_of(views: list[SphereView], factors: np.ndarray, noise: float = 0.0) -> Layers:
    """The truth as views see it, each times a factor, with weights that fall to their edges."""
    draw = np.random.default_rng(1)
    values, weights = [], []
    for view, factor in zip(views, factors, strict=True):
        x, y, z = np.tensordot(view.turn.T, DIRECTIONS, 1)
        edge = np.maximum(np.abs(x), np.abs(y)) / np.where(z > 0, z * view.tangent, np.inf)
        weights.append(np.where(z > 0, np.clip(1 - edge, 0, 1), 0))
        error = np.where(draw.random(SIZE) < noise, draw.normal(0, 2, SIZE), 0)
        values.append(TRUE + factor + error)
    area = np.cos(row_latitudes(SIZE[0]))
    return Layers(
        values=np.stack(values).astype(np.float32),
        weights=np.stack(weights).astype(np.float32),
        area=area,
    )


@pytest.mark.parametrize(
    "views", [icosahedron_views(upright=True), icosahedron_views(upright=False), cube_views()]
)
def test_views_are_rotations_that_see_the_whole_sphere(views):
    seen = np.zeros(SIZE, bool)
    for view in views:
        np.testing.assert_allclose(view.turn.T @ view.turn, np.eye(3), atol=1e-12)
        assert np.linalg.det(view.turn) == pytest.approx(1)
        x, y, z = np.tensordot(view.turn.T, DIRECTIONS, 1)
        seen |= (z > 0) & (np.maximum(np.abs(x), np.abs(y)) <= view.tangent * z)
        if abs(view.turn[1, 2]) < 0.99:
            assert view.turn[1, 0] == pytest.approx(0)  # its rows are level
    assert seen.all()


@pytest.mark.parametrize(
    ("lens", "shape", "count"),
    [
        (panorama((64, 128)), (64, 128), 12),
        (replace(equidistant_fisheye((90, 90), 180), limit=np.pi / 2), (90, 90), 6),
        (Distorted(fx=70, fy=70, cx=45, cy=30, k=(-0.2, 0.02, 0, 0, 0, 0)), (60, 90), 1),
        (panorama((40, 60), horizontal=80, vertical=50), (40, 60), 1),
    ],
    ids=["panorama", "fisheye", "distorted", "small part"],
)
def test_views_of_a_picture_see_all_of_it(lens: Lens, shape, count):
    views = covering_views(lens, shape)
    assert len(views) == count
    rays = lens.rays(pixels_of(shape)).reshape(3, -1)
    rays = rays[:, np.isfinite(rays[0])]
    covered = np.zeros(rays.shape[1], bool)
    for view in views:
        x, y, z = view.turn.T @ rays
        covered |= (z > 0) & (np.maximum(np.abs(x), np.abs(y)) <= view.tangent * z * 1.0001)
    assert covered.mean() > 0.99


@pytest.mark.parametrize("factor", [1, 2])
def test_a_view_shows_what_its_camera_sees(factor: int):
    """The colour of the picture is its direction, so each pixel of a view knows its own.

    A picture with more pixels than views need is made smaller first.
    """
    shape = (512 * factor, 1024 * factor)
    lens = panorama(shape)
    pixels = np.round((lens.rays(pixels_of(shape)) + 1) * 127.5).astype(np.uint8)
    picture = SpherePicture(np.moveaxis(pixels, 0, 2), lens, pixels_a_radian=1024 / (2 * np.pi))
    for view in icosahedron_views(upright=True):
        colours = picture.render_view(view, 64)
        rays = Camera(K=view.K(64)).rays(pixels_of((64, 64)))
        seen = np.tensordot(view.turn, rays / np.linalg.norm(rays, axis=0), 1)
        expected = np.moveaxis((seen + 1) * 127.5, 0, 2)
        assert np.abs(colours - expected).max() < 2.5


def places_of(views: list[SphereView]) -> ScalePlaces:
    seen = [np.tensordot(view.turn.T, DIRECTIONS, 1) for view in views]
    z = np.stack([np.maximum(each[2], 0.1) for each in seen])
    across, down = (
        np.stack([each[axis] for each in seen]) / (z * views[0].tangent) for axis in (0, 1)
    )
    return ScalePlaces(
        across=across.astype(np.float32),
        down=down.astype(np.float32),
        log_ray_lengths=-np.log(z).astype(np.float32),
    )


def test_factors_of_views_are_found_among_outliers():
    views = icosahedron_views(upright=True)
    factors = np.random.default_rng(0).normal(0, 0.5, len(views))
    corrections = solve_corrections(layers_of(views, factors, noise=0.2), places_of(views))
    expected = -factors - np.median(-factors)
    np.testing.assert_allclose(corrections.log_factors, expected, atol=5e-3)
    assert np.abs(corrections.slopes).max() < 5e-3
    assert corrections.power > 0.97


@pytest.mark.parametrize("power", [0.7, 1.0])
def test_the_power_to_which_depth_is_contracted_shows_where_views_overlap(power):
    views, places = icosahedron_views(upright=True), places_of(icosahedron_views(upright=True))
    factors = np.random.default_rng(0).normal(0, 0.5, len(views))
    true = layers_of(views, np.zeros(len(views)))
    depths = (true.values - places.log_ray_lengths) * power + factors[:, None, None].astype(
        np.float32
    )
    layers = replace(true, values=depths + places.log_ray_lengths)
    corrections = solve_corrections(layers, places)
    assert corrections.power == pytest.approx(power, abs=0.03)
    medians = corrections.median_logs[:, None, None]
    straight = (
        medians + (depths - medians) / corrections.power + corrections.log_factors[:, None, None]
    )
    error = np.where(true.weights > 0, straight + places.log_ray_lengths - true.values, np.nan)
    assert np.nanstd(error) < 0.05 * TRUE.std()


def test_a_correction_of_a_map_is_that_of_its_pixels():
    corrections = Corrections(
        power=0.5,
        median_logs=np.array([0.0, 1.0]),
        log_factors=np.array([0.0, 0.25]),
        slopes=np.array([[0, 0], [0.1, -0.2]]),
    )
    values = np.full((4, 2), 3, np.float32)
    assert corrections.correct_log_z(0, values)[0, 0] == 6
    # The first pixel is half a pixel inside the corner.
    assert corrections.correct_log_z(1, values)[0, 0] == pytest.approx(1 + 4 + 0.25 - 0.05 + 0.15)


def test_views_without_anything_in_common_are_refused():
    views = [icosahedron_views(upright=True)[index] for index in (0, 11)]
    with pytest.raises(InputError, match="no depth in common"):
        solve_corrections(layers_of(views, np.zeros(2)), places_of(views))


@pytest.mark.parametrize("inverse", [True, False])
def test_a_scale_and_a_shift_of_each_view_are_found_by_what_views_share(inverse):
    views, places = icosahedron_views(upright=True), places_of(icosahedron_views(upright=True))
    draw = np.random.default_rng(4)
    true = layers_of(views, np.zeros(12))
    seen = true.weights > 0
    z = np.where(seen, np.exp(true.values - places.log_ray_lengths), 1)
    for own, index in zip(seen, z, strict=True):
        index[~own] = np.median(index[own])
    scales, shifts = draw.uniform(0.5, 2, (12, 1, 1)), draw.uniform(-1, 1, (12, 1, 1))
    values = normalise_spans(list(((1 / z if inverse else z) * scales + shifts).astype(np.float32)))
    again = normalise_spans(list(((1 / z if inverse else z) * (3 * scales) + 5).astype(np.float32)))
    np.testing.assert_allclose(np.stack(values)[seen], np.stack(again)[seen], atol=1e-4)
    layers = replace(true, values=np.stack(values) + places.log_ray_lengths)
    corrections = solve_shifts(layers, places, inverse=inverse)
    logs = [
        shifted_log_depth(index, float(own), inverse=inverse)
        for index, own in zip(values, corrections, strict=True)
    ]
    error = np.stack(logs) + places.log_ray_lengths - true.values
    within = [index[own] - np.median(index[own]) for own, index in zip(seen, error, strict=True)]
    assert np.abs(np.concatenate(within)).mean() < 0.02


def test_shifts_stay_where_views_share_nothing():
    views = cube_views(40)[:2]
    layers = layers_of(views, np.zeros(2))
    corrections = solve_shifts(layers, places_of(views), inverse=True)
    np.testing.assert_allclose(corrections, 1 / 19)


def test_views_that_agree_merge_into_what_they_see_at_seams_and_poles_too():
    views = icosahedron_views(upright=True)
    layer = merge_layers(layers_of(views, np.zeros(len(views))))
    np.testing.assert_allclose(layer, TRUE, atol=1e-5)


def test_a_merged_map_turns_with_its_views():
    """The seam of the grid is an ordinary place: rolled layers give the rolled map."""
    layers = layers_of(
        icosahedron_views(upright=True), np.random.default_rng(3).normal(0, 0.05, 12)
    )
    rolled = Layers(
        values=np.roll(layers.values, 37, 2),
        weights=np.roll(layers.weights, 37, 2),
        area=layers.area,
    )
    np.testing.assert_allclose(
        merge_layers(rolled), np.roll(merge_layers(layers), 37, 1), atol=1e-5
    )


def test_merging_hides_the_steps_between_views():
    factors = np.random.default_rng(5).normal(0, 0.05, 12)
    layers = layers_of(icosahedron_views(upright=True), factors)
    error = merge_layers(layers) - TRUE
    steps = np.abs(np.diff(error, axis=1)).max(), np.abs(np.diff(error, axis=0)).max()
    nearest = layers.weights.argmax(axis=0)
    pasted = np.take_along_axis(layers.values, nearest[None], 0)[0] - TRUE
    assert max(steps) < 0.3 * np.abs(np.diff(pasted, axis=1)).max()


def test_unseen_places_continue_what_is_around_them():
    views = icosahedron_views(upright=True)[1:]
    layers = layers_of(views, np.zeros(len(views)))
    layer = merge_layers(layers)
    np.testing.assert_allclose(layer[layers.known], TRUE[layers.known], atol=0.02)
    assert np.isfinite(layer).all()
    below = layer[~layers.known]
    assert below.size > 0
    assert np.abs(below - TRUE[layers.known][-400:].mean()).max() < 0.5


def test_filling_keeps_what_is_known_and_is_smooth_elsewhere():
    known = np.zeros((40, 50), bool)
    known[10:30, 5:20] = True
    ramp = np.broadcast_to(np.arange(50.0)[None, :, None], (40, 50, 1)).astype(np.float32)
    filling = fill_unknown(ramp, known)
    np.testing.assert_array_equal(filling[known], ramp[known])
    assert filling.min() >= 5
    assert filling.max() <= 19.001
    assert filling[20, 45, 0] > filling[20, 0, 0]
    np.testing.assert_array_equal(fill_unknown(ramp, ~known & False), 0)


def test_sampling_is_bilinear_and_goes_round():
    field = np.arange(12.0).reshape(3, 4)
    assert sample_bilinear(field, np.array([1.25]), np.array([0.5]))[0, 0] == pytest.approx(3.25)
    assert sample_bilinear(field, np.array([3.5]), np.array([0.0]))[0, 0] == pytest.approx(3)
    assert sample_bilinear(field, np.array([3.5]), np.array([0.0]), wraps=True)[
        0, 0
    ] == pytest.approx(1.5)
