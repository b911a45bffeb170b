"""One word in place of a model, and the line that recommends it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS
from rilievo.models.model_options import QUALITIES, model_for_quality
from rilievo.predicting.options import PredictOptions


def photograph(folder: Path) -> Path:
    path = folder / "photo.png"
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(path)
    return path


def test_every_word_names_a_model_that_the_core_runs() -> None:
    assert list(QUALITIES) == ["fast", "good", "best"]
    assert QUALITIES["fast"] == FAST_MODEL
    assert [MODELS[name].extra for name in QUALITIES.values()] == [None] * 3


def test_options_hold_the_model_of_the_word() -> None:
    assert PredictOptions().network.model == ""
    assert PredictOptions(quality="fast").network.model == FAST_MODEL
    assert PredictOptions(model=DEFAULT_MODEL).network.model == DEFAULT_MODEL
    assert PredictOptions(quality="best").network.model == "moge-2/large"
    assert model_for_quality("good", "moge-2/small") == "moge-2/small"


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "moge-2/large"])
def test_a_word_and_a_model_are_refused_together(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OptionError, match="cannot be combined"):
        rilievo.predict(photograph(tmp_path), model=model, quality="good")
    command = ["predict", str(photograph(tmp_path)), "--quality", "good", "-m", model]
    assert main(command) == 2
    assert "--quality and --model cannot be combined" in capsys.readouterr().err


def test_another_word_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'best'"):
        rilievo.predict(np.zeros((8, 8, 3), np.uint8), quality="bset")


def test_fast_is_the_small_embedded_model(tmp_path: Path) -> None:
    one, other = (
        rilievo.predict(photograph(tmp_path), **each)
        for each in (dict(model=FAST_MODEL), dict(quality="fast"))
    )
    np.testing.assert_array_equal(one.depth.values, other.depth.values)


def on_terminal(arguments: list[str], cache: Path, folder: Path) -> str:
    """Output of the command on a terminal."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "RILIEVO_CACHE": str(cache)}
    command = [sys.executable, "-m", "rilievo", *arguments]
    done = subprocess.run(
        command, stderr=follower, stdout=subprocess.PIPE, env=environment, cwd=folder, check=False
    )
    os.close(follower)
    said = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # how Linux ends a terminal that nobody holds open
            break
        if not part:
            break
        said += part
    os.close(leader)
    assert done.returncode == 0, said
    return said.decode()


@pytest.mark.slow
def test_better_models_are_recommended_once_and_only_on_a_terminal(tmp_path: Path) -> None:
    photo, cache = photograph(tmp_path), tmp_path / "cache"
    command = ["predict", str(photo), "--overwrite"]
    piped = subprocess.run(
        [sys.executable, "-m", "rilievo", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "RILIEVO_CACHE": str(cache)},
        check=True,
    )
    assert "--quality" not in piped.stderr
    assert "--quality" not in on_terminal([*command, "-m", "rilievo/small"], cache, tmp_path)
    first = on_terminal(command, cache, tmp_path)
    for fact in ("--quality good", "141 MB", "MIT", "moge-2/small"):
        assert fact in first
    assert first.count("tip: ") == 1
    assert "--quality" not in on_terminal(command, cache, tmp_path)


def test_the_list_of_models_begins_with_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows[:2]] == [DEFAULT_MODEL, FAST_MODEL]
