"""Things in boxes and masks, against cuboids that are traced ray by ray."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.instrument_ranges import FOCAL_ERRORS
from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.measure.region_measurer import yaw_of_least_area
from rilievo.measure.regions import box_region
from rilievo.measure.separation import VALLEY_IN_BOX, mask_around_mode
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Calibration, MadeBy

SIZE = (240, 320)
K = np.array([[260.0, 0, 159.5], [0, 260.0, 119.5], [0, 0, 1]])
MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
HEIGHT, WALL = 1.4, 7.0
"""Height of the camera above the floor, and depth of the wall behind [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuboid:
    """A cuboid on the floor: centre on the ground, sides, and turn about the vertical [rad]."""

    x: float
    z: float
    width: float
    height: float
    depth: float
    yaw: float = 0.0


def traced(cuboid: Cuboid, wall: float = WALL) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a floor, a wall and the cuboid, and the cuboid's mask."""
    v, u = np.indices(SIZE)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SIZE)])
    with np.errstate(divide="ignore"):
        floor = np.where(rays[1] > 0, HEIGHT / rays[1], np.inf)
    room = np.minimum(floor, wall)
    c, s = math.cos(cuboid.yaw), math.sin(cuboid.yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    middle = np.array([cuboid.x, HEIGHT - cuboid.height / 2, cuboid.z])
    own, origin = np.einsum("ij,jhw->ihw", turn, rays), turn @ -middle
    half = np.array([cuboid.width, cuboid.height, cuboid.depth]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(side * half - origin)[:, None, None] / own for side in (-1, 1)])
    enter, leave = ends.min(axis=0).max(axis=0), ends.max(axis=0).min(axis=0)
    hit = (enter < leave) & (enter > 0) & (enter < room)
    return np.where(hit, enter, room).astype(np.float32), hit


def seen(cuboid: Cuboid, kind: DepthKind = DepthKind.METRIC) -> tuple[Prediction, np.ndarray]:
    depth, mask = traced(cuboid)
    camera = Camera(K=K)
    return (
        Prediction(depth_or_none=DepthMap(values=depth, kind=kind), camera=camera, made_by=MADE_BY),
        mask,
    )


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


CUBOIDS = (
    Cuboid(x=0.0, z=3.5, width=0.9, height=1.1, depth=0.6),
    Cuboid(x=-0.7, z=4.5, width=1.2, height=0.7, depth=0.8, yaw=0.4),
    Cuboid(x=0.8, z=3.0, width=0.5, height=0.9, depth=0.5, yaw=-0.6),
)


@pytest.mark.parametrize("cuboid", CUBOIDS)
@pytest.mark.parametrize("by", ["box", "mask"])
def test_a_cuboid_on_the_floor_has_its_distance_and_its_sizes(cuboid: Cuboid, by: str) -> None:
    prediction, mask = seen(cuboid)
    found = prediction.measure_box(box_of(mask) if by == "box" else mask, "crate")
    points = prediction.known_camera.points(prediction.depth.values)[:, mask]
    far = np.linalg.norm(points, axis=0)
    assert found.name == "crate"
    assert found.distance.value == pytest.approx(np.median(far), rel=0.01)
    assert found.nearest.value == pytest.approx(np.quantile(far, 0.1), rel=0.01)
    c, s = math.cos(cuboid.yaw), abs(math.sin(cuboid.yaw))
    true = {
        "width": c * cuboid.width + s * cuboid.depth,
        "height": cuboid.height,
        "depth": s * cuboid.width + c * cuboid.depth,
    }
    for name, size in true.items():
        one = getattr(found, name)
        assert one.value == pytest.approx(size, rel=0.2 if name == "depth" else 0.03), name
        assert one.low < size < one.high
    inside = mask[mask.any(axis=1)][:, mask.any(axis=0)].mean()
    assert found.share == pytest.approx(1 if by == "mask" else inside, abs=0.03)


@pytest.mark.parametrize("cuboid", CUBOIDS[1:])
def test_the_upright_box_of_two_sides_is_the_cuboid(cuboid: Cuboid) -> None:
    prediction, mask = seen(cuboid)
    box = prediction.measure_box(box_of(mask)).upright
    assert box is not None
    # Sides at a right angle are told apart only by their turn.
    turn = math.degrees(cuboid.yaw) - box.yaw.value
    assert min(abs(turn) % 90, 90 - abs(turn) % 90) < 4
    true = (cuboid.width, cuboid.depth)
    found = (box.width.value, box.depth.value)
    assert box.yaw.low < box.yaw.value < box.yaw.high
    assert max(found) == pytest.approx(max(true), rel=0.1)
    assert 0.4 * min(true) < min(found) < 1.05 * min(true)
    assert box.height.value == pytest.approx(cuboid.height, rel=0.06)
    x, y, z = box.centre.position
    assert (x, z) == pytest.approx((cuboid.x, cuboid.z), abs=0.3)
    assert y == pytest.approx(HEIGHT - cuboid.height / 2, abs=0.05)
    corners = np.array([corner.position for corner in box.corners])
    assert corners.shape == (8, 3)
    assert corners[:4, 1] == pytest.approx([HEIGHT] * 4, abs=0.04)
    assert corners.mean(axis=0) == pytest.approx((x, y, z), abs=1e-6)
    for corner in (*box.corners, box.centre):
        far = float(np.linalg.norm(corner.position))
        assert corner.distance.value == pytest.approx(far)
        assert corner.distance.low < far < corner.distance.high


def test_what_is_behind_the_thing_does_not_count() -> None:
    """A post in a wide box: the wall covers most of it."""
    prediction, mask = seen(Cuboid(x=0.0, z=3.0, width=0.45, height=1.2, depth=0.3))
    u1, v1, u2, v2 = box_of(mask)
    found = prediction.measure_box((u1 - 12, v1 - 8, u2 + 12, v2))
    assert found.distance.value == pytest.approx(2.93, rel=0.03)
    assert found.width is not None
    assert found.width.value == pytest.approx(0.45, rel=0.06)
    assert found.share < 0.75


def test_on_a_street_the_foot_of_a_thing_tells_its_distance() -> None:
    """A network takes the thing for 30% farther than it is, but sees where it meets the street."""
    true, mask = traced(Cuboid(x=0.5, z=6.0, width=1.8, height=1.5, depth=1.0), wall=40.0)
    wrong = np.where(mask, 1.3 * true, true)
    # Edges of a network's depth are soft.
    soft = np.mean([np.roll(wrong, step, axis=1) for step in range(-2, 3)], axis=0)
    soft = np.mean([np.roll(soft, step, axis=0) for step in range(-2, 3)], axis=0)
    prediction = Prediction(
        depth_or_none=DepthMap(values=soft.astype(np.float32), kind=DepthKind.METRIC),
        camera=Camera(K=K),
        calibration=Calibration(
            method="camera height", asked=(f"{HEIGHT}",), space="depth", scale=1.0, shift=0.0
        ),
        made_by=MADE_BY,
    )
    distance = np.median(np.linalg.norm(Camera(K=K).points(true)[:, mask], axis=0))
    found = prediction.measure_box(box_of(mask))
    assert found.distance.value == pytest.approx(distance, rel=0.05)
    assert found.distance.low < distance < found.distance.high


def test_sizes_carry_the_error_of_an_assumed_focal_length() -> None:
    known, mask = seen(CUBOIDS[0])
    assumed = known.but(camera=Camera(K=K, source=CameraSource.ASSUMED))
    own = []
    for one in (known, assumed):
        thing = one.measure_box(box_of(mask))
        width, far = (math.log(each.high / each.value) for each in (thing.width, thing.distance))
        own.append(width**2 - far**2)
    assert own[1] - own[0] == pytest.approx(FOCAL_ERRORS[CameraSource.ASSUMED] ** 2)


def test_depth_of_another_kind_is_refused_with_what_to_give() -> None:
    for kind in (DepthKind.UP_TO_SCALE, DepthKind.AFFINE_INVERSE):
        prediction, mask = seen(CUBOIDS[0], kind)
        with pytest.raises(CalibrationError, match=r"known=\[\(u, v, metres\)\]"):
            prediction.measure_box(box_of(mask))


def test_a_thing_at_the_border_says_that_it_is_cut() -> None:
    prediction, _ = seen(CUBOIDS[0])
    assert any("border" in each for each in prediction.measure_box((-5, 60, 60, 200)).remarks)
    inner = prediction.measure_box((40, 60, 60, 200)).remarks
    assert not any("border" in each for each in inner)


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_thing_is_cut_where_it_reaches_the_last_pixel_and_not_before(side: str, gap: int) -> None:
    height, width = SIZE
    top = {"top": gap, "bottom": height - 80 - gap}.get(side, 70)
    left = {"left": gap, "right": width - 60 - gap}.get(side, 120)
    mask = np.zeros(SIZE, bool)
    mask[top : top + 80, left : left + 60] = True
    depth = DepthMap(values=np.where(mask, 2, 4).astype(np.float32), kind=DepthKind.METRIC)
    prediction = Prediction(depth_or_none=depth, camera=Camera(K=K), made_by=MADE_BY)
    is_said_to_be_cut = any("border" in each for each in prediction.measure_box(mask).remarks)
    assert is_said_to_be_cut == (gap == 0)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (
            (400, 10, 500, 20),
            InputError,
            "no pixel of the picture, which has 320 columns and 240 rows",
        ),
        ((10, 10, 10, 20), OptionError, "is empty"),
        ((10, 10, math.nan, 20), OptionError, "finite"),
        ((1, 2, 3), OptionError, "expected U1,V1,U2,V2"),
        (np.zeros((10, 10), bool), InputError, "has 10x10 pixels, but the photograph has 320x240"),
        (np.zeros(SIZE, bool), InputError, "contains no pixel"),
        ((5, 5, 6, 6), CalibrationError, "choose a larger region"),
    ],
)
def test_what_is_no_region_is_refused(given: object, error: type[Exception], said: str) -> None:
    prediction, _ = seen(CUBOIDS[0])
    with pytest.raises(error, match=said):
        prediction.measure_box(given)  # pyright: ignore


def test_boxes_of_supervision_are_measured_in_their_order() -> None:
    """``supervision.Detections`` counts from the corner of the first pixel."""

    class Detections:
        xyxy = np.array([[40, 60, 61, 200], [100, 80, 161, 200]], np.float32)
        mask = None
        class_id = np.array([2, 7])
        data = {"class_name": np.array(["chair", "lamp"])}  # noqa: RUF012

    prediction, _ = seen(CUBOIDS[0])
    found = prediction.measure_box(Detections())
    assert [each.name for each in found] == ["chair", "lamp"]
    assert found[0] == replace(prediction.measure_box((39.5, 59.5, 60.5, 199.5)), name="chair")
    Detections.data = {}
    assert [each.name for each in prediction.measure_box(Detections())] == ["2", "7"]
    Detections.mask = np.zeros((2, *SIZE), bool)
    Detections.mask[:, 80:200, 100:160] = True
    masked = prediction.measure_box(Detections())
    assert isinstance(masked[1], RegionMeasurement)
    assert masked[1].distance == prediction.measure_box(Detections.mask[1]).distance


def test_the_mode_ends_where_values_are_sparse() -> None:
    chance = np.random.default_rng(0)
    near, far = chance.normal(0.7, 0.03, 600), chance.normal(1.6, 0.2, 900)
    logs = np.concatenate([near, far])
    own = mask_around_mode(logs, np.ones(len(logs)), VALLEY_IN_BOX)
    assert own[:600].mean() > 0.97
    assert own[600:].mean() < 0.03
    # Weights choose the other one.
    own = mask_around_mode(logs, np.concatenate([np.full(600, 0.01), np.ones(900)]), VALLEY_IN_BOX)
    assert own[:600].mean() < 0.05


@pytest.mark.parametrize("degrees", [-40, -10, 0, 25, 44])
def test_the_least_rectangle_of_a_rectangle_is_itself(degrees: int) -> None:
    x, z = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-0.4, 0.4, 20))
    turn = math.radians(degrees)
    c, s = math.cos(turn), math.sin(turn)
    level = np.stack([c * x - s * z, 0 * x, s * x + c * z], axis=-1).reshape(-1, 3)
    assert math.degrees(yaw_of_least_area(level)) == pytest.approx(degrees, abs=1.1)


def test_a_box_in_shares_is_one_in_pixels() -> None:
    mask = box_region((0.25, 0.5, 0.75, 1.0), is_fractional=True).mask_in((100, 200))
    assert mask[50:, 50:150].all()
    assert mask.sum() == 50 * 100
