"""Functions from an image to depth where models are scored, exported and served."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rilievo
from rilievo.cli import main
from support.floor_model import lab
from support.tiny_dataset import write_tiny

__all__ = ["lab"]


def test_evaluate_scores_it(lab: Any, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    write_tiny(tmp_path / "data", 3)
    options = rilievo.EvaluateOptions(
        dataset="support.tiny_dataset:Tiny", output=tmp_path / "scores"
    )
    found = rilievo.evaluate(lab.floor, "depth", tmp_path / "data", options, show=False)
    assert found.scores
    assert "--model lab_floor:floor" in found.command


def test_export_refuses_in_words(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "lab_floor:floor", "-o", "floor.onnx"]) == 2
    assert "cannot be exported to ONNX" in capsys.readouterr().err
    assert not Path("floor.onnx").exists()


@pytest.mark.slow
def test_the_servers_take_its_place(lab: Any, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    from urllib.request import Request, urlopen

    for name in ("serve", "app"):
        words = [name, "--port", "0", "-m", "lab_floor:floor"]
        with subprocess.Popen(
            [sys.executable, "-m", "rilievo", *words], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                address = process.stdout.readline().partition(" (")[0].partition(": ")[2]
                photo = Path("photo.png").read_bytes()
                with urlopen(Request(f"{address}v1/predict", photo), timeout=60) as answer:
                    said = json.load(answer)
                assert said["made_by"]["model"] == "lab_floor:floor"
            finally:
                process.terminate()
