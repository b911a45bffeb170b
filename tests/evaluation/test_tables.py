"""Tables of images, and evaluations read back from their file."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, OutputError
from rilievo.evaluation.evaluation_folder import read_evaluation, write_images_csv
from rilievo.evaluation.records import Unscored
from rilievo.io.json_record import to_json
from support.evaluations import evaluation

BAD = Unscored(id="room/bad", reason="no valid pixel")


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_evaluation_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = evaluation(unscored=(BAD,), warnings=("looks like millimetres",))
    (tmp_path / "evaluation.json").write_text(to_json(made))
    assert read_evaluation(tmp_path) == made
    assert read_evaluation(tmp_path / "evaluation.json") == made


def test_the_csv_table_has_a_row_for_every_image_scored_or_not(tmp_path: Path) -> None:
    made = evaluation(unscored=(BAD,))
    write_images_csv(made, tmp_path / "per_image.csv")
    rows = _csv(tmp_path / "per_image.csv")
    assert [row["id"] for row in rows] == [*(score.id for score in made.scores), "room/bad"]
    for row, score in zip(rows, made.scores, strict=False):
        assert {name: float(row[name]) for name in score.values} == score.values
        assert (int(row["pixels"]), float(row["scale"]), row["shift"]) == (score.pixels, 1.5, "")
    assert rows[1]["notes"] == "3 pixels clamped"
    assert (rows[-1]["unscored"], rows[-1]["abs_rel"]) == ("no valid pixel", "")


@pytest.mark.parametrize("id", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\t=1"])
def test_no_id_becomes_a_formula_in_a_spreadsheet(tmp_path: Path, id: str) -> None:
    made = evaluation(ids=(id,), images=1)
    write_images_csv(made, tmp_path / "t.csv")
    assert _csv(tmp_path / "t.csv")[0]["id"][0] == "'"


def test_names_of_files_that_are_no_unicode_are_written_all_the_same(tmp_path: Path) -> None:
    made = evaluation(ids=("a\udcff\nb",), images=1)
    write_images_csv(made, tmp_path / "t.csv")
    assert _csv(tmp_path / "t.csv")[0]["id"] == r"a\udcff\nb"


def _changed(**changes: object) -> str:
    return json.dumps(json.loads(to_json(evaluation(images=2))) | changes)


_SCORE = json.loads(to_json(evaluation(images=2)))["scores"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a mapping"),
        (_changed(seconds="long"), "seconds is"),
        (_changed(format="rilievo-evaluation/9"), "expected 'rilievo-evaluation/1'"),
        (_changed(summaries=[]), "no metrics"),
        (_changed(scores=[_SCORE, _SCORE]), "'room/0000' occurs twice"),
        (_changed().replace('"value": ', '"value": 1e999, "was": '), "not finite"),
        (_changed(scores=[_SCORE | {"values": {"rmse": 10**400}}]), "expected a number"),
    ],
)
def test_a_broken_evaluation_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_evaluation(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluation\.json: no such file"):
        read_evaluation(tmp_path)


def test_a_table_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_images_csv(evaluation(), tmp_path / "absent" / "t.csv")
    odd = replace(evaluation(images=1), scores=())
    write_images_csv(odd, tmp_path / "t.csv")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["t.csv"]
    assert np.size(_csv(tmp_path / "t.csv")) == 0
