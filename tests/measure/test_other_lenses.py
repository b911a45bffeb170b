"""Lenses that rilievo does not know: points, surfaces and sizes of a rendered box, from one file.

``other_lenses`` has the lenses; nothing of rilievo is changed for them.
"""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.calibration.points import calibrate, calibration_record
from rilievo.calibration.sizes import Along, KnownLength, KnownPoint
from rilievo.errors import CalibrationError, InputError
from rilievo.geometry.cameras import equirectangular
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.geometry.surfaces.meshes import mesh
from rilievo.measure import angle, area, height, length
from rilievo.measure.expected_errors import circumstances_at
from rilievo.measure.known_sizes import known_size_positions
from rilievo.predicting.metres.fitting import convert_by_references
from rilievo.predicting.metres.metric_references import MetricReferences
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.predicting.metres.sparse_points import known_points_of_embedded_depth
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth
from rilievo.records.prediction_record import MadeBy
from support.analytic import box, nearest
from support.other_lenses import fisheye, panorama

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
SIZE = (360, 480)
HALF = np.array([0.6, 0.5, 0.4])
CENTRE = np.array([0.9, 0.3, 2.2])
ROOM = np.array([3.0, 1.4, 4.0])
"""Half sides of the room around the camera, whose floor is 1.4 m below it."""
TURN = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
CAMERAS = {
    "fisheye": Camera(lens=fisheye(SIZE, 120)),
    "panorama": Camera(lens=panorama((480, 960))),
}
SIZES = {"fisheye": SIZE, "panorama": (480, 960)}
every_lens = pytest.mark.parametrize("name", CAMERAS)


def scene(name: str) -> tuple[Prediction, np.ndarray]:
    """A turned box that stands in a room, and the part that each pixel sees: 0 is the box."""
    camera, (rows, columns) = CAMERAS[name], SIZES[name]
    v, u = np.mgrid[:rows, :columns].astype(float)
    rays = camera.rays(np.stack([u, v]))
    inside = box(rays, np.zeros(3), ROOM, np.eye(3))
    with np.errstate(divide="ignore"):
        walls = (ROOM[:, None, None] / np.abs(rays)).min(axis=0)
    assert not inside.seen.any()  # the camera is in the room
    thing = box(rays, CENTRE, HALF, TURN)
    view = nearest(thing, thing)
    depth = np.minimum(view.depth, walls)
    part = np.where(view.depth < walls, 0, 1)
    seen = DepthMap(values=depth.astype(np.float32), kind=DepthKind.METRIC)
    return Prediction(depth_or_none=seen, camera=camera, made_by=MADE_BY), part


def corner(signs: tuple[int, int, int]) -> np.ndarray:
    return CENTRE + TURN @ (HALF * signs)


def on_face(x: float, y: float) -> np.ndarray:
    """Point of the box's front, from -1 to 1 on its sides."""
    return CENTRE + TURN @ (HALF * [x, y, -1])


def pixel(name: str, point: np.ndarray) -> tuple[float, float]:
    u, v = CAMERAS[name].project(point)
    return float(u), float(v)


@every_lens
@pytest.mark.parametrize(
    "ends", [((-0.9, -0.8), (0.9, -0.8)), ((0.0, -0.9), (0.1, 0.9)), ((-0.8, 0.7), (0.7, -0.6))]
)
def test_lengths_on_a_box_are_right(name: str, ends: tuple[tuple[float, float], ...]):
    prediction, _ = scene(name)
    first, second = (on_face(*each) for each in ends)
    found = length(prediction, pixel(name, first), pixel(name, second))
    assert found.value == pytest.approx(np.linalg.norm(second - first), rel=3e-3)
    assert found.low < found.value < found.high


@every_lens
def test_a_length_along_a_wall_is_right_where_its_image_is_bent(name: str):
    """Across the picture, the image of a straight line is far from straight."""
    prediction, _ = scene(name)
    first, second = np.array([-3.0, -0.9, 2.0]), np.array([-3.0, -0.9, 3.9])
    found = length(prediction, pixel(name, first), pixel(name, second))
    assert found.value == pytest.approx(1.9, rel=5e-3)


@every_lens
def test_areas_heights_and_angles_are_right(name: str):
    prediction, _ = scene(name)
    places = [on_face(x, y) for x, y in ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9))]
    found = area(prediction, [pixel(name, each) for each in places])
    assert found.value == pytest.approx(1.8 * 0.6 * 1.8 * 0.5, rel=0.02)
    top = pixel(name, on_face(0.0, -0.5))
    assert height(prediction, top).value == pytest.approx(1.4 - (0.3 - 0.25), rel=0.02)
    wall, floor = pixel(name, np.array([-1.0, -0.4, 4.0])), pixel(name, np.array([-0.8, 1.4, 2.2]))
    assert angle(prediction, wall, floor).value == pytest.approx(90, abs=0.5)


@every_lens
def test_a_mesh_lies_on_the_box_and_the_room(name: str):
    prediction, part = scene(name)
    depth = prediction.depth
    surface = mesh(depth.values, CAMERAS[name], depth.valid, step=2, smooth=True)
    to_room = np.abs(np.abs(surface.points) - ROOM).min(axis=1)
    local = np.abs((surface.points - CENTRE) @ TURN)
    to_box = np.where((local <= HALF + 0.02).all(axis=1), np.abs(local - HALF).min(axis=1), np.inf)
    away = np.minimum(to_room, to_box)
    assert np.quantile(away, 0.99) < 0.01
    assert np.quantile(away, 0.9) < 1e-4
    assert len(surface.triangles) > 0.8 * depth.values.size / 2
    a, b, c = surface.points[surface.triangles].transpose(1, 0, 2)
    towards = np.einsum("ni,ni->n", np.cross(b - a, c - a), -(a + b + c) / 3)
    assert (towards > 0).all()
    assert (part == 0).any()
    assert len(prediction.points().points) > 0.8 * len(surface.points)
    whole = prediction.mesh()
    np.testing.assert_allclose(np.linalg.norm(whole.normals, axis=1), 1, atol=1e-5)


@every_lens
def test_a_resized_picture_has_the_same_sizes(name: str):
    prediction, _ = scene(name)
    rows, columns = SIZES[name]
    half = CAMERAS[name].resized(size=(rows, columns), new_size=(rows // 2, columns // 2))
    v, u = np.mgrid[: rows // 2, : columns // 2].astype(float)
    thing = box(half.rays(np.stack([u, v])), CENTRE, HALF, TURN)
    seen = np.where(thing.seen, thing.depth, 4.0).astype(np.float32)
    small = Prediction(
        depth_or_none=DepthMap(values=seen, kind=DepthKind.METRIC), camera=half, made_by=MADE_BY
    )
    ends = on_face(-0.8, -0.7), on_face(0.8, 0.6)
    true = np.linalg.norm(ends[1] - ends[0])
    for given, camera in ((prediction, CAMERAS[name]), (small, half)):
        first, second = (camera.project(each).tolist() for each in ends)
        found = length(given, (first[0], first[1]), (second[0], second[1]))
        assert found.value == pytest.approx(true, rel=5e-3)


@every_lens
def test_known_facts_give_metres(name: str):
    prediction, _ = scene(name)
    camera, true = CAMERAS[name], prediction.depth
    unknown = DepthMap(values=true.values / np.float32(2.5), kind=DepthKind.UP_TO_SCALE)
    ends = on_face(-0.8, -0.7), on_face(0.8, 0.6)
    (u1, v1), (u2, v2) = (pixel(name, each) for each in ends)
    metres = float(np.linalg.norm(ends[1] - ends[0]))
    point = on_face(0.2, 0.1)
    u, v = pixel(name, point)
    for known in (
        KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres),
        KnownPoint(u=u, v=v, metres=float(point[2])),
        KnownPoint(u=u, v=v, metres=float(np.linalg.norm(point)), along=Along.RAY),
    ):
        found = calibrate(unknown, [known], camera=camera).depth
        np.testing.assert_allclose(found.values, true.values, rtol=6e-3)


@every_lens
def test_the_place_of_a_known_point_is_at_its_depth(name: str):
    """Distance along the ray and depth along the axis of one point are one place."""
    prediction, _ = scene(name)
    point = on_face(0.7, 0.6)
    u, v = pixel(name, point)
    depth = float(CAMERAS[name].depth_of(point))
    for known in (
        KnownPoint(u=u, v=v, metres=float(point[2])),
        KnownPoint(u=u, v=v, metres=float(np.linalg.norm(point)), along=Along.RAY),
    ):
        fitted = calibrate(prediction.depth, [known], camera=CAMERAS[name])
        given = prediction.but(calibration=calibration_record(fitted, [str(known)]))
        [(_, _, z, _)] = known_size_positions(given)
        assert z == pytest.approx(depth, rel=1e-6)
        assert circumstances_at(given, point).log_depth_ratio == pytest.approx(0, abs=1e-6)


def test_depth_along_the_axis_is_refused_where_it_tells_nothing():
    depth = DepthMap(values=np.ones((100, 200), np.float32), kind=DepthKind.UP_TO_SCALE)
    behind = KnownPoint(u=3, v=50, metres=2.0)
    camera = Camera(lens=equirectangular.panorama((100, 200)))
    with pytest.raises(
        CalibrationError, match="give the distance along the ray instead, as 3,50,METRES,ray"
    ):
        calibrate(depth, [behind], camera=camera)
    found = calibrate(depth, [replace(behind, along=Along.RAY)], camera=camera)
    assert found.fit.scale == pytest.approx(2)


@pytest.mark.parametrize("along_ray", [True, False])
@pytest.mark.parametrize("name", ["fisheye", "panorama"])
def test_own_depth_of_a_wide_lens_is_converted_once(name: str, along_ray: bool):
    """The inside of a ball of 2 m: distance is 2 m everywhere, depth along the axis is not."""
    shape = (100, 200) if name == "panorama" else (120, 120)
    lens = (
        equirectangular.panorama(shape) if name == "panorama" else equidistant_fisheye(shape, 160)
    )
    camera = Camera(lens=lens)
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    rays = lens.rays(np.stack([u, v]))
    seen = np.isfinite(rays[2])
    metres = np.where(seen, 2.0 if along_ray else 2.0 * rays[2], 0)
    own = OwnDepth(source="HEIF", metres=metres.astype(np.float32), along_ray=along_ray)
    points = known_points_of_embedded_depth(own, shape, camera)
    depth = DepthMap(
        values=np.ones(shape, np.float32), kind=DepthKind.UP_TO_SCALE, valid=seen, is_distance=True
    )
    found = calibrate(depth, points, camera=camera)
    np.testing.assert_allclose(found.depth.values[seen], 2, rtol=1e-5)


@pytest.mark.parametrize("step", [1, 13])
def test_a_sensors_map_of_a_wide_lens_is_its_distance(step: int):
    """Dense or sparse, it is what a map of this lens is everywhere: the distance along the ray."""
    shape = (104, 208)
    distances = np.linspace(1, 3, shape[1], dtype=np.float32)[None].repeat(shape[0], 0)
    model = DepthMap(values=distances / 2, kind=DepthKind.UP_TO_SCALE, is_distance=True)
    prediction = Prediction(
        depth_or_none=model, camera=Camera(lens=equirectangular.panorama(shape)), made_by=MADE_BY
    )
    measured = np.zeros(shape, np.float32)
    measured[::step, ::step] = distances[::step, ::step]
    sparse = read_sparse(measured, shape, None)
    metres = MetricReferences(sparse_points=sparse.points, measured_depth=sparse.measured)
    metric, _ = convert_by_references(prediction, metres)
    np.testing.assert_allclose(metric.depth.values, distances, rtol=2e-3)


def test_a_lens_that_no_file_can_state_is_refused_in_one_line(tmp_path):
    prediction, _ = scene("panorama")
    with pytest.raises(InputError, match=r"lenses of the kinds pinhole.*'equirectangular'$"):
        prediction.save(tmp_path / "room", ["glb"])
    assert not list(tmp_path.iterdir())
