"""Boxes around furniture in a room with other furniture beside it, on exact depth.

The room is that of ``examples/room.py``. A box that is drawn by hand begins or ends a few pixels
off, and cameras are tilted.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import rilievo
from rilievo.measure import RegionMeasurement

pytest.importorskip("skimage.data")
ROOM = Path(__file__).parents[2] / "examples" / "room.py"
SPEC = importlib.util.spec_from_file_location("furnished_room", ROOM)
room = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(room)

FRAMES = 10
PIECES = tuple(room.BOXES)
MOST_ERROR = 0.02


def turned_camera(pitch: float, roll: float) -> np.ndarray:
    """Rotation that tilts a camera down and to one side [degrees]."""
    p, r = np.radians((pitch, roll))
    tilt = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    turn = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return np.array(tilt) @ np.array(turn)


@cache
def seen(frame: int, noise: float = 0.0, pitch: float = 0.0, roll: float = 0.0):
    """Prediction from the depth of a frame in millimetres, and a mask of each box."""
    pose = room.camera_pose(frame / (FRAMES - 1))
    pose[:3, :3] = pose[:3, :3] @ turned_camera(pitch, roll)
    v, u = np.indices((room.HEIGHT, room.WIDTH))
    rays = np.stack([u - room.K[0, 2], v - room.K[1, 2], np.full(u.shape, room.FOCAL)], -1)
    rays = rays.reshape(-1, 3) / room.FOCAL @ pose[:3, :3].T
    _, depth, _, _ = room.entry_and_exit(pose[:3, 3], rays, room.ROOM)
    names = np.full(len(rays), "", "<U8")
    for name, corners in room.BOXES.items():
        enters, leaves, _, _ = room.entry_and_exit(pose[:3, 3], rays, corners)
        is_hit = (enters < leaves) & (enters > 0) & (enters < depth)
        depth = np.where(is_hit, enters, depth)
        names[is_hit] = name
    depth = depth * np.exp(noise * np.random.default_rng(frame).standard_normal(len(depth)))
    millimetres = np.round(1000 * depth).reshape(u.shape)
    photo = np.full((*u.shape, 3), 128, np.uint8)
    error = "1%" if noise else "1mm"
    prediction = rilievo.Prediction.from_depth(
        photo, millimetres, room.K, unit="mm", depth_error=error
    )
    return prediction, {name: (names == name).reshape(u.shape) for name in room.BOXES}


def measured(
    frame: int, name: str, grown: tuple[int, int, int, int] = (0, 0, 0, 0), **scene: float
) -> RegionMeasurement:
    """Measure a piece of furniture that the picture shows whole.

    ``grown`` are pixels outwards: left, top, right and bottom.
    """
    prediction, masks = seen(frame, **scene)
    mask = masks[name]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top, right, bottom = columns[0], rows[0], columns[-1], rows[-1]
    assert left > 0, name
    assert top > 0, name
    assert right < room.WIDTH - 1, name
    assert bottom < room.HEIGHT - 1, name
    borders = (left - grown[0], top - grown[1], right + grown[2], bottom + grown[3])
    return prediction.measure_box(tuple(float(each) for each in borders))


def height_of(name: str) -> float:
    (_, top, _), (_, bottom, _) = room.BOXES[name]
    return bottom - top


def assert_right_height(found: RegionMeasurement, name: str) -> None:
    assert found.height.value == pytest.approx(height_of(name), rel=MOST_ERROR)
    assert not is_said_to_be_blurred(found)


@pytest.mark.parametrize("below", [-3, -1, 0, 1, 3, 10])
@pytest.mark.parametrize("frame", [0, 4, 7])
@pytest.mark.parametrize("name", PIECES)
def test_the_lower_side_of_a_box_may_be_off_the_foot(name: str, frame: int, below: int) -> None:
    assert_right_height(measured(frame, name, (0, 0, 0, below)), name)


@pytest.mark.parametrize(
    "grown", [-1, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 2, 6))]
)
@pytest.mark.parametrize(
    ("scene", "names", "last_names"),
    [
        pytest.param({"noise": 0.003}, PIECES, ("crate", "cabinet"), marks=pytest.mark.slow),
        ({"noise": 0.01}, PIECES, ("crate", "cabinet")),
        pytest.param({"pitch": 10}, PIECES, PIECES, marks=pytest.mark.slow),
        ({"pitch": -8}, ("cabinet",), ("cabinet",)),  # the picture cuts the low pieces
        pytest.param({"roll": 10}, PIECES, ("cabinet",), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_height_is_right_on_noisy_depth_and_by_a_tilted_camera(
    scene: dict[str, float], names: tuple[str, ...], last_names: tuple[str, ...], grown: int
) -> None:
    """``names`` are the pieces that the first two pictures show whole, ``last_names`` the last."""
    for frame, whole in ((0, names), (1, names), (9, last_names)):
        for name in whole:
            assert_right_height(measured(frame, name, (grown,) * 4, **scene), name)


@pytest.mark.slow
@pytest.mark.parametrize("grown", range(-1, 11))
@pytest.mark.parametrize("frame", range(FRAMES))
def test_the_height_is_right_in_all_frames(frame: int, grown: int) -> None:
    names = PIECES if frame < 8 else ("crate", "cabinet")  # the carton leaves the last pictures
    for name in names:
        assert_right_height(measured(frame, name, (grown,) * 4), name)


def test_the_plane_of_a_low_top_does_not_cut_what_stands_behind() -> None:
    """The top of the carton, continued, passes through the cabinet, whose foot is not in the box.

    Noise makes the cut several pixels wide.
    """
    assert_right_height(measured(1, "cabinet", (0, 0, 0, -3), noise=0.003), "cabinet")


def says_what_is_outside(found: RegionMeasurement) -> bool:
    return any("goes on beyond" in remark for remark in found.remarks)


@pytest.mark.slow
def test_an_object_that_goes_on_beyond_its_box_is_said_to() -> None:
    cut = measured(3, "cabinet", (-3, -3, -3, -3))
    assert cut.height.value < 0.98 * height_of("cabinet")
    assert says_what_is_outside(cut)
    assert "left and right" in " ".join(measured(3, "cabinet", (-4, 0, -4, 0)).remarks)
    for grown in (0, 2, 10):
        for frame in (0, 4, 7):
            for name in PIECES:
                assert not says_what_is_outside(measured(frame, name, (grown,) * 4))


@pytest.mark.parametrize("blur", [3, 5])
def test_no_object_is_said_to_go_on_in_blurred_depth(blur: float) -> None:
    """The blurred edge of a piece that lies whole in its box looks like a surface that goes on."""
    prediction, masks = seen(3)
    values = gaussian_filter(prediction.depth.values, blur)
    blurred = prediction.but(depth_or_none=rilievo.DepthMap(values=values, kind="metric"))
    for mask in masks.values():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (columns[0] - 3, rows[0] - 3, columns[-1] + 3, rows[-1] + 3)
        found = blurred.measure_box(tuple(map(float, box)))
        assert is_said_to_be_blurred(found)
        assert not says_what_is_outside(found)


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        (0, (22, 20, 220, 28)),  # narrow, along the ceiling
        (0, (385, 0, 448, 61)),  # at the upper border
        (4, (280, 258, 288, 304)),  # narrow, on an edge
        (4, (0, 23, 53, 42)),  # at the left border
        (8, (274, 27, 280, 142)),
        (8, (424, 0, 477, 26)),
    ],
)
def test_a_surface_at_a_slant_is_not_taken_for_a_blurred_edge(
    frame: int, box: tuple[int, int, int, int]
) -> None:
    prediction, _ = seen(frame)
    assert not is_said_to_be_blurred(prediction.measure_box(tuple(map(float, box))))


def is_said_to_be_blurred(found: RegionMeasurement) -> bool:
    return any("blurred" in remark for remark in found.remarks)
