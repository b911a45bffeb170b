"""The scores on the models' cards: frames whose scores are known."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from default_scores import Row, rows_of, table
from evaluate_default_model import Contest, calibrations, examine
from examination import ids_of, judge, parts_of
from real_sets import REAL_SETS, RealSet, without_frame
from row_prior import RowPrior, row_prior_of
from sureness import EDGES, FrameSureness, calibration

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.errors import OptionError
from rilievo.evaluation.options import EvaluateOptions
from rilievo.models import load_model
from rilievo.models.base import Inference, Model
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

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


def walls(folder: Path, *, photographs: bool = True) -> RealSet:
    return RealSet(
        title="walls",
        dataset="folder",
        place=str(folder),
        normals="default",
        photographs=photographs,
    )


def rows(models: Sequence[Model], real: RealSet) -> list[Row]:
    parts = parts_of(real, Path())
    judged = [each for id in ids_of(parts) for each in judge(models, parts, id)]
    return rows_of([model.card.name for model in models], real.title, parts, judged)


def test_a_prior_of_frames_that_are_alike_has_no_error_on_them(tmp_path: Path) -> None:
    prior = row_prior_of(open_dataset("folder", write_frames(tmp_path / "walls")))
    (row,) = rows([prior], walls(tmp_path / "walls"))
    assert (row.set, row.benchmark, row.model) == ("walls", "depth", "row prior")
    assert (row.frames, row.frames_flat) == (2, 0)
    assert (row.abs_rel, row.delta1) == pytest.approx((0, 1), abs=1e-6)
    assert (row.abs_rel_aligned, row.delta1_aligned) == pytest.approx((0, 1), abs=1e-6)
    assert (row.normals_mean, row.normals_within_30) == pytest.approx((0, 1), abs=1e-3)


def test_what_takes_near_for_far_is_aligned_to_one_depth_and_counted(tmp_path: Path) -> None:
    prior = row_prior_of(open_dataset("folder", write_frames(tmp_path / "walls")))
    write_frames(tmp_path / "turned", upside_down=True)
    (row,) = rows([prior], walls(tmp_path / "turned"))
    assert (row.frames, row.frames_flat) == (2, 2)
    # The best line whose slope is not negative is level, at the mean.
    assert row.abs_rel_aligned == pytest.approx(np.abs(ROWS.mean() / ROWS - 1).mean(), rel=1e-5)
    # By the median: ROWS over ROWS turned round.
    assert row.abs_rel == pytest.approx(np.abs(ROWS / ROWS[::-1] - 1).mean(), rel=1e-5)
    assert f"{row.abs_rel_aligned:.3f} / {row.delta1_aligned:.3f} (2) |" in table([row])


class Slope(Model):
    """Farther towards the top, by another law than the frames of ``write_frames``; half sure."""

    card = load_model().card
    weights_sha256 = "0" * 64
    settings: Mapping[str, Setting] = {}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """The same for all."""
        height, width = photos[0].shape
        depth = np.geomspace(1, 4, height)[:, None].repeat(width, axis=1).astype(np.float32)
        normals = np.zeros((3, height, width), np.float32)
        normals[1], normals[2] = -0.6, -0.8
        sure = np.full((height, width), 0.5, np.float32)
        return [Inference(depth=depth, normals=normals, confidence=sure) for _ in photos]


@pytest.mark.slow
def test_the_numbers_are_those_of_the_program_itself(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walls")
    (row,) = rows([Slope()], walls(folder))
    plain = EvaluateOptions(dataset="folder", output=tmp_path / "plain")
    fitted = EvaluateOptions(dataset="folder", output=tmp_path / "fitted", align="scale_shift")
    told = [
        {each.metric: each.value for each in found.summaries}
        for found in (
            rilievo.evaluate(Slope(), "depth", folder, plain, show=False),
            rilievo.evaluate(Slope(), "depth", folder, fitted, show=False),
            rilievo.evaluate(
                Slope(),
                "normals",
                folder,
                EvaluateOptions(dataset="folder", output=tmp_path / "normals"),
                show=False,
            ),
        )
    ]
    assert row.abs_rel > 0.05
    assert (row.abs_rel, row.delta1) == (told[0]["abs_rel"], told[0]["delta1"])
    assert (row.abs_rel_aligned, row.delta1_aligned) == (told[1]["abs_rel"], told[1]["delta1"])
    assert (row.normals_mean, row.normals_within_30) == (told[2]["mean"], told[2]["within_30"])


def test_confidence_is_held_against_the_share_that_is_right(tmp_path: Path) -> None:
    """Some rows of geomspace(1, 4) over linspace(1, 3), divided by its median, are within 1.25."""
    parts = parts_of(walls(write_frames(tmp_path / "walls")), Path())
    judged = [each for id in ids_of(parts) for each in judge([Slope()], parts, id)]
    (found,) = calibrations(["slope"], {"walls": judged})
    ratio = np.geomspace(1, 4, 48) / np.median(np.geomspace(1, 4, 48)) / ROWS * np.median(ROWS)
    right = np.mean(np.maximum(ratio, 1 / ratio) < 1.25)
    assert 0.2 < right < 0.9
    assert (found.model, found.frames, found.said) == ("slope", 2, pytest.approx(0.5))
    assert found.right == pytest.approx(right)
    (interval,) = found.intervals
    assert (interval.low, interval.high, interval.pixels) == (0.5, 0.6, 1.0)


def test_rendered_pictures_and_models_that_say_nothing_have_no_calibration(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walls")
    rendered = parts_of(walls(folder, photographs=False), Path())
    prior = row_prior_of(open_dataset("folder", folder))
    judged = judge([Slope()], rendered, "1") + judge([prior], parts_of(walls(folder), Path()), "1")
    assert calibrations(["slope"], {"walls": judged}) == ()


def test_every_frame_counts_the_same_in_a_calibration() -> None:
    def frame(said: float, right: float) -> FrameSureness:
        shares = np.zeros((3, len(EDGES) - 1))
        shares[:, -1] = 1.0, said, right
        return FrameSureness(pixels=shares[0], said=shares[1], right=shares[2], ause=0.0)

    found = calibration("model", {"a": [frame(0.9, 1.0)], "b": [frame(0.8, 0.5)]})
    assert (found.said, found.right) == pytest.approx((0.85, 0.75))
    assert [each.low for each in found.intervals] == [0.9]
    assert [(each.camera, each.right) for each in found.cameras] == [("a", 1.0), ("b", 0.5)]


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
        root = real.root(data_folder)
        opened = [
            open_dataset(real.dataset, root, split=real.split, variant=variant)
            for variant in (real.variant, real.normals or real.variant)
        ]
        counts.append(len(real.thinned(opened[-1].ids)))
    assert sum(counts) == 280


@pytest.mark.slow
def test_processes_side_by_side_give_what_one_gives(data_folder: Path) -> None:
    prior = RowPrior(np.ones(4, np.float32), np.array([[0, 0, -1]] * 4, np.float32).T)
    sets = {"tum-pair": REAL_SETS["tum-pair"]}
    scores = examine(Contest(models=(), prior=prior, data=data_folder), sets, workers=2)
    parts = parts_of(sets["tum-pair"], data_folder)
    judged = [each for id in ids_of(parts) for each in judge([prior], parts, id)]
    assert rows_of(["row prior"], sets["tum-pair"].title, parts, judged) == list(scores.rows)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    prior = row_prior_of(open_dataset("folder", write_frames(tmp_path / "walls")))
    contest = Contest(models=("rilievo/small", "rilievo/small"), prior=prior, data=tmp_path)
    with pytest.raises(OptionError, match="call themselves the same: rilievo/small, rilievo/sma"):
        contest.load()


def test_thinned_sets_are_scored_on_the_frames_that_they_take(tmp_path: Path) -> None:
    real = replace(walls(write_frames(tmp_path / "walls")), takes=slice(1, None))
    assert ids_of(parts_of(real, Path())) == ("2",)
