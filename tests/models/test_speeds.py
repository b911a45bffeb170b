"""The list of models a person can read, and how fast they are on this machine."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rilievo
from catalogue_mirror import CatalogueMirror, catalogue
from published_graphs import write_zipdepth
from rilievo.cli import main
from rilievo.models import DEFAULT_MODEL, MODELS, load_model, speeds
from rilievo.models.processing.refined import refined
from rilievo.options.photo_options import UNREFINED
from rilievo.version import PROCESSING

__all__ = ["catalogue"]

PIXELS = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path))
    monkeypatch.setattr(speeds, "_counted", {})
    return tmp_path / f"speeds-{PROCESSING}.json"


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
    assert "rilievo/small is here already: it comes with rilievo" in said.err
    assert main(["models"]) == 0
    here, away, _ = capsys.readouterr().out.split("\n\n")
    assert [line.split()[0] for line in here.splitlines()[1:]] == [
        *("rilievo/base", "rilievo/small"),
        *("zipdepth", "midas/small"),
    ]
    assert "zipdepth" not in away
    assert main(["models", "fetch", "zipdepth"]) == 0
    assert "zipdepth is here already" in capsys.readouterr().err
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
    assert "missing: NAME" in capsys.readouterr().err


def test_json_has_every_fact_of_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(MODELS)
    assert listed["moge-2/small"]["kind"] == "metric"
    assert listed["moge-2/small"]["speed_here"] is None
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
    assert "not known here" in said["moge-2/small"]
    # The long card belongs to our own models, whatever others are called.
    assert ["# rilievo/" in text for text in said.values()] == [False, False, True]


@pytest.mark.slow
def test_the_first_calls_are_timed_and_the_least_is_kept(
    nothing_measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(DEFAULT_MODEL, device="cpu")
    model.predict_raw([PIXELS])
    first = speeds.speeds()[DEFAULT_MODEL]
    assert first.pixels == "64x48"
    assert 0 < first.seconds < 60
    for _ in range(4):
        model.predict_raw([PIXELS, PIXELS])
    kept = speeds.speeds()[DEFAULT_MODEL]
    assert kept.seconds <= first.seconds
    assert kept.calls == 3
    assert main(["models"]) == 0
    assert f"{kept.seconds:.2g} s, 64x48" in capsys.readouterr().out
    assert main(["models", DEFAULT_MODEL]) == 0
    assert "speed here  " in capsys.readouterr().out


def test_a_slower_call_leaves_the_facts_of_the_least(nothing_measured: Path) -> None:
    fast = {"seconds": 0.0, "pixels": "9x9", "device": "gpu", "engine": "e", "precision": "p"}
    nothing_measured.write_text(json.dumps({DEFAULT_MODEL: {**fast, "calls": 1}}))
    load_model(DEFAULT_MODEL, device="cpu").predict_raw([PIXELS])
    kept = speeds.speeds()[DEFAULT_MODEL]
    assert (kept.seconds, kept.calls, kept.pixels, kept.device) == (0, 2, "9x9", "gpu")


def test_tiles_are_not_taken_for_the_model(nothing_measured: Path) -> None:
    model = refined(load_model(DEFAULT_MODEL, device="cpu"), replace(UNREFINED, flip=True, tile=64))
    model.predict_raw([PIXELS])
    assert not nothing_measured.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"seconds": 1}}'])
def test_a_file_that_is_broken_is_made_anew(nothing_measured: Path, text: str) -> None:
    nothing_measured.write_text(text)
    assert speeds.speeds() == {}
    rilievo.predict(PIXELS)
    assert list(speeds.speeds()) == [DEFAULT_MODEL]


def test_only_speeds_of_one_size_stand_side_by_side(
    nothing_measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = {"calls": 2, "device": "cpu", "engine": "onnxruntime", "precision": "fp32"}
    sizes = {"rilievo/base": "512x512", "rilievo/small": "451x300", "other/model": "9x9"}
    known = {name: {"seconds": 0.0123, "pixels": size, **usual} for name, size in sizes.items()}
    nothing_measured.write_text(json.dumps(known))
    assert main(["models"]) == 0
    assert "0.012 s" not in capsys.readouterr().out
    known["rilievo/small"]["pixels"] = "512x512"
    nothing_measured.write_text(json.dumps(known))
    assert main(["models"]) == 0
    assert capsys.readouterr().out.count("0.012 s, 512x512") == 2
