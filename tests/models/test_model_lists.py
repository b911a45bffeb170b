"""The list of models a person can read."""

import json
from pathlib import Path

import pytest

from rilievo.cli import main
from rilievo.models import MODELS
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.published_graphs import write_zipdepth

__all__ = ["catalogue"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_here_and_what_a_download_gives_and_all_on_demand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models"]) == 0
    short = capsys.readouterr().out
    names = [line.split(" ")[0] for line in short.splitlines()]
    rows = [name for name in names if name in MODELS]
    assert rows[:3] == ["rilievo/base", "rilievo/small", "zipdepth"]
    assert len(rows) == 7
    for words in ("moge-2/small", "metres", "141 MB", "MIT", "--quality", "--all", "--json"):
        assert words in short
    # Errors are those that the cards quote, and their source stands below.
    for words in ("0.084", "0.061", "best for its size", "ZipDepth, ECCV 2026, Table 1"):
        assert words in short
    assert max(map(len, short.splitlines())) <= 110
    assert main(["models", "--all"]) == 0
    long = capsys.readouterr().out
    assert all(name in long for name in MODELS)


def test_a_model_that_was_downloaded_is_listed_as_here(
    catalogue: CatalogueMirror, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("zipdepth", "midas/small"):
        catalogue.offer(name, write_zipdepth)
    assert main(["models", "fetch", "zipdepth", "rilievo/small", "midas/small"]) == 0
    said = capsys.readouterr()
    assert [Path(line).suffix for line in said.out.splitlines()] == [".onnx"] * 3
    assert "rilievo/small needs no download, because it is part of rilievo" in said.err
    assert main(["models"]) == 0
    here, away, _ = capsys.readouterr().out.split("\n\n")
    assert [line.split()[0] for line in here.splitlines()[1:]] == [
        *("rilievo/base", "rilievo/small"),
        *("zipdepth", "midas/small"),
    ]
    assert "zipdepth" not in away
    assert main(["models", "fetch", "zipdepth"]) == 0
    assert "zipdepth is already downloaded" in capsys.readouterr().err
    assert main(["models", "path", "zipdepth", "midas/small"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        path for path in said.out.splitlines() if "default" not in path
    ]


def test_names_to_fetch_are_looked_up_before_anything_is_downloaded(
    catalogue: CatalogueMirror, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.offer("zipdepth", write_zipdepth)
    assert main(["models", "fetch", "zipdepth", "zipdeph"]) == 2
    said = capsys.readouterr()
    assert "did you mean 'zipdepth'" in said.err
    assert "downloading" not in said.err
    assert main(["models", "fetch"]) == 2
    assert "this command needs NAME" in capsys.readouterr().err


def test_json_has_every_fact_of_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(MODELS)
    assert listed["moge-2/small"]["kind"] == "metric"
    assert listed["moge-2/small"]["published"] is None
    assert main(["models", "depth-anything-v2/base", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["commercial"], one["licence"]) == (False, "CC-BY-NC-4.0")


def test_accuracy_is_ours_or_says_who_published_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    published = {each["name"]: each["published"] for each in json.loads(capsys.readouterr().out)}
    assert "NYUv2 0.061/0.962" in published["depth-anything-v2/small"]
    assert "(ZipDepth, ECCV 2026, Table 1)" in published["depth-anything-v2/small"]
    assert published["moge-2/small"] is None
    said = {}
    for name in ("depth-anything-v2/small", "moge-2/small", "rilievo/small"):
        assert main(["models", name]) == 0
        said[name] = capsys.readouterr().out
    assert published["depth-anything-v2/small"] in said["depth-anything-v2/small"]
    assert "unknown; to measure it" in said["moge-2/small"]
    # The long card belongs to our own models, whatever others are called.
    assert ["# rilievo/" in text for text in said.values()] == [False, False, True]
