"""Numbers of depth that look like something else are doubted, and right ones are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.data.datasets.joined_interpretation import join_interpretations
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.scoring.comparable_depth import comparable_depth
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding, depth_from_numbers
from rilievo.io.depth.encoding import parse_encoding
from rilievo.io.depth.plausibility import odd_unit_warning, plausibility_warnings
from rilievo.io.depth.stored_depth import stored_depth_from_array, stored_depth_warnings
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.records.depth_map import DepthKind, DepthMap
from support.slanted_rooms import room_depth

HEIGHT, WIDTH, FOCAL = 240, 320, 262.5
V, U = np.mgrid[:HEIGHT, :WIDTH].astype(float)
PHOTO = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
ROOM = room_depth(HEIGHT, WIDTH)


def level_ground(height: float = 1.5) -> np.ndarray:
    """Ground below a camera without roll, and a thing on it [m]; infinite above the horizon."""
    rows = np.where(HEIGHT / 2 - 0.5 < V, V - HEIGHT / 2 + 0.5, np.inf)
    depth = np.where(np.isfinite(rows), height * FOCAL / rows, np.inf)
    depth[80:140, 100:150] = np.minimum(depth[80:140, 100:150], 12.3)
    return depth


def wall() -> np.ndarray:
    """A wall square to the camera, and a ball in front [m]."""
    distance = (V - 140) ** 2 + (U - 160) ** 2
    return np.where(distance < 50**2, 2 + 0.3 * distance / 2500, 5.0)


def millimetres(depth: np.ndarray, step: int = 1) -> np.ndarray:
    counts = np.rint(np.where(np.isfinite(depth), depth, 0) * 1000)
    return ((counts + step // 2) // step * step).astype(np.uint16)


def doubts(stored: np.ndarray, unit: float | None = None, **options: Any) -> list[str]:
    factor = unit or (0.001 if stored.dtype.kind in "ui" else 1.0)
    with np.errstate(invalid="ignore"):
        metres = stored[np.isfinite(stored) & (stored > 0)].astype(np.float64) * factor
    return plausibility_warnings(stored, metres, invalid=(0.0,), unit=factor, **options)


def straight_room() -> np.ndarray:
    """A room whose back wall, at 5 m, is square to the camera, and a box in it [m]."""
    with np.errstate(divide="ignore"):
        across, down = (U - 159.5) / FOCAL, (V - 119.5) / FOCAL
        walls = [np.full((HEIGHT, WIDTH), 5.0), 1.6 / np.abs(across), 1.1 / np.abs(down)]
    depth = np.min(walls, axis=0)
    depth[130:200, 100:150] = np.minimum(depth[130:200, 100:150], 3.2)
    return depth


def z_buffer(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    return far * (depth - near) / (depth * (far - near))


def with_board(metres: float) -> np.ndarray:
    """The room with a board square to the camera, over a tenth of the picture [m]."""
    depth = ROOM.copy()
    depth[80:156, 100:201] = metres
    return depth


RIGHT: dict[str, tuple[np.ndarray, str, str]] = {
    "level ground": (level_ground().astype(np.float32), "", ""),
    "level ground in centimetres": (
        np.rint(np.where(np.isfinite(level_ground()), level_ground(), 0) * 50).astype(np.uint16),
        "scale: 0.02",
        "scale=0.02",
    ),
    "a wall square to the camera": (wall().astype(np.float32), "", ""),
    "a wall in millimetres": (millimetres(wall()), "scale: 0.001", "scale=0.001"),
    "steps of 8 mm": (millimetres(ROOM, 8), "scale: 0.001", "scale=0.001"),
    "steps of 16 mm": (millimetres(ROOM, 16), "scale: 0.001", "scale=0.001"),
    "an endoscope": (
        np.rint(ROOM * 0.012 / 0.1 * 65535).astype(np.uint16),
        "scale: 1.5259e-06",
        "scale=1.5259e-06",
    ),
    "an aerial photograph": ((780 + 10 * ROOM).astype(np.float32), "scale: 1", "scale=1"),
    "half precision in millimetres": (
        (ROOM * 3000).astype(np.float16),
        "scale: 0.001",
        "scale=0.001",
    ),
    "counts of 25 cm": (np.rint(ROOM * 4).astype(np.uint16), "scale: 0.25", "scale=0.25"),
    "a straight room in millimetres": (
        millimetres(straight_room()),
        "scale: 0.001",
        "scale=0.001",
    ),
    "a board in front of everything": (millimetres(with_board(1.0)), "scale: 0.001", "scale=0.001"),
    "a board amid the room": (millimetres(with_board(3.0)), "scale: 0.001", "scale=0.001"),
    "metres of a shelf": (
        (0.8 + 0.2 * (ROOM - ROOM.min()) / np.ptp(ROOM)).astype(np.float32),
        "",
        "",
    ),
    "mountains beyond 10 km": ((ROOM * 5000).astype(np.float32), "scale: 1", "scale=1"),
    "mountains": (
        (ROOM**2 * 800).astype(np.float32),
        "max_depth: 100000",
        "max_depth=100000",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (number % 2))
        for number, name in enumerate(RIGHT)
    ],
)
def test_right_files_bring_no_doubt_in_any_command(name: str, tmp_path: Path) -> None:
    stored, layout, encoding = RIGHT[name]
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    path = tmp_path / ("depth/a.png" if stored.dtype.kind == "u" else "depth/a.npy")
    if stored.dtype.kind == "u":
        Image.fromarray(stored).save(path)
    else:
        np.save(path, stored)
    camera = "camera: {fx: 262.5, cx: 159.5, cy: 119.5}\n"
    (tmp_path / "rilievo.yaml").write_text(
        (f"depth: {{{layout}}}\n" if layout else "") + camera, "utf-8"
    )
    dataset = open_dataset("folder", tmp_path)
    assert check_dataset(dataset).warnings == ()
    truth = dataset.truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    predicted = DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)
    scored = comparable_depth(find_benchmark("depth"), predicted, truth)
    assert not [note for note in scored.notes if "check the scale" in note]
    made = rilievo.Prediction.from_depth(PHOTO, path, FOCAL, encoding=encoding or None)
    assert made.notes[1:] == ()
    sparse = read_sparse(path, (HEIGHT, WIDTH), None, encoding=encoding or None)
    assert sparse.reading.warnings == ()


@pytest.mark.parametrize(
    ("stored", "unit", "says"),
    [
        (millimetres(ROOM), 1.0, "millimetres"),
        (millimetres(ROOM), 1000.0, "km"),
        ((millimetres(ROOM).astype(np.uint32) << 3).astype(np.uint16), 0.001, "bits: [3"),
        (np.where(ROOM > 3, 1e10, ROOM).astype(np.float32), 1.0, "invalid"),
        (np.rint(z_buffer(ROOM, 0.1, 20) * 65535).astype(np.uint16), 20 / 65535, "z-buffer"),
        (z_buffer(ROOM, 0.1, 20), 20.0, "z-buffer"),
        (np.rint((ROOM - ROOM.min()) / np.ptp(ROOM) * 65535).astype(np.uint16), 0.001, "normal"),
        (np.minimum(np.rint(ROOM * 2000), 8191).astype(np.uint16), 0.0005, "invalid: [0, 8191]"),
    ],
)
def test_a_wrong_declaration_is_still_doubted(stored: np.ndarray, unit: float, says: str) -> None:
    assert any(says in doubt for doubt in doubts(stored, unit, is_unit_given=True))


def test_a_background_behind_level_ground_is_still_doubted() -> None:
    ground = level_ground()
    stored = np.where(np.isfinite(ground), ground, 5000.0).astype(np.float32)
    assert any("5000" in doubt for doubt in doubts(stored))


def test_the_unit_of_sparse_floats_is_said_to_be_a_guess(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", ROOM * 100)
    notes = read_sparse(tmp_path / "z.npy", (HEIGHT, WIDTH), None).notes
    assert any("read as metres" in note and "a guess" in note for note in notes)
    assert not read_sparse(tmp_path / "z.npy", (HEIGHT, WIDTH), 0.01).notes
    assert not read_sparse(ROOM, (HEIGHT, WIDTH), None).notes


def test_a_list_of_points_in_another_unit_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "points.txt"
    rows, columns = np.mgrid[10:230:20, 10:310:20]
    for factor, unit in ((1000, "mm"), (100, "cm"), (1, "")):
        path.write_text(
            "".join(
                f"{u} {v} {ROOM[v, u] * factor:.4f}\n"
                for u, v in zip(columns.ravel(), rows.ravel(), strict=True)
            )
        )
        sparse = read_sparse(path, (HEIGHT, WIDTH), None)
        assert [f"sparse_unit='{unit}'" in note for note in sparse.notes] == [True] * bool(unit)
        assert len(sparse.sensor_doubts) == bool(unit)
        assert not read_sparse(path, (HEIGHT, WIDTH), 1 / factor).notes


def test_sparse_depth_that_ends_at_the_largest_number_of_a_sensor_is_doubted() -> None:
    chance = np.random.default_rng(5).random((HEIGHT, WIDTH)) < 0.02
    stored = np.where(chance, np.minimum(millimetres(ROOM), 4000), 0).astype(np.uint16)
    sparse = read_sparse(stored, (HEIGHT, WIDTH), 0.001)
    assert any("invalid=0,4000" in note for note in sparse.notes)


def test_a_camera_whose_depth_starts_again_is_not_said_to_give_inverse_depth() -> None:
    wrapped = (np.rint(ROOM * 1000) % 4000).astype(np.uint16)
    made = rilievo.Prediction.from_depth(PHOTO, wrapped, FOCAL, unit="mm")
    assert any("wrap around" in note for note in made.notes)
    assert not any("inverse depth" in note for note in made.notes)


def test_depth_along_minus_z_is_named_where_no_pixel_has_depth(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are negative"):
        rilievo.Prediction.from_depth(PHOTO, -ROOM, FOCAL)
    with pytest.raises(InputError, match="are negative"):
        read_sparse(-ROOM, (HEIGHT, WIDTH), None)
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    np.save(tmp_path / "depth/a.npy", -ROOM)
    assert any(
        "scale: -1" in text for text in check_dataset(open_dataset("folder", tmp_path)).warnings
    )
    (tmp_path / "rilievo.yaml").write_text("depth: {scale: -1}", "utf-8")
    truth = open_dataset("folder", tmp_path).truth("a").depth
    assert truth is not None
    np.testing.assert_allclose(truth, ROOM, rtol=1e-6)


def test_depth_at_every_fifth_pixel_is_judged_too() -> None:
    sparse = np.zeros((HEIGHT, WIDTH), np.float32)
    sparse[1::5, 1::5] = ROOM[1::5, 1::5] / 4.2
    assert doubts(sparse, 1.0, is_unit_given=True) == []


def test_a_map_of_nothing_but_the_largest_value_is_read() -> None:
    full = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    assert plausibility_warnings(full, 0.001 * full.ravel(), invalid=(0.0,), unit=0.001) == []


def test_disparity_below_a_shift_is_not_taken_for_depth_along_minus_z() -> None:
    shifted = (0.12 * FOCAL / ROOM - 40).astype(np.float32)
    metres = ROOM.ravel()
    assert plausibility_warnings(shifted, metres, invalid=(0.0,), unit=None) == []


def test_disparity_is_not_said_to_be_in_metres(tmp_path: Path) -> None:
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    Image.fromarray(np.rint(0.12 * FOCAL / ROOM * 16).astype(np.uint16)).save(
        tmp_path / "depth/a.png"
    )
    (tmp_path / "rilievo.yaml").write_text(
        "depth: {kind: disparity, scale: 0.0625, baseline: 0.12}\n"
        "camera: {fx: 262.5, cx: 159.5, cy: 119.5}\n",
        "utf-8",
    )
    reading = open_dataset("folder", tmp_path).reading("a")
    assert reading is not None
    assert reading.unit_and_range.startswith("read as disparity in units of 0.0625 px")


CHANCE = np.random.default_rng(3)
SPECKS = CHANCE.random((HEIGHT, WIDTH)) < 0.03
# Ground below a camera with roll, up to 140 m.
ROWS = np.maximum(V - HEIGHT / 2 + 0.03 * (U - WIDTH / 2), 0.1)
FAR = np.where(393 / ROWS < 140, 393 / ROWS, np.inf)
NEAR_OR_1 = np.where(np.isfinite(FAR), FAR, 1.0)
WRONG: dict[str, tuple[np.ndarray, str]] = {
    "specks of 65535": (np.where(SPECKS, 65535, millimetres(ROOM)).astype(np.uint16), "invalid"),
    "specks of 32001": (np.where(SPECKS, 32001, millimetres(ROOM)).astype(np.uint16), "invalid"),
    "specks of 65534 before near depth": (
        np.where(SPECKS, 65534, millimetres(ROOM / 4)).astype(np.uint16),
        "invalid",
    ),
    "a z-buffer of a room": (100 * (ROOM - 0.1) / (ROOM * 99.9), "z-buffer"),
    "a z-buffer with sky": (
        np.where(np.isfinite(FAR), 1000 * (NEAR_OR_1 - 0.1) / (NEAR_OR_1 * 999.9), 1.0),
        "z-buffer",
    ),
    **{
        f"a z-buffer of 16 bits from {near} to {far} m": (
            np.rint(z_buffer(ROOM, near, far) * 65535).astype(np.uint16),
            "z-buffer",
        )
        for near, far in ((0.1, 20), (0.5, 20), (0.5, 100), (1, 20))
    },
    "a z-buffer of 24 bits": (
        np.rint(z_buffer(ROOM, 0.1, 20) * (2**24 - 1)).astype(np.uint32),
        "z-buffer",
    ),
    "a z-buffer times 20": (20 * z_buffer(ROOM, 0.1, 20), "z-buffer"),
    "a z-buffer of 16 bits with sky": (
        np.where(np.isfinite(FAR), np.rint(z_buffer(NEAR_OR_1, 0.5, 1000) * 65535), 65535).astype(
            np.uint16
        ),
        "z-buffer",
    ),
    "a time-of-flight camera beyond 4 m": (
        (np.rint(ROOM * 1000) % 4000).astype(np.uint16),
        "wrap around",
    ),
    "metres modulo 4": (ROOM % 4, "wrap around"),
    **{
        f"a sensor that ends at {end}": (
            np.minimum(millimetres(ROOM), end).astype(np.uint16),
            f"invalid: [0, {end}]",
        )
        for end in (3500, 4000, 4095)
    },
    "a sensor of 12 bits in metres": (np.minimum(ROOM, 4.095), "4.095"),
    "a clip at 10 m": (np.minimum(3 * ROOM, 10), "max_depth"),
    "stretched between percentiles": (
        np.rint(np.interp(ROOM, np.quantile(ROOM, (0.002, 0.998)), (0, 65535))).astype(np.uint16),
        "normalised",
    ),
    "divided by the farthest": (np.rint(ROOM / ROOM.max() * 65535).astype(np.uint16), "normalised"),
    "bytes in the other order": (ROOM.astype(np.float32).byteswap(), "bytes are swapped"),
    "depth along -z": (-ROOM, "scale: -1"),
    "numbers that fall with depth": (65535 - millimetres(ROOM), "decrease with depth"),
    "normalised to 1": ((ROOM - ROOM.min()) / np.ptp(ROOM), "normalised"),
    "normalised to 65535": (
        np.rint((ROOM - ROOM.min()) / np.ptp(ROOM) * 65535).astype(np.uint16),
        "normalised",
    ),
    "millimetres that start again": (
        np.where(np.isfinite(FAR), np.rint(NEAR_OR_1 * 1000) % 65536, 0).astype(np.uint16),
        "wrap around",
    ),
    "a far plane": (np.minimum(FAR, 80).astype(np.float32), "max_depth"),
    "a flag below": (
        ((millimetres(ROOM).astype(np.int64) << 1) | (U.astype(np.int64) // 40 % 2)).astype(
            np.uint16
        ),
        "bits: [1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_numbers_that_only_look_like_depth_are_doubted(name: str) -> None:
    stored, says = WRONG[name]
    found = doubts(
        stored if stored.dtype.kind == "u" else stored.astype(np.float32), is_unit_guessed=True
    )
    assert any(says in doubt for doubt in found), found
    assert says == "bytes are swapped" or not any("noise" in doubt for doubt in found)
    assert says == "wrap around" or not any("wrap around" in doubt for doubt in found)


@pytest.mark.parametrize(
    "stored",
    [
        ROOM.astype(np.float32),
        millimetres(ROOM),
        (ROOM / 5.5).astype(np.float32),
        (0.94 + ROOM / 200).astype(np.float32),
        np.where(np.isfinite(FAR), FAR, 0).astype(np.float32),
        np.rint(ROOM * 256).astype(np.uint16),
        (2 * np.rint(ROOM * 500)).astype(np.uint16),
        np.where(ROOM > 5, 5, ROOM).astype(np.float32),
    ],
)
def test_depth_that_looks_like_nothing_else_is_not_doubted(stored: np.ndarray) -> None:
    assert doubts(stored) == []


def test_the_bytes_of_floats_are_told_from_channels(tmp_path: Path) -> None:
    pixels = np.frombuffer(ROOM.astype("<f4").tobytes(), np.uint8).reshape(HEIGHT, WIDTH, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="four bytes of floating-point numbers"):
        rilievo.Prediction.from_depth(PHOTO, tmp_path / "a.png", FOCAL)


def test_channels_in_the_wrong_order_are_named_once() -> None:
    counts = np.rint(ROOM * 1e5).astype(np.int64)
    pixels = np.stack([counts >> 16, counts >> 8 & 255, counts & 255], -1).astype(np.uint8)
    declared = parse_encoding("channels=1,256,65536 scale=1e-5", "encoding")
    numbers = stored_depth_from_array(pixels, declared, "depth")
    [doubt] = stored_depth_warnings(numbers, ROOM.ravel(), unit=1e-5)
    assert "channels: [65" in doubt


@pytest.mark.parametrize("mark", [0.0, -1.0])
def test_holes_in_predictions_name_the_encoding(mark: float) -> None:
    stored = ValueEncoding(number_kind=NumberKind.METRIC)
    values = np.where(U < 50, mark, ROOM).astype(np.float32)
    with pytest.raises(InputError, match=f"invalid={mark:g}"):
        depth_from_numbers(values, stored)


def test_floats_that_may_be_centimetres_say_so(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", ROOM * 100)
    notes = read_sparse(tmp_path / "z.npy", (HEIGHT, WIDTH), None).notes
    assert any("if they are in centimetres" in note for note in notes)


ROOMS = [3.1, 2.9, 3.6, 4.5, 3.3, 4.0, 3.8, 2.95]


@pytest.mark.parametrize(
    ("medians", "odd"),
    [
        ([*ROOMS, 0.35], "8"),
        ([*ROOMS, 3500.0], "8"),
        ([*ROOMS, *(5 * median for median in ROOMS)], "0, 1"),
        (ROOMS, ""),
        ([2.0, 4.0, 9.0, 15.0, 22.0, 40.0, 60.0], ""),
        ([*ROOMS, 9.0], ""),
        ([3.0, 30.0], ""),
    ],
)
def test_files_of_another_unit_are_named(medians: list[float], odd: str) -> None:
    found = odd_unit_warning({f"{at}": median for at, median in enumerate(medians)})
    assert (found is not None) == bool(odd)
    assert not odd or odd.split(", ")[0] in str(found).partition("(")[2].partition(")")[0]


@pytest.mark.slow
def test_check_and_evaluate_name_a_file_of_another_unit(tmp_path: Path) -> None:
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    for seed in range(8):
        Image.fromarray(PHOTO).save(tmp_path / f"images/{seed}.png")
        counts = millimetres(room_depth(HEIGHT, WIDTH, seed=seed))
        stored = counts if seed != 5 else (counts // 10).astype(np.uint16)
        Image.fromarray(stored).save(tmp_path / f"depth/{seed}.png")
    dataset = open_dataset("folder", tmp_path)
    found = join_interpretations(dataset, dataset.ids).warnings
    assert any("(5)" in doubt and "another unit" in doubt for doubt in found)
    assert any("(5)" in warning for warning in check_dataset(dataset).warnings)
