"""Evaluations of models that are paid by the call: asked first, set as asked, paid once."""

import io
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.evaluation.evaluation_folder import read_evaluation
from support.replicate_server import TOKEN, Service, replicate_server
from support.tiny_evaluation import TINY, run_tiny

MODEL = "replicate:who/depth"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with replicate_server() as running:
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        monkeypatch.setenv("REPLICATE_BASE_URL", running.address)
        running.polls_needed = 0
        yield running


def test_no_dataset_is_sent_where_nobody_can_be_asked(
    service: Service, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(
        OptionError, match=r"sends 6 photographs to replicate\.com in 12 paid calls"
    ):
        run_tiny(MODEL, root, kind="affine", flip=True, output=tmp_path / "out")
    assert service.count("POST") == 0


@pytest.mark.slow
def test_the_kind_and_settings_of_a_model_are_given_and_kept_predictions_are_not_paid_again(
    service: Service, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    out = tmp_path / "out"
    words = ["evaluate", "-b", "depth", "--dataset", TINY, "--root", str(root), "-m", MODEL]
    words += ["--kind", "affine_inverse", "--set", 'inputs={"num_infer": 2}', "-o", str(out)]
    assert main([*words, "--limit", "2", "--yes"]) == 0
    assert service.count("POST /v1/predictions") == 2
    kept = read_evaluation(out)
    assert (kept.kind, kept.made_by.settings["inputs"]) == ("affine_inverse", '{"num_infer": 2}')
    again = shlex.split(kept.command)
    assert "--yes" not in again
    assert again[again.index("--set") + 1] == 'inputs={"num_infer": 2}'
    assert main([*words, "--limit", "3"]) == 0
    assert service.count("POST /v1/predictions") == 3
