"""A sensor's map of distances along the rays, and the claims on the holes that were filled."""

import warnings

import numpy as np
import pytest

import rilievo
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.predicting.metres.sparse_direction import is_probably_distance

SIZE = (120, 160)
CAMERA = Camera(K=K_from_fov(70, SIZE), source=CameraSource.GIVEN)


def rays() -> np.ndarray:
    """Rays with a depth of 1, (3, height, width)."""
    return CAMERA.points(np.ones(SIZE))


def room() -> np.ndarray:
    """Depth of a floor, a wall ahead that is turned a little, and a wall to the right [m]."""
    x, y, _ = rays()
    with np.errstate(divide="ignore"):
        floor = np.where(y > 0, 1.4 / y, np.inf)
        right = np.where(x > 0, 2.0 / x, np.inf)
    return np.minimum(np.minimum(floor, right), 4.0 / (1 + 0.2 * x)).astype(np.float32)


def ray_lengths() -> np.ndarray:
    return np.linalg.norm(rays(), axis=0)


def noisy(depth: np.ndarray) -> np.ndarray:
    """A map in millimetres with noise, and with gaps."""
    chance = np.random.default_rng(0)
    measured = np.round(depth * chance.normal(1, 0.002, SIZE), 3)
    return np.where(chance.random(SIZE) < 0.1, 0, measured).astype(np.float32)


def test_flat_surfaces_tell_distances_from_depth() -> None:
    assert is_probably_distance(noisy(room() * ray_lengths()), CAMERA)
    assert not is_probably_distance(noisy(room()), CAMERA)
    assumed = Camera(K=CAMERA.K, source=CameraSource.ASSUMED)
    assert not is_probably_distance(noisy(room() * ray_lengths()), assumed)


def test_round_things_and_empty_maps_tell_nothing() -> None:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = (3 + np.sin(u / 6) + np.cos(v / 5)).astype(np.float32)
    assert not is_probably_distance(waves, CAMERA)
    assert not is_probably_distance(np.zeros(SIZE, np.float32), CAMERA)


def test_a_map_without_an_end_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not is_probably_distance(np.full(SIZE, np.inf, np.float32), CAMERA)


def predict(sparse: np.ndarray, **options: object) -> rilievo.Prediction:
    """Predict with a network that sees the room in another scale."""
    model = rilievo.model(kind="up_to_scale")(lambda pixels: room() * 0.7)
    photo = np.random.default_rng(1).integers(0, 255, (*SIZE, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return rilievo.predict(photo, sparse=sparse, model=model, fov=70, **options)  # pyright: ignore


@pytest.mark.parametrize(
    ("is_distance", "stated", "is_warned"),
    [(False, None, False), (True, None, True), (True, "distance", False), (True, "metric", False)],
)
def test_distances_that_are_read_as_depth_are_warned_of_unless_they_are_stated(
    is_distance: bool, stated: str | None, is_warned: bool
) -> None:
    sparse = noisy(room() * ray_lengths() if is_distance else room())
    notes = predict(sparse, sparse_kind=stated).notes
    warned = [note for note in notes if "give sparse_kind='distance'" in note]
    assert bool(warned) == is_warned
    # True depth of a round surface bends alike, so the note must not claim to know.
    assert all("if these surfaces are really flat" in note for note in warned)


def test_a_smaller_map_of_distances_is_converted_with_the_rays_of_its_own_pixels() -> None:
    small = (room() * ray_lengths())[::2, ::2]
    made = predict(small, sparse_kind="distance")
    error = np.abs(made.depth.values / room() - 1)
    assert np.quantile(error, 0.9) < 0.02


def test_the_note_does_not_promise_the_tests_error_for_a_hole_over_an_object() -> None:
    true = room()
    hole = np.zeros(SIZE, bool)
    hole[40:90, 30:80] = True
    with_box = true.copy()
    with_box[44:86, 34:76] = 1.2
    made = predict(np.where(hole, 0, with_box))
    calibration = made.calibration
    assert calibration is not None
    assert calibration.expected_error is not None
    error = np.abs(made.depth.values / with_box - 1)[hole]
    assert np.quantile(error, 0.8) > 3 * calibration.expected_error
    [note] = [note for note in made.notes if note.startswith("metres from")]
    stated = f"{100 * calibration.expected_error:.1f}%"
    assert f"in a test on hidden pixels, 8 in 10 were filled to within {stated}, but" in note
    assert "should be within" not in note
