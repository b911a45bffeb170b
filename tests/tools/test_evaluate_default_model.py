"""The scores on the model's card: frames whose scores are known, and the card they end in."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from evaluate_default_model import REAL_SETS, RealSet, Row, rows_of, table, without_frame
from row_prior import row_prior_of
from write_default_card import as_text, read_card

from rilievo.datasets import open_dataset
from rilievo.networks.small import SmallNet
from rilievo.train.export import export_small

ROWS = np.linspace(1, 3, 48)


def write_frames(folder: Path, *, upside_down: bool = False) -> Path:
    """Two frames, each as far as its row says, the second twice as far; walls seen head-on."""
    for name in ("images", "depth", "normals"):
        (folder / name).mkdir(parents=True)
    normals = np.zeros((48, 64, 3), np.float32)
    normals[..., 2] = -1
    for number in (1, 2):
        rows = ROWS[::-1] if upside_down else ROWS
        depth = number * rows[:, None].repeat(64, axis=1)
        Image.new("RGB", (64, 48)).save(folder / f"images/{number}.png")
        np.save(folder / f"depth/{number}.npy", depth.astype(np.float32))
        np.save(folder / f"normals/{number}.npy", normals)
    return folder


def walls(folder: Path) -> RealSet:
    return RealSet(title="walls", dataset="folder", place=str(folder), normals="default")


def test_a_prior_of_frames_that_are_alike_has_no_error_on_them(tmp_path: Path) -> None:
    prior = row_prior_of(open_dataset("folder", write_frames(tmp_path / "walls")))
    (row,) = rows_of(prior, walls(tmp_path / "walls"), tmp_path, tmp_path / "runs")
    assert (row.set, row.benchmark, row.model) == ("walls", "depth", "row prior")
    assert (row.frames, row.frames_log) == (2, 2)
    assert (row.abs_rel, row.delta1) == pytest.approx((0, 1), abs=1e-6)
    assert (row.abs_rel_log, row.delta1_log) == pytest.approx((0, 1), abs=1e-6)
    assert (row.normals_mean, row.normals_within_30) == pytest.approx((0, 1), abs=1e-3)
    assert (tmp_path / "runs" / "depth+log" / "report.html").exists()


def test_what_takes_near_for_far_has_no_fit_in_log_depth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prior = row_prior_of(open_dataset("folder", write_frames(tmp_path / "walls")))
    write_frames(tmp_path / "turned", upside_down=True)
    (row,) = rows_of(prior, walls(tmp_path / "turned"), tmp_path, tmp_path / "runs")
    assert (row.frames, row.frames_log, row.abs_rel_log, row.delta1_log) == (2, 0, None, None)
    # By the median: ROWS over ROWS turned round.
    assert row.abs_rel == pytest.approx(np.abs(ROWS / ROWS[::-1] - 1).mean(), rel=1e-5)
    assert "near for far" in capsys.readouterr().err
    assert "| – | 0.0°, 100% |" in table([row])


def test_the_white_frame_is_cut_off_before_the_model_and_nothing_else_changes() -> None:
    unframed = without_frame("nyuv2-eigen-filled")
    assert (unframed.name, unframed.input_crop) == ("nyuv2-eigen-filled-unframed", "nyu_eigen")
    assert (unframed.crop, unframed.max_depth, unframed.variant) == ("none", 10.0, "filled")


def test_every_set_on_disk_can_be_opened(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RILIEVO_DATA", str(data_folder))
    counts = []
    for real in REAL_SETS.values():
        for variant in {real.variant, real.normals or real.variant}:
            opened = open_dataset(
                real.dataset, real.root(data_folder), split=real.split, variant=variant
            )
        counts.append(len(opened))
    assert sum(counts) == 215


def test_the_card_says_what_the_file_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallNet().eval()
    export_small(network, tmp_path / "small.onnx")
    row = Row(
        set="rooms",
        benchmark="depth",
        model="rilievo/small",
        frames=3,
        abs_rel=0.1,
        delta1=0.9,
        frames_log=2,
        abs_rel_log=0.05,
        delta1_log=0.95,
    )
    card = read_card(tmp_path / "small.onnx", [row])
    assert card.name == "rilievo/small"
    assert card.size_bytes == (tmp_path / "small.onnx").stat().st_size
    trained = sum(parameter.numel() for parameter in network.parameters())
    assert 0.98 * trained < card.parameters < trained  # batch normalisation is folded in
    text = as_text(card)
    assert "NYU Depth V2" in text
    assert "| rooms | `depth` | rilievo/small | 3 | 0.100 / 0.900 | 0.050 / 0.950 (2) | – |" in text
