"""Lenses: laws over their whole field, OpenCV's numbers, and fields that end where they fold."""

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import Equirectangular, panorama
from rilievo.geometry.cameras.fisheye import Fisheye, equidistant_fisheye
from rilievo.geometry.cameras.fov import Fov
from rilievo.geometry.cameras.lens import Lens

SIZE = (60, 90)
BARREL = Distorted(
    fx=70, fy=72, cx=43.0, cy=30.5, k=(-0.28, 0.09, -0.01, 0, 0, 0), p=(0.003, -0.002)
)
RATIONAL = Distorted(
    fx=70, fy=72, cx=43.0, cy=30.5, k=(0.4, -0.2, 0.01, 0.6, -0.15, 0.02), p=(1e-3, 2e-3)
)
BENT = Fisheye(fx=30, fy=31, cx=44.0, cy=28.5, k=(-0.03, 0.004, -0.001, 1e-4))
LENSES = {
    "barrel": BARREL,
    "rational": RATIONAL,
    "fisheye": BENT,
    "equidistant": equidistant_fisheye(SIZE, 200),
    "fov": Fov(fx=40, fy=41, cx=44.0, cy=28.5, omega=0.93),
    "panorama": panorama(SIZE),
    "part": panorama(SIZE, horizontal=140, vertical=70),
}
every_lens = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)


def pixels_of(size: tuple[int, int]) -> np.ndarray:
    v, u = np.mgrid[: size[0], : size[1]].astype(float)
    return np.stack([u, v])


@every_lens
def test_a_point_on_the_ray_of_a_pixel_is_seen_there(lens: Lens):
    pixels = pixels_of(SIZE)
    rays = lens.rays(pixels)
    seen = np.isfinite(rays[0])
    assert seen.mean() > 0.9
    depth = np.random.default_rng(0).uniform(0.3, 20, SIZE)
    found = lens.project(rays * depth)
    np.testing.assert_allclose(found[:, seen], pixels[:, seen], atol=1e-6)
    np.testing.assert_allclose(lens.depth_of(rays * depth)[seen], depth[seen], rtol=1e-12)
    length = np.linalg.norm(rays, axis=0) if lens.has_unit_rays else rays[2]
    np.testing.assert_allclose(length[seen], 1, rtol=1e-12)
    assert lens.rays(np.array([45.0, 30.0], np.float32)).dtype == np.float32
    np.testing.assert_allclose(Camera(lens=lens).points(depth)[:, seen], (rays * depth)[:, seen])


@every_lens
def test_rays_stay_with_their_pixels_when_an_image_is_resized_cropped_or_mirrored(lens: Lens):
    whole = lens.rays(pixels_of(SIZE))
    cropped = lens.cropped(top=4, left=9).rays(pixels_of((50, 60)))
    np.testing.assert_allclose(cropped, whole[:, 4:54, 9:69], atol=1e-9)
    mirrored = lens.mirrored(width=90).rays(pixels_of(SIZE))[:, :, ::-1]
    np.testing.assert_allclose(mirrored * np.array([-1, 1, 1])[:, None, None], whole, atol=1e-9)
    small = lens.resized(size=SIZE, new_size=(30, 45)).rays(pixels_of((30, 45)))
    np.testing.assert_allclose(small, lens.rays(2 * pixels_of((30, 45)) + 0.5), atol=1e-9)


@pytest.mark.parametrize("lens", [BARREL, RATIONAL], ids=["5", "8"])
def test_distorted_pixels_are_those_of_opencv(lens: Distorted):
    cv2 = pytest.importorskip("cv2")
    K = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    k1, k2, k3, *rest = lens.k
    coefficients = np.array([k1, k2, *lens.p, k3, *rest])
    points = np.random.default_rng(1).uniform([-0.6, -0.5, 0.7], [0.6, 0.5, 1.4], (200, 3))
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, coefficients)
    np.testing.assert_allclose(lens.project(points.T), theirs[:, 0].T, atol=1e-9)


def test_fisheye_pixels_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    K = np.array([[BENT.fx, 0, BENT.cx], [0, BENT.fy, BENT.cy], [0, 0, 1]])
    points = np.random.default_rng(1).uniform([-3, -2, 0.2], [3, 2, 1.5], (200, 3))
    theirs, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), K, np.array(BENT.k)
    )
    np.testing.assert_allclose(BENT.project(points.T), theirs[:, 0].T, atol=1e-9)


def test_a_panorama_looks_ahead_in_its_middle_and_behind_at_its_edges():
    lens = panorama((180, 360))
    assert isinstance(lens, Equirectangular)
    edge = lens.rays(np.array([[-0.5, 359.5, 179.5, 89.5, 179.5], [89.5, 89.5, 89.5, 89.5, -0.5]]))
    expected = [[0, 0, -1], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    np.testing.assert_allclose(edge.T, expected, atol=1e-12)
    assert lens.goes_round(360)
    assert not panorama((180, 360), horizontal=350).goes_round(360)
    assert lens.field_of_view((180, 360)) == pytest.approx(360, abs=0.01)


def test_an_equidistant_fisheye_counts_angles():
    lens = equidistant_fisheye((100, 100), 180)
    np.testing.assert_allclose(lens.rays(np.array([99.5, 49.5])), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(
        lens.rays(np.array([74.5, 49.5])), [np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-12
    )
    assert lens.field_of_view((100, 100)) == pytest.approx(180, abs=0.01)


def test_a_fov_lens_sees_where_its_paper_says():
    # By tangents of half angles alone: with w = pi / 2 the distance r is arctan(2 tan t) / w.
    lens = Fov(fx=100, fy=100, cx=0, cy=0, omega=np.pi / 2)
    point = np.array([0.5, 0.0, 1.0])
    assert lens.project(point)[0] == pytest.approx(100 * (np.pi / 4) / (np.pi / 2))
    np.testing.assert_allclose(
        lens.rays(np.array([50.0, 0.0])), point / np.linalg.norm(point), atol=1e-12
    )
    # Where tan t is 1 / (2 tan(w / 2)), the distance is 45 degrees in units of w.
    point = np.array([0.0, 0.5, np.tan(0.6)])
    assert Fov(fx=9, fy=10, cx=0, cy=7, omega=1.2).project(point)[1] == pytest.approx(
        7 + 10 * (np.pi / 4) / 1.2
    )
    # Little distortion is none, and pixels a radian at the centre are those of the derivative.
    plain = Fov(fx=70, fy=72, cx=3, cy=4, omega=1e-4).project(np.array([[0.3], [-0.2], [1.0]]))
    np.testing.assert_allclose(plain[:, 0], [3 + 21, 4 - 14.4], atol=1e-5)
    step = lens.project(np.array([1e-6, 0.0, 1.0]))[0] - lens.project(np.array([0.0, 0, 1]))[0]
    assert step / 1e-6 == pytest.approx(lens.focal)
    assert np.isnan(lens.rays(np.array([101.0, 0.0]))).all()
    assert np.isnan(lens.project(np.array([1.0, 0.0, -0.1]))).all()


def test_a_field_ends_where_its_distortion_folds():
    folding = Distorted(fx=50, fy=50, cx=45, cy=30, k=(-0.5, 0, 0, 0, 0, 0))
    # The seen radius r (1 - r²/2) is largest, .544, at r = .816.
    assert folding.limit == pytest.approx(np.sqrt(2 / 3), abs=2e-3)
    assert np.isnan(folding.rays(np.array([45 + 50 * 0.56, 30.0]))).all()
    inner = folding.rays(np.array([45 + 50 * 0.53, 30.0]))
    assert 0.53 < inner[0] < folding.limit
    assert np.isnan(folding.project(np.array([0.9, 0.0, 1.0]))).all()
    # By the seen radius itself, of a lens with all six coefficients.
    k = (0.1, 0.05, -0.08, 0.2, 0.05, 0.02)
    r = np.linspace(0, 3, 300_001)
    above = 1 + k[0] * r**2 + k[1] * r**4 + k[2] * r**6
    seen = r * above / (1 + k[3] * r**2 + k[4] * r**4 + k[5] * r**6)
    rational = Distorted(fx=50, fy=50, cx=45, cy=30, k=k)
    assert rational.limit == pytest.approx(r[np.argmax(seen)], abs=2e-3)
    fisheye = Fisheye(fx=50, fy=50, cx=45, cy=30, k=(-0.2, 0, 0, 0))
    assert fisheye.limit == pytest.approx(np.sqrt(1 / 0.6))
    assert np.isnan(fisheye.project(np.array([1.0, 0, 0.1]))).all()
    assert np.isnan(fisheye.rays(np.array([45 + 50 * 0.9, 30.0]))).all()


def test_lenses_refuse_numbers_that_are_none():
    with pytest.raises(InputError, match="expected a finite number"):
        Fisheye(fx=np.nan, fy=1, cx=0, cy=0)
    with pytest.raises(InputError, match="positive"):
        Equirectangular(fx=0, fy=1, cx=0, cy=0)
    with pytest.raises(InputError, match="at most 180 degrees from its axis, got 200"):
        Fisheye(fx=1, fy=1, cx=0, cy=0, limit=np.radians(200))
    for omega in (0.0, -1.0, 3.2):
        with pytest.raises(InputError, match="omega of a FOV lens"):
            Fov(fx=1, fy=1, cx=0, cy=0, omega=omega)
    with pytest.raises(InputError, match="expected a finite number"):
        Distorted(fx=1, fy=1, cx=0, cy=0, k=(np.inf, 0, 0, 0, 0, 0))


def test_a_strong_fisheye_is_inverted_to_the_last_digits():
    lens = Fisheye(fx=30, fy=31, cx=44.0, cy=28.5, k=(0.3, 0.05, 0.0, 0.0))
    pixels = pixels_of(SIZE)
    np.testing.assert_allclose(lens.project(lens.rays(pixels)), pixels, atol=1e-10)
