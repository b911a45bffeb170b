"""Depth maps together with a known rectangle on which an object stands."""

import numpy as np
import pytest

import rilievo
from rilievo.geometry.cameras.camera import Camera
from support.grids import mostly_slow
from support.sheet_scenes import CAMERA, PHOTO, SIDES, SheetScene

# What these tests look for among the notes is a warning as well.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

BARE_POINT = (-0.2, -0.12)
"""Place on the table beside the sheet, in its axes [m], that no block covers."""
BLOCKS = [(0.06, 0.06), (0.14, 0.04), (0.24, 0.14)]
"""Length and width [m]; the last one covers more than half of the sheet."""


def true_distance(scene: SheetScene) -> float:
    return float(np.linalg.norm(scene.place(*BARE_POINT)))


@pytest.mark.parametrize(
    ("slant", "block", "height"),
    mostly_slow((0, 25, 51), BLOCKS, (0.0, 0.02, 0.08, 0.04, -0.04), rounds=2),
)
def test_depth_up_to_scale_is_scaled_by_the_sheet_and_not_by_what_stands_on_it(
    slant: float, block: tuple[float, float], height: float
) -> None:
    scene = SheetScene(slant, 0.6, height, block)
    scaled = rilievo.Prediction.from_depth(
        PHOTO,
        0.3 * scene.depth(),
        CAMERA,
        kind="up_to_scale",
        known=[scene.sheet],
        depth_error="0.5%",
    )
    measured = scaled.distance(*scene.pixel(*BARE_POINT))
    assert measured.low < true_distance(scene) < measured.high
    # The last block hides most of the sheet if it is high, and a note says so.
    if block == BLOCKS[-1] and height == 0.08:
        assert any("lies in one plane" in note for note in scaled.notes)
    else:
        assert measured.value == pytest.approx(true_distance(scene), rel=2e-3)


@pytest.mark.parametrize("kind", ["affine", "affine_inverse"])
@pytest.mark.parametrize("slant", [0, 25, 51])
def test_affine_depth_is_fitted_to_the_sheet_and_not_to_what_stands_on_it(
    slant: float, kind: str
) -> None:
    scene = SheetScene(slant, 0.6, 0.06, (0.12, 0.12))
    depth = scene.depth()
    values = 0.3 * depth + 2 if kind == "affine" else 0.3 / depth - 0.1
    corner = (5.0, 5.0)
    known_point = rilievo.KnownPoint(u=corner[0], v=corner[1], metres=depth[5, 5])
    # A point on the block is at another depth, which determines the shift also from above.
    on_block = scene.pixel(0, 0, 0.06)
    second = rilievo.KnownPoint(
        u=on_block[0], v=on_block[1], metres=depth[round(on_block[1]), round(on_block[0])]
    )
    scaled = rilievo.Prediction.from_depth(
        PHOTO, values, CAMERA, kind=kind, known=[scene.sheet, known_point, second]
    )
    measured = scaled.distance(*scene.pixel(*BARE_POINT))
    assert measured.value == pytest.approx(true_distance(scene), rel=3e-3)


@pytest.mark.parametrize(
    ("error", "block", "height"),
    mostly_slow((None, "1%", "0.2%"), BLOCKS, (0.0, 0.02, 0.04, 0.06, 0.1, -0.04), rounds=2),
)
def test_an_object_on_the_sheet_is_no_contradiction_of_exact_depth(
    error: str | None, block: tuple[float, float], height: float
) -> None:
    scene = SheetScene(51, 0.64, height, block)
    exact = rilievo.Prediction.from_depth(
        PHOTO, scene.depth(), CAMERA, known=[scene.sheet], depth_error=error
    )
    assert not any("contradict" in note for note in exact.notes)


@pytest.mark.parametrize("factor", [0.85, 0.95, 1.1, 1000.0])
@pytest.mark.parametrize("height", [0.0, 0.04])
def test_depth_in_another_unit_contradicts_the_sheet_with_and_without_an_object(
    height: float, factor: float
) -> None:
    scene = SheetScene(25, 0.5, height)
    wrong = rilievo.Prediction.from_depth(
        PHOTO, factor * scene.depth(), CAMERA, known=[scene.sheet]
    )
    assert any("contradict" in note for note in wrong.notes)


def test_an_object_whose_top_is_where_the_sheet_should_be_does_not_hide_a_contradiction() -> None:
    scene = SheetScene(0, 0.66, 0.06, (0.15, 0.1))
    wrong = rilievo.Prediction.from_depth(
        PHOTO, 1.1 * scene.depth(), CAMERA, known=[scene.sheet], depth_error="0.5%"
    )
    assert any("contradict" in note for note in wrong.notes)


def test_a_network_is_scaled_by_the_sheet_and_not_by_what_stands_on_it() -> None:
    scene = SheetScene(25, 0.5, 0.06, (0.12, 0.12))
    place = scene.pixel(-0.2, 0.15)
    measured = scene.by("network").distance(*place)
    assert measured.value == pytest.approx(np.linalg.norm(scene.place(-0.2, 0.15)), rel=0.03)


def test_a_fisheye_sees_the_whole_sheet() -> None:
    fisheye = rilievo.Prediction.from_depth(
        PHOTO, np.ones(PHOTO.shape[:2]), "fisheye:120"
    ).known_camera
    scene = SheetScene(20, 0.4, 0.06, (0.1, 0.1))
    sheet = rilievo.KnownRectangle(corners=corners_of(scene, fisheye), sides=SIDES)
    # Depth of this kind is along the optical axis.
    v, u = np.mgrid[: PHOTO.shape[0], : PHOTO.shape[1]].astype(float)
    depth = scene.distances(fisheye) * fisheye.rays(np.stack([u, v]))[2]
    scaled = rilievo.Prediction.from_depth(
        PHOTO, 0.2 * depth, fisheye, kind="up_to_scale", known=[sheet]
    )
    u, v = fisheye.project(scene.place(*BARE_POINT))
    measured = scaled.distance(float(u), float(v))
    assert measured.value == pytest.approx(true_distance(scene), rel=3e-3)


def corners_of(scene: SheetScene, camera: Camera) -> tuple[tuple[float, float], ...]:
    a, b = SIDES[0] / 2, SIDES[1] / 2
    places = [camera.project(scene.place(x, y)) for x, y in ((-a, -b), (a, -b), (a, b), (-a, b))]
    return tuple((float(u), float(v)) for u, v in places)
