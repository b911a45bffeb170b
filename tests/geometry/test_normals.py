"""Normals of depth maps against surfaces whose normals are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from rilievo.errors import OptionError
from rilievo.geometry import normals as normals_module
from rilievo.geometry.normals import normals_from_depth
from support.analytic import View, angle, box, camera_matrix, nearest, pixel_rays, plane, sphere

K = np.array([[300.0, 0.0, 52.0], [0.0, 340.0, 41.0], [0.0, 0.0, 1.0]])
SIZE = (80, 100)
RAYS = pixel_rays(K, *SIZE)


def tilted(degrees: float, towards: float) -> np.ndarray:
    """A normal so many degrees off the direct line to the camera, leaning ``towards`` in-image."""
    a, b = np.radians(degrees), np.radians(towards)
    return np.array([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), -np.cos(a)])


def test_a_wall_seen_head_on_looks_back_at_the_camera() -> None:
    normals, known = normals_from_depth(np.full(SIZE, 2.0), K)
    assert known.all()
    np.testing.assert_allclose(normals, np.array([0, 0, -1.0])[:, None, None] + 0 * normals)


@pytest.mark.parametrize("window", [3, 5, 15])
@pytest.mark.parametrize("degrees", [0, 10, 45, 70, 80, 88])
@pytest.mark.parametrize("towards", [0, 37, 90, 200, 315])
def test_planes_are_exact_however_obliquely_they_are_seen(
    degrees: float, towards: float, window: int
) -> None:
    view = plane(RAYS, tilted(degrees, towards), 3.0)
    normals, known = normals_from_depth(np.where(view.seen, view.depth, 0), K, window=window)
    # The last pixels before the horizon may be alone in their line.
    assert (known & view.seen).sum() >= 0.98 * view.seen.sum()
    assert angle(normals, view.normals)[known].max() < 1e-6


def test_a_step_is_measured_by_the_farther_of_two_surfaces() -> None:
    """A third of the farther's 1/z, a quarter of the nearer's: an edge, where 0.3 is the limit."""
    inverse = np.ones(SIZE)
    inverse[:, 50:] = 4 / 3
    normals, known = normals_from_depth(1 / inverse, K, edge=0.3)
    assert known.all()
    np.testing.assert_allclose(normals[2], -1, atol=1e-12)
    bent, _ = normals_from_depth(1 / inverse, K, edge=0.34)
    assert bent[2, :, 49:51].max() > -0.9


@pytest.mark.parametrize("window", [3, 5, 15])
def test_float32_depth_keeps_planes_within_a_hundredth_of_a_degree(window: int) -> None:
    view = plane(RAYS, tilted(60, 30), 3.0)
    normals, known = normals_from_depth(view.depth.astype(np.float32), K, window=window)
    assert normals.dtype == np.float32
    assert angle(normals, view.normals)[known].max() < 0.01


def test_normals_are_unit_vectors_towards_the_camera_where_known_and_zero_elsewhere() -> None:
    depth = np.random.default_rng(0).uniform(1.0, 1.2, SIZE)
    depth[20:30, 40:60] = 0
    normals, known = normals_from_depth(depth, K, edge=1.0)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0)[known], 1.0)
    assert ((normals * RAYS).sum(0)[known] < 0).all()
    assert not normals[:, ~known].any()
    assert not known[20:30, 40:60].any()


def test_a_sphere_is_right_within_the_curvature_of_its_window() -> None:
    view = sphere(RAYS, np.array([0.05, -0.02, 3.0]), 0.3)
    normals, known = normals_from_depth(np.where(view.seen, view.depth, np.nan), K)
    facing = known & ((view.normals * RAYS).sum(0) / np.linalg.norm(RAYS, axis=0) < -0.5)
    errors = angle(normals, view.normals)[facing]
    assert facing.sum() > 1500
    assert np.median(errors) < 0.1
    assert errors.max() < 1.0


def boxes() -> View:
    """A turned box before a leaning wall."""
    R = Rotation.from_euler("yx", [35, 25], degrees=True).as_matrix()
    middle = np.array([0.02, 0.0, 2.0])
    return nearest(
        plane(RAYS, tilted(40, 20), 3.0), box(RAYS, middle, np.array([0.12, 0.1, 0.15]), R)
    )


def inside_faces(view: View, window: int) -> np.ndarray:
    """Pixels of the box or wall whose whole window has one normal, whatever is beyond an edge."""
    inside = np.ones(SIZE, bool)
    r = window // 2
    for dv in range(-r, r + 1):
        for du in range(-r, r + 1):
            shifted = np.roll(view.normals, (dv, du), (1, 2))
            same_part = np.roll(view.part, (dv, du), (0, 1)) == view.part
            inside &= (angle(shifted, view.normals) < 1e-6) | ~same_part
    inside[:r] = inside[-r:] = inside[:, :r] = inside[:, -r:] = False
    return inside


@pytest.mark.parametrize("window", [3, 7])
def test_windows_stop_at_depth_edges(window: int) -> None:
    """A box's faces are exact up to its outline, behind which the wall stands, and so is the wall.

    At the creases between its own faces a window holds both, so those pixels are left out.
    """
    view = boxes()
    normals, known = normals_from_depth(view.depth, K, window=window)
    flat = inside_faces(view, window) & known
    outline = np.zeros(SIZE, bool)
    outline[1:-1, 1:-1] = (view.part[1:-1, 1:-1] != view.part[:-2, 1:-1]) | (
        view.part[1:-1, 1:-1] != view.part[1:-1, :-2]
    )
    assert (outline & flat).sum() > 60
    assert angle(normals, view.normals)[flat].max() < 1e-6


def test_without_edges_the_outline_of_a_box_is_smeared() -> None:
    """The same pixels are wrong when no step counts as an edge."""
    view = boxes()
    normals, known = normals_from_depth(view.depth, K, window=7, edge=1e9)
    flat = inside_faces(view, 7) & known
    assert (angle(normals, view.normals)[flat] > 5).sum() > 60


def test_holes_are_left_out_of_their_neighbours_windows() -> None:
    view = plane(RAYS, tilted(50, 70), 3.0)
    holes = np.random.default_rng(1).random(SIZE) < 0.2
    depth = np.where(holes, 1e4, view.depth)
    normals, known = normals_from_depth(depth, K, ~holes, window=5)
    assert not known[holes].any()
    assert known[~holes].mean() > 0.95
    assert angle(normals, view.normals)[known].max() < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_depth_that_is_no_depth_is_a_hole(bad: float) -> None:
    view = plane(RAYS, tilted(50, 70), 3.0)
    depth = view.depth.copy()
    depth[10, 20] = bad
    normals, known = normals_from_depth(depth, K)
    assert not known[10, 20]
    assert known.sum() == known.size - 1
    assert angle(normals, view.normals)[known].max() < 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 1)])
def test_pixels_in_one_line_have_no_normal(shape: tuple[int, int]) -> None:
    normals, known = normals_from_depth(np.ones(shape), K)
    assert not known.any()
    assert not normals.any()


def test_three_pixels_that_are_not_in_line_are_enough() -> None:
    """Depths 1, 1/2 and 1/3 in an L: 1/z rises by 1 a column and by 2 a row.

    The window goes along the column first, so the end of the L's foot has but its own row.
    """
    depth = np.array([[1.0, 0.5], [1 / 3, 0.0]])
    K_one = np.eye(3)
    normals, known = normals_from_depth(depth, K_one, edge=5.0)
    expected = -np.array([1.0, 2.0, 1.0]) / np.sqrt(6)
    np.testing.assert_array_equal(known, [[True, False], [True, False]])
    np.testing.assert_allclose(normals[:, 0, 0], expected)


def test_steep_steps_that_go_on_are_no_edges_at_the_border_either() -> None:
    """1/z = 1, 2, 3.01 down the rows: no row alone has a normal, so all must be joined."""
    depth = 1 / np.broadcast_to(np.array([1.0, 2.0, 3.01])[:, None], (3, 7))
    assert normals_from_depth(depth, np.eye(3))[1].all()
    doubling = 1 / np.broadcast_to(2.0 ** np.arange(3)[:, None], (3, 7))
    assert not normals_from_depth(doubling, np.eye(3))[1].any()


def test_a_plane_that_would_lie_behind_the_camera_is_no_surface() -> None:
    """The first corner of the fit to 1/z = 0.001, 1, 1, 9 is (0.003 + 1 + 1 - 9) / 4 < 0."""
    depth = 1 / np.array([[0.001, 1.0], [1.0, 9.0]])
    normals, known = normals_from_depth(depth, np.eye(3), edge=1e9)
    np.testing.assert_array_equal(known, [[False, True], [True, True]])
    assert not normals[:, 0, 0].any()


def test_normals_do_not_depend_on_the_unit_of_depth() -> None:
    depth = boxes().depth
    normals, known = normals_from_depth(depth, K, window=5)
    scaled, scaled_known = normals_from_depth(depth * 1e-3, K, window=5)
    np.testing.assert_allclose(scaled, normals, atol=1e-12)
    np.testing.assert_array_equal(scaled_known, known)


def rough_box() -> np.ndarray:
    return boxes().depth + np.random.default_rng(2).normal(0, 0.02, SIZE)


def rough_crease() -> np.ndarray:
    """1/z rises from row 8 on by more than an edge, and counts as none, because the next step is
    alike.

    Row 8 ends a band of three, so its lower neighbour joins by a row that is beyond the reach.
    """
    rows = np.maximum(np.arange(SIZE[0]) - 8.0, 0)[:, None]
    return 1 / (1 + rows + np.random.default_rng(2).normal(0, 1e-3, SIZE))


@pytest.mark.parametrize("window", [3, 9])
@pytest.mark.parametrize("depth", [rough_box(), rough_crease()], ids=["box", "crease"])
def test_working_in_bands_changes_nothing(
    window: int, depth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = normals_from_depth(depth, K, window=window)
    monkeypatch.setattr(normals_module, "BAND_PIXELS", 3 * SIZE[1])
    banded = normals_from_depth(depth, K, window=window)
    np.testing.assert_array_equal(banded[1], whole[1])
    np.testing.assert_allclose(banded[0], whole[0], atol=1e-12)


def test_torch_agrees_with_numpy_over_a_batch_with_a_camera_each() -> None:
    depth = np.stack([boxes().depth, plane(RAYS, tilted(30, 10), 2.0).depth])
    cameras = np.stack([K, camera_matrix(*SIZE, 250.0)])
    normals, known = normals_from_depth(
        torch.from_numpy(depth), torch.from_numpy(cameras), window=5
    )
    for index in range(2):
        expected, expected_known = normals_from_depth(depth[index], cameras[index], window=5)
        np.testing.assert_allclose(normals[index], expected, atol=1e-12)
        np.testing.assert_array_equal(known[index], expected_known)


@pytest.mark.parametrize("window", [3, 7])
def test_gradients_are_finite_with_holes_edges_and_nothing_known(window: int) -> None:
    depth = torch.from_numpy(boxes().depth).float()
    depth[:, :10] = 0
    depth[30, 30:50] = torch.nan
    depth[50, 50] = 1e-9
    depth.requires_grad_()
    camera = torch.from_numpy(K).float().requires_grad_()
    normals, known = normals_from_depth(depth, camera, window=window)
    normals[2].sum().backward()
    assert known.any()
    for leaf in (depth, camera):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.abs().sum() > 0


def test_gradients_agree_with_finite_differences() -> None:
    depth = torch.from_numpy(plane(RAYS, tilted(30, 10), 2.0).depth[:5, :6].copy())
    depth += 0.01 * torch.from_numpy(np.random.default_rng(3).random((5, 6)))
    camera = torch.from_numpy(K)
    assert torch.autograd.gradcheck(
        lambda d: normals_from_depth(d, camera, window=5)[0], depth.requires_grad_()
    )


@pytest.mark.parametrize("window", [-3, 0, 1, 4])
def test_a_window_that_has_no_middle_is_refused(window: int) -> None:
    with pytest.raises(OptionError, match=f"odd and at least 3, got {window}"):
        normals_from_depth(np.ones(SIZE), K, window=window)


@pytest.mark.parametrize("edge", [0.0, -1.0, float("nan")])
def test_an_edge_that_is_not_positive_is_refused(edge: float) -> None:
    with pytest.raises(OptionError, match="positive relative step"):
        normals_from_depth(np.ones(SIZE), K, edge=edge)


def test_replicas_rendered_normals_are_met_within_half_a_degree(data_folder: Path) -> None:
    """Depth in steps of 1/512 m wants a window of 7; normals are in our frame already."""
    stem = "point_47_view_25_domain_"
    folder = data_folder / "omnidata_replica"
    codes = np.asarray(Image.open(folder / f"{stem}depth_zbuffer.png"))
    pose = json.loads((folder / f"{stem}fixatedpose.json").read_text())
    size = codes.shape[0]
    focal = size / 2 / np.tan(pose["field_of_view_rads"] / 2)
    rgb = np.asarray(Image.open(folder / f"{stem}normal.png").convert("RGB"), np.float32)
    true = np.moveaxis(rgb / 255 * 2 - 1, -1, 0)
    true /= np.linalg.norm(true, axis=0)
    depth = np.where(codes == 65535, 0, codes / 512)
    normals, known = normals_from_depth(depth, camera_matrix(size, size, focal), window=7)
    assert known.mean() > 0.99
    assert np.median(angle(normals, true)[known]) < 0.5


def test_tartanairs_normals_are_met(data_folder: Path) -> None:
    """TartanAir's axes are x left, y up, z backward: ours with every sign changed. 65504 is sky."""
    import cv2

    folder = data_folder / "tartanair_dsine"
    depth = np.load(folder / "000000_depth.npy")
    camera = np.load(folder / "000000_intrins.npy").astype(np.float32)
    codes = cv2.imread(str(folder / "000000_normal.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    true = -np.moveaxis(codes.astype(np.float32) / 65535 * 2 - 1, -1, 0)
    ground = depth < 65504
    normals, known = normals_from_depth(depth, camera, ground)
    assert known[ground].mean() > 0.95
    assert np.median(angle(normals, true)[known]) < 0.1
