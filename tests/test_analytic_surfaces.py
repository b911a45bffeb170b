"""A measured surface from a photograph, with a model that knows the true depth.

Whatever the points, normals and triangles are off by is then the geometry's own, and a plane, a
sphere and a box say by how much.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rilievo.calibration.floor import calibrate_height
from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import KnownPoint
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.normals import normals_from_depth
from rilievo.geometry.surfaces.meshes import Mesh, mesh, point_cloud
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from support.analytic import View, angle, box, camera_matrix, nearest, pixel_rays, plane, sphere

SIZE = (120, 160)
K = camera_matrix(*SIZE, 150.0)
CAMERA = Camera(K=K, source=CameraSource.GIVEN)
RAYS = pixel_rays(K, *SIZE)

PLANE_NORMAL = np.array([0.3, -0.5, -0.8]) / np.sqrt(0.98)
PLANE_DISTANCE = 2.0
CENTRE, RADIUS = np.array([0.1, -0.05, 2.0]), 0.6
BOX_MIDDLE, BOX_HALF = np.array([0.0, 0.05, 2.0]), np.array([0.4, 0.3, 0.35])
BOX_AXES = Rotation.from_euler("yx", [35, 25], degrees=True).as_matrix()


class Knowing(Model):
    """A model whose answer is the truth, in a unit of its own."""

    def __init__(self, view: View, *, kind: DepthKind = DepthKind.METRIC, unit: float = 1.0):
        self.card = ModelCard(
            name="test/knowing",
            summary="",
            kind=kind,
            normals=True,
            licence="Apache-2.0",
            commercial=True,
            megabytes=0.0,
            extra=None,
            speed="",
            loader="",
        )
        self.weights_sha256 = ""
        self.settings: Mapping[str, Setting] = {}
        self._view, self._unit = view, unit

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        depth = (self._view.depth / self._unit).astype(np.float32)
        normals = self._view.normals.astype(np.float32)
        return [Inference(depth=depth, normals=normals) for _ in photos]


def the_plane() -> View:
    return plane(RAYS, PLANE_NORMAL, PLANE_DISTANCE)


def the_ball() -> View:
    """A ball before a wall, five metres off, that fills the rest of the picture."""
    return nearest(sphere(RAYS, CENTRE, RADIUS), plane(RAYS, np.array([0, 0, -1.0]), 5.0))


def the_box() -> View:
    wall = plane(RAYS, np.array([0, 0, -1.0]), 5.0)
    return nearest(box(RAYS, BOX_MIDDLE, BOX_HALF, BOX_AXES), wall)


def off_plane(points: np.ndarray) -> np.ndarray:
    return np.abs(PLANE_NORMAL @ points + PLANE_DISTANCE)


def off_wall(points: np.ndarray) -> np.ndarray:
    return np.abs(points[2] - 5.0)


def off_ball(points: np.ndarray) -> np.ndarray:
    """Distance [m] to the ball or the wall, whichever is nearer."""
    ball = np.abs(np.linalg.norm(points - CENTRE[:, None], axis=0) - RADIUS)
    return np.minimum(ball, off_wall(points))


def off_box(points: np.ndarray) -> np.ndarray:
    local = np.abs(BOX_AXES.T @ (points - BOX_MIDDLE[:, None])) - BOX_HALF[:, None]
    outside = np.linalg.norm(np.maximum(local, 0), axis=0)
    return np.minimum(outside + np.abs(np.minimum(local.max(0), 0)), off_wall(points))


SCENES = pytest.mark.parametrize(
    ("view", "off"),
    [(the_plane(), off_plane), (the_ball(), off_ball), (the_box(), off_box)],
    ids=["plane", "ball", "box"],
)


def predict(view: View, **options: object) -> Prediction:
    photo = Photo(pixels=np.zeros((*SIZE, 3), np.uint8), camera=CAMERA)
    (prediction,) = Knowing(view, **options).predict_raw([photo])  # pyright: ignore[reportArgumentType]
    return prediction


def depth_of(prediction: Prediction) -> DepthMap:
    return prediction.depth


def mesh_of(depth: DepthMap) -> Mesh:
    return mesh(depth.depth(), K, depth.valid)


@SCENES
def test_every_pixel_lifts_onto_its_surface(view: View, off) -> None:
    depth = depth_of(predict(view))
    points = unproject(depth.depth().astype(np.float64), K)
    assert off(points.reshape(3, -1)).max() < 1e-6 * depth.depth().max()


@SCENES
def test_the_clouds_points_and_normals_are_the_surfaces_own(view: View, off) -> None:
    prediction = predict(view)
    depth = depth_of(prediction)
    cloud = point_cloud(depth.depth(), K, depth.valid, normals=prediction.normals)
    assert len(cloud.points) > 0.95 * depth.values.size
    assert off(cloud.points.T.astype(float)).max() < 1e-5
    rows_columns = np.rint((K @ (cloud.points / cloud.points[:, 2:]).T.astype(float))[:2])
    u, v = rows_columns.astype(int)
    assert angle(cloud.normals.T, view.normals[:, v, u]).max() < 0.1


@SCENES
def test_the_meshs_vertices_lie_on_the_surface_and_its_triangles_within_their_sagitta(
    view: View, off
) -> None:
    """A chord across one pixel of a ball of 0.6 m at 2 m leaves it by well under a millimetre."""
    surface = mesh_of(depth_of(predict(view)))
    assert off(surface.points.T.astype(float)).max() < 1e-5
    middles = surface.points[surface.triangles].mean(axis=1).T.astype(float)
    errors = off(middles)
    assert np.percentile(errors, 99) < 1e-3
    # At a convex crease a triangle cuts the corner by a part of a pixel's width, 13 mm.
    assert errors.max() < 0.013


@SCENES
def test_triangles_face_the_camera_along_the_surfaces_normals(view: View, off) -> None:
    del off
    surface = mesh_of(depth_of(predict(view)))
    a, b, c = (surface.points[surface.triangles[:, k]].astype(float) for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    assert ((normals * a).sum(axis=1) < 0).all()
    u, v = np.rint(surface.pixels[surface.triangles[:, 0]]).astype(int).T
    assert np.percentile(angle(normals.T, view.normals[:, v, u]), 90) < 3


def test_no_triangle_spans_from_the_ball_to_the_wall() -> None:
    surface = mesh_of(depth_of(predict(the_ball())))
    z = surface.points[:, 2][surface.triangles]
    assert (z.max(axis=1) / z.min(axis=1)).max() < 1.2


@SCENES
def test_normals_of_the_depth_are_the_surfaces_own(view: View, off) -> None:
    del off
    normals, known = normals_from_depth(depth_of(predict(view)).depth(), K)
    errors = angle(normals, view.normals)[known]
    assert known.mean() > 0.99
    assert np.median(errors) < 0.05
    # Creases of the box and the ball's rim: the few pixels whose window holds two surfaces.
    assert (errors > 2).mean() < 0.03


def test_the_area_of_the_boxs_visible_faces_is_measured() -> None:
    """Three faces of 0.8, 0.6 and 0.7 m; less half a pixel all along the rim, some 4%."""
    surface = mesh_of(depth_of(predict(the_box())))
    a, b, c = (surface.points[surface.triangles[:, k]].astype(float) for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    on_box = surface.points[surface.triangles][:, :, 2].max(axis=1) < 4
    expected = 0.8 * 0.6 + 0.6 * 0.7 + 0.8 * 0.7
    assert areas[on_box].sum() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.METRIC])
@SCENES
def test_one_known_point_brings_the_surface_to_metres(view: View, off, kind: DepthKind) -> None:
    prediction = predict(view, kind=kind, unit=3.7)
    known = KnownPoint(u=80, v=60, metres=float(view.depth[60, 80]))
    depth = calibrate(depth_of(prediction), [known]).depth
    # The median of a window on a sphere is not its middle: the scale is good to 1e-4.
    surface = mesh_of(depth)
    assert off(surface.points.T.astype(float)).max() < 1e-3


def test_affine_inverse_depth_comes_to_metres_by_two_known_points() -> None:
    view = the_plane()
    inverse = (0.2 * (1 / view.depth) + 0.4).astype(np.float32)
    known = [
        KnownPoint(u=u, v=v, metres=float(view.depth[v, u])) for u, v in ((10, 10), (150, 110))
    ]
    result = calibrate(DepthMap(values=inverse, kind=DepthKind.AFFINE_INVERSE), known)
    assert off_plane(mesh_of(result.depth).points.T.astype(float)).max() < 1e-3


def test_the_cameras_height_brings_a_box_on_a_floor_to_metres() -> None:
    pitched = Rotation.from_euler("x", 25, degrees=True).as_matrix()
    floor = plane(RAYS, pitched @ np.array([0, -1.0, 0]), 1.5)
    wall = plane(RAYS, pitched @ np.array([0, 0, -1.0]), 5.0)
    crate = box(RAYS, pitched @ np.array([0.2, 1.25, 2.2]), np.array([0.3, 0.25, 0.3]), pitched)
    view = nearest(floor, wall, crate)
    prediction = predict(view, kind=DepthKind.UP_TO_SCALE, unit=0.2)
    result = calibrate_height(depth_of(prediction), CAMERA, metres=1.5, normals=prediction.normals)
    np.testing.assert_allclose(result.depth.values, view.depth, rtol=1e-3)
