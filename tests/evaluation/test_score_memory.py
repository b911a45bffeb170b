"""Memory: what scores need is compared before the model answers."""

from pathlib import Path

import pytest

from rilievo.errors import OptionError
from rilievo.evaluation.evaluation_plan import process_count
from rilievo.io.files import machine
from support.tiny_dataset import write_tiny
from support.tiny_evaluation import run_tiny, write_predictions


def test_scores_are_compared_before_the_model_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "data")
    write_predictions(tmp_path / "data", tmp_path / "theirs")
    monkeypatch.setattr(machine, "free_memory", lambda: 1000)
    with pytest.raises(
        OptionError, match=r"^about .* of memory is needed for scores for images of \d+x\d+ pixels"
    ):
        run_tiny("rilievo/small", tmp_path / "data", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert process_count(1000, 4) == 4
    assert process_count(100, 4) == 1
