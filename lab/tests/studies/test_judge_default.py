"""Measures by which a network is judged, against values worked out by hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

import judge_blind
import judge_default
from judge_blind import Rating, agreement, key_of, opened, read_ratings, table, tally
from judge_changes import Measure, levels
from judge_cost import cost
from judge_default import MEASURES, chances, comparisons, summaries
from judge_frames import CAMERAS, SEVEN, JudgedFrame
from judge_outlines import outline_width, photographs, splinters
from judge_panel import warning_chance, warning_chance_within
from judge_rendered import rendered_scores, steps
from judge_rows import Rows, stored

import rilievo
from rilievo.errors import InputError
from rilievo.models import load_model
from rilievo.records.sample import Sample


def step_map(blur: int) -> np.ndarray:
    """Depth with one vertical outline, whose inverse depth rises over ``blur`` pixels."""
    inverse = np.interp(np.arange(480), [240 - blur / 2, 240 + blur / 2], [0.1, 1.0])
    return np.tile(1 / inverse, (360, 1))


def test_the_width_of_an_outline_is_that_of_its_ramp() -> None:
    """A ramp of 12 px of a diagonal of 600 px is 2%; the blur widens it a little."""
    assert outline_width(step_map(12)) == pytest.approx(2.0, rel=0.1)
    assert outline_width(step_map(24)) == pytest.approx(4.0, rel=0.1)
    assert outline_width(step_map(1)) < 0.5


def test_depth_without_outlines_has_no_width() -> None:
    assert np.isnan(outline_width(np.tile(np.linspace(1, 1.2, 480), (360, 1))))


def test_splinters_are_pixels_that_a_median_moves() -> None:
    depth = np.full((100, 100), 2.0)
    depth[50, 10:20] = 3.0
    everywhere = np.ones(depth.shape, bool)
    assert splinters(depth, everywhere) == pytest.approx(0.1)
    assert splinters(depth, ~everywhere) == 0
    away = everywhere.copy()
    away[50] = False
    assert splinters(depth, away) == 0


def test_photographs_are_parted_by_their_places(tmp_path: Path) -> None:
    for folder, count, kind in (("photos_cameras", 11, "jpg"), ("photos_kodak24", 5, "png")):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number:02}.{kind}").touch()
    parts = photographs(tmp_path)
    assert [path.name for path in parts["chosen"]] == [
        "00.jpg", "05.jpg", "10.jpg", "00.png", "04.png"
    ]  # fmt: skip
    assert len(parts["others"]) == 11


def land_with_step() -> np.ndarray:
    true = np.zeros((60, 80), np.float32)
    true[:, 40:] = np.log(2)
    true[:10] = np.inf
    return true


def test_a_perfect_answer_has_every_step_and_no_other() -> None:
    true = land_with_step()
    found = rendered_scores(np.where(np.isfinite(true), true + 1.5, 9.0), true)
    assert found["f1"] == pytest.approx(1)
    assert found["invented"] == 0
    assert found["rendered"] == pytest.approx(0, abs=1e-6)
    assert found["beside_sky"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("moved", "f1"), [(2, 1.0), (4, 0.0)])
def test_steps_count_as_the_same_within_two_pixels(moved: int, f1: float) -> None:
    true = land_with_step()
    answer = np.where(np.isfinite(true), np.roll(true, moved, axis=1), 0)
    answer[10:, :moved] = 0
    assert rendered_scores(answer, true)["f1"] == pytest.approx(f1)


def test_invented_steps_are_far_from_true_ones() -> None:
    true = land_with_step()
    answer = np.where(np.isfinite(true), true, 0)
    answer[10:, 60:] += 0.5
    found = rendered_scores(answer, true)
    assert found["invented"] == pytest.approx(100 * 2 / 80)
    assert steps(answer, np.isfinite(true))[20].nonzero()[0].tolist() == [39, 40, 59, 60]


def test_the_chance_of_a_warning() -> None:
    errors = np.concatenate([np.full(35, 0.1), np.full(5, 0.5)])
    assert warning_chance(errors, errors).mean == 1
    assert warning_chance(-errors, errors).mean == 0
    none = warning_chance(np.zeros(40), errors)
    assert (none.mean, none.low, none.high) == (0.5, 0.5, 0.5)


def test_a_camera_that_is_worse_than_others_is_no_clue() -> None:
    chance = np.random.default_rng(0)
    errors = {"a": chance.uniform(0.1, 0.2, 40), "b": chance.uniform(0.5, 0.6, 40)}
    doubts = {"a": np.full(40, 0.1), "b": np.full(40, 0.9)}
    joined = [np.concatenate(list(each.values())) for each in (doubts, errors)]
    assert warning_chance(*joined).mean > 0.7
    assert warning_chance_within(doubts, errors).mean == 0.5
    assert warning_chance_within({**doubts, "few": errors["a"][:5]}, errors).mean == 0.5


def test_scores_are_made_once(tmp_path: Path) -> None:
    def make() -> Rows:
        rows = Rows()
        rows.add("abs_rel", "nyu", 0.1)
        rows.add("abs_rel", "nyu", float("nan"))
        return rows

    path = tmp_path / "scores.json"
    first = stored(path, make)
    again = stored(path, lambda: pytest.fail("they are kept"))
    assert str(first.values) == str(again.values)
    assert np.isnan(again.scores("abs_rel")["nyu"][1])


def panel(error: float) -> Rows:
    rows = Rows()
    for camera in SEVEN:
        for number in range(24):
            rows.add("abs_rel", camera, error * (1 + 0.005 * number))
            rows.add("inside", camera, 2 * error)
            rows.add("confidence", camera, 0.8)
            rows.add("doubt", camera, number)
    return rows


def test_every_measure_is_compared_and_summarised() -> None:
    old, new = panel(0.2), panel(0.1)
    found = comparisons(old, new)
    assert set(found) == {"abs_rel", "inside", "confidence"}
    assert found["abs_rel"].together["seven cameras"].mean == pytest.approx(-0.5)
    assert found["inside"].changes["nyu"].mean == pytest.approx(-0.2)
    level = summaries(old)["abs_rel"]["nyu"]
    assert level.frames == 24
    assert level.value.low < level.value.mean < level.value.high
    assert chances(old)["doubt"].mean == 1


@pytest.mark.parametrize("networks", [1, 2])
def test_the_command_writes_every_figure(
    networks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = Path(rilievo.__file__).parent / "models" / "default" / "small.onnx"
    paths = [str(small)] * networks
    out = tmp_path / "out.json"
    words = ["judge_default", *paths, "--only", "panel", "--json", str(out)]
    folders = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    monkeypatch.setattr(sys, "argv", [*words, *folders])
    monkeypatch.setattr(judge_default, "panel_rows", lambda *_: panel(0.2))
    judge_default.main()
    text = capsys.readouterr().out
    assert ("mean, seven cameras: +0.0%" in text) is (networks == 2)
    assert "doubted more than a good one, by doubt, within cameras, small.onnx: 1.00" in text
    record = json.loads(out.read_text())
    assert len(record["warning"]) == networks
    if networks == 1:
        assert record["panel"]["abs_rel"]["nyu"]["frames"] == 24
    else:
        assert record["panel"]["abs_rel"]["old"]["nyu"] == pytest.approx(0.2115)


def test_an_interval_of_a_mean_is_that_of_its_error() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    level = levels({"a": values}, Measure(title="a"))["a"].value
    assert level.high - level.low == pytest.approx(2 * 1.645 * values.std() / 20, rel=0.08)


def test_every_camera_is_of_known_sets_and_some_frames_are_turned() -> None:
    sample = Sample(id="0", image=np.zeros((4, 4, 3), np.uint8))
    frame = JudgedFrame(
        camera="nyu", number=4, set="nyu", sample=sample, depth=np.ones((4, 4), np.float32)
    )
    assert frame.turned
    assert set(SEVEN) < set(CAMERAS)
    assert all(measure.title for measure in MEASURES.values())


def test_a_network_costs_what_it_costs(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(photo)
    path = Path(rilievo.__file__).parent / "models" / "default" / "small.onnx"
    model = load_model("rilievo/small", device="cpu", threads=1)
    found = cost([model, model], [path, path], photo, pairs=4)
    assert 0.3 < found.ratio.mean < 3
    assert found.old_bytes == path.stat().st_size
    assert found.new_ms > 0


NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_sides_are_shuffled_for_every_reader_and_half_of_them_are_left() -> None:
    key = key_of(NAMES * 5, 2, seed=3)
    assert key == key_of(NAMES * 5, 2, seed=3)
    assert key["reader-1"] != key["reader-2"]
    for pairs in key.values():
        assert sorted(name for name, _ in pairs.values()) == sorted(NAMES * 5)
        assert [side for _, side in pairs.values()].count("left") == 10


def test_a_tally_opens_the_key(tmp_path: Path) -> None:
    pairs = {"01": ["a.jpg", "left"], "02": ["b.jpg", "right"], "03": ["c.jpg", "right"]}
    path = tmp_path / "ratings.csv"
    path.write_text(
        "number,left,right,prefers,how,left_faults,right_faults,why\n"
        "1,good,bad,left,clearly,,halo fray,the head stands\n"
        "2,Usable,good,Right,slightly,facets,,\n"
        "3,bad,bad,left,,,horns,\n",
        encoding="utf-8",
    )
    rows = opened(read_ratings(path), pairs)
    assert [row.preferred for row in rows] == ["new", "new", "old"]
    text = tally(rows)
    assert "new preferred 2 (1 clearly), old 1 (0 clearly), even 0" in text
    assert "new: good 2, usable 0, bad 1; halo 0, fray 0, facets 0, horns 1" in text
    assert "old: good 0, usable 1, bad 2; halo 1, fray 1, facets 1, horns 0" in text
    assert agreement([rows, rows]) == "both readers: the same on 3 of 3, opposite on 0\n"
    assert table({"one": rows}).splitlines()[1].startswith("a.jpg\tbad\tgood\tnew\tclearly")


def test_ratings_that_are_none_are_refused() -> None:
    rating = Rating(number="1", left="good", right="good", prefers="even")
    with pytest.raises(InputError, match="look at 02"):
        opened([rating], {"01": ["a", "left"], "02": ["b", "left"]})
    with pytest.raises(InputError, match="no fault 'blur'"):
        Rating(number="1", left="good", right="good", prefers="even", left_faults="blur")
    with pytest.raises(InputError, match="expected left, right, even"):
        Rating(number="1", left="good", right="good", prefers="both")


def test_the_key_is_not_given_to_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["judge_blind", "sheets", "a.onnx", "b.onnx", "list.txt", str(tmp_path / "out")]
    key = ["--key", str(tmp_path / "out" / "key.json"), "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, *key])
    with pytest.raises(rilievo.errors.OptionError, match="readers' folder"):
        judge_blind.main()
