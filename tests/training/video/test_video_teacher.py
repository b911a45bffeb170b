"""The card of a run names the models that taught it, with their licences."""

import json
from pathlib import Path

import pytest

from rilievo.models import MODELS, find_card
from rilievo.training.adapters.trained_cards import video_run_card


def write_run(folder: Path, **more: str) -> Path:
    """A folder that begins as that of a run, without weights that anyone could load."""
    folder.mkdir()
    config = {"format": "rilievo-video/1", "blueprint": {"encoder": "small"}, **more}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "weights.safetensors").write_bytes(b"weights")
    return folder


def test_a_run_without_a_teacher_has_the_licence_of_its_footage(tmp_path: Path) -> None:
    card = video_run_card(write_run(tmp_path / "run", start="rilievo/small"))
    assert card.teacher == ""
    assert card.licence.startswith("the licence of the training footage; the authors")
    assert card.commercial is None


@pytest.mark.parametrize("commercial", [True, False])
def test_the_licence_of_a_teacher_is_in_the_card(tmp_path: Path, commercial: bool) -> None:
    [name, *_] = [each for each in MODELS if MODELS.find(each).commercial is commercial]
    card = video_run_card(write_run(tmp_path / "run", prior=name))
    said = f"{name} ({find_card(name).licence}"
    assert card.teacher.startswith(said)
    assert said in card.licence
    assert ("NON-COMMERCIAL" in card.licence) == (not commercial)
    assert (card.commercial is False) == (not commercial)


def test_a_teacher_of_the_run_it_started_from_counts_too(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", prior="nobody/knows")
    second = write_run(tmp_path / "second", start=str(first), prior="rilievo/small")
    card = video_run_card(second)
    assert card.teacher.startswith("rilievo/small (Apache-2.0")
    assert card.teacher.endswith("nobody/knows (licence unknown)")
    itself = write_run(tmp_path / "itself", start=str(tmp_path / "itself"))
    assert video_run_card(itself).teacher == ""
