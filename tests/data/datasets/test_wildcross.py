"""WildCross, on sequences written in its layout."""

from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from support.original_files import cut_short, noise, write_png

SIZE = (36, 48)


def sequence(root: Path, name: str, frames: int) -> None:
    """Frames of which only the last two are more than copies of a file."""
    for folder, pixels in (("images", noise(SIZE)), ("depth", np.full(SIZE, 2000, np.uint16))):
        content = write_png(root / name / folder / "first.png", pixels).read_bytes()
        (root / name / folder / "first.png").unlink()
        for number in range(frames):
            (root / name / folder / f"1655.{number:05}.png").write_bytes(content)
    for number in (frames - 2, frames - 1):
        write_png(root / name / "images" / f"1655.{number:05}.png", noise(SIZE, number))
        write_png(root / name / "depth" / f"1655.{number:05}.png", stored(number))


def stored(number: int) -> np.ndarray:
    """Depth of 1 mm to 65 m in millimetres, with holes."""
    depth = np.random.default_rng(number).integers(1, 65536, SIZE).astype(np.uint16)
    depth[:, ::3] = 0
    depth[0, 1], depth[0, 2] = 1, 60000
    return depth


def test_the_test_split_leaves_out_the_first_900_frames(tmp_path: Path) -> None:
    for name in ("V-01", "K-01", "K-02"):
        sequence(tmp_path, name, 902)
    dataset = open_dataset("wildcross", tmp_path)
    assert dataset.ids == tuple(
        f"{name}/1655.{number:05}" for name in ("V-01", "K-01") for number in (900, 901)
    )
    sample = dataset.sample("K-01/1655.00901")
    assert sample.depth is not None
    assert sample.scene == "K-01"
    np.testing.assert_allclose(sample.depth, stored(901) / 1000, rtol=1e-6)
    np.testing.assert_array_equal(sample.depth_valid, stored(901) > 0)
    np.testing.assert_array_equal(sample.image, noise(SIZE, 901))
    assert len(open_dataset("wildcross", tmp_path, split="all")) == 3 * 902


def test_the_validation_split_is_every_fifteenth_frame(tmp_path: Path) -> None:
    sequence(tmp_path, "K-02", 931)
    ids = open_dataset("wildcross", tmp_path, split="val").ids
    assert ids == tuple(f"K-02/1655.{number:05}" for number in (900, 915, 930))


def test_what_is_not_a_download_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the folders V-01 and K-01"):
        open_dataset("wildcross", tmp_path)
    sequence(tmp_path, "V-01", 902)
    (tmp_path / "V-01/depth/1655.00000.png").unlink()
    with pytest.raises(InputError, match=r"902 photographs in images/, but 901 files in depth/"):
        open_dataset("wildcross", tmp_path)


def test_a_broken_depth_file_is_named(tmp_path: Path) -> None:
    sequence(tmp_path, "V-01", 902)
    cut_short(tmp_path / "V-01/depth/1655.00901.png")
    with pytest.raises(InputError, match=r"1655\.00901\.png"):
        open_dataset("wildcross", tmp_path).truth("V-01/1655.00901")


def test_the_benchmark_scores_as_the_authors_program(tmp_path: Path) -> None:
    """From 1 mm to 60 m, with predictions of at most 60 m, and the mean over images."""
    sequence(tmp_path / "data", "V-01", 902)
    expected = []
    for number in (900, 901):
        rng = np.random.default_rng(-number % 97)
        predicted = rng.uniform(0.5, 90, SIZE).astype(np.float32)
        path = tmp_path / "theirs" / "V-01" / f"1655.{number:05}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, predicted)
        true = stored(number).astype(np.float32) / np.float32(1000)
        counted = (true >= 0.001) & (true <= 60)
        p, t = np.minimum(predicted, 60)[counted].astype(float), true[counted].astype(float)
        e = np.log(p) - np.log(t)
        expected.append(
            {
                "abs_rel": np.mean(np.abs(p - t) / t),
                "sq_rel": np.mean((p - t) ** 2 / t),
                "rmse": np.sqrt(np.mean((p - t) ** 2)),
                "rmse_log": np.sqrt(np.mean(e**2)),
                "log10": np.mean(np.abs(np.log10(p) - np.log10(t))),
                "delta1": np.mean(np.maximum(p / t, t / p) < 1.25),
                "silog_half": np.sqrt(np.mean(e**2) - 0.5 * np.mean(e) ** 2),
            }
        )
    options = rilievo.EvaluateOptions(
        output=tmp_path / "out", predictions=tmp_path / "theirs", kind="metric"
    )
    found = rilievo.evaluate(None, "wildcross", tmp_path / "data", options)
    values = {summary.metric: summary.value for summary in found.summaries}
    for name in expected[0]:
        mean = np.mean([image[name] for image in expected])
        np.testing.assert_allclose(values[name], mean, rtol=1e-5, err_msg=name)
