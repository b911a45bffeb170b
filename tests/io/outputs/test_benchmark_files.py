"""Depth in the formats of KITTI, TUM RGB-D and MPI Sintel, read as their programs read it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.data.datasets.sets.sintel_files import read_dpt
from rilievo.io.depth.depth_metadata import read_depth_metadata
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import save, saving_notes
from rilievo.records.depth_map import DepthKind, DepthMap
from support.predictions import prediction

SIZE = (40, 64)
DEPTH = np.linspace(0.3, 12.9, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
DEPTH[0, :5] = np.nan
STEPS = {"kitti": 256, "tum": 5000}


def metric(values: np.ndarray = DEPTH) -> rilievo.Prediction:
    valid = np.isfinite(values)
    depth = DepthMap(
        values=np.where(valid, values, 0).astype(np.float32), kind=DepthKind.METRIC, valid=valid
    )
    return prediction().but(
        depth_or_none=depth, normals=None, confidence=None, sky=None, photo=None
    )


def written(folder: Path, name: str, values: np.ndarray = DEPTH) -> np.ndarray:
    """Numbers of a file, as Pillow reads them."""
    save(metric(values), folder / "0000000007", [name])
    with Image.open(folder / f"0000000007.{name}.png") as image:
        assert image.mode == "I;16"
        return np.asarray(image)


@pytest.mark.parametrize("name", STEPS)
def test_numbers_are_metres_times_the_factor_of_the_benchmark(tmp_path: Path, name: str) -> None:
    numbers = written(tmp_path, name)
    assert numbers.dtype == np.uint16
    assert numbers.shape == SIZE
    assert not numbers[0, :5].any()
    expected = np.rint(DEPTH.astype(np.float64) * STEPS[name])
    valid = np.isfinite(DEPTH)
    assert np.abs(numbers[valid] - expected[valid]).max() <= 1  # float32 rounds halves elsewhere
    np.testing.assert_allclose(
        numbers[valid] / STEPS[name], DEPTH[valid], rtol=0, atol=0.51 / STEPS[name]
    )


@pytest.mark.parametrize("name", STEPS)
def test_the_file_states_its_scale_and_is_read_back(tmp_path: Path, name: str) -> None:
    written(tmp_path, name)
    path = tmp_path / f"0000000007.{name}.png"
    metadata = read_depth_metadata(path)
    assert metadata.scale == pytest.approx(1 / STEPS[name])
    back = read_prediction(path).depth
    np.testing.assert_array_equal(back.valid, np.isfinite(DEPTH))
    np.testing.assert_allclose(
        back.values[back.valid], DEPTH[back.valid], rtol=0, atol=0.51 / STEPS[name]
    )


def test_what_is_too_far_is_kept_for_kitti_and_left_out_for_tum(tmp_path: Path) -> None:
    far = DEPTH.copy()
    far[1, :3] = (13.2, 300, 9999)
    kitti, tum = written(tmp_path, "kitti", far), written(tmp_path, "tum", far)
    np.testing.assert_array_equal(kitti[1, :3], (3379, 65535, 65535))
    np.testing.assert_array_equal(tum[1, :3], 0)
    notes = saving_notes(metric(far), "x", ["kitti", "tum"])
    assert [note.split(" where")[0] for note in notes] == [
        "x.kitti.png stores that depth for 2 pixels beyond 256,",
        "x.tum.png has no depth for 3 pixels beyond 13.11,",
    ]
    assert not saving_notes(metric(), "x", ["kitti", "tum"])


def test_depth_of_sintel_is_read_by_the_reader_of_its_dataset(tmp_path: Path) -> None:
    save(metric(), tmp_path / "frame_0001", ["dpt"])
    path = tmp_path / "frame_0001.dpt"
    np.testing.assert_array_equal(read_dpt(path), np.nan_to_num(DEPTH))
    content = path.read_bytes()
    assert content[:4] == b"PIEH"
    assert tuple(np.frombuffer(content[4:12], "<i4")) == (64, 40)
    back = read_prediction(path).depth
    np.testing.assert_array_equal(back.values, DEPTH)


@pytest.mark.parametrize("name", ["kitti", "tum", "dpt"])
def test_depth_without_metres_is_noted(tmp_path: Path, name: str) -> None:
    from rilievo.prediction.saving import metre_notes

    [note] = metre_notes(DepthKind.UP_TO_SCALE, [name])
    assert f"the numbers in {name} as metres" in note
    assert metre_notes(DepthKind.METRIC, [name]) == ()
