"""Spellings, help, quiet and JSON of the command line."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_american_spellings_are_understood(photo: Path) -> None:
    common = [str(photo), "--model", "rilievo/small"]
    british = ["--save", "colour", "--colour-map", "turbo", "--colour-range", "0.5,2"]
    american = ["--save", "color", "--color-map=turbo", "--color-range", "0.5,2"]
    for name, options in (("british", british), ("american", american)):
        assert main(["predict", *common, *options, "-o", str(photo.parent / name)]) == 0
    one, other = (photo.parent / name / "photo.depth.png" for name in ("british", "american"))
    assert one.read_bytes() == other.read_bytes()


def test_help_of_a_command_can_be_asked_for_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    usual = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["help", "predict"])
    assert capsys.readouterr().out == usual
    assert main(["help"]) == 0
    assert "rilievo help COMMAND" in capsys.readouterr().out
    assert main(["help", "predickt"]) == 2
    assert "did you mean 'predict'?" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_says_nothing_but_what_went_wrong(
    photo: Path, flag: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [
        "predict",
        str(photo.parent),
        flag,
        "-m",
        "rilievo/small",
        "-o",
        f"{photo.parent}/out",
    ]
    assert main(command) == 0
    assert capfd.readouterr() == ("", "")
    (photo.parent / "broken.png").write_bytes(b"no picture")
    assert main(command) == 1
    found = capfd.readouterr()
    assert found.out == ""
    assert "broken.png" in found.err


def test_verbose_tells_engine_sizes_and_stages(
    photo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(photo), "-m", "rilievo/small", "-o", f"{photo.parent}/out"]
    assert main([*command, "-v", "--json"]) == 0
    found = capfd.readouterr()
    spent = json.loads(found.out)["spent"]
    assert "rilievo/small" in spent["model"]
    assert "engine onnxruntime" in found.err
    assert [*spent["answers"].values()] == [1]
    assert {"load", "read", "network", "finish and write"} <= {*spent["seconds"]}
    [size] = spent["answers"]
    width, height = map(int, size.split("x"))
    assert width > height > 0
    assert f"{size} (1)" in found.err
    assert main([*command, "-q", "-v"]) == 2
    assert "--verbose" in capfd.readouterr().err


def test_what_was_done_is_told_as_json(photo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (photo.parent / "broken.png").write_bytes(b"no picture")
    command = ["predict", str(photo.parent), "--json", "-m", "rilievo/small"]
    assert main([*command, "-o", f"{photo.parent}/out"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["done"], told["failed"], told["exit_code"]) == (1, 1, 1)
    assert "broken.png" in told["failures"][0]
    assert told["output"] == f"{photo.parent}/out"


def test_a_failure_in_the_json_spells_options_as_the_command_line_does(
    photo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(photo), "-m", "rilievo/small", "-o", f"{photo.parent}/out", "-q"]
    assert main(command) == 0
    assert main([*command, "--camera-height", "2", "--json"]) == 1
    [failure] = json.loads(capfd.readouterr().out)["failures"]
    assert "use --overwrite to replace it" in failure


def test_a_photograph_may_come_on_standard_input(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photo.parent / "out"
    command = ["predict", "-", "--model", "rilievo/small", "--save", "npy", "-o", str(out)]

    def piped(content: bytes) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return main(command)

    assert piped(photo.read_bytes()) == 0
    assert main(["predict", str(photo), *command[2:]]) == 0
    one, other = (np.load(out / f"{name}.depth.npy") for name in ("stdin", "photo"))
    np.testing.assert_array_equal(one, other)
    capsys.readouterr()
    assert piped(photo.read_bytes()) == 0
    assert "already done" in capsys.readouterr().err
    assert piped(b"") == 2
    assert "standard input is empty" in capsys.readouterr().err
    assert piped(b"no picture at all") == 1
    assert "stdin.jpg" in capsys.readouterr().err


def test_resume_may_have_a_word(photo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = photo.parent / "out"
    command = ["predict", str(photo), "-m", "rilievo/small", "--save", "ply", "-o", str(out)]
    assert main(command) == 0
    content = (out / "photo.ply").read_bytes()
    middle = len(content) // 2
    (out / "photo.ply").write_bytes(content[:middle] + b"!" + content[middle + 1 :])
    for word, said in (("--resume", "already done"), ("--resume=hash", "writes it again")):
        assert main([*command, word]) == 0
        assert said in capfd.readouterr().err
    assert (out / "photo.ply").read_bytes() == content
    assert main([*command, "--resume=sizes"]) == 2
    assert (
        "--resume must be given without a value, or with hash, got 'sizes'"
        in capfd.readouterr().err
    )
